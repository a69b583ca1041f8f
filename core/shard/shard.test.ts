/** The conformance list of the shard, in Node over files. */
import { afterEach, describe, expect, test } from 'vitest'
import { openTestShard, type TestShard } from '../host/node/testing.ts'
import { coldCases } from './cold.conformance.ts'
import { coldProgram } from './cold.testing.ts'
import { patchCases } from './patch.conformance.ts'
import { tapeProgram } from './patch.testing.ts'
import type { Call, Program } from './program.ts'
import { type OpenedShard, type OpenOptions, ShardTest, shardCases } from './shard.conformance.ts'
import { notes, testProgram } from './testing.ts'

let open: TestShard | undefined
afterEach(() => {
  open?.close()
  open = undefined
})

/** Keep the shard that is open now, so that it is closed after the test. */
function keep(shard: TestShard): OpenedShard {
  open = shard
  const reopen: OpenedShard['reopen'] = async (options) => keep(await shard.reopen(options))
  return { ...shard, reopen }
}

describe.each(['normal', 'full'] as const)('a shard over a file (durability %s)', (durability) => {
  const openShard = async (options: OpenOptions) =>
    keep(await openTestShard([testProgram, coldProgram, tapeProgram], { ...options, durability }))
  test.each([...shardCases, ...coldCases, ...patchCases])('$about: $name', ({ run }) =>
    run(new ShardTest(openShard), expect),
  )
})

describe('a program that writes as its group ends', () => {
  const pending = new Map<string, number>()
  const program: Program = {
    name: 'late',
    tables: [notes],
    run(_, { args }) {
      pending.set(args as string, (pending.get(args as string) ?? 0) + 1)
      return null
    },
    finish(tx) {
      for (const [text, id] of pending) tx.put(notes, { slot: 0, id, text })
      pending.clear()
    },
    busy: (memory) => memory.has('busy'),
  }
  const call = (args: string): Call => ({ program: 'late', name: 'add', slot: 0, epoch: 1, args })

  test('writes once what many calls changed, in their commit', async () => {
    open = await openTestShard([program])
    await Promise.all(['a', 'a', 'a'].map((args) => open?.shard.submit([call(args)])))
    expect(open.sql.raw('select id, text from test_notes')).toEqual([[3, 'a']])
    expect(open.shard.busy).toBe(false)
  })

  test('draws random numbers of its own', async () => {
    const drawn: number[] = []
    const drawing: Program = {
      ...program,
      run: (tx) => drawn.push(tx.random()),
      finish: (tx) => void drawn.push(tx.random()),
    }
    open = await openTestShard([drawing])
    await open.shard.submit([call('a')])
    // Opening the shard has run groups of its own.
    expect(new Set(drawn).size).toBe(drawn.length)
  })

  test('is run at once, after what is queued', async () => {
    open = await openTestShard([program])
    const queued = open.shard.submit([call('a')])
    expect(open.shard.runNow([call('a'), call('a')])).toEqual([null, null])
    expect(open.sql.raw('select id, text from test_notes')).toEqual([[3, 'a']])
    expect(await queued).toEqual([null])
    expect(open.shard.runNow([{ ...call('a'), program: 'none' }])[0]).toMatchObject({ code: 'unsupported' })
    open.shard.close()
    expect(() => open?.shard.runNow([])).toThrow('the shard is closed')
  })
})
