/** kill -9 at random points of a write load, DOTDO_ROUNDS times (50): no acknowledged write is lost, and no transaction
 *  halved. The rounds are shared out over every combination of durability, shards and threads. */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { temporaryFolder } from '../../core/host/node/testing.ts'
import { killRounds, setups } from './kill.ts'

const rounds = Math.ceil(Number(process.env.DOTDO_ROUNDS ?? 50) / setups.length)

it.each(setups)(`${rounds} rounds of kill -9: $durability, $shards shards, $threads threads`, async (setup) => {
  const folder = temporaryFolder()
  try {
    const seed = Date.now() % 2 ** 31
    const { problems, batches } = await killRounds(join(folder.path, 'data'), setup, { rounds, seed })
    expect(problems).toEqual([])
    expect(batches).toBeGreaterThan(rounds)
  } finally {
    folder.remove()
  }
})
