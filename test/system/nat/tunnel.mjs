// An open tunnel across the lab's homes, with traffic in it, and what becomes of that.
import assert from 'node:assert/strict'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { newSecret, service, timeout } from '../harness.mjs'

export const GATE = 8080
export const SERVICE = 8000
const GIVE_UP_MS = 40000
const traffic = path.join(path.dirname(fileURLToPath(import.meta.url)), 'traffic.mjs')

/** A gateway that listens nowhere of interest: it is there to relay. */
function startRelay (lab, secret, more) {
  const at = `127.0.0.${2 + startRelay.count++}` // several share home C
  return lab.hypergate('c', ['gateway', '--listen', at, ...more], { name: 'relay', env: { HYPERGATE_ROUTER: secret } })
}
startRelay.count = 0

/** A provider in home A, a gateway in home B, and traffic between them. `relays`: members in home C that are there before, so many. */
export async function openTunnel (lab, rate, { relays = 0, relayArgs = [], gatewayArgs = [] } = {}) {
  const secret = await newSecret()
  const options = (name) => ({ name, env: { HYPERGATE_ROUTER: secret } })
  const more = ['--bootstrap', lab.bootstrap, ...(process.env.VERBOSE ? ['--verbose'] : [])]
  const members = Array.from({ length: relays }, () => startRelay(lab, secret, [...more, ...relayArgs]))
  await Promise.all(members.map((member) => member.line(/relaying for members/)))
  const server = lab.exec('a', 'node', [traffic, 'serve', String(SERVICE)], { name: 'service' })
  await server.line(/serving/)
  const provider = lab.hypergate('a', ['provider', JSON.stringify([service(GATE, SERVICE)]), ...more], options('provider'))
  const gateway = lab.hypergate('b', ['gateway', ...more, ...gatewayArgs], options('gateway'))
  await gateway.line(/8080 open/, 60000)
  const client = lab.exec('b', 'node', [traffic, 'run', String(GATE), String(rate)], { name: 'client' })
  await client.line(/request/, 20000)
  await client.line(/channel [1-9]\d+/, 20000)
  await timeout(3000) // NAT kinds are known, announcements out
  return { client, gateway, members, secret, startRelay: () => startRelay(lab, secret, more) }
}

/** Milliseconds from `back` to the first page that was asked for since; null: none in GIVE_UP_MS. */
export async function recovered (client, back) {
  const deadline = Date.now() + GIVE_UP_MS
  for (let at = 0; Date.now() < deadline;) {
    const [line, began, took] = await client.line(/request (\d+) (\d+)/, deadline - Date.now(), at).catch(() => [])
    if (line === undefined) return null
    at = client.lines.indexOf(line, at) + 1
    if (Number(began) >= back) return Number(began) + Number(took) - back
  }
  return null
}

export const channelBroken = (client) => client.lines.find((line) => line.startsWith('channel broken'))

/** The channel moves after the event, not only before it. */
export async function channelGoesOn (client) {
  const since = client.lines.length
  const at = async (from) => Number((await client.line(/^channel (\d+)/, GIVE_UP_MS, from))[1])
  const before = await at(since)
  const deadline = Date.now() + GIVE_UP_MS
  for (let from = since + 1; Date.now() < deadline; from++) {
    if (channelBroken(client) || await at(from) > before) return !channelBroken(client)
  }
  return false
}

export async function wholeInTheEnd (client) {
  client.child.kill('SIGUSR2')
  const [, bytes] = await client.line(/channel whole: (\d+)|channel broken.*/, GIVE_UP_MS)
  assert.equal(channelBroken(client), undefined)
  return Number(bytes)
}
