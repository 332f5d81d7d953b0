// A tunnel peer of our own in JavaScript, written from the tunnel specification on the npm hyperswarm package: what our native
// gateway and provider are tested against. It does on the wire what the TypeScript program does (everything on a 5 s tick, no
// features beyond it), with TCP_NODELAY and half-open sockets.
//
//   node peer.mjs --role provider --router HEX --bootstrap HOST:PORT[,…] --services FILE --modules DIR
//   node peer.mjs --role gateway  --router HEX --bootstrap HOST:PORT[,…] [--listen IP] --modules DIR
//
// Further: --host IP (address the DHT sockets bind), --refresh MS (the tick, 5000), --connectTimeout MS.
// Prints one JSON object a line: ready, peer, gone, ban, gate, gate-closed, gate-failed, open, refused, dropped, error. Ends on SIGTERM.
import fs from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { say } from './common.mjs'
import { Gateway } from './gateway.mjs'
import { ACTION, Link } from './link.mjs'
import { Provider } from './provider.mjs'
import { Router } from './router.mjs'

const options = parseOptions(process.argv.slice(2))
const require = createRequire(path.join(path.resolve(options.modules), 'index.js'))
const Hyperswarm = require('hyperswarm')
const DHT = require('hyperdht')
const sodium = require('sodium-universal')

const TICK_MS = Number(options.refresh ?? 5000)

function parseOptions (words) {
  const found = {}
  for (let i = 0; i < words.length; i += 2) found[words[i].replace(/^--/, '')] = words[i + 1]
  const missing = ['role', 'router', 'modules'].filter((name) => !found[name])
  if (missing.length > 0 || !['provider', 'gateway'].includes(found.role) || !/^[0-9a-fA-F]{64}$/.test(found.router)) {
    console.error('usage: node peer.mjs --role provider|gateway --router HEX --bootstrap HOST:PORT --services FILE --listen IP --modules DIR')
    process.exit(2)
  }
  return found
}

const router = new Router(options.router, DHT, sodium)
const isGateway = options.role === 'gateway'
const role = isGateway ? new Gateway(options.listen ?? '127.0.0.1') : new Provider(readServices(options.services), options.connectTimeout && Number(options.connectTimeout))
const links = new Set()

function readServices (file) {
  const parsed = JSON.parse(fs.readFileSync(file, 'utf8'))
  return Array.isArray(parsed) ? parsed : parsed.services
}

const bootstrap = (options.bootstrap ?? '').split(',').filter(Boolean).map((entry) => {
  const colon = entry.lastIndexOf(':')
  return { host: entry.slice(0, colon), port: Number(entry.slice(colon + 1)) }
})
const dht = new DHT({ ...(bootstrap.length > 0 ? { bootstrap } : {}), ...(options.host ? { host: options.host } : {}) })
const swarm = new Hyperswarm({ dht })

swarm.on('connection', (connection, info) => {
  const key = connection.remotePublicKey.toString('hex')
  const link = new Link(connection)
  const ban = (why) => {
    say('ban', { key, why })
    info.ban(true)
    connection.destroy()
  }
  link.send(ACTION.hello, isGateway ? 1 : 0, router.auth(swarm.keyPair.publicKey, connection.remotePublicKey, Date.now()))
  link.onMessage = (message) => {
    if (!link.authorised) {
      if (message.action !== ACTION.hello) return
      if (!router.verify(message.body, connection.remotePublicKey, swarm.keyPair.publicKey)) return ban('bad hello')
      link.remoteIsGateway = message.channel === 1
      if (!isGateway && !link.remoteIsGateway) return ban('both are providers')
      link.authorised = true
      links.add(link)
      say('peer', { key, gateway: link.remoteIsGateway })
      return
    }
    receive(link, message)
  }
  link.onUnknown = (action) => say('error', { why: `unknown action ${action}` })
  link.onGone = () => {
    links.delete(link)
    for (const channel of [...link.channels.values()]) channel.closed(false)
    if (isGateway) role.forget(link)
    if (link.authorised) say('gone', { key })
  }
})

function receive (link, message) {
  const channel = link.channels.get(message.channel)
  switch (message.action) {
    case ACTION.open:
      if (isGateway) channel?.onAnswer?.(message.error)
      else if (!message.error) role.open(link, message)
      break
    case ACTION.stream: channel?.receive(message.body); break
    case ACTION.end: channel?.receiveEnd(); break
    case ACTION.close:
      if (message.channel === 0) for (const each of [...link.channels.values()]) each.closed(false)
      else channel?.closed(false)
      break
    case ACTION.advRoutes:
      if (isGateway) {
        try {
          role.learn(link, JSON.parse(message.body.toString()).routes)
        } catch (error) {
          say('error', { why: error.message })
        }
      }
      break
  }
}

async function main () {
  const discovery = swarm.join(router.keys.publicKey, { client: true, server: true })
  await discovery.flushed()
  say('ready', { role: options.role, key: swarm.keyPair.publicKey.toString('hex') })
  while (true) {
    await discovery.refresh({ client: true, server: true }).catch((error) => say('error', { why: error.message }))
    role.tick(links)
    await new Promise((resolve) => setTimeout(resolve, TICK_MS))
  }
}

process.on('SIGTERM', () => process.exit(0))
process.on('SIGINT', () => process.exit(0))
main()
