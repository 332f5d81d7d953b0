// Docker mode on real Docker Engines: the three machines of the manual, started by its own commands, with Redis behind a web page instead of
// MariaDB behind phpMyAdmin (docker/scenario.mjs has those); then containers come, go and change, helpers are killed, an engine is killed.
// The image is the one that `docker build -f docker/Dockerfile` makes of this checkout (docker/images.mjs). Skipped, saying why, where no engine
// can be started, or no image built because Debian's packages cannot be fetched.
import assert from 'node:assert/strict'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { after, before, test } from 'node:test'
import { Images, Unbuildable } from './docker/images.mjs'
import { Lab } from './docker/lab.mjs'
import * as manual from './docker/manual.mjs'
import { Process, binary, newSecret, run, untilWorks } from './harness.mjs'

const network = 'hypergatenet'
const here = (name) => new URL(`./docker/${name}`, import.meta.url).pathname
const measured = []
const logs = {}
let lab, reason, secret, m1, m2, m3

before(async () => {
  lab = await Lab.start(3)
  if (lab.reason) {
    notHere(lab.reason)
    return
  }
  [m1, m2, m3] = lab.machines
  await lab.startDht()
  try {
    await makeImages()
  } catch (error) {
    if (!(error instanceof Unbuildable)) throw error
    notHere(error.message)
  }
  mkdirSync(lab.folder + '/bin')
  symlinkSync(binary, lab.folder + '/bin/hypergate')
}, { timeout: 3600000 })

function notHere (why) {
  reason = why
  console.log(`Docker mode is not tested here: ${reason}`)
}

async function makeImages () {
  const small = {
    redis: [lab.image('redis', { programs: [['/usr/bin/redis-server', '/redis-server'], ['/usr/bin/redis-cli', '/redis-cli']] }),
      'CMD ["/redis-server","--bind","0.0.0.0","--protected-mode","no","--save",""]'],
    page: [lab.image('page', {
      programs: [['/bin/busybox', '/bin/busybox']],
      links: { '/bin/sh': 'busybox', '/bin/nc': 'busybox', '/bin/hostname': 'busybox' },
      files: { '/www/cgi-bin/page': here('page.cgi'), '/www/cgi-bin/who': here('who.cgi') }
    }), 'CMD ["/bin/busybox","httpd","-f","-p","80","-h","/www"]', 'ENV PATH=/bin']
  }
  await Promise.all(lab.machines.map(async (machine) => {
    for (const [name, [tar, ...changes]] of Object.entries(small)) await machine.import(tar, name, ...changes)
  }))
  const images = await Images.start(lab, (what, seconds) => { measured.push(`docker: ${what}: ${seconds.toFixed(1)} s`) })
  measured.push(`docker: storage driver of the engine that builds: ${images.driver}`)
  // What the manual's commands do not say: our own DHT, and logs that can be read here.
  await images.hypergate({ HYPERGATE_BOOTSTRAP: lab.bootstrap, HYPERGATE_LOG: 'json' })
  for (const machine of lab.machines) await machine.take(images.builder, 'hypergate', 'hypergate:plain')
  await images.stop()
}

after(async () => {
  if (!lab || lab.reason) return
  await lab.stop()
  for (const line of measured) console.log(line)
}, { timeout: 120000 })

function onDocker (name, body, ms = 120000) {
  test(name, { timeout: ms }, async (t) => {
    if (reason) return t.skip(reason)
    try { await body(t) } catch (error) {
      reason = `an earlier one failed: ${name}`  // each goes on from where the one before it left the machines
      throw error
    }
  })
}

// As typed at a machine's terminal, the manual's placeholders filled in.
function type (machine, command, name, router = secret) {
  return machine.type(command.replace(/<router-key>|<router>/g, router), {
    name, env: { PATH: `${lab.folder}/bin:${process.env.PATH}`, HYPERGATE_BOOTSTRAP: lab.bootstrap, HYPERGATE_LOG: 'json' }
  })
}

// Ctrl-C at its terminal. (A signal to script(1) would be followed by SIGKILL 2 s later, and leave helpers behind.)
function interrupt (typed) {
  typed.child.stdin.write('\x03')
}

