// A tunnel peer of our own in JavaScript, written from the tunnel specification on the npm hyperswarm package: what our native
// gateway and provider are tested against. It does on the wire what the TypeScript program does (everything on a 5 s tick, no
// features beyond it), with TCP_NODELAY and half-open sockets.
//
//   node peer.mjs --role provider --router HEX --bootstrap HOST:PORT[,…] --services FILE --modules DIR
//   node peer.mjs --role gateway  --router HEX --bootstrap HOST:PORT[,…] [--listen IP] --modules DIR
//
// Further: --host IP (address the DHT sockets bind), --refresh MS (the tick, 5000), --connectTimeout MS.
// Prints one JSON object a line: ready, peer, gone, ban, gate, gate-closed, gate-failed, open, refused, dropped, error. Ends on SIGTERM.
import dgram from 'node:dgram'
import fs from 'node:fs'
import { createRequire } from 'node:module'
import net from 'node:net'
import path from 'node:path'
import { Link, ACTION, PROTOCOL } from './link.mjs'

const options = parseOptions(process.argv.slice(2))
const require = createRequire(path.join(path.resolve(options.modules), 'index.js'))
const Hyperswarm = require('hyperswarm')
const DHT = require('hyperdht')
const sodium = require('sodium-universal')

const TICK_MS = Number(options.refresh ?? 5000)
const ROUTE_EXPIRATION_MS = 120000
const OPEN_TIMEOUT_MS = 15000
const FIND_ROUTE_MS = 60000
const RETRY_MS = [100, 600]
const MAX_STREAM_BODY = 61440
const HIGH_WATER = 8 * 1024 * 1024
const UDP_IDLE_MS = 3600000

function parseOptions (words) {
  const found = {}
  for (let i = 0; i < words.length; i += 2) found[words[i].replace(/^--/, '')] = words[i + 1]
  const missing = ['role', 'router', 'modules'].filter((name) => !found[name])
  if (missing.length > 0 || !['provider', 'gateway'].includes(found.role) || !/^[0-9a-fA-F]{64}$/.test(found.router)) {
    console.error('usage: node peer.mjs --role provider|gateway --router HEX --bootstrap HOST:PORT --services FILE --listen IP --modules DIR')
    process.exit(2)
  }
  return found
}

function say (event, more = {}) {
  process.stdout.write(JSON.stringify({ event, ...more }) + '\n')
}

/** Pieces of at most 60 KiB, one message each. */
function * pieces (data) {
  for (let at = 0; at < data.length; at += MAX_STREAM_BODY) yield data.subarray(at, at + MAX_STREAM_BODY)
}

// ── who may speak ──

class Router {
  constructor (hex) {
    this.keys = DHT.keyPair(Buffer.from(hex, 'hex'))
    const salt = Buffer.alloc(16)
    sodium.crypto_generichash(salt, this.keys.secretKey)
    this.authKey = Buffer.alloc(64)
    sodium.crypto_pwhash(this.authKey, this.keys.secretKey, salt, sodium.crypto_pwhash_OPSLIMIT_INTERACTIVE,
      sodium.crypto_pwhash_MEMLIMIT_INTERACTIVE, sodium.crypto_pwhash_ALG_DEFAULT)
  }

  auth (sender, receiver, ms) {
    const stamp = Buffer.alloc(9)
    stamp[0] = 0x15
    stamp.writeBigInt64BE(BigInt(ms), 1)
    const mac = Buffer.alloc(64)
    sodium.crypto_generichash_batch(mac, [sender, receiver, this.keys.publicKey, stamp], this.authKey)
    return Buffer.concat([stamp, mac])
  }

  verify (auth, sender, receiver) {
    if (auth.length !== 73 || auth[0] !== 0x15) return false
    const ms = Number(auth.readBigInt64BE(1))
    if (ms === 0 || Date.now() - ms > 900000) return false
    return sodium.sodium_memcmp(auth, this.auth(sender, receiver, ms))
  }
}

// ── a channel: one local socket and one id on a link ──

