// Our DHT nodes against hyperdht, both ways: node run.mjs --peer BINARY --modules NODE_MODULES
// One line per case; the exit code tells whether all passed.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { createRequire } from 'node:module'
import { createHash, randomBytes } from 'node:crypto'
import path from 'node:path'

const argument = (name) => process.argv[process.argv.indexOf(name) + 1]
const require = createRequire(path.join(path.resolve(argument('--modules')), 'x.js'))
const DHT = require('hyperdht')
const createTestnet = require('hyperdht/testnet')

const CASE_MS = 60_000
let failures = 0

async function test (name, run) {
  const late = new Promise((resolve, reject) => setTimeout(reject, CASE_MS, new Error('timed out')).unref())
  try {
    await Promise.race([run(), late])
    console.log(`ok    ${name}`)
  } catch (error) {
    failures++
    console.log(`FAIL  ${name}: ${error.message}`)
  }
}

function check (condition, what) {
  if (!condition) throw new Error(what)
}
function same (got, wanted, what = '') {
  if (JSON.stringify(got) !== JSON.stringify(wanted)) throw new Error(`${what} got ${JSON.stringify(got)}, wanted ${JSON.stringify(wanted)}`)
}

/** The C++ process: one line in, one line out. */
class Peer {
  constructor (...args) {
    this.process = spawn(argument('--peer'), args, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.lines = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]()
  }

  async line () {
    const { value, done } = await this.lines.next()
    if (done) throw new Error('the C++ peer ended')
    return value
  }

  async ready () {
    const [word, port] = (await this.line()).split(' ')
    same(word, 'ready')
    this.port = Number(port)
    return this
  }

  async ask (line) {
    this.process.stdin.write(line + '\n')
    const [verdict, ...rest] = (await this.line()).split(' ')
    if (verdict !== 'ok') throw new Error(rest.join(' '))
    return rest
  }

  async close () {
    this.process.stdin.end()
    const code = await new Promise((resolve) => this.process.once('exit', resolve))
    same(code, 0, 'exit code of the C++ peer:')
  }
}

const hex = (buffer) => Buffer.from(buffer).toString('hex')
const seedOf = (name) => createHash('sha256').update(name).digest()
const fresh = () => { const seed = randomBytes(32); return { seed: hex(seed), keyPair: DHT.keyPair(seed) } }

