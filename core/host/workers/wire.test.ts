import { serialize } from 'node:v8'
import { describe, expect, test } from 'vitest'
import { Failure, fromWire, toWire } from '../../errors.ts'
import { WORKERS_CALL_BYTES_MAX, WORKERS_RPC_BYTES } from '../../limits.ts'
import type { Call } from '../../shard/program.ts'
import { type ShardRpc, submitOver, type WireAnswer, wireBytes, wireReplies } from './wire.ts'

const call = (args: unknown): Call => ({ program: 'test', name: 'echo', slot: 0, epoch: 1, args })

/** An object that answers each call with its arguments, and remembers how many calls each RPC had. */
function echo(fail?: (calls: readonly Call[]) => WireAnswer | undefined) {
  const rpcs: number[] = []
  const stub: Pick<ShardRpc, 'submit'> = {
    async submit(calls) {
      rpcs.push(calls.length)
      return fail?.(calls) ?? wireReplies(calls.map(({ args }) => args))
    },
  }
  return { rpcs, stub }
}

describe('calls over RPC', () => {
  test('go in one when they fit, and come back in order', async () => {
    const { rpcs, stub } = echo()
    expect(await submitOver(stub, [call(1), call('two'), call({ three: [3] })])).toEqual([1, 'two', { three: [3] }])
    expect(rpcs).toEqual([3])
    expect(await submitOver(stub, [])).toEqual([])
  })

  test('are cut into RPCs that fit, and so are replies', async () => {
    const { rpcs, stub } = echo()
    const large = 'x'.repeat(WORKERS_RPC_BYTES / 2 - 1_000)
    const calls = Array.from({ length: 5 }, (_, i) => call(large + i))
    const replies = await submitOver(stub, calls)
    expect(replies.map((reply) => (reply as string).slice(-1))).toEqual(['0', '1', '2', '3', '4'])
    expect(rpcs).toEqual([2, 2, 1])
    const first = wireReplies([large, large, large])
    expect(first.replies).toHaveLength(2)
    expect((await first.rest?.())?.replies).toHaveLength(1)
  })

  test('that are too large on their own are refused, alone', async () => {
    const { rpcs, stub } = echo()
    const replies = await submitOver(stub, [call(1), call('x'.repeat(WORKERS_CALL_BYTES_MAX)), call(3)])
    expect(replies).toMatchObject([1, { code: 'limit' }, 3])
    expect(rpcs).toEqual([1, 1])
    const answer = wireReplies([1, 'x'.repeat(WORKERS_CALL_BYTES_MAX), 3])
    expect(answer.replies.map((reply) => fromWire(reply))).toMatchObject([1, { code: 'limit' }, 3])
  })

  test('meet failures by their code: of a call, of a group, and of no answer', async () => {
    const one = echo(() => wireReplies([new Failure('conflict', 'no', { why: 1 }), 2]))
    expect(await submitOver(one.stub, [call(1), call(2)])).toEqual([
      { failure: 'conflict', message: 'no', detail: { why: 1 } },
      2,
    ])
    const whole = echo(() => toWire(new Failure('storage', 'disk full')))
    await expect(submitOver(whole.stub, [call(1)])).rejects.toMatchObject({ code: 'storage', message: 'disk full' })
    const silent = { submit: () => Promise.reject(new Error('Durable Object reset')) }
    await expect(submitOver(silent, [call(1)])).rejects.toMatchObject({ code: 'unavailable' })
  })

  test('that ran before a later RPC failed keep their replies', async () => {
    const large = 'x'.repeat(WORKERS_RPC_BYTES - 1_000)
    let left = 1
    const { stub } = echo(() => (left-- > 0 ? undefined : toWire(new Failure('storage', 'disk full'))))
    const replies = await submitOver(stub, [call(large), call(large), call(large)])
    expect(replies).toMatchObject([large, { code: 'storage' }, { code: 'storage' }])
  })
})

// What structured clone puts before any value.
const headerBytes = 2

test('sizes are no smaller than what goes over', () => {
  for (const value of [
    null,
    1.5,
    'text',
    '\xff'.repeat(100),
    ['a', { b: 'c' }],
    new Uint8Array(50),
    { failure: 'x' },
  ]) {
    expect(wireBytes(value) + headerBytes).toBeGreaterThanOrEqual(serialize(value).length)
  }
})