function helperName (host) {
  return new RegExp(`^${host.replaceAll('.', '\\.')}-hypergate-gateway-[0-9a-f]{12}$`)
}

async function helpers (machine) {
  return (await machine.docker('ps', '--filter', 'label=hypergate.helper', '--format', '{{.Names}}')).split('\n').filter(Boolean)
}

async function helperRuns (machine, host, limitMs = 60000) {
  return untilWorks(async () => assert.ok((await helpers(machine)).some((name) => helperName(host).test(name)), `no helper for ${host}`), limitMs)
}

// When a line was logged (JSON logs), in Unix milliseconds.
async function loggedAt (log, pattern, since, limitMs = 30000) {
  const [line] = await log.line(new RegExp(`^\\{.*${pattern.source}.*$`), limitMs, since)
  return Date.parse(JSON.parse(line).time)
}

function note (what, ms) {
  measured.push(`docker: ${what}: ${Math.round(ms)} ms`)
}

onDocker('the image of docker/Dockerfile is small, belongs to nobody, excludes itself, and makes a router secret', async () => {
  const image = await m1.api('GET', '/images/hypergate:plain/json')
  measured.push(`docker: image ${(image.Size / 1e6).toFixed(1)} MB`)
  assert.ok(image.Size < 20e6, `${image.Size} bytes`)
  assert.equal(image.Config.Labels['hypergate.EXCLUDE'], 'true')
  assert.match(image.Config.User, /^[1-9]\d*:[1-9]\d*$/)
  const docker = async (...args) => (await run('docker', ['-H', `unix://${m1.socket}`, ...args])).stdout
  const container = (await docker('create', 'hypergate:plain')).trim()
  assert.match(await docker('cp', `${container}:/NOTICES`, '-'), /BSD 3-Clause License[^]*OpenSSL[^]*GNU C Library/)
  await docker('rm', container)
  secret = await m1.typed(manual.create)
  assert.match(secret, /^[0-9a-f]{64}$/)
})

onDocker('the image reads policies over https: by its own authorities, or by those mounted in their place', async () => {
  const files = lab.folder + '/tls'
  mkdirSync(files)
  const openssl = async (...args) => assert.equal((await run('openssl', args, { cwd: files })).status, 0)
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  await openssl('req', '-x509', ...key, '-subj', '/CN=an authority', '-keyout', 'ca.key', '-out', 'ca.crt')
  await openssl('req', '-x509', ...key, '-subj', '/CN=policies', '-addext', 'subjectAltName=IP:10.89.0.101', '-CA', 'ca.crt', '-CAkey', 'ca.key', '-keyout', 'key', '-out', 'crt')
  const serve = `const fs = require('fs'); require('https').createServer({ key: fs.readFileSync('${files}/key'), cert: fs.readFileSync('${files}/crt') },
    (q, r) => r.end('{"ips":{"192.0.2.1":{"allow":"asked"}}}')).listen(443, '10.89.0.101', () => console.log('serving'))`
  const server = new Process(...lab.inside(lab.middle, process.execPath, '-e', serve), { name: 'https' })
  await server.line(/serving/)
  const ask = async (...mount) => (await run('docker', ['-H', `unix://${m1.socket}`, 'run', '--rm', ...mount, 'hypergate:plain', '--router', secret,
    '--provider', '[{"gatePort":80}]', '--ingressPolicy', 'https://10.89.0.101/policy.json'])).stderr
  assert.match(await ask(), /certificate verify failed/)
  // Read, and refused only for what it says.
  assert.match(await ask('-v', `${files}/ca.crt:/etc/ssl/certs/ca-certificates.crt:ro`), /policy\.json: \$\.ips\["192\.0\.2\.1"\]\.allow: "asked" is not accepted/)
})

