// Who is the client? Real programs behind the tunnel learn it: nginx from the resolver (HTTP by auth_request, TCP and UDP streams by its
// JavaScript), HAProxy and dnsdist from the PROXY protocol. Clients and services over IPv4 and IPv6.
import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import dgram from 'node:dgram'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { Process, freePair, freePort, newSecret, noIpv6, run, scratch, service, startDht, startGateway, startProvider, stopAll, untilWorks, within } from './harness.mjs'

const files = scratch()
const programs = []
const ports = {}
const modules = '/usr/lib/nginx/modules'
let network, provider, gateway

// The resolver asked by nginx' own JavaScript, for what is no HTTP.
const script = (resolver) => `
async function ask (s) {
  const v = s.variables
  const query = [['proto', v.protocol.toLowerCase()], ['remote_addr', v.remote_addr], ['remote_port', v.remote_port], ['server_addr', v.server_addr], ['server_port', v.server_port]]
  const reply = await ngx.fetch('http://127.0.0.1:${resolver}/resolve?' + query.map((pair) => pair.join('=')).join('&'))
  const text = await reply.text()
  s.client = reply.status === 200 ? JSON.parse(text).fingerprint.source : { ip: 'unknown', port: 0 }
  s.done()
}
function client (s) { return s.client ? s.client.ip + ' ' + s.client.port : '-' }
export default { ask, client }
`

