// Machines with a Docker Engine each, on this one: a network namespace per machine, joined by a bridge in a namespace of its own. Each
// engine has its data and state below one scratch folder, and sees a /run of its own, so that its socket is at /var/run/docker.sock for
// itself and for commands typed there. Images are built by `docker build`, or imported from files of this system.
//
//   10.89.0.101… DHT nodes ─ bridge ─┬─ machine 1 (10.89.0.1): dockerd ─ containers behind its masquerade and firewall
//                                    ├─ machine 2 (10.89.0.2)
//                                    └─ machine 3 (10.89.0.3)
import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import http from 'node:http'
import path from 'node:path'
import { Process, binary, run, timeout } from '../harness.mjs'

function sh (command, ...args) {
  return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

function present (command) {
  return ['/usr/sbin', '/usr/bin', '/sbin', '/bin', '/usr/local/bin'].map((folder) => path.join(folder, command)).find(existsSync)
}

export class Lab {
  // Resolves with a lab, or with {reason} when no engine can be started here.
  static async start (machines) {
    if (process.getuid() !== 0) return { reason: 'needs root (network namespaces and a Docker Engine)' }
    for (const command of ['dockerd', 'docker', 'debootstrap', 'ip', 'iptables', 'nsenter', 'unshare', 'script', 'busybox', 'redis-server'])
      if (!present(command)) return { reason: `${command} is not installed (Debian: docker.io debootstrap iproute2 iptables util-linux bsdutils busybox-static redis-server)` }
    const lab = new Lab()
    try {
      lab.makeNetwork(machines)
      for (let number = 1; number <= machines; number++) lab.machines.push(new Machine(lab, number))
      await Promise.all(lab.machines.map((machine) => machine.start()))
      return lab
    } catch (error) {
      await lab.stop()
      return { reason: `no Docker Engine can be started here: ${error.message}` }
    }
  }

  constructor () {
    this.folder = mkdtempSync('/tmp/hgd-')  // short: a socket's path has 107 bytes
    this.tag = `hgd${process.pid}`
    this.namespaces = []
    this.machines = []
    this.engines = []
    this.nodes = []
    this.emergency = () => this.sweep()
    process.on('exit', this.emergency)
  }

  namespace (name) {
    const full = `${this.tag}-${name}`
    sh('ip', 'netns', 'add', full)
    this.namespaces.push(full)
    sh('ip', '-n', full, 'link', 'set', 'lo', 'up')
    return full
  }

  makeNetwork (machines) {
    this.middle = this.namespace('net')
    sh('ip', '-n', this.middle, 'link', 'add', 'br0', 'type', 'bridge')
    sh('ip', '-n', this.middle, 'link', 'set', 'br0', 'up')
    for (const host of [101, 102, 103]) sh('ip', '-n', this.middle, 'addr', 'add', `10.89.0.${host}/24`, 'dev', 'br0')
    for (let number = 1; number <= machines; number++) {
      const name = this.namespace(`m${number}`)
      sh('ip', '-n', this.middle, 'link', 'add', `m${number}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name)
      sh('ip', '-n', this.middle, 'link', 'set', `m${number}`, 'master', 'br0', 'up')
      sh('ip', '-n', name, 'addr', 'add', `10.89.0.${number}/24`, 'dev', 'eth0')
      sh('ip', '-n', name, 'link', 'set', 'eth0', 'up')
      sh('ip', '-n', name, 'route', 'add', 'default', 'via', '10.89.0.101')
    }
  }

  inside (namespace, command, ...args) {
    return ['nsenter', [`--net=/run/netns/${namespace}`, command, ...args]]
  }

  // A program that goes on until it is stopped, or the lab is.
  exec (command, args, options) {
    const started = new Process(command, args, { ...options, stays: true })
    this.nodes.push(started)
    return started
  }

  async startDht () {
    for (const [index, host] of [101, 102, 103].entries()) {
      const args = ['dht', '--host', `10.89.0.${host}`, '--port', '49737', '--log', 'json']
      if (index > 0) args.push('--bootstrap', '10.89.0.101:49737')
      const node = this.exec(...this.inside(this.middle, binary, ...args), { name: `dht ${index + 1}` })
      await node.line(index === 0 ? /listening on/ : /"ready/)
    }
    this.bootstrap = '10.89.0.101:49737,10.89.0.102:49737,10.89.0.103:49737'
  }

  // hypergate outside any container, on a machine.
  process (machine, args, options = {}) {
    return this.exec(...this.inside(machine.namespace, binary, ...args, '--bootstrap', this.bootstrap, '--log', 'json'), options)
  }

  async curl (namespace, url, seconds = 5) {
    const { status, stdout, stderr } = await run(...this.inside(namespace, 'curl', '-sS', '-m', String(seconds), url))
    if (status !== 0) throw new Error(stderr.trim())
    return stdout
  }

  // A root folder as a tar, with programs and the libraries they load.
  image (name, { programs = [], links = {}, files = {} }) {
    const folder = path.join(this.folder, 'image-' + name)
    const tar = folder + '.tar'
    const put = (from, to) => {
      mkdirSync(path.dirname(path.join(folder, to)), { recursive: true })
      copyFileSync(from, path.join(folder, to))
      chmodSync(path.join(folder, to), 0o755)
    }
    mkdirSync(path.join(folder, 'tmp'), { recursive: true })
    for (const [from, to] of programs) {
      put(from, to)
      for (const library of librariesOf(from)) put(library, library)
    }
    for (const [to, target] of Object.entries(links)) {
      mkdirSync(path.dirname(path.join(folder, to)), { recursive: true })
      symlinkSync(target, path.join(folder, to))
    }
    for (const [to, from] of Object.entries(files)) put(from, to)
    sh('tar', '-C', folder, '-cf', tar, '.')
    return tar
  }

  async stop () {
    for (const node of this.nodes) await node.stop('SIGKILL').catch(() => {})
    await Promise.all(this.engines.map((engine) => engine.stop()))
    this.sweep()
    process.removeListener('exit', this.emergency)
  }

  // What is left: processes of our engines by their ids, mounts and namespaces by our names.
  sweep () {
    const containers = new Set(this.engines.flatMap((engine) => engine.containerIds()))
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)) {
      try {
        const ours = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').some((word) => word.includes(this.folder + '/'))
        const inContainer = [...readFileSync(`/proc/${pid}/cgroup`, 'utf8').matchAll(/\/docker\/([0-9a-f]{64})/g)].some(([, id]) => containers.has(id))
        if (ours || inContainer) process.kill(Number(pid), 'SIGKILL')
      } catch { /* gone */ }
    }
    const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n').map((line) => line.split(' ')[1]).filter((place) => place?.startsWith(this.folder + '/'))
    for (const place of mounts.reverse()) { try { sh('umount', '-l', place) } catch { /* gone */ } }
    for (const name of this.namespaces.splice(0)) { try { sh('ip', 'netns', 'del', name) } catch { /* gone */ } }
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 3 })
  }
}

function librariesOf (program) {
  try {
    return [...sh('ldd', program).matchAll(/(?:=> )?(\/\S+) \(0x/g)].map(([, file]) => file)
  } catch {
    return []  // static
  }
}

// One Docker Engine.
class Engine {
  constructor (lab, name, options) {
    this.lab = lab
    this.name = name
    this.options = options
    this.folder = path.join(lab.folder, name)
    this.socket = path.join(this.folder, 'run/docker.sock')  // as others see it
    mkdirSync(path.join(this.folder, 'run'), { recursive: true })
    lab.engines.push(this)
  }

  inside (command, ...args) { return [command, args] }

  async start () {
    const own = `mount --bind ${this.folder}/run /run && exec "$@"`
    this.engine = new Process(...this.inside('unshare', '-m', '--propagation', 'private', 'sh', '-c', own, 'dockerd', 'dockerd', '--host', 'unix:///var/run/docker.sock',
      '--data-root', `${this.folder}/data`, '--exec-root', `${this.folder}/exec`, '--pidfile', `${this.folder}/pid`, '--userland-proxy=false', ...this.options), { name: `dockerd ${this.name}`, stays: true })
    const deadline = Date.now() + 90000
    for (;;) {
      if (this.engine.status !== undefined) throw new Error(this.engine.lines.filter((line) => /fail|error|fatal/i.test(line)).at(-1) ?? 'dockerd ended')
      try { await this.api('GET', '/version'); break } catch (error) { if (Date.now() > deadline) throw error }
      await timeout(100)
    }
  }

  // A command line as typed at this machine, where /var/run/docker.sock is its engine's; `terminal`: at a terminal.
  type (text, { name = 'typed', terminal = true, env } = {}) {
    const shell = terminal ? ['script', '-qefc', text, '/dev/null'] : ['bash', '-c', text]
    const [command, args] = this.inside('nsenter', `--mount=/proc/${this.engine.pid}/ns/mnt`, ...shell)
    return this.lab.exec(command, args, { name: `${name} on ${this.name}`, env: { SHELL: '/bin/bash', ...env }, stdin: 'pipe' })
  }

  // The same, to its end: what it printed.
  async typed (text, options) {
    const it = this.type(text, options)
    const status = await it.exited
    if (status !== 0) throw new Error(`${text}: status ${status}\n${it.tail()}`)
    return it.lines.join('\n').trim()
  }

  // The engine's API, as JSON.
  api (method, target, body) {
    return new Promise((resolve, reject) => {
      const request = http.request({ socketPath: this.socket, method, path: target, timeout: 60000, headers: { 'content-type': 'application/json' } }, (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (part) => { text += part })
        response.on('end', () => { try { resolve(text === '' ? null : JSON.parse(text)) } catch { resolve(text) } })
        response.on('error', reject)
      })
      request.on('timeout', () => request.destroy(new Error('no answer from the engine')))
      request.on('error', reject)
      request.end(body && JSON.stringify(body))
    })
  }

  // The docker command; resolves with what it prints.
  async docker (...args) {
    const { status, stdout, stderr } = await run('docker', ['-H', `unix://${this.socket}`, ...args])
    if (status !== 0) throw new Error(`docker ${args.join(' ')}: ${stderr.trim()}`)
    return stdout.trim()
  }

  import (tar, name, ...changes) {
    return this.docker('import', ...changes.flatMap((change) => ['-c', change]), tar, name)
  }

  logs (name) {
    return this.lab.exec('docker', ['-H', `unix://${this.socket}`, 'logs', '-f', name], { name: `${name} on ${this.name}` })
  }

  // Builds and tags an image.
  build (folder, name, ...options) {
    return this.docker('build', '-q', '-t', name, ...options, folder)
  }

  // Takes images from another engine.
  async take (from, ...names) {
    const tar = path.join(this.folder, 'images.tar')
    await from.docker('save', '-o', tar, ...names)
    await this.docker('load', '-q', '-i', tar)
    rmSync(tar)
  }

  // Unix milliseconds of the first event of `action` on the container named `name` since `sinceMs`.
  async eventTime (name, action, sinceMs, limitMs = 30000) {
    const deadline = Date.now() + limitMs
    const filters = encodeURIComponent(JSON.stringify({ event: [action], container: [name] }))
    for (;;) {
      const since = (sinceMs / 1000).toFixed(3)
      const until = (Date.now() / 1000).toFixed(3)
      const text = await this.api('GET', `/events?since=${since}&until=${until}&filters=${filters}`)
      const events = (typeof text === 'string' ? text.trim().split('\n').map((line) => JSON.parse(line)) : [text]).filter(Boolean)
      if (events.length > 0) return Math.floor(events[0].timeNano / 1e6)
      if (Date.now() > deadline) throw new Error(`no event ${action} of ${name}`)
      await timeout(50)
    }
  }

  containerIds () {
    const folder = path.join(this.folder, 'data/containers')
    return existsSync(folder) ? readdirSync(folder) : []
  }

  async kill () {
    await this.engine.stop('SIGKILL')
  }

  async stop () {
    if (!this.engine || this.engine.status !== undefined) return
    const ids = await this.docker('ps', '-aq').catch(() => '')
    if (ids) await this.docker('rm', '-f', '-v', ...ids.split('\n')).catch(() => {})
    await this.engine.stop('SIGTERM', 30000).catch(() => {})
  }
}

// A machine of the lab with its engine.
export class Machine extends Engine {
  constructor (lab, number) {
    super(lab, `m${number}`, [])
    this.address = `10.89.0.${number}`
    this.namespace = `${lab.tag}-m${number}`
  }

  inside (command, ...args) { return this.lab.inside(this.namespace, command, ...args) }

  async start () {
    await super.start()
    // A home's firewall: nothing comes in unasked (and no answer to a punch's first packet takes the port away).
    for (const rule of [['-m', 'conntrack', '--ctstate', 'ESTABLISHED,RELATED', '-j', 'ACCEPT'], ['-p', 'udp', '-j', 'DROP']]) {
      try { sh(...this.inside('iptables', '-C', 'INPUT', '-i', 'eth0', ...rule).flat()) } catch {
        sh(...this.inside('iptables', '-A', 'INPUT', '-i', 'eth0', ...rule).flat())
      }
    }
  }
}

// An engine that builds images with this system's own network, and keeps its layers in `folder` from run to run.
export class Builder extends Engine {
  constructor (lab, folder) {
    super(lab, 'builder', ['--bridge=none', '--iptables=false', '--ip6tables=false', '--ip-forward=false'])
    mkdirSync(folder, { recursive: true })
    symlinkSync(folder, path.join(this.folder, 'data'))
  }
}
