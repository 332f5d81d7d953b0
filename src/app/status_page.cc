#include "app/status_page.h"

#include <string_view>

namespace hg::app {

namespace {

constexpr std::string_view kNoncePlace = "NONCE";

// What peers say gets in by textContent only.
constexpr const char* kPage = R"page(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Hypergate</title>
<style nonce="NONCE">
:root { color-scheme: light dark; --ink: #1d2433; --faint: #5d667a; --line: #d8dde6; --page: #fff; --good: #0a6b52; --bad: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8f0; --faint: #9aa4b8; --line: #333b4a; --page: #12161e; --good: #4cc9a0; --bad: #ff8a80; }
}
body { font: 15px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 80rem; padding: 1rem; color: var(--ink); background: var(--page); }
h1 { font-size: 1.3rem; margin: 0; }
h2 { font-size: 1rem; margin: 1.4rem 0 .3rem; }
p { margin: .2rem 0; overflow-wrap: anywhere; }
#gone { border: 2px solid var(--bad); border-radius: 6px; padding: .5rem .8rem; margin: .8rem 0; font-weight: 600; }
.stale { opacity: .45; }
.faint { color: var(--faint); }
.good { color: var(--good); }
.bad { color: var(--bad); font-weight: 600; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--faint); font-weight: 500; }
th, td { padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th, td { white-space: nowrap; }
.long { overflow-wrap: anywhere; white-space: normal; }
main { overflow-x: auto; }
td:empty::after { content: "–"; color: var(--faint); }
@media (max-width: 60rem) {
  thead { display: none; }
  tr { display: block; padding: .4rem 0; border-bottom: 1px solid var(--line); }
  td { display: flex; gap: .8rem; border: 0; padding: .05rem 0; }
  td:empty { display: none; }
  td::before { content: attr(data-label); flex: 0 0 6.5rem; color: var(--faint); font-weight: 400; }
}
</style></head><body>
<h1>Hypergate <span id="head"></span></h1>
<p id="gone" role="alert" hidden></p>
<noscript><p class="bad">This page needs JavaScript; <a href="/status">/status</a> says the same as JSON.</p></noscript>
<main id="main"></main>
<script nonce="NONCE">
'use strict'
const main = document.getElementById('main')
const kEveryMs = 2000, kPatienceMs = 5000
const kLong = 24 // symbols, that may be broken anywhere

function element (tag, text, className) {
  const made = document.createElement(tag)
  if (text !== undefined && text !== null) made.textContent = text
  if (className) made.className = className
  return made
}
function scaled (value, step, units) {
  let at = 0
  while (value >= step && at < units.length - 1) { value /= step; at++ }
  return `${at === 0 ? Math.round(value) : value.toFixed(1)} ${units[at]}`
}
const bytes = (count) => scaled(count, 1000, ['B', 'kB', 'MB', 'GB', 'TB'])
const rate = (mbps) => mbps === null ? '' : 'at ' + scaled(mbps * 1e6, 1000, ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s'])
const flow = (count, mbps) => `${bytes(count)} ${mbps > 0 ? rate(mbps) : ''}`
function span (ms) {
  const s = Math.floor(ms / 1000)
  if (s < 60) return `${s} s`
  if (s < 3600) return `${Math.floor(s / 60)} min`
  return s < 86400 ? `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min` : `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`
}
const key = (name) => name.slice(0, 16)
const host = (name, port) => name === null ? '' : name.startsWith('unix:') ? name : `${name}:${port}`
const reasons = (found) => Object.entries(found).map(([why, count]) => `${why} ${count}`).join(', ')
const bad = (text) => ({ text, className: 'bad' })

// A heading, lines, and a table; `rows` of texts or of what bad() makes.
function section (title, lines, heads, rows, more) {
  const out = element('section')
  out.append(element('h2', title))
  for (const line of lines) if (line) out.append(element('p', line.text ?? line, line.className ?? 'faint'))
  if (!rows || rows.length === 0) return out
  const table = element('table'), head = element('tr'), body = element('tbody')
  for (const name of heads) head.append(element('th', name))
  for (const row of rows) {
    const line = element('tr')
    row.forEach((cell, at) => {
      const made = element('td', cell?.text ?? cell, cell?.className)
      made.classList.toggle('long', made.textContent.length > kLong)
      made.dataset.label = heads[at]
      line.append(made)
    })
    body.append(line)
  }
  const top = element('thead')
  top.append(head)
  table.append(top, body)
  out.append(table)
  if (more > 0) out.append(element('p', `and ${more} more`, 'faint'))
  return out
}
const more = (list) => list.count - list.list.length

function overview (s) {
  const t = s.traffic
  return section('This process', [
    `${s.roles.join(' and ') || 'starting'}, up for ${span(s.uptimeMs)}${s.router ? ', router ' + s.router : ''}`,
    s.dht && `DHT ${s.dht.health}, nodes known: ${s.dht.nodes}${s.dht.firewalled ? '' : ', reachable from everywhere'}`,
    t && `channels: ${t.channels} now, ${t.channelsTotal} in all`,
    t && `to peers ${bytes(t.bytesToPeers)} ${rate(t.mbpsToPeers)}, from peers ${bytes(t.bytesFromPeers)} ${rate(t.mbpsFromPeers)}`,
    !s.everything && 'Addresses, names and reasons are shown on the machine itself only.'
  ])
}
function peers (s) {
  const rows = s.peers.list.map((p) => [
    key(p.peer), p.role ?? bad('no hello yet'), p.answering ? { text: 'answers', className: 'good' } : bad('silent'),
    p.relayed ? `relayed by ${key(p.relay ?? '?')}` : 'direct', p.address, `${p.rttMs.toFixed(1)} ms`, `${(p.loss * 100).toFixed(1)} %`, span(p.connectedMs),
    p.channels, flow(p.bytesToPeer, p.mbpsToPeer), flow(p.bytesFromPeer, p.mbpsFromPeer)
  ])
  return section(`Peers: ${s.peers.count}`, [rows.length === 0 && bad('no other member of this router is connected')],
    ['peer', 'role', 'state', 'path', 'address', 'round trip', 'loss', 'for', 'channels', 'to it', 'from it'], rows, more(s.peers))
}
function gates (s) {
  const r = s.routes
  const rows = s.gates.list.map((g) => [
    `${g.port}/${g.protocol}`,
    g.open ? { text: `open${g.address ? ' on ' + g.address : ''}`, className: 'good' } : bad(`not open${g.fault ? ': ' + g.fault : ''}`),
    host(g.serviceHost, g.servicePort),
    g.providers.list.map((p) => p.slice(0, 8)).join(', ') + (more(g.providers) > 0 ? ` and ${more(g.providers)} more` : '') +
      (g.silentProviders > 0 ? ` (${g.silentProviders} silent)` : ''),
    g.clients, flow(g.bytesToPeers, g.mbpsToPeers), flow(g.bytesFromPeers, g.mbpsFromPeers),
    g.conflicts.count > 0 ? bad(`also wanted for ${g.conflicts.list.join(', ') || g.conflicts.count + ' other'}`) : ''
  ])
  return section(`Gates: ${s.gates.open} open of ${s.gates.count}, clients: ${s.gates.clients}`, [
    r.offered === 0 && 'no provider offers anything',
    r.filtered > 0 && { text: `routes that do not pass the filter: ${r.filtered} of ${r.offered}`, className: r.filtered === r.offered ? 'bad' : 'faint' },
    r.silent > 0 && bad(`routes of silent providers: ${r.silent} of ${r.offered}; their gates close after 15 s`),
    r.unusable > 0 && bad(`routes that cannot be used: ${r.unusable}; the log says why`)
  ], ['gate', 'state', 'service', 'providers', 'clients', 'to peers', 'from peers', 'conflict'], rows, more(s.gates))
}
function services (s) {
  const rows = s.services.list.map((v) => [
    `${v.gatePort}/${v.protocol}`, host(v.serviceHost, v.servicePort),
    v.works === null ? 'nobody has asked' : v.works ? { text: 'works', className: 'good' } : bad('refuses'),
    flow(v.bytesToPeers, v.mbpsToPeers), flow(v.bytesFromPeers, v.mbpsFromPeers),
    v.connected === 0 ? '' : `${v.connected}, last ${span(v.connectedMsAgo)} ago`,
    v.refused === 0 ? '' : `${v.refused}, last ${span(v.refusedMsAgo)} ago${v.refusedWhy ? ': ' + v.refusedWhy : ''}`
  ])
  return section(`Services offered: ${s.services.count}`, [], ['gate', 'service', 'state', 'to peers', 'from peers', 'connected', 'refused'], rows, more(s.services))
}
function refused (s) {
  const names = { channels: 'channels refused', channelsDropped: 'channels dropped', datagramsDropped: 'datagrams dropped', messages: 'messages of peers refused' }
  const lines = Object.entries(names).map(([name, title]) => reasons(s.refused[name]) && `${title}: ${reasons(s.refused[name])}`)
  return section('Refused and dropped', lines.some(Boolean) ? lines : ['nothing'])
}
function unlimited (s) {
  if (s.unlimited.count === 0) return ''
  const rows = s.unlimited.list.map((one) => [one.ip, span(one.leftMs)])
  return section(`/unlimited: ${s.unlimited.count}`, [], ['client', 'for another'], rows, more(s.unlimited))
}
function relay (s) {
  const r = s.relay
  return section('Relaying for others', [
    `${r.serving ? 'ready to' : 'not now: others do not reach this process'}; pairs: ${r.pairs} now, ${r.pairsTotal} in all, ${bytes(r.bytes)} passed on`,
    (r.refused > 0 || r.packetsDropped > 0) && `refused ${r.refused}, packets beyond the bandwidth ${r.packetsDropped}`
  ])
}
function warnings (s) {
  const rows = [...s.warnings.list].reverse().map((w) => [`${span(w.msAgo)} ago`, w.level === 'error' ? bad('error') : 'warning', w.component, w.message])
  return section(`Warnings: ${s.warnings.count}`, [], ['when', 'level', 'part', 'what'], rows, more(s.warnings))
}

function head (text, good) {
  const place = document.getElementById('head')
  place.textContent = text
  place.className = good ? 'good' : 'bad'
  document.title = `Hypergate ${text}`
}
function show (s) {
  head(s.ready ? 'is on the network' : 'is not on the network', s.ready)
  const parts = { gates, services, peers, refused, unlimited, relay, warnings }
  main.replaceChildren(overview(s), ...Object.entries(parts).filter(([name]) => s[name]).map(([, make]) => make(s)))
}

let answered = Date.now()
function gone (why) {
  const note = document.getElementById('gone')
  note.hidden = !why
  main.className = why ? 'stale' : ''
  if (!why) return
  note.textContent = `No answer for ${span(Date.now() - answered)}: ${why}. What is shown below is as old.`
  head('does not answer', false)
}
async function refresh () {
  try {
    const response = await fetch('/status', { cache: 'no-store', signal: AbortSignal.timeout(kPatienceMs) })
    if (!response.ok) throw new Error(`status ${response.status}`)
    const status = await response.json()
    answered = Date.now()
    show(status)
    gone(null)
  } catch (error) {
    gone(`the process has ended, hangs, or cannot be reached (${error.message})`)
  }
}
async function follow () {
  if (!document.hidden) await refresh()
  setTimeout(follow, kEveryMs)
}
document.addEventListener('visibilitychange', () => { if (!document.hidden) refresh() })
follow()
</script></body></html>
)page";

}  // namespace

std::string status_page(const std::string& nonce) {
  std::string page = kPage;
  for (size_t at = page.find(kNoncePlace); at != std::string::npos; at = page.find(kNoncePlace, at))
    page.replace(at, kNoncePlace.size(), nonce);
  return page;
}

}  // namespace hg::app
