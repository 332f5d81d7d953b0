// Ports for what is opened later: free for TCP and UDP now, and none given twice to a process.
import { randomInt } from 'node:crypto'
import dgram from 'node:dgram'
import net from 'node:net'

// Below those the kernel gives (net.ipv4.ip_local_port_range, 32768 up unless set): no neighbour's connection takes one in the meantime.
const FIRST = 10000
const END = 32768
let next = randomInt(FIRST, END)  // another one in each of the processes that run beside this one

export async function freePort () {
  for (;;) {
    const port = next
    next = next + 1 < END ? next + 1 : FIRST
    if (await isFree(port)) return port
  }
}

/** The first of two in a row. */
export async function freePair () {
  let first = await freePort()
  for (;;) {
    const second = await freePort()
    if (second === first + 1) return first
    first = second
  }
}

async function isFree (port) {
  const server = net.createServer()
  const socket = dgram.createSocket('udp4')
  const both = await Promise.all([bound(server, () => server.listen(port, '0.0.0.0')), bound(socket, () => socket.bind(port, '0.0.0.0'))])
  await Promise.all([closed(server), closed(socket)])
  return both.every(Boolean)
}

function bound (one, begin) {
  const answer = new Promise((resolve) => one.once('listening', () => resolve(true)).once('error', () => resolve(false)))
  begin()
  return answer
}

function closed (one) { return new Promise((resolve) => one.close(resolve)) }
