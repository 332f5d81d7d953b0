// UDX between our C++ peer and udx-native: node run.mjs --peer <udx_peer> --modules <node_modules> [--only <name>] [--mib <n>]
//
// One line per case; exits 1 when any fails. Every case gets its own process, sockets and (where it says so) a bad link.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createRequire } from 'node:module'
import path from 'node:path'
import readline from 'node:readline'
import { Proxy } from './proxy.mjs'

const options = parseOptions(process.argv.slice(2))
const UDX = createRequire(path.resolve(options.modules) + path.sep)('udx-native')
const MIB = 1 << 20
const BULK = Number(options.mib ?? 100) * MIB
const ROUGH = { loss: 0.015, reorder: 0.02, duplicate: 0.01, seed: 7 }

function parseOptions (args) {
  const found = {}
  for (let i = 0; i + 1 < args.length; i += 2) found[args[i].replace(/^--/, '')] = args[i + 1]
  if (!found.peer || !found.modules) {
    console.error('usage: node run.mjs --peer <udx_peer> --modules <node_modules> [--only <name>] [--mib <n>]')
    process.exit(2)
  }
  return found
}

/** The C++ end. `events` collects what it said; next(name) waits for one kind. */
class Native {
  constructor (args) {
    const words = Object.entries(args).map(([key, value]) => `${key}=${value}`)
    this.child = spawn(options.peer, words, { stdio: ['ignore', 'pipe', 'inherit'] })
    this.events = []
    this.waiters = []
    readline.createInterface({ input: this.child.stdout }).on('line', (line) => this._on(JSON.parse(line)))
    this.child.on('exit', (code, signal) => this._on({ event: 'exit', code, signal }))
  }

  _on (event) {
    this.events.push(event)
    this.waiters = this.waiters.filter((waiter) => {
      if (waiter.name !== event.event) return true
      waiter.resolve(event)
      return false
    })
  }

  next (name) {
    const known = this.events.find((event) => event.event === name)
    if (known) return Promise.resolve(known)
    return new Promise((resolve) => this.waiters.push({ name, resolve }))
  }

  kill () {
    this.child.kill('SIGKILL')
  }
}

/** Both ends of one stream, joined directly or through a bad link. */
async function connectPair ({ native = {}, link = null, connect = true } = {}) {
  const udx = new UDX()
  const socket = udx.createSocket()
  socket.bind(0, '127.0.0.1')
  const id = 1 + Math.floor(Math.random() * 0x7ffffffe)
  const stream = udx.createStream(id, { firewall: () => false })
  const facts = { hash: createHash('sha256'), received: 0, ended: false, closed: false, error: null, messages: [] }
  stream.on('data', (data) => {
    facts.received += data.length
    facts.hash.update(data)
  })
  stream.on('message', (data) => facts.messages.push(data.toString()))
  stream.on('end', () => { facts.ended = true })
  stream.on('error', (error) => { facts.error = error })
  const closed = new Promise((resolve) => stream.on('close', () => { facts.closed = true; resolve() }))
  const proxy = link ? await Proxy.open(link) : null
  if (proxy) proxy.targets[1] = socket.address().port
  const other = new Native({ remote_port: proxy ? proxy.ports[0] : socket.address().port, remote_id: id, ...native })
  const ready = await other.next('ready')
  if (proxy) proxy.targets[0] = ready.port
  const pair = { udx, socket, stream, facts, closed, proxy, native: other, ready, peerPort: proxy ? proxy.ports[1] : ready.port }
  pair.connect = () => stream.connect(socket, ready.id, pair.peerPort, '127.0.0.1')
  if (connect) pair.connect()
  return pair
}

async function closePair (pair) {
  pair.native.kill()
  if (!pair.facts.closed) pair.stream.destroy()
  await pair.closed
  if (pair.proxy) pair.proxy.close()
  await pair.socket.close()
}

