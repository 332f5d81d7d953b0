// ./dev bench ladder [PROFILE …]: links from good to absurd, emulated; Hypergate beside plain TCP, ssh -L and the JavaScript tunnel peer.
// BENCH_TUNNELS="hypergate,tcp bbr" chooses peers, BENCH_SECONDS the length of a transfer, BENCH_SEED the link's chance.
// Down is from the service to the client. Both directions' figures come from one connection pair on one link.
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { readFileSync, writeFileSync } from 'node:fs'
import { scratch, timeout } from '../../test/system/harness.mjs'
import { EmulatedLink, loadProgram, unavailable } from '../../test/system/link/link.mjs'
import { peers } from './peers.mjs'
import { bdp, profiles, seconds } from './profiles.mjs'

const SERVICE = 8000
const clientProgram = path.join(path.dirname(fileURLToPath(import.meta.url)), 'client.mjs')
const figures = [
  ['down', 'down Mbit/s', (r) => r.down?.goodput / 1e6],
  ['up', 'up Mbit/s', (r) => r.up?.goodput / 1e6],
  ['idle50', 'page idle p50 ms', (r) => percentile(r.idle, 0.5)],
  ['idle99', 'page idle p99 ms', (r) => percentile(r.idle, 0.99)],
  ['busy50d', 'beside down p50 ms', (r) => percentile(r.down?.small, 0.5)],
  ['busy99d', 'beside down p99 ms', (r) => percentile(r.down?.small, 0.99)],
  ['busy50u', 'beside up p50 ms', (r) => percentile(r.up?.small, 0.5)],
  ['busy99u', 'beside up p99 ms', (r) => percentile(r.up?.small, 0.99)],
  ['wireD', 'sent per byte, down', (r) => r.down?.perByte],
  ['wireU', 'sent per byte, up', (r) => r.up?.perByte],
  ['offeredD', 'offered ÷ capacity, down', (r) => r.down?.offered],
  ['offeredU', 'offered ÷ capacity, up', (r) => r.up?.offered],
  ['heldD', 'held KB, down', (r) => r.down?.held && r.down.held / 1000],
  ['heldU', 'held KB, up', (r) => r.up?.held && r.up.held / 1000],
  ['setup', 'first page s', (r) => r.setup / 1000],
  ['recoverD', 'page after abort s, down', (r) => r.down?.recovery / 1000],
  ['recoverU', 'page after abort s, up', (r) => r.up?.recovery / 1000]
]

function percentile (times, part) {
  if (!times || times.length === 0) return undefined
  const sorted = [...times].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]
}

function choose (list, wanted, what) {
  for (const name of wanted) {
    if (list.some((entry) => entry.name === name)) continue
    console.error(`bench ladder: no ${what} "${name}"; there are: ${list.map((entry) => entry.name).join(', ')}`)
    process.exit(2)
  }
  return wanted.length === 0 ? list : list.filter((entry) => wanted.includes(entry.name))
}

function emulatorOptions ({ rate, rttMs, jitterMs, lossPercent, burst }) {
  return { rate, rttMs, jitterMs, lossPercent, burst, seed: Number(process.env.BENCH_SEED ?? 1) }
}

async function measure (profile, peer) {
  const link = await EmulatedLink.open(emulatorOptions(profile))
  const files = scratch()
  try {
    const stats = link.files.path('stats')
    await link.exec('b', 'node', [loadProgram, 'serve', '0.0.0.0', String(SERVICE), stats], { name: 'server' }).line(/serving/)
    await link.setCongestionControl('bbr').catch(() => {})
    const running = await peer.start(link, SERVICE, files)
    const client = link.exec('a', 'node', [clientProgram, JSON.stringify({ host: running.host, port: running.port, tunnel: running.tunnel, stats,
      control: link.controlPath, servicePort: SERVICE, nsOfB: link.ns('b'), rate: profile.rate, rttMs: profile.rttMs, seconds: seconds(profile) })], { name: 'client' })
    const first = JSON.parse((await client.line(/"firstPageAt"/, 130000)).input)
    const result = JSON.parse((await client.line(/"idle"/, 600000)).input)
    result.setup = first.firstPageAt - running.started
    result.lostByDevices = await link.lostByDevices()
    return result
  } finally {
    await link.close()
    files.remove()
  }
}

function cell (value) { return value === undefined || value === null || Number.isNaN(value) ? '–' : String(Number(value.toPrecision(3))) }

