// The command line: what is asked wrongly is refused in one line with status 2, and starts nothing.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { binary, run, scratch } from './harness.mjs'

const secret = 'ab'.repeat(32)
const files = scratch()
test.after(() => files.remove())

function file (name, text) {
  writeFileSync(files.path(name), text)
  return files.path(name)
}

async function refused (args, expected, env = {}) {
  const result = await run(binary, args, { env: { ...process.env, ...env }, timeout: 10000 })
  assert.equal(result.status, 2, `status of ${args.join(' ')}: ${result.stderr}`)
  assert.equal(result.stdout, '')
  const lines = result.stderr.trimEnd().split('\n')
  assert.equal(lines.length, 1, `one line, not:\n${result.stderr}`)
  for (const part of expected) assert.ok(lines[0].includes(part), `'${lines[0]}' should name '${part}'`)
}

test('new prints a secret, another one each time', async () => {
  const first = await run(binary, ['new'])
  const second = await run(binary, ['--new'])
  assert.match(first.stdout, /^[0-9a-f]{64}\n$/)
  assert.match(second.stdout, /^[0-9a-f]{64}\n$/)
  assert.notEqual(first.stdout, second.stdout)
})

test('help and version', async () => {
  const help = await run(binary, ['--help'])
  for (const way of ['-h', 'help']) assert.equal((await run(binary, [way])).stdout, help.stdout)
  assert.match(help.stdout, /^ +-h,--help +Print/m)  // nothing to give with it
  assert.equal(help.status, 0)
  for (const word of ['provider', 'gateway', 'scan', 'dht', 'demo', '--routerFile', '--bootstrap', '--exposeOnlyServices']) assert.ok(help.stdout.includes(word), word)
  assert.match((await run(binary, ['--version'])).stdout, /^hypergate \d+\.\d+\.\d+\n$/)
})

test('malformed secrets never show', async () => {
  for (const bad of ['abc', 'g'.repeat(64), secret + 'a', '']) {
    const result = await run(binary, ['gateway', '--router=' + bad])
    assert.equal(result.status, 2)
    assert.match(result.stderr, /--router/)
    assert.match(result.stderr, /64 hexadecimal digits/)
    if (bad.length > 3) assert.ok(!result.stderr.includes(bad))
  }
  await refused(['gateway'], ['--router', 'missing'])
  await refused(['gateway', '--routerFile', '/nonexistent'], ['--routerFile', '/nonexistent'])
  await refused(['gateway', '--routerFile', file('short', 'abcd\n')], ['--routerFile', '64'])
})

test('malformed services name file, place, value and what is accepted', async () => {
  const provider = (text) => ['provider', file('services.json', text), '--router', secret]
  await refused(['provider', '--router', secret], ['--provider'])
  await refused(['provider', '/nonexistent.json', '--router', secret], ['/nonexistent.json'])
  await refused(provider('{'), ['services.json'])
  await refused(provider('42'), ['services.json'])
  await refused(provider('[{"gatePort":70000,"servicePort":1}]'), ['services.json', 'gatePort', '70000', '65535'])
  await refused(['provider', '8080=70000', '--router', secret], ['8080=70000', 'servicePort', '65535'])
  await refused(['provider', '80/sctp', '--router', secret], ['80/sctp', 'protocol', 'tcp+udp'])
  await refused(['provider', '8080:80', '--router', secret], ['8080:80', 'give 8080=80'])
  await refused(['provider', '[]', '--router', secret], ['--provider', 'no services'])
  await refused(['provider', '8080x', '--router', secret], ["cannot read '8080x'", '8080=80'])
  await refused(provider('[{"gatePort":0,"servicePort":1}]'), ['gatePort'])
  await refused(provider('[{"gatePort":80,"servicePort":80,"protocol":"sctp"}]'), ['protocol', 'sctp', 'tcp'])
  await refused(provider('[{"gatePort":80,"servicePort":80,"serviceHost":""}]'), ['serviceHost'])
})

