// The manual's commands as they are written there, each run by bash with `hypergate` on its PATH: on two machines (network namespaces) and
// with the very ports and addresses of its examples. What is not written there comes from the environment: our own DHT. The commands of its
// Docker part are in docker.test.mjs and docker/scenario.mjs.
import assert from 'node:assert/strict'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { Lab } from './docker/lab.mjs'
import { Process, binary, run, scratch, stopAll, untilWorks } from './harness.mjs'
import { unavailable } from './nat/lab.mjs'

const skip = (await unavailable()) ?? false
const files = scratch()
const trusted = '203.0.113.10'
const denied = '198.51.100.25'
const other = '192.0.2.77'
const other6 = '2001:db8::77'
let lab, provider, gateway, web, secret
let inProvider, inGateway, outside

const services = `[
  {
    "gatePort": 8080,
    "serviceHost": "127.0.0.1",
    "servicePort": 8080,
    "protocol": "tcp"
  }
]`
const policy = `{
  "defaults": {
    "allow": true,
    "bandwidthLimit": { "mbps": 10, "burstMbps": 50 }
  },
  "ips": {
    "203.0.113.10": {
      "bandwidthLimit": null,
      "labels": ["trusted"]
    },
    "198.51.100.25": {
      "allow": false
    }
  }
}`

before(async () => {
  if (skip) return
  lab = new Lab()
  lab.makeNetwork(2)
  ;[inProvider, inGateway, outside] = [`${lab.tag}-m1`, `${lab.tag}-m2`, lab.middle]
  for (const address of [trusted, denied, other]) await run('ip', ['-n', outside, 'addr', 'add', `${address}/32`, 'dev', 'br0'])
  // IPv6 beside it, without waiting for duplicate address detection.
  for (const [namespace, address, device] of [[outside, 'fd88::101/64', 'br0'], [outside, `${other6}/128`, 'br0'], [inGateway, 'fd88::2/64', 'eth0']])
    await run('ip', ['-n', namespace, 'addr', 'add', address, 'dev', device, 'nodad'])
  await run('ip', ['-n', inGateway, '-6', 'route', 'add', 'default', 'via', 'fd88::101'])
  await lab.startDht()
  mkdirSync(files.path('services'))
  mkdirSync(files.path('bin'))
  symlinkSync(binary, files.path('bin/hypergate'))
  writeFileSync(files.path('services/http.json'), services)
  writeFileSync(files.path('ingress.policy.example.json'), policy)
  web = new Process(...lab.inside(inProvider, process.execPath, new URL('brief/web.mjs', import.meta.url).pathname, '8080'), { name: 'web' })
  await web.line(/serving/)
}, { timeout: 60000 })

after(async () => {
  await stopAll(web)
  await lab?.stop()
  files.remove()
}, { timeout: 60000 })

// `text` as a user types it, on one of the machines; the manual's placeholders filled in.
function command (namespace, text, name = 'hypergate', env = {}) {
  const typed = text.replace(/<router-secret>|<router>|<router-key>/g, secret)
  return new Process(...lab.inside(namespace, 'bash', '-c', typed), {
    name, cwd: files.folder, env: { PATH: `${files.path('bin')}:${process.env.PATH}`, HYPERGATE_BOOTSTRAP: lab.bootstrap, ...env }
  })
}

// A command that ends: its standard output.
async function output (namespace, text) {
  const it = command(namespace, text)
  assert.equal(await it.exited, 0, it.tail())
  return it.lines.join('\n').trim()
}

async function curl (namespace, ...args) {
  const { status, stdout, stderr } = await run(...lab.inside(namespace, 'curl', '-sS', '-m', '30', ...args))
  if (status !== 0) throw new Error(stderr.trim())
  return stdout
}

const page = (from = other) => curl(outside, '--interface', from, 'http://10.89.0.2:8080')

