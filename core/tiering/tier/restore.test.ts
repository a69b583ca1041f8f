/** Shards that were restored, rows that cannot be written, logs that were trimmed, rows whose slots move. */
import { copyFileSync } from 'node:fs'
import { afterEach, describe, expect, it } from 'vitest'
import { murmur3Slot } from '../../shard/hash.ts'
import { planResize } from '../../shard/map.ts'
import { jobNames } from './jobs.ts'
import { Lake } from './lake.ts'
import type { LakeOptions } from './lake-options.ts'
import { planFlush } from './lake-table.ts'
import { tableName } from './payloads.ts'
import { Rig, type RigOptions } from './testing.ts'

const rigs: Rig[] = []

async function open(options: RigOptions & { lake?: Partial<LakeOptions> } = {}) {
  const rig = await Rig.open(options)
  rigs.push(rig)
  return { rig, serve: () => new Lake({ ...rig.tools, fabric: rig.fabric, ...options.lake }) }
}

afterEach(() => {
  for (const rig of rigs.splice(0)) rig.close()
})

const ids = (count: number, prefix = 'd') => Array.from({ length: count }, (_, at) => `${prefix}${at}`)
const bodies = async (rig: Rig) => new Map((await rig.lakeRows('docs')).map(({ id, body }) => [id, body]))

describe('a shard that was restored to an older state', () => {
  it('is written anew, payloads that had left included', async () => {
    const { rig, serve } = await open({ shards: 2 })
    let lake = serve()
    await lake.setPolicy('shop', 'docs', { hotFor: '0s' })
    await rig.putAll(ids(30))
    await lake.flush('shop')
    rig.restart()
    copyFileSync(rig.path('shop', 0), `${rig.path('shop', 0)}.backup`)
    lake = serve()
    await rig.putAll(ids(40), (id) => ({ body: `lost or kept ${id}` }))
    await rig.doc('remove', { id: 'd3' })
    await lake.flush('shop')
    rig.restart()
    copyFileSync(`${rig.path('shop', 0)}.backup`, rig.path('shop', 0))
    lake = serve()
    const { map } = await rig.database()
    const owned = (id: string) => map.shardOf(murmur3Slot(id))
    await rig.putAll(['d1', 'late'], (id) => ({ body: `after ${id}` }))
    await lake.flush('shop')
    const rows = await bodies(rig)
    for (const id of ids(40)) {
      const restored = owned(id) === 0
      const isOld = ids(30).includes(id)
      const kept = id === 'd3' ? undefined : `lost or kept ${id}`
      const body = id === 'd1' ? 'after d1' : restored ? (isOld ? `body of ${id}` : undefined) : kept
      expect([id, rows.get(id)]).toEqual([id, body])
    }
    expect(rows.get('late')).toBe('after late')
    expect((await rig.lakeRows('docs')).length).toBe(rows.size)
    const { rows: union, doubles } = await rig.union()
    expect(doubles).toEqual([])
    expect(union.size).toBe(rows.size)
    expect(await rig.check('docs')).toEqual([])
  })
})

describe('rows that cannot be written', () => {
  it('become dead letters, and keep nobody', async () => {
    const { rig, serve } = await open()
    const lake = serve()
    await lake.setPolicy('shop', 'docs', {})
    await rig.putAll(ids(10))
    await rig.doc('put', { id: 'long', title: 'fits', rank: -1 })
    const status = await lake.flush('shop')
    expect(status.state).toBe('running')
    expect((await bodies(rig)).size).toBe(10)
    const letters = await rig.lakeRows('dead_letters')
    expect(letters).toMatchObject([{ type: 'docs', id: 'long', shard: 0 }])
    expect(String(letters[0]?.reason)).toContain('rank')
    expect(JSON.parse(String(letters[0]?.data))).toMatchObject({ id: 'long', title: 'fits' })
    await rig.doc('put', { id: 'long', title: 'right', rank: 1 })
    await lake.flush('shop')
    expect((await bodies(rig)).size).toBe(11)
    expect((await rig.lakeRows('dead_letters')).length).toBe(1)
    expect(await rig.check('dead_letters')).toEqual([])
  })
})

