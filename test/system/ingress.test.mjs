// The ingress policy and what is known of the client, with the real program: who gets in, how fast, with which labels, and how a service
// learns of it. Clients are told apart by loopback addresses: 127.0.0.1, 127.0.0.2, ….
import assert from 'node:assert/strict'
import dgram from 'node:dgram'
import { once } from 'node:events'
import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import { after, before, test } from 'node:test'
import { Process, freePort, gateOpen, get, hypergate, inTime, newSecret, noIpv6, run, scratch, service, startDht, startGateway, startProvider, stopAll, untilWorks, within } from './harness.mjs'

const files = scratch()
const ports = {}
const password = 'user:pass word'
let network, secret, provider, gateway, bulk, nginx, udpEcho, policyServer
let urlPolicy = { text: '{}', etag: '"1"' }
let conditional = 0

function writePolicy (policy) {
  // Renamed into place, as editors and configuration tools do.
  writeFileSync(files.path('policy.new'), typeof policy === 'string' ? policy : JSON.stringify(policy))
  renameSync(files.path('policy.new'), files.path('policy.json'))
}

const basePolicy = {
  defaults: { allow: true },
  ips: {
    '127.0.0.2': { allow: false },
    '127.0.0.3': { bandwidthLimit: { mbps: 16, burstMbps: 2 }, labels: ['slow', 'eu'] },
    '127.0.0.9': { labels: ['nine'] }
  }
}

async function startServers () {
  // Sends the bytes that are asked for, then ends.
  bulk = net.createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', (data) => {
      const count = Number(data.toString())
      if (count > 0) socket.end(Buffer.alloc(count, 7))
      else socket.write('kept')
    })
  }).listen(0, '127.0.0.1')
  await once(bulk, 'listening')
  udpEcho = dgram.createSocket('udp4')
  udpEcho.on('message', (message, from) => udpEcho.send(message, from.port, from.address))
  udpEcho.bind(0, '127.0.0.1')
  await once(udpEcho, 'listening')
  policyServer = http.createServer((request, response) => {
    if (request.headers['if-none-match'] === urlPolicy.etag) {
      conditional++
      response.writeHead(304).end()
    } else response.writeHead(200, { ETag: urlPolicy.etag }).end(urlPolicy.text)
  }).listen(0, '127.0.0.1')
  await once(policyServer, 'listening')
}

// Logs the true client's address, once through auth_request and the resolver, twice through the PROXY protocol.
async function startLoggingNginx () {
  for (const name of ['asks', 'v1', 'v2', 'resolver']) ports[name] = await freePort()
  const folder = files.path('nginx')
  mkdirSync(folder + '/www', { recursive: true })
  chmodSync(files.folder, 0o755)
  writeFileSync(folder + '/www/page', 'a page\n')
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`).join(' ')
  writeFileSync(folder + '/nginx.conf', `
    daemon off; ${process.getuid() === 0 ? 'user root;' : ''} worker_processes 1; pid ${folder}/nginx.pid; error_log stderr warn;
    events {}
    http {
      ${temporary}
      log_format asked 'asked $true_ip $true_port $labels';
      log_format proxied 'proxied $server_port $proxy_protocol_addr $proxy_protocol_port';
      server {
        listen 127.0.0.1:${ports.asks};
        access_log ${folder}/asked.log asked;
        root ${folder}/www;
        set $true_ip -; set $true_port -; set $labels -;
        location / {
          auth_request /client;
          auth_request_set $true_ip $upstream_http_x_client_ip;
          auth_request_set $true_port $upstream_http_x_client_port;
          auth_request_set $labels $upstream_http_x_ingress_labels;
        }
        location = /client {
          internal;
          proxy_pass_request_body off;
          proxy_set_header Content-Length "";
          proxy_set_header Authorization "Basic ${Buffer.from(password).toString('base64')}";
          proxy_pass http://127.0.0.1:${ports.resolver}/resolve?proto=tcp&remote_addr=$remote_addr&remote_port=$remote_port&server_addr=$server_addr&server_port=$server_port;
        }
      }
      server {
        listen 127.0.0.1:${ports.v1} proxy_protocol;
        listen 127.0.0.1:${ports.v2} proxy_protocol;
        access_log ${folder}/proxied.log proxied;
        root ${folder}/www;
      }
    }`)
  nginx = new Process('nginx', ['-p', folder, '-c', folder + '/nginx.conf', '-e', 'stderr'])
}

before(async () => {
  await startServers()
  await startLoggingNginx()
  writePolicy(basePolicy)
  for (const name of ['bulk', 'gateAsks', 'gateV1', 'gateV2', 'echo', 'unlimited', 'metrics', 'metrics2']) ports[name] = await freePort()
  network = await startDht()
  secret = await newSecret()
  provider = startProvider(network, secret, [
    service(ports.bulk, bulk.address().port), service(ports.gateAsks, ports.asks),
    service(ports.gateV1, ports.v1, 'tcp', { proxyProtocol: 'v1' }), service(ports.gateV2, ports.v2, 'tcp', { proxyProtocol: 'v2' }),
    service(ports.echo, udpEcho.address().port, 'udp')
  ], {
    args: ['--ingressPolicy', files.path('policy.json'), '--ingressPolicy', `http://127.0.0.1:${policyServer.address().port}/p.json`,
      '--ingressPolicyIntervalMs', '1000', '--fingerprintResolverPort', String(ports.resolver), '--fingerprintResolverBasicAuth', password,
      '--metrics', `127.0.0.1:${ports.metrics}`]
  })
  gateway = hypergate(['gateway', '--bootstrap', network.bootstrap, '--unlimitedPort', String(ports.unlimited), '--metrics', `127.0.0.1:${ports.metrics2}`],
    { name: 'gateway', env: { HYPERGATE_ROUTER: secret, HYPERGATE_UNLIMITED_SECRET: 'shared-secret' } })
  for (const name of ['bulk', 'gateAsks', 'gateV1', 'gateV2', 'echo']) await gateOpen(gateway, ports[name])
})