onDocker('three machines: Redis on the first, a page that reads it on the second, a client on the third', async () => {
  const begun = Date.now()
  logs.sp1 = type(m1, manual.provider1, 'provider')
  await logs.sp1.line(/network hypergatenet created/)
  await logs.sp1.line(/own container attached/)
  await m1.typed('docker run -d --rm --name test-redis --label hypergate.EXPOSE=6379 redis')
  await m1.typed('docker network connect hypergatenet test-redis --alias redis.hyper')
  await m1.docker('exec', 'test-redis', '/redis-cli', 'set', 'greeting', 'a greeting out of Redis')

  logs.gw2 = type(m2, manual.gateway2, 'gateway')
  logs.sp2 = type(m2, manual.provider2, 'provider')
  await logs.sp2.line(/own container attached/)
  await m2.typed('docker run -d --rm --name test-page --label hypergate.EXPOSE=80 page')
  await m2.typed('docker network connect hypergatenet test-page --alias page.hyper')

  logs.gw3 = type(m3, manual.gateway3.replace('phpmyadmin.hyper', 'page.hyper'), 'gateway')
  let text
  await untilWorks(async () => {
    text = await lab.curl(lab.middle, 'http://10.89.0.3:8080/cgi-bin/page')
    assert.match(text, /a greeting out of Redis/)
  }, 90000)
  note('three machines, first command to first page', Date.now() - begun)
})

onDocker('helpers stand for remote hosts only, and show no secret', async () => {
  await helperRuns(m2, 'redis.hyper')
  await helperRuns(m3, 'page.hyper')
  const second = await helpers(m2)
  assert.ok(!second.some((name) => name.startsWith('page.hyper')), `page.hyper is local on machine 2: ${second}`)
  const third = await helpers(m3)
  assert.ok(!third.some((name) => name.startsWith('redis.hyper')), `machine 3 asked for page.hyper only: ${third}`)
  for (const [machine, names] of [[m2, second], [m3, third]]) {
    const shown = await machine.docker('inspect', ...names) + await machine.docker('ps', '-a', '--no-trunc', '--filter', 'label=hypergate.helper')
    assert.ok(!shown.includes(secret), 'the secret shows')
    for (const container of JSON.parse(await machine.docker('inspect', ...names))) {
      assert.equal(container.Config.Labels['hypergate.EXCLUDE'], 'true')
      assert.equal(container.Config.Hostname, container.Config.Labels['hypergate.host'])
      assert.notEqual(container.Config.User, '')
    }
  }
})

onDocker('containers that start, stop and change are followed within a second', async () => {
  const gates = logs.gw2
  const start = async (name, ...options) => {
    const from = { mark: gates.lines.length, ms: Date.now() }
    await m1.docker('run', '-d', '--name', name, '--network', network, ...options, 'page')
    return from
  }
  const follow = async (what, name, action, from, pattern) => {
    const seen = await loggedAt(gates, pattern, from.mark)
    const delay = seen - await m1.eventTime(name, action, from.ms)
    note(`${what}, engine's event to the other machine's gate`, delay)
    assert.ok(delay >= 0 && delay < 1000, `${what} took ${delay} ms`)
  }
  let from = await start('extra', '--label', 'hypergate.EXPOSE=7001')
  await follow('container starts', 'extra', 'start', from, /tcp 0\.0\.0\.0:7001 open for extra:7001/)
  from = { mark: gates.lines.length, ms: Date.now() }
  await m1.docker('rm', '-f', 'extra')
  await follow('container is killed', 'extra', 'die', from, /no more: tcp 0\.0\.0\.0:7001/)
  from = await start('extra', '--label', 'hypergate.EXPOSE=7001:7002,53/udp')
  await follow('container comes back with other labels', 'extra', 'start', from, /tcp 0\.0\.0\.0:7002 open for extra:7001/)
  await gates.line(/udp 0\.0\.0\.0:53 open for extra:53/, 5000, from.mark)
  from = { mark: gates.lines.length, ms: Date.now() }
  await m1.docker('network', 'disconnect', network, 'extra')
  const seen = await loggedAt(gates, /no more: tcp 0\.0\.0\.0:7002/, from.mark)
  note('container leaves the network, command to the other machine\'s gate', seen - from.ms)
  await m1.docker('rm', '-f', 'extra')
})

