// The program as a process: signals, who reads its output, its limits.
import assert from 'node:assert/strict'
import { readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { test } from 'node:test'
import { binary, freePort, get, hypergate, newSecret, Process, run, startDht, startGateway, startWeb, untilWorks } from './harness.mjs'

const dht = ['dht', '--host', '127.0.0.1', '--port', '0', '--log', 'json']
const throughShell = (first, name) => new Process('sh', ['-c', `${first}; exec "$0" "$@"`, binary, ...dht], { name })

/** Its own programs are stopped, however the test ends. */
function started (t, process) {
  t.after(() => process.stop('SIGKILL').catch(() => {}))
  return process
}

test('whose log nobody reads any more goes on, and stops politely', async (t) => {
  const node = started(t, hypergate(['dht', '--host', '127.0.0.1', '--port', '0']))
  await node.line(/"ready/)
  node.child.stderr.destroy()
  node.child.stdout.destroy()
  assert.equal(await node.stop('SIGTERM'), 0)
})

test('whose log nobody reads for now goes on, and stops politely', async (t) => {
  const network = await startDht(1)
  t.after(() => network.stop())
  const port = await freePort()
  const gateway = started(t, startGateway(network, await newSecret(), { args: ['--metrics', `127.0.0.1:${port}`, '--statsIntervalMs', '1'] }))
  await gateway.line(/"component":"stats"/)
  gateway.child.stderr.pause()
  // The socket to us takes less than a second of these lines.
  await untilWorks(async () => assert.ok(Number(/^hypergate_uptime_seconds (\S+)/m.exec(await get(port, '/metrics', 2000))[1]) > 4), 10000)
  assert.equal(await gateway.stop(), 0)
})

test('whose standard descriptors are closed does not give their numbers to sockets', async (t) => {
  const node = started(t, throughShell('exec <&- >&- 2>&-', 'closed'))
  await untilWorks(() => {
    for (const fd of [0, 1, 2]) assert.equal(readlinkSync(`/proc/${node.pid}/fd/${fd}`), '/dev/null')
  })
})

test('lines of a file or a pipe begin with the day', async (t) => {
  const node = started(t, new Process(binary, dht.slice(0, -2), { name: 'text' }))
  await node.line(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} info dht: listening on 127\.0\.0\.1/)
})

test('whatever is in a message, it stays one line', async (t) => {
  const words = ['gateway', '--router', 'ab'.repeat(32), '--docker', '/nowhere\n2026-01-01 info forged: \x1b[31m', '--bootstrap', '127.0.0.1:9']
  const member = started(t, new Process(binary, words, { name: 'text' }))
  await member.line(/warning docker: Docker Engine at \/nowhere\?2026-01-01 info forged: \?\[31m: No such file/)
})

test('a hang-up stops it politely, unless it was started to survive one', async (t) => {
  const node = started(t, hypergate(['dht', '--host', '127.0.0.1', '--port', '0']))
  await node.line(/"ready/)
  assert.equal(await node.stop('SIGHUP'), 0)

  const left = started(t, throughShell("trap '' HUP", 'nohup'))
  const [, address] = await left.line(/listening on (127\.0\.0\.1:\d+)/)
  left.child.kill('SIGHUP')
  const friend = started(t, hypergate(['dht', '--host', '127.0.0.1', '--port', '0', '--bootstrap', address]))
  await friend.line(/"ready, nodes known: [1-9]/)
  assert.equal(await left.stop('SIGTERM'), 0)
})

test('it may open as many descriptors as the machine allows', async (t) => {
  const node = started(t, throughShell('ulimit -Sn 64', 'few'))
  await node.line(/"ready/)
  const [, soft, hard] = readFileSync(`/proc/${node.pid}/limits`, 'utf8').match(/Max open files +(\S+) +(\S+)/)
  assert.equal(soft, hard)
})

test('where no thread is to be had it goes on without', { skip: process.getuid() === 0 ? false : 'needs root, to be somebody with a limit' }, async (t) => {
  const words = ['gateway', '--router', 'ab'.repeat(32), '--bootstrap', '127.0.0.1:9', '--log', 'json']
  const member = started(t, new Process('prlimit', ['--nproc=1', 'setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', binary, ...words],
    { name: 'threadless', cwd: '/' }))
  await member.line(/joined as gateway/)
  assert.equal(readdirSync(`/proc/${member.pid}/task`).length, 1)
  assert.equal(await member.stop(), 0)
})

test('what could not be written is not done', async () => {
  for (const asked of ['new', '--help']) {
    const { status, stderr } = await run('sh', ['-c', '"$0" "$1" > /dev/full', binary, asked])
    assert.equal(status, 1)
    assert.match(stderr, /^hypergate: cannot write the output: No space left on device\n$/)
  }
})

test('a secret on the command line is in no process list and no log', async (t) => {
  const network = await startDht(1)
  t.after(() => network.stop())
  const secret = 'ef'.repeat(32)
  for (const words of [['gateway', `--router=${secret}`], ['gateway', secret], [`--scan=${secret}`]]) {
    const member = started(t, hypergate([...words, '--bootstrap', network.bootstrap]))
    await untilWorks(() => assert.ok(!readFileSync(`/proc/${member.pid}/cmdline`, 'latin1').includes(secret)))
    assert.equal(member.status, undefined)
    if (words[0] === 'gateway') await member.line(/joined as gateway/)
    assert.ok(!member.lines.join('\n').includes(secret))
    await member.stop()
  }
})

test('what a URL on the command line keeps to itself is in no process list', async (t) => {
  const web = await startWeb('[]')
  t.after(() => web.stop())
  const url = `http://user:hidden@127.0.0.1:${web.port}/filter.json?key=hidden`
  for (const words of [['gateway', url], ['--gateway=' + url], ['--gateway', url]]) {
    const member = started(t, hypergate([...words, '--bootstrap', '127.0.0.1:1'], { env: { HYPERGATE_ROUTER: 'ef'.repeat(32) } }))
    await member.line(/joined as gateway/)
    const shown = readFileSync(`/proc/${member.pid}/cmdline`, 'latin1')
    assert.ok(shown.includes(`@127.0.0.1:${web.port}/filter.json?`) && !shown.includes('hidden'), shown)
    await member.stop()
  }
})
