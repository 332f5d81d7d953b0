// A channel: one local socket and one id on a link.
import { ACTION, PROTOCOL } from './link.mjs'
import { MAX_STREAM_BODY } from './common.mjs'

const HIGH_WATER = 8 * 1024 * 1024

/** Pieces of at most 60 KiB, one message each. */
function * pieces (data) {
  for (let at = 0; at < data.length; at += MAX_STREAM_BODY) yield data.subarray(at, at + MAX_STREAM_BODY)
}

export class Channel {
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
