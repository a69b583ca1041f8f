import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type NodeFabric, type NodeFabricOptions, openFabric, openSqlite, shardPath } from '../host/node/index.ts'
import { temporaryFolder } from '../host/node/testing.ts'
import { planResize, ShardMap } from './map.ts'
import { SYSTEM } from './system.ts'
import { testProgram } from './testing.ts'

let folder: ReturnType<typeof temporaryFolder>
let fabric: NodeFabric
const open = async (options: Partial<NodeFabricOptions> = {}) => {
  fabric = await openFabric({ data: folder.path, programs: [testProgram], durability: 'normal', ...options })
}
beforeEach(() => {
  folder = temporaryFolder()
})
afterEach(async () => {
  await fabric.close()
  folder.remove()
})

const add = (slot: number, key = 'k') => ({ program: 'test', name: 'add', args: { slot, key } })
const get = (slot: number, key = 'k') => ({ program: 'test', name: 'get', args: { slot, key } })
const list = { program: 'test', name: 'list', args: { slot: 5, key: '' } }

describe('databases', () => {
  test('are made on first use with the defaults, and found again after a restart', async () => {
    await open({ defaults: { count: 4, partitioner: 'crc16' } })
    const { router, map } = await fabric.database('agent-1')
    expect(map.count).toBe(4)
    await router.call(add(9000), { slot: 9000 })
    await fabric.close()
    await open({ defaults: { count: 1 } })
    const again = await fabric.database('agent-1')
    expect(again.map.count).toBe(4)
    expect(await again.router.call(get(9000), { slot: 9000 })).toBe(1)
    expect((await fabric.list('', 10)).map(({ name }) => name)).toEqual(['agent-1'])
  })

  test('are made with options, once', async () => {
    await open()
    const { map } = await fabric.create('big', { count: 16, strategy: 'round-robin' })
    expect([map.count, map.strategy.data.kind]).toEqual([16, 'round-robin'])
    await expect(fabric.create('big', {})).rejects.toMatchObject({ code: 'exists' })
    await expect(fabric.create('other', { count: 1001 })).rejects.toMatchObject({ code: 'invalid' })
    expect(await fabric.find('other')).toBeUndefined()
  })

  test('have names that are safe as paths', async () => {
    await open()
    for (const name of ['', '../x', 'A', 'a/b', 'dotdo.catalog', '.x', 'x'.repeat(64), 'a\u0000']) {
      await expect(fabric.database(name)).rejects.toMatchObject({ code: 'invalid' })
    }
  })

  test('keep a shard closed until it is used, and at most so many open', async () => {
    await open({ openMax: 3 })
    for (let i = 0; i < 10; i++) {
      const { router } = await fabric.database(`db-${i}`)
      await router.call(add(1), { slot: 1 })
    }
    expect(existsSync(`${shardPath(folder.path, 'db-0', 0)}-wal`)).toBe(false)
    expect(existsSync(`${shardPath(folder.path, 'db-9', 0)}-wal`)).toBe(true)
    const first = await fabric.database('db-0')
    expect(await first.router.call(get(1), { slot: 1 })).toBe(1)
  })

  test('keep less in memory each when many are open', async () => {
    const limits = { dirtyRows: 40 }
    await open({ limits })
    const shards = []
    for (let i = 0; i < 8; i++) {
      const { router } = await fabric.database(`db-${i}`)
      await router.call(add(1), { slot: 1 })
      shards.push(router)
    }
    // Nine are open, the catalog among them: 4/9 of 40 rows may be dirty before they reach their table.
    const [first] = shards
    const stored = () => first?.call({ program: 'test', name: 'stored', args: { slot: 1, key: '' } }, { slot: 1 })
    for (let i = 0; i < 15; i++) await first?.call(add(1, `k${i}`), { slot: 1 })
    expect(await stored()).toBe(0)
    for (let i = 15; i < 25; i++) await first?.call(add(1, `k${i}`), { slot: 1 })
    expect(await stored()).toBeGreaterThan(15)
  })

  test('belong to one process at a time', async () => {
    await open()
    await expect(openFabric({ data: folder.path, programs: [] })).rejects.toMatchObject({ code: 'conflict' })
  })
})

