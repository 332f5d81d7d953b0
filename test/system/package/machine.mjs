// A machine on this one, with systemd as its first process: the files of this system, where what it writes is kept in memory and forgotten;
// processes, mounts, control groups and a network (a loopback) of its own. It starts nothing that this system's configuration asks for, and
// may change nothing of the kernel.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { Process, run, scratch, untilWorks } from '../harness.mjs'

// $1: an empty folder, $2: a file that it shall have as /given.
const ROOT = `
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/system"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$1/system"
cp "$2" "$1/system/given"
cd "$1/system"
mount -t proc proc proc
mount --bind proc/sys proc/sys && mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for folder in dev run tmp etc/systemd lib/systemd/system-generators; do mount -t tmpfs -o mode=755 tmpfs "$folder"; done
chmod 1777 tmp
for device in null zero full random urandom tty; do touch "dev/$device"; mount --bind "/dev/$device" "dev/$device"; done
mkdir dev/shm dev/pts && mount -t tmpfs tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts && ln -s pts/ptmx dev/ptmx
rm -rf usr/sbin/policy-rc.d etc/hypergate
ip link set lo up
mkdir before && pivot_root . before && umount -l before
mount --make-rshared /
exec setpriv --bounding-set -sys_module,-sys_rawio,-sys_boot,-sys_time,-syslog,-audit_control,-audit_read \\
  env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=test /lib/systemd/systemd --unit=basic.target --show-status=0
`
const START = `echo $$ >"$3/cgroup.procs"; exec unshare -m -u -i -n -p -C --propagation private --fork --kill-child sh -ec "$0" sh "$1" "$2"`

function controlGroups () {
  const line = readFileSync('/proc/mounts', 'utf8').split('\n').find((line) => line.split(' ')[2] === 'cgroup2')
  if (!line) throw new Error('no control groups of version 2')
  return line.split(' ')[1]
}

export class Machine {
  /** Resolves with a machine that is up, `given` in its root folder; or with {reason} where there can be none. */
  static async start (given) {
    if (process.getuid() !== 0) return { reason: 'needs root (namespaces of its own)' }
    const machine = new Machine()
    try {
      await machine.boot(given)
      return machine
    } catch (error) {
      await machine.stop()
      return { reason: `no machine with systemd can be started here: ${error.message}` }
    }
  }

  constructor () {
    this.files = scratch()
    this.atExit = () => this.removeGroups()
    process.on('exit', this.atExit)
  }

  async boot (given) {
    const group = path.join(controlGroups(), `hypergate-test-${process.pid}`)
    mkdirSync(group)
    this.group = group
    this.outer = new Process('sh', ['-c', START, ROOT, this.files.folder, given, group], { name: 'systemd', stays: true })
    await untilWorks(async () => {
      if (this.outer.status !== undefined) throw new Error(this.outer.tail())
      const { stdout } = await this.run('systemctl', 'is-system-running')
      if (!/^(running|degraded)$/.test(stdout.trim())) throw new Error(`it does not come up: ${stdout}${this.outer.tail()}`)
    }, 20000)
  }

  inside (...command) {
    const first = readFileSync(`/proc/${this.outer.pid}/task/${this.outer.pid}/children`, 'utf8').trim()
    return ['nsenter', ['-t', first, '-m', '-u', '-i', '-n', '-p', '-C', 'env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', ...command]]
  }

  run (...command) { return run(...this.inside(...command)) }

  async stop () {
    await this.outer?.stop('SIGKILL')
    await untilWorks(() => this.removeGroups())  // its last processes may still be on their way out
    process.removeListener('exit', this.atExit)
    this.files.remove()
  }

  removeGroups () {
    if (this.group) execFileSync('find', [this.group, '-type', 'd', '-delete'], { stdio: 'pipe' })
    this.group = undefined
  }
}
