// hypergate doctor: what it says of a network that works, of a router's members, and of one that does not answer.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { binary, freePort, gateOpen, newSecret, run, service, startDht, startGateway, startProvider, startWeb } from './harness.mjs'

test('doctor sees the network, the NAT, the path and the members of a router', async (t) => {
  const network = await startDht(4)
  const web = await startWeb('here')
  t.after(() => web.stop())
  const secret = await newSecret()
  const gate = await freePort()
  const provider = startProvider(network, secret, [service(gate, web.port)])
  const gateway = startGateway(network, secret)
  await gateOpen(gateway, gate)
  const env = { ...process.env, HYPERGATE_ROUTER: secret }

  const { status, stdout, stderr } = await run(binary, ['doctor', '--json', '--probe', '--bootstrap', network.bootstrap], { env })
  assert.equal(status, 0, stderr)
  const found = JSON.parse(stdout)
  assert.equal(found.udp, true)
  assert.equal(found.bootstrap.length, 1)
  assert.equal(found.bootstrap[0].address, network.bootstrap)
  assert.ok(found.bootstrap[0].rttMs >= 0)
  assert.equal(found.dht.health, 'online')
  assert.ok(found.dht.nodes >= 4, stdout)
  // Open when the quick firewall test was over in time.
  assert.match(found.nat.kind, /^(open|consistent)$/)
  assert.equal(found.nat.publicAddress, true)
  assert.ok(found.nat.seen.length >= 4 && found.nat.seen.every((seen) => seen.as === found.nat.seen[0].as), stdout)
  assert.equal(found.address, '127.0.0.1')
  assert.equal(found.mtu.path, 1500)
  assert.ok(found.mtu.interface > 1500, 'loopback takes more than Ethernet')
  assert.ok(found.socket.receiveBuffer > 0 && typeof found.socket.gso === 'boolean')
  assert.deepEqual(found.peers.map((peer) => peer.role).sort(), ['gateway', 'provider'])
  for (const peer of found.peers) {
    assert.ok(peer.rttMs > 0 && peer.pathMtu >= 1200 && peer.relayed === false && peer.loss >= 0, JSON.stringify(peer))
    assert.ok(Math.abs(peer.clockSkewMs) < 10000, JSON.stringify(peer))
  }

  const measured = found.peers.find((peer) => peer.role === 'provider')
  assert.ok(measured.upMbps > 10 && measured.downMbps > 10, JSON.stringify(measured))
  assert.equal(found.peers.find((peer) => peer.role === 'gateway').upMbps, null)

  const text = await run(binary, ['doctor', '--bootstrap', network.bootstrap], { env })
  assert.match(text.stdout, /^UDP +works$/m)
  assert.match(text.stdout, /^NAT +(open|consistent): no NAT/m)
  assert.match(text.stdout, /gateway +direct +127\.0\.0\.1:/)
  assert.ok(!(stdout + text.stdout + text.stderr).includes(secret), 'the secret is printed')

  const nobody = await run(binary, ['doctor', await newSecret(), '--bootstrap', network.bootstrap])
  assert.equal(nobody.status, 1)
  assert.match(nobody.stdout, /^! No member of this router answers/m)

  const alone = JSON.parse((await run(binary, ['doctor', '--json', '--bootstrap', network.bootstrap])).stdout)
  assert.equal(alone.peers, undefined)
})

test('doctor says that nothing answers, and what to do', async () => {
  const bootstrap = `127.0.0.1:${await freePort()}`
  const { status, stdout } = await run(binary, ['doctor', '--json', '--bootstrap', bootstrap])
  assert.equal(status, 1)
  const found = JSON.parse(stdout)
  assert.equal(found.udp, false)
  assert.equal(found.bootstrap[0].rttMs, null)
  assert.match(found.problems.join('\n'), /No answer over UDP.*Allow outgoing UDP/)
  const scan = await run(binary, ['scan', 'ab'.repeat(32), '--json', '--bootstrap', bootstrap])
  assert.equal(scan.status, 1)
  assert.match(scan.stderr, /no DHT node answers/)
  assert.equal((await run(binary, ['doctor', '--router', 'abc'])).status, 2)
  assert.match((await run(binary, ['doctor', '--probe'])).stderr, /--probe: measures the providers of a router/)
})