test('malformed filters, addresses, ports, switches and limits', async () => {
  await refused(['gateway', '[{"gatePort":"x"}]', '--router', secret], ['gatePort'])
  await refused(['gateway', '--router', secret, '--listen', 'localhost'], ['--listen', 'localhost', 'IP'])
  await refused(['gateway', '--router', secret, '--bootstrap', 'nowhere'], ['--bootstrap', 'nowhere', 'HOST:PORT'])
  await refused(['gateway', '--router', secret, '--bootstrap', '1.2.3.4:0'], ['--bootstrap', '1.2.3.4:0'])
  await refused(['gateway', '--router', secret, '--bootstrap', '999.1.1.1:80'], ['--bootstrap', '999.1.1.1:80'])
  await refused(['gateway', '--router', secret, '--dhtPort', '65536'], ['--dhtPort', '65536'])
  await refused(['dht', '--port', 'abc'], ['--port', 'abc'])
  await refused(['dht', '--host', 'example.org'], ['--host', 'example.org'])
  await refused(['gateway', '--router', secret, '--verbose', 'maybe'], ['verbose', 'maybe'])
  await refused(['gateway', '--router', secret, '--log', 'xml'], ['--log', 'xml', 'json'])
  await refused(['gateway', '--router', secret, '--openRequestTimeoutMs', '-1'], ['openRequestTimeoutMs', '-1'])
  await refused(['gateway', '--router', secret, '--maxBufferPerPeer', '1e9'], ['maxBufferPerPeer', '1e9'])
  await refused(['gateway', '--router', secret, '--exposeOnlyServices', ','], ['exposeOnlyServices'])
  await refused(['gateway', '--router', secret, '--docker', 'docker.sock'], ['--docker', 'docker.sock', '/var/run/docker.sock'])
  await refused(['gateway', '--router', secret, '--docker', '--refreshTime', 'soon'], ['--refreshTime', 'soon'])
  await refused(['gateway', '--router', secret, '--network', 'n'], ['--network', '--docker'])
  await refused(['--unheardOf'], ['--unheardOf'])
  await refused(['gateway', 'a', 'b', '--router', secret], ['b'])
  await refused(['scan'], ['scan'])
  await refused(['scan', 'xyz'], ['scan', '64'])
  await refused(['--verbose'], ['nothing to do'])
})

test('no word that may be a secret is in a message', async () => {
  const other = 'cd'.repeat(32)
  const mistyped = secret.slice(1)
  const lines = [
    [['gateway', 'f.json', 'g.json', mistyped, '--router', secret], 'one word too many'],
    [['doctor', mistyped], 'one word too many'],
    [['gateway', '--' + secret], 'no such option'],
    [['status', secret], 'not shown'],
    [['check', secret], 'not shown'],
    [['provider', '/nonexistent', other, '--router', secret], '/nonexistent'],
    [['provider', mistyped, '--router', secret], 'not shown'],
    [['gateway', mistyped, '--router', secret], 'not shown'],
    [['--router', secret, '--gateway', '--verbose', 'true', other], 'one word too many']
  ]
  for (const [line, expected] of lines) {
    await refused(line, [expected])
    const { stderr } = await run(binary, line)
    for (const value of [secret, other, mistyped]) assert.ok(!stderr.includes(value), `${line.join(' ')}: ${stderr}`)
  }
})

test('a secret stands alone: file or value, and the command line before the environment', async () => {
  const nowhere = '--listen=nowhere'
  await refused(['gateway', '--router', secret, '--routerFile', file('also', secret)], ['--router', '--routerFile', 'one of them'])
  await refused(['gateway', '--routerFile', '/nonexistent'], ['/nonexistent'], { HYPERGATE_ROUTER: secret })
  await refused(['gateway', '--routerFile', file('good', secret), nowhere], ['--listen'], { HYPERGATE_ROUTER: 'wrong' })
  await refused(['gateway', '--router', secret, nowhere], ['--listen'], { HYPERGATE_ROUTER_FILE: '/nonexistent' })
  for (const verb of ['gateway', 'provider', 'doctor']) await refused([verb, secret, '--log', 'xml'], ['--log'])
})

test('a trailing secret is the router behind any option, and in no message', async () => {
  const other = { HYPERGATE_ROUTER_FILE: '/nonexistent' }
  for (const words of [['--gateway'], ['--gateway', '--docker'], ['--provider', '80', '--verbose']]) await refused(['--log', 'xml', ...words, secret], ['--log'], other)
  for (const option of ['--docker', '--verbose', '--listen', '--bootstrap']) {
    const { status, stderr } = await run(binary, ['gateway', option, secret, '--router', 'cd'.repeat(32), '--bootstrap', '127.0.0.1:1'])
    assert.equal(status, 2)
    assert.match(stderr, /not shown/)
    assert.ok(!stderr.includes(secret), stderr)
  }
})

