/** Random work on documents, the lake and queries: hot and cold together are what a map says, at every step. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { planResize } from '../../../shard/map.ts'
import { SqlRig } from './testing.ts'

type Step =
  | { readonly kind: 'put'; readonly picks: readonly number[]; readonly rank: number }
  | { readonly kind: 'remove'; readonly pick: number }
  | { readonly kind: 'clear' | 'flush' | 'tier' | 'compact' | 'grow' | 'restart' }
  | { readonly kind: 'query'; readonly what: 'all' | 'narrow' | 'some' | 'one'; readonly pick: number }

const pick = fc.nat(30)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('put' as const),
      picks: fc.array(pick, { minLength: 1, maxLength: 12 }),
      rank: fc.nat(50),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('remove' as const), pick }) },
  { weight: 3, arbitrary: fc.constant({ kind: 'tier' } as const) },
  { weight: 2, arbitrary: fc.constantFrom({ kind: 'compact' } as const, { kind: 'flush' } as const) },
  {
    weight: 1,
    arbitrary: fc.constantFrom({ kind: 'clear' } as const, { kind: 'restart' } as const, { kind: 'grow' } as const),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('query' as const),
      what: fc.constantFrom('all' as const, 'narrow' as const, 'some' as const, 'one' as const),
      pick,
    }),
  },
)

/** The documents as they should be: rank and body by id. */
type Model = Map<string, readonly [rank: number, body: string]>

async function query(sql: SqlRig, model: Model, { what, pick }: { what: string; pick: number }): Promise<void> {
  const sorted = [...model].sort(([a], [b]) => (a < b ? -1 : 1))
  switch (what) {
    case 'all':
      expect(await sql.rows('select id, rank, body from docs order by id')).toEqual(
        sorted.map(([id, [rank, body]]) => [id, rank, body]),
      )
      return
    case 'narrow':
      expect(await sql.rows('select count(*), coalesce(sum(rank), 0) from docs')).toEqual([
        [sorted.length, sorted.reduce((sum, [, [rank]]) => sum + rank, 0)],
      ])
      return
    case 'some':
      expect(
        await sql.rows('select id from docs where rank >= $1 and rank < 40 order by id', { params: [pick] }),
      ).toEqual(sorted.filter(([, [rank]]) => rank >= pick && rank < 40).map(([id]) => [id]))
      return
    default: {
      const id = `d${pick}`
      expect(await sql.rows('select body from docs where id = $1', { params: [id] })).toEqual(
        model.has(id) ? [[model.get(id)?.[1]]] : [],
      )
    }
  }
}

async function runStep(sql: SqlRig, model: Model, step: Step, at: number): Promise<void> {
  const { rig } = sql
  switch (step.kind) {
    case 'put': {
      const ids = [...new Set(step.picks.map((one) => `d${one}`))]
      const body = `body ${at}`
      await rig.putAll(ids, () => ({ rank: step.rank, body }))
      for (const id of ids) model.set(id, [step.rank, body])
      return
    }
    case 'remove':
      await rig.doc('remove', { id: `d${step.pick}` })
      model.delete(`d${step.pick}`)
      return
    case 'clear': {
      const { router, map } = await rig.database()
      for (let shard = 0; shard < map.count; shard++) {
        const [[from]] = map.slotsOf(shard) as unknown as [[number, number]]
        await router.call({ program: 'docs', name: 'clear', args: {} }, { slot: from })
      }
      model.clear()
      return
    }
    case 'flush':
      return sql.flush('docs')
    case 'tier':
      return sql.tier('docs')
    case 'compact':
      await sql.tier('docs')
      return sql.compact('docs')
    case 'grow':
      return rig.fabric.move('shop', (map) => planResize(map, map.count + 1))
    case 'restart':
      return rig.restart()
    case 'query':
      return query(sql, model, step)
  }
}

it('hot and cold together are what was written, whatever was flushed, rewritten or asked before', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), fc.nat(2), async (steps, more) => {
      const sql = await SqlRig.open({ shards: 1 + more })
      const model: Model = new Map()
      try {
        for (const [at, one] of steps.entries()) await runStep(sql, model, one, at)
        await query(sql, model, { what: 'all', pick: 0 })
        await query(sql, model, { what: 'narrow', pick: 0 })
      } finally {
        await sql.close()
      }
    }),
    { numRuns: Number(process.env.SQL_MODEL_RUNS ?? 12) },
  )
}, 120_000)
