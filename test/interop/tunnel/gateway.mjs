// The gateway: opens the gates that providers advertise, and finds a provider for each client.
import { randomBytes } from 'node:crypto'
import dgram from 'node:dgram'
import net from 'node:net'
import { Channel } from './channel.mjs'
import { MAX_STREAM_BODY, OPEN_TIMEOUT_MS, openBody, protocolName, say } from './common.mjs'
import { ACTION, PROTOCOL } from './link.mjs'

const ROUTE_EXPIRATION_MS = 120000
const FIND_ROUTE_MS = 60000
const RETRY_MS = [100, 600]
const UDP_IDLE_MS = 3600000

export class Gateway {
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
    const plain = client.replace(/^::ffff:/, '').replace(/%.*$/, '')
    return Buffer.from(JSON.stringify({
      id: randomBytes(16).toString('hex'),
      openedAt: Date.now(),
      protocol: protocolName(protocol),
      gatePort,
      channelPort: channel.id,
      source: { ip: plain, ipRaw: client, port: clientPort },
      gateway: { ip: this.listen, ipRaw: this.listen, port: gatePort }
    }))
  }
}
