// The Debian package on a machine with systemd as its first process: installed, started, upgraded and removed by the system's own tools; and
// a request that comes through the units, hardened as they are.
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { Process, newSecret, root, untilWorks } from './harness.mjs'
import { Machine } from './package/machine.mjs'

const made = path.join(root, 'build/package')
const units = ['hypergate-dht', 'hypergate-gateway', 'hypergate-provider']
let machine, reason

before(async () => {
  const started = await Machine.start(path.join(made, readdirSync(made).find((name) => name.endsWith('.deb'))))
  if (started.reason) reason = started.reason
  else machine = started
})
after(() => machine?.stop())

function onMachine (name, body) {
  test(name, (t) => reason ? t.skip(reason) : body(t))
}

async function output (...command) {
  const { status, stdout, stderr } = await machine.run(...command)
  if (status !== 0) assert.fail(`${command.join(' ')}: ${stdout}${stderr}${(await machine.run('journalctl', '-n', '30', '-o', 'cat')).stdout}`)
  return stdout
}

const shell = (script) => output('sh', '-ec', script)
const show = async (unit, property) => (await output('systemctl', 'show', '-P', property, unit)).trim()
const states = async () => (await machine.run('systemctl', 'is-active', ...units)).stdout.trim().split('\n')
const pids = () => Promise.all(units.map((unit) => show(unit, 'MainPID')))
const page = async (port) => assert.match(await output('curl', '-sS', '-m', '5', `http://127.0.0.1:${port}/services.json`), /gatePort/)
const services = (...ports) => shell(`echo '${JSON.stringify(ports.map((gatePort) => ({ gatePort, servicePort: 8081 })))}' >/etc/hypergate/services.json`)

onMachine('installing it starts and enables nothing', async () => {
  await output('dpkg', '--no-triggers', '-i', '/given')
  assert.deepEqual(await states(), ['inactive', 'inactive', 'inactive'])
  const listed = await output('systemctl', 'list-unit-files', '--no-legend', 'hypergate*')
  assert.deepEqual(listed.trim().split('\n').map((line) => line.split(/ +/).slice(0, 2).join(' ')), units.map((unit) => `${unit}.service disabled`))
})

onMachine('systemd finds no fault with the units, and little that they may do', async () => {
  const { status, stdout, stderr } = await machine.run('systemd-analyze', 'verify', ...units.map((unit) => `${unit}.service`))
  assert.equal(stdout + stderr, '')
  assert.equal(status, 0)
  assert.match(await show('hypergate-dht', 'Before'), /hypergate-gateway.*hypergate-provider|hypergate-provider.*hypergate-gateway/)
  for (const unit of units) await output('systemd-analyze', 'security', '--threshold=20', unit)  // a scale to 100
})

onMachine('without a router secret a start fails, and the file is named', async () => {
  for (const unit of ['hypergate-provider', 'hypergate-gateway']) {
    assert.notEqual((await machine.run('systemctl', 'start', unit)).status, 0)
    assert.match(await output('journalctl', '-u', unit, '-o', 'cat'), /^head: cannot open '\/etc\/hypergate\/router\.secret' for reading: No such file/m)
    await output('systemctl', 'stop', unit)
  }
})

