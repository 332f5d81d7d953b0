// A private network of our own nodes alone: 50 of them, members that join through any of them, and a scan.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { binary, freePort, gateOpen, get, newSecret, run, service, startDht, startGateway, startProvider, startWeb } from './harness.mjs'

test('50 DHT nodes: members announced through one are found through another, and scan lists them', async (t) => {
  const network = await startDht(50)
  const web = await startWeb('found')
  t.after(() => web.stop())
  const addresses = network.nodes.map((node) => node.lines.join('\n').match(/listening on (127\.0\.0\.1:\d+)/)[1])
  const secret = await newSecret()
  const gate = await freePort()
  const provider = startProvider({ bootstrap: addresses[17] }, secret, [service(gate, web.port)])
  const gateway = startGateway({ bootstrap: addresses[42] }, secret)
  await gateOpen(gateway, gate)
  assert.equal((await get(gate)).toString(), 'found')

  const scan = await run(binary, ['scan', secret, '--json', '--bootstrap', addresses[5]])
  assert.equal(scan.status, 0, scan.stderr)
  const { peers } = JSON.parse(scan.stdout)
  assert.deepEqual(peers.map((peer) => peer.role).sort(), ['gateway', 'provider'])
  assert.ok(peers.every((peer) => /^127\.0\.0\.1:\d+$/.test(peer.address) && peer.rttMs >= 0))
  assert.deepEqual(peers.find((peer) => peer.role === 'provider').routes, [`${gate}/tcp 127.0.0.1:${web.port}`])

  const [, name] = provider.lines.join('\n').match(/router ([0-9a-f]{64}) joined/)
  const byName = await run(binary, ['scan', name, '--bootstrap', addresses[9]])
  assert.equal(byName.status, 0, byName.stderr)
  assert.match(byName.stdout, /2 peers/)
})
