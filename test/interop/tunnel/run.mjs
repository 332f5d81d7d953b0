// Tunnels between our program and the JavaScript tunnel peer, all four pairings, on loopback and a private DHT:
//
//   node run.mjs --hypergate <binary> --modules <node_modules> [--pair native-js] [--mib 64]       (pair = provider-gateway)
//
// One line per check; exits 1 when any fails. Every wait has a deadline.
import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import dgram from 'node:dgram'
import fs from 'node:fs'
import http from 'node:http'
import { createRequire } from 'node:module'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import readline from 'node:readline'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../support/ports.mjs'

const here = path.dirname(fileURLToPath(import.meta.url))
const words = process.argv.slice(2)
const options = {}
for (let i = 0; i + 1 < words.length; i += 2) options[words[i].replace(/^--/, '')] = words[i + 1]
const modules = path.resolve(options.modules ?? path.join(here, '../node_modules'))
const require = createRequire(path.join(modules, 'index.js'))
const createTestnet = require('hyperdht/testnet')
const BULK = Number(options.mib ?? 64) * 1024 * 1024
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'hypergate-interop-'))
const children = new Set()

function within (promise, what, ms = 30000) {
  let timer
  const late = new Promise((resolve, reject) => { timer = setTimeout(() => reject(new Error(`no ${what} within ${ms} ms`)), ms) })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

async function until (probe, what, ms = 60000) {
  const deadline = Date.now() + ms
  while (!await probe()) {
    if (Date.now() > deadline) throw new Error(`no ${what} within ${ms} ms`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

function listening (server, ...where) {
  return new Promise((resolve, reject) => server.once('error', reject).listen(...where, () => resolve(server.address().port)))
}

// ── what is tunnelled ──

/** An HTTP page, a server that answers a half-closed upload with its hash, one that sends BULK bytes, a UDP echo, and a port that refuses. */
async function startServices () {
  const bulk = randomBytes(BULK)
  const page = http.createServer((request, response) => response.end(`page ${request.url}`))
  page.keepAliveTimeout = 60000
  const sink = net.createServer({ allowHalfOpen: true }, (socket) => {
    const hash = createHash('sha256')
    socket.on('error', () => {})
    socket.on('data', (data) => hash.update(data))
    socket.on('end', () => socket.end(hash.digest('hex')))
  })
  const source = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {})
    socket.end(bulk)
  })
  const udp = dgram.createSocket('udp4')
  udp.on('message', (data, from) => udp.send(data, from.port, from.address, () => {}))
  await new Promise((resolve) => udp.bind(0, '127.0.0.1', resolve))
  const ports = {
    page: await listening(page, 0, '127.0.0.1'),
    sink: await listening(sink, 0, '127.0.0.1'),
    source: await listening(source, 0, '127.0.0.1'),
    refused: await freePort(),
    udp: udp.address().port
  }
  return { bulk, ports, hash: createHash('sha256').update(bulk).digest('hex') }
}

async function serviceFile (ports) {
  const gates = {}
  const list = []
  for (const [name, servicePort] of Object.entries(ports)) {
    gates[name] = await freePort()
    list.push({ gatePort: gates[name], serviceHost: '127.0.0.1', servicePort, protocol: name === 'udp' ? 'udp' : 'tcp' })
  }
  const file = path.join(scratch, `services-${gates.page}.json`)
  fs.writeFileSync(file, JSON.stringify(list))
  return { file, gates }
}

// ── the peers ──

class Peer {
  constructor (kind, role, { router, bootstrap, file }) {
    this.name = `${kind} ${role}`
    const common = ['--router', router, '--bootstrap', bootstrap]
    const args = kind === 'js'
      ? [process.execPath, path.join(here, 'peer.mjs'), '--role', role, ...common, '--modules', modules, '--host', '127.0.0.1',
          ...(role === 'provider' ? ['--services', file] : ['--listen', '127.0.0.1'])]
      : [options.hypergate, ...common, ...(role === 'provider' ? ['--provider', file] : ['--gateway', '--listen', '127.0.0.1'])]
    this.child = spawn(args[0], args.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] })
    this.lines = []
    for (const stream of [this.child.stdout, this.child.stderr]) {
      readline.createInterface({ input: stream }).on('line', (line) => this.lines.push(line))
    }
    this.exited = new Promise((resolve) => this.child.on('exit', (code, signal) => {
      children.delete(this)
      resolve(code ?? signal)
    }))
    children.add(this)
  }

  stop (signal = 'SIGTERM') {
    this.child.kill(signal)
    return within(this.exited, `exit of ${this.name}`, 15000)
  }
}

// ── the checks ──

function connect (port) {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    socket.once('connect', () => resolve(socket))
    socket.once('error', reject)
  })
}

function collect (socket) {
  return new Promise((resolve, reject) => {
    const parts = []
    socket.on('data', (data) => parts.push(data))
    socket.on('end', () => resolve(Buffer.concat(parts)))
    socket.on('error', reject)
  })
}

function get (port, url, agent) {
  return new Promise((resolve, reject) => {
    http.get({ port, host: '127.0.0.1', path: url, agent }, (response) => collect(response).then((body) => resolve(body.toString()), reject)).on('error', reject)
  })
}

async function gateIsOpen (port) {
  try {
    (await connect(port)).destroy()
    return true
  } catch {
    return false
  }
}

function expect (condition, what) { if (!condition) throw new Error(what) }