function table (profile, results) {
  const names = [...results.keys()]
  const ours = results.get('hypergate')
  const bbr = results.get('tcp bbr')
  console.log(`\n### ${profile.name}: ${profile.rate / 1e6} Mbit/s, ${profile.rttMs} ms, jitter ${profile.jitterMs} ms, loss ${profile.lossPercent} %` +
    `${profile.burst ? `, bursts of ${profile.burst}` : ''}\n`)
  console.log(`| figure | ${names.join(' | ')} |\n|---|${names.map(() => '---').join('|')}|`)
  for (const [, title, of] of figures) console.log(`| ${title} | ${names.map((name) => cell(of(results.get(name)))).join(' | ')} |`)
  if (ours && bbr) console.log(`\nhypergate ÷ tcp bbr: down ${cell(ours.down?.goodput / bbr.down?.goodput)}, up ${cell(ours.up?.goodput / bbr.up?.goodput)}`)
}

/** What PERFORMANCE.md asks of ours; a line for each that was missed. */
function missed (profile, results) {
  const ours = results.get('hypergate')
  if (!ours?.down) return []
  const out = []
  const check = (ok, text) => { if (!ok) out.push(`${profile.name}: ${text}`) }
  const round = profile.rttMs / 1000
  check(ours.setup / 1000 <= 15 * round + 0.5, `first page after ${cell(ours.setup / 1000)} s, more than ${cell(15 * round + 0.5)}`)
  for (const way of ['down', 'up']) {
    const r = ours[way]
    for (const [name, other] of results) {
      if (name === 'hypergate' || !other[way]) continue
      const least = name === 'tcp cubic' ? 0 : name === 'tcp bbr' ? 0.95 : 1
      check(r.goodput >= least * other[way].goodput, `${way} ${cell(r.goodput / other[way].goodput)} of ${name}`)
    }
    check(r.offered <= 1.2, `${way}: ${cell(r.offered)} of the capacity offered`)
    check(profile.lossPercent >= 5 || r.perByte <= 1.15, `${way}: ${cell(r.perByte)} bytes sent per byte`)
    check(r.held <= 2 * bdp(profile) + 256 * 1024, `${way}: ${cell(r.held / 1000)} KB held, more than ${cell((2 * bdp(profile) + 256 * 1024) / 1000)}`)
    check(r.recovery !== null && r.recovery / 1000 <= 2 + 5 * round, `${way}: page ${cell(r.recovery / 1000)} s after an abort, more than ${cell(2 + 5 * round)}`)
  }
  return out
}

const why = await unavailable()
if (why) {
  console.error(`bench ladder: ${why}`)
  process.exit(1)
}
const chosen = choose(profiles, process.argv.slice(2), 'profile')
const available = readFileSync('/proc/sys/net/ipv4/tcp_available_congestion_control', 'utf8').trim().split(' ')
const running = choose(peers, process.env.BENCH_TUNNELS?.split(',') ?? [], 'peer').filter((peer) => !peer.needs || available.includes(peer.needs))
const absent = peers.filter((peer) => peer.needs && !available.includes(peer.needs)).map((peer) => peer.name)
const all = {}
const misses = []
for (const profile of chosen) {
  const results = new Map()
  for (const peer of running) {
    const start = Date.now()
    const load = Number(readFileSync('/proc/loadavg', 'utf8').split(' ')[0])
    try {
      const result = await measure(profile, peer)
      results.set(peer.name, result)
      const parts = figures.map(([key, , of]) => `${key} ${cell(of(result))}`).join('  ')
      console.error(`${profile.name}, ${peer.name} (${Math.round((Date.now() - start) / 1000)} s, load ${load}): ${parts}` +
        (result.lostByDevices > 0 ? `  (${result.lostByDevices} packets lost by the devices, not the link)` : ''))
    } catch (error) {
      console.error(`${profile.name}, ${peer.name} failed: ${error.message.split('\n').slice(0, 12).join('\n')}`)
    }
    await timeout(100)
  }
  all[profile.name] = Object.fromEntries(results)
  table(profile, results)
  misses.push(...missed(profile, results))
}
if (process.env.BENCH_JSON) writeFileSync(process.env.BENCH_JSON, JSON.stringify(all, null, 1))
if (absent.length > 0) console.log(`\nNot in the run, this kernel has no such congestion control: ${absent.join(', ')}.`)
console.log(misses.length === 0 ? '\nNo aim was missed.' : `\nAims missed:\n${misses.map((line) => `- ${line}`).join('\n')}`)
process.exit(0) // a peer that was killed may have left a socket of ours waiting
