import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Failure } from '../errors.ts'
import { nodeClock } from '../host/node/clock.ts'
import { openSqlite } from '../host/node/sqlite.ts'
import { catalogProgram } from './catalog.ts'
import { CATALOG_DATABASE, Fabric } from './fabric.ts'
import type { ShardMap, SlotMove } from './map.ts'
import type { MoveState } from './move.ts'
import type { OwnershipData } from './ownership.ts'
import { Ownership } from './ownership.ts'
import type { ShardClient } from './router.ts'
import { Shard } from './shard.ts'
import { type CopyReply, SYSTEM, type SystemCalls } from './system.ts'
import { testProgram } from './testing.ts'

/** Shards in memory by name, and a way to let the n-th call to a shard from now fail. */
let shards: Map<string, { shard: Shard; close(): void }>
let failIn = Number.POSITIVE_INFINITY
let afterwards = false

function open(name: string) {
  const known = shards.get(name)
  if (known !== undefined) return known.shard
  const sql = openSqlite(':memory:')
  const shard = new Shard({ sql, clock: nodeClock, programs: [catalogProgram, testProgram] })
  shards.set(name, {
    shard,
    close() {
      shard.close()
      sql.close()
    },
  })
  return shard
}

function client(database: string, index: number): ShardClient {
  const shard = open(`${database} ${index}`)
  return {
    async submit(calls) {
      const fails = failIn-- === 0
      const lost = new Failure('unavailable', 'lost on the way')
      if (fails && !afterwards) throw lost
      const replies = await shard.submit(calls)
      if (fails) throw lost
      return replies
    },
    awaitChange: (afterSeq, waitMs) => shard.awaitChange(afterSeq, waitMs),
    job: async (name) => {
      throw new Failure('unsupported', `no job ${name}`)
    },
  }
}

const fabricOf = (copyRowsMax = 2) =>
  new Fabric({ placement: { client }, clock: nodeClock, defaults: { count: 2 }, copyRowsMax })

beforeEach(() => {
  shards = new Map()
  failIn = Number.POSITIVE_INFINITY
})
afterEach(() => {
  for (const { close } of shards.values()) close()
})

const request = (name: string, slot: number, key: string) => ({ program: 'test', name, args: { slot, key } })

/** Plan a move of single slots to a shard. */
const to = (shard: number, slots: readonly number[]) => (map: ShardMap) => {
  const moves = [...new Set(slots.map((slot) => map.shardOf(slot)))].map(
    (from): SlotMove => ({
      from,
      to: shard,
      slots: slots.filter((slot) => map.shardOf(slot) === from).map((slot) => [slot, slot] as const),
    }),
  )
  const runs = slots.map((slot) => [slot, slot, shard] as const)
  return { moves, map: map.reassign(runs, Math.max(map.count, shard + 1)) }
}

async function system<Name extends keyof SystemCalls>(shard: number, name: Name, args: SystemCalls[Name]) {
  const [reply] = await open(`db ${shard}`).submit([{ program: SYSTEM, name, slot: -1, epoch: 0, args }])
  return reply
}

async function fill(fabric: Fabric): Promise<void> {
  const { router } = await fabric.database('db')
  for (const slot of [5, 6, 9_000]) {
    for (const key of ['a', 'b', 'c']) await router.call(request('add', slot, key), { slot })
  }
}

/** Read all through a fabric that has never heard of a move. */
async function readAll(fabric: Fabric): Promise<unknown[]> {
  const { router } = await fabric.database('db')
  const found: unknown[] = []
  for (const slot of [5, 6, 9_000]) {
    for (const key of ['a', 'b', 'c']) found.push(await router.call(request('get', slot, key), { slot }))
  }
  return found
}

const ones = Array.from({ length: 9 }, () => 1)

describe('a move', () => {
  test('gives slots to another shard, which joins with it, and leaves nothing behind', async () => {
    const fabric = fabricOf()
    const stale = fabricOf()
    await stale.database('db')
    await fill(fabric)
    await fabric.move('db', to(2, [5, 9_000]))
    expect(await readAll(stale)).toEqual(ones)
    expect((await fabric.database('db')).map.shardOf(9_000)).toBe(2)
    const left = (await system(0, 'copy', { table: 'test_counters', slots: [5, 5], limit: 9 })) as CopyReply
    expect(left.rows).toEqual([])
    expect(await fabric.resumeMove('db')).toBe(false)
  })

  test('whose plan moves nothing only publishes the map', async () => {
    const fabric = fabricOf()
    await fill(fabric)
    await fabric.move('db', (map) => ({ moves: [], map: map.reassign([], 3) }))
    expect((await fabric.find('db'))?.map).toMatchObject({ count: 3, epoch: 2 })
  })

  test('is refused while another is under way, and when its map is not the next', async () => {
    const fabric = fabricOf()
    await fill(fabric)
    failIn = 6
    await expect(fabric.move('db', to(1, [5]))).rejects.toMatchObject({ code: 'unavailable' })
    await expect(fabric.move('db', to(1, [6]))).rejects.toMatchObject({ code: 'conflict' })
    const map = (await fabric.database('db')).map
    await expect(fabric.publish('db', map.reassign([]).reassign([]).toData())).rejects.toMatchObject({
      code: 'conflict',
    })
    expect(await fabric.resumeMove('db')).toBe(true)
    const ahead = (now: ShardMap) => ({ moves: [], map: now.reassign([]).reassign([]) })
    await expect(fabric.move('db', ahead)).rejects.toMatchObject({ code: 'invalid' })
    await expect(fabric.move('none', ahead)).rejects.toMatchObject({ code: 'not_found' })
  })

  test.each([false, true])('goes on after any of its calls is lost (reply only: %s)', async (replyOnly) => {
    afterwards = replyOnly
    for (let lost = 0; ; lost++) {
      const fabric = fabricOf()
      await fill(fabric)
      failIn = lost
      const failure = await fabric.move('db', to(2, [5, 9_000])).catch((error: Failure) => error)
      if (failure === undefined && failIn >= 0) break
      failIn = Number.POSITIVE_INFINITY
      // The very first calls may be lost before the move is kept anywhere.
      const begun = await fabric.resumeMove('db')
      expect(await readAll(fabricOf())).toEqual(ones)
      if (begun) expect((await fabric.find('db'))?.map.epoch).toBe(2)
      for (const { close } of shards.values()) close()
      shards.clear()
      expect(lost).toBeLessThan(100)
    }
  })
})

