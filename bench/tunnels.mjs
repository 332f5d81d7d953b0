// The tunnels that are compared: each forwards a port of 127.0.0.1 to another one and says which processes do it.
import { mkdirSync, writeFileSync, chmodSync } from 'node:fs'
import path from 'node:path'
import { Process, binary, freePort, gateOpen, modules, newSecret, root, run, service, startDht, startGateway, startProvider, untilWorks } from '../test/system/harness.mjs'
import net from 'node:net'

function accepts (port) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => { socket.destroy(); resolve() })
    socket.on('error', reject)
  })
}

async function onPath (command) {
  return (await run('sh', ['-c', `command -v ${command}`])).status === 0
}

async function direct (target) {
  return { port: target, processes: [], stop: async () => {} }
}

async function socat (target) {
  const port = await freePort()
  const relay = new Process('socat', [`TCP-LISTEN:${port},bind=127.0.0.1,fork,reuseaddr,nodelay,backlog=4096`, `TCP:127.0.0.1:${target},nodelay`])
  await untilWorks(() => accepts(port))
  return { port, processes: [relay], stop: () => relay.stop() }
}

function ssh (cipher) {
  return async (target, files) => {
    const folder = files.path(`ssh-${cipher}`)
    mkdirSync(folder)
    for (const name of ['host', 'user']) await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', `${folder}/${name}`])
    await run('cp', [`${folder}/user.pub`, `${folder}/authorized`])
    chmodSync(files.folder, 0o755)
    mkdirSync('/run/sshd', { recursive: true })
    const [door, port] = [await freePort(), await freePort()]
    writeFileSync(`${folder}/sshd_config`, [`Port ${door}`, 'ListenAddress 127.0.0.1', `HostKey ${folder}/host`, `AuthorizedKeysFile ${folder}/authorized`,
      'StrictModes no', 'UsePAM no', 'PermitRootLogin yes', `PidFile ${folder}/pid`, 'MaxSessions 4096', 'MaxStartups 4096'].join('\n') + '\n')
    const server = new Process('/usr/sbin/sshd', ['-D', '-e', '-f', `${folder}/sshd_config`])
    await untilWorks(() => accepts(door))
    const client = new Process('ssh', ['-N', '-F', 'none', '-c', cipher, '-i', `${folder}/user`, '-p', String(door), '-o', 'StrictHostKeyChecking=no',
      '-o', 'UserKnownHostsFile=/dev/null', '-o', 'ExitOnForwardFailure=yes', '-L', `127.0.0.1:${port}:127.0.0.1:${target}`, '127.0.0.1'])
    await untilWorks(() => accepts(port))
    return { port, processes: [client, server], stop: async () => { await client.stop(); await server.stop() } }
  }
}

async function stunnel (target, files) {
  const folder = files.path('stunnel')
  mkdirSync(folder)
  await run('openssl', ['req', '-x509', '-newkey', 'ed25519', '-nodes', '-subj', '/CN=bench', '-days', '2', '-keyout', `${folder}/key`, '-out', `${folder}/cert`])
  const [door, port] = [await freePort(), await freePort()]
  const config = (name, lines) => { writeFileSync(`${folder}/${name}`, ['foreground = yes', 'syslog = no', 'debug = 3', 'pid =', ...lines].join('\n') + '\n'); return `${folder}/${name}` }
  const server = new Process('stunnel', [config('server', ['socket = r:TCP_NODELAY=1', 'socket = l:TCP_NODELAY=1', '[s]', `accept = 127.0.0.1:${door}`, `connect = 127.0.0.1:${target}`, `cert = ${folder}/cert`, `key = ${folder}/key`])])
  const client = new Process('stunnel', [config('client', ['socket = r:TCP_NODELAY=1', 'socket = l:TCP_NODELAY=1', '[c]', 'client = yes', `accept = 127.0.0.1:${port}`, `connect = 127.0.0.1:${door}`])])
  await untilWorks(() => accepts(door))
  await untilWorks(() => accepts(port))
  return { port, processes: [client, server], stop: async () => { await client.stop(); await server.stop() } }
}

async function hypergate (target) {
  const network = await startDht()
  const secret = await newSecret()
  const port = await freePort()
  const start = performance.now()
  const provider = startProvider(network, secret, [service(port, target), service(port, target, 'udp')])
  const gateway = startGateway(network, secret)
  await gateOpen(gateway, port)
  await untilWorks(() => accepts(port))
  const startUpMs = performance.now() - start
  return { port, startUpMs, processes: [gateway, provider], stop: async () => { await gateway.stop(); await provider.stop(); await network.stop() } }
}

async function javascript (target, files) {
  const network = await startDht()
  const secret = await newSecret()
  const port = await freePort()
  const list = files.path('javascript.json')
  writeFileSync(list, JSON.stringify([service(port, target), service(port, target, 'udp')]))
  const peer = (role, more) => new Process('node', [path.join(root, 'test/interop/tunnel/peer.mjs'), '--role', role, '--router', secret,
    '--bootstrap', network.bootstrap, '--modules', modules, ...more], { name: `javascript ${role}` })
  const start = performance.now()
  const provider = peer('provider', ['--services', list])
  const gateway = peer('gateway', ['--listen', '127.0.0.1'])
  await gateway.line(new RegExp(`"gate".*${port}`))
  await untilWorks(() => accepts(port))
  const startUpMs = performance.now() - start
  return { port, startUpMs, processes: [gateway, provider], stop: async () => { await gateway.stop(); await provider.stop(); await network.stop() } }
}

export const tunnels = [
  { name: 'direct', start: direct, udp: true },
  { name: 'socat', start: socat },
  { name: 'ssh chacha20', start: ssh('chacha20-poly1305@openssh.com') },
  { name: 'ssh aes128-gcm', start: ssh('aes128-gcm@openssh.com') },
  { name: 'stunnel', start: stunnel },
  { name: 'javascript', start: javascript, udp: true },
  { name: 'hypergate', start: hypergate, udp: true, size: binary }
]

// Programs that join in when they are installed.
export async function absent () {
  const missing = []
  for (const name of ['rathole', 'frpc', 'chisel']) if (!(await onPath(name))) missing.push(name)
  return missing
}
