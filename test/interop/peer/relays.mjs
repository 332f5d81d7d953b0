// Cases of run.mjs: connections through blind relays, every mixture of whose relay, whose server and whose client it is.
//
// On loopback everything is reachable, so the direct ways are vetoed: JavaScript ends refuse to punch and share no local address,
// C++ ends neither, and go through the relay first.
const IMPLEMENTATIONS = ['C++', 'JavaScript']
const VETO = { holepunch: () => false, shareLocalAddress: false }
const VETO_CLIENT = { holepunch: () => false, localConnection: false, fastOpen: false }

export function addRelayCases ({ test, withNetwork, networks, Native, HyperDHT, blindRelay, crypto, echo, sendAndCheck, opened, closed, BYTES }) {
  const newNode = (network) => new HyperDHT({ bootstrap: network.bootstrap, host: '127.0.0.1', quickFirewall: false, ephemeral: true })

  /** {key, pairs(), close()} */
  async function startRelay (kind, network) {
    if (kind === 'C++') {
      const native = new Native('relay', { bootstrap: network.list, seed: crypto.randomBytes(32) })
      const { key } = await native.event('listening')
      const pairs = async () => {
        const asked = native.count((e) => e.event === 'stats')
        native.tell('stats')
        await native.wait(() => native.count((e) => e.event === 'stats') > asked, 'stats')
        return native.list.findLast((e) => e.event === 'stats').pairs
      }
      return { key: Buffer.from(key, 'hex'), pairs, close: () => native.close() }
    }
    const node = newNode(network)
    const relay = new blindRelay.Server({ createStream: (options) => node.createRawStream({ ...options, framed: true }) })
    const server = node.createServer({ shareLocalAddress: true }, (socket) => {
      socket.on('error', () => {})
      relay.accept(socket, { id: socket.remotePublicKey }).on('error', () => {})
    })
    await server.listen()
    return { key: server.publicKey, pairs: async () => relay.stats.pairings.matched, close: () => node.destroy() }
  }

  /** An echo server: {key, close()}; `offer`: the relay key it offers, or null. */
  async function startServer (kind, network, offer) {
    if (kind === 'C++') {
      const native = new Native('listen', { bootstrap: network.list, seed: crypto.randomBytes(32), work: 'echo', through: offer ?? 'client' })
      const { key } = await native.event('listening')
      return { key: Buffer.from(key, 'hex'), relayed: async () => (await native.event('connection')).relayed, close: () => native.close() }
    }
    const node = newNode(network)
    const server = node.createServer({ ...VETO, relayThrough: offer }, echo)
    await server.listen()
    return { key: server.publicKey, relayed: async () => node.stats.relaying.successes === 1, close: () => node.destroy() }
  }

  /** Connects, sends, checks the echo and ends. */
  async function runClient (kind, network, key, offer) {
    if (kind === 'C++') {
      const native = new Native('connect', { bootstrap: network.list, key, work: BYTES, through: offer ?? 'server', relaying: 'first' })
      const result = await native.event('echoed')
      if (!result.intact) throw new Error('the echo differs')
      if (!(await native.event('connection')).relayed) throw new Error('the client was not relayed')
      native.tell('end')
      await native.event('closed', (e) => e.error === '')
      return native.close()
    }
    const node = newNode(network)
    const stream = node.connect(key, { ...VETO_CLIENT, relayThrough: offer })
    await opened(stream)
    await sendAndCheck(stream)
    stream.end()
    await closed(stream)
    await node.destroy()
  }

  const [where, make] = Object.entries(networks)[0]
  for (const relayKind of IMPLEMENTATIONS) {
    for (const serverKind of IMPLEMENTATIONS) {
      for (const clientKind of IMPLEMENTATIONS) {
        for (const offerer of ['client', 'server']) {
          if (relayKind === 'JavaScript' && serverKind === 'JavaScript' && clientKind === 'JavaScript') continue
          test(`${clientKind} client, ${serverKind} server, ${relayKind} relay offered by the ${offerer}, ${where}`, () => withNetwork(make, async (network) => {
            const relay = await startRelay(relayKind, network)
            const server = await startServer(serverKind, network, offerer === 'server' ? relay.key : null)
            await runClient(clientKind, network, server.key, offerer === 'client' ? relay.key : null)
            if (!(await server.relayed())) throw new Error('the server was not relayed')
            const pairs = await relay.pairs()
            if (pairs !== 1) throw new Error(`the relay made ${pairs} pairs`)
            await server.close()
            await relay.close()
          }))
        }
      }
    }
  }

  test('two JavaScript strangers are refused by a C++ relay', () => withNetwork(make, async (network) => {
    const native = new Native('relay', { bootstrap: network.list, seed: crypto.randomBytes(32), member: crypto.randomBytes(32) })
    const relayThrough = Buffer.from((await native.event('listening')).key, 'hex')
    const [a, b] = [newNode(network), newNode(network)]
    const server = a.createServer(VETO, echo)
    await server.listen()
    const stream = b.connect(server.publicKey, { ...VETO_CLIENT, relayThrough })
    const error = await new Promise((resolve) => stream.on('error', resolve))
    native.tell('stats')
    const stats = await native.event('stats')
    if (stats.pairs !== 0 || stats.bytes !== 0) throw new Error(`the relay carried ${stats.bytes} bytes`)
    if (stats.refused === 0) throw new Error('the relay refused nobody')
    await native.close()
    await a.destroy()
    await b.destroy()
    return error.code
  }))
}
