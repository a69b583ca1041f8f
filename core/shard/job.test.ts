import { describe, expect, it } from 'vitest'
import { textTables } from './cold.testing.ts'
import type { ColdRow } from './cold.ts'
import { type JobShard, joinWork, runJob, type ShardWork } from './job.ts'

const shard: JobShard = { database: 'd', index: 0, submit: async () => [] }
const scroll: ColdRow = { table: textTables.scrolls, key: { slot: 1, name: 'a' } }
const stone: ColdRow = { table: textTables.stones, key: { slot: 1, name: 'b' } }

function workOf(name: string, told: string[], fetches?: readonly string[]): ShardWork {
  return {
    jobs: [{ name, run: async () => name }],
    async fetchCold(_, cold) {
      told.push(`${name}: ${cold.map(({ key }) => key.name).join()}`)
    },
    ...(fetches && { fetches }),
  }
}

describe('work of several engines beside a shard', () => {
  it('has the jobs of all, and rows are fetched by whoever names their table, others by who names none', async () => {
    const told: string[] = []
    const joined = joinWork([workOf('any', told), workOf('stones', told, [textTables.stones.name])])
    await joined.fetchCold?.(shard, [scroll, stone, scroll])
    expect(told.sort()).toEqual(['any: a,a', 'stones: b'])
    expect(await runJob(joined, shard, { name: 'stones', args: {} })).toBe('stones')
    expect(await runJob(joined, shard, { name: 'any', args: {} })).toBe('any')
  })

  it('fails where nobody fetches a table, and fetches nothing where nobody does', async () => {
    const joined = joinWork([workOf('stones', [], [textTables.stones.name])])
    await expect(joined.fetchCold?.(shard, [scroll])).rejects.toMatchObject({ code: 'unavailable' })
    expect(joinWork([{ jobs: [] }]).fetchCold).toBeUndefined()
  })
})