test('what a shared environment says to other roles is passed over, what is typed is not', async () => {
  const others = { HYPERGATE_ROUTER: secret, HYPERGATE_LISTEN: '0.0.0.0', HYPERGATE_UNLIMITED_SECRET: 's', HYPERGATE_SCAN: secret, HYPERGATE_INGRESS_POLICY: 'x',
    HYPERGATE_NETWORK: 'n' }
  await refused(['gateway', '--log', 'xml'], ['--log'], others)
  await refused(['provider', '/nonexistent.json'], ['/nonexistent.json'], { ...others, HYPERGATE_INGRESS_POLICY: '{}' })
  await refused(['gateway'], ['HYPERGATE_ROUTER and HYPERGATE_ROUTER_FILE', 'one of them'], { ...others, HYPERGATE_ROUTER_FILE: '/nonexistent' })
  await refused(['provider', '[{"gatePort":80}]', '--listen', '0.0.0.0'], ['--listen', '--gateway'], others)
})

test('what a command has no use for is refused where it is typed, and passed over in the environment', async () => {
  const lines = [
    [['dht', '--metrics', '127.0.0.1:9090'], '--metrics'],
    [['dht', '--router', secret], '--router'],
    [['dht', '--listen', '127.0.0.1'], '--listen'],
    [['provider', '[{"gatePort":80}]', '--router', secret, '--port', '5000'], '--port'],
    [['gateway', '--router', secret, '--host', '127.0.0.1'], '--host'],
    [['gateway', '--router', secret, '--json'], '--json'],
    [['scan', secret, '--ingressPolicy', '{}'], '--ingressPolicy'],
    [['doctor', '--gateway'], '--gateway'],
    [['dht', '--ingressPolicyIntervalMs', '1000'], '--ingressPolicyIntervalMs'],
    [['new', '--statsIntervalMs', '5'], '--statsIntervalMs'],
    [['check', file('none.json', '[]'), '--json'], '--json'],
    [['scan', secret, '--metrics', '127.0.0.1:9090'], '--metrics'],
    [['status', '--listen', '127.0.0.1'], '--listen']
  ]
  for (const [line, option] of lines) await refused(line, [option + ':', 'leave it out'])
  const shared = { HYPERGATE_METRICS: '127.0.0.1:9090', HYPERGATE_GATEWAY: 'true', HYPERGATE_ROUTER: secret, HYPERGATE_STATS_INTERVAL_MS: 'often' }
  shared.HYPERGATE_ROUTER_FILE = '/nonexistent'  // beside the other one: nobody is asked to choose
  const made = await run(binary, ['new'], { env: { ...process.env, ...shared } })
  assert.equal(made.status, 0, made.stderr)
})

test('a verb mistyped is named, unless it may be a secret', async () => {
  await refused(['provide', 'services.json', '--routerFile', '/nonexistent'], ["'provide'", 'no such verb', 'provider, gateway'])
  await refused(['gatway'], ["'gatway'", 'no such verb'])
  const mistyped = await run(binary, [secret.slice(2) + 'x'])
  assert.equal(mistyped.status, 2)
  assert.ok(!mistyped.stderr.includes(secret.slice(2)))
})

test('a variable that is ours but for case and underscores is not passed over', async () => {
  await refused(['new'], ['HYPERGATE_INGRESSPOLICY', 'HYPERGATE_INGRESS_POLICY'], { HYPERGATE_INGRESSPOLICY: '{}' })
  await refused(['new'], ['hypergate_exposeOnlyServices', 'HYPERGATE_EXPOSE_ONLY_SERVICES'], { hypergate_exposeOnlyServices: 'a' })
  const kubernetes = { HYPERGATE_PORT: 'tcp://10.0.0.1:80', HYPERGATE_PORT_80_TCP: 'x', HYPERGATE_SERVICE_HOST: '10.0.0.1', HYPERGATE_ROUTER_SERVICE_HOST: 'x' }
  assert.equal((await run(binary, ['new'], { env: { ...process.env, ...kubernetes } })).status, 0)
})

test('secrets of editors that mark UTF-8, and folders that are no files', async () => {
  await refused(['gateway', '--routerFile', file('marked', '\ufeff' + secret + '\r\n'), '--log', 'xml'], ['--log'])
  await refused(['gateway', '--routerFile', files.folder], ['--routerFile', files.folder, 'directory'])
})

