// As a unit of systemd with Type=notify: what the service manager's socket hears, with Python in the place of systemd.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Process, freePort, gateOpen, hypergate, newSecret, scratch, service, startDht, stopAll } from './harness.mjs'

const files = scratch()
let network

before(async () => { network = await startDht(2) })
after(async () => {
  assert.deepEqual(await stopAll(network), [[0, 0]])
  files.remove()
})

/** Prints what it hears on a datagram socket, a line each; '@' as systemd writes an abstract name. */
async function startManager (socket) {
  const manager = new Process('python3', ['-uc', `
import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind('${socket}'.replace('@', '\\0'))
print('listening')
while True: print(s.recv(4096).decode().strip().replace('\\n', ' | '))`])
  await manager.line(/listening/)
  return manager
}

function start (args, socket, env = {}) {
  return hypergate([...args, '--bootstrap', network.bootstrap], { env: { NOTIFY_SOCKET: socket, ...env } })
}

test('a gateway and a provider are ready without anybody, and say who came and what is open', async () => {
  const [secret, gate, taken] = [await newSecret(), await freePort(), await freePort()]
  const [first, second] = [files.path('first'), `@hypergate-test-${process.pid}`]
  const [ofGateway, ofProvider] = [await startManager(first), await startManager(second)]
  const nowhere = `127.0.0.1:${taken}`
  const lonely = hypergate(['gateway', '--bootstrap', nowhere], { env: { NOTIFY_SOCKET: first, HYPERGATE_ROUTER: secret } })
  await ofGateway.line(/^READY=1 \| STATUS=peers: 0, gates open: 0, no DHT node answers$/)
  assert.equal(await lonely.stop(), 0)
  await ofGateway.line(/^STOPPING=1 \| STATUS=stopping, channels open: 0$/)

  const heard = ofGateway.lines.length
  const gateway = start(['gateway'], first, { HYPERGATE_ROUTER: secret })
  await ofGateway.line(/^READY=1/, 30000, heard)
  const provider = start(['provider', JSON.stringify([service(gate, 1)])], second, { HYPERGATE_ROUTER: secret, WATCHDOG_USEC: '500000' })
  await ofProvider.line(/^READY=1 \| STATUS=peers: \d, services offered: 1/)
  await ofProvider.line(/^WATCHDOG=1$/)
  await gateOpen(gateway, gate)
  await ofGateway.line(/^READY=1 \| STATUS=peers: 1, gates open: 1$/, 30000, heard)
  await ofProvider.line(/^READY=1 \| STATUS=peers: 1, services offered: 1$/)
  assert.deepEqual(await stopAll(gateway, provider), [0, 0])
  await ofProvider.line(/^STOPPING=1/)
  await stopAll(ofGateway, ofProvider)
})

test('a DHT node too, and a socket that is not there stops nobody', async () => {
  const socket = files.path('dht')
  const manager = await startManager(socket)
  const node = start(['dht', '--host', '127.0.0.1', '--port', '0'], socket)
  await manager.line(/^READY=1 \| STATUS=in touch with other DHT nodes$/)
  assert.equal(await node.stop(), 0)
  await manager.line(/^STOPPING=1/)
  await manager.stop()
  const deaf = start(['dht', '--host', '127.0.0.1', '--port', '0'], socket)
  await deaf.line(/"ready/)
  assert.equal(await deaf.stop(), 0)
})
