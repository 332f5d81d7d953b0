// ./dev bench shaping: how well bandwidth limits are kept on the real loop, both ways, from 64 kbit/s to 2 Gbit/s. Each figure is what came
// in 10 s after the burst was spent, beside the limit; one
// client address for each, so that each has a bucket of its own.
import { Process, freePort, gateOpen, newSecret, service, startDht, startGateway, startProvider } from '../test/system/harness.mjs'

const seconds = Number(process.env.BENCH_SECONDS ?? 10)
const peer = new URL('shaping_peer.mjs', import.meta.url).pathname
// Together they need less than one core; the fast ones run alone.
const rounds = [[0.064, 0.5, 1, 10, 50], [100], [400], [1000], [2000]]
const burst = 0.1  // of a second: little, so that whatever is lost when the machine is busy shows

const clients = []  // {address, mbps, way}
for (const mbps of rounds.flat())
  for (const way of ['up', 'down']) clients.push({ address: `127.0.1.${clients.length + 1}`, mbps, way })
// Four channels of one address share its limit, beside one without any.
const shared = '127.0.2.1'

export async function shaping () {
  const ips = Object.fromEntries(clients.map(({ address, mbps }) => [address, { bandwidthLimit: { mbps, burstMbps: mbps * burst } }]))
  ips[shared] = { bandwidthLimit: { mbps: 100 } }
  const server = new Process('node', [peer, 'serve'], { name: 'server' })
  const [port] = await server.line(/^\d+$/)
  const network = await startDht()
  const secret = await newSecret()
  const gate = await freePort()
  const provider = startProvider(network, secret, [service(gate, Number(port))], { args: ['--ingressPolicy', JSON.stringify({ ips })] })
  const gateway = startGateway(network, secret)
  await gateOpen(gateway, gate)

  async function measure ({ address, way }, skip = 3) {
    const client = new Process('node', [peer, String(gate), address, way, String(skip), String(seconds)], { name: `${way} ${address}` })
    const from = server.lines.length
    const pattern = new RegExp(`^\\{"way":"${way}","from":"${address.replaceAll('.', '\\.')}".*$`)
    const [line] = await (way === 'up' ? server : client).line(pattern, (skip + seconds + 30) * 1000, way === 'up' ? from : 0)
    await client.stop('SIGKILL')
    const { bytes, seconds: took } = JSON.parse(line)
    return bytes * 8 / 1e6 / took
  }

  console.log('\n| limit, Mbit/s | way | measured, Mbit/s | off by |\n|---|---|---|---|')
  const row = (limit, way, measured) => console.log(`| ${limit} | ${way} | ${Number(measured.toPrecision(5))} | ${((measured / limit - 1) * 100).toFixed(2)} % |`)
  for (const round of rounds) {
    const group = clients.filter(({ mbps }) => round.includes(mbps))
    const alone = round.length === 1
    const results = alone ? [] : await Promise.all(group.map((client) => measure(client)))
    if (alone) for (const client of group) results.push(await measure(client))
    for (const [at, client] of group.entries()) row(client.mbps, client.way, results[at])
  }
  const downloads = [1, 2, 3, 4].map(() => measure({ address: shared, way: 'down' }))
  const [free, ...four] = await Promise.all([measure({ address: '127.0.3.1', way: 'down' }), ...downloads])
  row(100, 'four connections of one address down, together', four.reduce((a, b) => a + b, 0))
  console.log(`\nEach of the four: ${four.map((one) => one.toFixed(2)).join(', ')} Mbit/s; an address without a limit meanwhile: ${(free / 1000).toFixed(2)} Gbit/s.`)
  for (const process of [gateway, provider, server]) await process.stop()
  await network.stop()
}