class Channel {
  constructor (link, id, protocol) {
    this.link = link
    this.id = id
    this.protocol = protocol
    this.socket = null
    this.open = false
    this.early = [] // data for a socket that is not there yet
    this.ended = false // the other side half-closed
  }

  /** Relays a connected TCP socket. */
  attachTcp (socket) {
    this.socket = socket
    socket.setNoDelay(true)
    socket.setKeepAlive(true)
    socket.on('data', (data) => {
      if (this.gone) return
      for (const piece of pieces(data)) this.link.stream(this.id, piece)
      if (this.link.full) this.link.holdUntilDrain(socket)
    })
    socket.on('end', () => {
      if (!this.gone) this.link.send(ACTION.end, this.id)
    })
    socket.on('error', () => {})
    socket.on('close', () => this.closed(true))
    this.flush()
  }

  attachUdp (send, close) {
    this.sendDatagram = send
    this.closeDatagram = close
    this.touch()
    this.flush()
  }

  touch () { this.lastUse = Date.now() }

  flush () {
    for (const data of this.early.splice(0)) this.receive(data)
    if (this.ended && this.socket) this.socket.end()
  }

  receive (data) {
    if (this.protocol === PROTOCOL.udp) {
      this.touch?.()
      if (this.sendDatagram) this.sendDatagram(data)
      else if (this.early.length < 1000) this.early.push(Buffer.from(data))
      return
    }
    if (!this.socket) {
      this.early.push(Buffer.from(data))
      return
    }
    this.socket.write(data)
    // The specification's program closes such a channel; a test peer must not lose data of its own accord.
    if (this.socket.writableLength > HIGH_WATER) this.link.holdForReader(this.socket)
  }

  receiveEnd () {
    this.ended = true
    if (this.socket) this.socket.end()
  }

  /** tell: the other side does not know yet. */
  closed (tell) {
    if (this.gone) return
    this.gone = true
    if (tell) this.link.send(ACTION.close, this.id)
    this.link.channels.delete(this.id)
    if (this.socket) this.socket.end()
    this.closeDatagram?.()
    this.onGone?.()
  }
}

// ── provider ──

class Provider {
  constructor (services) {
    this.services = services
  }

  routes () {
    return this.services.map((service) => ({
      serviceHost: service.serviceHost,
      servicePort: service.servicePort,
      protocol: protocolNumber(service.protocol),
      gatePort: service.gatePort,
      ...(service.tags ? { tags: service.tags } : {}),
      routes: [],
      ...(service.ingressPolicy ? { ingressPolicy: service.ingressPolicy } : {})
    }))
  }

  tick (links) {
    const body = Buffer.from(JSON.stringify({ routes: this.routes() }))
    for (const link of links) link.send(ACTION.advRoutes, 0, body)
  }

  open (link, message) {
    const { gatePort, protocol } = message
    const service = this.services.find((s) => s.gatePort === gatePort && protocolNumber(s.protocol) === protocol)
    if (!service) {
      say('refused', { gatePort, why: 'no such service' })
      // The specification's program leaves the channel number out here.
      link.error(ACTION.open, 0, `Service not found ${gatePort}`)
      return
    }
    const channel = new Channel(link, message.channel, protocol)
    link.channels.set(channel.id, channel)
    say('open', { gatePort, channel: channel.id, fingerprint: message.fingerprint })
    const confirm = () => {
      channel.open = true
      link.send(ACTION.open, channel.id, openBody(gatePort, protocol))
    }
    if (protocol === PROTOCOL.udp) this.connectUdp(service, channel, confirm)
    else this.connectTcp(service, channel, confirm)
  }

  connectTcp (service, channel, confirm) {
    const socket = net.connect({ host: service.serviceHost, port: service.servicePort, allowHalfOpen: true })
    const failed = (error) => {
      if (channel.gone) return
      say('refused', { gatePort: service.gatePort, why: error.message })
      channel.link.error(ACTION.open, channel.id, error.message)
      channel.gone = true
      channel.link.channels.delete(channel.id)
      socket.destroy()
    }
    socket.once('error', failed)
    socket.setTimeout(Number(options.connectTimeout ?? OPEN_TIMEOUT_MS), () => { if (!channel.open) failed(new Error('connect timed out')) })
    socket.once('connect', () => {
      socket.off('error', failed)
      socket.setTimeout(0)
      if (channel.gone) return socket.destroy()
      confirm()
      channel.attachTcp(socket)
    })
  }

