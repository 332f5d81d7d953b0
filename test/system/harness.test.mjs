// What the other system tests rely on.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { freePair, freePort, inTime, run, scratch, stopAll, untilWorks } from './harness.mjs'

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

test('what does not come in time is named', async () => {
  assert.equal(await inTime(Promise.resolve(7), 1000, 'seven'), 7)
  await assert.rejects(inTime(new Promise(() => {}), 10, 'answer'), /^Error: no answer in 10 ms$/)
})

// What becomes of a file with these tests: {status, output}.
async function fileOf (text, env) {
  const files = scratch()
  const { NODE_TEST_CONTEXT, ...outer } = process.env
  try {
    writeFileSync(files.path('left.test.mjs'), `
      import assert from 'node:assert/strict'
      import { after, before, test } from 'node:test'
      import { Process } from '${new URL('harness.mjs', import.meta.url)}'
      ${text}`)
    const { status, stdout, stderr } = await run('node', ['--test', files.path('left.test.mjs')], { env: { ...outer, ...env }, timeout: 30000 })
    return { status, output: stdout + stderr }
  } finally {
    files.remove()
  }
}

test('what a failed test has started ends with it, what before() has started stays', async () => {
  const { status, output } = await fileOf(`
    let kept, left
    before(() => { kept = new Process('sleep', ['600']) })
    after(async () => { assert.equal(await kept.stop(), 'SIGTERM') })
    test('fails', () => { left = new Process('sleep', ['600']); throw new Error('of its own') })
    test('the next one', () => { assert.deepEqual([left.status, kept.status], ['SIGTERM', undefined]) })`)
  assert.equal(status, 1)
  assert.match(output, /of its own/)
  assert.match(output, /pass 1$/m)
  assert.doesNotMatch(output, /ended now/)
})

test('what a failed before() has started ends', async () => {
  const { status, output } = await fileOf(`
    before(() => { const left = new Process('sleep', ['600']); throw new Error(\`left \${left.pid}\`) })
    test('does not begin', () => {})`)
  assert.equal(status, 1)
  assert.doesNotMatch(output, /ended now/)
  assert.throws(() => process.kill(Number(output.match(/left (\d+)/)[1]), 0), { code: 'ESRCH' })
})

test('a test that awaits for ever is ended and named', async () => {
  const { status, output } = await fileOf(`
    test('waits', () => { const left = new Process('sleep', ['600']); console.log(\`left \${left.pid}\`); return left.exited })`,
    { HYPERGATE_TEST_LIMIT_MS: '200' })
  assert.equal(status, 1)
  const pid = Number(output.match(/left (\d+)/)[1])
  assert.match(output, new RegExp(`left\\.test\\.mjs: 'waits' goes on for more than 0.2 s, ended now: sleep \\(${pid}\\)`))
  await untilWorks(() => assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' }))
})

test('what is left open after the last test does not keep its file alive', async () => {
  const { status, output } = await fileOf(`
    test('leaves a program', () => { const left = new Process('sleep', ['600'], { stays: true }); throw new Error(\`left \${left.pid}\`) })`,
    { HYPERGATE_TEST_GRACE_MS: '200' })
  assert.equal(status, 1)
  const pid = Number(output.match(/left (\d+)/)[1])
  assert.match(output, new RegExp(`left\\.test\\.mjs: still there 0.2 s after the last test, ended now: sleep \\(${pid}\\)`))
  await untilWorks(() => assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' }))
})
