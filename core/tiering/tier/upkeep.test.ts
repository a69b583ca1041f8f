/** What happens to tables over time: rewrites, archives, expiry, new columns; and the service by itself. */
import { afterEach, describe, expect, it } from 'vitest'
import type { Program } from '../../shard/program.ts'
import type { Table } from '../../shard/table.ts'
import { Lake } from './lake.ts'
import type { LakeOptions } from './lake-options.ts'
import { tableName } from './payloads.ts'
import type { PolicyOptions, TierEvent } from './port.ts'
import { tierProgram } from './program.ts'
import { type DocRow, docs, docsProgram, Rig, type RigOptions } from './testing.ts'

const rigs: Rig[] = []

async function open(policy: PolicyOptions, options: RigOptions & { lake?: Partial<LakeOptions> } = {}) {
  const rig = await Rig.open(options)
  rigs.push(rig)
  const events: TierEvent[] = []
  const listener = (event: TierEvent) => void events.push(event)
  const lake = new Lake({ ...rig.tools, fabric: rig.fabric, listener, ...options.lake })
  await lake.setPolicy('shop', 'docs', policy)
  return { rig, lake, events }
}

afterEach(() => {
  for (const rig of rigs.splice(0)) rig.close()
})

const ids = (count: number, prefix = 'd') => Array.from({ length: count }, (_, at) => `${prefix}${at}`)
const filesOf = async (lake: Lake, table = 'docs') =>
  (await lake.status('shop')).tables.find((one) => one.table === table)?.dataFiles

describe('compaction', () => {
  it('makes small files one, and shards follow their rows', async () => {
    const { rig, lake } = await open(
      { changes: false, hotFor: '0s' },
      { shards: 2, lake: { rewrite: { minFiles: 2 } } },
    )
    for (let round = 0; round < 4; round++) {
      await rig.putAll(ids(20, `r${round}-`))
      await rig.putAll(ids(5, 'again'), (id) => ({ body: `${round} ${id}` }))
      await lake.flush('shop')
    }
    expect(await filesOf(lake)).toBe(8)
    await lake.compact('shop', 'docs')
    expect(await filesOf(lake)).toBe(1)
    expect((await rig.lakeRows('docs')).length).toBe(85)
    expect(await rig.doc('get', { id: 'r1-7' })).toBe('body of r1-7')
    expect(await rig.doc('get', { id: 'again3' })).toBe('3 again3')
    await rig.putAll(ids(5, 'again'), (id) => ({ body: `last ${id}` }))
    expect((await rig.union()).doubles).toEqual([])
    await lake.flush('shop')
    expect((await rig.lakeRows('docs')).length).toBe(85)
    expect(await rig.check('docs')).toEqual([])
  })

  it('comes by itself when there are too many', async () => {
    const more = { smallFilesMax: 3, pollMs: 1, rewrite: { minFiles: 2 } }
    const { rig, lake, events } = await open({ flushEvery: '1ms', mirror: false }, { lake: more })
    for (let round = 0; round < 6; round++) {
      await rig.putAll([`x${round}`])
      rig.clock.nowMsIs += 120_000
      await lake.runDue()
    }
    expect(events.some(({ kind, table }) => kind === 'compacted' && table === 'changes')).toBe(true)
    expect(await filesOf(lake, 'changes')).toBeLessThan(6)
    expect((await rig.lakeRows('changes')).length).toBe(6)
  })
})

describe('cold', () => {
  it('moves old files to another store, and payloads come back from there', async () => {
    const archiveRoot = 'http://archive.test/bucket'
    const lakeOptions = { stores: { archive: archiveRoot }, pollMs: 1 }
    const policy = { changes: false, hotFor: '0s', cold: { after: '30d', store: 'archive' } }
    const { rig, lake, events } = await open(policy, { archiveRoot, lake: lakeOptions })
    await rig.putAll(ids(10))
    await lake.flush('shop')
    rig.clock.nowMsIs += 31 * 86_400_000
    await lake.runDue()
    expect(events.filter(({ kind }) => kind === 'archived').length).toBe(1)
    const { metadata } = await rig.catalog.loadTable(tableName('shop', 'docs'))
    expect(metadata['current-snapshot-id']).toBeDefined()
    expect(await rig.doc('get', { id: 'd4' })).toBe('body of d4')
    expect((await rig.lakeRows('docs')).length).toBe(10)
    await rig.doc('put', { id: 'd4', body: 'new' })
    await lake.flush('shop')
    expect((await rig.lakeRows('docs')).length).toBe(10)
    expect(await rig.check('docs')).toEqual([])
  })
})

