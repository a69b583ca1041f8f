import { afterEach, describe, expect, it } from 'vitest'
import { commitTable } from './committer.ts'
import type { Flushed } from './flush.ts'
import { jobNames } from './jobs.ts'
import { ensureTable, planFlush } from './lake-table.ts'
import { tableName } from './payloads.ts'
import type { CollectionInfo } from './schemas.ts'
import { Rig, type RigOptions } from './testing.ts'

const rigs: Rig[] = []

async function open(options: RigOptions = {}): Promise<Rig> {
  const rig = await Rig.open(options)
  rigs.push(rig)
  return rig
}

afterEach(() => {
  for (const rig of rigs.splice(0)) rig.close()
})

/** Flush and commit a table once, as the service does. */
async function round(rig: Rig, table: string, more: object = {}) {
  const shards = await rig.shards()
  const name = tableName('shop', table)
  const infos = await shards.ask<CollectionInfo[]>(0, 'describe', null)
  const loaded = await ensureTable(rig.tools, { name, info: infos.find(({ collection }) => collection === table) })
  const plan = planFlush(loaded, { table, ...(table === 'changes' && { collections: ['docs'] }), ...more })
  const flushed = await shards.each((shard) => shards.job<Flushed>(shard, jobNames.flush, plan))
  const report = await commitTable(rig.tools, { table, name, shards })
  return { flushed, report }
}

const ids = (count: number, prefix = 'd') => Array.from({ length: count }, (_, at) => `${prefix}${at}`)

describe('a mirror', () => {
  it('holds the newest state of every row, and queries see what is newer', async () => {
    const rig = await open({ shards: 2 })
    await rig.putAll(ids(300))
    await round(rig, 'docs')
    expect((await rig.lakeRows('docs')).length).toBe(300)
    await rig.doc('put', { id: 'd1', title: 'new', body: 'changed' })
    await rig.doc('remove', { id: 'd2' })
    await rig.doc('put', { id: 'x', body: 'added' })
    const { rows, doubles } = await rig.union()
    expect(doubles).toEqual([])
    expect(rows.size).toBe(300)
    expect(rows.get('d1')).toEqual(['new', 'changed', 0])
    expect(rows.has('d2')).toBe(false)
    await round(rig, 'docs')
    const after = await rig.lakeRows('docs')
    expect(after.length).toBe(300)
    expect(after.find(({ _id }) => _id === 'd1')).toMatchObject({ title: 'new', body: 'changed', rank: 0 })
    expect((await rig.union()).rows).toEqual(rows)
    expect(await rig.check('docs')).toEqual([])
  })
})

describe('changes', () => {
  it('holds every change with its document', async () => {
    const rig = await open()
    const shards = await rig.shards()
    await shards.ask(0, 'describe', null)
    await shards.system(0, 'capture', { collection: 'docs', level: 'after', raise: true })
    await rig.putAll(ids(50))
    await rig.doc('remove', { id: 'd7' })
    await round(rig, 'changes')
    await rig.doc('clear', {})
    await rig.doc('note', { id: 'n', title: 'not wanted' })
    await round(rig, 'changes')
    const rows = (await rig.lakeRows('changes')).sort((a, b) => Number(a.seq) - Number(b.seq))
    expect(rows.length).toBe(52)
    expect(rows.map(({ seq }) => seq)).toEqual(ids(52).map((_, at) => at + 1))
    expect(rows[50]).toMatchObject({ namespace: 'shop', type: 'docs', op: 'delete', id: 'd7', data: null, shard: 0 })
    expect(rows[51]).toMatchObject({ op: 'truncate', id: '' })
    expect(JSON.parse(String(rows[3]?.data))).toEqual({ id: 'd3', title: 'd3', body: 'body of d3', rank: 0 })
    expect(await rig.check('changes')).toEqual([])
  })
})
