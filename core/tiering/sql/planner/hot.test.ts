/** The planner over real shards without a lake: what leaves them, and that it is right. */

import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Failure } from '../../../errors.ts'
import { nodeClock } from '../../../host/node/clock.ts'
import { type NodeFabric, openFabric } from '../../../host/node/index.ts'
import { temporaryFolder } from '../../../host/node/testing.ts'
import { QUERY_PARTIAL_ROWS_MAX } from '../../../limits.ts'
import { planResize } from '../../../shard/map.ts'
import type { Program } from '../../../shard/program.ts'
import { tierProgram } from '../../tier/program.ts'
import type { SqlEngine, SqlRequest } from '../port.ts'
import { createPlannerEngine } from './engine.ts'
import { plannerCalls } from './partial-call.ts'
import { type ItemRow, items, itemsProgram } from './testing-program.ts'

let folder: ReturnType<typeof temporaryFolder>
let fabric: NodeFabric
let engine: SqlEngine

beforeEach(async () => {
  folder = temporaryFolder()
  const programs = [itemsProgram, tierProgram(plannerCalls)]
  fabric = await openFabric({ data: folder.path, programs, durability: 'normal' })
  await fabric.create('shop', { count: 4, partitioner: 'crc16' })
  engine = createPlannerEngine({ fabric, tables: [items], clock: nodeClock })
})

afterEach(async () => {
  await fabric.close()
  folder.remove()
})

const item = (id: number): ItemRow => {
  return { slot: (id * 7919) % 16_384, id, name: id % 5 === 0 ? null : `n${id % 3}`, price: id / 2, at: id * 1000 }
}

async function put(rows: readonly ItemRow[]): Promise<void> {
  const { router, map } = await fabric.database('shop')
  const shards = new Map<number, ItemRow[]>()
  for (const row of rows) {
    const shard = map.shardOf(row.slot)
    shards.set(shard, [...(shards.get(shard) ?? []), row])
  }
  for (const [shard, own] of shards) await router.call({ program: 'items', name: 'put', args: own }, { shard })
}

async function ask(text: string, more: Partial<SqlRequest> = {}) {
  const result = await engine.query({ text, database: 'shop', ...more })
  const rows: unknown[][] = []
  for await (const batch of result.batches) rows.push(...batch.map((row) => [...row]))
  return { rows, stats: result.stats(), columns: result.columns }
}

describe('hot rows', () => {
  it('are found in every shard, and counted', async () => {
    await put(Array.from({ length: 100 }, (_, id) => item(id)))
    const { rows, stats, columns } = await ask(
      'select name, count(*) as c, sum(price) from items group by name order by 1',
    )
    expect(rows).toEqual(['n0', 'n1', 'n2', null].map(expected))
    expect(columns).toEqual([
      { name: 'name', type: 'string' },
      { name: 'c', type: 'long' },
      { name: 'sum', type: 'double' },
    ])
    expect(stats).toMatchObject({ shards: 4, hotRows: 100, rows: 4, files: 0, bytesRead: 0 })
    expect(stats.elapsedMs).toBeGreaterThanOrEqual(0)
  })

  it('are sorted and limited in their shards, and merged', async () => {
    await put(Array.from({ length: 100 }, (_, id) => item(id)))
    const { rows } = await ask(
      'select id, price, name from items where price > 3 order by price desc, id limit 3 offset 2',
    )
    expect(rows).toEqual([
      [97, 48.5, 'n1'],
      [96, 48, 'n0'],
      [95, 47.5, null],
    ])
  })

  it('come as they are without order, the hidden columns when they are named', async () => {
    await put([item(1), item(2)])
    const all = await ask('select * from items order by id')
    expect(all.columns.map(({ name }) => name)).toEqual(['id', 'name', 'price', 'at'])
    expect(all.rows).toEqual([
      [1, 'n1', 0.5, 1_000_000],
      [2, 'n2', 1, 2_000_000],
    ])
    const { map } = await fabric.database('shop')
    const { rows } = await ask('select _id, _shard, id from items where id = 2')
    expect(rows).toEqual([['2', map.shardOf(item(2).slot), 2]])
    expect((await ask('select distinct _shard from items where id = 2')).rows).toEqual([[map.shardOf(item(2).slot)]])
  })

  it('come in pieces from a shard that has more than a turn may take', { timeout: 90_000 }, async () => {
    const count = QUERY_PARTIAL_ROWS_MAX + 500
    const rows = Array.from({ length: count }, (_, id) => ({ ...item(id), slot: id % 16 }))
    await put(rows)
    const { rows: found, stats } = await ask('select count(*), sum(id), max(name) from items where id >= 20')
    const wanted = rows.filter(({ id }) => id >= 20)
    expect(found).toEqual([[wanted.length, wanted.reduce((sum, { id }) => sum + id, 0), 'n2']])
    expect(stats.hotRows).toBe(wanted.length)
  })

  it('show the log as the table changes', async () => {
    await put([item(1), item(2)])
    await put([{ ...item(1), price: 9 }])
    const { rows } = await ask(
      "select type, op, id, count(*) from changes where namespace = 'shop' group by 1, 2, 3 order by 3",
    )
    expect(rows).toEqual([
      ['items', 'put', '1', 2],
      ['items', 'put', '2', 1],
    ])
  })

  it('are joined to themselves and to subqueries', async () => {
    await put([1, 2, 3, 4, 5, 6].map(item))
    const text = `select a.name, count(*) from items a
      join (select name, max(price) as top from items group by name) b on a.name = b.name and a.price = b.top
      group by a.name order by a.name`
    expect((await ask(text)).rows).toEqual([
      ['n0', 1],
      ['n1', 1],
      ['n2', 1],
    ])
  })
})