async function started (providerCommand, gatewayCommand, body, env = {}) {
  provider = command(inProvider, providerCommand, 'provider', env)
  gateway = command(inGateway, gatewayCommand, 'gateway')
  try {
    await gateway.line(/:8080 open for 127\.0\.0\.1:8080/)
    await body()
  } finally {
    const ended = await Promise.all([provider.stop(), gateway.stop()])
    assert.deepEqual(ended, [0, 0])
  }
}

function onMachines (name, body, ms = 60000) {
  test(name, { skip, timeout: ms }, body)
}

const plainProvider = 'hypergate --router <router-secret> --provider services/http.json'
const plainGateway = 'hypergate --router <router-secret> --gateway --listen 0.0.0.0'

onMachines('generate a router secret', async () => {
  secret = await output(outside, 'hypergate --new')
  assert.match(secret, /^[0-9a-f]{64}$/)
})

onMachines('start a provider, start a gateway, then connect to <gateway-host>:8080', async () => {
  await started(plainProvider, plainGateway, async () => {
    assert.match(await page(), /^a page of process \d+$/m)
  })
})

onMachines('multiple providers and gateways coexist on one router; providers of one service stand in for each other', async () => {
  await started(plainProvider, plainGateway, async () => {
    const second = command(inProvider, plainProvider, 'second provider')
    await untilWorks(async () => assert.equal(gateway.lines.filter((line) => /provider \w+ joined/.test(line)).length, 2))
    const secondGateway = command(outside, plainGateway, 'second gateway')
    await secondGateway.line(/0\.0\.0\.0:8080 open/)
    assert.match(await curl(outside, 'http://10.89.0.103:8080'), /a page/)
    assert.equal(await second.stop(), 0)
    for (let i = 0; i < 5; i++) assert.match(await page(), /a page/)
    assert.equal(await secondGateway.stop(), 0)
  })
})

onMachines('ingress policy: allow and deny, bandwidth for each address, labels', async () => {
  const withPolicy = 'hypergate --router <router> --provider services/http.json --ingressPolicy ingress.policy.example.json'
  await started(withPolicy, plainGateway, async () => {
    await assert.rejects(page(denied))
    const bytes = 8e6
    const fetched = async (from) => {
      const start = performance.now()
      const { stdout } = await run(...lab.inside(outside, 'curl', '-sS', '--interface', from, '-o', '/dev/null', '-w', '%{size_download}', `http://10.89.0.2:8080/bytes/${bytes}`))
      assert.equal(Number(stdout), bytes)
      return (performance.now() - start) / 1000
    }
    const least = (bytes * 8 / 1e6 - 50) / 10
    const [limited, free] = [await fetched(other), await fetched(trusted)]
    assert.ok(limited > least * 0.98, `${limited} s is less than the limit allows, ${least} s`)
    assert.ok(free < least, `without a limit it took ${free} s`)
  })
})

onMachines('policies from JSON, a path and a URL are merged; the first rule that fits wins; expireAt, IPv6, CIDR and *', async () => {
  const byUrl = { ips: { '192.0.2.0/24': { desc: 'written first above: its place is there' }, '*': { allow: false } } }
  writeFileSync(files.path('url.json'), JSON.stringify(byUrl))
  const inline = { ips: { '2001:db8::/32': {}, [other]: { expireAt: Date.now() + 6000 }, '192.0.2.0/24': { allow: false } } }
  const server = new Process(...lab.inside(inProvider, process.execPath, '-e',
    `require('http').createServer((q, r) => r.end(require('fs').readFileSync('${files.path('url.json')}'))).listen(8099, '127.0.0.1', () => console.log('serving'))`))
  await server.line(/serving/)
  const merged = `hypergate --router <router> --provider services/http.json --ingressPolicy '${JSON.stringify(inline)}' --ingressPolicy ingress.policy.example.json --ingressPolicy http://127.0.0.1:8099/policy.json`
  await started(merged, 'hypergate --router <router> --gateway --listen ::', async () => {
    assert.match(await page(trusted), /a page/)
    await assert.rejects(page(denied))
    assert.match(await page(other), /a page/)
    assert.match(await curl(outside, '--interface', other6, 'http://[fd88::2]:8080/'), /a page/)
    await assert.rejects(curl(outside, '--interface', '10.89.0.102', 'http://10.89.0.2:8080'), 'denied by *')
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, inline.ips[other].expireAt - Date.now() + 50)))
    await assert.rejects(page(other), 'its rule has expired, the next one denies')
  })
})

