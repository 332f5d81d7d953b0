// The client at end A of the ladder's link: node client.mjs '{"host", "port", "control", "stats", "servicePort", "nsOfB", "rate", "rttMs",
// "seconds", "tunnel"}'. Measures one peer on one profile; prints {"firstPageAt": Unix ms}, then {"idle", "down", "up"}.
//
//   first page ─▶ small requests on an idle link ─▶ for each direction: bulk (small requests beside its later part), aborted ─▶ next page
//
// Requests and bulk each use a connection of their own. Times in ms, sizes in bytes.
import { execFile } from 'node:child_process'
import net from 'node:net'
import { LineClient } from '../../test/system/link/link.mjs'
import { PAGE_BYTES, content, pour } from '../../test/system/link/traffic.mjs'

const options = JSON.parse(process.argv[2])
const FIRST_PAGE_LIMIT = 120000
const PAGE_LIMIT = 60000
const IDLE_REQUESTS = 16
const SMALL_SHARE = 0.02 // of the link's rate, at most, goes into small requests beside the bulk
const link = new LineClient(options.control)
const server = new LineClient(options.stats)
const now = () => performance.now()
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const lane = { down: 'ba', up: 'ab' } // this client is end A

/** Resolves with the ms that one small request took. */
function page (limit = PAGE_LIMIT) {
  return new Promise((resolve, reject) => {
    const start = now()
    const socket = net.connect({ port: options.port, host: options.host })
    const timer = setTimeout(() => socket.destroy(new Error('late')), limit)
    let got = 0
    socket.on('connect', () => socket.write('GET page\n'))
    socket.on('data', (data) => {
      got += data.length
      if (got >= PAGE_BYTES) resolve(now() - start)
    })
    socket.on('error', () => {})
    socket.on('close', () => { clearTimeout(timer); reject(new Error('no page')) })
  })
}

/** Tries until a page comes; resolves with the ms since `start`. */
async function nextPage (start, limit) {
  for (;;) {
    try {
      await page(limit)
      return now() - start
    } catch {
      if (now() - start > limit) return null
      await sleep(20)
    }
  }
}

/** Requests in a steady rhythm, however long each takes, until stop(); resolves with their times. */
function rhythm (interval, most = Infinity) {
  const pending = []
  let running = true
  const done = (async () => {
    while (running && pending.length < most) {
      pending.push(page().catch(() => PAGE_LIMIT))
      await sleep(interval)
    }
    return Promise.all(pending)
  })()
  return { done, stop: () => { running = false; return done } }
}

function listSockets (where, filter) {
  const args = ['-tinHO', 'state', 'established', filter]
  const [command, words] = where ? ['nsenter', [`--net=/run/netns/${where}`, 'ss', ...args]] : ['ss', args]
  return new Promise((resolve) => execFile(command, words, (error, stdout) => resolve(error ? [] : stdout.split('\n').filter(Boolean))))
}

/** Bytes the tunnel has read from the socket that feeds it: of all its sockets, the one with the most. */
async function acceptedByTunnel (direction) {
  const lines = direction === 'up'
    ? await listSockets(null, `( sport = :${options.port} )`)
    : await listSockets(options.nsOfB, `( dport = :${options.servicePort} )`)
  const read = lines.map((line) => Number(line.match(/bytes_received:(\d+)/)?.[1] ?? 0) - Number(line.trim().split(/\s+/)[0]))
  return Math.max(0, ...read)
}

/** Bytes that the tunnel has given to the socket at the far end, read by the application or not: of all there, the one with the most. */
async function givenByTunnel (direction) {
  const lines = direction === 'up'
    ? await listSockets(options.nsOfB, `( sport = :${options.servicePort} )`)
    : await listSockets(null, `( dport = :${options.port} )`)
  return Math.max(0, ...lines.map((line) => Number(line.match(/bytes_received:(\d+)/)?.[1] ?? 0)))
}

class Bulk {
  constructor (direction) {
    this.direction = direction
    this.got = 0
    this.socket = net.connect({ port: options.port, host: options.host, allowHalfOpen: true })
    this.socket.on('error', () => {})
    if (direction === 'down') {
      this.socket.write('GET down 0\n')
      this.socket.on('data', (data) => { this.got += data.length })
    } else {
      this.socket.write('POST up\n')
      this.socket.resume()
      pour(this.socket, content(0))
    }
  }

  /** What has arrived at the other end's application. */
  async delivered () { return this.direction === 'down' ? this.got : (await server.ask('?')).received }

  /** Accepted from its client by the tunnel and not given to the other end's socket. */
  async held () {
    const before = await givenByTunnel(this.direction)
    const accepted = await acceptedByTunnel(this.direction)
    return accepted - (before + await givenByTunnel(this.direction)) / 2
  }

  abort () { this.socket.resetAndDestroy() }
}

async function bulk (direction) {
  const seconds = options.seconds
  const interval = Math.max(100, options.rttMs / 2, (PAGE_BYTES + 500) * 8 / (options.rate * SMALL_SHARE) * 1000)
  const before = (await link.ask('counters'))[lane[direction]]
  const start = now()
  const transfer = new Bulk(direction)
  await sleep(seconds * 1000 / 3)
  const small = rhythm(interval)
  let held = 0
  while (now() - start < seconds * 1000 - 400) {
    if (options.tunnel) held = Math.max(held, await transfer.held())
    await sleep(Math.min(500, Math.max(0, seconds * 1000 - (now() - start))))
  }
  await sleep(Math.max(0, seconds * 1000 - (now() - start)))
  const after = (await link.ask('counters'))[lane[direction]]
  const delivered = await transfer.delivered()
  const took = (now() - start) / 1000
  const smallDone = small.stop()
  const aborted = now()
  transfer.abort()
  const recovery = await nextPage(aborted, PAGE_LIMIT)
  const offered = after.bytes_offered - before.bytes_offered
  return {
    goodput: delivered * 8 / took,
    perByte: delivered > 0 ? (offered - after.bytes_pending) / delivered : null,
    offered: offered * 8 / took / options.rate,
    held: options.tunnel ? held : null,
    small: await smallDone,
    recovery
  }
}

/** Until hardly anything crosses the link any more. */
async function quiet () {
  const carried = async () => { const c = await link.ask('counters'); return { offered: c.ab.bytes_offered + c.ba.bytes_offered, pending: c.ab.bytes_pending + c.ba.bytes_pending } }
  const start = now()
  for (let last = await carried(); now() - start < 15000;) {
    await sleep(500)
    const next = await carried()
    if (next.pending < 3000 && (next.offered - last.offered) * 8 / 0.5 < 0.05 * options.rate + 8000) return
    last = next
  }
}

const firstPage = await nextPage(now(), FIRST_PAGE_LIMIT)
console.log(JSON.stringify({ firstPageAt: firstPage === null ? null : Date.now() }))
if (firstPage === null) process.exit(1)
await quiet()
const result = { idle: await rhythm(Math.max(100, options.rttMs / 2), IDLE_REQUESTS).done }
for (const direction of ['down', 'up']) {
  await quiet()
  result[direction] = await bulk(direction)
}
console.log(JSON.stringify(result))
process.exit(0)