  connectUdp (service, channel, confirm) {
    const socket = dgram.createSocket(net.isIPv6(service.serviceHost) ? 'udp6' : 'udp4')
    socket.on('error', () => {})
    socket.on('message', (data) => {
      channel.touch()
      if (data.length > MAX_STREAM_BODY) return say('dropped', { bytes: data.length })
      channel.link.stream(channel.id, data)
    })
    channel.attachUdp((data) => socket.send(data, service.servicePort, service.serviceHost, () => {}), () => socket.close())
    confirm()
  }
}

// ── gateway ──

class Gateway {
  constructor (listen) {
    this.listen = listen
    this.entries = [] // {gatePort, serviceHost, servicePort, protocol, tags, routes: Map of link → expiry}
    this.gates = new Map()
    this.nextChannel = 0
  }

  learn (link, routes) {
    if (!Array.isArray(routes)) return
    const expires = Date.now() + ROUTE_EXPIRATION_MS
    const seen = new Set()
    for (const route of routes) {
      const { gatePort, serviceHost, servicePort, protocol = 0, tags, ingressPolicy } = route
      if (!Number.isInteger(gatePort) || typeof serviceHost !== 'string') continue
      let entry = this.entries.find((e) => e.gatePort === gatePort && e.serviceHost === serviceHost && e.protocol === protocol && e.tags === tags)
      if (!entry) {
        entry = { gatePort, serviceHost, servicePort, protocol, tags, routes: new Map(), turn: 0 }
        this.entries.push(entry)
      }
      entry.ingressPolicy = ingressPolicy
      entry.routes.set(link, expires)
      seen.add(entry)
    }
    for (const entry of this.entries) if (!seen.has(entry)) entry.routes.delete(link)
  }

  forget (link) {
    for (const entry of this.entries) entry.routes.delete(link)
  }

  tick () {
    const now = Date.now()
    for (const entry of this.entries) {
      for (const [link, expires] of entry.routes) if (expires <= now) entry.routes.delete(link)
    }
    this.entries = this.entries.filter((entry) => entry.routes.size > 0)
    const wanted = new Map(this.entries.map((entry) => [`${entry.gatePort}/${entry.protocol}`, entry]))
    for (const [key, gate] of this.gates) {
      if (wanted.has(key)) continue
      gate.close()
      this.gates.delete(key)
      say('gate-closed', { port: gate.gatePort, protocol: protocolName(gate.protocol) })
    }
    for (const [key, entry] of wanted) {
      if (!this.gates.has(key)) this.gates.set(key, entry.protocol === PROTOCOL.udp ? this.udpGate(key, entry) : this.tcpGate(key, entry))
    }
    for (const gate of this.gates.values()) gate.sweep?.(now)
  }

  failed (key, entry, error) {
    this.gates.delete(key) // tried again at the next tick
    say('gate-failed', { port: entry.gatePort, protocol: protocolName(entry.protocol), why: error.message })
  }