/** Writes `bytes` of a repeating pattern, honouring backpressure; resolves to their hash. */
async function writeBytes (stream, bytes) {
  const hash = createHash('sha256')
  const block = Buffer.alloc(60000)
  for (let i = 0; i < block.length; i++) block[i] = (i * 31 + (i >> 7)) & 255
  for (let left = bytes, n = 0; left > 0; n++) {
    const part = Buffer.from(block.subarray(0, Math.min(block.length, left)))
    part.writeUInt32LE(n & 0xffffffff, 0)
    hash.update(part)
    left -= part.length
    if (stream.write(part) === false) await new Promise((resolve) => stream.once('drain', resolve))
  }
  return hash.digest('hex')
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const until = async (condition, ms, what) => {
  const limit = Date.now() + ms
  while (!condition()) {
    if (Date.now() > limit) throw new Error('timed out: ' + what)
    await sleep(5)
  }
}
const expect = (condition, what) => { if (!condition) throw new Error(what) }
const rate = (bytes, started) => `${(bytes * 8 / 1e6 / ((Date.now() - started) / 1000)).toFixed(0)} Mbit/s`

async function oneWay (toNative, link) {
  const bytes = BULK
  const pair = await connectPair({ native: toNative ? { end_on_end: 1 } : { send: bytes, end: 1 }, link })
  const started = Date.now()
  let hash
  if (toNative) {
    hash = await writeBytes(pair.stream, bytes)
    pair.stream.end()
  } else {
    // Its end acknowledges all: one that had ended before would close at once, and where its last ACK is lost nobody can know what arrived.
    pair.stream.once('end', () => pair.stream.end())
  }
  const done = await pair.native.next('done')
  const figure = rate(bytes, started)
  if (toNative) {
    expect(done.received === bytes, `received ${done.received} of ${bytes}`)
    expect(done.sha256 === hash, 'bytes differ')
  } else {
    await until(() => pair.facts.ended, 5000, 'end')
    expect(pair.facts.received === bytes, `received ${pair.facts.received} of ${bytes}`)
    expect(pair.facts.hash.digest('hex') === done.sent_sha256, 'bytes differ')
  }
  expect(done.closed && done.code === '', 'closed with ' + done.code)
  await closePair(pair)
  return `${figure}, ${done.retransmitted} of ${done.packets_sent} resent, mtu ${done.mtu}`
}

const cases = {
  'small write each way, both end': async () => {
    const pair = await connectPair({ native: { send: 5, end_on_end: 1 } })
    await until(() => pair.facts.received === 5, 3000, 'data from C++')
    pair.stream.write(Buffer.from('hello!'))
    pair.stream.end()
    const done = await pair.native.next('done')
    expect(done.received === 6 && done.ended && done.code === '', JSON.stringify(done))
    await until(() => pair.facts.ended && pair.facts.closed, 3000, 'close')
    await closePair(pair)
  },
  'bulk C++ to JS, direct': () => oneWay(false, null),
  'bulk JS to C++, direct': () => oneWay(true, null),
  'bulk C++ to JS, loss reorder duplicate': () => oneWay(false, ROUGH),
  'bulk JS to C++, loss reorder duplicate': () => oneWay(true, ROUGH),
  'bulk both ways at once, loss reorder duplicate': async () => {
    const bytes = Math.min(BULK, 20 * MIB)
    const pair = await connectPair({ native: { send: bytes, end: 1 }, link: { ...ROUGH, seed: 9 } })
    const started = Date.now()
    const hash = await writeBytes(pair.stream, bytes)
    pair.stream.end()
    const done = await pair.native.next('done')
    expect(done.sha256 === hash && done.received === bytes, 'JS to C++ differs')
    await until(() => pair.facts.ended, 20000, 'end')
    expect(pair.facts.hash.digest('hex') === done.sent_sha256, 'C++ to JS differs')
    const figure = rate(bytes, started)
    await closePair(pair)
    return figure
  },
  'path that takes 1172-byte datagrams only': async () => {
    const bytes = 8 * MIB
    const pair = await connectPair({ native: { send: bytes, end: 1 }, link: { maxSize: 1172 } })
    const hash = await writeBytes(pair.stream, bytes)
    pair.stream.end()
    const done = await pair.native.next('done')
    expect(done.sha256 === hash, 'JS to C++ differs')
    await until(() => pair.facts.ended, 20000, 'end')
    expect(pair.facts.hash.digest('hex') === done.sent_sha256, 'C++ to JS differs')
    expect(done.mtu === 1200, 'mtu ' + done.mtu)
    await closePair(pair)
  },
  'data before connect (C++ listens)': async () => {
    const pair = await connectPair({ native: { listen: 1, end_on_end: 1 } })
    pair.stream.write(Buffer.from('early'))
    pair.stream.end()
    const done = await pair.native.next('done')
    expect(done.received === 5 && done.code === '', JSON.stringify(done))
    await closePair(pair)
  },
  'data before connect (JS listens)': async () => {
    const pair = await connectPair({ native: { send: 100000, end: 1 }, connect: false })
    await sleep(200)
    pair.connect()
    pair.stream.end()
    const done = await pair.native.next('done')
    expect(done.code === '', 'closed with ' + done.code)
    await until(() => pair.facts.ended, 3000, 'end')
    expect(pair.facts.hash.digest('hex') === done.sent_sha256, 'bytes differ')
    await closePair(pair)
  },
  'half-close: C++ ends first, JS goes on': async () => {
    const pair = await connectPair({ native: { send: 10, end: 1 } })
    await until(() => pair.facts.ended, 3000, 'end')
    await sleep(100)
    expect(!pair.facts.closed, 'JS closed too early')
    const hash = await writeBytes(pair.stream, 500000)
    pair.stream.end()
    const done = await pair.native.next('done')
    expect(done.sha256 === hash && done.code === '', JSON.stringify(done))
    await closePair(pair)
  },
  'half-close: JS ends first, C++ goes on': async () => {
    const pair = await connectPair({ native: { send: 8 * MIB, end: 1 } })
    pair.stream.end()
    const done = await pair.native.next('done')
    expect(done.ended && done.code === '', JSON.stringify(done))
    await until(() => pair.facts.ended, 5000, 'end')
    expect(pair.facts.hash.digest('hex') === done.sent_sha256, 'bytes differ')
    await closePair(pair)
  },
  'C++ destroys': async () => {
    const pair = await connectPair({ native: { destroy_at: 1000 } })
    pair.stream.write(Buffer.alloc(1000))
    await pair.native.next('done')
    await until(() => pair.facts.closed, 2000, 'JS notices')
    expect(pair.facts.error?.code === 'ECONNRESET', 'error ' + pair.facts.error?.code)
    await closePair(pair)
  },
  'JS destroys': async () => {
    const pair = await connectPair({ native: { send: 5 } })
    await until(() => pair.facts.received === 5, 3000, 'data')
    pair.stream.destroy()
    const done = await pair.native.next('done')
    expect(done.code === 'ECONNRESET', 'code ' + done.code)
    await closePair(pair)
  },
  'zero window: C++ pauses, JS waits and goes on': async () => {
    const bytes = 8 * MIB
    const pair = await connectPair({ native: { pause_ms: 3000, window: 1 * MIB, end_on_end: 1 } })
    const writing = writeBytes(pair.stream, bytes).then((hash) => { pair.stream.end(); return hash })
    const resumed = await pair.native.next('resume')
    expect(resumed.received < 100000, `delivered ${resumed.received} while paused`)
    const sentWhilePaused = pair.stream.bytesTransmitted
    expect(sentWhilePaused < 3 * MIB, `JS sent ${sentWhilePaused} into a window of 1 MiB`)
    const started = Date.now()
    const hash = await writing
    const done = await pair.native.next('done')
    expect(Date.now() - started < 5000, 'slow to go on')
    expect(done.sha256 === hash && done.code === '', JSON.stringify(done))
    await closePair(pair)
    return `${(sentWhilePaused / MIB).toFixed(2)} MiB sent while paused`
  },
  'messages both ways': async () => {
    const pair = await connectPair({ native: { messages: 10, echo_messages: 1, pulse_ms: 50 } })
    await until(() => pair.facts.messages.length === 10, 3000, 'messages from C++')
    for (let i = 0; i < 5; i++) await pair.stream.send(Buffer.from('js ' + i))
    await pair.stream.send(Buffer.alloc(0))
    await until(() => pair.facts.messages.length === 16, 3000, 'echoes')
    expect(pair.facts.messages[0] === 'message 0' && pair.facts.messages[10] === 'js 0' && pair.facts.messages[15] === '', 'texts')
    await closePair(pair)
  },
  'JS keepalive heartbeats are answered': async () => {
    const pair = await connectPair({ native: { send: 5 } })
    await until(() => pair.facts.received === 5, 3000, 'data')
    const before = pair.stream.packetsReceived
    pair.stream.setKeepalive(50)
    pair.stream.write(Buffer.from('x'))
    await until(() => pair.stream.packetsReceived > before + 4, 3000, 'answers')
    await closePair(pair)
  },
  'a dead JS peer is noticed': async () => {
    const pair = await connectPair({ native: { pulse_ms: 100 }, link: {} })
    await until(() => pair.facts.received >= 8, 3000, 'data')
    pair.proxy.blocked = true
    const done = await pair.native.next('done')
    expect(done.code === 'ETIMEDOUT', 'code ' + done.code)
    expect(done.silence_ms < 10000, `noticed after ${done.silence_ms} ms`)
    await closePair(pair)
    return `after ${done.silence_ms} ms`
  },
  'a killed C++ peer is noticed by JS': async () => {
    const pair = await connectPair({ native: { send: 5 } })
    await until(() => pair.facts.received === 5, 3000, 'data')
    pair.native.kill()
    await pair.native.next('exit')
    pair.stream.write(Buffer.from('anyone?'))
    const started = Date.now()
    await until(() => pair.facts.closed, 25000, 'JS notices')
    expect(pair.facts.error?.code === 'ETIMEDOUT', 'error ' + pair.facts.error?.code)
    const took = Date.now() - started
    await closePair(pair)
    return `after ${took} ms`
  },
  'an outage of 4 seconds is survived': async () => {
    const bytes = 4 * MIB
    const pair = await connectPair({ native: { send: bytes, end: 1 }, link: { seed: 3, loss: 0.01 } })
    await until(() => pair.facts.received > 100000, 5000, 'start')
    pair.proxy.blocked = true
    await sleep(4000)
    pair.proxy.blocked = false
    pair.stream.end()
    const done = await pair.native.next('done')
    expect(done.code === '', 'closed with ' + done.code)
    await until(() => pair.facts.ended, 5000, 'end')
    expect(pair.facts.hash.digest('hex') === done.sent_sha256, 'bytes differ')
    await closePair(pair)
  }
}

let failures = 0
for (const [name, run] of Object.entries(cases)) {
  if (options.only && !name.includes(options.only)) continue
  const started = Date.now()
  let timer
  try {
    const limit = new Promise((resolve, reject) => { timer = setTimeout(() => reject(new Error('case took over 120 s')), 120000) })
    const note = await Promise.race([run(), limit])
    console.log(`ok    ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)${note ? ': ' + note : ''}`)
  } catch (error) {
    failures++
    console.log(`FAIL  ${name}: ${error.message}`)
  } finally {
    clearTimeout(timer)
  }
}
process.exit(failures > 0 ? 1 : 0)
