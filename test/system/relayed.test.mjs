// A tunnel through a relay, because UDP between the two homes is blocked on the way: what becomes of it, of an open TCP channel and of
// new requests when the block goes, and when the relay dies. What goes through the relay is counted in the network, beside the relay's
// own figures.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { binary, inTime, timeout } from './harness.mjs'
import { Lab, unavailable } from './nat/lab.mjs'
import { channelBroken, channelGoesOn, openTunnel, recovered, wholeInTheEnd } from './nat/tunnel.mjs'

const skip = (await unavailable()) ?? false
const RATE = 300000 // bytes a second each way, well within what a relay gives one pair
const DIRECT_LIMIT_MS = 90000
const RECOVERY_LIMIT_MS = 15000
const NEW_RELAY_LIMIT_MS = 30000
const CALM_MS = 3000
const QUIET_BYTES = 20000 // in CALM_MS: keepalives, announcements; the channel alone would be fifty times that
let lab

before(async () => { if (!skip) lab = await Lab.open() })
after(() => lab?.close())

async function relayedTunnel (t, kind, relays, relayArgs, gatewayArgs) {
  t.after(() => lab.removeHomes())
  await lab.addHome('a', kind)
  await lab.addHome('b', kind)
  await lab.addHome('c', 'none')
  await lab.blockUdp()
  const it = await openTunnel(lab, RATE, { relays, relayArgs, gatewayArgs })
  await it.gateway.line(/no direct path to .*: connected through relay/)
  return it
}

/** What passes in CALM_MS: {bytes: between A and B directly, relay: from and to home C}. */
async function passing () {
  const before = await lab.counted()
  await timeout(CALM_MS)
  const now = await lab.counted()
  return { bytes: now.bytes - before.bytes, relay: now.relay - before.relay }
}

for (const kind of ['port-cone', 'none']) {
  test(`the block goes: a relayed connection moves to a direct path, both homes: ${kind}`, { skip }, async (t) => {
    const it = await relayedTunnel(t, kind, 1)
    const relayed = await passing()
    assert.equal(relayed.bytes, 0, 'nothing goes between the homes themselves')
    assert.ok(relayed.relay > 2 * RATE, `${relayed.relay} bytes`)
    await lab.unblockUdp()
    const gone = Date.now()
    for (let direct = false; !direct;) {
      assert.ok(Date.now() - gone < DIRECT_LIMIT_MS, 'still relayed')
      await timeout(50)
      direct = (await lab.counted()).bytes > QUIET_BYTES
    }
    t.diagnostic(`direct ${((Date.now() - gone) / 1000).toFixed(1)} s after the block is gone`)
    await timeout(CALM_MS)
    const after = await passing()
    assert.ok(after.relay < QUIET_BYTES, `${after.relay} bytes still go through the relay`)
    assert.ok(after.bytes > 2 * RATE)
    assert.ok(await channelGoesOn(it.client))
    t.diagnostic(`${await wholeInTheEnd(it.client)} bytes came back as they were sent, by SHA-256`)
  })
}

/** The only line of JSON, or all the text, that a command prints in a home. */
async function output (home, command, args, options) {
  const running = lab.exec(home, command, args, options)
  await inTime(running.exited, 60000, `end of ${command} ${args[0]}`)
  return running.lines.join('\n')
}

