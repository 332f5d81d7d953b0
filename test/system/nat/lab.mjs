// A small Internet of network namespaces:
//
//   host A ─ router(s) A ─┐              ┌─ router(s) B ─ host B
//   192.168.1.2           ├─── core ─────┤           192.168.2.2
//   (or both hosts behind router A)  10.77.9.1 … 8: DHT nodes of ours, each bound to an address of its own
//                                    (and a third home C, with another member of the router in it)
//
// With a round trip in the core each site (a home, or the DHT nodes, which then have a namespace of their own) is a quarter of it away
// from the core, by an emulated link (test/link).
//
// The core forwards packets between the homes and nothing else, so its counters tell how two homes are connected. Nothing here
// is connected to the machine's own network. Names are unique per run; close() removes every namespace and ends every process.
import { spawnSync } from 'node:child_process'
import { binary, Process, run, timeout } from '../harness.mjs'
import { emulator } from '../link/link.mjs'
import { HOMES, rules } from './routers.mjs'

export const DHT_NODES = 8
const DHT_PORT = 49737
const LOWEST_TTL = 8 // real paths are long enough that a probe with a TTL of 5 does not arrive

/** Why there can be no lab here, or null. */
export async function unavailable () {
  const name = `hgprobe${process.pid}`
  const script = `
    ip netns add ${name} || exit 1
    trap 'ip netns del ${name}' EXIT
    ip -n ${name} link add type veth && ip -n ${name} link add lan type bridge || exit 1
    printf 'table ip t { chain c { type nat hook postrouting priority srcnat; oifname "wan" masquerade fully-random; }; }' | ip netns exec ${name} nft -f -`
  const { status, stderr } = await run('sh', ['-c', script])
  return status === 0 ? null : `network namespaces with nftables are not available here: ${stderr.trim().split('\n')[0] || status}`
}