after(async () => {
  const statuses = [...await stopAll(gateway, provider), ...await stopAll(network, nginx)]
  for (const server of [bulk, policyServer]) server?.close()
  udpEcho?.close()
  files.remove()
  assert.deepEqual(statuses, [0, 0, [0, 0, 0], 0])
})

// A connection from `localAddress`; resolves with the bytes and seconds until it ended, and whether it was reset.
async function download (localAddress, count) {
  const start = performance.now()
  const socket = net.connect({ port: ports.bulk, host: '127.0.0.1', localAddress })
  let bytes = 0
  let failed = false
  socket.on('error', () => { failed = true })
  socket.on('data', (data) => { bytes += data.length })
  socket.on('connect', () => socket.write(String(count)))
  await within(once(socket, 'close').catch(() => {}), 60000)
  socket.destroy()
  return { bytes, failed, seconds: (performance.now() - start) / 1000 }
}

// An idle connection that is open end to end.
async function keepOpen (localAddress) {
  const socket = net.connect({ port: ports.bulk, host: '127.0.0.1', localAddress })
  socket.on('error', () => {})
  socket.write('0')
  const answer = await within(once(socket, 'data'), 10000)
  assert.equal(answer?.[0].toString(), 'kept')
  const end = new Promise((resolve) => socket.once('close', resolve))
  return { socket, closed: () => inTime(end, 20000, `end of the connection from ${localAddress}`) }
}

async function lastLine (name, pattern) {
  let line
  await untilWorks(async () => {
    line = readFileSync(files.path('nginx') + '/' + name, 'utf8').trim().split('\n').at(-1)
    assert.match(line, pattern)
  }, 10000)
  return line
}

test('a denied address is refused, others pass', async () => {
  assert.equal((await download('127.0.0.2', 1000)).bytes, 0)
  assert.equal((await download('127.0.0.1', 1000)).bytes, 1000)
})

test('a limited client gets no more than its rate and burst, and all of its bytes; others are not held', async () => {
  const size = 6_000_000
  const [first, second, other] = await Promise.all([download('127.0.0.3', size / 2), download('127.0.0.3', size / 2), download('127.0.0.1', 4_000_000)])
  const seconds = Math.max(first.seconds, second.seconds)
  assert.equal(first.bytes + second.bytes, size)
  assert.equal(other.bytes, 4_000_000)
  const least = (size * 8 / 1e6 - 2) / 16
  console.log(`limited to 16 Mbit/s: ${size} bytes in ${seconds.toFixed(2)} s (${(size * 8 / 1e6 / seconds).toFixed(2)} Mbit/s), unlimited 4 MB in ${other.seconds.toFixed(2)} s`)
  assert.ok(seconds >= least * 0.98, `${seconds} s, the limit allows no less than ${least} s`)
})

test('nginx logs the true client through auth_request and the resolver', async () => {
  const { stdout } = await run('curl', ['-sS', '--interface', '127.0.0.9', `http://127.0.0.1:${ports.gateAsks}/page`])
  assert.equal(stdout, 'a page\n')
  assert.match(await lastLine('asked.log', /^asked 127\.0\.0\.9 \d+ nine$/), /asked/)
})

test('nginx logs the true client through the PROXY protocol, versions 1 and 2', async () => {
  for (const [gate, port] of [[ports.gateV1, ports.v1], [ports.gateV2, ports.v2]]) {
    const { stdout } = await run('curl', ['-sS', '--interface', '127.0.0.8', `http://127.0.0.1:${gate}/page`])
    assert.equal(stdout, 'a page\n')
    await lastLine('proxied.log', new RegExp(`^proxied ${port} 127\\.0\\.0\\.8 \\d+$`))
  }
})

