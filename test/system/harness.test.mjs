// What the other system tests rely on.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { freePair, freePort, stopAll } from './harness.mjs'

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