describe('a plan', () => {
  test('sends each shard its calls in order, and answers each in its place', async () => {
    await open({ defaults: { count: 4 } })
    const plan = (await fabric.database('x')).plan()
    const pending = [1, 16_000, 1, 9000, 1].map((slot) => plan.one(slot, add(slot)))
    await plan.run()
    expect(pending.map(({ reply }) => reply)).toEqual([1, 1, 2, 1, 3])
  })

  test('asks every shard', async () => {
    await open({ defaults: { count: 3 } })
    const database = await fabric.database('x')
    await database.router.call(add(5), { slot: 5 })
    const plan = database.plan()
    const all = plan.all(list)
    await plan.run()
    expect(all.map(({ reply }) => reply)).toEqual([[['k', 1]], [], []])
  })

  test('follows slots that moved, with a stale map, and spreads a scatter anew', async () => {
    await open({ defaults: { count: 2 } })
    const { map, router, plan } = await fabric.database('x')
    await router.call(add(5), { slot: 5 })
    const stale = ShardMap.fromData(map.toData())
    const next = planResize(map, 3).map
    const gone = next.slotsOf(2)
    const system = (shard: number, name: string, args: unknown) =>
      router.call({ program: SYSTEM, name, args }, { shard })
    await router.call(get(gone[0]?.[0] as number), { slot: gone[0]?.[0] as number })
    await system(2, 'assign', { epoch: 1, slots: [] })
    await system(2, 'prepare', { epoch: next.epoch, slots: gone })
    for (const shard of [0, 1]) {
      const slots = gone.filter(([from]) => stale.shardOf(from) === shard)
      await system(shard, 'assign', { epoch: 1, slots: stale.slotsOf(shard) })
      if (slots.length > 0) await system(shard, 'fence', { epoch: next.epoch, slots, to: 2 })
    }
    await system(2, 'activate', { epoch: next.epoch })
    for (const shard of [0, 1]) {
      const slots = gone.filter(([from]) => stale.shardOf(from) === shard)
      if (slots.length > 0) await system(shard, 'discard', { epoch: next.epoch, slots })
    }
    await fabric.publish('x', next.toData())
    // What this router knows is old again: it must find out by itself.
    map.epoch = stale.epoch
    map.owner = stale.owner.slice()
    map.count = 2
    const slot = gone.at(-1)?.[1] as number
    const batch = plan()
    const one = batch.one(slot, add(slot, 'moved'))
    const all = batch.all(list)
    await batch.run()
    expect(one.reply).toBe(1)
    expect(all.map(({ reply }) => reply)).toHaveLength(3)
    expect(all.flatMap(({ reply }) => reply)).toEqual([['k', 1]])
    expect(map.count).toBe(3)
  })

  test('keeps a call of several slots together, or says that they live apart', async () => {
    await open({ defaults: { count: 2 } })
    const database = await fabric.database('x')
    const plan = database.plan()
    const near = plan.together([1, 5], add(1))
    const far = plan.together([1, 16_000], add(1))
    await plan.run()
    expect([near.reply, far.reply]).toEqual([1, expect.objectContaining({ code: 'cross_shard' })])
    // The shard checks every slot too: a router that does not know of a move is not let through.
    const shard = database.router.client(0)
    await shard.submit([
      { program: SYSTEM, name: 'fence', slot: -1, epoch: 1, args: { epoch: 2, slots: [[5, 5]], to: 1 } },
    ])
    const [stale] = await shard.submit([{ ...add(1), slot: 1, slots: [1, 5], epoch: 1 }])
    expect(stale).toMatchObject({ code: 'moved' })
  })

  test('gives up on a slot that nobody serves', async () => {
    await open()
    const { router } = await fabric.database('x')
    await router.call(add(5), { slot: 5 })
    await router.call({ program: SYSTEM, name: 'fence', args: { epoch: 2, slots: [[5, 5]], to: 0 } }, { shard: 0 })
    await expect(router.call(get(5), { slot: 5 })).rejects.toMatchObject({ code: 'unavailable' })
  })
})

