// Encrypted connections and swarms against the reference packages, both ways round, on loopback only.
//
//   node run.mjs --peer <peer_interop> [--modules <node_modules>] [--only <text>]
//
// One line per case; exits non-zero when a case failed. Every wait has a deadline; nothing waits by sleeping.
import { spawn, fork } from 'node:child_process'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import path from 'node:path'
import { addRelayCases } from './relays.mjs'

const args = Object.fromEntries(process.argv.slice(2).join(' ').split('--').filter(Boolean).map((a) => a.trim().split(/\s+/)))
const here = path.dirname(fileURLToPath(import.meta.url))
const modules = path.resolve(args.modules ?? path.join(here, '../node_modules'))
const require = createRequire(path.join(modules, 'index.js'))
const load = (name) => require(path.join(modules, name))
const HyperDHT = load('hyperdht')
const createTestnet = load('hyperdht/testnet')
const Hyperswarm = load('hyperswarm')
const SecretStream = load('@hyperswarm/secret-stream')
const UDX = load('udx-native')
const blindRelay = load('blind-relay')
const crypto = load('hypercore-crypto')

const BYTES = 1 << 20
const DEADLINE = 30000

// ── waiting ──

function within (promise, what, ms = DEADLINE) {
  let timer
  const late = new Promise((resolve, reject) => { timer = setTimeout(() => reject(new Error(`no ${what} within ${ms} ms`)), ms) })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

/** A log of events that can be waited for, whenever they came or come. */
class Events {
  constructor () {
    this.list = []
    this.waiters = []
  }

  push (event) {
    this.list.push(event)
    this.waiters = this.waiters.filter((w) => !w(event))
  }

  count (match) { return this.list.filter(match).length }

  wait (match, what, ms) {
    const found = this.list.find(match)
    if (found) return Promise.resolve(found)
    return within(new Promise((resolve) => this.waiters.push((e) => match(e) && (resolve(e), true))), what, ms)
  }
}

// ── the C++ end ──

const running = new Set()

class Native extends Events {
  constructor (mode, options = {}) {
    super()
    const list = Object.entries(options).map(([k, v]) => `${k}=${Buffer.isBuffer(v) ? v.toString('hex') : v}`)
    this.child = spawn(args.peer, [mode, ...list], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.exited = new Promise((resolve) => this.child.on('exit', (code, signal) => resolve({ code, signal })))
    this.child.stdin.on('error', () => {})
    createInterface({ input: this.child.stdout }).on('line', (line) => this.push(JSON.parse(line)))
    running.add(this)
  }

  event (name, more = () => true, ms = DEADLINE) { return this.wait((e) => e.event === name && more(e), name, ms) }
  tell (line) { this.child.stdin.write(line + '\n') }
  kill () { this.child.kill('SIGKILL') }

  async close () {
    running.delete(this)
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    this.tell('close')
    const { code, signal } = await within(this.exited, 'exit of the C++ end')
    if (code !== 0) throw new Error(`the C++ end ended with ${code ?? signal}`)
  }
}

// ── the JavaScript end ──

const pattern = Buffer.alloc(BYTES)
for (let i = 0; i < BYTES; i++) pattern[i] = i * 17 + (i >> 9)

function echo (stream) {
  stream.on('error', () => {})
  stream.on('data', (data) => stream.write(data))
  stream.on('end', () => stream.end())
}

/** Sends the pattern and checks the echo. */
function sendAndCheck (stream) {
  return within(new Promise((resolve, reject) => {
    const parts = []
    let got = 0
    stream.on('data', (data) => {
      parts.push(data)
      got += data.length
      if (got < BYTES) return
      Buffer.concat(parts).equals(pattern) ? resolve() : reject(new Error('the echo differs'))
    })
    stream.on('error', reject)
    stream.on('close', () => reject(new Error('closed before the echo was complete')))
    for (let at = 0; at < BYTES; at += 50000) stream.write(pattern.subarray(at, at + 50000))
  }), 'echo')
}

function opened (stream) {
  return within(new Promise((resolve, reject) => {
    stream.on('open', resolve)
    stream.on('error', reject)
  }), 'open')
}

function closed (stream) {
  return within(new Promise((resolve) => stream.destroyed ? resolve() : stream.on('close', resolve)), 'close')
}

// ── networks ──

/** A DHT of reference nodes. */
async function referenceNetwork () {
  const testnet = await createTestnet(4)
  return { bootstrap: testnet.bootstrap, list: testnet.bootstrap.map((b) => `${b.host}:${b.port}`).join(','), close: () => testnet.destroy() }
}

/** A DHT of our own nodes only. */
async function ownNetwork (count = 4) {
  const nodes = [new Native('node')]
  const { port } = await nodes[0].event('ready')
  const list = `127.0.0.1:${port}`
  for (let i = 1; i < count; i++) {
    nodes.push(new Native('node', { bootstrap: list }))
    await nodes[i].event('ready')
  }
  return { bootstrap: [{ host: '127.0.0.1', port }], list, close: () => Promise.all(nodes.map((n) => n.close())) }
}

const networks = { 'reference nodes': referenceNetwork, 'our nodes': ownNetwork }

async function withNetwork (make, run) {
  const network = await make()
  try {
    return await run(network)
  } finally {
    await network.close()
  }
}

const newSwarm = (network, seed) => new Hyperswarm({ bootstrap: network.bootstrap, seed, dht: new HyperDHT({ bootstrap: network.bootstrap, host: '127.0.0.1' }) })

// ── cases ──

const cases = []
const test = (name, run) => cases.push({ name, run })

for (const initiator of [true, false]) {
  test(`encrypted stream on a bare UDX stream, C++ ${initiator ? 'initiates' : 'responds'}`, async () => {
    const [a, b, hash] = [crypto.randomBytes(32), crypto.randomBytes(32), crypto.randomBytes(64)]
    const native = new Native('stream', { initiator: initiator ? 1 : 0, tx: a, rx: b, hash, work: BYTES })
    const there = await native.event('socket')
    const udx = new UDX()
    const socket = udx.createSocket()
    socket.bind(0, '127.0.0.1')
    const raw = udx.createStream(4711)
    raw.connect(socket, there.id, there.port, '127.0.0.1')
    native.tell(`connect ${socket.address().port} 4711`)
    const stream = new SecretStream(!initiator, raw, {
      handshake: { tx: b, rx: a, hash, publicKey: Buffer.alloc(32, 1), remotePublicKey: Buffer.alloc(32, 2) },
      keepAlive: 5000
    })
    // The C++ end sends and checks our echo, and we send nothing else: an echo of an echo would not end.
    echo(stream)
    const result = await native.event('echoed')
    if (!result.intact) throw new Error('the echo differs')
    native.tell('end')
    await closed(stream)
    await native.event('closed', (e) => e.error === '')
    await native.close()
    await socket.close()
  })
}

for (const [where, make] of Object.entries(networks)) {
  test(`C++ connects to a JavaScript server, ${where}`, () => withNetwork(make, async (network) => {
    const node = new HyperDHT({ bootstrap: network.bootstrap, host: '127.0.0.1' })
    const server = node.createServer(echo)
    await server.listen()
    const native = new Native('connect', { bootstrap: network.list, key: server.publicKey, work: BYTES })
    const result = await native.event('echoed')
    if (!result.intact) throw new Error('the echo differs')
    native.tell('end')
    await native.event('closed', (e) => e.error === '')
    await native.close()
    await node.destroy()
  }))

  test(`JavaScript connects to a C++ server, ${where}`, () => withNetwork(make, async (network) => {
    const native = new Native('listen', { bootstrap: network.list, seed: crypto.randomBytes(32), work: 'echo' })
    const { key } = await native.event('listening')
    const node = new HyperDHT({ bootstrap: network.bootstrap, host: '127.0.0.1' })
    const stream = node.connect(Buffer.from(key, 'hex'))
    await opened(stream)
    await sendAndCheck(stream)
    stream.end()
    await closed(stream)
    await native.event('closed', (e) => e.error === '')
    await native.close()
    await node.destroy()
  }))

  test(`JavaScript looks in vain for a C++ server that is gone, ${where}`, () => withNetwork(make, async (network) => {
    const native = new Native('listen', { bootstrap: network.list, seed: crypto.randomBytes(32) })
    const { key } = await native.event('listening')
    await native.close()
    const node = new HyperDHT({ bootstrap: network.bootstrap, host: '127.0.0.1' })
    const stream = node.connect(Buffer.from(key, 'hex'))
    const error = await within(new Promise((resolve) => stream.on('error', resolve)), 'error')
    if (error.code !== 'PEER_NOT_FOUND') throw new Error(`expected PEER_NOT_FOUND, got ${error.code}`)
    await node.destroy()
  }))

  test(`two swarms, C++ joins first, ${where}`, () => withNetwork(make, (network) => twoSwarms(network, 'native')))
  test(`two swarms, JavaScript joins first, ${where}`, () => withNetwork(make, (network) => twoSwarms(network, 'javascript')))
  test(`two swarms join at the same moment, ${where}`, () => withNetwork(make, (network) => twoSwarms(network, 'both')))
  for (const larger of ['C++', 'JavaScript']) {
    test(`duplicate connections, the ${larger} key is the larger one, ${where}`, () => withNetwork(make, (network) => duplicates(network, larger)))
  }
  test(`a JavaScript peer connects again over its old connection, ${where}`, () => withNetwork(make, reconnects))
  test(`three C++ and three JavaScript peers in one topic, ${where}`, () => withNetwork(make, (network) => sixPeers(network)))
}

async function twoSwarms (network, first) {
  const topic = crypto.randomBytes(32)
  const swarm = newSwarm(network)
  const connection = new Promise((resolve) => swarm.on('connection', (c) => {
    c.on('error', () => {})
    resolve(c)
  }))
  const joinThere = () => new Native('swarm', { bootstrap: network.list, topic, work: 'echo' })
  let native
  if (first === 'native') {
    native = joinThere()
    await native.event('flushed')
    swarm.join(topic)
  } else {
    const joined = swarm.join(topic)
    if (first === 'javascript') await joined.flushed()
    native = joinThere()
  }
  await sendAndCheck(await within(connection, 'connection'))
  const there = await native.event('connection')
  if (there.key !== swarm.keyPair.publicKey.toString('hex')) throw new Error('connected to someone else')
  await native.close()
  await swarm.destroy()
}

/** Connections that cross: JavaScript hears of the C++ one only after it has begun its own. One must remain, begun by the larger key. */
async function duplicates (network, larger) {
  const topic = crypto.randomBytes(32)
  const [small, large] = [crypto.randomBytes(32), crypto.randomBytes(32)]
    .sort((a, b) => Buffer.compare(HyperDHT.keyPair(a).publicKey, HyperDHT.keyPair(b).publicKey))
  const swarm = newSwarm(network, larger === 'C++' ? small : large)
  const open = new Set()
  const seen = new Events()
  swarm.on('connection', (c) => {
    open.add(c)
    c.on('error', () => {})
    c.on('close', () => open.delete(c))
    c.on('data', () => seen.push({ data: c }))
  })
  const handle = swarm._handleServerConnection.bind(swarm)
  const seed = larger === 'C++' ? large : small
  let handled
  const held = new Promise((resolve) => { handled = resolve })
  swarm.server.removeAllListeners('connection')
  swarm.server.on('connection', (c) => {
    c.on('error', () => {})
    const attempt = new Promise((resolve) => swarm.on('update', () => swarm.stats.connects.client.attempted > 0 && swarm.connecting === 0 && resolve()))
    native.event('flushed').then(() => swarm.joinPeer(HyperDHT.keyPair(seed).publicKey))  // earlier it may not be found
    attempt.then(() => native.event(larger === 'C++' ? 'duplicate' : 'closed')).then(() => handled(handle(c)))
  })
  await swarm.join(topic, { client: false }).flushed()
  const native = new Native('swarm', { bootstrap: network.list, topic, seed, work: 'none' })
  await within(held, 'crossing connections')
  native.tell('say')
  const { data } = await seen.wait((e) => e.data && open.has(e.data), 'data on the connection that is left')
  if ((data.isInitiator ? 'JavaScript' : 'C++') !== larger) throw new Error('the wrong connection was kept')
  if (open.size !== 1) throw new Error(`${open.size} connections are open`)
  await native.close()
  await swarm.destroy()
}

/** A peer that connects again while its old connection still looks alive has lost it: the new one replaces it. */
async function reconnects (network) {
  const topic = crypto.randomBytes(32)
  const swarm = newSwarm(network)
  const first = new Promise((resolve) => swarm.once('connection', resolve))
  const native = new Native('swarm', { bootstrap: network.list, topic, work: 'none' })
  swarm.join(topic)
  const old = await within(first, 'connection')
  old.on('error', () => {})
  const { key } = await native.event('connection')
  old.write('hello')
  native.tell('say')
  await native.event('data', (e) => e.bytes > 0)
  const again = swarm.dht.connect(old.remotePublicKey, { keyPair: swarm.keyPair })
  await opened(again)
  await native.event('closed', (e) => e.key === key)
  await native.wait(() => native.count((e) => e.event === 'connection') === 2, 'a second connection')
  again.destroy()
  await native.close()
  await swarm.destroy()
}

async function sixPeers (network) {
  const topic = crypto.randomBytes(32)
  const natives = [0, 1, 2].map(() => new Native('swarm', { bootstrap: network.list, topic, work: 'none' }))
  const swarms = [0, 1, 2].map(() => newSwarm(network))
  const members = [...natives]
  for (const swarm of swarms) {
    const events = new Events()
    members.push(events)
    swarm.on('connection', (c) => {
      c.on('error', () => {})
      events.push({ event: 'connection', key: c.remotePublicKey.toString('hex') })
    })
    // One after the other: reference peers that join at the same moment miss each other until their next refresh.
    await swarm.join(topic).flushed()
  }
  await Promise.all(members.map((member) => distinct(member, 5)))
  await Promise.all(natives.map((n) => n.close()))
  await Promise.all(swarms.map((s) => s.destroy()))
}

/** Waits until `member` has had connections to so many keys. */
function distinct (member, wanted) {
  const keys = () => new Set(member.list.filter((e) => e.event === 'connection').map((e) => e.key)).size
  return member.wait(() => keys() >= wanted, `${wanted} peers`)
}

test('a C++ peer that is killed is replaced by its successor, our nodes', () => withNetwork(ownNetwork, async (network) => {
  const topic = crypto.randomBytes(32)
  const swarm = newSwarm(network)
  const events = new Events()
  swarm.on('connection', (c) => {
    echo(c)
    events.push({ key: c.remotePublicKey.toString('hex') })
  })
  await swarm.join(topic).flushed()
  const first = new Native('swarm', { bootstrap: network.list, topic, work: BYTES })
  await first.event('echoed')
  first.kill()
  running.delete(first)
  const second = new Native('swarm', { bootstrap: network.list, topic, work: BYTES })
  if (!(await second.event('echoed')).intact) throw new Error('the echo differs')
  await second.close()
  await swarm.destroy()
}))

test('a JavaScript peer that is killed is noticed and its successor found, our nodes', () => withNetwork(ownNetwork, async (network) => {
  const topic = crypto.randomBytes(32)
  const native = new Native('swarm', { bootstrap: network.list, topic, work: BYTES })
  const start = () => fork(path.join(here, 'swarm_child.mjs'), [modules, network.list, topic.toString('hex')])
  const first = start()
  const { key } = await native.event('echoed')
  const killed = Date.now()
  first.kill('SIGKILL')
  const second = start()
  await native.event('closed', (e) => e.key === key)
  const took = Date.now() - killed
  await native.event('echoed', (e) => e.key !== key && e.intact)
  second.kill('SIGKILL')
  await native.close()
  return `noticed after ${(took / 1000).toFixed(1)} s`
}))

addRelayCases({ test, withNetwork, networks, Native, HyperDHT, blindRelay, crypto, echo, sendAndCheck, opened, closed, BYTES })

// ── run ──

let failures = 0
for (const { name, run } of cases) {
  if (args.only && !name.includes(args.only)) continue
  const start = Date.now()
  try {
    const note = await within(run(), 'end of the case', 120000)
    console.log(`ok    ${name} (${Date.now() - start} ms${note ? ', ' + note : ''})`)
  } catch (error) {
    failures++
    console.log(`FAIL  ${name}: ${error.message}`)
    for (const native of running) native.kill()
  }
  running.clear()
}
console.log(failures === 0 ? 'all cases passed' : `${failures} case(s) failed`)
process.exit(failures === 0 ? 0 : 1)