export class Lab {
  /** `dropLowTtl`: probes meant only to open the sender's own NAT end in the core, as on real paths. `rttMs`: between any two sites. */
  constructor ({ dropLowTtl = true, rttMs = 0 } = {}) {
    this.prefix = `hg${process.pid}x${Lab.count++}`
    this.dropLowTtl = dropLowTtl
    this.rttMs = rttMs
    this.links = new Map() // by their end in the core
    this.namespaces = []
    this.nodes = []
    this.atExit = () => this.removeNamespaces(this.namespaces)
    process.on('exit', this.atExit)
    this.atSignal = () => process.exit(1)
    for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, this.atSignal)
  }

  static count = 0
  static async open (options) {
    const lab = new Lab(options)
    try {
      await lab.start()
    } catch (error) {
      await lab.close()
      throw error
    }
    return lab
  }

  ns (name) { return `${this.prefix}${name}` }
  get bootstrap () { return [1, 2, 3].map((i) => `10.77.9.${i}:${DHT_PORT}`).join(',') }

  async script (lines) {
    const { status, stderr, stdout } = await run('sh', ['-ec', lines.join('\n')])
    if (status !== 0) throw new Error(`${stderr}\nin:\n${lines.join('\n')}`)
    return stdout
  }

  addNamespace (name) {
    const full = this.ns(name)
    this.namespaces.push(full)
    return [`ip netns add ${full}`, `ip -n ${full} link set lo up`, `ip netns exec ${full} sysctl -qw net.ipv4.ip_forward=1`]
  }

  removeNamespaces (names) {
    for (const name of names) spawnSync('ip', ['netns', 'del', name])
    this.namespaces = this.namespaces.filter((name) => !names.includes(name))
  }

  /** Runs a program in a namespace; the process is the program itself. */
  exec (name, command, args, options = {}) {
    return new Process('nsenter', [`--net=/run/netns/${this.ns(name)}`, command, ...args], options)
  }

  hypergate (name, args, options = {}) {
    return this.exec(name, binary, [...args, '--log', 'json'], options)
  }

  async start () {
    const core = this.ns('core')
    const site = this.rttMs > 0 ? 'nodes' : 'core' // of the DHT nodes
    const nodes = Array.from({ length: DHT_NODES }, (_, i) => `10.77.9.${i + 1}`)
    await this.script(this.addNamespace('core'))
    if (site === 'nodes') {
      await this.script(this.addNamespace(site))
      await this.script([...await this.cableFromCore('nodes', site, 'net'), `ip -n ${core} addr add 10.77.9.254/24 dev nodes`])
    } else {
      await this.script([`ip -n ${core} link add net type bridge`, `ip -n ${core} link set net up`])
    }
    await this.script([
      ...nodes.map((address) => `ip -n ${this.ns(site)} addr add ${address}/24 dev net`),
      ...(site === 'core' ? [] : [`ip -n ${this.ns(site)} route add default via 10.77.9.254`]),
      `ip netns exec ${core} nft -f - <<'.'
table ip lab {
  counter probes { }
  counter tunnel { }
  counter relay { }
  chain blocked { }
  chain forward { type filter hook forward priority 0;
    jump blocked
    ${this.dropLowTtl ? `ip ttl < ${LOWEST_TTL} drop` : ''}
    iifname "nodes" accept
    oifname "nodes" accept
    iifname "homec" counter name relay accept
    oifname "homec" counter name relay accept
    udp length 9 counter name probes accept
    counter name tunnel
  }
}
.`])
    for (const [i, address] of nodes.entries()) {
      const others = i === 0 ? [] : ['--bootstrap', `${nodes[0]}:${DHT_PORT}`]
      const node = this.hypergate(site, ['dht', '--host', address, '--port', String(DHT_PORT), ...others], { name: `dht ${address}` })
      this.nodes.push(node)
      if (i === 0) await node.line(/"ready/, 60000)
    }
    await Promise.all(this.nodes.map((node) => node.line(/"ready/, 60000)))
  }

  /** A cable between two namespaces, with a name for each end. */
  cable (left, leftName, right, rightName) {
    return [`ip -n ${this.ns(left)} link add ${leftName} type veth peer name ${rightName} netns ${this.ns(right)}`,
      `ip -n ${this.ns(left)} link set ${leftName} up`, `ip -n ${this.ns(right)} link set ${rightName} up`]
  }

  /** A cable from the core to a namespace that exists, as long as the round trip asks. */
  async cableFromCore (leftName, right, rightName) {
    if (this.rttMs === 0) return this.cable('core', leftName, right, rightName)
    const link = new Process(emulator, ['--left', this.ns('core'), '--right', this.ns(right), '--device', leftName, '--rttMs', String(this.rttMs / 2)],
      { name: `link ${leftName}` })
    this.links.set(leftName, link)
    await link.line(/ready/)
    const [core, other] = [this.ns('core'), this.ns(right)]
    return [...(leftName === rightName ? [] : [`ip -n ${other} link set ${leftName} name ${rightName}`]),
      `ip -n ${core} link set ${leftName} up`, `ip -n ${other} link set ${rightName} up`]
  }

  router (name, kind, { wan, gateway, lan, host }) {
    const ns = this.ns(name)
    return [
      `ip -n ${ns} addr add ${wan}/24 dev wan`, `ip -n ${ns} route add default via ${gateway}`,
      `ip -n ${ns} link add lan type bridge`, `ip -n ${ns} addr add ${lan}/24 dev lan`, `ip -n ${ns} link set lan up`,
      `ip netns exec ${ns} nft -f - <<'.'\n${rules(kind, { wan, host })}\n.`]
  }

  /** Drops UDP between homes A and B in the core, whatever their routers do. */
  async blockUdp () {
    const nft = `ip netns exec ${this.ns('core')} nft add rule ip lab blocked`
    await this.script([`${nft} iifname "homea" oifname "homeb" meta l4proto udp drop`, `${nft} iifname "homeb" oifname "homea" meta l4proto udp drop`])
  }

  async unblockUdp () { await this.script([`ip netns exec ${this.ns('core')} nft flush chain ip lab blocked`]) }

  /** Builds the home `letter` ('a', 'b' or 'c') of a kind; its host is the namespace of that letter. */
  async addHome (letter, home) {
    const number = 'abc'.indexOf(letter) + 1
    const stages = HOMES[home]
    const lines = []
    await this.script(this.addNamespace(letter))
    // From the network inwards: where the next thing is plugged in, its address, its gateway.
    let outer = { ns: 'core', port: `home${letter}`, address: `10.77.${number}.2`, gateway: `10.77.${number}.1` }
    for (const [i, kind] of stages.toReversed().entries()) {
      const inner = i === stages.length - 1
        ? { lan: `192.168.${number}.1`, host: `192.168.${number}.2` }
        : { lan: `100.64.${number}.1`, host: `100.64.${number}.2` }
      const name = `r${letter}${i}`
      await this.script(this.addNamespace(name))
      lines.push(...await this.plugIn(name, outer, 'wan'), ...this.router(name, kind, { wan: outer.address, gateway: outer.gateway, ...inner }))
      outer = { ns: name, port: 'p0', address: inner.host, gateway: inner.lan }
    }
    lines.push(...await this.plugIn(letter, outer, 'eth0'), ...this.address(letter, outer), `ip -n ${this.ns('core')} addr add 10.77.${number}.1/24 dev home${letter}`)
    await this.script(lines)
  }

  /** A second way out for the host `letter`: another router (on network `number`) at its eth1, which is down until it is used. */
  async addUplink (letter, number, kind) {
    const name = `r${letter}u`
    await this.script([
      ...this.addNamespace(name), ...this.cable('core', `home${letter}u`, name, 'wan'),
      `ip -n ${this.ns('core')} addr add 10.77.${number}.1/24 dev home${letter}u`,
      ...this.router(name, kind, { wan: `10.77.${number}.2`, gateway: `10.77.${number}.1`, lan: `192.168.${number}.1`, host: `192.168.${number}.2` }),
      ...this.cable(name, 'p0', letter, 'eth1'), `ip -n ${this.ns(name)} link set p0 master lan`,
      `ip -n ${this.ns(letter)} addr add 192.168.${number}.2/24 dev eth1`, `ip -n ${this.ns(letter)} link set eth1 down`])
  }

  /** The outermost router of a home with one stage starts anew, having forgotten every connection; `wan`: with another address. */
  async reboot (letter, kind, { boot, wan }) {
    const number = letter === 'a' ? 1 : 2
    const ns = this.ns(`r${letter}0`)
    const address = wan ?? `10.77.${number}.2`
    await this.script([
      ...(wan ? [`ip -n ${ns} addr flush dev wan`, `ip -n ${ns} addr add ${wan}/24 dev wan`, `ip -n ${ns} route add default via 10.77.${number}.1`] : []),
      `ip netns exec ${ns} nft -f - <<'.'\nflush ruleset\n${rules(kind, { wan: address, host: `192.168.${number}.2`, boot })}\n.`])
  }

  /** The cable between the core and a home is pulled, or plugged in again. */
  async plug (letter, up) { await this.script([`ip -n ${this.ns('core')} link set home${letter} ${up ? 'up' : 'down'}`]) }

  /** Host B as a second host of home A's inner network. */
  async addNeighbour (home) {
    const outer = { ns: `ra${HOMES[home].length - 1}`, port: 'p1', address: '192.168.1.3', gateway: '192.168.1.1' }
    await this.script([...this.addNamespace('b'), ...await this.plugIn('b', outer, 'eth0'), ...this.address('b', outer)])
  }

  async plugIn (name, { ns, port }, device) {
    if (ns === 'core') return this.cableFromCore(port, name, device)
    return [...this.cable(ns, port, name, device), `ip -n ${this.ns(ns)} link set ${port} master lan`]
  }

  address (host, { address, gateway }) {
    return [`ip -n ${this.ns(host)} addr add ${address}/24 dev eth0`, `ip -n ${this.ns(host)} route add default via ${gateway}`]
  }

  /** Removes all homes and forgets what was counted. */
  async removeHomes () {
    const core = this.ns('core')
    const homes = [...this.links.keys()].filter((port) => port !== 'nodes')
    await Promise.all(homes.map((port) => this.links.get(port).stop('SIGKILL').catch(() => {})))
    for (const port of homes) this.links.delete(port)
    // The kernel takes namespaces down some time later: the cables must be gone now, or the next home finds its name taken.
    await this.script(['homea', 'homeb', 'homec', 'homeau', 'homebu'].map((port) => `ip -n ${core} link del ${port} 2>/dev/null || true`))
    this.removeNamespaces(this.namespaces.filter((name) => name !== core && name !== this.ns('nodes')))
    await this.script([`ip netns exec ${core} nft reset counters >/dev/null`, `ip netns exec ${core} nft flush chain ip lab blocked`])
  }

  /** What the core forwarded between homes A and B: {probes, packets, bytes}, probes being datagrams of one byte; `relay`: bytes from and to home C. */
  async counted () {
    const listing = JSON.parse(await this.script([`ip netns exec ${this.ns('core')} nft -j list counters`]))
    const counters = Object.fromEntries(listing.nftables.filter((e) => e.counter).map((e) => [e.counter.name, e.counter]))
    return { probes: counters.probes.packets, packets: counters.tunnel.packets, bytes: counters.tunnel.bytes, relay: counters.relay.bytes }
  }

  async close () {
    await Promise.all([...this.nodes, ...this.links.values()].map((node) => node.status === undefined ? node.stop('SIGKILL').catch(() => {}) : null))
    await timeout(10)
    this.removeNamespaces(this.namespaces)
    process.off('exit', this.atExit)
    for (const signal of ['SIGINT', 'SIGTERM']) process.off(signal, this.atSignal)
  }
}
