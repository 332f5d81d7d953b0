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
  await refused(['--unheardOf'], ['--unheardOf'])
  await refused(['gateway', 'a', 'b', '--router', secret], ['b'])
  await refused(['scan'], ['scan'])
  await refused(['scan', 'xyz'], ['scan', '64'])
  await refused(['--verbose'], ['nothing to do'])
})

test('environment values are checked like flags', async () => {
  await refused(['gateway'], ['listen', 'nohost'], { HYPERGATE_ROUTER: secret, HYPERGATE_LISTEN: 'nohost' })
  await refused(['gateway'], ['64'], { HYPERGATE_ROUTER: '12' })
  await refused([], ['provider'], { HYPERGATE_ROUTER: secret, HYPERGATE_PROVIDER: '/nonexistent.json' })
  await refused(['gateway'], ['bootstrap', 'x'], { HYPERGATE_ROUTER: secret, HYPERGATE_BOOTSTRAP: 'x' })
})

test('options of later versions are refused, not ignored', async () => {
  const later = ['docker', 'network=n', 'image=i', 'refreshTime=1', 'ingressPolicy={}', 'fingerprintResolverHost=h', 'fingerprintResolverPort=1',
    'fingerprintResolverBasicAuth=a:b', 'unlimitedSecret=s', 'unlimitedHost=h', 'unlimitedPort=1']
  for (const option of later) await refused(['gateway', '--router', secret, '--' + option], ['--' + option.split('=')[0], 'not available'])
})
