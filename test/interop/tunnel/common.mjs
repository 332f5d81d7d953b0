// What the parts of the tunnel peer share: limits, names of protocols, lines on standard output.
import { PROTOCOL } from './link.mjs'

export const OPEN_TIMEOUT_MS = 15000
export const MAX_STREAM_BODY = 61440

/** One JSON object a line. */
export function say (event, more = {}) {
  process.stdout.write(JSON.stringify({ event, ...more }) + '\n')
}

export function protocolNumber (protocol) {
  return String(protocol ?? 'tcp').toLowerCase() === 'udp' || protocol === PROTOCOL.udp ? PROTOCOL.udp : PROTOCOL.tcp
}

export function protocolName (protocol) { return protocol === PROTOCOL.udp ? 'udp' : 'tcp' }

export function openBody (gatePort, protocol) {
  const body = Buffer.alloc(5)
  body.writeUInt32BE(gatePort)
  body[4] = protocol
  return body
}
