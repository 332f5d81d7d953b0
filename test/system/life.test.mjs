// What happens at night: members and DHT nodes killed and started again. Times are printed; the promise is a median under 3 s.
import assert from 'node:assert/strict'
import net from 'node:net'
import { once } from 'node:events'
import { hostname } from 'node:os'
import { after, before, test } from 'node:test'
import { freePort, gateOpen, get, hypergate, median, newSecret, service, startDht, startGateway, startProvider, startWeb, stopAll, untilWorks } from './harness.mjs'

const kPromiseMs = 3000
let network, web

before(async () => {
  network = await startDht(4)
  web = await startWeb('alive')
})
after(async () => {
  const statuses = await stopAll(network)
  web?.stop()
  assert.deepEqual(statuses, [[0, 0, 0, 0]])
})

function report (t, what, times) {
  t.diagnostic(`${what}: median ${Math.round(median(times))} ms of ${times.map(Math.round).join(', ')}`)
  assert.ok(median(times) < kPromiseMs, `${what}: median ${median(times)} ms`)
}

async function pair () {
  const secret = await newSecret()
  const gate = await freePort()
  const services = [service(gate, web.port)]
  const provider = startProvider(network, secret, services)
  const gateway = startGateway(network, secret)
  await gateOpen(gateway, gate)
  await get(gate)
  return { secret, gate, services, provider, gateway }
}

test('start to first byte on a warm network', async (t) => {
  const times = []
  for (let i = 0; i < 3; i++) {
    const start = performance.now()
    const { gate, provider, gateway } = await pair()
    times.push(performance.now() - start)
    assert.equal((await get(gate)).toString(), 'alive')
    await Promise.all([provider.stop(), gateway.stop()])
  }
  report(t, 'both started to first page', times)
})

test('provider killed and started again', async (t) => {
  const it = await pair()
  const times = []
  for (let i = 0; i < 3; i++) {
    await it.provider.stop('SIGKILL')
    it.provider = startProvider(network, it.secret, it.services)
    times.push(await untilWorks(() => get(it.gate, '/', 3000)))
  }
  await Promise.all([it.provider.stop(), it.gateway.stop()])
  report(t, 'provider back to page', times)
})

test('gateway killed and started again', async (t) => {
  const it = await pair()
  const times = []
  for (let i = 0; i < 3; i++) {
    await it.gateway.stop('SIGKILL')
    it.gateway = startGateway(network, it.secret)
    times.push(await untilWorks(() => get(it.gate, '/', 3000)))
  }
  await Promise.all([it.provider.stop(), it.gateway.stop()])
  report(t, 'gateway back to page', times)
})

// Resolves once the gateway has seen `count` providers come since its start.
async function providersSeen (gateway, count) {
  await untilWorks(async () => assert.ok(gateway.lines.filter((line) => /provider \w+ joined/.test(line)).length >= count))
}

test('two providers, one dies: new connections go to the other', async (t) => {
  const it = await pair()
  const times = []
  let second = startProvider(network, it.secret, it.services)
  for (let i = 0; i < 3; i++) {
    await providersSeen(it.gateway, 2 + i)
    await it.provider.stop('SIGKILL')
    times.push(await untilWorks(() => get(it.gate, '/', 3000)))
    ;[it.provider, second] = [second, startProvider(network, it.secret, it.services)]
  }
  await Promise.all([it.provider.stop(), second.stop(), it.gateway.stop()])
  report(t, 'one of two providers killed to page', times)
})

test('a provider that stops politely takes its gate with it at once, and another takes over at once', async (t) => {
  const it = await pair()
  const seen = it.gateway.lines.length
  assert.equal(await it.provider.stop(), 0)
  await it.gateway.line(/no more: .* open/, 3000, seen)
  await assert.rejects(get(it.gate, '/', 1000))
  await it.gateway.stop()
})

test('a provider that stops in the middle of an answer delivers all of it', async () => {
  const [secret, gate] = [await newSecret(), await freePort()]
  const part = Buffer.alloc(1 << 20, 'x')
  const source = net.createServer((socket) => {
    let left = 20
    const timer = setInterval(() => {
      socket.write(part)
      if (--left > 0) return
      clearInterval(timer)
      socket.end()
    }, 50)
  }).listen(0, '127.0.0.1')
  await once(source, 'listening')
  const provider = startProvider(network, secret, [service(gate, source.address().port)])
  const gateway = startGateway(network, secret)
  await gateOpen(gateway, gate)
  const client = net.connect(gate, '127.0.0.1')
  let bytes = 0
  let stopped
  client.on('data', (data) => {
    bytes += data.length
    stopped ??= provider.stop()
  })
  await once(client, 'end')
  assert.equal(bytes, 20 * part.length)
  assert.equal(await stopped, 0)
  source.close()
  await gateway.stop()
})