describe('a log that was trimmed before it was written', () => {
  it('has its gap noted, and the mirror is written from the rows', async () => {
    // What is in the redo is not trimmed: rows reach their tables at once.
    const limits = {
      logBytes: 2_000,
      heldBytes: 4_000,
      segmentBytes: 1_000,
      dirtyRows: 1,
      redoBytes: 1,
      drainRows: 100,
    }
    const { rig, serve } = await open({ limits })
    const lake = serve()
    await lake.setPolicy('shop', 'docs', {})
    await rig.putAll(ids(10))
    await lake.flush('shop')
    for (let round = 0; round < 20; round++) await rig.putAll(ids(20), (id) => ({ body: `${round} of ${id}` }))
    await rig.doc('remove', { id: 'd2' })
    const { rows, doubles } = await rig.union()
    expect(doubles).toEqual([])
    expect(rows.size).toBe(19)
    await lake.flush('shop')
    const there = await bodies(rig)
    expect(there.size).toBe(19)
    expect(there.get('d5')).toBe('19 of d5')
    await lake.flush('shop')
    const [letter] = await rig.lakeRows('dead_letters')
    expect(String(letter?.reason)).toContain('trimmed')
  })

  it('is not, as long as its hold lasts', async () => {
    const { rig, serve } = await open({
      limits: { logBytes: 2_000, segmentBytes: 1_000, dirtyRows: 1, redoBytes: 1, drainRows: 100 },
    })
    const lake = serve()
    await lake.setPolicy('shop', 'docs', { mirror: false })
    await rig.putAll(ids(5))
    await lake.flush('shop')
    for (let round = 0; round < 30; round++) await rig.putAll(ids(20))
    await lake.flush('shop')
    expect((await rig.lakeRows('changes')).length).toBe(605)
  })
})

describe('slots that move', () => {
  it('take their rows along, also those whose receipt was on its way', async () => {
    const { rig, serve } = await open({ shards: 2 })
    const lake = serve()
    await lake.setPolicy('shop', 'docs', { changes: false, hotFor: '0s' })
    await rig.putAll(ids(60))
    await lake.flush('shop')
    await rig.putAll(ids(30), (id) => ({ body: `newer ${id}` }))
    await rig.doc('remove', { id: 'd40' })
    const { flushed } = await flushOnly(rig)
    expect(flushed).toBe(2)
    await rig.fabric.move('shop', (map) => planResize(map, 5))
    const { rows, doubles } = await rig.union()
    expect(doubles).toEqual([])
    expect(rows.size).toBe(59)
    await lake.flush('shop')
    const there = await bodies(rig)
    expect((await rig.lakeRows('docs')).length).toBe(59)
    expect([there.get('d1'), there.get('d50'), there.has('d40')]).toEqual(['newer d1', 'body of d50', false])
    for (const id of ['d1', 'd50']) expect(await rig.doc('get', { id })).toBe(there.get(id))
    const shards = new Set((await rig.lakeRows('docs')).map(({ _shard }) => _shard))
    expect(shards.size).toBe(5)
    expect(await rig.check('docs')).toEqual([])
  })
})

/** Have shards write what is new, and nobody commit it. */
async function flushOnly(rig: Rig): Promise<{ flushed: number }> {
  const { metadata, metadataLocation } = await rig.catalog.loadTable(tableName('shop', 'docs'))
  const shards = await rig.shards()
  const plan = planFlush({ metadata, metadataLocation }, { table: 'docs' })
  const flushed = await shards.each((shard) => shards.job(shard, jobNames.flush, plan))
  return { flushed: flushed.length }
}
