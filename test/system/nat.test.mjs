// Two homes behind routers of their own, in network namespaces: a provider in one, a gateway in the other, and a page that comes
// through, directly or relayed by a member in a third home. How they are connected is told by what the network between the homes forwarded. `node test/system/nat/matrix.mjs`
// prints the whole grid.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { run } from './harness.mjs'
import { Lab, unavailable } from './nat/lab.mjs'
import { connectPair } from './nat/pair.mjs'

const skip = (await unavailable()) ?? false
const LIMIT_MS = 60000 // generous: what is tested is that and how they connect, not this machine's speed
let lab

before(async () => { if (!skip) lab = await Lab.open() })
after(() => lab?.close())

// An open host that does not know yet that it is open punches; one that knows does not.
const OPEN = 'direct or punched'

function connects (provider, gateway, how, options = {}) {
  const { member, blocked, provider: role } = options
  const name = gateway === null ? `two hosts behind one ${provider}` : `${provider} – ${gateway}`
  const more = `${blocked ? ', UDP between them blocked' : ''}${member ? `, another member: ${member.home}` : ''}${role ? `, ${role} provider` : ''}`
  test(`${name}${more}: ${how}`, { skip }, async (t) => {
    const result = await connectPair(lab, provider, gateway, { limitMs: LIMIT_MS, ...options })
    assert.notEqual(result.seconds, null, result.why)
    assert.ok(how.split(' or ').includes(result.how), `${result.how} ${JSON.stringify(result.counted)}`)
    t.diagnostic(`${result.seconds} s`)
  })
}

connects('none', 'port-cone', OPEN)
connects('full-cone', 'address-cone', 'punched')
connects('port-cone', 'port-cone', 'punched')
connects('remap-cone', 'remap-cone', 'punched')
connects('cgnat-cone', 'address-cone', 'punched')
connects('symmetric', 'none', OPEN)
connects('symmetric', 'address-cone', 'punched')
connects('port-cone', 'symmetric', 'punched')
connects('port-cone', null, 'lan')
connects('symmetric', 'symmetric', 'relayed', { member: { home: 'none' } })
connects('symmetric', 'symmetric', 'relayed', { member: { home: 'port-cone' } })
connects('symmetric', 'symmetric', 'relayed', { member: { home: 'none' }, provider: 'javascript' })
connects('port-cone', 'port-cone', 'relayed', { member: { home: 'none' }, blocked: true })
connects('none', 'none', 'relayed', { member: { home: 'port-cone' }, blocked: true })
connects('port-cone', 'port-cone', 'punched', { member: { home: 'none' } })

test('the matrix says by its exit status that there can be no lab', async () => {
  const matrix = new URL('nat/matrix.mjs', import.meta.url).pathname
  const { status, stdout } = await run(process.execPath, [matrix], { env: { PATH: '/nonexistent' } })
  assert.match(stdout, /network namespaces with nftables are not available here/)
  assert.equal(status, 3)
})

test('a member with --noRelay relays for nobody', { skip }, async () => {
  const result = await connectPair(lab, 'symmetric', 'symmetric', { member: { home: 'none', args: ['--noRelay'] }, limitMs: 8000 })
  assert.equal(result.seconds, null, `${result.how} ${JSON.stringify(result.counted)}`)
})