async function startNginx () {
  const folder = files.path('nginx')
  mkdirSync(folder + '/www', { recursive: true })
  chmodSync(files.folder, 0o755)
  writeFileSync(folder + '/www/page', 'a page\n')
  writeFileSync(folder + '/ask.js', script(ports.resolver))
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`).join(' ')
  const both = (port, more = '') => ['127.0.0.1', ...(noIpv6 ? [] : ['[::1]'])].map((at) => `listen ${at}:${port}${more};`).join(' ')
  // The stream servers answer with the client they found.
  const stream = (name, listen) => `server { ${listen} js_preread main.ask; return "$true_client\\n"; access_log ${folder}/${name}.log found; }`
  writeFileSync(folder + '/nginx.conf', `
    load_module ${modules}/ngx_stream_module.so; load_module ${modules}/ngx_stream_js_module.so;
    daemon off; ${process.getuid() === 0 ? 'user root;' : ''} worker_processes 1; pid ${folder}/nginx.pid; error_log stderr warn;
    events {}
    http {
      ${temporary}
      log_format asked '$true_ip $true_port';
      server {
        ${both(ports.web)}
        access_log ${folder}/http.log asked;
        root ${folder}/www;
        set $true_ip -; set $true_port -;
        location / {
          auth_request /client;
          auth_request_set $true_ip $upstream_http_x_client_ip;
          auth_request_set $true_port $upstream_http_x_client_port;
        }
        location = /client {
          internal;
          proxy_pass_request_body off;
          proxy_pass http://127.0.0.1:${ports.resolver}/resolve?proto=tcp&remote_addr=$remote_addr&remote_port=$remote_port&server_addr=$server_addr&server_port=$server_port;
        }
      }
      log_format proxied '$proxy_protocol_addr $proxy_protocol_port';
      server {
        listen unix:${folder}/web.sock proxy_protocol;
        access_log ${folder}/unix.log proxied;
        root ${folder}/www;
      }
    }
    stream {
      js_path ${folder}; js_import main from ask.js; js_set $true_client main.client;
      log_format found '$protocol $true_client';
      ${stream('tcp', both(ports.stream))}
      ${stream('udp', both(ports.stream, ' udp'))}
    }`)
  programs.push(new Process('nginx', ['-p', folder, '-c', folder + '/nginx.conf', '-e', 'stderr']))
}

async function startHaproxy () {
  writeFileSync(files.path('haproxy.cfg'), `
    global
      maxconn 100
    defaults
      mode http
      timeout client 10s
      timeout server 10s
      timeout connect 10s
    frontend in
      bind 127.0.0.1:${ports.haproxy} accept-proxy
      http-request return status 200 content-type text/plain lf-string "client %ci %cp gate %[dst] %[dst_port] id %[fc_pp_unique_id]\\n"
`)
  const checked = await run('haproxy', ['-c', '-f', files.path('haproxy.cfg')])
  assert.equal(checked.status, 0, checked.stdout + checked.stderr)
  const haproxy = new Process('haproxy', ['-db', '-f', files.path('haproxy.cfg')])
  programs.push({ stop: () => haproxy.stop('SIGUSR1') })
}

// Answers every question with the client's address, and logs it with what the header's TLVs say.
function startDnsdist () {
  writeFileSync(files.path('dnsdist.conf'), `
    setSecurityPollSuffix('')
    setLocal('127.0.0.1:${ports.dns}')
    setProxyProtocolACL({'127.0.0.0/8'})
    setACL({'0.0.0.0/0', '::/0'})
    addAction(AllRule(), LuaAction(function (dq)
      local told = ''
      for kind, value in pairs(dq:getProxyProtocolValues()) do
        local shown = value
        if kind == 0xe1 then
          shown = ''
          for i = 1, #value do shown = shown .. string.format('%02x', value:byte(i)) end
        end
        told = told .. ' ' .. string.format('%02x', kind) .. '=' .. shown
      end
      infolog('asked by ' .. dq.remoteaddr:toStringWithPort() .. ' over ' .. (dq.tcp and 'tcp' or 'udp') .. told)
      return DNSAction.Spoof, dq.remoteaddr:toString()
    end))
  `)
  const dnsdist = new Process('dnsdist', ['--supervised', '--disable-syslog', '-C', files.path('dnsdist.conf')])
  programs.push(dnsdist)
  return dnsdist
}

// Services at two ports in a row, over both protocols: they say which they are.
async function startPair () {
  for (const port of [ports.pair, ports.pair + 1]) {
    const name = `service ${port - ports.pair}`
    const tcp = net.createServer((socket) => socket.end(name)).listen(port, '127.0.0.1')
    const udp = dgram.createSocket('udp4').on('message', (data, from) => udp.send(name, from.port, from.address))
    udp.bind(port, '127.0.0.1')
    await Promise.all([once(tcp, 'listening'), once(udp, 'listening')])
    pair.push(tcp, udp)
  }
}

const pair = []
let dnsdist

before(async () => {
  for (const name of ['web', 'stream', 'haproxy', 'dns', 'resolver']) ports[name] = await freePort()
  const gates = ['web4', 'web6', 'tcp4', 'tcp6', 'udp4', 'udp6', 'ha1', 'ha2', 'dns', 'dnsEach', 'unix']
  for (const name of gates) ports['gate_' + name] = await freePort()
  for (const name of ['gate_range', 'pair']) ports[name] = await freePair()
  await startPair()
  await startNginx()
  await startHaproxy()
  dnsdist = startDnsdist()
  network = await startDht()
  const secret = await newSecret()
  const at = (name, port, protocol, more) => service(ports['gate_' + name], port, protocol, more)
  const six = { serviceHost: '::1' }
  const services = [
    at('web4', ports.web), at('web6', ports.web, 'tcp', six),
    at('tcp4', ports.stream), at('tcp6', ports.stream, 'tcp', six), at('udp4', ports.stream, 'udp'), at('udp6', ports.stream, 'udp', six),
    at('ha1', ports.haproxy, 'tcp', { proxyProtocol: 'v1' }), at('ha2', ports.haproxy, 'tcp', { proxyProtocol: 'v2' }),
    at('dns', ports.dns, 'tcp+udp', { proxyProtocol: 'v2' }), at('dnsEach', ports.dns, 'tcp+udp', { proxyProtocol: 'v2-each' })
  ]
  services.push({ gatePort: ports.gate_unix, serviceHost: `unix:${files.path('nginx/web.sock')}`, protocol: 'tcp', proxyProtocol: 'v2' })
  services.push({ gatePort: `${ports.gate_range}-${ports.gate_range + 1}`, servicePort: `${ports.pair}-${ports.pair + 1}`, protocol: 'tcp+udp' })
  const policy = JSON.stringify({ ips: { '127.0.0.8': { labels: ['eight', 'eu'] } } })
  provider = startProvider(network, secret, services, { args: ['--fingerprintResolverPort', String(ports.resolver), '--ingressPolicy', policy] })
  await provider.line(/joined as provider/)
  gateway = startGateway(network, secret, { args: ['--listen', noIpv6 ? '0.0.0.0' : '::'] })
  for (const name of gates) await gateway.line(new RegExp(`(tcp|udp) (\\[::\\]|0\\.0\\.0\\.0):${ports['gate_' + name]} open`))
})

after(async () => {
  const statuses = [...await stopAll(gateway, provider), ...await stopAll(network)]
  await stopAll(...programs)
  for (const server of pair) server.close()
  files.remove()
  assert.deepEqual(statuses, [0, 0, [0, 0, 0]])
})

/** A test of clients over IPv4, and one of those over IPv6 with the IPv6 gates as well. */
function testBoth (name, body) {
  test(`${name}, over IPv4`, (t) => body(t, ['127.0.0.8', '127.0.0.1'], [4]))
  test(`${name}, over IPv6 and between both`, { skip: noIpv6 }, async (t) => {
    await body(t, ['127.0.0.8', '127.0.0.1'], [6])
    await body(t, ['::1', '::1'], [4, 6])
  })
}

async function logged (name, text) {
  await untilWorks(async () => assert.ok(existsSync(files.path(`nginx/${name}.log`)) && readFileSync(files.path(`nginx/${name}.log`), 'utf8').split('\n').includes(text), `no '${text}' in ${name}.log`), 10000)
}

// One exchange over TCP: connects from `from`, resolves with {port, text}.
async function converse (from, to, port, say) {
  const socket = net.connect({ host: to, port, localAddress: from })
  let text = ''
  socket.on('data', (data) => { text += data })
  const closed = once(socket, 'close')
  await once(socket, 'connect')
  const local = socket.localPort
  socket.write(say)
  await within(closed, 10000)
  return { port: local, text }
}

testBoth('nginx logs the true client of a page (auth_request)', async (t, [from, to], families) => {
  for (const family of families) {
    const { port, text } = await converse(from, to, ports['gate_web' + family], 'GET /page HTTP/1.0\r\n\r\n')
    assert.match(text, /a page/)
    await logged('http', `${from} ${port}`)
  }
})

test('the resolver, without a password, tells nothing to a web page whose name points here', async () => {
  const all = async (host) => (await run('curl', ['-sS', '-w', ' %{http_code}', '-H', `Host: ${host}`, `http://127.0.0.1:${ports.resolver}/all`])).stdout
  assert.equal(await all(`evil.example.com:${ports.resolver}`), '{"error":"ask by the address, or as localhost"} 403')
  await provider.line(/a request by a public name is refused/)
  assert.match(await all(`localhost:${ports.resolver}`), /^\[.*\] 200$/)
})

