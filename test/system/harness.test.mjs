// What the other system tests rely on.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { freePair, freePort, run, scratch, stopAll, untilWorks } from './harness.mjs'

test('no port is given twice, alone or in a pair', async () => {
  const got = []
  for (let i = 0; i < 3000; i++) got.push(await freePort())
  for (let i = 0; i < 100; i++) {
    const first = await freePair()
    got.push(first, first + 1)
  }
  assert.equal(new Set(got).size, got.length)
})

test('one that does not stop keeps no other from being stopped, and says why', async () => {
  const stopped = []
  const program = (name) => ({ stop: async () => { stopped.push(name); return 0 } })
  const stuck = { stop: async () => { throw new Error('did not stop') } }
  assert.deepEqual(await stopAll(undefined, program('a'), stuck, program('b')), [undefined, 0, 'did not stop', 0])
  assert.deepEqual(stopped, ['a', 'b'])
})

test('a program that a failed test has left running does not keep its file alive', async () => {
  const files = scratch()
  try {
    writeFileSync(files.path('left.test.mjs'), `
      import { test } from 'node:test'
      import { Process } from '${new URL('harness.mjs', import.meta.url)}'
      test('leaves a program', () => { const left = new Process('sleep', ['600']); throw new Error(\`left \${left.pid}\`) })`)
    const { NODE_TEST_CONTEXT, ...env } = process.env
    const { status, stdout, stderr } = await run('node', ['--test', files.path('left.test.mjs')], { env: { ...env, HYPERGATE_TEST_GRACE_MS: '200' }, timeout: 30000 })
    assert.equal(status, 1)
    const pid = Number((stdout + stderr).match(/left (\d+)/)[1])
    assert.match(stdout + stderr, new RegExp(`ended now: sleep \\(${pid}\\)`))
    await untilWorks(() => assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' }))
  } finally {
    files.remove()
  }
})
