// What a matrix found, as text: the grid of a pairing, and the medians by class of its pairs, beside their aims.
import { median } from '../harness.mjs'
import { HOMES, random } from './routers.mjs'

/** Seconds from start to first page that the median of each class is to stay under. */
export const AIMS = { 'no random NAT': 1, 'one random side': 4, 'both random, by relay': 6, 'same NAT': 0.7 }

/** `b` null: both hosts in home `a`. */
export function classOf (a, b) {
  if (b === null) return 'same NAT'
  return Object.keys(AIMS)[Number(random(a)) + Number(random(b))]
}

const timesOf = (results) => results.filter((r) => r.seconds !== null).map((r) => r.seconds)

/** "p 0.31": how, and the median of the seconds; "2/3" of the runs connected. */
function cell (results) {
  if (results.length === 0) return ''
  const times = timesOf(results)
  if (times.length === 0) return '–'
  const how = [...new Set(results.filter((r) => r.how).map((r) => r.how[0]))].join('')
  return `${how} ${median(times).toFixed(2)}${times.length < results.length ? ` ${times.length}/${results.length}` : ''}`
}

function grid (results) {
  const order = Object.keys(HOMES)
  const homes = order.filter((home) => results.some((r) => r.a === home || r.b === home))
  const wide = Math.max(...homes.map((h) => h.length), 12) + 2
  const line = (cells) => cells.map((c) => c.padEnd(wide)).join('').trimEnd()
  const of = (a, b) => cell(results.filter((r) => r.a === a && r.b === b))
  const rows = homes.map((a) => line([a, ...homes.map((b) => of(a, b))]))
  return [line(['', ...homes]), ...rows, line(['same NAT', ...homes.map((home) => of(home, null))])]
}

function medians (results) {
  return Object.entries(AIMS).flatMap(([name, aim]) => {
    const those = results.filter((r) => classOf(r.a, r.b) === name)
    if (those.length === 0) return []
    const times = timesOf(those)
    const figures = times.length > 0 ? `median ${median(times).toFixed(2)} s, worst ${Math.max(...times).toFixed(2)} s` : 'never'
    return [`${name.padEnd(24)}${figures} (aim ${aim} s), ${times.length} of ${those.length} connected`]
  })
}

/** The classes of pairs of our own peers whose median misses its aim; too few pairs tell nothing. */
export function missed (results) {
  return Object.entries(AIMS).filter(([name, aim]) => {
    const times = timesOf(results.filter((r) => r.pairing === 'native-native' && classOf(r.a, r.b) === name))
    return times.length >= 5 && median(times) >= aim
  }).map(([name]) => name)
}

/** `results`: [{pairing: 'native-javascript', a, b, seconds, how}]; seconds null where nothing came. */
export function report (results) {
  return [...new Set(results.map((r) => r.pairing))].flatMap((pairing) => {
    const those = results.filter((r) => r.pairing === pairing)
    const [provider, gateway] = pairing.split('-')
    return ['', `${provider} provider (rows), ${gateway} gateway (columns); seconds from start to first page`, ...grid(those), '', ...medians(those)]
  })
}
