/** The committer of one table: gathers what the shards have written and makes one snapshot of it.
 *
 *  1. A snapshot says of every shard how far it holds it, and by which receipt. A receipt begins where the snapshot
 *     before ends, and every attempt looks whether that still holds: so two committers cannot commit one receipt twice,
 *     nor lose what the other has said.
 *  2. Whatever happened to the committer before, the table and the shards tell it: a receipt that the table names is
 *     settled, one that fits is committed, and one that does not is discarded.
 *  3. A shard that is not where the table says, and has no receipt that explains it, has been restored. */
import { TIER_COMMIT_TRIES_MAX, TIER_DELETES_PER_TURN, TIER_ROWS_PER_TURN } from '../../limits.ts'
import type { Clock } from '../../shard/clock.ts'
import { murmur3 } from '../../shard/hash.ts'
import type { Catalog, LoadedTable, TableName } from '../iceberg/catalog.ts'
import { commitChange } from '../iceberg/commit.ts'
import type { DataFile } from '../iceberg/data-file.ts'
import { type DeleteTarget, deleteRows, writeDeletes } from '../iceberg/deletes.ts'
import type { LakeFiles } from '../iceberg/files.ts'
import { snapshotOfRef } from '../iceberg/history.ts'
import type { Snapshot, TableMetadata } from '../iceberg/metadata.ts'
import { isStaleChange, staleChange } from '../iceberg/requirement.ts'
import type { Change } from '../iceberg/work.ts'
import type { ParquetCodecs } from '../parquet/read-page.ts'
import type { Compressor } from '../zstd.ts'
import type { DeletesCursor } from './flush-calls.ts'
import type { Places } from './places.ts'
import { fileIdOf, toDataFile } from './plain.ts'
import {
  formatPositions,
  type Positions,
  type Reached,
  readPositions,
  samePosition,
  writePositions,
} from './positions.ts'
import type { TableReport } from './program.ts'
import { rowsOfShard } from './resync.ts'
import type { TierShards } from './shards.ts'
import type { KeptReceipt } from './state.ts'
import { ThreadShare } from './thread-share.ts'

/** What committers work with. */
export interface CommitterTools {
  readonly catalog: Catalog
  readonly files: LakeFiles
  readonly clock: Clock
  readonly compressor: Compressor
  readonly codecs: ParquetCodecs
}

/** A table and the shards it is of. */
export interface TierTable {
  /** In the database's namespace. */
  readonly table: string
  readonly name: TableName
  readonly shards: TierShards
}

/** What a round of commits did. */
export interface CommitReport {
  /** Undefined when there was nothing to commit. */
  readonly snapshot: Snapshot | undefined
  readonly loaded: LoadedTable
  readonly receipts: readonly KeptReceipt[]
  /** Shards that have been restored, and where the table has them. */
  readonly restored: ReadonlyMap<number, Reached | null>
}

/** What a shard says of the table. */
interface Said {
  readonly shard: number
  readonly report: TableReport
  readonly receipt: KeptReceipt | undefined
}

/** Commit what is ready, and settle what is committed.
 *  @throws unavailable when the outcome is not known: called again, it finds out */
export async function commitTable(tools: CommitterTools, table: TierTable): Promise<CommitReport> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await commitOnce(tools, table)
    } catch (error) {
      if (!isStaleChange(error) || attempt >= TIER_COMMIT_TRIES_MAX) throw error
    }
  }
}

async function commitOnce(tools: CommitterTools, table: TierTable): Promise<CommitReport> {
  const said = await gather(table)
  const loaded = await tools.catalog.loadTable(table.name)
  for (const { shard, report } of said)
    if (report.settling !== undefined) await settle(tools, table, shard, report.settling)
  const positions = await readPositions(tools.files, loaded.metadata)
  const { ready, committed, restored } = await sort(table, said, positions)
  for (const { shard, receipt } of committed) await settle(tools, table, shard, receipt.id)
  if (ready.length === 0) return { snapshot: undefined, loaded, receipts: [], restored }
  const { metadata } = loaded
  let read: Promise<LiveFiles> | undefined
  const live = () => {
    read ??= liveFiles(tools.files, metadata)
    return read
  }
  const known: Deleting[] = []
  const lost = new Map(restored)
  for (const one of ready) {
    const deleting = await gatherDeletes(table, one, live)
    if (deleting !== undefined) known.push(deleting)
    else {
      // Its index names files that the table does not have: it is written anew, like one that was restored.
      await discard(table, one.shard, one.receipt)
      lost.set(one.shard, positions.get(one.shard) ?? null)
    }
  }
  if (known.length === 0) return { snapshot: undefined, loaded, receipts: [], restored: lost }
  const change = await changeOf(tools, table, { metadata, positions, live, ready: known })
  const done = await commitChange(tools, table.name, change, commitIdOf(known))
  for (const { shard, receipt } of known) await settle(tools, table, shard, receipt.id)
  return { snapshot: done.snapshot, loaded: done.table, receipts: known.map(({ receipt }) => receipt), restored: lost }
}