  tcpGate (key, { gatePort, protocol, serviceHost }) {
    const channels = new Set()
    const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (socket) => {
      socket.on('error', () => {})
      const search = this.search({ gatePort, protocol, client: socket.remoteAddress, clientPort: socket.remotePort, socket }, (channel) => {
        channels.add(channel)
        channel.onGone = () => channels.delete(channel)
        channel.attachTcp(socket)
        socket.resume()
      }, () => socket.destroy())
      socket.once('close', () => search.cancel())
    })
    server.on('error', (error) => this.failed(key, { gatePort, protocol }, error))
    server.listen(gatePort, this.listen, () => say('gate', { port: gatePort, protocol: 'tcp', host: serviceHost, address: this.listen }))
    return {
      gatePort,
      protocol,
      close: () => {
        server.close()
        for (const channel of channels) channel.closed(true)
      }
    }
  }

  udpGate (key, { gatePort, protocol, serviceHost }) {
    const flows = new Map()
    const socket = dgram.createSocket(net.isIPv6(this.listen) ? 'udp6' : 'udp4')
    socket.on('error', (error) => this.failed(key, { gatePort, protocol }, error))
    socket.on('message', (data, from) => {
      const name = `${from.address}|${from.port}`
      let flow = flows.get(name)
      if (!flow) {
        flow = { early: [], channel: null }
        flows.set(name, flow)
        this.search({ gatePort, protocol, client: from.address, clientPort: from.port }, (channel) => {
          flow.channel = channel
          channel.onGone = () => flows.delete(name)
          channel.attachUdp((answer) => socket.send(answer, from.port, from.address, () => {}), () => {})
          for (const datagram of flow.early.splice(0)) channel.link.stream(channel.id, datagram)
        }, () => flows.delete(name))
      }
      if (data.length > MAX_STREAM_BODY) return say('dropped', { bytes: data.length })
      if (flow.channel) {
        flow.channel.touch()
        flow.channel.link.stream(flow.channel.id, data)
      } else if (flow.early.length < 1000) {
        flow.early.push(data)
      }
    })
    socket.bind(gatePort, this.listen, () => say('gate', { port: gatePort, protocol: 'udp', host: serviceHost, address: this.listen }))
    const closeAll = () => { for (const flow of [...flows.values()]) flow.channel?.closed(true) }
    return {
      gatePort,
      protocol,
      close: () => {
        socket.close()
        closeAll()
      },
      sweep: (now) => {
        for (const flow of [...flows.values()]) if (flow.channel && now - flow.channel.lastUse > UDP_IDLE_MS) flow.channel.closed(true)
      }
    }
  }

  /** By turns over all providers of the gate's first service. */
  route (gatePort, protocol) {
    const owner = this.entries.find((e) => e.gatePort === gatePort && e.protocol === protocol && e.routes.size > 0)
    if (!owner) return null
    const links = [...owner.routes.keys()].filter((link) => link.authorised && !link.gone)
    if (links.length === 0) return null
    return { link: links[owner.turn++ % links.length], entry: owner }
  }

  search (request, opened, failed) {
    const started = Date.now()
    let timer = null
    let channel = null
    let over = false
    const stop = () => {
      over = true
      clearTimeout(timer)
    }
    const retry = () => {
      if (over) return
      if (Date.now() - started > FIND_ROUTE_MS) {
        stop()
        return failed()
      }
      timer = setTimeout(attempt, RETRY_MS[0] + Math.random() * (RETRY_MS[1] - RETRY_MS[0]))
    }
    const attempt = () => {
      const found = this.route(request.gatePort, request.protocol)
      if (!found) return retry()
      this.nextChannel = (this.nextChannel + 1) >>> 0 || 1
      channel = new Channel(found.link, this.nextChannel, request.protocol)
      found.link.channels.set(channel.id, channel)
      channel.onAnswer = (error) => {
        clearTimeout(timer)
        if (over) return
        if (error) {
          found.link.channels.delete(channel.id)
          say('refused', { gatePort: request.gatePort, why: error })
          return retry()
        }
        stop()
        channel.open = true
        opened(channel)
      }
      channel.onGone = () => channel.open || channel.onAnswer('closed')
      found.link.send(ACTION.open, channel.id, Buffer.concat([openBody(request.gatePort, request.protocol), this.fingerprint(request, channel)]))
      timer = setTimeout(() => {
        found.link.channels.delete(channel.id)
        retry()
      }, OPEN_TIMEOUT_MS)
    }
    attempt()
    return {
      cancel: () => {
        if (over) return
        stop()
        channel?.closed(true)
      }
    }
  }

  fingerprint ({ gatePort, protocol, client, clientPort }, channel) {
    const id = Buffer.alloc(16)
    sodium.randombytes_buf(id)
    const plain = client.replace(/^::ffff:/, '').replace(/%.*$/, '')
    return Buffer.from(JSON.stringify({
      id: id.toString('hex'),
      openedAt: Date.now(),
      protocol: protocolName(protocol),
      gatePort,
      channelPort: channel.id,
      source: { ip: plain, ipRaw: client, port: clientPort },
      gateway: { ip: this.listen, ipRaw: this.listen, port: gatePort }
    }))
  }
}

