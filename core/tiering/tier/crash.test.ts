/** Whatever breaks, and whenever: after a new start, the lake holds what the shards held, each change once. */
import { describe, expect, it } from 'vitest'
import { testClock } from '../iceberg/testing.ts'
import { memoryObjects } from '../objects/memory.ts'
import { type FaultRates, faulty } from '../objects/testing.ts'
import { Lake } from './lake.ts'
import { tableName } from './payloads.ts'
import { TierShards } from './shards.ts'
import { Rig } from './testing.ts'

const ids = (count: number, prefix = 'd') => Array.from({ length: count }, (_, at) => `${prefix}${at}`)

/** A store that breaks at the k-th request from when it is told to, and answers nothing more until it is healed. */
function breaking() {
  const clock = testClock(7)
  const memory = memoryObjects(clock)
  let left = Number.POSITIVE_INFINITY
  let fault: keyof FaultRates = 'failed'
  let broke = false
  const inner = faulty(memory, {
    clock,
    unit: () => 0.999,
    script: new Proxy([] as (keyof FaultRates | 'none')[], {
      get(target, name, receiver) {
        if (typeof name !== 'string' || !/^\d+$/.test(name)) return Reflect.get(target, name, receiver)
        if (broke) return 'failed'
        if (left-- > 0) return 'none'
        broke = true
        return fault
      },
    }),
  })
  return {
    store: inner,
    breakAt(request: number, kind: keyof FaultRates) {
      left = request
      fault = kind
      broke = false
    },
    heal() {
      left = Number.POSITIVE_INFINITY
      broke = false
    },
    get isBroken() {
      return broke
    },
  }
}

/** Check that the lake is what the shards were told: the mirror their rows, `changes` every change once. */
async function checkAll(rig: Rig, model: ReadonlyMap<string, string | null>, changes: number) {
  const rows = await rig.lakeRows('docs')
  expect(new Map(rows.map(({ id, body }) => [id, body]))).toEqual(model)
  expect(rows.length).toBe(model.size)
  const log = (await rig.lakeRows('changes')).map(({ shard, seq }) => `${shard} ${seq}`)
  expect(new Set(log).size).toBe(log.length)
  expect(log.length).toBe(changes)
  expect(await rig.check('docs')).toEqual([])
  expect(await rig.check('changes')).toEqual([])
}

describe.each(['failed', 'lost'] as const)('a store that breaks (%s) at any request', (kind) => {
  it('and shards and services that die then, lose and double nothing', async () => {
    const gate = breaking()
    const rig = await Rig.open({ shards: 2, store: gate.store, seed: kind === 'failed' ? 3 : 4 })
    try {
      let lake = new Lake({ ...rig.tools, fabric: rig.fabric })
      await lake.setPolicy('shop', 'docs', { maxHotRows: 3 })
      const model = new Map<string, string | null>()
      let changes = 0
      const put = async (id: string, body: string | null) => {
        await rig.doc(body === null ? 'remove' : 'put', body === null ? { id } : { id, body })
        if (body === null) model.delete(id)
        else model.set(id, body)
        changes++
      }
      for (const id of ids(6)) await put(id, `first ${id}`)
      await lake.flush('shop')
      let survived = 0
      for (let request = 0; survived < 2 && request < 60; request++) {
        await put(`d${request % 6}`, `body ${request}`)
        await put(`n${request}`, `new ${request}`)
        if (request > 3) await put(`n${request - 3}`, null)
        gate.breakAt(request, kind)
        const failed = await lake.flush('shop').then(
          () => false,
          () => true,
        )
        if (!gate.isBroken) survived++
        else if (kind === 'failed') expect(failed).toBe(true)
        gate.heal()
        rig.restart({ crash: true })
        lake = new Lake({ ...rig.tools, fabric: rig.fabric })
        const { rows, doubles } = await rig.union()
        expect(doubles).toEqual([])
        expect(new Map([...rows].map(([id, values]) => [id, (values as unknown[])[1]]))).toEqual(model)
        if (request % 5 === 0) {
          await lake.flush('shop')
          await checkAll(rig, model, changes)
        }
      }
      // Every request of a flush has broken once.
      expect(survived).toBe(2)
      await lake.flush('shop')
      await checkAll(rig, model, changes)
      for (const [id, body] of model) expect(await rig.doc('get', { id })).toBe(body)
    } finally {
      rig.close()
    }
  }, 60_000)
})

describe.each(['before', 'after'] as const)('a shard that is lost (%s its answer) at any request', (when) => {
  it('and services that die then, lose and double nothing', async () => {
    const rig = await Rig.open({ shards: 2, seed: when === 'before' ? 5 : 6 })
    try {
      const serve = () => new Lake({ ...rig.tools, fabric: rig.fabric })
      await serve().setPolicy('shop', 'docs', { maxHotRows: 3 })
      const model = new Map<string, string | null>()
      let changes = 0
      let survived = 0
      for (let request = 0; survived < 2 && request < 120; request++) {
        for (const id of [`d${request % 6}`, `n${request % 20}`]) {
          await rig.doc('put', { id, body: `body ${request}` })
          model.set(id, `body ${request}`)
          changes++
        }
        let left = request
        let broke = false
        rig.breaks = () => {
          if (broke || left-- <= 0) broke = true
          return broke ? when : undefined
        }
        await serve()
          .flush('shop')
          .catch(() => {})
        if (!broke) survived++
        rig.breaks = () => undefined
        rig.restart({ crash: true })
        const { rows, doubles } = await rig.union()
        expect(doubles).toEqual([])
        expect(new Map([...rows].map(([id, values]) => [id, (values as unknown[])[1]]))).toEqual(model)
      }
      expect(survived).toBe(2)
      await serve().flush('shop')
      await checkAll(rig, model, changes)
      for (const [id, body] of model) expect(await rig.doc('get', { id })).toBe(body)
    } finally {
      rig.close()
    }
  }, 120_000)
})

describe('two services at once', () => {
  it('commit every receipt once', async () => {
    const rig = await Rig.open({ shards: 3 })
    try {
      const lakes = [1, 2].map(() => new Lake({ ...rig.tools, fabric: rig.fabric, commitEveryMs: 0 }))
      await lakes[0]?.setPolicy('shop', 'docs', {})
      const model = new Map<string, string>()
      let changes = 0
      for (let round = 0; round < 6; round++) {
        for (const id of ids(5)) {
          await rig.doc('put', { id, body: `${round} ${id}` })
          model.set(id, `${round} ${id}`)
          changes++
        }
        // One of them may be overtaken; what it has written is then the other's.
        await Promise.allSettled(lakes.map((lake) => lake.flush('shop')))
      }
      await lakes[1]?.flush('shop')
      await checkAll(rig, model, changes)
    } finally {
      rig.close()
    }
  })
})

describe('a table that another has dropped', () => {
  it('is written anew', async () => {
    const rig = await Rig.open({ shards: 2 })
    try {
      const lake = new Lake({ ...rig.tools, fabric: rig.fabric })
      await lake.setPolicy('shop', 'docs', { changes: false })
      await rig.putAll(ids(20))
      await lake.flush('shop')
      await rig.catalog.dropTable(tableName('shop', 'docs'), { purge: true })
      await rig.doc('put', { id: 'd1', body: 'later' })
      await lake.flush('shop')
      await lake.flush('shop')
      expect((await rig.lakeRows('docs')).length).toBe(20)
      expect(new TierShards(await rig.database()).count).toBe(2)
    } finally {
      rig.close()
    }
  })
})
