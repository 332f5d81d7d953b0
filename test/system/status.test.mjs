// What a running process says of itself: GET /status, the page at /, and `hypergate status`.
import assert from 'node:assert/strict'
import dgram from 'node:dgram'
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { networkInterfaces } from 'node:os'
import { after, before, test } from 'node:test'
import { binary, freePort, gateOpen, get, hypergate, newSecret, run, service, startDht, startGateway, startProvider, startWeb, stopAll, untilWorks } from './harness.mjs'

const kPage = 'x'.repeat(200_000)
const kMarkup = ['<script>alert(1)', 'unix:/tmp/<img src=x onerror=alert(1)>\u001b[2J']
let network, web, secret, occupied, provider, gateway
const ports = {}

before(async () => {
  for (const name of ['gate', 'refusing', 'markup1', 'markup2', 'gone', 'gatewayStatus', 'providerStatus']) ports[name] = await freePort()
  occupied = net.createServer().listen(0, '127.0.0.1')
  await once(occupied, 'listening')
  ports.taken = occupied.address().port
  network = await startDht(2)
  web = await startWeb(kPage)
  secret = await newSecret()
  provider = startProvider(network, secret, [
    service(ports.gate, web.port), service(ports.refusing, ports.gone), service(ports.taken, 1), service(web.port, web.port),
    service(ports.markup1, 1, 'tcp', { serviceHost: kMarkup[0] }), service(ports.markup2, 1, 'tcp', { serviceHost: kMarkup[1] })
  ], { args: ['--metrics', `127.0.0.1:${ports.providerStatus}`] })
  gateway = startGateway(network, secret, { args: ['--metrics', `0.0.0.0:${ports.gatewayStatus}`, '--unlimitedSecret', 's', '--unlimitedPort', String(await freePort())] })
  await gateOpen(gateway, ports.gate)
})
after(async () => {
  const statuses = [...await stopAll(gateway, provider), ...await stopAll(network)]
  web?.stop()
  occupied?.close()
  assert.deepEqual(statuses, [0, 0, [0, 0]])
})

const status = async (port) => JSON.parse(await get(port, '/status'))

/** One request with the headers as they are given: {status, headers, body}. */
function ask (port, path, headers = {}, more = {}) {
  return new Promise((resolve, reject) => {
    const request = http.request({ host: '127.0.0.1', port, path, headers, agent: false, timeout: 10000, ...more }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text) => { body += text }).on('end', () => resolve({ status: response.statusCode, headers: response.headers, body }))
    })
    request.on('timeout', () => request.destroy(new Error('no answer'))).on('error', reject).end()
  })
}
const verb = (...args) => run(binary, ['status', ...args])
const at = (port) => `127.0.0.1:${port}`