describe('the catalog', () => {
  test('keeps the newest state of a move, and ignores one that is done', async () => {
    const fabric = fabricOf()
    await fill(fabric)
    failIn = 10
    await expect(fabric.move('db', to(1, [5]))).rejects.toMatchObject({ code: 'unavailable' })
    failIn = Number.POSITIVE_INFINITY
    const move = (await fabric.find('db'))?.move as MoveState
    expect(move.version).toBeGreaterThan(0)
    const advance = async (state: MoveState) => {
      const args = { name: 'db', move: state }
      const call = { program: 'catalog', name: 'advance', slot: 0, epoch: 1, args }
      return (await open(`${CATALOG_DATABASE} 0`).submit([call]))[0]
    }
    expect(await advance({ ...move, step: 'prepare', version: 0 })).toBeNull()
    expect((await fabric.find('db'))?.move).toEqual(move)
    expect(await advance({ ...move, epoch: 7 })).toMatchObject({ code: 'conflict' })
    await fabric.resumeMove('db')
    expect(await advance({ ...move, version: 99 })).toBeNull()
    expect((await fabric.find('db'))?.move).toBeUndefined()
  })
})

describe('a step that is told again, late', () => {
  const data: OwnershipData = { epoch: 1, slots: [[0, 99]], gone: [] }
  const after = (from: OwnershipData, ...steps: ((owned: Ownership) => OwnershipData | undefined)[]) =>
    steps.reduce((now, step) => step(new Ownership(now)) ?? now, from)
  const away = after(data, (owned) => owned.fence(2, [[5, 9]], 1))
  const gone = after(away, (owned) => owned.discard(2, [[5, 9]]))
  const coming = after(gone, (owned) => owned.prepare(3, [[5, 9]]))
  const back = after(coming, (owned) => owned.activate(3))
  const awayAgain = after(back, (owned) => owned.fence(4, [[5, 9]], 1))

  test('a fence: known, then refused', () => {
    for (const now of [away, gone]) expect(new Ownership(now).fence(2, [[5, 9]], 1)).toBeUndefined()
    for (const now of [back, awayAgain]) expect(() => new Ownership(now).fence(2, [[5, 9]], 1)).toThrow(/not newer/)
  })

  test('a discard: only what its own fence left', () => {
    for (const now of [gone, coming, back, awayAgain]) {
      expect(new Ownership(now).discard(2, [[5, 9]])).toBeUndefined()
    }
    const half = after(away, (owned) => owned.discard(2, [[5, 6]]))
    expect(half.leaving).toEqual({ epoch: 2, slots: [[7, 9]] })
    expect(new Ownership(half).discard(2, [[5, 6]])).toBeUndefined()
  })

  test('a preparation: known, then refused', () => {
    expect(new Ownership(coming).prepare(3, [[5, 9]])).toBeUndefined()
    expect(() => new Ownership(back).prepare(3, [[5, 9]])).toThrow(/not newer/)
  })

  test('rows: only while they are awaited', () => {
    new Ownership(coming).admit(3, [5, 9])
    expect(() => new Ownership(coming).admit(3, [4])).toThrow(/slot 4/)
    for (const now of [gone, back, awayAgain]) expect(() => new Ownership(now).admit(3, [5])).toThrow(/awaited/)
  })

  test('an activation: known, then refused', () => {
    expect(new Ownership(back).activate(3)).toBeUndefined()
    expect(() => new Ownership(awayAgain).activate(3)).toThrow(/awaited/)
    expect(() => new Ownership(data).activate(2)).toThrow(/awaited/)
  })

  test('one move at a time: a shard that gives or takes begins no other', () => {
    expect(() => new Ownership(away).prepare(3, [[200, 200]])).toThrow(/under way/)
    expect(() => new Ownership(coming).fence(4, [[1, 1]], 1)).toThrow(/under way/)
    expect(() => new Ownership(data).prepare(2, [[7, 7]])).toThrow(/served here/)
    expect(() => new Ownership(data).fence(2, [[99, 100]], 1)).toThrow(/not all owned/)
    expect(() => new Ownership(undefined).fence(2, [[1, 1]], 1)).toThrow(/not been told/)
  })
})