test('the resolver: health for all, records for who knows the password', async () => {
  const at = (target) => `http://127.0.0.1:${ports.resolver}${target}`
  assert.equal((await run('curl', ['-sS', at('/health')])).stdout, '{"ok":true}')
  const status = async (...args) => (await run('curl', ['-sS', '-o', '/dev/null', '-w', '%{http_code}', ...args])).stdout
  assert.equal(await status(at('/all')), '401')
  assert.equal(await status('-u', 'user:wrong', at('/resolve')), '401')
  assert.equal(await status('-u', password, at('/resolve')), '400')
  assert.equal(await status('-u', password, '-X', 'POST', at('/resolve')), '405')
  const { socket } = await keepOpen('127.0.0.9')
  const all = JSON.parse((await run('curl', ['-sS', '-u', password, at('/all')])).stdout)
  const record = all.find((one) => one.gatePort === ports.bulk && one.fingerprint.source.ip === '127.0.0.9' && one.fingerprint.source.port === socket.localPort)
  assert.deepEqual(record.fingerprint.ingressLabels, ['nine'])
  const [, ip, port, serverIp, serverPort] = record.key.split('|')
  const query = `/resolve?protocol=tcp&remoteAddr=::ffff:${ip}&remotePort=${port}&localAddr=${serverIp}&localPort=${serverPort}`
  assert.equal(JSON.parse((await run('curl', ['-sS', '-u', password, at(query)])).stdout).key, record.key)
  socket.destroy()
})

test('a changed file closes open channels, TCP and UDP, and refuses new ones; a broken one changes nothing', async (t) => {
  const socket = dgram.createSocket('udp4')
  t.after(() => socket.close())
  socket.bind(0, '127.0.0.4')
  await once(socket, 'listening')
  const echoes = async () => {
    const answer = once(socket, 'message')
    socket.send('x', ports.echo, '127.0.0.1')
    return (await within(answer, 1000)) !== undefined
  }
  await untilWorks(async () => assert.ok(await echoes()))
  const open = await keepOpen('127.0.0.4')
  const trusted = await keepOpen('127.0.0.1')
  writePolicy({ ...basePolicy, ips: { '127.0.0.4': { allow: false }, ...basePolicy.ips } })
  await open.closed()
  assert.equal((await download('127.0.0.4', 10)).bytes, 0)
  assert.equal(await echoes(), false)

  const from = provider.lines.length
  writePolicy('{"ips":{"127.0.0.4":{"allow":"perhaps"}}}')
  await provider.line(/ips\[.{0,3}127\.0\.0\.4.{0,3}\]\.allow.*last good ingress policy stays/, 20000, from)
  assert.equal((await download('127.0.0.4', 10)).bytes, 0)
  writePolicy(basePolicy)
  await untilWorks(async () => assert.equal((await download('127.0.0.4', 10)).bytes, 10))
  await untilWorks(async () => assert.ok(await echoes()))
  assert.equal(trusted.socket.destroyed, false)
  trusted.socket.destroy()
})

test('a changed URL takes effect, and is asked for with its ETag', async () => {
  const open = await keepOpen('127.0.0.5')
  await untilWorks(async () => assert.ok(conditional > 0))
  urlPolicy = { text: '{"ips":{"127.0.0.5":{"allow":false}}}', etag: '"2"' }
  await open.closed()
  assert.equal((await download('127.0.0.5', 10)).bytes, 0)
  urlPolicy = { text: '{}', etag: '"3"' }
  await untilWorks(async () => assert.equal((await download('127.0.0.5', 10)).bytes, 10))
})

test('a rule that expires is noticed on an open channel', async () => {
  writePolicy({ defaults: { allow: true }, ips: { '127.0.0.6': { expireAt: Date.now() + 5000 }, '127.0.0.0/29': { allow: false } } })
  await untilWorks(async () => assert.equal((await download('127.0.0.1', 10)).bytes, 0))
  const open = await keepOpen('127.0.0.6')
  await open.closed()
  writePolicy(basePolicy)
  await untilWorks(async () => assert.equal((await download('127.0.0.1', 10)).bytes, 10))
})

