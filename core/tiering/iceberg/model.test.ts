import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkTable } from './check.ts'
import type { DataFile } from './data-file.ts'
import { expireSnapshots, findOrphans } from './maintain.ts'
import { makeSpec } from './partition.ts'
import { planScan } from './scan.ts'
import { makeSchema } from './schema.ts'
import { readExactly, readPlan, TestLake, type TestRow } from './testing.ts'
import { groupBy } from './work.ts'

const schema = makeSchema([
  { name: 'id', type: 'long', required: true },
  { name: 'ns', type: 'string' },
  { name: 'at', type: 'timestamptz' },
  { name: 'x', type: 'double' },
])
const { spec } = makeSpec(
  [
    { column: 'ns', transform: 'identity' },
    { column: 'at', transform: 'day' },
  ],
  { schema, specs: [], lastPartitionId: 999 },
)

type Step =
  | { readonly kind: 'append'; readonly ns: string | null; readonly day: number; readonly count: number }
  | { readonly kind: 'delete' | 'update'; readonly picks: readonly number[] }
  | { readonly kind: 'compact' | 'drop'; readonly pick: number }
  | { readonly kind: 'expire' }

const pick = fc.nat(1000)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      ns: fc.constantFrom('a', 'b c', null),
      day: fc.nat(2),
      count: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom('delete' as const, 'update' as const),
      picks: fc.array(pick, { minLength: 1, maxLength: 3 }),
    }),
  },
  fc.record({ kind: fc.constantFrom('compact' as const, 'drop' as const), pick }),
  fc.constant({ kind: 'expire' } as const),
)

interface Placed {
  readonly row: TestRow
  readonly file: DataFile
  readonly at: number
}

/** The table as it should be. */
class Model {
  readonly lake = new TestLake()
  rows: Placed[] = []
  files: DataFile[] = []
  readonly past = new Map<unknown, readonly number[]>()
  private nextId = 1

  async run(one: Step): Promise<void> {
    if (one.kind === 'append') await this.append(one.count, { ns: one.ns, day: one.day })
    else if ('picks' in one) await this.change(one.picks, one.kind === 'update')
    else if (one.kind === 'expire') await this.expire()
    else if ('pick' in one && this.files.length > 0) {
      const file = this.files[one.pick % this.files.length] as DataFile
      await (one.kind === 'drop' ? this.drop(file) : this.compact(file))
    }
    const { 'current-snapshot-id': id } = await this.lake.load()
    if (id !== undefined) this.past.set(id, this.ids())
  }

  ids(): number[] {
    return this.rows.map(({ row }) => row.id as number).sort((a, b) => a - b)
  }

  private make({ ns, day }: { ns: string | null; day: number }): TestRow {
    const id = this.nextId++
    const x = id % 5 === 0 ? Number.NaN : id % 7 === 0 ? null : id / 2
    return { id, ns, at: day * 86_400_000_000 + id, x }
  }

  private place(rows: readonly TestRow[], file: DataFile): void {
    this.files.push(file)
    this.rows.push(...rows.map((row, at) => ({ row, file, at })))
  }

  private async base(): Promise<number | null> {
    return ((await this.lake.load())['current-snapshot-id'] as number | undefined) ?? null
  }

  private async append(count: number, where: { ns: string | null; day: number }): Promise<void> {
    const rows = Array.from({ length: count }, () => this.make(where))
    this.place(rows, await this.lake.append(rows))
  }

  /** Delete rows by position, and for an update write them anew in the same commit. */
  private async change(picks: readonly number[], isUpdate: boolean): Promise<void> {
    if (this.rows.length === 0) return
    const chosen = new Set(picks.map((at) => this.rows[at % this.rows.length] as Placed))
    const baseSnapshotId = await this.base()
    const byFile = groupBy(chosen, ({ file }) => file)
    const addDeletes: DataFile[] = []
    for (const [file, gone] of byFile) addDeletes.push(await this.lake.deleteFile([file, gone.map(({ at }) => at)]))
    const [first] = chosen
    const again = isUpdate && first !== undefined ? [{ ...first.row, x: -1 }] : []
    const addData = again.length > 0 ? [await this.lake.dataFile(again)] : []
    await this.lake.commit({ addDeletes, addData, baseSnapshotId })
    this.rows = this.rows.filter((row) => !chosen.has(row))
    if (addData[0] !== undefined) this.place(again, addData[0])
  }