test('doctor, scan, metrics, status and statistics tell of the relay', { skip }, async (t) => {
  const it = await relayedTunnel(t, 'port-cone', 1, ['--metrics', '127.0.0.1:9464', '--statsIntervalMs', '1000'],
    ['--metrics', '127.0.0.1:9090'])
  const env = { HYPERGATE_ROUTER: it.secret, HYPERGATE_LOG_LEVEL: 'error' }
  const doctor = ['doctor', '--bootstrap', lab.bootstrap]
  const { peers } = JSON.parse(await output('b', binary, [...doctor, '--json'], { env }))
  const of = (role, relayed) => peers.filter((peer) => peer.role === role && peer.relayed === relayed)
  assert.equal(of('provider', true).length, 1, JSON.stringify(peers))
  assert.ok(of('gateway', false).some((peer) => peer.peer === of('provider', true)[0].relayedBy), JSON.stringify(peers))
  assert.match(await output('b', binary, doctor, { env }), /provider +relayed [^]*relayed by [0-9a-f]{16}$/m)
  const scan = JSON.parse(await output('b', binary, ['scan', it.secret, '--json', '--bootstrap', lab.bootstrap], { env }))
  assert.deepEqual(scan.peers.map((peer) => [peer.role, peer.relayed]).sort(), [['gateway', false], ['gateway', false], ['provider', true]])

  const metrics = await output('c', 'curl', ['-s', 'http://127.0.0.1:9464/metrics'])
  const value = (name) => Number(metrics.match(new RegExp(`^${name} (.*)$`, 'm'))?.[1])
  assert.equal(value('hypergate_relay_serving'), 1, metrics)
  assert.ok(value('hypergate_relay_pairs') >= 1 && value('hypergate_relay_pairs_total') >= 1, metrics)
  assert.ok(value('hypergate_relay_bytes_total') > RATE, metrics)
  assert.equal(value('hypergate_relay_refused_total'), 0, metrics)

  const { relay } = JSON.parse(await output('c', binary, ['status', '127.0.0.1:9464', '--json']))
  assert.ok(relay.serving && relay.pairs >= 1 && relay.bytes > RATE && relay.refused === 0, JSON.stringify(relay))
  const through = JSON.parse(await output('b', binary, ['status', '--json'])).peers.list.find((peer) => peer.role === 'provider')
  assert.ok(through.relayed && /^[0-9a-f]{64}$/.test(through.relay), JSON.stringify(through))
  assert.match(await output('b', binary, ['status']), new RegExp(`provider +answers +by ${through.relay.slice(0, 8)} `))
  assert.match(await output('c', binary, ['status', '127.0.0.1:9464']), /^relaying +pairs: [1-9]/m)
  await it.members[0].line(/stats.*relaying for [1-9]\d* pairs, \d+ in all, \d{6,} bytes/)
})

const relayOf = async (it) => {
  const [, key] = await it.gateway.line(/connected through relay ([0-9a-f]{8})/)
  return it.members.find((member) => member.lines.some((line) => line.includes(`relaying for members`) && line.includes(key)))
}

/** After the event: new requests work again soon, and the open channel has lost nothing. */
async function goesOn (t, it, what, limit) {
  const ms = await recovered(it.client, Date.now())
  assert.notEqual(ms, null, 'never again')
  t.diagnostic(`new requests work ${(ms / 1000).toFixed(2)} s after ${what}`)
  assert.ok(ms < limit)
  assert.ok(await channelGoesOn(it.client))
  t.diagnostic(`${await wholeInTheEnd(it.client)} bytes came back as they were sent, by SHA-256`)
}

for (const [what, signal] of [['dies', 'SIGKILL'], ['stops politely', 'SIGTERM']]) {
  test(`the relay ${what}: new requests and an open channel go on through another member`, { skip }, async (t) => {
    const it = await relayedTunnel(t, 'port-cone', 2)
    const relay = await relayOf(it)
    relay.child.kill(signal)
    await goesOn(t, it, `the relay ${what}`, RECOVERY_LIMIT_MS)
    await it.gateway.line(/the connection goes on through relay/)
  })
}

test('the direct path is blocked: new requests and an open channel go on through a relay', { skip }, async (t) => {
  t.after(() => lab.removeHomes())
  for (const [home, kind] of [['a', 'port-cone'], ['b', 'port-cone'], ['c', 'none']]) await lab.addHome(home, kind)
  const it = await openTunnel(lab, RATE, { relays: 1 })
  await lab.blockUdp()
  await goesOn(t, it, 'the direct path is blocked', RECOVERY_LIMIT_MS)
  const after = await passing()
  assert.equal(after.bytes, 0, 'nothing goes between the homes themselves')
})

test('the only relay dies: new requests and an open channel go on once another is there', { skip }, async (t) => {
  const it = await relayedTunnel(t, 'port-cone', 1)
  it.members[0].child.kill('SIGKILL')
  await timeout(15000)
  const next = it.startRelay()
  await next.line(/relaying for members/)
  await goesOn(t, it, 'the next relay serves', NEW_RELAY_LIMIT_MS)
})