const checks = {
  async 'a page' ({ gates }) {
    expect(await get(gates.page, '/one', false) === 'page /one', 'another page')
  },
  async '200 requests on a kept connection' ({ gates }) {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
    for (let i = 0; i < 200; ++i) expect(await get(gates.page, `/${i}`, agent) === `page /${i}`, `request ${i}`)
    agent.destroy()
  },
  async '200 connections at once' ({ gates }) {
    const pages = await Promise.all(Array.from({ length: 200 }, (_, i) => get(gates.page, `/${i}`, false)))
    pages.forEach((page, i) => expect(page === `page /${i}`, `connection ${i}`))
  },
  async 'an upload, half-closed, answered' ({ gates, bulk, hash }) {
    const socket = await connect(gates.sink)
    const answer = collect(socket)
    socket.end(bulk)
    expect((await answer).toString() === hash, 'another hash')
  },
  async 'a download' ({ gates, hash }) {
    const socket = await connect(gates.source)
    const got = await collect(socket)
    socket.end()
    expect(createHash('sha256').update(got).digest('hex') === hash, `${got.length} bytes or another hash`)
  },
  async 'four downloads at once, one of them slow' ({ gates, hash }) {
    const slow = await connect(gates.source)
    slow.pause()
    const last = collect(slow)
    const others = await Promise.all(Array.from({ length: 3 }, () => connect(gates.source)))
    const first = Promise.all(others.map(collect))
    // Without credit per channel the slow one holds the others: let it begin before they must be done.
    setTimeout(() => slow.resume(), 1000)
    for (const got of [...await first, await last]) expect(createHash('sha256').update(got).digest('hex') === hash, 'another hash')
    for (const socket of [slow, ...others]) socket.destroy()
  },
  async 'a refused service closes its client' ({ gates, gatewayKind }) {
    const socket = await connect(gates.refused)
    const closed = new Promise((resolve) => socket.once('close', resolve).once('error', () => {}).once('end', () => socket.destroy()))
    socket.resume()
    // The JavaScript gateway goes on trying for a minute, as the specification's program does.
    if (gatewayKind === 'native') await within(closed, 'close of the client', 5000)
    else socket.destroy()
  },
  async 'datagrams of many sizes' ({ gates, bothNative }) {
    const socket = dgram.createSocket('udp4')
    const got = new Map()
    socket.on('message', (data) => got.set(data.length, data))
    await new Promise((resolve) => socket.connect(gates.udp, '127.0.0.1', resolve))
    const sizes = [1, 2, 100, 1200, 1500, 9000, 40000, 61439, 61440, ...(bothNative ? [0, 61441, 65000, 65507] : [])]
    for (const size of sizes) {
      const data = randomBytes(size)
      socket.send(data)
      await until(() => got.has(size), `datagram of ${size} bytes`, 10000)
      expect(got.get(size).equals(data), `datagram of ${size} bytes is another`)
    }
    if (!bothNative) {
      socket.send(randomBytes(61441))
      socket.send(randomBytes(3))
      await until(() => got.has(3), 'datagram behind one that is too large', 10000)
      expect([...got.keys()].every((size) => sizes.includes(size) || size === 3), 'a datagram was cut')
    }
    socket.close()
  }
}

async function runPair (pair, services) {
  const [providerKind, gatewayKind] = pair.split('-')
  const testnet = await createTestnet(4, { host: '127.0.0.1' })
  const router = randomBytes(32).toString('hex')
  const bootstrap = testnet.bootstrap.map(({ host, port }) => `${host}:${port}`).join(',')
  const { file, gates } = await serviceFile(services.ports)
  const started = Date.now()
  const provider = new Peer(providerKind, 'provider', { router, bootstrap, file })
  const gateway = new Peer(gatewayKind, 'gateway', { router, bootstrap, file })
  let failures = 0
  const report = (what, problem, ms) => {
    console.log(`${problem ? 'FAIL' : 'ok  '} ${pair}: ${what} (${ms} ms)${problem ? `: ${problem}` : ''}`)
    if (problem) failures++
  }
  try {
    await until(async () => await gateIsOpen(gates.page) && await gateIsOpen(gates.sink), 'open gate')
    report('gates open', null, Date.now() - started)
    const context = { ...services, gates, gatewayKind, bothNative: providerKind === 'native' && gatewayKind === 'native' }
    for (const [what, check] of Object.entries(checks)) {
      if (options.only && !what.includes(options.only)) continue
      const at = Date.now()
      const problem = await within(check(context), 'end', 120000).then(() => null, (error) => error.message)
      report(what, problem, Date.now() - at)
    }
    const at = Date.now()
    await provider.stop()
    await until(async () => !await gateIsOpen(gates.page), 'closed gate after the provider left', 60000)
    report('gates close when the provider leaves', null, Date.now() - at)
  } catch (error) {
    report('pairing', error.message, Date.now() - started)
  }
  for (const peer of [provider, gateway]) if (children.has(peer)) await peer.stop().catch(() => peer.stop('SIGKILL'))
  await testnet.destroy()
  if (failures > 0) for (const peer of [provider, gateway]) console.log([`--- ${peer.name}`, ...peer.lines.slice(-20)].join('\n'))
  return failures
}

const services = await startServices()
const pairs = options.pair ? options.pair.split(',') : ['js-js', 'js-native', 'native-js', 'native-native']
let failures = 0
for (const pair of pairs) {
  if (pair.includes('native') && !options.hypergate) {
    console.log(`skip ${pair}: no --hypergate given`)
    continue
  }
  failures += await runPair(pair, services)
}
for (const peer of children) peer.child.kill('SIGKILL')
fs.rmSync(scratch, { recursive: true })
console.log(failures === 0 ? 'all well' : `${failures} failed`)
process.exit(failures === 0 ? 0 : 1)
