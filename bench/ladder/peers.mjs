// What carries the ladder's traffic from end A to the server at end B: start(link, port, files) → {host, port, tunnel, processes}.
import { mkdirSync, writeFileSync, chmodSync } from 'node:fs'
import path from 'node:path'
import { modules, newSecret, root, run, service } from '../../test/system/harness.mjs'
import { addressOfB } from '../../test/system/link/link.mjs'

const GATE = 8080
const DOOR = 2222

function tcp (congestionControl) {
  return async (link, port) => {
    await link.setCongestionControl(congestionControl)
    return { started: Date.now(), host: addressOfB, port, tunnel: false }
  }
}

async function ssh (link, port, files) {
  const folder = files.path('ssh')
  mkdirSync(folder, { recursive: true })
  for (const name of ['host', 'user']) await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', `${folder}/${name}`])
  await run('cp', [`${folder}/user.pub`, `${folder}/authorized`])
  chmodSync(files.folder, 0o755)
  mkdirSync('/run/sshd', { recursive: true })
  writeFileSync(`${folder}/sshd_config`, [`Port ${DOOR}`, `ListenAddress ${addressOfB}`, `HostKey ${folder}/host`, `AuthorizedKeysFile ${folder}/authorized`,
    'StrictModes no', 'UsePAM no', 'UseDNS no', 'PermitRootLogin yes', `PidFile ${folder}/pid`, 'MaxSessions 4096', 'MaxStartups 4096'].join('\n') + '\n')
  const started = Date.now()
  await link.exec('b', '/usr/sbin/sshd', ['-D', '-e', '-f', `${folder}/sshd_config`]).line(/listening/)
  link.exec('a', 'ssh', ['-N', '-F', 'none', '-c', 'chacha20-poly1305@openssh.com', '-i', `${folder}/user`, '-p', String(DOOR), '-o', 'StrictHostKeyChecking=no',
    '-o', 'UserKnownHostsFile=/dev/null', '-o', 'ExitOnForwardFailure=yes', '-L', `127.0.0.1:${GATE}:127.0.0.1:${port}`, addressOfB])
  return { started, host: '127.0.0.1', port: GATE, tunnel: true }
}

async function javascript (link, port, files) {
  await link.startDht()
  const secret = await newSecret()
  writeFileSync(files.path('services.json'), JSON.stringify([service(GATE, port)]))
  const peer = (end, role, more) => link.exec(end, 'node', [path.join(root, 'test/interop/tunnel/peer.mjs'), '--role', role, '--router', secret,
    '--bootstrap', link.bootstrap, '--modules', modules, ...more], { name: `javascript ${role}` })
  const started = Date.now()
  peer('b', 'provider', ['--services', files.path('services.json')])
  peer('a', 'gateway', ['--listen', '127.0.0.1'])
  return { started, host: '127.0.0.1', port: GATE, tunnel: true }
}

async function hypergate (link, port) {
  await link.startDht()
  const env = { HYPERGATE_ROUTER: await newSecret() }
  const started = Date.now()
  const more = process.env.VERBOSE ? ['--verbose'] : []
  const provider = link.hypergate('b', ['provider', JSON.stringify([service(GATE, port)]), '--bootstrap', link.bootstrap, ...more], { env })
  const gateway = link.hypergate('a', ['gateway', '--bootstrap', link.bootstrap, ...more], { env })
  return { started, host: '127.0.0.1', port: GATE, tunnel: true, provider, gateway }
}

export const peers = [
  { name: 'tcp bbr', start: tcp('bbr'), needs: 'bbr' },
  { name: 'tcp cubic', start: tcp('cubic'), needs: 'cubic' },
  { name: 'ssh', start: ssh },
  { name: 'javascript', start: javascript },
  { name: 'hypergate', start: hypergate }
]