onMachines('fingerprint resolver: the options, GET /health, GET /resolve from the service\'s tuple', async () => {
  const options = '--fingerprintResolverHost 127.0.0.1 --fingerprintResolverPort 8081 --fingerprintResolverBasicAuth user:pass'
  await started(`hypergate --router <router> --provider services/http.json --ingressPolicy ingress.policy.example.json ${options}`, plainGateway, async () => {
    assert.deepEqual(JSON.parse(await curl(inProvider, 'http://127.0.0.1:8081/health')), { ok: true })
    const tuple = JSON.parse(await curl(outside, '--interface', trusted, 'http://10.89.0.2:8080/tuple'))
    const query = `proto=tcp&remote_addr=${tuple.remoteAddress}&remote_port=${tuple.remotePort}&server_addr=${tuple.localAddress}&server_port=${tuple.localPort}`
    const refused = await run(...lab.inside(inProvider, 'curl', '-sS', '-o', '/dev/null', '-w', '%{http_code}', `http://127.0.0.1:8081/resolve?${query}`))
    assert.equal(refused.stdout, '401')
    const found = JSON.parse(await curl(inProvider, '-u', 'user:pass', `http://127.0.0.1:8081/resolve?${query}`))
    assert.equal(found.fingerprint.source.ip, trusted)
    assert.deepEqual(found.fingerprint.ingressLabels, ['trusted'])
    assert.equal(found.gatePort, 8080)
  })
})

onMachines('fingerprint resolver: 127.0.0.1:8080 without a password by default', async () => {
  const elsewhere = '[{"gatePort": 8080, "serviceHost": "127.0.0.1", "servicePort": 8080}]'
  // The service has that port in its namespace: the provider runs where it is free, and is only asked for its health.
  const alone = command(inGateway, `hypergate --router <router> --provider '${elsewhere}' --fingerprintResolverHost 127.0.0.1`)
  await alone.line(/fingerprint resolver on http:\/\/127\.0\.0\.1:8080$/)
  assert.deepEqual(JSON.parse(await curl(inGateway, 'http://127.0.0.1:8080/health')), { ok: true })
  assert.equal((await run(...lab.inside(inGateway, 'curl', '-sS', '-o', '/dev/null', '-w', '%{http_code}', 'http://127.0.0.1:8080/resolve'))).stdout, '400')
  assert.equal(await alone.stop(), 0)
})

const unlimitedGateway = `hypergate --router <router> --gateway --listen 0.0.0.0 \\
  --unlimitedSecret "shared-secret" \\
  --unlimitedHost 127.0.0.1 \\
  --unlimitedPort 8091`

const unlimitedCall = `SECRET='shared-secret'
IP='203.0.113.10'

TIMESTAMP="$(date +%s%3N)"
PAYLOAD="{\\"timestamp\\":\${TIMESTAMP},\\"ip\\":\\"\${IP}\\"}"

TOKEN="$(printf '%s' "$PAYLOAD" | openssl enc -aes-256-cbc -pbkdf2 -iter 10000 -md sha256 -salt -pass pass:$SECRET | openssl base64 -A | tr '+/' '-_' | tr -d '=')" 

curl "http://127.0.0.1:8091/unlimited?payload=\${TOKEN}"`