function protocolNumber (protocol) {
  return String(protocol ?? 'tcp').toLowerCase() === 'udp' || protocol === PROTOCOL.udp ? PROTOCOL.udp : PROTOCOL.tcp
}

function protocolName (protocol) { return protocol === PROTOCOL.udp ? 'udp' : 'tcp' }

function openBody (gatePort, protocol) {
  const body = Buffer.alloc(5)
  body.writeUInt32BE(gatePort)
  body[4] = protocol
  return body
}

// ── the process ──

const router = new Router(options.router)
const isGateway = options.role === 'gateway'
const role = isGateway ? new Gateway(options.listen ?? '127.0.0.1') : new Provider(readServices(options.services))
const links = new Set()

function readServices (file) {
  const parsed = JSON.parse(fs.readFileSync(file, 'utf8'))
  return Array.isArray(parsed) ? parsed : parsed.services
}

const bootstrap = (options.bootstrap ?? '').split(',').filter(Boolean).map((entry) => {
  const colon = entry.lastIndexOf(':')
  return { host: entry.slice(0, colon), port: Number(entry.slice(colon + 1)) }
})
const dht = new DHT({ ...(bootstrap.length > 0 ? { bootstrap } : {}), ...(options.host ? { host: options.host } : {}) })
const swarm = new Hyperswarm({ dht })

swarm.on('connection', (connection, info) => {
  const key = connection.remotePublicKey.toString('hex')
  const link = new Link(connection)
  const ban = (why) => {
    say('ban', { key, why })
    info.ban(true)
    connection.destroy()
  }
  link.send(ACTION.hello, isGateway ? 1 : 0, router.auth(swarm.keyPair.publicKey, connection.remotePublicKey, Date.now()))
  link.onMessage = (message) => {
    if (!link.authorised) {
      if (message.action !== ACTION.hello) return
      if (!router.verify(message.body, connection.remotePublicKey, swarm.keyPair.publicKey)) return ban('bad hello')
      link.remoteIsGateway = message.channel === 1
      if (!isGateway && !link.remoteIsGateway) return ban('both are providers')
      link.authorised = true
      links.add(link)
      say('peer', { key, gateway: link.remoteIsGateway })
      return
    }
    receive(link, message)
  }
  link.onUnknown = (action) => say('error', { why: `unknown action ${action}` })
  link.onGone = () => {
    links.delete(link)
    for (const channel of [...link.channels.values()]) channel.closed(false)
    if (isGateway) role.forget(link)
    if (link.authorised) say('gone', { key })
  }
})

function receive (link, message) {
  const channel = link.channels.get(message.channel)
  switch (message.action) {
    case ACTION.open:
      if (isGateway) channel?.onAnswer?.(message.error)
      else if (!message.error) role.open(link, message)
      break
    case ACTION.stream: channel?.receive(message.body); break
    case ACTION.end: channel?.receiveEnd(); break
    case ACTION.close:
      if (message.channel === 0) for (const each of [...link.channels.values()]) each.closed(false)
      else channel?.closed(false)
      break
    case ACTION.advRoutes:
      if (isGateway) {
        try {
          role.learn(link, JSON.parse(message.body.toString()).routes)
        } catch (error) {
          say('error', { why: error.message })
        }
      }
      break
  }
}

async function main () {
  const discovery = swarm.join(router.keys.publicKey, { client: true, server: true })
  await discovery.flushed()
  say('ready', { role: options.role, key: swarm.keyPair.publicKey.toString('hex') })
  while (true) {
    await discovery.refresh({ client: true, server: true }).catch((error) => say('error', { why: error.message }))
    role.tick(links)
    await new Promise((resolve) => setTimeout(resolve, TICK_MS))
  }
}

process.on('SIGTERM', () => process.exit(0))
process.on('SIGINT', () => process.exit(0))
main()
