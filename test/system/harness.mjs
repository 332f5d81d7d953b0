// Real processes for the system tests: starts hypergate and other programs, waits for what they say, and
// stops each by its process id. Everything listens on 127.0.0.1 at ports that were free a moment ago.
import { spawn, execFile } from 'node:child_process'
import { once, EventEmitter } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import http from 'node:http'
import { networkInterfaces, tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

export { freePair, freePort } from '../support/ports.mjs'

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..')
export const binary = process.env.HYPERGATE_BINARY ?? path.join(root, 'build/release/hypergate')
/** Why what needs IPv6 is skipped: a container often has none. */
export const noIpv6 = Object.values(networkInterfaces()).flat().some((at) => at.address === '::1') ? false : 'this machine has no IPv6'
export const modules = path.join(root, 'test/interop/node_modules')

const running = new Set()

// One process with its output as lines. `log` lines of hypergate arrive parsed: {level, component, message}.
// options.stays: it outlives the test that starts it.
export class Process extends EventEmitter {
  constructor (command, args, options = {}) {
    super()
    this.setMaxListeners(0)
    this.name = options.name ?? path.basename(command)
    this.stays = options.stays
    this.lines = []
    this.child = spawn(command, args, {
      env: { ...process.env, ...options.env },
      cwd: options.cwd,
      stdio: [options.stdin ?? 'ignore', 'pipe', 'pipe'],
      uid: options.uid,
      gid: options.gid
    })
    this.exited = new Promise((resolve) => {
      this.child.once('error', (error) => { this.add(String(error)); resolve(-1) })
      this.child.once('exit', (code, signal) => resolve(code ?? signal))
    })
    this.exited.then((status) => { this.status = status; running.delete(this); this.emit('line', '') })
    for (const stream of [this.child.stdout, this.child.stderr]) this.follow(stream)
    running.add(this)
  }

  get pid () { return this.child.pid }

  follow (stream) {
    let partial = ''
    stream.setEncoding('utf8')
    stream.on('data', (text) => {
      const parts = (partial + text).split('\n')
      partial = parts.pop()
      for (const line of parts) this.add(line)
    })
  }

  add (raw) {
    const line = raw.replace(/\r$/, '')  // a terminal's
    this.lines.push(line)
    if (process.env.SHOW) console.error(`[${this.name}] ${line}`)
    this.emit('line', line)
  }

  // Resolves with the first match of `pattern` in any line, those already printed (from `since`) included.
  async line (pattern, limitMs = 30000, since = 0) {
    let at = since
    const deadline = Date.now() + limitMs
    for (;;) {
      for (; at < this.lines.length; at++) {
        const match = this.lines[at].match(pattern)
        if (match) return match
      }
      if (this.status !== undefined) throw new Error(`${this.name} ended (${this.status}) before ${pattern}:\n${this.tail()}`)
      const left = deadline - Date.now()
      if (left <= 0) throw new Error(`${this.name}: no ${pattern} in ${limitMs} ms:\n${this.tail()}`)
      await within(once(this, 'line'), left)
    }
  }

  tail () { return this.lines.slice(-25).join('\n') }

  async stop (signal = 'SIGTERM', limitMs = 20000) {
    if (this.status === undefined) this.child.kill(signal)
    const status = await within(this.exited, limitMs)
    if (status === undefined) {
      this.child.kill('SIGKILL')
      throw new Error(`${this.name} did not stop on ${signal} in ${limitMs} ms:\n${this.tail()}`)
    }
    return status
  }
}

process.on('exit', () => { for (const p of running) p.child.kill('SIGKILL') })

// A test that takes longer than this awaits for ever: the longest take one to two minutes.
const LIMIT_MS = Number(process.env.HYPERGATE_TEST_LIMIT_MS ?? 900000)
// What a test has left open would keep its file alive for ever. The longest of the files' own after-hooks takes seconds.
const GRACE_MS = Number(process.env.HYPERGATE_TEST_GRACE_MS ?? 120000)

// In a file of tests: the programs that a test has started end with it, whatever becomes of it; one that does not stop fails its test.
async function endWithTheTests () {
  const { after, afterEach, beforeEach } = await import('node:test')
  let earlier = new Set()  // of the file's before(); where that fails no test begins, and its programs end too
  let limit
  beforeEach((t) => {
    earlier = new Set(running)
    clearTimeout(limit)
    limit = setTimeout(() => endNow(`'${t.name}' goes on for more than ${LIMIT_MS / 1000} s`), LIMIT_MS).unref()
  })
  afterEach(async () => {
    clearTimeout(limit)
    const left = [...running].filter((program) => !earlier.has(program) && !program.stays)
    let failed
    for (const program of left.reverse()) await program.stop().catch((error) => { failed ??= error })  // newest first: it needs the others
    if (failed) throw failed
  })
  after(() => setTimeout(() => endNow(`still there ${GRACE_MS / 1000} s after the last test`), GRACE_MS).unref())
}
if (process.argv[1]?.endsWith('.test.mjs')) await endWithTheTests()

function endNow (why) {
  const names = [...running].map((program) => `${program.name} (${program.pid})`)
  console.error(`${path.basename(process.argv[1])}: ${why}, ended now: ${[...names, ...process.getActiveResourcesInfo()].join(', ')}`)
  process.exit(1)
}

export function timeout (ms) {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

// The promise's value, or undefined after `ms`; leaves no timer behind.
export async function within (promise, ms) {
  let timer
  const late = new Promise((resolve) => { timer = setTimeout(resolve, ms) })
  try { return await Promise.race([promise, late]) } finally { clearTimeout(timer) }
}

/** The promise's value; rejects after `ms`, saying what did not come. */
export async function inTime (promise, ms, what) {
  let timer
  const late = new Promise((resolve, reject) => { timer = setTimeout(() => reject(new Error(`no ${what} in ${ms} ms`)), ms) })
  try { return await Promise.race([promise, late]) } finally { clearTimeout(timer) }
}

/** Stops them all, whatever becomes of each; resolves with their exit statuses: what went wrong for who had none, undefined for who was none. */
export async function stopAll (...programs) {
  const outcomes = await Promise.allSettled(programs.map((program) => program?.stop()))
  return outcomes.map((outcome) => outcome.value ?? outcome.reason?.message)
}

export function hypergate (args, options = {}) {
  return new Process(binary, [...args, '--log', 'json'], { name: args[0], ...options })
}

// Runs a command to its end: {status, stdout, stderr}.
export function run (command, args, options = {}) {
  return new Promise((resolve) => {
    execFile(command, args, { maxBuffer: 64 << 20, timeout: 120000, ...options }, (error, stdout, stderr) => {
      resolve({ status: error ? (error.code ?? error.signal) : 0, stdout, stderr })
    })
  })
}

export async function newSecret () {
  const { stdout } = await run(binary, ['new'])
  return stdout.trim()
}

// A private network of `count` nodes of ours. `bootstrap` is the first one's address.
export async function startDht (count = 3) {
  const first = hypergate(['dht', '--host', '127.0.0.1', '--port', '0'], { name: 'dht 1' })
  const [, bootstrap] = await first.line(/listening on (127\.0\.0\.1:\d+)/)
  await first.line(/"ready/)
  const nodes = [first]
  for (let i = 2; i <= count; i++) nodes.push(hypergate(['dht', '--host', '127.0.0.1', '--port', '0', '--bootstrap', bootstrap], { name: `dht ${i}` }))
  await Promise.all(nodes.slice(1).map((node) => node.line(/"ready/)))
  return { bootstrap, nodes, stop: () => Promise.all(nodes.map((node) => node.stop())) }
}

export function service (gatePort, servicePort, protocol = 'tcp', more = {}) {
  return { gatePort, serviceHost: '127.0.0.1', servicePort, protocol, ...more }
}

export function startProvider (network, secret, services, options = {}) {
  return hypergate(['provider', JSON.stringify(services), '--bootstrap', network.bootstrap, ...(options.args ?? [])],
    { name: 'provider', env: { HYPERGATE_ROUTER: secret } })
}

export function startGateway (network, secret, options = {}) {
  return hypergate(['gateway', '--bootstrap', network.bootstrap, ...(options.args ?? [])],
    { name: 'gateway', env: { HYPERGATE_ROUTER: secret } })
}

export function gateOpen (gateway, port, limitMs = 30000, since = 0) {
  return gateway.line(new RegExp(`127\\.0\\.0\\.1:${port} open`), limitMs, since)
}

export function scratch () {
  const folder = mkdtempSync(path.join(tmpdir(), 'hypergate-test-'))
  return { folder, path: (name) => path.join(folder, name), remove: () => rmSync(folder, { recursive: true, force: true }) }
}

// One GET with a connection of its own; resolves with the body, rejects on any failure.
export function get (port, target = '/', limitMs = 10000) {
  return new Promise((resolve, reject) => {
    const request = http.get({ host: '127.0.0.1', port, path: target, agent: false, timeout: limitMs }, (response) => {
      const parts = []
      response.on('data', (part) => parts.push(part))
      response.on('end', () => resolve(Buffer.concat(parts)))
      response.on('error', reject)
    })
    request.on('timeout', () => request.destroy(new Error(`no answer from port ${port} in ${limitMs} ms`)))
    request.on('error', reject)
  })
}

// Tries `attempt` until it succeeds; resolves with the milliseconds that took.
export async function untilWorks (attempt, limitMs = 30000) {
  const start = performance.now()
  for (;;) {
    try {
      await attempt()
      return performance.now() - start
    } catch (error) {
      if (performance.now() - start > limitMs) throw error
      await timeout(20)
    }
  }
}

export function median (numbers) {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]
}

// A web server in this process whose pages say who served them.
export async function startWeb (text) {
  const server = http.createServer((request, response) => response.end(text))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: server.address().port, stop: () => { server.closeAllConnections(); server.close() } }
}
