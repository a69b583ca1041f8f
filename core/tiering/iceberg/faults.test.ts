import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { memoryObjects } from '../objects/memory.ts'
import { faulty } from '../objects/testing.ts'
import { findCommit } from './commit.ts'
import { planScan } from './scan.ts'
import { makeSchema } from './schema.ts'
import { dying, readPlan, TestLake, testClock } from './testing.ts'

const schema = makeSchema([{ name: 'id', type: 'long', required: true }])

async function idsOf(lake: TestLake): Promise<number[]> {
  const plan = await planScan(lake.files, await lake.load())
  return (await readPlan(lake.files, plan)).map((row) => Number(row.id)).sort((a, b) => a - b)
}

describe('two writers of one table', () => {
  it('keep both, whoever comes first', async () => {
    const store = memoryObjects(testClock())
    const [one, two] = [new TestLake(store, 1), new TestLake(store, 2)]
    await one.create({ schema, properties: { 'commit.retry.num-retries': '100' } })
    const append = async (lake: TestLake, from: number) => {
      for (let id = from; id < from + 15; id++) await lake.append([{ id }])
    }
    await Promise.all([append(one, 0), append(two, 15)])
    expect(await idsOf(one)).toEqual(Array.from({ length: 30 }, (_, id) => id))
    const { snapshots } = await two.load()
    expect(snapshots.map((snapshot) => snapshot['sequence-number'])).toEqual(snapshots.map((_, at) => at + 1))
    for (const [at, snapshot] of snapshots.entries()) {
      expect(snapshot['parent-snapshot-id']).toBe(snapshots[at - 1]?.['snapshot-id'])
      expect(snapshot.summary['total-records']).toBe(`${at + 1}`)
    }
    // Attempts that came second left nothing behind.
    const used = new Set<string>()
    for (const snapshot of snapshots) {
      used.add(snapshot['manifest-list'])
      for (const { path } of await one.files.manifestList(snapshot['manifest-list'])) used.add(path)
    }
    const { objects } = await store.list({ prefix: 'db@/events/metadata/' })
    const avro = objects.filter(({ key }) => key.endsWith('.avro')).map(({ key }) => one.files.locationOf(key))
    expect(avro.filter((path) => !used.has(path))).toEqual([])
  })

  it('do not delete rows from a file that was rewritten meanwhile, nor bring deleted rows back', async () => {
    const lake = new TestLake()
    await lake.create({ schema })
    const file = await lake.append([{ id: 1 }, { id: 2 }, { id: 3 }])
    const base = (await lake.load())['current-snapshot-id'] as number
    const whole = await lake.dataFile([{ id: 1 }, { id: 2 }, { id: 3 }])
    const deletes = await lake.deleteFile([file, [0]])
    const rewrite = {
      addData: [whole],
      removeData: [file],
      isRewrite: true,
      baseSnapshotId: base,
      dataSequenceNumber: 1,
    }
    await lake.append([{ id: 4 }])
    // Appends are in nobody's way.
    await lake.commit(rewrite)
    const stale = { code: 'conflict', detail: { reason: 'stale' } }
    await expect(lake.commit({ addDeletes: [deletes], baseSnapshotId: base })).rejects.toMatchObject(stale)
    expect(await idsOf(lake)).toEqual([1, 2, 3, 4])
    const next = (await lake.load())['current-snapshot-id'] as number
    await lake.commit({ addDeletes: [await lake.deleteFile([whole, [2]])], baseSnapshotId: next })
    const again = await lake.dataFile([{ id: 1 }, { id: 2 }, { id: 3 }])
    const late = { ...rewrite, addData: [again], removeData: [whole], baseSnapshotId: next }
    await expect(lake.commit(late)).rejects.toMatchObject(stale)
    expect(await idsOf(lake)).toEqual([1, 2, 4])
    await expect(lake.commit({ addDeletes: [deletes] })).rejects.toMatchObject({ code: 'invalid' })
  })
})

describe('a writer that dies', () => {
  it.each([false, true])(
    'leaves the old table or the new one, and is finished once (request done: %s)',
    async (isDone) => {
      for (let at = 0; ; at++) {
        const store = memoryObjects(testClock())
        const lake = new TestLake(store, 1)
        await lake.create({ schema })
        await lake.append([{ id: 1 }])
        const doom = dying([store], at, isDone)
        const file = await lake.dataFile([{ id: 2 }])
        const commit = new TestLake(doom.stores[0], 2).commit({ addData: [file] }, 'the commit')
        const died = await Promise.race([commit.then(() => false), doom.died])
        const seen = await idsOf(new TestLake(store, 3))
        const isThere = findCommit(await lake.load(), 'the commit') !== undefined
        expect(seen).toEqual(isThere ? [1, 2] : [1])
        const after = new TestLake(store, 4)
        const { wasDone } = await after.commit({ addData: [file] }, 'the commit')
        expect(wasDone).toBe(isThere)
        expect(await idsOf(after)).toEqual([1, 2])
        if (!died) {
          expect(at).toBeGreaterThan(5)
          return
        }
      }
    },
  )
})

describe('a store that misbehaves', () => {
  it('has every commit once, whatever the answers were', async () => {
    const rates = { refused: 0.05, throttled: 0.02, failed: 0.05, lost: 0.1, late: 0.05, contended: 0.05 }
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const clock = testClock(seed)
        const memory = memoryObjects(clock)
        const unit = () => clock.random() / 2 ** 48
        const store = faulty(memory, { clock, unit, rates, slowMs: 100 })
        await new TestLake(memory, 9).create({ schema })
        const writer = async (lake: TestLake, from: number) => {
          for (let id = from; id < from + 4; id++) {
            const file = await persist(() => lake.dataFile([{ id }]))
            await persist(() => lake.commit({ addData: [file] }, `commit ${id}`))
          }
        }
        await Promise.all([writer(new TestLake(store, seed + 1), 0), writer(new TestLake(store, seed + 2), 4)])
        store.heal()
        expect(await idsOf(new TestLake(memory, 3))).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
      }),
      { numRuns: 40 },
    )
  })
})

/** Call again until it succeeds, as a committer with a commit id does. */
async function persist<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      const { code } = error as { code?: string }
      if (attempt > 200 || (code !== 'unavailable' && code !== 'conflict')) throw error
    }
  }
}
