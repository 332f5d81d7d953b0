// Our program beside the JavaScript tunnel peer (built on the reference packages), in both pairings.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import dgram from 'node:dgram'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { Process, freePort, gateOpen, get, inTime, modules, newSecret, root, run, scratch, service, startDht, startGateway, startProvider, stopAll, untilWorks, within } from './harness.mjs'
import { startNginx } from './servers.mjs'

const files = scratch()
let network, nginx, half, udp

function javascriptPeer (role, secret, options) {
  const args = [path.join(root, 'test/interop/tunnel/peer.mjs'), '--role', role, '--router', secret, '--bootstrap', network.bootstrap, '--modules', modules]
  if (options.services) {
    writeFileSync(files.path(`${role}.json`), JSON.stringify(options.services))
    args.push('--services', files.path(`${role}.json`))
  }
  if (role === 'gateway') args.push('--listen', '127.0.0.1')
  return new Process('node', args, { name: `javascript ${role}` })
}

before(async () => {
  nginx = await startNginx(files)
  half = net.createServer({ allowHalfOpen: true }, (socket) => {
    const hash = createHash('sha256')
    socket.on('data', (part) => hash.update(part))
    socket.on('end', () => socket.end(hash.digest('hex')))
    socket.on('error', () => {})
  }).listen(0, '127.0.0.1')
  await once(half, 'listening')
  udp = dgram.createSocket('udp4')
  udp.on('message', (message, from) => udp.send(message, from.port, from.address))
  udp.bind(0, '127.0.0.1')
  await once(udp, 'listening')
  network = await startDht()
})

after(async () => {
  const statuses = await stopAll(network, nginx)
  half?.close()
  udp?.close()
  files.remove()
  assert.deepEqual(statuses, [[0, 0, 0], 0])
})

async function services () {
  const gates = { web: await freePort(), half: await freePort(), udp: await freePort(), refused: await freePort() }
  const list = [service(gates.web, nginx.port), service(gates.half, half.address().port), service(gates.udp, udp.address().port, 'udp'),
    service(gates.refused, await freePort())]
  return { gates, list }
}

// Sends everything, half-closes, and reads the answer to the end.
async function exchange (port, data, limitMs) {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  socket.end(data)
  try {
    return Buffer.concat(await inTime(socket.toArray(), limitMs, `end of the answer from port ${port}`)).toString()
  } finally {
    socket.destroy()
  }
}

async function prove (t, gates) {
  assert.equal((await get(gates.web, '/small.html')).toString(), 'a small page\n')
  const parallel = await run('ab', ['-q', '-k', '-n', '2000', '-c', '50', `http://127.0.0.1:${gates.web}/small.html`])
  assert.match(parallel.stdout, /Failed requests:\s+0/, parallel.stderr)

  writeFileSync(nginx.www + '/large.bin', randomBytes(64 << 20))
  const [down, straight] = await Promise.all([get(gates.web, '/large.bin', 60000), get(nginx.port, '/large.bin')])
  assert.ok(down.equals(straight), '64 MiB down')
  const up = randomBytes(64 << 20)
  assert.equal(await exchange(gates.half, up, 60000), createHash('sha256').update(up).digest('hex'), '64 MiB up, half-closed, answered')

  const socket = dgram.createSocket('udp4')
  t.after(() => socket.close())
  for (const size of [1, 512, 1400, 9000, 61440]) {
    const sent = randomBytes(size)
    const answer = once(socket, 'message')
    socket.send(sent, gates.udp, '127.0.0.1')
    const got = await within(answer, 5000)
    assert.ok(got && got[0].equals(sent), `a datagram of ${size} bytes`)
  }
}

// A client of a service that refuses connections is told so, and does not wait for a time-out.
async function refusedSoon (port, limitMs) {
  const socket = net.connect(port, '127.0.0.1')
  socket.on('error', () => {})
  const start = performance.now()
  await within(once(socket, 'close'), limitMs)
  assert.ok(socket.closed, `still open after ${limitMs} ms`)
  return performance.now() - start
}

test('our gateway, a JavaScript provider', async (t) => {
  const { gates, list } = await services()
  const secret = await newSecret()
  const provider = javascriptPeer('provider', secret, { services: list })
  const gateway = startGateway(network, secret)
  for (const port of Object.values(gates)) await gateOpen(gateway, port)
  await prove(t, gates)
})

test('our provider, a JavaScript gateway', async (t) => {
  const { gates, list } = await services()
  const secret = await newSecret()
  const provider = startProvider(network, secret, list)
  const gateway = javascriptPeer('gateway', secret, {})
  for (const port of Object.values(gates)) await gateway.line(new RegExp(`"gate".*${port}`))
  await prove(t, gates)
})

test('our own pair: the same proof, and a refused service says so at once', async (t) => {
  const { gates, list } = await services()
  const secret = await newSecret()
  const provider = startProvider(network, secret, list)
  const gateway = startGateway(network, secret)
  for (const port of Object.values(gates)) await gateOpen(gateway, port)
  await prove(t, gates)
  await refusedSoon(gates.refused, 5000)
})

test('a JavaScript provider and ours share one gate', async () => {
  const gate = await freePort()
  const secret = await newSecret()
  const list = [service(gate, nginx.port)]
  const ours = startProvider(network, secret, list)
  const theirs = javascriptPeer('provider', secret, { services: list })
  const gateway = startGateway(network, secret)
  await gateOpen(gateway, gate)
  await untilWorks(async () => assert.equal(gateway.lines.filter((line) => /provider \w+ joined/.test(line)).length, 2))
  assert.equal((await get(gate, '/small.html')).toString(), 'a small page\n')
  await ours.stop()
  await untilWorks(() => get(gate, '/small.html'))  // theirs may not have advertised yet: it does so every 5 s
  for (let i = 0; i < 5; i++) assert.equal((await get(gate, '/small.html', 20000)).toString(), 'a small page\n')
})
