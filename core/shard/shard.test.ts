/** The conformance list of the shard, in Node over files. */
import { afterEach, describe, expect, test } from 'vitest'
import { openTestShard, type TestShard } from '../host/node/testing.ts'
import { coldCases } from './cold.conformance.ts'
import { coldProgram } from './cold.testing.ts'
import { patchCases } from './patch.conformance.ts'
import { tapeProgram } from './patch.testing.ts'
import { type OpenedShard, type OpenOptions, ShardTest, shardCases } from './shard.conformance.ts'
import { testProgram } from './testing.ts'

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
