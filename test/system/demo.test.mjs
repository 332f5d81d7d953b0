// `hypergate demo`: the address it prints works, and nothing of it is left afterwards.
import assert from 'node:assert/strict'
import net from 'node:net'
import { once } from 'node:events'
import { test } from 'node:test'
import { Process, binary, get, inTime, run } from './harness.mjs'

test('the demo shows a page and an echo through its tunnel, then cleans up', async () => {
  const demo = new Process(binary, ['demo'])
  const [, port] = await demo.line(/open http:\/\/127\.0\.0\.1:(\d+)\//)
  const [, echoPort] = await demo.line(/nc 127\.0\.0\.1 (\d+)/)
  assert.match((await get(Number(port))).toString(), /came through a Hypergate tunnel/)
  const echo = net.connect(Number(echoPort), '127.0.0.1')
  echo.write('hello')
  const [answer] = await inTime(once(echo, 'data'), 10000, 'echo')
  assert.equal(answer.toString(), 'hello')
  echo.destroy()
  const children = (await run('pgrep', ['-P', String(demo.pid)])).stdout.trim().split('\n')
  assert.equal(children.length, 5, 'three DHT nodes, a provider, a gateway')
  const shown = (await run('ps', ['-o', 'args=', '-p', children.join(',')])).stdout
  assert.doesNotMatch(shown, /[0-9a-f]{64}/, 'no secret in the process list')
  assert.equal(await demo.stop('SIGINT'), 0)
  for (const child of children) assert.equal((await run('kill', ['-0', child])).status, 1, `process ${child} is gone`)
})

test('the router secret on a command line does not stay in the process list', async () => {
  const secret = 'c0'.repeat(32)
  const gateway = new Process(binary, ['--router', secret, '--gateway', '--bootstrap', '127.0.0.1:9', '--log', 'json'])
  await gateway.line(/DHT node on UDP port/)
  const shown = (await run('ps', ['-o', 'args=', '-p', String(gateway.pid)])).stdout
  assert.ok(!shown.includes(secret))
  assert.equal(await gateway.stop(), 0)
})
