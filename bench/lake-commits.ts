/** Bench `lake-commits`: a thousand commits to one table, one a minute, as the lake's committer makes them.
 *
 *  Goal (issue 3): the last commit costs at most 1.5 times the 10th. A commit adds the files of 8 shards and says how
 *  far 16 shards have come; snapshots expire every 20 commits, by the retention of the lake's own tables. A commit to
 *  an old table and one to a young table alternate, so that both meet the same noise: single ones, from the 1,000th and
 *  from around the 10th on, and a hundred together, which have merging of manifests and expiry in them. CPU times. */
import { nodeClock, openDiskObjects } from '@dotdo/core/host/node'
import { TIER_COMMITS_PER_EXPIRY, TIER_SNAPSHOT_AGE_MS, TIER_SNAPSHOTS_MIN } from '@dotdo/core/limits'
import { counted, memoryObjects, type ObjectStore, type StoreCounts } from '@dotdo/core/tiering'
import {
  type Committer,
  commitChange,
  type DataFile,
  expireSnapshots,
  fileCatalog,
  LakeFiles,
  makeSchema,
  toBinary,
} from '@dotdo/core/tiering/iceberg'
import { temporaryFolder } from '../core/host/node/testing.ts'
import { type Bench, type BenchRow, compare, exact, quantile } from './bench.ts'

const name = 'lake-commits'
const FILES_PER_COMMIT = 8
const minuteMs = 60_000

const table = { namespace: ['bench'], name: 'events' }
const columns = ['seq', 'ts', 'ns', 'type', 'op', 'id', 'data', 'amount']
const schema = makeSchema(columns.map((column) => ({ name: column, type: /seq|ts/.test(column) ? 'long' : 'string' })))
const ids = schema.fields.map(({ id }) => id)

/** What one commit took. */
interface Cost {
  readonly cpuUs: number
  readonly requests: number
  readonly bytesWritten: number
}

/** Describe a data file of 8 columns; nobody reads it. */
function fileAt(location: string, at: number): DataFile {
  const bound = (value: number) =>
    new Map(
      schema.fields.map(({ id, type }) => [id, toBinary(type as string, type === 'long' ? value : `key ${value}`)]),
    )
  const each = (value: number) => new Map(ids.map((id) => [id, value]))
  return {
    content: 'data',
    path: `${location}/data/${at.toString(16).padStart(12, '0')}.parquet`,
    format: 'PARQUET',
    specId: 0,
    partition: [],
    recordCount: 10_000,
    sizeBytes: 1_000_000,
    columnSizes: each(100_000),
    valueCounts: each(10_000),
    nullCounts: each(0),
    lowerBounds: bound(at),
    upperBounds: bound(at + 1),
    splitOffsets: [4],
    sortOrderId: 0,
  }
}

const requestsOf = (counts: Readonly<StoreCounts>) =>
  counts.get + counts.head + counts.put + counts.delete + counts.list

/** A table that is committed to, once a simulated minute. */
interface Growing {
  /** Commit, and expire when it is time. @returns what that took */
  commit(): Promise<Cost>
}

async function grow(objects: ObjectStore): Promise<Growing> {
  const store = counted(objects)
  let nowMs = 1_800_000_000_000
  const clock = { ...nodeClock, nowMs: () => nowMs }
  const files = new LakeFiles({ store, root: 's3://bench', chance: clock })
  const committer: Committer = { catalog: fileCatalog({ files, clock }), files, clock }
  await committer.catalog.createNamespace(table.namespace)
  const properties = {
    'history.expire.max-snapshot-age-ms': `${TIER_SNAPSHOT_AGE_MS}`,
    'history.expire.min-snapshots-to-keep': `${TIER_SNAPSHOTS_MIN}`,
  }
  const { metadata } = await committer.catalog.createTable(table, { schema, properties })
  let at = 0
  return {
    async commit() {
      nowMs += minuteMs
      const from = ++at * FILES_PER_COMMIT
      const addData = Array.from({ length: FILES_PER_COMMIT }, (_, file) => fileAt(metadata.location, from + file))
      const shards = Array.from({ length: 16 }, (_, shard) => [shard, ['k3j5h2g7f8d9', 1, at * 1_000]])
      const summary = { 'dotdo.positions': JSON.stringify(Object.fromEntries(shards)) }
      const before = { ...store.counts }
      const start = process.cpuUsage()
      await commitChange(committer, table, { addData, summary })
      if (at % TIER_COMMITS_PER_EXPIRY === 0) await expireSnapshots(committer, table)
      const { user, system } = process.cpuUsage(start)
      const bytesWritten = store.counts.writtenBytes - before.writtenBytes
      return { cpuUs: user + system, requests: requestsOf(store.counts) - requestsOf(before), bytesWritten }
    },
  }
}