onDocker('labels decide', async () => {
  const gates = logs.gw2
  const mark = gates.lines.length
  const place = ['-d', '--network', network]
  await m1.docker('run', ...place, '--name', 'excluded', '--label', 'hypergate.EXCLUDE=true', '--label', 'hypergate.EXPOSE=7101', 'page')
  await m1.docker('run', ...place, '--name', 'unexposed', '--expose', '7102', '--expose', '7103', '--label', 'hypergate.UNEXPOSE=7102', 'page')
  await m1.docker('run', ...place, '--name', 'published', '-p', '7105:7104', 'page')
  await gates.line(/tcp 0\.0\.0\.0:7103 open for unexposed:7103/, 10000, mark)
  await gates.line(/tcp 0\.0\.0\.0:7105 open for published:7104/, 10000, mark)
  await gates.line(/tcp 0\.0\.0\.0:7104 open for published:7104/, 10000, mark)
  const shown = gates.lines.slice(mark).join('\n')
  assert.ok(!/:7101 open|:7102 open/.test(shown), shown)
  await m1.docker('rm', '-f', 'excluded', 'unexposed', 'published')
})

onDocker('two containers with the same port are each reached by name', async () => {
  const names = ['one', 'two']
  for (const name of names) await m1.docker('run', '-d', '--network', network, '--name', name, '--hostname', name, '--label', 'hypergate.EXPOSE=80', 'page')
  for (const name of names) {
    await helperRuns(m2, name)
    const ask = `printf 'GET /cgi-bin/who HTTP/1.0\\r\\n\\r\\n' | nc -w 5 ${name} 80`
    let answer
    await untilWorks(async () => {
      answer = await m2.docker('exec', 'test-page', '/bin/sh', '-c', ask)
      assert.match(answer, /^HTTP/)
    }, 30000)
    assert.equal(answer.split('\n').at(-1), name)
  }
  await m1.docker('rm', '-f', ...names)
  await untilWorks(async () => assert.equal((await helpers(m2)).length, 1, 'helpers go with their routes'), 20000)
})

onDocker('a helper that is killed is made again', async () => {
  const name = (await helpers(m2)).find((candidate) => candidate.startsWith('redis.hyper'))
  const from = Date.now()
  await m2.docker('kill', name)
  const died = await m2.eventTime(name, 'die', from)
  const started = await m2.eventTime(name, 'start', died)
  note('helper killed, its end to its successor\'s start', started - died)
  await untilWorks(async () => assert.match(await lab.curl(lab.middle, 'http://10.89.0.3:8080/cgi-bin/page'), /out of Redis/), 30000)
})

onDocker('a helper that is taken off the network is made again', async () => {
  const named = async () => (await helpers(m2)).find((candidate) => candidate.startsWith('redis.hyper'))
  const id = async (name) => (await m2.docker('inspect', '-f', '{{.Id}}', name)).trim()
  const name = await named()
  const lost = await id(name)
  const from = Date.now()
  await m2.docker('network', 'disconnect', '-f', network, name)
  await untilWorks(async () => assert.notEqual(await id(await named()), lost), 30000)
  note('helper off the network, to its successor', Date.now() - from)
  await untilWorks(async () => assert.match(await lab.curl(lab.middle, 'http://10.89.0.3:8080/cgi-bin/page'), /out of Redis/), 30000)
})

onDocker('provider and gateway outside containers, by the manual\'s two commands', async () => {
  const router = await newSecret()
  const provider = type(m1, manual.providerOnHost, 'provider on the host', router)
  await provider.line(/services offered: [1-9]/)
  const gateway = type(m3, manual.gatewayOnHost, 'gateway on the host', router)
  await gateway.line(/tcp 0\.0\.0\.0:6379 open for redis\.hyper:6379/)
  const helper = await untilWorks(async () => assert.ok((await helpers(m3)).some((name) => name.startsWith('redis.hyper-'))))
  note('gate open to helper runs', helper)
  for (const one of [gateway, provider]) interrupt(one)
  assert.deepEqual(await Promise.all([gateway.exited, provider.exited]), [0, 0])
  assert.deepEqual((await helpers(m3)).filter((name) => !name.startsWith('page.hyper-')), [])
})

