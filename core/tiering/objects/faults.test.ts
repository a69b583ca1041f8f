/** Writers over a store that fails in every way it can, by seeds: what was answered is true. */
import { describe, expect, it } from 'vitest'
import { Random } from '../../../test/sim/random.ts'
import { Failure } from '../../errors.ts'
import { memoryObjects } from './memory.ts'
import { bytesOf } from './object-case.conformance.ts'
import type { ObjectStore, Written } from './port.ts'
import { withRetries } from './retry.ts'
import { faulty, ManualClock } from './testing.ts'

const rates = { refused: 0.06, throttled: 0.02, failed: 0.08, lost: 0.08, late: 0.08, hung: 0.04, contended: 0.06 }

type Answer = 'done' | 'conflict' | 'unknown'

async function answerOf(write: Promise<Written>): Promise<Answer> {
  try {
    await write
    return 'done'
  } catch (error) {
    if (error instanceof Failure && error.code === 'conflict') return 'conflict'
    if (error instanceof Failure && error.code === 'unavailable') return 'unknown'
    throw error
  }
}

async function idsOf(store: ObjectStore): Promise<{ ids: string[]; etag: string }> {
  const { bytes, etag } = (await store.get('log')) as { bytes: Uint8Array; etag: string }
  return { ids: JSON.parse(new TextDecoder().decode(bytes)), etag }
}

/** Open a faulty store for writers of one seed. */
function openWorld(seed: number) {
  const random = new Random(seed)
  const clock = new ManualClock(() => random.unit())
  const memory = memoryObjects(clock)
  const faults = faulty(memory, { clock, unit: () => random.unit(), rates, slowMs: 300, staleMs: 2_000 })
  const open = () => withRetries(faults, { clock, attemptMsMax: 1_000, attemptsMax: 4 })
  return { clock, memory, faults, open }
}

describe('writers over a faulty store', () => {
  const seeds = Array.from({ length: 100 }, (_, i) => i + 1)

  it('append to a log by ifMatch: every append answered as done is there once, every conflict is not', async () => {
    const answers = { done: 0, conflict: 0, unknown: 0 }
    for (const seed of seeds) {
      const { clock, memory, open } = openWorld(seed)
      await memory.put('log', bytesOf('[]'))
      const told = new Map<string, Answer>()
      const writer = async (name: string) => {
        const store = open()
        for (let i = 0; i < 6; i++) {
          const read = await idsOf(store).catch(() => undefined)
          if (read === undefined) continue
          const id = `${name}${i}`
          const next = bytesOf(JSON.stringify([...read.ids, id]))
          told.set(id, await answerOf(store.put('log', next, { ifMatch: read.etag })))
        }
      }
      await clock.settle(Promise.all(['a', 'b', 'c'].map(writer)))
      // What is still on its way arrives.
      while (await clock.step());
      const { ids } = await idsOf(memory)
      expect(new Set(ids).size, `seed ${seed}`).toBe(ids.length)
      for (const [id, answer] of told) {
        answers[answer]++
        if (answer !== 'unknown') expect(ids.includes(id), `seed ${seed}: ${id} was ${answer}`).toBe(answer === 'done')
      }
    }
    // The rates are such that each answer comes up, and that most are certain.
    expect(Math.min(...Object.values(answers))).toBeGreaterThan(10)
    expect(answers.unknown).toBeLessThan(answers.done)
  })

  it('take free keys by ifNoneMatch: one at most is told that it has the key, and it has', async () => {
    const answers = { done: 0, conflict: 0, unknown: 0 }
    for (const seed of seeds) {
      const { clock, memory, open } = openWorld(seed)
      const told = await clock.settle(
        Promise.all(
          ['a', 'b', 'c', 'd'].map(async (name) => {
            const answer = await answerOf(open().put('key', bytesOf(name), { ifNoneMatch: '*' }))
            return [name, answer] as const
          }),
        ),
      )
      while (await clock.step());
      const owner = new TextDecoder().decode((await memory.get('key'))?.bytes)
      for (const [name, answer] of told) {
        answers[answer]++
        if (answer === 'done') expect(owner, `seed ${seed}`).toBe(name)
        if (answer === 'conflict') expect(owner, `seed ${seed}`).not.toBe(name)
      }
    }
    expect(answers.done).toBeGreaterThan(80)
    expect(answers.conflict).toBeGreaterThan(200)
  })

  it('strike by seed: the same one gives the same faults', async () => {
    const runOnce = async () => {
      const { clock, faults, open } = openWorld(5)
      const store = open()
      const work = Array.from({ length: 30 }, (_, i) =>
        answerOf(store.put(`k${i}`, bytesOf('1'), { ifNoneMatch: '*' })),
      )
      return [await clock.settle(Promise.all(work)), { ...faults.struck }, clock.nowMs()]
    }
    expect(await runOnce()).toEqual(await runOnce())
  })

  it('see stale lists for a while, and true ones after', async () => {
    const random = new Random(3)
    const clock = new ManualClock(() => random.unit())
    const faults = faulty(memoryObjects(clock), { clock, unit: () => 0.9, staleMs: 1_000 })
    await faults.put('a', bytesOf('1'))
    expect((await faults.list()).objects).toEqual([])
    clock.after(1_001, () => {})
    await clock.step()
    expect((await faults.list()).objects.map(({ key }) => key)).toEqual(['a'])
    await faults.delete(['a'])
    expect((await faults.list()).objects.map(({ key }) => key)).toEqual(['a'])
    faults.heal()
    expect((await faults.list()).objects).toEqual([])
    expect(faults.struck.stale).toBe(2)
  })
})