interface Opened {
  readonly store: ObjectStore
  remove(): void
}

/** How much is measured. */
interface Sizes {
  readonly commits: number
  readonly rounds: number
  /** Commits of a round that are compared one by one, the 10th in their middle. */
  readonly singles: number
  /** Commits of a round that are compared together. */
  readonly together: number
}

const sizes: Sizes = { commits: 1_000, rounds: 7, singles: 11, together: 100 }
const quickSizes: Sizes = { commits: 20, rounds: 1, singles: 3, together: 20 }

/** Commit to both in turn.
 *  @returns what each took, the old one first */
async function alternately(old: Growing, young: Growing, count: number): Promise<[old: Cost[], young: Cost[]]> {
  const both: [Cost[], Cost[]] = [[], []]
  const sides = [old, young] as const
  for (let at = 0; at < count; at++) {
    for (const side of at % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) both[side].push(await sides[side].commit())
  }
  return both
}

const figures = (costs: readonly Cost[], figure: keyof Cost) => costs.map((cost) => cost[figure])
const median = (costs: readonly Cost[], figure: keyof Cost) => quantile(figures(costs, figure), 0.5)
const mean = (costs: readonly Cost[]) => costs.reduce((sum, { cpuUs }) => sum + cpuUs, 0) / costs.length

/** Measure one kind of store.
 *  @param open makes an empty one */
async function measure(
  kind: string,
  open: () => Promise<Opened>,
  { commits, rounds, singles, together }: Sizes,
  progress: (text: string) => void,
): Promise<BenchRow[]> {
  const opened: Opened[] = []
  const start = async () => {
    const one = await open()
    opened.push(one)
    return grow(one.store)
  }
  try {
    const old = await start()
    for (let at = 1; at < commits - (singles >> 1); at++) {
      if (at % 50 === 0) progress(`${kind}: commit ${at}`)
      await old.commit()
    }
    const one: [Cost[], Cost[]] = [[], []]
    const many: [number[], number[]] = [[], []]
    for (let round = 1; round <= rounds; round++) {
      progress(`${kind}: round ${round} of ${rounds}`)
      const young = await start()
      for (let at = 1; at < 10 - (singles >> 1); at++) await young.commit()
      for (const [side, costs] of (await alternately(old, young, singles)).entries()) one[side as 0 | 1].push(...costs)
      const fresh = await start()
      for (const [side, costs] of (await alternately(old, fresh, together)).entries())
        many[side as 0 | 1].push(mean(costs))
    }
    const row = (what: string, unit: string, found: Omit<BenchRow, 'name' | 'case' | 'unit'>): BenchRow => {
      return { name, case: `${kind}: ${what}`, unit, ...found }
    }
    const counts = (figure: keyof Cost) => exact(median(one[0], figure), median(one[1], figure))
    return [
      row(
        `CPU of commit ${commits}, against the 10th`,
        'us',
        compare(figures(one[0], 'cpuUs'), figures(one[1], 'cpuUs')),
      ),
      row(`mean CPU of ${together} commits after it, against the first ${together}`, 'us', compare(...many)),
      row(`requests of commit ${commits}, against the 10th`, 'requests', counts('requests')),
      row(`bytes written by commit ${commits}, against the 10th`, 'bytes', counts('bytesWritten')),
    ]
  } finally {
    for (const { remove } of opened) remove()
  }
}

async function inMemory(): Promise<Opened> {
  return { store: memoryObjects(nodeClock), remove: () => {} }
}

async function onDisk(): Promise<Opened> {
  const folder = temporaryFolder()
  const store = await openDiskObjects(folder.path, { durability: 'normal' })
  const remove = () => {
    store.close()
    folder.remove()
  }
  return { store, remove }
}

/** A thousand commits to one table. */
export const lakeCommits: Bench = {
  name,
  about: 'a thousand commits to one Iceberg table: the last against the 10th',
  async run({ quick, progress }) {
    const size = quick ? quickSizes : sizes
    return [...(await measure('memory', inMemory, size, progress)), ...(await measure('disk', onDisk, size, progress))]
  },
}
