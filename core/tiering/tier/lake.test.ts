import { afterEach, describe, expect, it } from 'vitest'
import { Lake } from './lake.ts'
import type { LakeOptions } from './lake-options.ts'
import type { PolicyOptions, TierEvent } from './port.ts'
import { Rig, type RigOptions } from './testing.ts'

const rigs: Rig[] = []

interface Opened {
  readonly rig: Rig
  readonly lake: Lake
  readonly events: TierEvent[]
}

/** A lake whose database has a policy for documents. */
async function open(policy: PolicyOptions = {}, options: RigOptions & { lake?: Partial<LakeOptions> } = {}) {
  const rig = await Rig.open(options)
  rigs.push(rig)
  const opened = serve(rig, options.lake)
  await opened.lake.setPolicy('shop', 'docs', policy)
  return opened
}

function serve(rig: Rig, more: Partial<LakeOptions> = {}): Opened {
  const events: TierEvent[] = []
  const lake = new Lake({ ...rig.tools, fabric: rig.fabric, listener: (event) => void events.push(event), ...more })
  return { rig, lake, events }
}

afterEach(() => {
  for (const rig of rigs.splice(0)) rig.close()
})

const ids = (count: number, prefix = 'd') => Array.from({ length: count }, (_, at) => `${prefix}${at}`)

describe('policies', () => {
  it('hold over restarts, for a second service too', async () => {
    const { rig, lake } = await open({ flushEvery: '1h', hotFor: '7d' })
    rig.restart()
    const again = serve(rig)
    expect((await again.lake.status('shop')).policies).toEqual({ docs: { flushEvery: '1h', hotFor: '7d' } })
    expect(await again.lake.databases()).toEqual(['shop'])
    expect(lake).not.toBe(again.lake)
  })

  it('are refused for what cannot be honoured, and for what is not there', async () => {
    const { lake } = await open()
    const refused = (options: object, code = 'invalid', collection = 'docs') =>
      expect(lake.setPolicy('shop', collection, options as never)).rejects.toMatchObject({ code })
    await refused({ hotFr: '7d' })
    await refused({ hotFor: '7 years' })
    await refused({ hotFor: '7d', mirror: false })
    await refused({ maxHotRows: 10 }, 'invalid', 'notes')
    await refused({ cold: { after: '1d', store: 'nowhere' } })
    await refused({}, 'not_found', 'nothing')
    await expect(lake.setPolicy('nowhere', 'docs', {})).rejects.toMatchObject({ code: 'not_found' })
    await expect(lake.removePolicy('shop', 'notes')).rejects.toMatchObject({ code: 'not_found' })
  })
})

describe('tiering', () => {
  it('writes mirror and changes, and says how far it is', async () => {
    const { rig, lake, events } = await open({}, { shards: 3 })
    await rig.putAll(ids(200))
    const status = await lake.flush('shop')
    expect(status.state).toBe('running')
    const docs = status.tables.find(({ table }) => table === 'docs')
    expect(docs).toMatchObject({ rows: 200 })
    for (const shard of docs?.shards ?? []) expect(shard).toMatchObject({ lagChanges: 0, pending: undefined })
    expect((await rig.lakeRows('changes')).length).toBe(200)
    expect(events.some(({ kind, table }) => kind === 'committed' && table === 'docs')).toBe(true)
    await rig.putAll(ids(10, 'e'))
    const [late] = (await lake.status('shop')).tables.filter(({ table }) => table === 'docs')
    expect(late?.shards.reduce((sum, { lagChanges }) => sum + lagChanges, 0)).toBeGreaterThan(0)
    expect(await rig.check('docs')).toEqual([])
    expect(await rig.check('changes')).toEqual([])
  })

  it('goes on with a second client after a restart', async () => {
    const { rig, lake } = await open({}, { shards: 2 })
    await rig.putAll(ids(50))
    await lake.flush('shop')
    rig.restart({ crash: true })
    const again = serve(rig)
    await rig.putAll(ids(60), (id) => ({ body: `again ${id}` }))
    await again.lake.flush('shop')
    const rows = await rig.lakeRows('docs')
    expect(rows.length).toBe(60)
    expect(rows.every(({ id, body }) => body === `again ${String(id)}`)).toBe(true)
    expect((await rig.lakeRows('changes')).length).toBe(110)
  })
})

