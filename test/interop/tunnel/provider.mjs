// The provider: advertises its services on every tick, and connects to one for each channel.
import dgram from 'node:dgram'
import net from 'node:net'
import { Channel } from './channel.mjs'
import { MAX_STREAM_BODY, OPEN_TIMEOUT_MS, openBody, protocolNumber, say } from './common.mjs'
import { ACTION, PROTOCOL } from './link.mjs'

export class Provider {
  constructor (services, connectTimeoutMs = OPEN_TIMEOUT_MS) {
    this.services = services
    this.connectTimeoutMs = connectTimeoutMs
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
    socket.setTimeout(this.connectTimeoutMs, () => { if (!channel.open) failed(new Error('connect timed out')) })
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