onDocker('helpers are made of the image that --image names', async () => {
  const folder = lab.folder + '/other'
  mkdirSync(folder)
  writeFileSync(folder + '/Dockerfile', 'FROM hypergate\nLABEL other.image=yes\n')
  await m3.build(folder, 'hypergate:other')
  const router = await newSecret()
  const services = JSON.stringify([{ gatePort: 7601, serviceHost: 'named.hyper', servicePort: 1, protocol: 'tcp', tags: 'docker' }])
  const provider = lab.process(m1, ['provider', services], { name: 'provider on the host', env: { HYPERGATE_ROUTER: router } })
  const gatewayWith = (image) => lab.process(m3, ['gateway', '--listen', m3.address, '--docker', m3.socket, '--network', network, '--image', image],
    { name: `gateway with ${image}`, env: { HYPERGATE_ROUTER: router } })
  let gateway = gatewayWith('hypergate:other')
  await helperRuns(m3, 'named.hyper')
  const [made] = JSON.parse(await m3.docker('inspect', (await helpers(m3)).find((name) => name.startsWith('named.hyper-'))))
  assert.equal(made.Config.Image, 'hypergate:other')
  assert.equal(made.Config.Labels['other.image'], 'yes')
  await untilWorks(async () => assert.match((await run('docker', ['-H', `unix://${m3.socket}`, 'logs', made.Id])).stderr, /:7601 open for named\.hyper:1/), 30000)
  assert.equal(await gateway.stop(), 0)
  assert.ok(!(await helpers(m3)).some((name) => name.startsWith('named.hyper-')))
  gateway = gatewayWith('hypergate:none')
  await gateway.line(/helper named\.hyper-hypergate-gateway-[0-9a-f]{12}: .*No such image: hypergate:none .*trying again/)
  assert.equal(await gateway.stop(), 0)
  assert.equal(await provider.stop(), 0)
})

onDocker('a gateway opens the ports of containers, only published ones, or all, as it is told', async () => {
  const router = await newSecret()
  const files = JSON.stringify([{ gatePort: 7701, serviceHost: '127.0.0.1', servicePort: 1, protocol: 'tcp' }])
  await m1.docker('run', '-d', '--name', 'both', '--network', network, '-p', '7703:7702', 'page')
  const provider = lab.process(m1, ['provider', files, '--docker', m1.socket, '--network', network], { name: 'provider on the host', env: { HYPERGATE_ROUTER: router } })
  for (const [options, ports] of [[[], [7702, 7703]], [['--exposeOnlyPublished'], [7703]], [['--exposeOnlyDocker', 'false'], [7701, 7702, 7703]],
    [['--exposeOnlyServices', 'redis.hyper'], []]]) {
    const gateway = lab.process(m3, ['gateway', '--listen', m3.address, '--docker', m3.socket, '--network', network, ...options],
      { name: `gateway ${options}`, env: { HYPERGATE_ROUTER: router } })
    for (const port of ports) await gateway.line(new RegExp(`10\\.89\\.0\\.3:${port} open`))
    await gateway.line(ports.length === 0 ? /:6379 open for redis\.hyper/ : /helper both-hypergate-gateway-[0-9a-f]{12} started/)
    const opened = gateway.lines.flatMap((line) => line.match(/10\.89\.0\.3:(77\d\d) open/)?.[1] ?? []).map(Number)
    assert.deepEqual(opened.sort(), ports, `${options}`)
    assert.equal(await gateway.stop(), 0)
  }
  await m1.docker('rm', '-f', 'both')
  assert.equal(await provider.stop(), 0)
})

