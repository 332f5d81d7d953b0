// An emulated link (test/link) with hosts at both ends, in network namespaces of their own:
//
//   a: 10.90.1.2 ══ link ══ core: 10.90.1.1, DHT nodes on 10.90.9.1 … 3 ── cable ── b: 10.90.2.2
//
// Nothing here is connected to the machine's own network. Names are unique per run; close() removes what open() made.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { binary, Process, root, run, scratch } from '../harness.mjs'

export const emulator = process.env.LINK_EMULATOR ?? path.join(root, 'build/release/test/link/link_emulator')
export const loadProgram = path.join(path.dirname(fileURLToPath(import.meta.url)), 'load.mjs')
export const addressOfB = '10.90.2.2'
const DHT_PORT = 49737
const DEVICE_QUEUE = 10000 // packets; the emulated queue is the one that counts
let count = 0

/** Why there can be no emulated link here, or null. */
export async function unavailable () {
  if (!existsSync(emulator)) return `${emulator} is not built`
  const name = `hglink${process.pid}`
  const { status, stderr } = await run('sh', ['-c', `ip netns add ${name} || exit 1; trap 'ip netns del ${name}' EXIT
    ip netns exec ${name} ip tuntap add dev probe mode tun && ip -n ${name} link add type veth`])
  return status === 0 ? null : `network namespaces with TUN devices are not available here: ${stderr.trim().split('\n')[0] || status}`
}

/** One line to a Unix socket that answers each with a line of JSON. */
export class LineClient {
  constructor (file) {
    this.waiting = []
    let partial = ''
    this.socket = net.connect(file)
    this.socket.setEncoding('utf8')
    this.socket.on('data', (text) => {
      const parts = (partial + text).split('\n')
      partial = parts.pop()
      for (const line of parts) this.waiting.shift()?.resolve(JSON.parse(line))
    })
    const fail = (error) => { for (const { reject } of this.waiting.splice(0)) reject(error ?? new Error(`${file} is closed`)) }
    this.socket.on('error', fail)
    this.socket.on('close', () => fail())
  }

  ask (line) {
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject })
      this.socket.write(line + '\n')
    })
  }

  close () { this.socket.destroy() }
}

/** Options of the emulator as they are called there: {rate: '8M', rttMs: 90, …}. */
export class EmulatedLink {
  static async open (options = {}) {
    const link = new EmulatedLink()
    try {
      await link.start(options)
    } catch (error) {
      await link.close()
      throw error
    }
    return link
  }

  constructor () {
    this.prefix = `hl${process.pid}x${count++}`
    this.files = scratch()
    this.processes = []
    this.atExit = () => this.removeNamespaces()
    process.on('exit', this.atExit)
    this.atSignal = () => process.exit(1)
    for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, this.atSignal)
  }

  ns (name) { return `${this.prefix}${name}` }
  get controlPath () { return this.files.path('control') }

  async script (lines) {
    const { status, stderr } = await run('sh', ['-ec', lines.join('\n')])
    if (status !== 0) throw new Error(`${stderr}\nin:\n${lines.join('\n')}`)
  }

  /** Runs a program at an end ('a', 'b') or in the middle ('core'); the process is the program itself. */
  exec (name, command, args, options = {}) {
    const started = new Process('nsenter', [`--net=/run/netns/${this.ns(name)}`, command, ...args], options)
    this.processes.push(started)
    return started
  }

  hypergate (name, args, options = {}) {
    return this.exec(name, binary, [...args, '--log', 'json'], { name: args[0], ...options })
  }

  async start (options) {
    const [a, core, b] = ['a', 'core', 'b'].map((name) => this.ns(name))
    await this.script([a, core, b].flatMap((ns) => [`ip netns add ${ns}`, `ip -n ${ns} link set lo up`,
      `ip netns exec ${ns} sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.disable_ipv6=1`]))
    const words = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])
    this.emulator = new Process(emulator, ['--left', a, '--right', core, '--control', this.controlPath, ...words], { name: 'link' })
    await this.emulator.line(/ready/)
    await this.script([
      ...[a, core].map((ns) => `ip -n ${ns} link set dev link txqueuelen ${DEVICE_QUEUE} up`),
      `ip -n ${a} addr add 10.90.1.2/24 dev link`, `ip -n ${a} route add default via 10.90.1.1`,
      `ip -n ${core} addr add 10.90.1.1/24 dev link`,
      `ip -n ${core} link add cable type veth peer name eth0 netns ${b}`,
      `ip -n ${core} addr add 10.90.2.1/24 dev cable`, `ip -n ${core} link set cable up`,
      `ip -n ${b} addr add ${addressOfB}/24 dev eth0`, `ip -n ${b} link set eth0 up`, `ip -n ${b} route add default via 10.90.2.1`,
      `ip -n ${core} link add dht type bridge`, `ip -n ${core} link set dht up`,
      ...[1, 2, 3].map((i) => `ip -n ${core} addr add 10.90.9.${i}/24 dev dht`)])
    this.control = new LineClient(this.controlPath)
  }

  /** Three DHT nodes of ours in the middle; sets `bootstrap`. */
  async startDht () {
    this.bootstrap = `10.90.9.1:${DHT_PORT}`
    const start = (i) => this.hypergate('core', ['dht', '--host', `10.90.9.${i}`, '--port', String(DHT_PORT), ...(i > 1 ? ['--bootstrap', this.bootstrap] : [])],
      { name: `dht ${i}` })
    await start(1).line(/"ready/, 60000)
    await Promise.all([2, 3].map((i) => start(i).line(/"ready/, 60000)))
  }

  /** {ab, ba}: what was offered, delivered and dropped from a to b and back. */
  counters () { return this.control.ask('counters') }
  async setMtu (bytes) { await this.control.ask(`mtu ${bytes}`) }
  /** Of TCP connections made from now on. By route: namespaces may choose only among what the machine allows, a route may name any. */
  async setCongestionControl (name) {
    const gateways = { a: '10.90.1.1', b: '10.90.2.1' }
    await this.script(Object.entries(gateways).map(([end, via]) => `ip -n ${this.ns(end)} route replace default via ${via} congctl ${name}`))
  }

  /** How many packets the devices lost although the emulated queue was not asked: those are faults of the measurement. */
  async lostByDevices () {
    let lost = 0
    for (const name of ['a', 'core']) {
      const { stdout } = await run('ip', ['-n', this.ns(name), '-j', '-s', 'link', 'show', 'dev', 'link'])
      lost += JSON.parse(stdout)[0].stats64.tx.dropped
    }
    return lost
  }

  // With what still runs in them: a server's children may have sessions of their own.
  removeNamespaces () {
    for (const name of ['a', 'core', 'b']) {
      const pids = spawnSync('ip', ['netns', 'pids', this.ns(name)], { encoding: 'utf8' }).stdout ?? ''
      for (const pid of pids.split('\n').filter(Boolean)) {
        try { process.kill(Number(pid), 'SIGKILL') } catch {}
      }
      spawnSync('ip', ['netns', 'del', this.ns(name)], { stdio: 'ignore' })
    }
  }

  async close () {
    this.control?.close()
    const all = [...this.processes.reverse(), this.emulator].filter((p) => p && p.status === undefined)
    await Promise.all(all.map((p) => p.stop('SIGKILL').catch(() => {})))
    this.removeNamespaces()
    this.files.remove()
    process.off('exit', this.atExit)
    for (const signal of ['SIGINT', 'SIGTERM']) process.off(signal, this.atSignal)
  }
}
