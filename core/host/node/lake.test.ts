import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { SQL_ROWS_IN_MEMORY_MAX } from '../../limits.ts'
import type { TierEvent } from '../../tiering/tier/port.ts'
import { type DocArgs, docsProgram } from '../../tiering/tier/testing.ts'
import { type NodeLake, type NodeLakeOptions, openLake } from './lake.ts'
import { temporaryFolder } from './testing.ts'

let folder: ReturnType<typeof temporaryFolder>
let lake: NodeLake | undefined
let events: TierEvent[]

/** Nothing is done but what is asked for. */
const still = { pollMs: 3_600_000, commitEveryMs: 0, evictEveryMs: 0 }

async function open(options: Partial<NodeLakeOptions> = {}): Promise<NodeLake> {
  const onTier = (event: TierEvent) => void events.push(event)
  const common = { data: join(folder.path, 'data'), programs: [docsProgram], durability: 'normal', onTier } as const
  lake = await openLake({ ...common, rhythm: still, ...options })
  return lake
}

async function close(): Promise<void> {
  await lake?.close()
  lake = undefined
}

beforeEach(() => {
  folder = temporaryFolder()
  events = []
})

afterEach(async () => {
  await close()
  folder.remove()
})

async function call(name: string, args: DocArgs): Promise<unknown> {
  const { router } = await (lake as NodeLake).fabric.database('default')
  return router.call({ program: 'docs', name, args }, { slot: 7 })
}

describe('a fabric with its lake', () => {
  it('answers SQL over what is hot and cold, over a restart too', async () => {
    const { tier, sql } = await open()
    await call('put', { id: 'a', body: 'first', rank: 1 })
    await tier?.setPolicy('default', 'docs', { maxHotRows: 0 })
    await tier?.flush('default')
    await call('put', { id: 'b', body: 'second', rank: 2 })
    expect([...(await sql`select id, body from docs order by id`)]).toEqual([
      { id: 'a', body: 'first' },
      { id: 'b', body: 'second' },
    ])
    await close()
    const again = await open()
    const rows = await again.sql`select id, body from docs order by id`
    expect(rows.map(({ body }) => body)).toEqual(['first', 'second'])
    expect(rows.stats).toMatchObject({ files: 1, hotRows: 1 })
  })

  it('lets payloads leave, and brings them back', async () => {
    const { tier } = await open()
    await call('put', { id: 'a', body: 'first' })
    await tier?.setPolicy('default', 'docs', { maxHotRows: 0 })
    await tier?.flush('default')
    await expect
      .poll(async () => {
        await tier?.flush('default')
        return call('isCold', { id: 'a' })
      })
      .toBe(true)
    expect(events.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['flushed', 'committed', 'evicted']))
    expect(await call('get', { id: 'a' })).toBe('first')
  })

  it('keeps the lake in the data folder, or where it is told to', async () => {
    await open()
    expect(existsSync(join(folder.path, 'data', 'lake'))).toBe(true)
    await close()
    const location = join(folder.path, 'elsewhere')
    const { catalog, storeCounts } = await open({ lake: { location } })
    await catalog?.createNamespace(['x'])
    expect(existsSync(location)).toBe(true)
    expect(storeCounts().lake?.put).toBe(1)
  })

  it('does without a lake', async () => {
    const { tier, catalog, sql, storeCounts } = await open({ lake: 'off' })
    await call('put', { id: 'a', body: 'first' })
    expect([tier, catalog, storeCounts()]).toEqual([undefined, undefined, {}])
    expect([...(await sql`select id from docs`)]).toEqual([{ id: 'a' }])
    expect(existsSync(join(folder.path, 'data', 'lake'))).toBe(false)
  })

  it.each([
    [{}, ['docs', 'notes']],
    [{ docs: {}, notes: { changes: false } }, ['docs']],
  ])('with policies %j it shows in `changes` those of %j', async (policies, types) => {
    const { tier, sql } = await open()
    await call('put', { id: 'a' })
    await call('note', { id: 'n', title: 'a note' })
    for (const [name, policy] of Object.entries(policies)) await tier?.setPolicy('default', name, policy)
    const rows = await sql`select distinct type from changes order by type`
    expect(rows.map(({ type }) => type)).toEqual(types)
  })

  it.each([
    [{ sqlMemoryBytes: 5 }, /memoryBytes 5/],
    [{ sqlThreads: 0 }, /threads 0/],
    [{ lake: { location: 'ftp://x' } }, /ftp:\/\/x is neither/],
  ])('refuses %j, and leaves nothing open', async (options, message) => {
    await expect(open(options)).rejects.toThrow(message)
    await open()
  })

  it('is of one process', async () => {
    await open()
    const data = join(folder.path, 'data')
    await expect(openLake({ data, programs: [docsProgram], lake: 'off' })).rejects.toMatchObject({ code: 'conflict' })
    await expect(openLake({ data, programs: [docsProgram] })).rejects.toMatchObject({
      code: 'conflict',
      detail: { place: join(data, 'lake') },
    })
  })
})

describe('SQL in a program', () => {
  it('takes a template, whose values are never text of the statement', async () => {
    const { sql } = await open()
    const injected = "a'; drop table docs; --"
    await call('put', { id: injected, rank: 3 })
    const rows = await sql`select id, rank from docs where id = ${injected} and rank < ${10}`
    expect([...rows]).toEqual([{ id: injected, rank: 3 }])
    expect(rows.columns).toEqual([
      { name: 'id', type: 'string' },
      { name: 'rank', type: 'long' },
    ])
  })

  it('takes text, parameters and options', async () => {
    const { sql, tier } = await open()
    await call('put', { id: 'a', rank: 1 })
    await tier?.setPolicy('default', 'docs', {})
    const { tables } = (await tier?.flush('default')) ?? { tables: [] }
    await call('put', { id: 'a', rank: 2 })
    const asOf = { snapshotId: Number(tables.find(({ table }) => table === 'docs')?.snapshotId) }
    expect([...(await sql('select rank from docs where id = $1', ['a']))]).toEqual([{ rank: 2 }])
    expect([...(await sql('select rank from docs where id = $1', ['a'], { asOf }))]).toEqual([{ rank: 1 }])
    await expect(sql('select 1 from docs', [], { database: 'none' })).rejects.toMatchObject({ code: 'not_found' })
  })

  it('holds so many rows in memory, and no more', async () => {
    const { sql } = await open()
    const text = `select * from range(${SQL_ROWS_IN_MEMORY_MAX + 1})`
    await expect(sql(text)).rejects.toMatchObject({ code: 'limit', message: expect.stringContaining('add a limit') })
  })
})