onDocker('a gateway\'s filter that changes reaches its helpers', async () => {
  const router = await newSecret()
  const file = lab.folder + '/filter.json'
  const ports = [7801, 7802].map((gatePort) => ({ gatePort, serviceHost: 'two.hyper', servicePort: 1, protocol: 'tcp', tags: 'docker' }))
  const provider = lab.process(m1, ['provider', JSON.stringify(ports)], { name: 'provider on the host', env: { HYPERGATE_ROUTER: router } })
  writeFileSync(file, '[{"gatePort":7801}]')
  const gateway = lab.process(m3, ['gateway', file, '--listen', m3.address, '--docker', m3.socket, '--network', network],
    { name: 'gateway with a filter', env: { HYPERGATE_ROUTER: router } })
  await helperRuns(m3, 'two.hyper')
  const helper = (await helpers(m3)).find((name) => name.startsWith('two.hyper-'))
  const said = async () => (await run('docker', ['-H', `unix://${m3.socket}`, 'logs', helper])).stderr
  await untilWorks(async () => assert.match(await said(), /0\.0\.0\.0:7801 open for two\.hyper:1/), 30000)
  assert.doesNotMatch(await said(), /7802/)
  const changed = Date.now()
  writeFileSync(file, '[{"gatePort":7802,"serviceHost":"two.hyper"}]')
  await gateway.line(/10\.89\.0\.3:7802 open for two\.hyper:1/)
  await untilWorks(async () => assert.match(await said(), /no more: tcp 0\.0\.0\.0:7801/), 30000)
  await untilWorks(async () => assert.match(await said(), /0\.0\.0\.0:7802 open for two\.hyper:1/), 30000)
  note('filter changed, to the helper\'s other gate', Date.now() - changed)
  const excluded = Date.now()
  writeFileSync(file, '[{"serviceHost":"none.hyper"}]')
  await untilWorks(async () => assert.ok(!(await helpers(m3)).includes(helper)), 30000)
  note('filter excludes a host, to its helper gone', Date.now() - excluded)
  assert.doesNotMatch(gateway.lines.join('\n'), /did not reach it/)
  assert.equal(await gateway.stop(), 0)
  assert.equal(await provider.stop(), 0)
})

onDocker('a provider needs to read the engine\'s API only', async (t) => {
  const socket = m1.folder + '/read-only.sock'
  const asked = new Set()
  const proxy = http.createServer((request, response) => {
    asked.add(request.method)
    if (request.method !== 'GET') return response.writeHead(403).end('{"message":"read only"}')
    const onward = http.request({ socketPath: m1.socket, path: request.url, headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers)
      response.flushHeaders()
      answer.pipe(response)
    }).on('error', () => response.destroy())
    response.on('close', () => onward.destroy())
    onward.end()
  }).listen(socket)
  t.after(() => { proxy.closeAllConnections(); proxy.close() })
  const provider = lab.process(m1, ['provider', '--docker', socket, '--network', network], { name: 'reading provider', env: { HYPERGATE_ROUTER: await newSecret() } })
  await provider.line(/services offered: [1-9]/)
  const mark = provider.lines.length
  await m1.docker('run', '-d', '--name', 'seen', '--network', network, '--label', 'hypergate.EXPOSE=7501', 'page')
  await provider.line(/services offered: [1-9]/, 5000, mark)
  await m1.docker('rm', '-f', 'seen')
  assert.deepEqual([...asked], ['GET'])
  assert.equal(await provider.stop(), 0)
})

onDocker('a provider outside containers reaches them, and adds them to its files', async () => {
  const router = await newSecret()
  const files = JSON.stringify([{ gatePort: 7201, serviceHost: '127.0.0.1', servicePort: 1, protocol: 'tcp' }])
  const provider = lab.process(m2, ['provider', files, '--docker', m2.socket, '--network', network], { name: 'provider on the host', env: { HYPERGATE_ROUTER: router } })
  const gateway = lab.process(m3, ['gateway', '--listen', m3.address], { name: 'gateway on the host', env: { HYPERGATE_ROUTER: router } })
  await gateway.line(/10\.89\.0\.3:7201 open for 127\.0\.0\.1:1/)
  await gateway.line(/10\.89\.0\.3:80 open for page\.hyper:80/)
  assert.match(await lab.curl(m3.namespace, 'http://10.89.0.3/cgi-bin/page', 15), /out of Redis/)
  assert.equal(await gateway.stop(), 0)
  assert.equal(await provider.stop(), 0)
})

