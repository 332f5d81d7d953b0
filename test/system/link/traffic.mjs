// The bytes that cross an emulated link in tests and measurements.
import { createHash } from 'node:crypto'

export const PAGE_BYTES = 500
const CHUNK = 64 << 10
const STAMP = 8

/** The pieces of a stream in which no two are alike: misplaced, missing and repeated ones change the sum. */
export function * content (bytes) {
  const pattern = Buffer.alloc(CHUNK)
  for (let i = 0; i < CHUNK; i++) pattern[i] = (i * 167 + (i >> 8) * 13) & 255
  for (let at = 0; bytes === 0 || at < bytes; at += CHUNK) {
    const piece = Buffer.from(pattern.subarray(0, bytes === 0 ? CHUNK : Math.min(CHUNK, bytes - at)))
    if (piece.length >= STAMP) piece.writeBigUInt64BE(BigInt(at))
    yield piece
  }
}

export function sumOf (bytes) {
  const hash = createHash('sha256')
  for (const piece of content(bytes)) hash.update(piece)
  return hash.digest('hex')
}

/** Writes the pieces as the socket takes them; resolves when all are handed over, or the socket is gone. */
export async function pour (socket, pieces) {
  for (const piece of pieces) {
    if (socket.destroyed) return
    if (socket.write(piece)) continue
    await new Promise((resolve) => {
      const go = () => { socket.off('drain', go); socket.off('close', go); resolve() }
      socket.on('drain', go)
      socket.on('close', go)
    })
  }
}