test('environment values are checked like flags', async () => {
  await refused(['gateway'], ['listen', 'nohost'], { HYPERGATE_ROUTER: secret, HYPERGATE_LISTEN: 'nohost' })
  await refused(['gateway'], ['64'], { HYPERGATE_ROUTER: '12' })
  await refused([], ['provider'], { HYPERGATE_ROUTER: secret, HYPERGATE_PROVIDER: '/nonexistent.json' })
  await refused(['gateway'], ['bootstrap', 'x'], { HYPERGATE_ROUTER: secret, HYPERGATE_BOOTSTRAP: 'x' })
})

test('policies and endpoints that cannot be are refused, with the place of the fault', async () => {
  const provider = (...args) => ['provider', '[{"gatePort":80}]', '--router', secret, ...args]
  const gateway = (...args) => ['gateway', '--router', secret, ...args]
  await refused(provider('--ingressPolicy', '{"ips":{"10.0.0.1":{"allow":"no"}}}'), ['--ingressPolicy', '$.ips["10.0.0.1"].allow', 'true or false'])
  await refused(provider('--ingressPolicy', '{}', '--ingressPolicy', file('policy.json', '{"ips":{"10.0.0.300":{}}}')), ['policy.json', '$.ips["10.0.0.300"]', 'CIDR'])
  await refused(provider('--ingressPolicy', file('broken.json', '{"ips":')), ['broken.json', 'line 1'])
  await refused(provider('--ingressPolicy', '{"defaults":{"bandwidthLimit":{"mbps":0}}}'), ['$.defaults.bandwidthLimit', 'mbps'])
  await refused(provider('--ingressPolicy', '/nonexistent.json'), ['--ingressPolicy', '/nonexistent.json'])
  await refused(provider('--ingressPolicy', 'http://127.0.0.1:9/p.json'), ['--ingressPolicy', 'http://127.0.0.1:9/p.json'])
  await refused(provider('--ingressPolicy', ''), ['--ingressPolicy'])
  await refused(gateway('--ingressPolicy', '{}'), ['--ingressPolicy', 'provider'])
  await refused(provider('--fingerprintResolverHost', 'localhost'), ['--fingerprintResolverHost', 'localhost', 'IP'])
  await refused(provider('--fingerprintResolverPort', '0'), ['--fingerprintResolverPort', '0'])
  await refused(provider('--fingerprintResolverBasicAuth', 'hidden'), ['--fingerprintResolverBasicAuth', 'not shown'])
  await refused(gateway('--unlimitedPort', '1'), ['--unlimitedPort', '--unlimitedSecret'])
  await refused(gateway('--unlimitedSecret', 's', '--unlimitedHost', '0.0.0.0'), ['--unlimitedHost', '0.0.0.0', '--unlimitedPublic'])
  await refused(provider('--unlimitedSecret', 's'), ['--unlimitedSecret', 'gateway'])
  await refused(gateway('--metrics', '9090'), ['--metrics', '9090', 'IP:PORT'])
  await refused(['provider', '[{"gatePort":80,"protocol":"udp","proxyProtocol":"v1"}]', '--router', secret], ['$[0].proxyProtocol', 'v2'])
})

test('a policy too long for the message to gateways is refused', async () => {
  const ips = Object.fromEntries([...Array(60000)].map((_, at) => [`10.${at >> 8}.${at & 255}.0/24`, { labels: ['x'.repeat(40)] }]))
  const services = JSON.stringify([{ gatePort: '8000-8009' }])
  await refused(['provider', services, '--router', secret, '--ingressPolicy', file('long.json', JSON.stringify({ ips }))], ['--ingressPolicy', '10 services', '10 MiB'])
})

test('check says what files are, and where they are wrong', async () => {
  const good = await run(binary, ['check', file('s.json', '[{"gatePort":"80-82"}]'), file('p.json', '{"ips":{"10.0.0.0/8":{}}}'), '8080=80/tcp+udp'])
  assert.equal(good.status, 0, good.stderr)
  assert.match(good.stdout, /s\.json: services, 3 gates\n.*p\.json: ingress policy, 1 rules\n8080=80\/tcp\+udp: services, 2 gates\n/)
  await refused(['check', file('bad.json', '{"ips":{"10.0.0.0/33":{}}}')], ['bad.json', '10.0.0.0/33'])
  await refused(['check'], ['check', 'files'])
})