onMachine('a provider, a gateway and a DHT node as services: a request, a port below 1024, another service while they run', async (t) => {
  const web = new Process(...machine.inside('python3', '-um', 'http.server', '-b', '127.0.0.1', '-d', '/usr/share/doc/hypergate/examples', '8081'), { name: 'web', stays: true })
  t.after(() => web.stop())
  await web.line(/Serving/)
  await shell(`
    cd /etc/hypergate
    (umask 077; echo ${await newSecret()} >router.secret)
    echo 'OPTIONS=--host 127.0.0.1' >>dht.env
    for role in provider gateway; do echo HYPERGATE_BOOTSTRAP=127.0.0.1:49737 >>$role.env; done`)
  await services(443)
  await output('systemctl', 'enable', '--now', ...units)
  assert.deepEqual(await states(), ['active', 'active', 'active'])
  for (const unit of units) assert.equal(await show(unit, 'WatchdogUSec'), '1min')
  await untilWorks(() => page(443))
  await untilWorks(async () => assert.equal(await show('hypergate-gateway', 'StatusText'), 'peers: 1, gates open: 1'))
  await services(443, 8080)
  await untilWorks(() => page(8080))
  await shell('ip link add here type veth peer name there; ip addr add 192.0.2.1/24 dev here')
  for (const unit of units) await untilWorks(async () => assert.match(await output('journalctl', '-u', unit, '-o', 'cat'), /network interfaces changed/))

  await t.test('one that is killed, and one that hangs, are started again', async () => {
    const impatient = '/run/systemd/system/hypergate-.service.d'
    await shell(`mkdir ${impatient}; printf '[Service]\\nRestartSec=0\\nWatchdogSec=3\\n' >${impatient}/soon.conf; systemctl daemon-reload; systemctl restart hypergate-gateway hypergate-provider`)
    const [, gateway, provider] = await pids()
    await output('kill', '-KILL', gateway)
    await output('kill', '-STOP', provider)
    await untilWorks(async () => {
      const [, newGateway, newProvider] = await pids()
      assert.ok(![gateway, '0'].includes(newGateway) && ![provider, '0'].includes(newProvider))
      assert.deepEqual(await states(), ['active', 'active', 'active'])
    })
    await shell(`rm -r ${impatient}; systemctl daemon-reload; systemctl restart hypergate-gateway hypergate-provider`)
    await untilWorks(() => page(443))
  })

  await t.test('an upgrade starts those again that run, no other', async () => {
    await output('systemctl', 'stop', 'hypergate-gateway')
    const [dht, , provider] = await pids()
    await output('dpkg', '--no-triggers', '-i', '/given')
    const [newDht, gateway, newProvider] = await pids()
    assert.equal(gateway, '0')
    assert.ok(![dht, '0'].includes(newDht) && ![provider, '0'].includes(newProvider))
    await output('systemctl', 'start', 'hypergate-gateway')
    await untilWorks(() => page(443))
  })
})

onMachine('a removal stops them; a purge forgets what was enabled, and leaves the secret', async () => {
  await output('dpkg', '--no-triggers', '-r', 'hypergate')
  assert.deepEqual(await states(), ['inactive', 'inactive', 'inactive'])
  assert.equal((await machine.run('pgrep', '-x', 'hypergate')).stdout, '')
  const enabled = async () => (await output('find', '/etc/systemd/system', '-type', 'l', '-name', 'hypergate*', '-printf', '%f\n')).trim().split('\n').sort().join()
  assert.equal(await enabled(), units.map((unit) => `${unit}.service`).join())
  await output('dpkg', '--no-triggers', '-P', 'hypergate')
  assert.equal(await enabled(), '')
  assert.equal(await output('ls', '/etc/hypergate'), 'router.secret\nservices.json\n')
})

onMachine('where systemd does not run, or in the folder of another system, it can be installed, upgraded and removed all the same', async () => {
  const nobodyElse = 'mount -t tmpfs tmpfs /run; for tool in systemctl deb-systemd-invoke; do mount --bind /dev/null /usr/bin/$tool; done'
  const said = await output('unshare', '-m', 'sh', '-ec', `${nobodyElse}; for step in '-i /given' '-i /given' '-r hypergate' '-i /given' '-P hypergate'; do dpkg --no-triggers $step 2>&1; done`)
  assert.doesNotMatch(said, /error|not found|denied/)
  assert.equal(said.match(/^Setting up/gm).length, 3)

  const folder = '/tmp/other'
  await shell(`mkdir -p ${folder}/var/lib/dpkg/info ${folder}/var/lib/dpkg/updates ${folder}/etc/systemd/system/multi-user.target.wants; touch ${folder}/var/lib/dpkg/status`)
  const dpkg = (...args) => output('dpkg', `--root=${folder}`, '--force-script-chrootless', '--force-depends', '--log=/dev/null', ...args)
  await dpkg('-i', '/given')
  await output('systemctl', `--root=${folder}`, 'enable', ...units)
  assert.match(await output(`${folder}/usr/bin/hypergate`, '--version'), /^hypergate /)
  await dpkg('-P', 'hypergate')
  assert.equal((await output('find', folder, '-name', '*hypergate*')).trim(), '')
})