async function gather({ table, shards }: TierTable): Promise<Said[]> {
  return shards.each((shard) => gatherOne({ table, shards }, shard))
}

async function gatherOne({ table, shards }: Pick<TierTable, 'table' | 'shards'>, shard: number): Promise<Said> {
  const [reports, receipt] = (await shards.askAll(shard, ['status', { tables: [table] }], ['receipt', { table }])) as [
    TableReport[],
    KeptReceipt | null,
  ]
  return { shard, report: reports[0] as TableReport, receipt: receipt ?? undefined }
}

type Ready = { readonly shard: number; readonly receipt: KeptReceipt }

interface Sorted {
  readonly ready: readonly Ready[]
  readonly committed: readonly Ready[]
  readonly restored: ReadonlyMap<number, Reached | null>
}

async function sort(table: TierTable, said: readonly Said[], positions: Positions): Promise<Sorted> {
  const ready: Ready[] = []
  const committed: Ready[] = []
  const restored = new Map<number, Reached | null>()
  for (const first of said) {
    const { shard } = first
    const reached = positions.get(shard)
    let one = first
    // It may have gone on since it was asked: then it is where the table says by now.
    if (verdict(one, reached) === 'restored') one = await gatherOne(table, shard)
    const { receipt } = one
    const is = verdict(one, reached)
    if (is === 'restored') {
      if (receipt !== undefined) await discard(table, shard, receipt)
      restored.set(shard, reached ?? null)
    } else if (is === 'ready' && receipt !== undefined) ready.push({ shard, receipt })
    else if (is === 'committed' && receipt !== undefined) committed.push({ shard, receipt })
  }
  return { ready, committed, restored }
}

function verdict({ report, receipt }: Said, reached: Reached | undefined): 'ready' | 'committed' | 'idle' | 'restored' {
  if (receipt === undefined) return samePosition(reached, report.watermark) ? 'idle' : 'restored'
  if (reached?.receipt === receipt.id) return 'committed'
  return samePosition(reached, receipt.from) ? 'ready' : 'restored'
}

async function settle(
  { clock }: CommitterTools,
  { table, shards }: TierTable,
  shard: number,
  receipt: string,
): Promise<void> {
  const args = { table, receipt, limit: TIER_ROWS_PER_TURN }
  const turns = new ThreadShare(clock).join()
  while ((await shards.ask<{ more: boolean }>(shard, 'settle', args)).more) await turns.pause()
}

async function discard({ table, shards }: TierTable, shard: number, { id: receipt }: KeptReceipt): Promise<void> {
  const args = { table, receipt, limit: TIER_ROWS_PER_TURN }
  while ((await shards.ask<{ more: boolean }>(shard, 'discard', args)).more);
}

/** A receipt, and the rows that are not so any more when it is committed: positions by the file's id. */
interface Deleting extends Ready {
  readonly places: ReadonlyMap<number, ReadonlySet<number>>
}

interface Making {
  readonly metadata: TableMetadata
  readonly positions: Positions
  /** Read when it is needed: tables that are appended to need it never. */
  readonly live: () => Promise<LiveFiles>
  readonly ready: readonly Deleting[]
}

async function changeOf(tools: CommitterTools, table: TierTable, making: Making): Promise<Change> {
  const { files, clock } = tools
  const { metadata, positions, ready } = making
  const addData = ready.flatMap(({ receipt }) => receipt.files.map(({ file }) => toDataFile(file)))
  const deletes = await deletesOf(tools, { ...making, addData })
  const reached = new Map(positions)
  for (const { shard, receipt } of ready) reached.set(shard, { ...receipt.to, receipt: receipt.id })
  const before = formatPositions(positions)
  return {
    ...deletes,
    addData,
    baseSnapshotId: snapshotOfRef(metadata)?.['snapshot-id'] ?? null,
    summary: await writePositions(files, metadata, { positions: reached, chance: clock }),
    async check(now) {
      if (formatPositions(await readPositions(files, now)) === before) return
      throw staleChange(`another committer has moved ${table.table} on`)
    },
  }
}

/** Name a commit by its receipts, so that it is found again whoever makes it. */
function commitIdOf(ready: readonly Ready[]): string {
  const ids = ready.map(({ receipt }) => receipt.id).sort()
  const text = ids.join()
  return `tier-${[1, 2, 3, 4].map((seed) => murmur3(text, seed).toString(16).padStart(8, '0')).join('')}`
}