test('DHT nodes restarted one by one under traffic', async (t) => {
  const it = await pair()
  const socketErrors = []
  let pages = 0
  let running = true
  t.after(() => { running = false })
  const traffic = (async () => {
    while (running) {
      try {
        assert.equal((await get(it.gate, '/', 5000)).toString(), 'alive')
        pages++
      } catch (error) { socketErrors.push(error) }
    }
  })()
  for (let i = 0; i < network.nodes.length; i++) {
    const [, port] = network.nodes[i].lines.join('\n').match(/listening on 127\.0\.0\.1:(\d+)/)
    await network.nodes[i].stop('SIGKILL')
    const others = network.nodes.filter((_, at) => at !== i).map((node) => node.lines.join('\n').match(/listening on (127\.0\.0\.1:\d+)/)[1])
    network.nodes[i] = hypergate(['dht', '--host', '127.0.0.1', '--port', port, '--bootstrap', others.join(',')], { name: `dht ${i + 1}`, stays: true })
    await network.nodes[i].line(/"ready/)
  }
  // A newcomer finds the router through the renewed network.
  const second = startGateway(network, it.secret, { args: ['--listen', '127.0.0.2'] })
  await second.line(new RegExp(`127\\.0\\.0\\.2:${it.gate} open`))
  running = false
  await traffic
  assert.deepEqual(socketErrors, [], 'no request failed')
  t.diagnostic(`${pages} pages read meanwhile`)
  await Promise.all([it.provider.stop(), it.gateway.stop(), second.stop()])
})

test('a service that never answers its connect delays no other channel', async (t) => {
  // A listener whose queue is full: further connects hang.
  const stuck = net.createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 })
  await once(stuck, 'listening')
  const secret = await newSecret()
  const [deaf, gate] = [await freePort(), await freePort()]
  const sockets = []
  const hangUp = () => {
    for (const socket of sockets) socket.destroy()
    stuck.close()
  }
  t.after(hangUp)
  const connect = (port) => sockets.push(net.connect(port, '127.0.0.1').on('error', () => {}))
  for (let i = 0; i < 8; i++) connect(stuck.address().port)
  const provider = startProvider(network, secret, [service(deaf, stuck.address().port), service(gate, web.port)])
  const gateway = startGateway(network, secret)
  await gateOpen(gateway, gate)
  await gateOpen(gateway, deaf)
  for (let i = 0; i < 20; i++) connect(deaf)
  for (let i = 0; i < 10; i++) assert.equal((await get(gate, '/', 2000)).toString(), 'alive')
  hangUp()
})

test('a gate that does not open is a warning, and two providers that meet are no loss', async () => {
  const [secret, gate, port] = [await newSecret(), await freePort(), await freePort()]
  const services = [service(gate, web.port)]
  const first = startProvider(network, secret, services, { args: ['--metrics', `127.0.0.1:${port}`] })
  const second = startProvider(network, secret, services)
  const gateway = startGateway(network, secret, { args: ['--listen', '192.0.2.1'] })  // an address of documents, not ours
  await providersSeen(gateway, 2)
  await gateway.line(new RegExp(`"level":"warning","component":"gate","message":"tcp ${gate} not open: cannot listen on 192.0.2.1:${gate}`))
  for (const provider of [first, second]) await provider.line(/gateway \w+ joined/)
  const metrics = (await get(port, '/metrics')).toString()
  assert.match(metrics, /^hypergate_sessions_lost_total 0$/m)
  assert.match(metrics, /^hypergate_peers_silent{role="gateway"} 0$/m)
  for (const provider of [first, second]) assert.ok(!/banned|both are|left|lost/.test(provider.lines.join('\n')), provider.tail())
})

test('a gate does not take the port of its own service, whatever name the service has on this machine', async () => {
  const [secret, control, ...ports] = [await newSecret(), await freePort(), await freePort(), await freePort()]
  const hosts = [hostname(), 'LOCALHOST']  // known at once, and looked up
  const services = ports.map((port, at) => service(port, port, 'tcp', { serviceHost: hosts[at] }))
  startProvider(network, secret, [...services, service(control, web.port, 'tcp', { serviceHost: 'LOCALHOST' })])
  const gateway = startGateway(network, secret, { args: ['--listen', '0.0.0.0'] })
  await gateway.line(new RegExp(`0\\.0\\.0\\.0:${control} open`))
  for (const [at, port] of ports.entries()) {
    await gateway.line(new RegExp(`gate ${port}/tcp stays closed: it would be ${hosts[at]}:${port} itself`))
    const server = net.createServer().listen(port, '127.0.0.1')
    await once(server, 'listening')  // the service finds its port free
    server.close()
  }
  assert.equal((await get(control)).toString(), 'alive')
  assert.ok(!gateway.lines.some((line) => ports.some((port) => line.includes(`0.0.0.0:${port} open`))), gateway.tail())
})
