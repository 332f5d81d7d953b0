// Run inside homes.
//   node traffic.mjs serve PORT       a service on 127.0.0.1: 'p' is answered with a page; 's' and what follows is echoed
//   node traffic.mjs run PORT [RATE]  through the gate: a long channel of seeded bytes, RATE a second, checked as they come back, and a
//                                     new request every 100 ms. Prints "request <began> <took>", "channel <bytes checked>" each second,
//                                     and "channel broken: …" at the first fault; SIGUSR2: stops sending, waits for the rest, "channel whole".
import { createHash } from 'node:crypto'
import net from 'node:net'

const PAGE = Buffer.alloc(24 * 1024, 'hypergate ')
const EVERY_MS = 100
const PATIENCE_MS = 20000
const TICK_MS = 50
const [verb, port, rate = '1000000'] = process.argv.slice(2)

if (verb === 'serve') serve()
else {
  setInterval(request, EVERY_MS)
  channel()
}

function serve () {
  net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {})
    socket.once('data', (first) => {
      if (first[0] === 0x70) return socket.end(PAGE)
      socket.write(first)
      socket.pipe(socket)
    })
  }).listen(Number(port), '127.0.0.1', () => console.log('serving'))
}

function request () {
  const began = Date.now()
  let got = 0
  const socket = net.connect(Number(port), '127.0.0.1')
  const patience = setTimeout(() => socket.destroy(), PATIENCE_MS)
  socket.on('connect', () => socket.write('p'))
  socket.on('data', (part) => { got += part.length })
  socket.on('error', () => {})
  socket.on('close', () => {
    clearTimeout(patience)
    if (got === PAGE.length) console.log(`request ${began} ${Date.now() - began}`)
  })
}

// What the byte at each position is, by a generator that both directions' ends can be checked against.
function * seeded () {
  let state = 0x9e3779b9
  for (;;) {
    state ^= state << 13; state ^= state >>> 17; state ^= state << 5
    yield state & 0xff
  }
}

function take (generator, count) {
  const out = Buffer.allocUnsafe(count)
  for (let i = 0; i < count; i++) out[i] = generator.next().value
  return out
}

function channel () {
  const source = seeded()
  const expected = seeded()
  const sentHash = createHash('sha256')
  const gotHash = createHash('sha256')
  let sent = 1
  let checked = 0
  let stopping = false
  const socket = net.connect(Number(port), '127.0.0.1')
  socket.setNoDelay(true)
  const broken = (why) => { console.log(`channel broken: ${why} after ${checked} bytes`); clearInterval(feed); socket.destroy() }
  const finish = () => {
    if (!stopping || checked !== sent) return
    const digest = gotHash.digest('hex')
    if (digest !== sentHash.digest('hex')) return broken('another SHA-256')
    console.log(`channel whole: ${checked} bytes, SHA-256 ${digest}`)
    process.exit(0)
  }
  const send = (part) => { sentHash.update(part); socket.write(part) }
  socket.once('connect', () => send('s'))
  const feed = setInterval(() => {
    if (stopping || socket.writableLength > 1 << 20) return
    const part = take(source, Math.round(Number(rate) * TICK_MS / 1000))
    sent += part.length
    send(part)
  }, TICK_MS)
  let first = true
  socket.on('data', (part) => {
    gotHash.update(part)
    if (first) { first = false; checked = 1; part = part.subarray(1) }
    if (!part.equals(take(expected, part.length))) return broken('other bytes than were sent')
    checked += part.length
    finish()
  })
  socket.on('error', (error) => broken(error.code))
  socket.on('close', () => broken('closed'))
  setInterval(() => console.log(`channel ${checked}`), 1000)
  process.on('SIGUSR2', () => { stopping = true; finish() })
}
