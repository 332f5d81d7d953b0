// Real programs through a tunnel of our own provider and gateway, on a private network of our DHT nodes.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import dgram from 'node:dgram'
import { once } from 'node:events'
import { closeSync, createReadStream, openSync, writeSync } from 'node:fs'
import net from 'node:net'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { freePort, gateOpen, median, newSecret, run, scratch, service, startDht, startGateway, startProvider, stopAll, within } from './harness.mjs'
import { startNginx, startPostgres, startRedis } from './servers.mjs'

const files = scratch()
const gates = {}
let network, provider, gateway, nginx, redis, postgres, halfCloser, pieces, dns, udpEcho

async function udpServer (answer) {
  const socket = dgram.createSocket({ type: 'udp4', recvBufferSize: 4 << 20 })
  socket.on('message', (message, from) => {
    const reply = answer(message)
    if (reply) socket.send(reply, from.port, from.address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return socket
}

// Answers any query for an A record with 192.0.2.7.
function answerDns (query) {
  const end = query.indexOf(0, 12) + 5
  const header = Buffer.from([query[0], query[1], 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0])
  const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7])
  return Buffer.concat([header, query.subarray(12, end), record])
}

before(async () => {
  nginx = await startNginx(files)
  redis = await startRedis(files)
  postgres = await startPostgres(files)
  halfCloser = net.createServer({ allowHalfOpen: true }, (socket) => {
    const parts = []
    socket.on('data', (part) => parts.push(part))
    socket.on('end', () => socket.end(`got ${Buffer.concat(parts).length} bytes\n`))
    socket.on('error', () => {})
  }).listen(0, '127.0.0.1')
  await once(halfCloser, 'listening')
  pieces = net.createServer((socket) => {
    socket.setNoDelay(true).on('error', () => {}).on('data', () => {
      socket.write('in two ')
      setTimeout(() => socket.write('pieces\n'), 1)
    })
  }).listen(0, '127.0.0.1')
  await once(pieces, 'listening')
  dns = await udpServer(answerDns)
  udpEcho = await udpServer((message) => message)
  for (const name of ['web', 'redis', 'postgres', 'half', 'pieces', 'dns', 'echo']) gates[name] = await freePort()

  network = await startDht()
  const secret = await newSecret()
  provider = startProvider(network, secret, [
    service(gates.web, nginx.port), service(gates.redis, redis.port), service(gates.postgres, postgres.port),
    service(gates.half, halfCloser.address().port), service(gates.pieces, pieces.address().port),
    service(gates.dns, dns.address().port, 'udp'), service(gates.echo, udpEcho.address().port, 'udp')])
  gateway = startGateway(network, secret)
  for (const port of Object.values(gates)) await gateOpen(gateway, port)
})

after(async () => {
  const statuses = [...await stopAll(gateway, provider), ...await stopAll(network, nginx, redis, postgres)]
  for (const server of [halfCloser, pieces, dns, udpEcho]) server?.close()
  files.remove()
  assert.deepEqual(statuses, [0, 0, [0, 0, 0], 0, 0, 0], 'all end with status 0')
})

test('a page with curl', async () => {
  const { stdout } = await run('curl', ['-sS', `http://127.0.0.1:${gates.web}/small.html`])
  assert.equal(stdout, 'a small page\n')
})

test('nginx: keep-alive and 200 parallel connections', async () => {
  for (const options of [['-k'], []]) {
    const result = await run('ab', ['-q', '-n', '10000', '-c', '200', ...options, `http://127.0.0.1:${gates.web}/small.html`])
    assert.match(result.stdout, /Complete requests:\s+10000/, result.stderr)
    assert.match(result.stdout, /Failed requests:\s+0/)
    assert.doesNotMatch(result.stdout, /Non-2xx/)
  }
})

function makeGigabyte (path) {
  const file = openSync(path, 'w')
  const hash = createHash('sha256')
  const block = Buffer.alloc(1 << 20)
  for (let i = 0; i < 1024; i++) {
    for (let at = 0; at < block.length; at += 4) block.writeUInt32LE(Math.imul(at + i * 0x9e3779b9, 0x85ebca6b) >>> 0, at)
    writeSync(file, block)
    hash.update(block)
  }
  closeSync(file)
  return hash.digest('hex')
}

async function sha256 (path) {
  const hash = createHash('sha256')
  for await (const part of createReadStream(path)) hash.update(part)
  return hash.digest('hex')
}

test('a 1 GiB file each way, compared by SHA-256', async () => {
  const sent = makeGigabyte(nginx.www + '/big.bin')
  const down = await run('curl', ['-sS', '-o', files.path('down.bin'), `http://127.0.0.1:${gates.web}/big.bin`])
  assert.equal(down.status, 0, down.stderr)
  assert.equal(await sha256(files.path('down.bin')), sent, 'download')
  const up = await run('curl', ['-sS', '-f', '-T', files.path('down.bin'), `http://127.0.0.1:${gates.web}/upload/up.bin`])
  assert.equal(up.status, 0, up.stderr)
  assert.equal(await sha256(nginx.www + '/upload/up.bin'), sent, 'upload')
})

test('redis-benchmark', async () => {
  const result = await run('redis-benchmark', ['-p', String(gates.redis), '-n', '20000', '-c', '50', '-d', '1000', '-t', 'set,get', '--csv'])
  assert.equal(result.status, 0, result.stderr)
  assert.match(result.stdout, /"SET"/)
  assert.match(result.stdout, /"GET"/)
})

test('pgbench', async () => {
  const to = ['-h', '127.0.0.1', '-p', String(gates.postgres), '-U', 'tester', 'postgres']
  const made = await run('pgbench', ['-q', '-i', '-s', '1', ...to])
  assert.equal(made.status, 0, made.stderr)
  const result = await run('pgbench', ['-c', '8', '-j', '2', '-t', '100', ...to])
  assert.match(result.stdout, /number of transactions actually processed: 800\/800/, result.stderr)
})

test('a half-closing client gets its answer (nc -N), ten times', async () => {
  for (let i = 0; i < 10; i++) {
    const result = await run('sh', ['-c', `printf hello | nc -N 127.0.0.1 ${gates.half}`])
    assert.equal(result.stdout, 'got 5 bytes\n')
  }
})

// Without TCP_NODELAY at either end the second piece waits for an acknowledgement, which its receiver puts off: 40 ms each.
test('answers in two pieces do not wait', async () => {
  const socket = net.connect(gates.pieces, '127.0.0.1')
  const answers = createInterface({ input: socket })[Symbol.asyncIterator]()
  const times = []
  for (let i = 0; i < 50; i++) {
    const began = performance.now()
    socket.write('?')
    assert.equal((await answers.next()).value, 'in two pieces')
    times.push(performance.now() - began)
  }
  socket.destroy()
  assert.ok(median(times) < 20, `${median(times)} ms`)
})

test('DNS over UDP', async () => {
  const result = await run('dig', ['+short', '+tries=1', '+time=5', '-p', String(gates.dns), '@127.0.0.1', 'example.org', 'A'])
  assert.equal(result.stdout.trim(), '192.0.2.7', result.stderr)
})

async function echoed (socket, size, limitMs) {
  const sent = Buffer.alloc(size, size & 0xff)
  const answer = once(socket, 'message')
  socket.send(sent, gates.echo, '127.0.0.1')
  const got = await within(answer, limitMs)
  if (!got) return 'lost'
  assert.ok(got[0].equals(sent), `a datagram of ${size} bytes came back as ${got[0].length}`)
  return 'whole'
}

test('UDP datagrams of every size come back whole', async (t) => {
  const socket = dgram.createSocket({ type: 'udp4', recvBufferSize: 4 << 20 })
  t.after(() => socket.close())
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const largest = 65507  // of a UDP payload over IPv4
  for (let size = 0; size <= largest; size++) assert.equal(await echoed(socket, size, 5000), 'whole', `${size} bytes`)
})
