/** Rows of shards that are kept from query to query, while what the shards have written is committed later: the rows
 *  that changed between the two are once in a result. Found by kill -9 rounds on a server under load
 *  (test/crash/lake.ts). */
import { afterEach, expect, it } from 'vitest'
import { commitTable } from '../../../tiering/tier/committer.ts'
import { jobNames } from '../../../tiering/tier/jobs.ts'
import { ensureTable, planFlush } from '../../../tiering/tier/lake-table.ts'
import { tableName } from '../../../tiering/tier/payloads.ts'
import { SqlRig } from './testing.ts'

let sql: SqlRig

afterEach(() => sql.close())

/** Have every shard write files. @returns what commits them */
async function flush(): Promise<() => Promise<unknown>> {
  const { rig } = sql
  const shards = await rig.shards()
  const name = tableName('shop', 'docs')
  const plan = planFlush(await ensureTable(rig.tools, { name, info: undefined }), { table: 'docs' })
  await shards.each((shard) => shards.job(shard, jobNames.flush, plan))
  return () => commitTable(rig.tools, { table: 'docs', name, shards })
}

const everything = 'select id, rank from docs order by id, rank'

it.each([
  ['changed', (id: string) => sql.rig.doc('put', { id, rank: 3 }), [['a', 3]]],
  ['removed', (id: string) => sql.rig.doc('remove', { id }), []],
])('a row that is %s after it was written, and asked for before that is committed', async (_, change, rest) => {
  sql = await SqlRig.open({ shards: 1 })
  await sql.rig.doc('put', { id: 'a', rank: 1 })
  await sql.rig.doc('put', { id: 'b', rank: 1 })
  await sql.tier('docs')
  expect(await sql.rows(everything)).toEqual([
    ['a', 1],
    ['b', 1],
  ])
  await sql.rig.doc('put', { id: 'a', rank: 2 })
  const commit = await flush()
  await change('a')
  expect(await sql.rows(everything)).toEqual([...rest, ['b', 1]])
  await commit()
  expect(await sql.rows(everything)).toEqual([...rest, ['b', 1]])
  expect(await sql.rows(everything)).toEqual([...rest, ['b', 1]])
})
