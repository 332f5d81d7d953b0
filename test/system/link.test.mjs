// A tunnel across bad links (an emulator between namespaces): nothing is lost, and little is sent twice.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newSecret, service, timeout } from './harness.mjs'
import { EmulatedLink, loadProgram, unavailable } from './link/link.mjs'
import { sumOf } from './link/traffic.mjs'

const skip = (await unavailable()) ?? false
const GATE = 8080
const SERVICE = 8000
const MIB = 1 << 20
const LIMIT_MS = 90000 // generous: what is tested is not this machine's speed

// `during(link)` may change the link while the transfers run. {down, up, before, after}: sums, and what the link counted.
async function transfer (options, down, up, during = async () => {}) {
  const link = await EmulatedLink.open({ seed: 1, ...options })
  try {
    await link.startDht()
    const env = { HYPERGATE_ROUTER: await newSecret() }
    await link.exec('b', 'node', [loadProgram, 'serve', '0.0.0.0', String(SERVICE), link.files.path('stats')], { name: 'server' }).line(/serving/)
    link.hypergate('b', ['provider', JSON.stringify([service(GATE, SERVICE)]), '--bootstrap', link.bootstrap], { env })
    await link.hypergate('a', ['gateway', '--bootstrap', link.bootstrap], { env }).line(new RegExp(`127\\.0\\.0\\.1:${GATE} open`), LIMIT_MS)
    const before = await link.counters()
    const client = link.exec('a', 'node', [loadProgram, 'fetch', String(GATE), String(down), String(up)], { name: 'client' })
    const [{ input }] = await Promise.all([client.line(/"down"/, LIMIT_MS), during(link)])
    return { ...JSON.parse(input), before, after: await link.counters() }
  } finally {
    await link.close()
  }
}

function intact (result, down, up) {
  for (const [way, bytes] of [['down', down], ['up', up]]) {
    assert.equal(result[way].bytes, bytes, way)
    assert.equal(result[way].sha256, sumOf(bytes), way)
  }
}

const fast = { rate: '500M', rttMs: 4, queueBytes: 2 * MIB }

test('MTU black hole at 1280 bytes: 100 MiB arrive', { skip }, async () => {
  const result = await transfer({ ...fast, mtu: 1280 }, 100 * MIB, 8 * MIB)
  intact(result, 100 * MIB, 8 * MIB)
  assert.ok(result.after.ba.dropped_mtu > 0, 'nothing was too long')
})

test('MTU black hole at 1280 bytes that appears in mid-transfer: 100 MiB arrive', { skip }, async () => {
  const shrink = async (link) => {
    const start = (await link.counters()).ba.bytes_delivered
    while ((await link.counters()).ba.bytes_delivered - start < 20 * MIB) await timeout(5)
    await link.setMtu(1280)
  }
  const result = await transfer(fast, 100 * MIB, 8 * MIB, shrink)
  intact(result, 100 * MIB, 8 * MIB)
  assert.ok(result.after.ba.dropped_mtu > 0, 'nothing was too long')
})

test('reordering of 25 %: 100 MiB arrive', { skip }, async () => {
  const result = await transfer({ ...fast, reorderPercent: 25 }, 100 * MIB, 8 * MIB)
  intact(result, 100 * MIB, 8 * MIB)
  assert.ok(result.after.ba.packets_reordered > 10000)
})

test('duplication of 25 %: 100 MiB arrive', { skip }, async () => {
  const result = await transfer({ ...fast, duplicatePercent: 25 }, 100 * MIB, 8 * MIB)
  intact(result, 100 * MIB, 8 * MIB)
  assert.ok(result.after.ba.packets_duplicated > 10000)
})

const ladder = [
  { name: 'good wifi', rate: 100e6, rttMs: 16, lossPercent: 0.1, bytes: 20 * MIB },
  { name: 'weak 4G', rate: 8e6, rttMs: 90, jitterMs: 15, lossPercent: 2, burst: 8, bytes: 4 * MIB },
  { name: 'slow 3G', rate: 3e6, rttMs: 200, jitterMs: 30, lossPercent: 3, burst: 10, bytes: MIB }
]

for (const { name, bytes, ...options } of ladder) {
  test(`${name}: both ways, at most 1.3 bytes sent for each`, { skip }, async (t) => {
    const result = await transfer(options, bytes, bytes)
    intact(result, bytes, bytes)
    for (const [way, lane] of [['down', 'ba'], ['up', 'ab']]) {
      const sent = result.after[lane].bytes_offered - result.before[lane].bytes_offered
      t.diagnostic(`${way}: ${(bytes * 8 / 1e6 / result[way].seconds).toFixed(2)} Mbit/s, ${(sent / bytes).toFixed(3)} bytes sent for each`)
      assert.ok(sent / bytes <= 1.3, `${way}: ${sent / bytes}`)
    }
  })
}
