// What happens to an open tunnel when the network under it changes: two homes behind routers of their own, a long TCP channel of
// seeded bytes through the gate, checked end to end, and new requests all the while. Printed per event: the time from the moment the
// path is there again to the first page asked for since, and whether the channel went on.
//
//   HYPERGATE_EVENT_ROUNDS=5    each event so many times (1)
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { median, newSecret, service, timeout } from './harness.mjs'
import { Lab, unavailable } from './nat/lab.mjs'
import { channelBroken, channelGoesOn, GATE, openTunnel, recovered, SERVICE, wholeInTheEnd } from './nat/tunnel.mjs'

const skip = (await unavailable()) ?? false
const rounds = Number(process.env.HYPERGATE_EVENT_ROUNDS ?? 1)
const PROMISE_MS = 3000
const WORST_MS = 15000 // of uplink changes
const CALM_MS = 1500 // between events: what is measured is one event at a time
let lab

before(async () => { if (!skip) lab = await Lab.open() })
after(() => lab?.close())

function table (t, rows) {
  t.diagnostic('event'.padEnd(34) + 'new requests work after'.padEnd(26) + 'channel')
  for (const { event, times, whole } of rows) {
    const shown = times.map((ms) => ms === null ? 'never' : `${(ms / 1000).toFixed(2)} s`).join(', ')
    t.diagnostic(event.padEnd(34) + shown.padEnd(26) + (whole ? 'goes on' : 'broken'))
  }
}

function judge (rows) {
  const times = rows.flatMap((row) => row.times)
  assert.ok(!times.includes(null), 'new requests never worked again')
  assert.ok(median(times) < PROMISE_MS, `median ${median(times)} ms`)
  for (const { event, whole } of rows) assert.ok(whole, `the channel broke: ${event}`)
}

/** The cable is out for `downMs`, and `meanwhile` happens; returns when it is in again. */
async function interruption (letters, downMs, meanwhile = async () => {}) {
  for (const letter of letters) await lab.plug(letter, false)
  const down = timeout(downMs)
  await meanwhile()
  await down
  for (const letter of letters) await lab.plug(letter, true)
  return Date.now()
}

function eventsOf (a, b) {
  let boot = 0
  let host = 2
  const reboot = (letter, more = {}) => lab.reboot(letter, letter === 'a' ? a : b, { boot: ++boot, ...more })
  const newAddress = (letter) => interruption([letter], 1500, () => reboot(letter, { wan: `10.77.${letter === 'a' ? 1 : 2}.${++host}` }))
  return [
    ['WAN down 5 s', () => interruption(['b'], 5000)],
    ['WAN down 10 s', () => interruption(['a'], 10000)],
    ["gateway's router reboots", () => interruption(['b'], 3000, () => reboot('b'))],
    ["provider's router reboots", () => interruption(['a'], 3000, () => reboot('a'))],
    ["gateway's WAN address is another", () => newAddress('b')],
    ["provider's WAN address is another", () => newAddress('a')]
  ]
}

/** The gateway's process sleeps, as with the lid of a laptop. */
async function sleep (gateway, ms) {
  const since = gateway.lines.length
  gateway.child.kill('SIGSTOP')
  await timeout(ms)
  gateway.child.kill('SIGCONT')
  const back = Date.now()
  await gateway.line(/woke up from sleep/, 3000, since)
  return back
}

async function run (t, a, b, more = () => []) {
  t.after(() => lab.removeHomes())
  await lab.addHome('a', a)
  await lab.addHome('b', b)
  const it = await openTunnel(lab, 1000000)
  const rows = []
  for (const [event, happen] of [...eventsOf(a, b), ...more(it)]) {
    const row = { event, times: [], whole: true }
    rows.push(row)
    for (let i = 0; i < rounds; i++) {
      const back = await happen()
      row.times.push(await recovered(it.client, back))
      row.whole = row.whole && await channelGoesOn(it.client)
      await timeout(CALM_MS)
    }
  }
  table(t, rows)
  judge(rows)
  t.diagnostic(`${Math.round(await wholeInTheEnd(it.client) / 1e6)} MB came back as they were sent`)
}

test('events behind NATs that keep their ports (the same mapping after a reboot)', { skip }, (t) =>
  run(t, 'port-cone', 'port-cone', ({ gateway }) => [['gateway sleeps for 8 s', () => sleep(gateway, 8000)]]))
test('events behind NATs with ports of their own (a new mapping after a reboot)', { skip }, (t) => run(t, 'remap-cone', 'remap-cone'))

test('18 uplink changes in a row under load', { skip }, async (t) => {
  t.after(() => lab.removeHomes())
  await lab.addHome('a', 'remap-cone')
  await lab.addHome('b', 'port-cone')
  await lab.addUplink('b', 3, 'remap-cone')
  const b = lab.ns('b')
  const it = await openTunnel(lab, 3000000)
  const times = []
  for (let i = 0; i < 18; i++) {
    const [from, to, network] = i % 2 === 0 ? ['eth0', 'eth1', 3] : ['eth1', 'eth0', 2]
    await lab.script([`ip -n ${b} link set ${from} down`, `ip -n ${b} link set ${to} up`, `ip -n ${b} route replace default via 192.168.${network}.1`])
    times.push(await recovered(it.client, Date.now()))
    assert.equal(channelBroken(it.client), undefined, `after change ${i + 1}`)
    await timeout(700)
  }
  t.diagnostic(`new requests work after ${times.map((ms) => ms === null ? 'never' : (ms / 1000).toFixed(2)).join(', ')} s`)
  assert.ok(!times.includes(null))
  assert.ok(median(times) < PROMISE_MS, `median ${median(times)} ms`)
  assert.ok(Math.max(...times) < WORST_MS, `worst ${Math.max(...times)} ms`)
  t.diagnostic(`median ${median(times)} ms; ${Math.round(await wholeInTheEnd(it.client) / 1e6)} MB came back as they were sent`)
})

test('a host whose UDP is blocked is told so in one line, and connects when the block goes', { skip }, async (t) => {
  t.after(() => lab.removeHomes())
  await lab.addHome('a', 'none')
  await lab.addHome('b', 'blocked')
  const secret = await newSecret()
  lab.hypergate('a', ['provider', JSON.stringify([service(GATE, SERVICE)]), '--bootstrap', lab.bootstrap], { env: { HYPERGATE_ROUTER: secret } })
  const began = Date.now()
  const gateway = lab.hypergate('b', ['gateway', '--bootstrap', lab.bootstrap], { env: { HYPERGATE_ROUTER: secret } })
  await gateway.line(/"level":"warning".*no DHT node answers/, 5000)
  t.diagnostic(`told after ${Date.now() - began} ms`)
  await timeout(8000)
  assert.equal(gateway.lines.filter((line) => line.includes('"level":"warning"')).length, 1)
  await lab.reboot('b', 'port-cone', { boot: 1 })
  const gone = Date.now()
  await gateway.line(/8080 open/, 30000)
  t.diagnostic(`the gate is open ${Date.now() - gone} ms after the block is gone`)
})