onMachines('/unlimited: the override by openssl and curl; caller and token must agree; scan and the statistics show it', async () => {
  await started(plainProvider, unlimitedGateway + ' --statsIntervalMs 500', async () => {
    const answer = async () => JSON.parse((await run(...lab.inside(inGateway, 'bash', '-c', unlimitedCall))).stdout)
    assert.deepEqual(await answer(), { ok: false, error: 'ip_mismatch', callerIp: '127.0.0.1' })
    // Here 203.0.113.10 is the machine itself, and calls 127.0.0.1 by that address.
    const callAs = (verb, address) => run('ip', ['-n', inGateway, 'route', verb, 'local', '127.0.0.1', 'dev', 'lo', 'table', 'local', 'proto', 'kernel', 'scope', 'host', 'src', address])
    await run('ip', ['-n', inGateway, 'addr', 'add', `${trusted}/32`, 'dev', 'lo'])
    await callAs('replace', trusted)
    const granted = await answer()
    await callAs('replace', '127.0.0.1')
    await run('ip', ['-n', inGateway, 'addr', 'del', `${trusted}/32`, 'dev', 'lo'])
    assert.equal(granted.ok, true)
    assert.equal(granted.ip, trusted)
    const [line] = await gateway.line(/gates 1 active · channels .*unlimited: 203\.0\.113\.10 until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/)
    assert.match(line, /channels 0 active, 0 closing, 0 pending, \d+ in all · peers 1 · bytes \d+ to peers, \d+ from peers/)
    const table = await output(outside, 'hypergate --scan <router>')
    assert.match(table, /^PEER +ROLE +ADDRESS +RTT +ROUTES$/m)
    assert.match(table, /gateway +10\.89\.0\.2:\d+/)
    assert.match(table, /provider +10\.89\.0\.1:\d+ +[\d.]+ ms +8080\/tcp 127\.0\.0\.1:8080/)
    assert.match(table, /^gateway [0-9a-f]{16}: unlimited 203\.0\.113\.10 until /m)
    const { peers } = JSON.parse(await output(outside, 'hypergate --scan <router> --json'))
    assert.deepEqual(peers.find((peer) => peer.role === 'gateway').unlimited, [{ ip: trusted, expireAt: granted.expireAt }])
  })
})

onMachines('environment variables exist for these options', async () => {
  const names = { HYPERGATE_ROUTER: secret, HYPERGATE_PROVIDER: 'services/http.json', HYPERGATE_INGRESS_POLICY: 'ingress.policy.example.json',
    HYPERGATE_FINGERPRINT_RESOLVER_HOST: '127.0.0.1', HYPERGATE_FINGERPRINT_RESOLVER_PORT: '8081', HYPERGATE_FINGERPRINT_RESOLVER_BASIC_AUTH: 'user:pass' }
  const gate = { HYPERGATE_ROUTER: secret, HYPERGATE_GATEWAY: 'true', HYPERGATE_LISTEN: '0.0.0.0', HYPERGATE_UNLIMITED_SECRET: 'shared-secret',
    HYPERGATE_UNLIMITED_HOST: '127.0.0.1', HYPERGATE_UNLIMITED_PORT: '8092', HYPERGATE_EXPOSE_ONLY_SERVICES: '127.0.0.1,other' }
  const one = command(inProvider, 'hypergate', 'provider', names)
  const two = command(inGateway, 'hypergate', 'gateway', gate)
  await two.line(/0\.0\.0\.0:8080 open/)
  await two.line(/\/unlimited on http:\/\/127\.0\.0\.1:8092/)
  await one.line(/resolver on http:\/\/127\.0\.0\.1:8081, with a password/)
  assert.match(await page(trusted), /a page/)
  await assert.rejects(page(denied))
  assert.deepEqual(await Promise.all([one.stop(), two.stop()]), [0, 0])
})

onMachines('--help lists every option of the manual', async () => {
  const help = await output(outside, 'hypergate --help')
  for (const option of ['new', 'router', 'provider', 'gateway', 'listen', 'docker', 'network', 'exposeOnlyServices', 'ingressPolicy', 'fingerprintResolverHost',
    'fingerprintResolverPort', 'fingerprintResolverBasicAuth', 'unlimitedSecret', 'unlimitedHost', 'unlimitedPort', 'exposeOnlyPublished', 'exposeOnlyDocker',
    'image', 'refreshTime', 'verbose', 'scan', 'help', 'statsIntervalMs']) assert.ok(help.includes('--' + option), option)
})
