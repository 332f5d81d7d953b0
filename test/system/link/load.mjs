// What runs at the ends of an emulated link.
//
//   node load.mjs serve HOST PORT STATS      a server: the first line of a connection says what it wants
//   node load.mjs fetch PORT DOWN UP         a client: that many bytes each way through 127.0.0.1:PORT; prints {"down": {…}, "up": {…}}
//
// Requests, a line each: "GET page" one small answer · "GET down BYTES" (0: without end) · "POST up" takes all, answers {"bytes", "sha256"}
// at the end.
// STATS is a Unix socket; each line it gets is answered with {"received": bytes of the latest upload so far}.
import { createHash } from 'node:crypto'
import net from 'node:net'
import { PAGE_BYTES, content, pour } from './traffic.mjs'

function serve (host, port, stats) {
  let received = 0
  const handle = (socket, request, rest) => {
    const [, verb, amount] = request.split(' ')
    if (verb === 'page') return socket.end(Buffer.alloc(PAGE_BYTES, 'p'))
    if (verb === 'down') return pour(socket, content(Number(amount))).then(() => socket.end())
    if (verb !== 'up') return socket.destroy()
    const hash = createHash('sha256')
    let bytes = 0
    const take = (data) => {
      bytes += data.length
      received = bytes
      hash.update(data)
    }
    take(rest)
    socket.on('data', take)
    socket.on('end', () => socket.end(JSON.stringify({ bytes, sha256: hash.digest('hex') })))
  }
  net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {})
    let head = Buffer.alloc(0)
    const read = (data) => {
      head = Buffer.concat([head, data])
      const end = head.indexOf(10)
      if (end < 0) return
      socket.off('data', read)
      handle(socket, head.subarray(0, end).toString(), head.subarray(end + 1))
    }
    socket.on('data', read)
  }).listen(port, host, () => console.log('serving'))
  net.createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', () => socket.write(JSON.stringify({ received }) + '\n'))
  }).listen(stats)
}

function connect (port) {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    socket.once('connect', () => resolve(socket))
  })
}

async function fetchDown (port, bytes) {
  const socket = await connect(port)
  const hash = createHash('sha256')
  let got = 0
  socket.write(`GET down ${bytes}\n`)
  for await (const data of socket) {
    got += data.length
    hash.update(data)
  }
  return { bytes: got, sha256: hash.digest('hex') }
}

async function fetchUp (port, bytes) {
  const socket = await connect(port)
  let answer = ''
  const answered = (async () => { for await (const data of socket) answer += data })()
  socket.write('POST up\n')
  await pour(socket, content(bytes))
  socket.end()
  await answered
  return JSON.parse(answer)
}

async function fetchBoth (port, down, up) {
  const timed = async (transfer, bytes) => {
    const start = performance.now()
    const result = await transfer(port, bytes)
    return { ...result, seconds: (performance.now() - start) / 1000 }
  }
  console.log(JSON.stringify({ down: await timed(fetchDown, down), up: await timed(fetchUp, up) }))
}

const [verb, ...words] = process.argv.slice(2)
if (verb === 'serve') serve(words[0], Number(words[1]), words[2])
if (verb === 'fetch') await fetchBoth(...words.map(Number))
