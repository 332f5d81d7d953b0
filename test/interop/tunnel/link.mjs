// Frames and messages on one encrypted connection, all integers big-endian:
//   length u32 ‖ action u8 ‖ error length u8 ‖ channel u32 ‖ body
export const ACTION = { hello: 0, open: 1, stream: 2, close: 3, advRoutes: 4, end: 5 }
export const PROTOCOL = { tcp: 0, udp: 1 }

const MAX_MESSAGE = 10 * 1024 * 1024
const HEADER = 10

export class Link {
  constructor (connection) {
    this.connection = connection
    this.channels = new Map()
    this.authorised = false
    this.gone = false
    this.full = false
    this.held = new Set() // sockets that wait for the connection
    this.slow = new Set() // sockets that the connection waits for
    this.parts = []
    this.have = 0
    this.onMessage = () => {}
    this.onUnknown = () => {}
    this.onGone = () => {}
    connection.on('data', (data) => this._data(data))
    connection.on('drain', () => this._drain())
    connection.on('error', () => {})
    connection.on('end', () => connection.end())
    connection.on('close', () => {
      this.gone = true
      this._release()
      this.onGone()
    })
  }

  send (action, channel, body = Buffer.alloc(0), errorLength = 0) {
    if (this.gone) return
    const frame = Buffer.allocUnsafe(HEADER + body.length)
    frame.writeUInt32BE(6 + body.length, 0)
    frame[4] = action
    frame[5] = errorLength
    frame.writeUInt32BE(channel, 6)
    body.copy(frame, HEADER)
    if (this.connection.write(frame) === false) this.full = true
  }

  stream (channel, data) { this.send(ACTION.stream, channel, data) }

  error (action, channel, text) {
    let json = Buffer.from(JSON.stringify(text))
    while (json.length > 255) {
      text = text.slice(0, -8)
      json = Buffer.from(JSON.stringify(text))
    }
    this.send(action, channel, json, json.length)
  }

  /** Reads no more from `socket` until the connection takes data again. */
  holdUntilDrain (socket) {
    socket.pause()
    this.held.add(socket)
  }

  /** Reads no more from the connection until `socket` has written what it holds. */
  holdForReader (socket) {
    if (this.slow.has(socket)) return
    this.slow.add(socket)
    this.connection.pause()
    const goOn = () => {
      if (!this.slow.delete(socket)) return
      socket.off('drain', goOn)
      socket.off('close', goOn)
      if (this.slow.size === 0) this.connection.resume()
    }
    socket.on('drain', goOn)
    socket.on('close', goOn)
  }

  _drain () {
    this.full = false
    this._release()
  }

  _release () {
    const sockets = [...this.held]
    this.held.clear()
    for (const socket of sockets) socket.resume()
  }

  _data (data) {
    this.parts.push(data)
    this.have += data.length
    while (this.have >= 4) {
      if (this.parts[0].length < 4) this.parts = [Buffer.concat(this.parts)]
      const length = this.parts[0].readUInt32BE(0)
      if (length > MAX_MESSAGE) return this.connection.destroy()
      if (this.have < 4 + length) return
      const all = this.parts.length === 1 ? this.parts[0] : Buffer.concat(this.parts)
      this.parts = all.length > 4 + length ? [all.subarray(4 + length)] : []
      this.have -= 4 + length
      this._message(all.subarray(4, 4 + length))
    }
  }

  _message (payload) {
    if (payload.length < 6) return
    const message = { action: payload[0], channel: payload.readUInt32BE(2), body: payload.subarray(6), error: null }
    if (message.action > ACTION.end) return this.onUnknown(message.action)
    if (payload[1] !== 0) {
      message.error = message.body.subarray(0, payload[1]).toString()
      try {
        message.error = JSON.parse(message.error)
      } catch {}
    } else if (message.action === ACTION.open) {
      if (message.body.length < 4) return
      message.gatePort = message.body.readUInt32BE(0)
      message.protocol = message.body[4] === PROTOCOL.udp ? PROTOCOL.udp : PROTOCOL.tcp
      try {
        message.fingerprint = JSON.parse(message.body.subarray(5).toString())
      } catch {}
    }
    this.onMessage(message)
  }
}
