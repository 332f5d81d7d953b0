// One provider in home A, one gateway in home B, and perhaps a member in home C: do they find each other, how, and in what time?
import path from 'node:path'
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { modules, newSecret, root, scratch, service } from '../harness.mjs'

const GATE = 8080
const SERVICE = 8000
const PAGE_BYTES = 24 * 1024
const pageProgram = path.join(path.dirname(fileURLToPath(import.meta.url)), 'page.mjs')

function startNative (lab, role, secret, files) {
  const args = role === 'provider' ? ['provider', files.path('services.json')] : ['gateway']
  return lab.hypergate(role === 'provider' ? 'a' : 'b', [...args, '--bootstrap', lab.bootstrap, ...(process.env.VERBOSE ? ['--verbose'] : [])],
    { name: role, env: { HYPERGATE_ROUTER: secret } })
}

function startJavascript (lab, role, secret, files) {
  const args = [path.join(root, 'test/interop/tunnel/peer.mjs'), '--role', role, '--router', secret, '--bootstrap', lab.bootstrap, '--modules', modules]
  args.push(...(role === 'provider' ? ['--services', files.path('services.json')] : ['--listen', '127.0.0.1']))
  return lab.exec(role === 'provider' ? 'a' : 'b', 'node', args, { name: `javascript ${role}` })
}

async function startMember (lab, secret, { args = [], together }) {
  const running = lab.hypergate('c', ['gateway', '--bootstrap', lab.bootstrap, ...args, ...(process.env.VERBOSE ? ['--verbose'] : [])],
    { name: 'member', env: { HYPERGATE_ROUTER: secret } })
  if (!together) await running.line(args.includes('--noRelay') ? /joined as/ : /relaying for members/)
  return running
}

/** 'direct' (one side needed no punching), 'punched', 'relayed' (through home C) or 'lan': told from what the core forwarded between the homes. */
export function howConnected ({ probes, bytes, relay }) {
  if (bytes < PAGE_BYTES) return relay >= 2 * PAGE_BYTES ? 'relayed' : 'lan'
  return probes > 0 ? 'punched' : 'direct'
}

/**
 * Runs the pair of homes `a` and `b` (b === null: B is a neighbour in A's home). `provider` and `gateway` are 'native' or 'javascript'.
 * `member`: {home, args, together}, another gateway in home C that is there before, or starts together with the pair; `blocked`: UDP between homes A and B is dropped on the way.
 * {seconds, how, counted} or {seconds: null, why}. `during(processes)` may look at the running pair before it is stopped.
 */
export async function connectPair (lab, a, b, { provider = 'native', gateway = 'native', limitMs = 60000, during, member, blocked = false } = {}) {
  const files = scratch()
  const started = []
  try {
    await lab.addHome('a', a)
    await (b === null ? lab.addNeighbour(a) : lab.addHome('b', b))
    if (blocked) await lab.blockUdp()
    const secret = await newSecret()
    writeFileSync(files.path('services.json'), JSON.stringify([service(GATE, SERVICE)]))
    if (member) await lab.addHome('c', member.home)
    if (member && !member.together) started.push(await startMember(lab, secret, member))
    const server = lab.exec('a', 'node', [pageProgram, 'serve', String(SERVICE)], { name: 'web' })
    const client = lab.exec('b', 'node', [pageProgram, 'fetch', String(GATE)], { name: 'client' })
    started.push(server, client)
    await server.line(/serving/)
    const begin = Date.now()
    const start = (kind, role) => (kind === 'native' ? startNative : startJavascript)(lab, role, secret, files)
    const pair = { provider: start(provider, 'provider'), gateway: start(gateway, 'gateway') }
    started.push(pair.provider, pair.gateway)
    if (member?.together) started.push(pair.member = await startMember(lab, secret, member))
    if (during) await during(pair)
    const page = await client.line(/^page (\d+)/, limitMs).catch((error) => ({ error }))
    if (page.error) return { seconds: null, why: page.error.message, processes: pair }
    const counted = await lab.counted()
    return { seconds: (Number(page[1]) - begin) / 1000, how: howConnected(counted), counted, processes: pair }
  } finally {
    await Promise.all(started.map((p) => p.status === undefined ? p.stop('SIGKILL').catch(() => {}) : null))
    await lab.removeHomes()
    files.remove()
  }
}
