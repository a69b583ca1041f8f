/** Any order of writes, flushes, commits, rewrites, evictions, moves of slots and restarts: hot and cold together are
 *  what was written, no row twice; and when all is committed, the lake alone is. */
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { planResize } from '../../shard/map.ts'
import { jobNames } from './jobs.ts'
import { Lake } from './lake.ts'
import { loadIfThere, planFlush } from './lake-table.ts'
import { tableName } from './payloads.ts'
import { Rig } from './testing.ts'

type Step =
  | { readonly do: 'put'; readonly key: number; readonly body: number }
  | { readonly do: 'remove' | 'rank' | 'read'; readonly key: number }
  | { readonly do: 'bulk'; readonly from: number }
  | { readonly do: 'clear' | 'stage' | 'flush' | 'round' | 'evict' | 'compact' | 'move' | 'restart' | 'crash' }

const key = fc.nat(24)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('put' as const), key, body: fc.nat(1000) }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom('remove' as const, 'rank' as const, 'read' as const), key }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('bulk' as const), from: key }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'clear' as const,
        'stage' as const,
        'flush' as const,
        'round' as const,
        'evict' as const,
        'compact' as const,
        'move' as const,
        'restart' as const,
        'crash' as const,
      ),
    }),
  },
)

interface Doc {
  title: string
  body: string
  rank: number
}

class World {
  readonly rig: Rig
  readonly model = new Map<string, Doc>()
  private count: number
  private lake: Lake

  constructor(rig: Rig, count: number) {
    this.rig = rig
    this.count = count
    this.lake = this.serve()
  }

  private serve(): Lake {
    const { rig } = this
    const more = { pollMs: 1, commitEveryMs: 0, compactEveryMs: 0, evictEveryMs: 0 }
    return new Lake({ ...rig.tools, fabric: rig.fabric, ...more, rewrite: { minFiles: 2 } })
  }

  async begin(): Promise<void> {
    await this.lake.setPolicy('shop', 'docs', { changes: false, hotFor: '10m', flushEvery: '1ms' })
  }

  async put(id: string, body: string): Promise<void> {
    await this.rig.doc('put', { id, body })
    this.model.set(id, { title: id, body, rank: 0 })
  }

  async step(one: Step): Promise<void> {
    const { rig, model } = this
    switch (one.do) {
      case 'put':
        return this.put(`k${one.key}`, `body ${one.body}`)
      case 'bulk':
        for (let at = one.from; at < one.from + 8; at++) await this.put(`k${at}`, `bulk ${at}`)
        return
      case 'remove':
        expect(await rig.doc('remove', { id: `k${one.key}` })).toBe(model.delete(`k${one.key}`))
        return
      case 'rank': {
        const known = model.get(`k${one.key}`)
        expect(await rig.doc('rank', { id: `k${one.key}`, rank: 5 })).toBe(known !== undefined)
        if (known !== undefined) known.rank = 5
        return
      }
      case 'read':
        expect(await rig.doc('get', { id: `k${one.key}` })).toBe(model.get(`k${one.key}`)?.body ?? null)
        return
      case 'clear':
        return this.clear()
      case 'stage':
        return this.stage()
      case 'move':
        this.count = this.count === 2 ? 3 : 2
        return rig.fabric.move('shop', (map) => planResize(map, this.count))
      case 'restart':
      case 'crash':
        rig.restart({ crash: one.do === 'crash' })
        this.lake = this.serve()
        return
      default:
        return this.serviceStep(one.do)
    }
  }

  private async serviceStep(what: 'flush' | 'round' | 'evict' | 'compact'): Promise<void> {
    if (what === 'flush') await this.lake.flush('shop')
    else if (what === 'compact') await this.lake.compact('shop', 'docs').catch(ignoreMissing)
    else {
      if (what === 'evict') this.rig.clock.nowMsIs += 600_000
      this.rig.clock.nowMsIs += 10
      await this.lake.runDue()
    }
  }

  /** Have shards write what is new, and nobody commit it. */
  private async stage(): Promise<void> {
    const { rig } = this
    const loaded = await loadIfThere(rig.catalog, tableName('shop', 'docs'))
    if (loaded === undefined) return
    const shards = await rig.shards()
    await shards.each((shard) => shards.ask(shard, 'status', { tables: ['docs'] }))
    await shards.each((shard) => shards.job(shard, jobNames.flush, planFlush(loaded, { table: 'docs' })))
  }

  private async clear(): Promise<void> {
    const { router, map } = await this.rig.database()
    for (let shard = 0; shard < map.count; shard++) {
      const [[from]] = map.slotsOf(shard) as unknown as [[number, number]]
      await router.call({ program: 'docs', name: 'clear', args: {} }, { slot: from })
    }
    this.model.clear()
  }

  async check(): Promise<void> {
    const { rows, doubles } = await this.rig.union()
    expect(doubles).toEqual([])
    expect(rows).toEqual(new Map([...this.model].map(([id, { title, body, rank }]) => [id, [title, body, rank]])))
  }

  async checkLake(): Promise<void> {
    await this.lake.flush('shop')
    const rows = await this.rig.lakeRows('docs').catch(() => [])
    expect(new Map(rows.map(({ id, body, rank }) => [id, [body, rank]]))).toEqual(
      new Map([...this.model].map(([id, { body, rank }]) => [id, [body, rank]])),
    )
    expect(rows.length).toBe(this.model.size)
    if (rows.length > 0) expect(await this.rig.check('docs')).toEqual([])
    for (const [id, { body }] of this.model) expect(await this.rig.doc('get', { id })).toBe(body)
  }
}

function ignoreMissing(error: unknown): void {
  if ((error as { code?: string }).code !== 'not_found') throw error
}

it('hot and cold together are what was written', async () => {
  const runs = Number(process.env.DOTDO_SEEDS ?? 25)
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), fc.nat(1), async (steps, more) => {
      const rig = await Rig.open({ shards: 2 + more })
      try {
        const world = new World(rig, 2 + more)
        await world.begin()
        for (const one of steps) {
          await world.step(one)
          await world.check()
        }
        await world.checkLake()
      } finally {
        rig.close()
      }
    }),
    { numRuns: runs, endOnFailure: false },
  )
}, 300_000)