describe('maintenance', () => {
  it('lets snapshots go, and keeps what a receipt that waits has written', async () => {
    const { rig, lake } = await open(
      { changes: false },
      { lake: { tables: { snapshotAgeMs: 1_000, snapshotsMin: 2 } } },
    )
    for (let round = 0; round < 5; round++) {
      await rig.putAll(ids(5), (id) => ({ body: `${round} ${id}` }))
      await lake.flush('shop')
    }
    rig.clock.nowMsIs += 10 * 86_400_000
    const name = tableName('shop', 'docs')
    expect((await rig.catalog.loadTable(name)).metadata.snapshots.length).toBe(5)
    await lake.maintain('shop', 'docs')
    expect((await rig.catalog.loadTable(name)).metadata.snapshots.length).toBe(2)
    expect((await rig.lakeRows('docs')).length).toBe(5)
    expect(await rig.check('docs')).toEqual([])
  })
})

describe('a relation that gains a column', () => {
  it('has it in its table, and null for rows of before', async () => {
    const { rig, lake } = await open({ changes: false })
    await rig.putAll(['old'])
    await lake.flush('shop')
    const relation = docs.relation as NonNullable<typeof docs.relation>
    const size = { name: 'size', type: 'long', value: ({ size: one }: DocRow) => one } as const
    const wider: Table = { ...docs, relation: { ...relation, columns: [...relation.columns, size] } }
    const program: Program = {
      name: 'docs',
      tables: [wider, ...docsProgram.tables.slice(1)],
      run(tx, { slot, args: { id } }: { slot: number; args: unknown } & { args: { id: string } }) {
        tx.put(wider, { slot, id, title: id, body: 'four', size: 4, rank: 0 })
        return null
      },
    } as Program
    rig.restart({ programs: [program, tierProgram()] })
    const again = new Lake({ ...rig.tools, fabric: rig.fabric })
    await rig.doc('put', { id: 'new' })
    await again.flush('shop')
    const rows = new Map((await rig.lakeRows('docs')).map(({ id, size: one }) => [id, one ?? null]))
    expect(rows).toEqual(
      new Map([
        ['old', null],
        ['new', 4],
      ] as [string, number | null][]),
    )
    expect(await rig.check('docs')).toEqual([])
  })
})

describe('backfill', () => {
  it('writes every row anew, each once', async () => {
    const { rig, lake } = await open({ changes: false, hotFor: '0s' }, { shards: 2 })
    await rig.putAll(ids(30))
    await lake.flush('shop')
    await lake.backfill('shop', 'docs')
    expect((await rig.lakeRows('docs')).length).toBe(30)
    expect((await rig.union()).doubles).toEqual([])
    expect(await rig.doc('get', { id: 'd9' })).toBe('body of d9')
    await expect(lake.backfill('shop', 'changes')).rejects.toMatchObject({ code: 'not_found' })
    expect(await rig.check('docs')).toEqual([])
  })
})

describe('the service', () => {
  it('tiers by itself between start and stop, and tells when it fails', async () => {
    const rig = await Rig.open()
    rigs.push(rig)
    let waited: () => void = () => {}
    const committed = new Promise<void>((resolve) => {
      waited = resolve
    })
    const listener = ({ kind, table }: TierEvent) => kind === 'committed' && table === 'docs' && waited()
    const lake = new Lake({ ...rig.tools, fabric: rig.fabric, listener })
    await lake.setPolicy('shop', 'docs', { changes: false })
    await rig.putAll(ids(3))
    lake.start()
    await committed
    await lake.stop()
    expect((await rig.lakeRows('docs')).length).toBe(3)
    rig.breaks = () => 'before'
    await lake.runDue()
    rig.clock.nowMsIs += 3_600_000
    await lake.runDue()
    rig.breaks = () => undefined
    const status = await lake.status('shop')
    expect([status.state, status.failure]).toEqual(['failing', 'the shard did not answer'])
    rig.clock.nowMsIs += 3_600_000
    await lake.runDue()
    expect((await lake.status('shop')).state).toBe('running')
  })
})