onDocker('the image resolves names by the engine\'s DNS', async () => {
  const router = await newSecret()
  const services = JSON.stringify([{ gatePort: 7401, serviceHost: 'redis.hyper', servicePort: 6379, protocol: 'tcp' }])
  await m1.docker('run', '-d', '--name', 'by-name', '--network', network, '-e', `HYPERGATE_ROUTER=${router}`, 'hypergate', 'provider', services)
  const gateway = lab.process(m3, ['gateway', '--listen', m3.address], { name: 'gateway on the host', env: { HYPERGATE_ROUTER: router } })
  await gateway.line(/10\.89\.0\.3:7401 open for redis\.hyper:6379/)
  const ping = "printf 'PING\\r\\nQUIT\\r\\n' | busybox nc -w 10 10.89.0.3 7401"
  const { stdout } = await run(...lab.inside(m3.namespace, 'busybox', 'sh', '-c', ping))
  assert.match(stdout, /\+PONG/)
  assert.equal(await gateway.stop(), 0)
  await m1.docker('rm', '-f', 'by-name')
})

onDocker('an engine that is killed and started again is followed', async () => {
  const provider = lab.process(m1, ['provider', '--docker', m1.socket, '--network', network], { name: 'provider on the host', env: { HYPERGATE_ROUTER: await newSecret() } })
  await provider.line(/containers on network/)
  let mark = provider.lines.length
  await m1.kill()
  await provider.line(/Docker Engine at .*trying again/, 10000, mark)
  mark = provider.lines.length
  await untilWorks(() => m1.start(), 90000)
  const back = Date.now()
  note('engine answers again, to the provider\'s look-up', Math.max(0, await loggedAt(provider, /containers on network/, mark) - back))
  mark = provider.lines.length
  await m1.docker('run', '-d', '--name', 'afterwards', '--network', network, '--label', 'hypergate.EXPOSE=7301', 'page')
  await provider.line(/services offered: [1-9]/, 15000, mark)
  assert.equal(await provider.stop(), 0)
})

onDocker('a gateway stops though its engine hangs, and says how to remove its helpers', async () => {
  const router = await newSecret()
  const services = JSON.stringify([{ gatePort: 7901, serviceHost: 'left.hyper', servicePort: 1, protocol: 'tcp', tags: 'docker' }])
  const provider = lab.process(m1, ['provider', services], { name: 'provider on the host', env: { HYPERGATE_ROUTER: router } })
  const gateway = lab.process(m3, ['gateway', '--listen', m3.address, '--docker', m3.socket, '--network', network], { name: 'gateway on the host', env: { HYPERGATE_ROUTER: router } })
  await helperRuns(m3, 'left.hyper')
  m3.engine.child.kill('SIGSTOP')
  try {
    const begun = Date.now()
    assert.equal(await gateway.stop(), 0)
    note('gateway stops while its engine hangs', Date.now() - begun)
    assert.ok(Date.now() - begun < 10000, `${Date.now() - begun} ms`)
  } finally {
    m3.engine.child.kill('SIGCONT')
  }
  const [, command] = gateway.lines.join('\n').match(/remove what is left with: (docker ps [^"]*rm -f)/)
  await m3.typed(command)
  assert.ok(!(await helpers(m3)).some((name) => name.startsWith('left.hyper-')))
  assert.equal(await provider.stop(), 0)
})

onDocker('helpers go with their gateway, and leftovers with the next', async () => {
  await m3.docker('kill', '--signal', 'KILL', 'hypergate-gw-machine3')
  await logs.gw3.exited
  assert.equal((await helpers(m3)).length, 1)
  const log = type(m3, manual.gateway3.replace('phpmyadmin.hyper', 'none.hyper'), 'gateway')
  await log.line(/left behind by an earlier gateway, removed/)
  await untilWorks(async () => assert.deepEqual(await helpers(m3), []), 20000)
  await m2.docker('stop', '-t', '15', 'hypergate-gw-machine2')
  assert.equal(await logs.gw2.exited, 0)
  assert.deepEqual(await helpers(m2), [])
})