test('a gateway shows its peers and its gates, and why some are not open', async () => {
  const found = await status(ports.gatewayStatus)
  assert.equal(found.ready, true)
  assert.deepEqual(found.roles, ['gateway'])
  assert.equal(found.services, null)
  assert.equal(found.peers.count, 1)
  const [peer] = found.peers.list
  assert.equal(peer.role, 'provider')
  assert.ok(peer.answering && !peer.relayed && peer.rttMs > 0 && peer.loss >= 0 && peer.connectedMs >= 0, JSON.stringify(peer))
  assert.match(peer.address, /^127\.0\.0\.1:\d+$/)
  assert.deepEqual(found.routes, { offered: 6, filtered: 0, silent: 0, unusable: 0 })
  assert.equal(found.gates.count, 6)
  assert.equal(found.gates.open, 4)
  const gate = (port) => found.gates.list.find((one) => one.port === port)
  assert.ok(gate(ports.gate).open)
  assert.deepEqual([gate(ports.gate).protocol, gate(ports.gate).serviceHost, gate(ports.gate).servicePort], ['tcp', '127.0.0.1', web.port])
  assert.deepEqual(gate(ports.gate).providers, { count: 1, list: [peer.peer] })
  assert.match(gate(ports.taken).fault, /Address already in use/)
  assert.match(gate(web.port).fault, /its own service's address/)
  assert.ok(found.gates.list.slice(0, 2).every((one) => !one.open), 'what is not open comes first')
  assert.ok(found.warnings.list.some((line) => line.component === 'gate' && line.message.includes(`${ports.taken} not open`)), JSON.stringify(found.warnings))
})

test('a provider shows its services, and which one refuses', async () => {
  await get(ports.gate)
  await assert.rejects(get(ports.refusing))
  await untilWorks(async () => assert.equal((await status(ports.providerStatus)).services.list[0].refused, 1), 5000)
  const { services, refused, gates, warnings, peers } = await status(ports.providerStatus)
  assert.equal(gates, null)
  assert.equal(peers.list[0].role, 'gateway')
  assert.equal(services.count, 6)
  const [first] = services.list
  assert.equal(first.gatePort, ports.refusing, 'what refuses comes first')
  assert.deepEqual([first.works, first.servicePort, first.connected], [false, ports.gone, 0])
  assert.match(first.refusedWhy, /refused/i)
  assert.ok(first.refusedMsAgo >= 0 && first.refusedMsAgo < 60000)
  const works = services.list.find((one) => one.gatePort === ports.gate)
  assert.deepEqual([works.works, works.refused], [true, 0])
  assert.equal(services.list.find((one) => one.gatePort === ports.taken).works, null)
  assert.equal(refused.channels.connect, 1)
  assert.ok(warnings.list.some((line) => line.component === 'relay'), JSON.stringify(warnings))
})

test('bytes and rates move with a transfer', async () => {
  const before = (await status(ports.gatewayStatus)).traffic
  for (let i = 0; i < 20; i++) assert.equal((await get(ports.gate)).length, kPage.length)
  const bytes = 20 * kPage.length
  await untilWorks(async () => {
    const { traffic, peers } = await status(ports.gatewayStatus)
    assert.ok(traffic.bytesFromPeers - before.bytesFromPeers >= bytes)
    assert.ok(traffic.mbpsFromPeers >= 8 * bytes / 1e6 / 60 && peers.list[0].mbpsFromPeer > 0, JSON.stringify(traffic))
    assert.ok(peers.list[0].bytesFromPeer >= bytes)
  }, 10000)
  const open = net.connect(ports.gate, '127.0.0.1')
  open.on('error', () => {})
  await untilWorks(async () => assert.equal((await status(ports.gatewayStatus)).gates.clients, 1), 5000)
  open.destroy()
})

test('bytes are counted for each gate and service, and a gate keeps its total when its provider comes again', async (t) => {
  const kAsked = 3000, kAnswer = 50_000, kDatagram = 100, kReply = 300
  const tcp = net.createServer({ allowHalfOpen: true }, (socket) => socket.on('end', () => socket.end(Buffer.alloc(kAnswer))).resume()).listen(0, 'localhost')
  const udp = dgram.createSocket('udp4')
  udp.on('message', (message, from) => udp.send(Buffer.alloc(kReply), from.port, from.address)).bind(0, '127.0.0.1')
  t.after(() => { tcp.close(); udp.close() })
  await Promise.all([once(tcp, 'listening'), once(udp, 'listening')])
  const [own, gate, unused, gatewayStatus, providerStatus] = [await newSecret(), await freePort(), await freePort(), await freePort(), await freePort()]
  const offered = [service(gate, tcp.address().port, 'tcp', { serviceHost: 'localhost' }), service(gate, udp.address().port, 'udp'), service(unused, 1)]
  const provide = () => startProvider(network, own, offered, { args: ['--metrics', at(providerStatus)] })
  let serving = provide()
  const entry = startGateway(network, own, { args: ['--metrics', at(gatewayStatus)] })
  const opened = (since) => Promise.all([new RegExp(`tcp 127\\.0\\.0\\.1:${gate} open`), new RegExp(`udp 127\\.0\\.0\\.1:${gate} open`)]
    .map((line) => entry.line(line, 30000, since)))
  const transfer = async () => {
    const socket = net.connect(gate, '127.0.0.1')
    let got = 0
    socket.on('data', (data) => { got += data.length }).end(Buffer.alloc(kAsked))
    await once(socket, 'close')
    assert.equal(got, kAnswer)
    const flow = dgram.createSocket('udp4')
    flow.send(Buffer.alloc(kDatagram), gate, '127.0.0.1')
    assert.equal((await once(flow, 'message'))[0].length, kReply)
    flow.close()
  }
  const bytes = (list, port, protocol) => {
    const row = list.find((one) => (one.port ?? one.gatePort) === port && one.protocol === protocol)
    return [row.bytesToPeers, row.bytesFromPeers, row.mbpsToPeers > 0, row.mbpsFromPeers > 0]
  }
  const metrics = async (port) => (await get(port, '/metrics')).toString()
  const says = (text, metric, protocol, direction, value) =>
    assert.ok(text.split('\n').includes(`${metric}{gate="${gate}/${protocol}"${direction && `,direction="${direction}"`}} ${value}`), text)

  await opened(0)
  await transfer()
  await untilWorks(async () => {
    const { list } = (await status(gatewayStatus)).gates
    assert.deepEqual(bytes(list, gate, 'tcp'), [kAsked, kAnswer, true, true])
    assert.deepEqual(bytes(list, gate, 'udp'), [kDatagram, kReply, true, true])
    assert.deepEqual(bytes(list, unused, 'tcp'), [0, 0, false, false])
  }, 10000)
  await untilWorks(async () => {
    const { list } = (await status(providerStatus)).services
    assert.deepEqual(bytes(list, gate, 'tcp'), [kAnswer, kAsked, true, true])
    assert.deepEqual(bytes(list, gate, 'udp'), [kReply, kDatagram, true, true])
  }, 10000)
  const atProvider = await metrics(providerStatus)
  says(atProvider, 'hypergate_service_bytes_total', 'tcp', 'to_peers', kAnswer)
  says(atProvider, 'hypergate_service_bytes_total', 'udp', 'from_peers', kDatagram)
  assert.ok(!atProvider.includes('localhost') && !atProvider.includes(`"${unused}/tcp"`), atProvider)
  const text = (await verb(at(gatewayStatus))).stdout
  assert.match(text, new RegExp(`^${gate}/tcp +localhost:\\d+ +[0-9a-f]{8} +0 +3\\.0 kB at [\\d.]+ k?bit/s +50\\.0 kB at [\\d.]+ k?bit/s +open$`, 'm'))
  assert.match((await verb(at(providerStatus))).stdout, new RegExp(`^${gate}/udp +127\\.0\\.0\\.1:\\d+ +300 B at [\\d.]+ k?bit/s +100 B at [\\d.]+ k?bit/s +works; `, 'm'))

  await serving.stop()
  await entry.line(new RegExp(`no more: tcp 127\\.0\\.0\\.1:${gate}`))
  const closed = await metrics(gatewayStatus)
  says(closed, 'hypergate_gate_bytes_total', 'tcp', 'from_peers', kAnswer)
  says(closed, 'hypergate_gate_clients', 'udp', '', 0)
  const reopened = opened(entry.lines.length)
  serving = provide()
  await reopened
  await transfer()
  await untilWorks(async () => {
    const { list } = (await status(gatewayStatus)).gates
    assert.deepEqual(bytes(list, gate, 'tcp').slice(0, 2), [2 * kAsked, 2 * kAnswer])
    assert.deepEqual(bytes(list, gate, 'udp').slice(0, 2), [2 * kDatagram, 2 * kReply])
  }, 10000)
  const again = await metrics(gatewayStatus)
  says(again, 'hypergate_gate_bytes_total', 'udp', 'to_peers', 2 * kDatagram)
  says(again, 'hypergate_gate_clients', 'udp', '', 1)
})

test('scan shows the names that peers give as harmless as the status does', async () => {
  const { stdout } = await run(binary, ['scan', secret, '--bootstrap', network.bootstrap])
  assert.ok(stdout.includes('unix:/tmp/<img src=x onerror=alert(1)>?[2J'), stdout)
})

test('another machine, or a page of another site, learns no address', async () => {
  const kept = (body) => {
    const found = JSON.parse(body)
    assert.equal(found.everything, false)
    assert.equal(found.gates.open, 4)
    assert.equal(found.peers.list[0].peer.length, 8)
    for (const address of ['127.0.0.1', 'alert', 'in use']) assert.ok(!body.includes(address), body)
  }
  kept((await ask(ports.gatewayStatus, '/status', { host: 'gateway.lan' })).body)
  const other = Object.values(networkInterfaces()).flat().find((one) => one.family === 'IPv4' && !one.internal)
  if (other) kept((await ask(ports.gatewayStatus, '/status', {}, { host: other.address })).body)
  for (const path of ['/', '/status']) {
    const { status, body } = await ask(ports.providerStatus, path, { host: `evil.example:${ports.providerStatus}` })
    assert.equal(status, 403)
    assert.equal(body, 'ask by the address, or as localhost\n')
    assert.equal((await ask(ports.providerStatus, path, { host: `localhost:${ports.providerStatus}` })).status, 200)
    assert.equal((await ask(ports.providerStatus, path, {}, { method: 'POST' })).status, 405)
  }
})

test('the page holds itself together, and names that are markup stay names', async () => {
  const page = await ask(ports.gatewayStatus, '/', { origin: 'http://evil.example' })
  assert.equal(page.status, 200)
  assert.equal(page.headers['content-type'], 'text/html; charset=utf-8')
  assert.equal(page.headers['access-control-allow-origin'], undefined)
  const policy = page.headers['content-security-policy']
  assert.match(policy, /^default-src 'none'; connect-src 'self';/)
  const [, nonce] = policy.match(/script-src 'nonce-([0-9a-f]{32})'$/)
  assert.ok(page.body.includes(`<script nonce="${nonce}">`) && page.body.includes(`<style nonce="${nonce}">`))
  assert.ok(!page.body.includes('alert(1)'), 'nothing of peers is in it')
  assert.notEqual(policy, (await ask(ports.gatewayStatus, '/')).headers['content-security-policy'])
  const answer = await ask(ports.gatewayStatus, '/status')
  assert.equal(answer.headers['content-type'], 'application/json')
  assert.equal(answer.headers['x-content-type-options'], 'nosniff')
  assert.equal(answer.headers['cross-origin-resource-policy'], 'same-origin')
  const hosts = JSON.parse(answer.body).gates.list.map((one) => one.serviceHost)
  assert.ok(hosts.includes(kMarkup[0]), hosts)
  assert.ok(hosts.includes(kMarkup[1].replace('\u001b', '?')), hosts)
  assert.ok(!(await verb(at(ports.gatewayStatus))).stdout.includes('\u001b'))
})

test('the verb says the same, and how it is by its exit status', async () => {
  const text = await verb(at(ports.gatewayStatus))
  assert.equal(text.status, 0, text.stderr)
  assert.match(text.stdout, /^network +part of it; DHT online, nodes known: \d+$/m)
  assert.match(text.stdout, /^running +as gateway, for /m)
  assert.match(text.stdout, new RegExp(`^${ports.gate}/tcp +127\\.0\\.0\\.1:${web.port} +[0-9a-f]{8} +0 +[\\d.]+ k?B.* [\\d.]+ M?B.* open$`, 'm'))
  assert.match(text.stdout, new RegExp(`^${ports.taken}/tcp .*not open: .*Address already in use$`, 'm'))
  assert.match(text.stdout, /^[0-9a-f]{16} +provider +answers +direct +127\.0\.0\.1:\d+ +[\d.]+ ms +[\d.]+ % /m)
  const json = await verb(at(ports.providerStatus), '--json')
  assert.equal(json.status, 0)
  assert.deepEqual(JSON.parse(json.stdout).roles, ['provider'])
  const environment = await run(binary, ['status'], { env: { ...process.env, HYPERGATE_METRICS: at(ports.providerStatus) } })
  assert.equal(environment.status, 0, environment.stderr)
  assert.match(environment.stdout, /^running +as provider/m)
  const all = [text, json, environment].map((one) => one.stdout + one.stderr).join()
  assert.ok(!all.includes(secret), 'the secret is printed')
})

test('who does not answer, or is no hypergate, is status 1 and one line', async () => {
  const nobody = await freePort()
  for (const [port, words] of [[nobody, /no hypergate answers at 127.*refused.*--metrics 127/], [web.port, /is no hypergate/]]) {
    const { status, stdout, stderr } = await verb(at(port))
    assert.equal(status, 1)
    assert.equal(stdout, '')
    assert.match(stderr, words)
    assert.equal(stderr.trimEnd().split('\n').length, 1, stderr)
  }
})

test('one that has no network yet is status 1, and one that hangs is not waited for', async () => {
  const port = await freePort()
  const lonely = hypergate(['gateway', '--bootstrap', at(await freePort()), '--metrics', at(port)], { name: 'lonely', env: { HYPERGATE_ROUTER: secret } })
  await untilWorks(() => get(port, '/healthz'))
  const early = await verb(at(port))
  assert.equal(early.status, 1)
  assert.match(early.stdout, /^network +not part of it/m)
  assert.match(early.stderr, /is not part of the network \(yet\); hypergate doctor says/)
  await lonely.line(/joined as/)
  assert.match((await verb(at(port))).stdout, /no other member of this router is connected/)
  lonely.child.kill('SIGSTOP')
  const hung = await verb(at(port))
  lonely.child.kill('SIGCONT')
  assert.equal(hung.status, 1)
  assert.match(hung.stderr, /no hypergate answers at .*in time/)
})

test('wrong input is status 2', async () => {
  for (const [args, words] of [[['nowhere'], /status: 'nowhere' is not IP:PORT/], [[at(1), at(2)], /one word too many/], [[at(1), '--listen', '::'], /--listen/],
    [[at(1), '--router', secret], /--router/]]) {
    const { status, stderr } = await verb(...args)
    assert.equal(status, 2, stderr)
    assert.match(stderr, words)
  }
})