/** Write the deletes of rows that are not so any more. */
async function deletesOf(
  tools: CommitterTools,
  { metadata, live, ready, addData }: Making & { readonly addData: readonly DataFile[] },
): Promise<Pick<Change, 'addDeletes' | 'removeDeletes' | 'referencedDataFiles'>> {
  const { files, compressor, codecs } = tools
  const own = new Map(addData.map((file) => [fileIdOf(file.path), file]))
  const paths = new Map<string, Set<number>>()
  const mine = new Map<number, Set<number>>()
  const isDeleting = ready.some(({ receipt, places }) => receipt.resync || places.size > 0)
  if (!isDeleting) return {}
  const { byId, byPath: filesByPath } = await live()
  for (const { shard, receipt, places } of ready) {
    if (receipt.resync) await rowsOfShard(tools, metadata, { shard, paths })
    for (const [id, positions] of places) {
      const path = byId.get(id)?.path
      if (path === undefined) addAll(mine, id, positions)
      else addAll(paths, path, positions)
    }
  }
  const fresh = targetsOf(mine, (id) => own.get(id))
  const committed = targetsOf(paths, (path) => filesByPath.get(path))
  if (fresh.length + committed.length === 0) return {}
  const referencedDataFiles = committed.map(({ file }) => file.path)
  if (metadata['format-version'] < 3) {
    const { addDeletes } = await deleteRows(files, metadata, [...committed, ...fresh], { compressor, codecs })
    return { addDeletes, referencedDataFiles }
  }
  const byPath = new Map(committed.map(({ file, positions }) => [file.path, positions]))
  const there = await writeDeletes(files, metadata, byPath, { compressor, codecs })
  const made = await deleteRows(files, metadata, fresh, { compressor, codecs })
  const addDeletes = [...there.addDeletes, ...made.addDeletes]
  return { addDeletes, removeDeletes: there.removeDeletes, referencedDataFiles }
}

function addAll<K>(into: Map<K, Set<number>>, key: K, positions: ReadonlySet<number>): void {
  const known = into.get(key) ?? new Set()
  for (const position of positions) known.add(position)
  into.set(key, known)
}

function targetsOf<K>(
  places: ReadonlyMap<K, ReadonlySet<number>>,
  fileOf: (key: K) => DataFile | undefined,
): (DeleteTarget & { readonly positions: number[] })[] {
  return [...places].flatMap(([key, positions]) => {
    const file = fileOf(key)
    return file === undefined ? [] : [{ file, positions: [...positions].sort((a, b) => a - b) }]
  })
}

/** Ask a shard which rows are not so any more.
 *  @returns undefined when it names files that the table does not have */
async function gatherDeletes(
  { table, shards }: TierTable,
  { shard, receipt }: Ready,
  live: () => Promise<LiveFiles>,
): Promise<Deleting | undefined> {
  const own = new Set(receipt.files.map(({ id }) => id))
  const places = new Map<number, Set<number>>()
  let after: DeletesCursor | undefined
  do {
    const args = { table, receipt: receipt.id, after, limit: TIER_DELETES_PER_TURN }
    const piece = await shards.ask<{ deletes: Places[]; gone?: true; after?: DeletesCursor }>(shard, 'deletes', args)
    const byId = piece.deletes.length === 0 ? new Map() : (await live()).byId
    for (const one of piece.deletes) {
      // Of two places, at most one is in the table: before a rewrite, or after it.
      const at = one.find(({ file }) => own.has(file) || (byId.has(file) && !receipt.resync))
      // Of a shard that was restored, the table itself tells what is there.
      if (at === undefined && !receipt.resync && !piece.gone) return undefined
      if (at !== undefined) addAll(places, at.file, new Set([at.pos]))
    }
    after = piece.after
  } while (after !== undefined)
  return { shard, receipt, places }
}

/** The data files of a snapshot. */
export interface LiveFiles {
  readonly byId: ReadonlyMap<number, DataFile>
  readonly byPath: ReadonlyMap<string, DataFile>
}

/** Find the data files of a table's newest snapshot. */
export async function liveFiles(files: LakeFiles, metadata: TableMetadata): Promise<LiveFiles> {
  const snapshot = snapshotOfRef(metadata)
  const byId = new Map<number, DataFile>()
  const byPath = new Map<string, DataFile>()
  const manifests = snapshot === undefined ? [] : await files.manifestList(snapshot['manifest-list'])
  for (const manifest of manifests) {
    if (manifest.content !== 'data') continue
    for (const { status, file } of await files.manifest(manifest, metadata)) {
      if (status === 'deleted') continue
      const id = fileIdOf(file.path)
      if (id !== undefined) byId.set(id, file)
      byPath.set(file.path, file)
    }
  }
  return { byId, byPath }
}
