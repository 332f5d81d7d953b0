// Figures of processes and of loads sent through a port.
import { readFileSync, readdirSync } from 'node:fs'
import net from 'node:net'
import { run, timeout } from '../test/system/harness.mjs'

const ticksPerSecond = 100  // USER_HZ

function stat (pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return { parent: Number(fields[1]), ticks: fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0) }
  } catch { return undefined }
}

function tree (pids) {
  const parents = new Map()
  for (const name of readdirSync('/proc')) if (/^\d+$/.test(name)) { const s = stat(name); if (s) parents.set(Number(name), s.parent) }
  const out = new Set(pids)
  for (let grew = true; grew;) {
    grew = false
    for (const [pid, parent] of parents) if (out.has(parent) && !out.has(pid)) { out.add(pid); grew = true }
  }
  return [...out]
}

// CPU seconds of the processes and all their children, the ended ones included.
export function cpuSeconds (processes) {
  return tree(processes.map((p) => p.pid)).reduce((sum, pid) => sum + (stat(pid)?.ticks ?? 0), 0) / ticksPerSecond
}

// Resident kB of each process (children added).
export function residentKb (processes) {
  return processes.map((p) => tree([p.pid]).reduce((sum, pid) => {
    try { return sum + Number(readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)?.[1] ?? 0) } catch { return sum }
  }, 0))
}

// The connection that proved the tunnel open may still occupy the server, which serves one client at a time.
async function iperfReport (port, seconds, more) {
  for (let attempt = 0; ; attempt++) {
    const report = JSON.parse((await run('iperf3', ['-c', '127.0.0.1', '-p', String(port), '-t', String(seconds), '-J', ...more])).stdout)
    if (!report.error) return report
    if (attempt === 3) throw new Error(report.error)
    await timeout(500)
  }
}

export async function iperf (port, seconds, { streams = 1, reverse = false } = {}) {
  const report = await iperfReport(port, seconds, ['-P', String(streams), ...(reverse ? ['-R'] : [])])
  return { gbps: report.end.sum_received.bits_per_second / 1e9, bytes: report.end.sum_received.bytes }
}

// The buffer asked for is iperf3's own: with the kernel's usual 212 KB its server drops what comes in bursts.
export async function iperfUdp (port, seconds, mbps) {
  const report = await iperfReport(port, seconds, ['-u', '-b', `${mbps}M`, '-l', '1200', '-w', '4M'])
  const sum = report.end.sum
  return { mbps: sum.bits_per_second * (1 - sum.lost_percent / 100) / 1e6, lossPercent: sum.lost_percent }
}

// wrk with keep-alive: requests a second, and latency percentiles in ms.
export async function wrk (port, seconds, connections) {
  const { stdout } = await run('wrk', ['-t', '1', '-c', String(connections), '-d', `${seconds}s`, '--latency', `http://127.0.0.1:${port}/small.html`])
  const latency = (percent) => {
    const [, value, unit] = stdout.match(new RegExp(`${percent}%\\s+([\\d.]+)(us|ms|s)`)) ?? []
    return Number(value) * { us: 0.001, ms: 1, s: 1000 }[unit]
  }
  return { rate: Number(stdout.match(/Requests\/sec:\s+([\d.]+)/)?.[1]), p50: latency(50), p99: latency(99) }
}

// ab with a connection for each request.
export async function ab (port, requests, clients) {
  const { stdout, stderr } = await run('ab', ['-q', '-r', '-n', String(requests), '-c', String(clients), `http://127.0.0.1:${port}/small.html`])
  if (!/Requests per second/.test(stdout)) throw new Error(stderr)
  return {
    rate: Number(stdout.match(/Requests per second:\s+([\d.]+)/)[1]),
    p50: Number(stdout.match(/50%\s+(\d+)/)[1]),
    p99: Number(stdout.match(/99%\s+(\d+)/)[1]),
    failed: Number(stdout.match(/Failed requests:\s+(\d+)/)[1])
  }
}

// `count` connections that each had one small answer and now say nothing.
export async function idleConnections (port, count) {
  const sockets = []
  const open = () => new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write('GET /small.html HTTP/1.1\r\nHost: x\r\n\r\n'))
    socket.once('data', () => resolve(socket))
    socket.on('error', reject)
  })
  for (let i = 0; i < count; i += 50) sockets.push(...await Promise.all([...Array(Math.min(50, count - i))].map(open)))
  await timeout(1000)
  return () => { for (const socket of sockets) socket.destroy() }
}
