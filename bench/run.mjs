// ./dev bench [ROW …]: every tunnel on the same machine in the same run, the ratio of Hypergate to each beside it.
// Rows: stream, eight, http, connect, udp, memory, start, size. Seconds per measurement: BENCH_SECONDS (default 5).
// ./dev bench shaping is a table of its own.
import { statSync } from 'node:fs'
import { Process, freePort, scratch } from '../test/system/harness.mjs'
import { startNginx } from '../test/system/servers.mjs'
import { absent, tunnels } from './tunnels.mjs'
import { shaping } from './shaping.mjs'
import { ab, cpuSeconds, idleConnections, iperf, iperfUdp, residentKb, wrk } from './measure.mjs'

const seconds = Number(process.env.BENCH_SECONDS ?? 5)
const rows = process.argv.slice(2)
const wanted = (row) => rows.length === 0 || rows.includes(row)
const only = process.env.BENCH_TUNNELS?.split(',')
const files = scratch()
const results = {}  // figure -> tunnel -> number

function note (tunnel, figure, value) {
  (results[figure] ??= {})[tunnel] = value
  console.error(`  ${tunnel}: ${figure} ${typeof value === 'number' ? Number(value.toPrecision(4)) : value}`)
}

async function streams (tunnel, port, processes) {
  for (const [row, count] of [['stream', 1], ['eight', 8]]) {
    if (!wanted(row)) continue
    for (const reverse of [false, true]) {
      const way = `${count === 1 ? 'one stream' : 'eight streams'} ${reverse ? 'down' : 'up'}`
      const before = cpuSeconds(processes)
      const { gbps, bytes } = await iperf(port, seconds, { streams: count, reverse })
      note(tunnel, `${way}, Gbit/s`, gbps)
      if (processes.length > 0) note(tunnel, `${way}, CPU s per GB`, (cpuSeconds(processes) - before) / (bytes / 1e9))
    }
  }
}

async function requests (tunnel, port) {
  if (wanted('http')) {
    const one = await wrk(port, seconds, 1)
    note(tunnel, 'keep-alive, 1 client, requests/s', one.rate)
    note(tunnel, 'keep-alive, 1 client, p50 ms', one.p50)
    note(tunnel, 'keep-alive, 1 client, p99 ms', one.p99)
    const many = await wrk(port, seconds, 16)
    note(tunnel, 'keep-alive, 16 clients, requests/s', many.rate)
    note(tunnel, 'keep-alive, 16 clients, p99 ms', many.p99)
  }
  if (wanted('connect')) {
    const each = await ab(port, 10000, 16)
    note(tunnel, 'connection each, 16 clients, requests/s', each.rate)
    note(tunnel, 'connection each, 16 clients, p99 ms', each.p99)
    if (each.failed) note(tunnel, 'connection each, failed', each.failed)
  }
}

async function memory (tunnel, port, processes) {
  if (!wanted('memory') || processes.length === 0) return
  const largest = () => Math.max(...residentKb(processes)) / 1024
  const sum = () => residentKb(processes).reduce((a, b) => a + b, 0)
  note(tunnel, 'resident idle, largest process, MB', largest())
  const before = sum()
  const close = await idleConnections(port, 1000)
  note(tunnel, 'resident per idle connection, both processes, KB', (sum() - before) / 1000)
  close()
}

async function withTunnel (start, target, folder, use) {
  const open = await start(target, folder)
  try { await use(open) } finally { await open.stop() }
}

async function measure ({ name, start, udp, size }, iperfPort, nginxPort) {
  console.error(name)
  if (wanted('memory') || wanted('http') || wanted('connect') || wanted('start')) {
    await withTunnel(start, nginxPort, files, async (web) => {
      if (web.startUpMs && wanted('start')) note(name, 'start-up to first accepted connection, ms', web.startUpMs)
      await memory(name, web.port, web.processes)
      await requests(name, web.port)
    })
  }
  if (wanted('stream') || wanted('eight') || wanted('udp')) {
    await withTunnel(start, iperfPort, { ...files, path: (text) => files.path(`bulk-${text}`) }, async (bulk) => {
      await streams(name, bulk.port, bulk.processes)
      if (wanted('memory') && bulk.processes.length > 0) note(name, 'resident after load, largest process, MB', Math.max(...residentKb(bulk.processes)) / 1024)
      if (udp && wanted('udp')) await datagrams(name, bulk.port)
    })
  }
  if (size && wanted('size')) note(name, 'program on disk, MB', statSync(size).size / 1e6)
}

async function datagrams (tunnel, port) {
  const { mbps, lossPercent } = await iperfUdp(port, seconds, 500)
  note(tunnel, 'UDP at 500 Mbit/s offered, Mbit/s', mbps)
  note(tunnel, 'UDP at 500 Mbit/s offered, loss %', lossPercent)
}

function print () {
  const names = tunnels.map((tunnel) => tunnel.name).filter((name) => !only || only.includes(name))
  const cell = (value) => value === undefined ? '–' : String(Number(value.toPrecision(3)))
  console.log(`\n| figure | ${names.join(' | ')} |\n|---|${names.map(() => '---').join('|')}|`)
  for (const [figure, byTunnel] of Object.entries(results)) {
    const ours = byTunnel.hypergate
    const cells = names.map((name) => {
      const value = byTunnel[name]
      if (value === undefined || ours === undefined || name === 'hypergate' || value === 0) return cell(value)
      return `${cell(value)} (×${Number((ours / value).toPrecision(3))})`
    })
    console.log(`| ${figure} | ${cells.join(' | ')} |`)
  }
  console.log('\n(×N): Hypergate\'s figure divided by this one. For rates more is better, for times, CPU and memory less.')
}

if (rows.includes('shaping')) {
  await shaping()
  process.exit()
}
const nginx = await startNginx(files)
const iperfPort = await freePort()
const iperfServer = new Process('iperf3', ['-s', '-B', '127.0.0.1', '-p', String(iperfPort), '--forceflush'])
await iperfServer.line(/Server listening/)
for (const tunnel of tunnels) {
  if (only && !only.includes(tunnel.name)) continue
  try { await measure(tunnel, iperfPort, nginx.port) } catch (error) { console.error(`  ${tunnel.name} failed: ${error.message}`) }
}
print()
const missing = await absent()
if (missing.length > 0) console.log(`Not installed, so not in the run: ${missing.join(', ')}.`)
await iperfServer.stop()
await nginx.stop()
files.remove()