describe('policies', () => {
  test('are kept as they were set, and listed, also after a restart', async () => {
    await open()
    for (const name of ['a', 'b', 'c']) await fabric.create(name, {})
    expect(await fabric.policies('a')).toBe(null)
    await fabric.setPolicies('a', { keys: { hotFor: '7d' } })
    await fabric.setPolicies('c', [1])
    await fabric.setPolicies('b', { gone: true })
    await fabric.setPolicies('b', null)
    await fabric.close()
    await open()
    expect(await fabric.policies('a')).toEqual({ keys: { hotFor: '7d' } })
    const all = [
      { name: 'a', policies: { keys: { hotFor: '7d' } } },
      { name: 'c', policies: [1] },
    ]
    expect(await fabric.withPolicies('', 10)).toEqual(all)
    expect(await fabric.withPolicies('', 1)).toEqual(all.slice(0, 1))
    expect(await fabric.withPolicies('a', 10)).toEqual(all.slice(1))
  })

  test('are set only over what was expected', async () => {
    await open()
    await fabric.create('a', {})
    await fabric.setPolicies('a', { x: 1, y: { z: 2, w: 3 } }, null)
    await expect(fabric.setPolicies('a', { x: 2 }, null)).rejects.toMatchObject({ code: 'conflict' })
    await expect(fabric.setPolicies('a', { x: 2 }, { x: 2 })).rejects.toMatchObject({ code: 'conflict' })
    await fabric.setPolicies('a', { x: 2 }, { y: { w: 3, z: 2 }, x: 1 })
    expect(await fabric.policies('a')).toEqual({ x: 2 })
  })

  test('of what is not there, or that cannot be kept, are refused', async () => {
    await open()
    await fabric.create('a', {})
    await expect(fabric.policies('b')).rejects.toMatchObject({ code: 'not_found' })
    await expect(fabric.setPolicies('b', {})).rejects.toMatchObject({ code: 'not_found' })
    await expect(fabric.setPolicies('a', 'x'.repeat(600_000))).rejects.toMatchObject({ code: 'limit' })
    await expect(fabric.setPolicies('a', undefined)).rejects.toMatchObject({ code: 'invalid' })
  })

  test('stay when slots move', async () => {
    await open()
    await fabric.create('a', { count: 1 })
    await fabric.setPolicies('a', { x: 1 })
    await fabric.move('a', (map) => planResize(map, 2))
    expect(await fabric.policies('a')).toEqual({ x: 1 })
    expect((await fabric.find('a'))?.map.count).toBe(2)
  })

  test('may be set in catalogs made before there were any', async () => {
    await open()
    await fabric.create('a', {})
    await fabric.close()
    const sql = openSqlite(join(folder.path, 'catalog.sqlite'), {})
    sql.raw('drop index databases_policies')
    sql.raw('alter table databases drop column policies')
    const [[made] = []] = sql.raw("select made from dotdo_tables where name = 'databases'")
    const { columns, primaryKey } = JSON.parse(String(made))
    const { policies: _, ...before } = columns
    const old = JSON.stringify({ columns: before, primaryKey, indexes: {} })
    sql.raw("update dotdo_tables set made = ? where name = 'databases'", old)
    sql.close()
    await open()
    expect(await fabric.policies('a')).toBe(null)
    await fabric.setPolicies('a', { x: 1 })
    expect(await fabric.withPolicies('', 1)).toEqual([{ name: 'a', policies: { x: 1 } }])
  })
})