testBoth('nginx logs the true client of a TCP stream', async (t, [from, to], families) => {
  for (const family of families) {
    const { port, text } = await converse(from, to, ports['gate_tcp' + family], 'hello\n')
    assert.equal(text.trim(), `${from} ${port}`)
    await logged('tcp', `TCP ${from} ${port}`)
  }
})

testBoth('nginx logs the true client of a UDP flow', async (t, [from, to], families) => {
  for (const family of families) {
    const socket = dgram.createSocket(from.includes(':') ? 'udp6' : 'udp4')
    t.after(() => socket.close())
    socket.bind(0, from)
    await once(socket, 'listening')
    const answer = once(socket, 'message')
    socket.send('hello', ports['gate_udp' + family], to)
    const received = await within(answer, 10000)
    assert.equal(received?.[0].toString().trim(), `${from} ${socket.address().port}`, `gate ${family}`)
    await logged('udp', `UDP ${from} ${socket.address().port}`)
  }
})

testBoth('HAProxy (accept-proxy) knows the client, versions 1 and 2', async (t, [from, to]) => {
  for (const gate of ['ha1', 'ha2']) {
    const { port, text } = await converse(from, to, ports['gate_' + gate], 'GET / HTTP/1.0\r\n\r\n')
    assert.match(text, new RegExp(`client ${from} ${port} gate \\S+ ${ports['gate_' + gate]} id ${gate === 'ha2' ? '[0-9a-f]{32}' : '-?'}\\s*$`))
  }
})

test('a Unix socket is a service; ranges of ports, and both protocols', async (t) => {
  const { port, text } = await converse('127.0.0.8', '127.0.0.1', ports.gate_unix, 'GET /page HTTP/1.0\r\n\r\n')
  assert.match(text, /a page/)
  await logged('unix', `127.0.0.8 ${port}`)
  for (const at of [0, 1]) {
    assert.equal((await converse('127.0.0.1', '127.0.0.1', ports.gate_range + at, '')).text, `service ${at}`)
    const socket = dgram.createSocket('udp4')
    t.after(() => socket.close())
    const answer = once(socket, 'message')
    socket.send('?', ports.gate_range + at, '127.0.0.1')
    assert.equal((await within(answer, 10000))?.[0].toString(), `service ${at}`)
  }
})

async function dig (gate, [from, to], ...options) {
  const kind = from.includes(':') ? 'AAAA' : 'A'
  const { stdout } = await run('dig', ['-b', from, `@${to}`, '-p', String(ports['gate_' + gate]), 'client.example', kind, '+short', '+timeout=3', '+tries=1', ...options])
  return stdout.trim()
}

testBoth('dnsdist (PROXY v2) knows the client, over TCP and UDP, with labels and the gateway\'s key', async (t, client) => {
  for (const options of [[], ['+tcp']]) {
    const from = dnsdist.lines.length
    assert.equal(await dig('dns', client, ...options), client[0])
    const [, told] = await dnsdist.line(new RegExp(`asked by \\[?${client[0]}\\]?:\\d+ over ${options.length ? 'tcp' : 'udp'}(.*)$`), 5000, from)
    assert.match(told, / e1=[0-9a-f]{64}( |$)/)
    assert.match(told, / 05=[0-9a-f]{32}( |$)/)
    assert.equal(/ e0=eight,eu( |$)/.test(told), client[0] === '127.0.0.8', told)
  }
})

test('a flow of many datagrams: v2 goes before the first, v2-each before every one', async () => {
  const port = await freePort()
  const again = (gate) => dig(gate, [`127.0.0.8#${port}`, '127.0.0.1'])
  assert.equal(await again('dns'), '127.0.0.8')
  assert.notEqual(await again('dns'), '127.0.0.8', 'dnsdist takes no datagram without a header')
  for (let i = 0; i < 3; i++) assert.equal(await again('dnsEach'), '127.0.0.8')
})
