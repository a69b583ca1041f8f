import { afterEach, describe, expect, it } from 'vitest'
import type { RigOptions } from '../../../tiering/tier/testing.ts'
import { SqlRig } from './testing.ts'

const open: SqlRig[] = []

async function rigOf(options: RigOptions = {}): Promise<SqlRig> {
  const rig = await SqlRig.open(options)
  open.push(rig)
  return rig
}

afterEach(async () => {
  for (const rig of open.splice(0)) await rig.close()
})

const ids = (count: number, prefix = 'd') => Array.from({ length: count }, (_, at) => `${prefix}${at}`)

describe('hot and cold', () => {
  it('are one table: each row once, as it is now', async () => {
    const sql = await rigOf({ shards: 2 })
    await sql.rig.putAll(ids(300), (id) => ({ body: `body of ${id}`, rank: Number(id.slice(1)) }))
    const count = 'select count(*), count(distinct _id), sum(rank) from docs'
    expect(await sql.rows(count)).toEqual([[300, 300, 44850]])
    await sql.tier('docs')
    expect(await sql.rows(count)).toEqual([[300, 300, 44850]])
    await sql.rig.doc('put', { id: 'd1', title: 'new', body: 'changed', rank: 1000 })
    await sql.rig.doc('remove', { id: 'd2' })
    await sql.rig.doc('put', { id: 'x', body: 'added', rank: 7 })
    expect(await sql.rows(count)).toEqual([[300, 300, 44850 - 1 + 1000 - 2 + 7]])
    expect(await sql.rows("select id, title, body, rank from docs where id in ('d1', 'd2', 'x') order by id")).toEqual([
      ['d1', 'new', 'changed', 1000],
      ['x', 'x', 'added', 7],
    ])
    await sql.tier('docs')
    expect(await sql.rows(count)).toEqual([[300, 300, 44850 - 1 + 1000 - 2 + 7]])
  })
})
