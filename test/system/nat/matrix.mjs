// The whole grid: how each pair of homes connects, in how many seconds, and the medians of the classes of pairs.
//
//   node test/system/nat/matrix.mjs [--pairs native-native,native-javascript,javascript-native] [--rows none,port-cone,…] [--columns …|same]
//                                   [--runs N] [--limit SECONDS] [--lowTtl pass|drop] [--rtt MS] [--labs N] [--into FILE]
//   node test/system/nat/matrix.mjs --report FILE
//
// A pair is provider-gateway; rows are the provider's home, columns the gateway's (`same`: both behind the row's router). d: direct,
// p: punched, l: local network, r: relayed; –: no connection within the limit. With several runs the median is shown, and how many of
// them connected if not all. Where both NATs are random, a member in a third home relays. --labs runs so many pairs at once, each in a
// lab of its own: quicker, and the seconds are longer. --into appends each run to a file as a line of JSON, so that a matrix can be run in
// parts and printed with --report. Exit status 1 where a run did not connect, or our own peers miss an aim; 3 where there can be no lab.
import { appendFileSync, readFileSync } from 'node:fs'
import { inTime } from '../harness.mjs'
import { classOf, missed, report } from './grid.mjs'
import { Lab, unavailable } from './lab.mjs'
import { connectPair } from './pair.mjs'
import { HOMES } from './routers.mjs'

const SAME = 'same'
const UP_AND_DOWN_MS = 300000 // generous: a second or two, on a machine that has nothing else to do
const all = Object.keys(HOMES).filter((home) => home !== 'blocked')
const options = { pairs: 'native-native', rows: all.join(), columns: [...all, SAME].join(), runs: '1', limit: '60', lowTtl: 'drop', rtt: '0', labs: '1', into: '', report: '' }
for (let i = 2; i < process.argv.length; i += 2) {
  const name = process.argv[i].replace(/^--/, '')
  if (!(name in options) || process.argv[i + 1] === undefined) throw new Error(`no such option, or no value: ${process.argv[i]}`)
  options[name] = process.argv[i + 1]
}

async function once (lab, pairing, a, b) {
  const [provider, gateway] = pairing.split('-')
  const member = classOf(a, b) === 'both random, by relay' ? { home: 'none' } : undefined
  const limitMs = 1000 * Number(options.limit)
  const pair = connectPair(lab, a, b, { provider, gateway, member, limitMs })
  const { seconds, how, counted, why } = await inTime(pair, limitMs + UP_AND_DOWN_MS, `end of ${pairing}, ${a} – ${b ?? SAME}`)
  const result = { pairing, a, b, seconds, how, counted }
  if (options.into) appendFileSync(options.into, JSON.stringify(result) + '\n')
  if (process.env.EACH) console.error(JSON.stringify(result), why ?? '')
  return result
}

function * runs () {
  for (const pairing of options.pairs.split(',')) {
    for (const a of options.rows.split(',')) {
      for (const column of options.columns.split(',')) {
        const b = column === SAME ? null : column
        if (b === null && HOMES[a].length === 0) continue
        for (let run = 0; run < Number(options.runs); run++) yield [pairing, a, b]
      }
    }
  }
}

async function runAll () {
  const results = []
  const remaining = runs()
  const work = async () => {
    const lab = await Lab.open({ dropLowTtl: options.lowTtl !== 'pass', rttMs: Number(options.rtt) })
    try {
      for (const run of remaining) results.push(await once(lab, ...run))
    } finally {
      await lab.close()
    }
  }
  const outcomes = await Promise.allSettled(Array.from({ length: Number(options.labs) }, work))
  const failed = outcomes.find((outcome) => outcome.status === 'rejected')
  if (failed) throw failed.reason
  return results
}

function show (results) {
  console.log(report(results).join('\n'))
  const late = missed(results)
  if (late.length > 0) console.log(`misses its aim: ${late.join('; ')}`)
  if (late.length > 0 || results.some((r) => r.seconds === null)) process.exitCode = 1
}

const missing = options.report ? null : await unavailable()
if (options.report) {
  show(readFileSync(options.report, 'utf8').trim().split('\n').map((line) => JSON.parse(line)))
} else if (missing) {
  console.log(missing)
  process.exitCode = 3
} else {
  show(await runAll())
}
