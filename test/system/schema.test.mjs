// The JSON schemas, through a validator that is not ours: whatever our parsers take is valid, and what they refuse is not, as far as a schema
// can say it. Examples are those of the manual, of README.md and of the TypeScript program.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
import path from 'node:path'
import { after, test } from 'node:test'
import { binary, root, run, scratch } from './harness.mjs'

const files = scratch()
after(() => files.remove())

const validator = new URL('schema/validate.py', import.meta.url).pathname
function validate (samples) {
  const input = samples.map(([schema, document]) => JSON.stringify({ schema, document })).join('\n') + '\n'
  return execFileSync('/usr/bin/python3', ['-W', 'ignore', validator], { input, encoding: 'utf8', timeout: 60000 }).trimEnd().split('\n')
}

// Each parser by the option that uses it; the policy behind it is broken, so that nothing ever starts.
async function parserTakes (schema, document) {
  const sample = files.path('sample.json')
  writeFileSync(sample, JSON.stringify(document))
  const args = schema === 'ingress-policy' ? ['check', sample]
    : ['provider', ...(schema === 'services' ? [sample] : ['[{"gatePort":80}]', '--gateway', sample]), '--router', 'ab'.repeat(32), '--ingressPolicy', '{']
  const result = await run(binary, args)
  return { taken: result.status === 0 || /^hypergate: --ingressPolicy: not JSON/.test(result.stderr), said: result.stderr }
}

const gate = { gatePort: 8080, serviceHost: '127.0.0.1', servicePort: 8080, protocol: 'tcp' }
const rule = (rule) => ({ ips: { '203.0.113.10': rule } })

const good = [
  // the manual
  ['services', [gate]],
  ['ingress-policy', {
    defaults: { allow: true, bandwidthLimit: { mbps: 10, burstMbps: 50 } },
    ips: { '203.0.113.10': { bandwidthLimit: null, labels: ['trusted'] }, '198.51.100.25': { allow: false } }
  }],
  // the TypeScript program's examples
  ['services', { name: 'Minecraft Server', icon: '', services: [gate, { ...gate, gatePort: 19132, servicePort: 19132, protocol: 'udp' }] }],
  ['ingress-policy', { ips: { '192.0.2.40': { labels: ['vpn'], onlyPorts: [{ from: 80, to: 443 }], excludePorts: [{ from: 1194, to: 1194 }, { from: 51820, to: 51820 }] } } }],
  // ours
  ['services', []],
  ['services', [{ gatePort: '8000-8010', servicePort: '9000-9010', protocol: 'tcp+udp', tags: 'a b', proxyProtocol: 'v2-each', _note: 1, $schema: '' }]],
  ['services', [{ gatePort: 80, serviceHost: 'unix:/run/app.sock', proxyProtocol: 'v1', ingressPolicy: { defaults: { allow: false } } }]],
  ['services', [{ servicePort: 80, ingressPolicy: null, proxyProtocol: null, early: false }]],
  ...['db.hyper', '::1', '[::1]', 'fe80::1%eth0'].map((serviceHost) => ['services', [{ gatePort: 80, serviceHost }]]),
  ['filter', []],
  ['filter', [{ serviceHost: 'db.hyper', tags: 'docker' }, { gatePort: 80, protocol: 'udp' }, {}]],
  ['filter', { services: [{ serviceHost: 'db.hyper' }], name: 'x' }],
  ['ingress-policy', {}],
  ['ingress-policy', { desc: 'd', defaults: null, ips: null, $schema: 'x', _mine: 1 }],
  ['ingress-policy', { ips: { '*': {}, '10.0.0.0/8': {}, '::': {}, '2001:db8::/32': {}, '::ffff:192.0.2.1': {}, 'fe80::1%eth0': {}, '0.0.0.0/0': {}, '::/0': {} } }],
  ['ingress-policy', rule({ onlyPorts: [443, 443], excludePorts: [[1, 2], { from: 3, to: 4 }], onlyProtocols: 'tcp', excludeProtocols: ['udp', 1], expireAt: 1893456000000, desc: 'd', labels: [] })],
  ['ingress-policy', rule({ allow: null, bandwidthLimit: { mbps: 0.064, burstMbps: null }, expireAt: null, labels: null, onlyPorts: null, onlyProtocols: null })]
]