  private async drop(file: DataFile): Promise<void> {
    await this.lake.commit({ removeData: [file] })
    this.forget([file])
  }

  private forget(gone: readonly DataFile[]): void {
    this.files = this.files.filter((file) => !gone.includes(file))
    this.rows = this.rows.filter(({ file }) => !gone.includes(file))
  }

  /** Write the files of a partition as one. */
  private async compact(like: DataFile): Promise<void> {
    const same = this.files.filter((file) => JSON.stringify(file.partition) === JSON.stringify(like.partition))
    const rows = this.rows.filter(({ file }) => same.includes(file)).map(({ row }) => row)
    const plan = await planScan(this.lake.files, await this.lake.load())
    const tasks = plan.tasks.filter(({ file }) => same.some(({ path }) => path === file.path))
    const dataSequenceNumber = Math.max(...tasks.map((task) => task.sequenceNumber))
    const addData = rows.length > 0 ? [await this.lake.dataFile(rows)] : []
    const change = { addData, removeData: same, isRewrite: true, baseSnapshotId: await this.base(), dataSequenceNumber }
    await this.lake.commit(change)
    this.forget(same)
    if (addData[0] !== undefined) this.place(rows, addData[0])
  }

  private async expire(): Promise<void> {
    const { snapshotIds } = await expireSnapshots(this.lake.committer, this.lake.name, {
      maxSnapshotAgeMs: 0,
      minSnapshots: 2,
    })
    for (const id of snapshotIds) this.past.delete(id)
  }
}

describe('any history of a table', () => {
  it('has its rows, now and in the past, by our plans and by icebird, and is right to the letter', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 14 }), async (steps) => {
        const model = new Model()
        const { lake } = model
        await lake.create({ schema, spec, properties: { 'commit.manifest.min-count-to-merge': '4' } })
        for (const one of steps) await model.run(one)
        const table = await lake.load()
        for (const [snapshotId, ids] of model.past) {
          const plan = await planScan(lake.files, table, { asOf: { snapshotId: snapshotId as number } })
          const found = (await readPlan(lake.files, plan)).map((row) => Number(row.id)).sort((a, b) => a - b)
          expect(found).toEqual(ids)
        }
        const manifests = await planScan(lake.files, table)
        if (manifests.tasks.length > 0) {
          expect((await lake.rows()).map((row) => Number(row.id)).sort((a, b) => a - b)).toEqual(model.ids())
        }
        expect(
          await checkTable(lake.files, await lake.catalog.loadTable(lake.name), { readRows: readExactly }),
        ).toEqual([])
        lake.clock.nowMsIs += 10 * 86_400_000
        expect(await findOrphans(lake.committer, lake.name)).toEqual([])
      }),
      { numRuns: 60 },
    )
  })

  it('plans every row that matches, whatever is asked', async () => {
    const model = new Model()
    const { lake } = model
    await lake.create({ schema, spec })
    for (let day = 0; day < 3; day++) {
      for (const ns of ['a', 'b c', null]) await model.run({ kind: 'append', ns, day, count: 3 })
    }
    const table = await lake.load()
    const noon = 86_400_000_000 + 43_200_000_000
    const matching = async (where: object) => {
      const plan = await planScan(lake.files, table, { where: where as never })
      return { files: plan.tasks.length, pruned: plan.counts.manifestsPruned }
    }
    expect(await matching({ op: 'eq', column: 'ns', value: 'a' })).toEqual({ files: 3, pruned: 6 })
    expect(await matching({ op: 'is-null', column: 'ns' })).toEqual({ files: 3, pruned: 6 })
    expect(await matching({ op: 'lt', column: 'at', value: noon })).toEqual({ files: 6, pruned: 3 })
    expect(await matching({ op: 'eq', column: 'id', value: 5 })).toEqual({ files: 1, pruned: 0 })
    expect(await matching({ op: 'not', arg: { op: 'eq', column: 'ns', value: 'a' } })).toEqual({ files: 3, pruned: 6 })
    expect(await matching({ op: 'false' })).toEqual({ files: 0, pruned: 9 })
  })
})