async function keysFound (query) {
  const keys = new Set()
  for await (const reply of query) for (const peer of reply.peers) keys.add(hex(peer.publicKey))
  return [...keys].sort()
}
async function peersFound (query) {
  let count = 0
  for await (const reply of query) if (reply.peer) count++
  return count
}
async function errorOf (promise) {
  return promise.then(() => 'none', (error) => error.message)
}
async function until (condition, what) {
  for (const end = Date.now() + 30_000; Date.now() < end;) {
    if (await condition()) return
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  throw new Error(what)
}

async function oursOnTheirNetwork () {
  const testnet = await createTestnet(10)
  const bootstrap = `127.0.0.1:${testnet.bootstrap[0].port}`
  const js = testnet.createNode()
  await js.fullyBootstrapped()
  const peer = await new Peer('user', bootstrap).ready()
  const topic = hex(seedOf('a'))

  await test('ours on theirs: joins, finds itself reachable', async () => {
    const [size, kind, firewall, address] = await peer.ask('info')
    check(Number(size) >= 9, `table of ${size}`)
    same([kind, firewall, address], ['ephemeral', 'open', `127.0.0.1:${peer.port}`])
  })
  await test('ours on theirs: pings a node', async () => {
    const [seen, waited] = await peer.ask(`ping ${testnet.bootstrap[0].port}`)
    same([seen, waited], [`127.0.0.1:${peer.port}`, '1'])
  })
  await test('ours on theirs: answers a ping', async () => {
    const reply = await js.ping({ host: '127.0.0.1', port: peer.port })
    same([reply.error, reply.from.port], [0, peer.port])
    const delayed = await js.delayedPing({ host: '127.0.0.1', port: peer.port }, 300)
    check(delayed.rtt >= 290, `delayed ping after ${delayed.rtt} ms`)
  })
  await test('ours on theirs: announce is seen by JS, unannounce too', async () => {
    const { seed, keyPair } = fresh()
    check(Number((await peer.ask(`announce ${topic} ${seed}`))[0]) >= 9, 'commits')
    same(await keysFound(js.lookup(Buffer.from(topic, 'hex'))), [hex(keyPair.publicKey)])
    await peer.ask(`unannounce ${topic} ${seed}`)
    same(await keysFound(js.lookup(Buffer.from(topic, 'hex'))), [])
  })
  await test('ours on theirs: JS announces, we look up', async () => {
    const { keyPair } = fresh()
    await js.announce(Buffer.from(topic, 'hex'), keyPair, [{ host: '127.0.0.1', port: 7 }]).finished()
    same(await peer.ask(`lookup ${topic}`), [`${hex(keyPair.publicKey)}/1`])
    await js.unannounce(Buffer.from(topic, 'hex'), keyPair)
    same(await peer.ask(`lookup ${topic}`), [])
  })
  await test('ours on theirs: our self announcement is a peer for JS', async () => {
    const { seed, keyPair } = fresh()
    await peer.ask(`announce ${hex(DHT.hash(keyPair.publicKey))} ${seed}`)
    check(await peersFound(js.findPeer(keyPair.publicKey)) >= 9, 'records')
  })
  await test('ours on theirs: we find a listening JS server', async () => {
    const server = js.createServer()
    await server.listen()
    const [found] = await peer.ask(`find_peer ${hex(server.publicKey)}`)
    check(Number(found) >= 3, `${found} records`)
    await server.close()
  })
  await test('ours on theirs: immutable values both ways', async () => {
    const value = randomBytes(200)
    const { hash } = await js.immutablePut(value)
    same(await peer.ask(`immutable_get ${hex(hash)}`), [hex(value)])
    const [ours] = await peer.ask(`immutable_put ${hex(Buffer.from('from C++'))}`)
    same((await js.immutableGet(Buffer.from(ours, 'hex'))).value.toString(), 'from C++')
  })
  await test('ours on theirs: mutable values both ways, sequence rules', async () => {
    const { seed, keyPair } = fresh()
    await js.mutablePut(keyPair, Buffer.from('one'), { seq: 1 })
    same(await peer.ask(`mutable_get ${hex(keyPair.publicKey)}`), ['1', hex(Buffer.from('one'))])
    await peer.ask(`mutable_put ${seed} 2 ${hex(Buffer.from('two'))}`)
    const got = await js.mutableGet(keyPair.publicKey)
    same([got.seq, got.value.toString()], [2, 'two'])
    same(await errorOf(peer.ask(`mutable_put ${seed} 2 00`)), 'SEQ_REUSED')
    same(await errorOf(peer.ask(`mutable_put ${seed} 1 00`)), 'SEQ_TOO_LOW')
  })
  await test('ours on theirs: a persistent node of ours enters JS tables and stores', async () => {
    const node = await new Peer('user', bootstrap, 'persistent').ready()
    same((await node.ask('info')).slice(1, 3), ['persistent', 'open'])
    await until(() => testnet.nodes.filter((n) => n.toArray().some((known) => known.port === node.port)).length >= 5, 'not in the tables')
    const { keyPair } = fresh()
    const announced = js.announce(seedOf('p'), keyPair, [])
    await announced.finished()
    check(announced.closestNodes.some((known) => known.port === node.port), 'is not among the storing nodes')
    const reply = await js.request({ command: 3, target: seedOf('p') }, { host: '127.0.0.1', port: node.port })
    check(reply.value && reply.value.includes(keyPair.publicKey), 'does not store the record')
    await node.close()
  })
  await peer.close()
  await testnet.destroy()
}

async function theirsOnOurs () {
  const ours = await new Peer('network', '12').ready()
  const bootstrap = [{ host: '127.0.0.1', port: ours.port }]
  const users = []
  const user = async (options = {}) => {
    const node = new DHT({ bootstrap, host: '127.0.0.1', ...options })
    users.push(node)
    await node.fullyBootstrapped()
    return node
  }
  const a = await user()
  const b = await user()
  const topic = seedOf('b')

  await test('theirs on ours: JS joins and learns its address', async () => {
    check(a.toArray().length >= 10, `table of ${a.toArray().length}`)
    same([a.ephemeral, a.host, a.port], [true, '127.0.0.1', a.address().port])
  })
  await test('theirs on ours: announce, lookup, unannounce', async () => {
    const { keyPair } = fresh()
    const announced = a.announce(topic, keyPair, [{ host: '127.0.0.1', port: 7 }])
    await announced.finished()
    check(announced.closestNodes.length >= 10, `${announced.closestNodes.length} nodes store it`)
    same(await keysFound(b.lookup(topic)), [hex(keyPair.publicKey)])
    same(await ours.ask(`lookup ${hex(topic)}`), [`${hex(keyPair.publicKey)}/1`])
    await a.unannounce(topic, keyPair)
    same(await keysFound(b.lookup(topic)), [])
  })
  await test('theirs on ours: a bump travels', async () => {
    const { keyPair } = fresh()
    const bump = Date.now()
    await a.announce(seedOf('bump'), keyPair, [], { bump }).finished()
    for await (const reply of b.lookup(seedOf('bump'))) same(reply.bump, bump)
  })
  await test('theirs on ours: thirty peers of a topic are all found', async () => {
    const keys = []
    for (let i = 0; i < 30; i++) {
      const { keyPair } = fresh()
      keys.push(hex(keyPair.publicKey))
      await a.announce(seedOf('thirty'), keyPair, []).finished()
    }
    same(await keysFound(b.lookup(seedOf('thirty'))), keys.sort())
  })
  await test('theirs on ours: a listening server is found, and gone after close', async () => {
    const server = a.createServer()
    await server.listen()
    const key = server.publicKey
    check(await peersFound(b.findPeer(key)) >= 3, 'records')
    // The node asked may be one of the three that store the record: it does not ask itself.
    check(Number((await ours.ask(`find_peer ${hex(key)}`))[0]) >= 2, 'records for us')
    await server.close()
    same(await peersFound(b.findPeer(key)), 0)
  })
  await test('theirs on ours: immutable values', async () => {
    const value = randomBytes(900)
    const { hash } = await a.immutablePut(value)
    same(hex((await b.immutableGet(hash)).value), hex(value))
    same(await ours.ask(`immutable_get ${hex(hash)}`), [hex(value)])
  })
  await test('theirs on ours: mutable values, newest wins, stale refused', async () => {
    const { keyPair } = fresh()
    await a.mutablePut(keyPair, Buffer.from('one'), { seq: 1 })
    await b.mutablePut(keyPair, Buffer.from('three'), { seq: 3 })
    await a.mutablePut(keyPair, Buffer.from('two'), { seq: 2 })
    const got = await b.mutableGet(keyPair.publicKey)
    same([got.seq, got.value.toString()], [3, 'three'])
    same(await b.mutableGet(keyPair.publicKey, { seq: 4 }), null)
    same(await ours.ask(`mutable_get ${hex(keyPair.publicKey)}`), ['3', hex(Buffer.from('three'))])
  })
  await test('theirs on ours: tokens expire, JS is told', async () => {
    const { keyPair } = fresh()
    const reply = await a.request({ command: 3, target: topic }, bootstrap[0])
    check(reply.token && reply.token.length === 32, 'token')
    const refused = await a.request({ command: 4, target: topic, token: randomBytes(32), value: keyPair.publicKey }, bootstrap[0])
    same([refused.error, refused.token.length], [2, 32])
  })
  await test('theirs on ours: a persistent JS node enters our tables and stores', async () => {
    const node = await user({ ephemeral: false, firewalled: false })
    same(node.ephemeral, false)
    await until(async () => Number((await ours.ask(`knows ${node.address().port}`))[0]) >= 5, 'not in the tables')
    const { seed, keyPair } = fresh()
    await ours.ask(`announce ${hex(seedOf('store'))} ${seed} clear`)
    const reply = await a.request({ command: 3, target: seedOf('store') }, { host: '127.0.0.1', port: node.address().port })
    check(reply.value && reply.value.includes(keyPair.publicKey), 'does not store the record')
  })
  for (const node of users) await node.destroy({ force: true })
  await ours.close()
}

await oursOnTheirNetwork()
await theirsOnOurs()
console.log(failures === 0 ? 'all passed' : `${failures} failed`)
process.exit(failures === 0 ? 0 : 1)