const bad = [
  ['services', 42], ['services', 'x'], ['services', {}], ['services', [42]], ['services', { services: {} }],
  ...['127.0.0.1:80', '[::1]:80', 'http://a', ' a', 'a b', '8080'].map((serviceHost) => ['services', [{ gatePort: 80, serviceHost }]]),
  ['services', [{}]], ['services', [{ serviceHost: 'a', protocol: 'tcp', tags: 5 }]],
  ...[0, 70000, -1, 1.5, 'x', '80-', '-80', null, true, [80]].map((gatePort) => ['services', [{ gatePort, servicePort: 1 }]]),
  ['services', [{ gatePort: '80-70000' }], 'range'], ['services', [{ gatePort: '90-80' }], 'range'], ['services', [{ gatePort: '80-82', servicePort: 80 }], 'range'],
  ['services', [gate, gate], 'twice'],
  ...['sctp', '', 2, null, ['tcp']].map((protocol) => ['services', [{ ...gate, protocol }]]),
  ...['', 5, null, 'x'.repeat(254)].map((serviceHost) => ['services', [{ ...gate, serviceHost }]]),
  ['services', [{ ...gate, serviceHost: 'unix:app.sock' }]], ['services', [{ ...gate, serviceHost: 'unix:/run/app.sock', protocol: 'udp' }]],
  ['services', [{ ...gate, serviceHost: 'unix:/' + 'x'.repeat(107) }]],
  ['services', [{ ...gate, tags: 'x'.repeat(1025) }]], ['services', [{ ...gate, port: 1 }]],
  ['services', [{ ...gate, early: 'no' }]], ['services', [{ ...gate, proxyProtocol: 'v3' }]], ['services', [{ ...gate, protocol: 'udp', proxyProtocol: 'v1' }]], ['services', [{ ...gate, protocol: 'tcp+udp', proxyProtocol: 'v1' }]],
  ['services', [{ ...gate, ingressPolicy: [] }]], ['services', [{ ...gate, ingressPolicy: { ips: { '10.0.0.1': { allow: 1 } } } }]],
  ['filter', [42]], ['filter', [{ gatePort: 'x' }]], ['filter', [{ gatePort: '80-81' }]], ['filter', [{ protocol: 'tcp+udp' }]], ['filter', [{ tags: ['a'] }]],
  ['filter', [{ serviceHost: 5 }]], ['filter', [{ host: 'a' }]],
  ['ingress-policy', { rules: {} }], ['ingress-policy', { defaults: [] }], ['ingress-policy', { ips: [] }],
  ...['', 'nonsense', '10.0.0.256', '10.0.0', '10.0.0.0/33', '10.0.0.01', '::/129', 'g::', '10.0.0.0/', '10.0.0.0/x', '*/8'].map((pattern) => ['ingress-policy', { ips: { [pattern]: {} } }]),
  ['ingress-policy', { ips: { ':::': {} } }, 'what IPv6 is'],
  ['ingress-policy', { ips: { '10.0.0.1': 5 } }], ['ingress-policy', rule({ alow: true })],
  ...['yes', 1].map((allow) => ['ingress-policy', rule({ allow })]),
  ...[5, {}, { mbps: 0 }, { mbps: -1 }, { mbps: '10' }, { burstMbps: 5 }, { mbps: 1e7 }, { mbps: 1, burstMbps: 0 }].map((bandwidthLimit) => ['ingress-policy', rule({ bandwidthLimit })]),
  ...['soon', 1.5, true].map((expireAt) => ['ingress-policy', rule({ expireAt })]),
  ...['a', [1], Array(257).fill('a')].map((labels) => ['ingress-policy', rule({ labels })]),
  ...[80, [80], [0, 80], [80, 70000], { from: 80 }, ['a', 'b'], [[1, 2], 3]].map((onlyPorts) => ['ingress-policy', rule({ onlyPorts })]),
  ['ingress-policy', rule({ onlyPorts: [443, 80] }), 'range'],
  ...['sctp', [5], {}].map((onlyProtocols) => ['ingress-policy', rule({ onlyProtocols })])
]

test('every example is taken by our parsers and by the schemas', async () => {
  const readme = [...readFileSync(path.join(root, 'README.md'), 'utf8').matchAll(/^```json\n([^]*?)^```/gm)].map(([, text]) => JSON.parse(text))
  assert.ok(readme.length >= 2)
  const samples = [...good, ...readme.map((document) => [Array.isArray(document) ? 'services' : 'ingress-policy', document])]
  const said = validate(samples)
  for (const [at, [schema, document]] of samples.entries()) {
    assert.equal(said[at], 'ok', JSON.stringify(document))
    const parsed = await parserTakes(schema, document)
    assert.ok(parsed.taken, parsed.said)
  }
})

test('what our parsers refuse the schemas refuse, where they can', async () => {
  const said = validate(bad)
  for (const [at, [schema, document, beyond]] of bad.entries()) {
    const parsed = await parserTakes(schema, document)
    assert.ok(!parsed.taken, `taken: ${JSON.stringify(document)} ${parsed.said}`)
    if (!beyond) assert.notEqual(said[at], 'ok', `the ${schema} schema takes ${JSON.stringify(document)}`)
  }
})