test('/unlimited by the one-liner of the brief lifts the limit; a replay in another spelling does not pass', async () => {
  const line = `SECRET='shared-secret'; IP='127.0.0.3'
    TIMESTAMP="$(date +%s%3N)"
    PAYLOAD="{\\"timestamp\\":\${TIMESTAMP},\\"ip\\":\\"\${IP}\\"}"
    TOKEN="$(printf '%s' "$PAYLOAD" | openssl enc -aes-256-cbc -pbkdf2 -iter 10000 -md sha256 -salt -pass pass:$SECRET | openssl base64 -A | tr '+/' '-_' | tr -d '=')"
    echo "$TOKEN"
    curl -sS --interface 127.0.0.3 "http://127.0.0.1:${ports.unlimited}/unlimited?payload=\${TOKEN}"`
  const { stdout } = await run('bash', ['-c', line])
  const [token, answer] = stdout.trim().split('\n')
  const granted = JSON.parse(answer)
  assert.equal(granted.ok, true, answer)
  assert.equal(granted.ip, '127.0.0.3')
  assert.ok(Math.abs(granted.expireAt - Date.now() - 1800000) < 60000)
  const ask = async (from, payload) => JSON.parse((await run('curl', ['-sS', '--interface', from, '-d', payload, `http://127.0.0.1:${ports.unlimited}/unlimited`])).stdout)
  assert.equal((await ask('127.0.0.3', token + '==')).error, 'replay_detected')
  assert.equal((await ask('127.0.0.3', token.replaceAll('-', '+').replaceAll('_', '/'))).error, 'replay_detected')
  assert.equal((await ask('127.0.0.7', 'nonsense')).error, 'invalid_token')
  await gateway.line(/unlimited override of 127\.0\.0\.3/)
  const lifted = await download('127.0.0.3', 20_000_000)
  assert.equal(lifted.bytes, 20_000_000)
  console.log(`lifted: 20 MB in ${lifted.seconds.toFixed(2)} s, limited it would take ${((160 - 2) / 16).toFixed(1)} s`)
  const metrics = (await get(ports.metrics2, '/metrics')).toString()
  assert.match(metrics, /^hypergate_unlimited_overrides 1$/m)
})

test('metrics and life signs', async () => {
  assert.equal((await get(ports.metrics2, '/healthz')).toString(), 'ok\n')
  assert.equal((await get(ports.metrics2, '/readyz')).toString(), 'ready\n')
  const metrics = (await get(ports.metrics2, '/metrics')).toString()
  for (const name of ['hypergate_peers{role="provider"} 1', 'hypergate_routes 5', 'hypergate_dht_ready 1']) assert.ok(metrics.includes(name), name)
  for (const name of ['hypergate_channels_refused_total{reason="ingress"}', 'hypergate_shaping_delay_seconds_total', 'hypergate_peer_packets_retransmitted_total',
    'hypergate_bytes_total{direction="to_peers"}', 'hypergate_peer_rtt_seconds', 'hypergate_channels_open', 'hypergate_channels_total', 'hypergate_dht_nodes',
    'hypergate_channels_dropped_total{reason="ingress"}', 'hypergate_channels_dropped_total{reason="shaping"}', 'hypergate_datagrams_dropped_total{reason="backlog"}']) {
    assert.ok(metrics.split('\n').some((line) => line.startsWith(name) && Number(line.split(' ').at(-1)) >= 0), name)
  }
  assert.ok(Number(metrics.match(/^hypergate_shaping_delay_seconds_total (\S+)$/m)[1]) > 0)
  assert.match((await get(ports.metrics, '/metrics')).toString(), /hypergate_peers\{role="gateway"\} 1/)
})

async function lonely (host) {
  const [metrics, resolver] = [await freePort(), await freePort()]
  const nowhere = `127.0.0.1:${await freePort()}`
  const at = host.includes(':') ? `[${host}]` : host
  const provider = startProvider({ bootstrap: nowhere }, secret, [service(1, 1)], {
    args: ['--metrics', `${at}:${metrics}`, '--fingerprintResolverHost', host, '--fingerprintResolverPort', String(resolver), '--fingerprintResolverBasicAuth', password]
  })
  const ask = async (port, target, authorization) => {
    const answer = await fetch(`http://${at}:${port}${target}`, { signal: AbortSignal.timeout(10000), headers: { connection: 'close', ...(authorization && { authorization }) } })
    return [answer.status, await answer.text()]
  }
  await untilWorks(async () => assert.deepEqual(await ask(metrics, '/healthz'), [200, 'ok\n']))
  assert.equal((await ask(metrics, '/readyz'))[0], 503)
  await provider.line(/network is offline/)
  assert.equal((await ask(metrics, '/readyz'))[0], 503, 'nor once it has asked everybody')
  assert.deepEqual(await ask(resolver, '/health'), [200, '{"ok":true}'])
  assert.equal((await ask(resolver, '/all'))[0], 401)
  assert.deepEqual(await ask(resolver, '/all', `Basic ${Buffer.from(password).toString('base64')}`), [200, '[]'])
  assert.equal(await provider.stop(), 0)
}

test('without a network it is alive and not ready', () => lonely('127.0.0.1'))
test('the endpoints listen on IPv6 as well', { skip: noIpv6 }, () => lonely('::1'))
