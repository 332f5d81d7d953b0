// A UDP link between two ports on loopback: loses, duplicates and holds back datagrams, seeded. Either end sends to its own
// side's port; where the answers go is learned from the first datagram of that end, or given.
import dgram from 'node:dgram'

/** A small seeded generator (mulberry32): numbers in [0, 1). */
export function seeded (seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

export class Proxy {
  /** options: loss, duplicate, reorder (probabilities), maxSize (bytes), seed */
  static async open (options = {}) {
    const proxy = new Proxy(options)
    await proxy._bind()
    return proxy
  }

  constructor (options) {
    this.options = options
    this.random = seeded(options.seed ?? 1)
    this.blocked = false
    this.ports = [0, 0]      // of the proxy, per side
    this.targets = [0, 0]    // of the ends, per side
    this.sockets = [null, null]
    this.counts = { seen: 0, lost: 0 }
    this.largest = 0
  }

  async _bind () {
    for (const side of [0, 1]) {
      const socket = dgram.createSocket({ type: 'udp4', recvBufferSize: 4 << 20, sendBufferSize: 4 << 20 })
      this.sockets[side] = socket
      socket.on('message', (data, from) => this._forward(side, data, from))
      socket.on('error', () => {})
      await new Promise((resolve) => socket.bind(0, '127.0.0.1', resolve))
      this.ports[side] = socket.address().port
    }
  }

  _forward (side, data, from) {
    const { loss = 0, duplicate = 0, reorder = 0, maxSize = 65535 } = this.options
    if (this.targets[side] === 0) this.targets[side] = from.port
    this.counts.seen++
    this.largest = Math.max(this.largest, data.length)
    if (this.blocked || data.length > maxSize || this.random() < loss) {
      this.counts.lost++
      return
    }
    const other = 1 - side
    const send = () => {
      if (this.targets[other] !== 0 && this.sockets[other]) this.sockets[other].send(data, this.targets[other], '127.0.0.1')
    }
    if (this.random() < reorder) setTimeout(send, 2 + this.random() * 6)
    else send()
    if (this.random() < duplicate) setTimeout(send, 1)
  }

  close () {
    for (const socket of this.sockets) socket.close()
    this.sockets = [null, null]
  }
}