describe('options', () => {
  it('mirror and changes each leave their table out', async () => {
    const { rig, lake } = await open({ mirror: false })
    await rig.putAll(ids(5))
    await lake.flush('shop')
    await expect(rig.lakeRows('docs')).rejects.toMatchObject({ code: 'not_found' })
    expect((await rig.lakeRows('changes')).length).toBe(5)
    await lake.setPolicy('shop', 'docs', { changes: false })
    await rig.putAll(ids(6))
    await lake.flush('shop')
    expect((await rig.lakeRows('docs')).length).toBe(6)
    expect((await rig.lakeRows('changes')).length).toBe(5)
  })

  it('flushEvery and flushBytes say when shards write', async () => {
    const { rig, lake } = await open({ flushEvery: '10m', flushBytes: '4kb', changes: false })
    await rig.putAll(ids(5))
    await lake.flush('shop')
    const settle = async () => (await rig.lakeRows('docs')).length
    const pass = async (ms: number) => {
      rig.clock.nowMsIs += ms
      await lake.runDue()
    }
    await rig.putAll(ids(1, 'x'))
    await pass(120_000)
    expect(await settle()).toBe(5)
    await pass(600_000)
    expect(await settle()).toBe(6)
    await rig.putAll(ids(500, 'y'))
    await pass(120_000)
    expect(await settle()).toBe(506)
  })

  it('commitEvery gathers what shards have written', async () => {
    const { rig, lake } = await open(
      { flushEvery: '1s', changes: false },
      { lake: { commitEveryMs: 60_000, pollMs: 1 } },
    )
    const commits = async () => Number((await lake.status('shop')).tables[0]?.snapshotId ?? 0)
    await rig.putAll(ids(5))
    await lake.runDue()
    const first = await commits()
    for (let round = 0; round < 5; round++) {
      await rig.putAll([`z${round}`])
      rig.clock.nowMsIs += 5_000
      await lake.runDue()
    }
    expect(await commits()).toBe(first)
    rig.clock.nowMsIs += 60_000
    await lake.runDue()
    expect(await commits()).not.toBe(first)
  })

  it('pause stops it, resume goes on', async () => {
    const { rig, lake } = await open({ changes: false })
    await lake.pause('shop')
    await rig.putAll(ids(5))
    await lake.runDue()
    expect((await lake.status('shop')).state).toBe('paused')
    await expect(rig.lakeRows('docs')).rejects.toMatchObject({ code: 'not_found' })
    await lake.resume('shop')
    await lake.runDue()
    expect((await rig.lakeRows('docs')).length).toBe(5)
  })
})

describe('payloads', () => {
  const cold = async (rig: Rig, count: number) => {
    const asked = await Promise.all(ids(count).map((id) => rig.doc('isCold', { id })))
    return asked.filter(Boolean).length
  }

  it('leave after hotFor, and come back when they are read', async () => {
    const { rig, lake } = await open({ hotFor: '1h' })
    await rig.putAll(ids(20))
    await lake.flush('shop')
    expect(await cold(rig, 20)).toBe(0)
    rig.clock.nowMsIs += 3_600_000
    await lake.runDue()
    expect(await cold(rig, 20)).toBe(20)
    expect(await rig.doc('get', { id: 'd3' })).toBe('body of d3')
    expect(await cold(rig, 20)).toBe(19)
    // A change that does without the payload goes on without it, also into the lake.
    expect(await rig.doc('rank', { id: 'd4', rank: 7 })).toBe(true)
    expect(await cold(rig, 20)).toBe(19)
    await lake.flush('shop')
    const row = (await rig.lakeRows('docs')).find(({ id }) => id === 'd4')
    expect(row).toMatchObject({ body: 'body of d4', rank: 7 })
    expect(await rig.doc('get', { id: 'd4' })).toBe('body of d4')
  })

  it('are bounded by maxHotRows and by maxHotBytes', async () => {
    const { rig, lake } = await open({ maxHotRows: 8 })
    await rig.putAll(ids(20))
    await lake.flush('shop')
    expect(await cold(rig, 20)).toBe(12)
    const status = (await lake.status('shop')).tables.find(({ table }) => table === 'docs')
    expect(status?.shards[0]).toMatchObject({ hotRows: 8, coldRows: 12 })
    await lake.setPolicy('shop', 'docs', { maxHotBytes: '30b' })
    await rig.putAll(ids(1, 'w'))
    await lake.flush('shop')
    const after = (await lake.status('shop')).tables.find(({ table }) => table === 'docs')
    expect(after?.shards[0]?.hotBytes).toBeLessThanOrEqual(30)
  })

  it('all come back before a policy goes', async () => {
    const { rig, lake } = await open({ hotFor: '0s' })
    await rig.putAll(ids(20))
    await lake.flush('shop')
    expect(await cold(rig, 20)).toBe(20)
    await lake.removePolicy('shop', 'docs')
    expect(await cold(rig, 20)).toBe(0)
    expect(await lake.databases()).toEqual([])
    await rig.doc('put', { id: 'd1', body: 'other' })
    const { rows, doubles } = await rig.union()
    expect(doubles).toEqual([])
    expect(rows.size).toBe(20)
    expect(rows.get('d1')).toEqual(['d1', 'other', 0])
  })
})
