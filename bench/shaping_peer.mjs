// One end of a shaped connection, as a process of its own.
//   node shaping_peer.mjs serve                              prints PORT; "up" counts what it gets, "down" sends
//   node shaping_peer.mjs PORT ADDRESS up|down SKIP SECONDS  a client bound to ADDRESS
// Whoever receives prints {way, from, bytes, seconds}: what came in a window of SECONDS that begins SKIP seconds after the first byte.
import net from 'node:net'

const block = Buffer.alloc(65536, 7)

function pour (socket) {
  const write = () => { while (socket.write(block)) { /* until it is full */ } }
  socket.on('drain', write)
  write()
}

function count (socket, way, from, skip, seconds, done) {
  let bytes = 0
  let begun
  socket.on('data', (data) => {
    bytes += data.length
    if (begun !== undefined) return
    begun = setTimeout(() => {
      const [first, start] = [bytes, performance.now()]
      setTimeout(() => {
        console.log(JSON.stringify({ way, from, bytes: bytes - first, seconds: (performance.now() - start) / 1000 }))
        done()
      }, seconds * 1000)
    }, skip * 1000)
  })
}

if (process.argv[2] === 'serve') {
  const server = net.createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', (data) => {
      const [way, from, skip, seconds] = data.toString().split('\n')[0].split(' ')
      if (way === 'down') pour(socket)
      else count(socket, way, from, Number(skip), Number(seconds), () => socket.destroy())
    })
  }).listen(0, '127.0.0.1', () => console.log(server.address().port))
} else {
  const [port, localAddress, way, skip, seconds] = process.argv.slice(2)
  const socket = net.connect({ port: Number(port), host: '127.0.0.1', localAddress })
  socket.on('error', () => process.exit())
  socket.on('close', () => process.exit())
  socket.on('connect', () => {
    socket.write(`${way} ${localAddress} ${skip} ${seconds}\n`, () => {
      if (way === 'down') count(socket, way, localAddress, Number(skip), Number(seconds), () => process.exit())
      else pour(socket)
    })
  })
}
