// The kinds of routers of the lab, as nftables rules. In a router's namespace `wan` is the outside, `lan` the bridge inside.
//
// Unsolicited packets from outside are dropped before conntrack confirms them. If they were not, a peer's probe that comes first
// would leave an entry, the port of our own probe would count as taken, and the kernel would choose another: no punch would work.
//
// A cone NAT of the kernel (snat) keeps the port and lets in what its conntrack knows: port-restricted. Wider cones remember in a
// set which inner ports have sent (and where to) and admit others by dnat.

const filter = (more = '') => `
  chain input { type filter hook input priority 0; iifname "wan" ct state new,invalid drop; }
  chain forward { type filter hook forward priority 0;
    ${more}
    iifname "wan" ct state invalid drop
    iifname "wan" ct state new ct status & dnat == 0 drop
    oifname "wan" ct state invalid drop
  }`

// Connections of one boot are unknown to the next, as if conntrack had been lost with the power.
const zone = (boot) => boot ? `chain boot { type filter hook prerouting priority raw; ct zone set ${boot}; }` : ''

const table = (nat, forward) => `table ip lab {
${nat}
${filter(forward)}
}`
const outward = (rule) => `chain outward { type nat hook postrouting priority srcnat; oifname "wan" ${rule}; }`

/** `wan` is the router's outer address, `host` the (first) inner host. */
const KINDS = {
  'full-cone': ({ wan, host }) => table(`
    set open { type inet_service; flags dynamic,timeout; timeout 60s; size 8192; }
    chain inward { type nat hook prerouting priority dstnat; iifname "wan" udp dport @open dnat to ${host}; }
    ${outward(`snat to ${wan}`)}`, 'iifname "lan" meta l4proto udp update @open { udp sport }'),
  'address-cone': ({ wan, host }) => table(`
    set toward { type ipv4_addr . inet_service; flags dynamic,timeout; timeout 60s; size 8192; }
    chain inward { type nat hook prerouting priority dstnat; iifname "wan" ip saddr . udp dport @toward dnat to ${host}; }
    ${outward(`snat to ${wan}`)}`, 'iifname "lan" meta l4proto udp update @toward { ip daddr . udp sport }'),
  'port-cone': ({ wan }) => table(outward(`snat to ${wan}`)),
  // Each inner port has an outer one of its own, another one: what most real cones do.
  'remap-cone': ({ wan, boot = 0 }) => table(`chain outward { type nat hook postrouting priority srcnat;
    oifname "wan" udp sport 1-65535 snat to ${wan}:jhash udp sport mod 40000 seed ${0x7a + boot} offset 20000
    oifname "wan" snat to ${wan}
  }`),
  // Every destination another random port.
  symmetric: () => table(outward('masquerade fully-random')),
  blocked: ({ wan }) => table(outward(`snat to ${wan}`), 'meta l4proto udp drop')
}

/** What a home has between its host and the network, from the inside out. */
export const HOMES = {
  none: [],
  'full-cone': ['full-cone'],
  'address-cone': ['address-cone'],
  'port-cone': ['port-cone'],
  'remap-cone': ['remap-cone'],
  symmetric: ['symmetric'],
  'cgnat-cone': ['port-cone', 'remap-cone'],
  'cgnat-symmetric': ['symmetric', 'remap-cone'],
  blocked: ['blocked']
}

export const random = (home) => HOMES[home].includes('symmetric')

/** `boot`: how often the router was started anew; each time it has forgotten every connection. */
export function rules (kind, { boot = 0, ...addresses }) {
  return KINDS[kind]({ boot, ...addresses }).replace(/\}$/, `${zone(boot)}\n}`)
}