function expected(name: string | null): unknown[] {
  const rows = Array.from({ length: 100 }, (_, id) => item(id)).filter((row) => row.name === name)
  return [name, rows.length, rows.reduce((sum, { price }) => sum + (price ?? 0), 0)]
}

describe('shards of an earlier release', () => {
  it('are asked for their rows', async () => {
    const old = temporaryFolder()
    const now = tierProgram()
    const run: Program['run'] = (tx, call) => {
      if (call.name === 'partial') throw new Failure('unsupported', 'tiering has no call partial')
      return now.run(tx, call)
    }
    const programs = [itemsProgram, { ...now, run }]
    const earlier = await openFabric({ data: old.path, programs, durability: 'normal' })
    try {
      const { router } = await earlier.database('shop')
      await router.call({ program: 'items', name: 'put', args: [item(1), item(2), item(4)] }, { shard: 0 })
      engine = createPlannerEngine({ fabric: earlier, tables: [items], clock: nodeClock })
      expect((await ask('select name, count(*) from items group by name order by name')).rows).toEqual([
        ['n1', 2],
        ['n2', 1],
      ])
    } finally {
      await earlier.close()
      old.remove()
    }
  })
})

describe('the table changes', () => {
  it('shows the collections that are written to it', async () => {
    await put([item(1)])
    const count = 'select count(*) from changes'
    expect((await ask(count)).rows).toEqual([[1]])
    const asked: string[] = []
    const changed = async (database: string) => {
      asked.push(database)
      return ['others']
    }
    engine = createPlannerEngine({ fabric, tables: [items], clock: nodeClock, changed })
    expect([(await ask(count)).rows, asked]).toEqual([[[0]], ['shop']])
  })
})

describe('slots that move', () => {
  it('make a scan begin anew, so that no row is missed or told twice', async () => {
    const rows = Array.from({ length: 64 }, (_, id) => ({ ...item(id), slot: id * 256 }))
    await put(rows)
    const moving = fabric.move('shop', (map) => planResize(map, 5))
    for (let n = 0; n < 20; n++) expect((await ask('select count(*), sum(id) from items')).rows).toEqual([[64, 2016]])
    await moving
    const { rows: found, stats } = await ask('select count(*), sum(id) from items')
    expect([found, stats.shards]).toEqual([[[64, 2016]], 5])
  })
})

describe('requests', () => {
  it('take parameters', async () => {
    await put([1, 2, 3].map(item))
    expect((await ask('select id from items where name = ? and price < ?', { params: ['n2', 5] })).rows).toEqual([[2]])
    expect(
      (await ask('select id from items where at = $1', { params: [3_000_000] }).catch((error) => error)).code,
    ).toBe('invalid')
    expect((await ask('select id from items where at = $1', { params: ['1970-01-01 00:00:03'] })).rows).toEqual([[3]])
    await expect(ask('select id from items where name = $2', { params: ['n2'] })).rejects.toMatchObject({
      code: 'invalid',
    })
  })

  it('are explained', async () => {
    const { rows, columns } = await ask('select name, count(*) from items where id > 5 group by name', {
      explain: true,
    })
    expect(columns).toEqual([{ name: 'plan', type: 'string' }])
    expect(rows).toEqual([
      ['group by 1 keys, 1 aggregates, in shards and by file, merged here'],
      ['scan shop.items: columns id, name'],
      ['  hot: 4 shards, where id > 5'],
    ])
  })

  it('are called off', async () => {
    await put([1, 2, 3].map(item))
    const stop = new AbortController()
    stop.abort()
    await expect(ask('select 1 from items', { stop: stop.signal })).rejects.toMatchObject({ code: 'unavailable' })
  })

  it('name what is not there', async () => {
    await expect(ask('select 1 from nothing')).rejects.toMatchObject({ code: 'not_found' })
    await expect(ask('select 1 from none.items')).rejects.toMatchObject({ code: 'not_found' })
    await expect(ask('select nothing from items')).rejects.toMatchObject({ code: 'not_found' })
    await expect(ask('select id from items', { asOf: { timestampMs: 1 } })).rejects.toMatchObject({ code: 'not_found' })
  })

  it('are of another database when they say so', async () => {
    await fabric.create('other', {})
    await put([item(1)])
    expect((await ask('select id from shop.items', { database: 'other' })).rows).toEqual([[1]])
    expect((await ask('select id from items', { database: 'other' })).rows).toEqual([])
  })
})

describe('describe', () => {
  it('lists tables with their columns', async () => {
    const tables = await engine.describe('shop')
    expect(tables.map(({ table }) => table)).toEqual(['changes', 'dead_letters', 'items'])
    expect(tables[2]).toMatchObject({ database: 'shop', hot: true, cold: false })
    expect(tables[2]?.columns.map(({ name }) => name)).toEqual([
      'id',
      'name',
      'price',
      'at',
      '_id',
      '_shard',
      '_seq',
      '_at',
    ])
  })
})
