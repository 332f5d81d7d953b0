// The whole grid: how each pair of homes connects, and in how many seconds.
//
//   node test/system/nat/matrix.mjs [--pairs native-native,native-javascript,javascript-native] [--homes none,port-cone,…]
//                                   [--runs N] [--limit SECONDS] [--lowTtl pass|drop]
//
// A pair is provider-gateway; rows are the provider's home, columns the gateway's. d: direct, p: punched, l: local network; –: no
// connection within the limit. With several runs the median is shown, and how many of them connected if not all.
import { median } from '../harness.mjs'
import { Lab, unavailable } from './lab.mjs'
import { connectPair } from './pair.mjs'
import { HOMES, random } from './routers.mjs'

const options = { pairs: 'native-native', homes: '', runs: '1', limit: '60', lowTtl: 'drop' }
for (let i = 2; i < process.argv.length; i += 2) options[process.argv[i].replace(/^--/, '')] = process.argv[i + 1]
const homes = options.homes ? options.homes.split(',') : Object.keys(HOMES).filter((home) => home !== 'blocked')
const runs = Number(options.runs)
const limitMs = 1000 * Number(options.limit)
const NEEDS_RELAY_MS = 5000 // two random NATs: nothing to wait for

async function cell (lab, a, b, provider, gateway) {
  const hopeless = b !== null && random(a) && random(b)
  const results = []
  for (let run = 0; run < runs; run++) results.push(await connectPair(lab, a, b, { provider, gateway, limitMs: hopeless ? NEEDS_RELAY_MS : limitMs }))
  const good = results.filter((r) => r.seconds !== null)
  if (process.env.EACH) console.error(a, b, JSON.stringify(results.map((r) => r.seconds === null ? null : [r.seconds, r.how, r.counted])))
  if (good.length === 0) return hopeless ? 'relay' : '–'
  const all = good.length === runs ? '' : ` ${good.length}/${runs}`
  return `${good[0].how[0]} ${median(good.map((r) => r.seconds)).toFixed(2)}${all}`
}

async function grid (lab, provider, gateway) {
  const wide = Math.max(...homes.map((h) => h.length), 12) + 2
  const line = (cells) => console.log(cells.map((c) => c.padEnd(wide)).join(''))
  console.log(`\n${provider} provider (rows), ${gateway} gateway (columns); seconds from start to first page`)
  line(['', ...homes])
  for (const a of homes) {
    const cells = [a]
    for (const b of homes) cells.push(await cell(lab, a, b, provider, gateway))
    line(cells)
  }
  line(['same NAT', ...await neighbours(lab, provider, gateway)])
}

async function neighbours (lab, provider, gateway) {
  const cells = []
  for (const home of homes) cells.push(HOMES[home].length === 0 ? '' : await cell(lab, home, null, provider, gateway))
  return cells
}

const why = await unavailable()
if (why) {
  console.log(why)
} else {
  const lab = await Lab.open({ dropLowTtl: options.lowTtl !== 'pass' })
  try {
    for (const pair of options.pairs.split(',')) await grid(lab, ...pair.split('-'))
  } finally {
    await lab.close()
  }
}
