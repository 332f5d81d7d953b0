// What providers and gateways are asked to do changes while they run: files and URLs are followed, and nothing that is open suffers.
import assert from 'node:assert/strict'
import dgram from 'node:dgram'
import { once } from 'node:events'
import { renameSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import { after, before, test } from 'node:test'
import { freePort, gateOpen, get, hypergate, inTime, newSecret, scratch, service, startDht, startGateway, startWeb, stopAll, untilWorks } from './harness.mjs'

const files = scratch()
let network, web

before(async () => {
  network = await startDht(2)
  web = await startWeb('here')
})
after(async () => {
  const statuses = await stopAll(network)
  web?.stop()
  files.remove()
  assert.deepEqual(statuses, [[0, 0]])
})

function startProvider (secret, source, args = []) {
  return hypergate(['provider', source, '--bootstrap', network.bootstrap, ...args], { name: 'provider', env: { HYPERGATE_ROUTER: secret } })
}

/** As editors do: beside it, then renamed. */
function replace (name, value) {
  writeFileSync(files.path(name + '.new'), typeof value === 'string' ? value : JSON.stringify(value))
  renameSync(files.path(name + '.new'), files.path(name))
  return files.path(name)
}

/** A download that goes on as it is told, piece by piece, through `gate`; its server's port is known first. */
async function slowDownload () {
  const piece = Buffer.alloc(4 << 20, 'piece ')
  let serve
  const server = net.createServer((socket) => { socket.on('error', () => {}).once('data', () => serve(socket)) }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const served = new Promise((resolve) => { serve = resolve })
  let source, client
  let bytes = 0
  let sent = 0
  return {
    port: server.address().port,
    async begin (gate) {
      client = net.connect(gate, '127.0.0.1')
      client.on('data', (data) => {
        for (let at = 0; at < data.length; at += 4096) assert.equal(data[at], piece[(bytes + at) % piece.length])
        bytes += data.length
      })
      client.write('GET')
      source = await served
    },
    /** Resolves once the client has all of it. */
    async piece () {
      source.write(piece)
      sent += piece.length
      await untilWorks(async () => assert.equal(bytes, sent), 10000)
    },
    async end () {
      const ended = once(client, 'end')
      source.end()
      await inTime(ended, 10000, 'end of the download')
      client.destroy()
      server.close()
      assert.equal(bytes, sent)
    }
  }
}

const warnings = (program, since = 0) => program.lines.slice(since).filter((line) => /"level":"(warning|error)"/.test(line))

test('services may be words of the command line', async () => {
  const [gate, other, datagrams] = [await freePort(), await freePort(), await freePort()]
  const echo = dgram.createSocket('udp4').on('message', (message, from) => echo.send(message, from.port, from.address)).bind(0, '127.0.0.1')
  await once(echo, 'listening')
  const secret = await newSecret()
  const provider = hypergate(['provider', `${gate}=${web.port}`, `${other}=localhost:${web.port}`, `${datagrams}=${echo.address().port}/udp`,
    '--bootstrap', network.bootstrap], { name: 'provider', env: { HYPERGATE_ROUTER: secret } })
  const gateway = startGateway(network, secret)
  for (const port of [gate, other, datagrams]) await gateOpen(gateway, port)
  for (const port of [gate, other]) assert.equal(String(await get(port)), 'here')
  const client = dgram.createSocket('udp4')
  client.send('there and back', datagrams, '127.0.0.1')
  const [answer] = await inTime(once(client, 'message'), 10000, 'answer')
  assert.equal(String(answer), 'there and back')
  client.close()
  echo.close()
  assert.deepEqual(await stopAll(gateway, provider), [0, 0])
})

test('a download goes on while a service is added, changed and removed, its own too', async () => {
  const [secret, a, b] = [await newSecret(), await freePort(), await freePort()]
  const download = await slowDownload()
  const path = replace('services.json', [service(a, download.port)])
  const provider = startProvider(secret, path)
  const gateway = startGateway(network, secret)
  await gateOpen(gateway, a)
  await download.begin(a)
  await download.piece()

  replace('services.json', [service(a, download.port), service(b, 1)])
  await provider.line(new RegExp(`"tcp gate ${b} for 127\\.0\\.0\\.1:1 offered"`))
  await gateOpen(gateway, b)
  await download.piece()

  writeFileSync(path, JSON.stringify([service(a, download.port), service(b, web.port)]))  // in place
  await provider.line(new RegExp(`"tcp gate ${b} for 127\\.0\\.0\\.1:${web.port} offered"`))
  assert.equal((await get(b)).toString(), 'here')
  await download.piece()

  replace('services.json', [service(b, web.port)])
  await provider.line(new RegExp(`"no more: tcp gate ${a} for 127\\.0\\.0\\.1:${download.port}"`))
  await gateway.line(new RegExp(`no more: tcp 127\\.0\\.0\\.1:${a} open`))
  await assert.rejects(get(a, '/', 2000))
  await download.piece()
  assert.equal((await get(b)).toString(), 'here')
  await download.end()
  assert.deepEqual(warnings(provider), [])
  assert.deepEqual(await stopAll(gateway, provider), [0, 0])
})

test('a broken, half-written, empty or missing file is one warning each, and changes nothing', async () => {
  const [secret, gate, more] = [await newSecret(), await freePort(), await freePort()]
  const download = await slowDownload()
  const good = [service(gate, download.port)]
  const path = replace('broken.json', good)
  const provider = startProvider(secret, path)
  const gateway = startGateway(network, secret)
  await gateOpen(gateway, gate)
  await download.begin(gate)

  const breaks = async (spoil, pattern) => {
    const since = provider.lines.length
    spoil()
    const [line] = await provider.line(/"level":"warning".*/, 20000, since)
    assert.match(line, pattern)
    assert.match(line, /broken\.json.*the last good services stay/)
    await download.piece()
  }
  await breaks(() => writeFileSync(path, ''), /is empty/)
  await breaks(() => writeFileSync(path, JSON.stringify(good).slice(0, -9)), /line 1/)
  await breaks(() => replace('broken.json', [{ ...good[0], gatePort: 70000 }]), /\$\[0\]\.gatePort: 70000 is not accepted/)
  await breaks(() => rmSync(path), /no such file/)
  const since = provider.lines.length
  replace('broken.json', good)
  await provider.line(/broken\.json: good again/, 20000, since)
  replace('broken.json', [...good, service(more, web.port)])
  await gateOpen(gateway, more)
  assert.equal((await get(more)).toString(), 'here')
  await download.end()
  assert.equal(warnings(provider).length, 4, provider.tail())
  assert.ok(!gateway.lines.some((line) => line.includes('no more')), gateway.tail())
  assert.deepEqual(await stopAll(gateway, provider), [0, 0])
})

test('services that do not fit with their policies are a warning, and the last good ones stay', async () => {
  const [secret, gate] = [await newSecret(), await freePort()]
  const services = [service(gate, web.port)]
  const ips = Object.fromEntries(Array.from({ length: 60000 }, (_, i) => [`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, { allow: false }]))
  const policy = replace('policy.json', { ips })
  const path = replace('many.json', services)
  const provider = startProvider(secret, path, ['--ingressPolicy', policy])
  const gateway = startGateway(network, secret)
  await gateOpen(gateway, gate)
  while (services.length < 10) services.push(service(await freePort(), web.port))
  replace('many.json', services)
  await provider.line(/"level":"warning".*--ingressPolicy: with it \d of 10 services do not fit .* what was good before stays/)
  assert.equal((await get(gate)).toString(), 'here')
  replace('policy.json', {})
  await gateOpen(gateway, services[9].gatePort)
  assert.equal((await get(services[9].gatePort)).toString(), 'here')
  assert.ok(!gateway.lines.some((line) => line.includes('no more')), gateway.tail())
  assert.equal(warnings(provider).length, 1)
  assert.deepEqual(await stopAll(gateway, provider), [0, 0])
})

test('services of a URL are asked for again, with their ETag', async () => {
  const [secret, gate, more] = [await newSecret(), await freePort(), await freePort()]
  let [body, etag, unchanged] = [JSON.stringify([service(gate, web.port)]), '"1"', 0]
  const server = http.createServer((request, response) => {
    if (request.headers['if-none-match'] === etag) unchanged++
    const same = request.headers['if-none-match'] === etag
    response.writeHead(same ? 304 : 200, { ETag: etag }).end(same ? undefined : body)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const provider = startProvider(secret, `http://127.0.0.1:${server.address().port}/services.json`, ['--ingressPolicyIntervalMs', '1000'])
  const gateway = startGateway(network, secret)
  await gateOpen(gateway, gate)
  await untilWorks(async () => assert.ok(unchanged > 0))
  ;[body, etag] = [JSON.stringify([service(gate, web.port), service(more, web.port)]), '"2"']
  await gateOpen(gateway, more)
  assert.equal((await get(more)).toString(), 'here')
  assert.deepEqual(warnings(provider), [])
  await stopAll(gateway, provider)
  server.closeAllConnections()
  server.close()
})

test('the filter of a gateway changes which gates are open, and no download', async () => {
  const [secret, a, b] = [await newSecret(), await freePort(), await freePort()]
  const download = await slowDownload()
  const provider = startProvider(secret, JSON.stringify([service(a, download.port), service(b, web.port)]))
  const filter = replace('filter.json', [{ gatePort: a }])
  const gateway = hypergate(['gateway', filter, '--bootstrap', network.bootstrap], { name: 'gateway', env: { HYPERGATE_ROUTER: secret } })
  await gateOpen(gateway, a)
  await download.begin(a)
  replace('filter.json', '[{"gatePort":')
  await gateway.line(/"level":"warning".*filter\.json.*the last good filter stays/)
  await download.piece()
  replace('filter.json', [{ gatePort: b }])
  await gateway.line(new RegExp(`no more: tcp 127\\.0\\.0\\.1:${a} open`))
  await gateOpen(gateway, b)
  assert.equal((await get(b)).toString(), 'here')
  await download.piece()
  await download.end()
  assert.equal(warnings(gateway).length, 1)
  assert.deepEqual(await stopAll(gateway, provider), [0, 0])
})
