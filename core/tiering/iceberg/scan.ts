/** Scan planning: which files must be read for a predicate, and which deletes apply to each.
 *
 *  1. Manifests are left out by their partition summaries, files by their partition and by the bounds of their columns.
 *  2. A position delete applies to data of its partition that is as old or older, an equality delete to data that is
 *     older, of its partition or, when its spec has no fields, of every one.
 *  @source https://iceberg.apache.org/spec/ (v2), "Scan Planning" */
import { type DataFile, isVector, type ManifestEntry } from './data-file.ts'
import { always, type BoundPredicate, bind, type Predicate } from './expression.ts'
import type { LakeFiles } from './files.ts'
import { type AsOf, snapshotAsOf } from './history.ts'
import { extentOfSummary, type ManifestFile } from './manifest-list.ts'
import { columnTypes, findRef, type Snapshot, schemaOf, specOf, type TableMetadata } from './metadata.ts'
import { type Extent, mightMatch } from './metrics.ts'
import { type PartitionSpec, partitionKey, type TypeOf, tupleTypes } from './partition.ts'
import { project, residual, testPartition } from './projection.ts'
import type { Schema } from './schema.ts'
import { mayName } from './validate.ts'

/** What to read. */
export interface ScanOptions {
  readonly asOf?: AsOf
  /** Everything when left out. */
  readonly where?: Predicate
}

/** A file to read. */
export interface ScanTask {
  readonly file: DataFile
  readonly sequenceNumber: number
  /** Delete files to apply; their order does not matter. */
  readonly deletes: readonly DataFile[]
  /** What is left to test of the predicate, for each row. */
  readonly residual: BoundPredicate
}

/** What was left out, and what was looked at. */
export interface ScanCounts {
  readonly manifests: number
  readonly manifestsPruned: number
  readonly files: number
  readonly filesPruned: number
}

/** A plan. */
export interface ScanPlan {
  /** Undefined when the table was empty. */
  readonly snapshot: Snapshot | undefined
  /** The schema to read by: of a snapshot asked for by id, time or tag, the one of then. */
  readonly schema: Schema
  readonly tasks: readonly ScanTask[]
  readonly counts: ScanCounts
}

/** Plan a scan.
 *  @throws not_found for a snapshot, ref or column that is not there, invalid for a predicate of another type
 *  @cost the manifest list, and the manifests that are not left out; those read before are in memory */
export async function planScan(
  files: LakeFiles,
  table: TableMetadata,
  { asOf, where }: ScanOptions = {},
): Promise<ScanPlan> {
  const snapshot = snapshotAsOf(table, asOf)
  const schema = schemaToRead(table, snapshot, asOf)
  const predicate = where === undefined ? always : bind(where, schema)
  if (snapshot === undefined) {
    return { snapshot, schema, tasks: [], counts: { manifests: 0, manifestsPruned: 0, files: 0, filesPruned: 0 } }
  }
  const manifests = await files.manifestList(snapshot['manifest-list'])
  const scan = new Scan(table, predicate)
  const wanted = manifests.filter((manifest) => scan.wantsManifest(manifest))
  const entries = await Promise.all(wanted.map((manifest) => files.manifest(manifest, table)))
  const live = entries.flat().filter(({ status }) => status !== 'deleted')
  const data = live.filter(({ file }) => file.content === 'data')
  const kept = data.filter(({ file }) => scan.wantsFile(file))
  const index = new DeleteIndex(
    scan,
    live.filter(({ file }) => file.content !== 'data' && scan.wantsFile(file)),
  )
  const tasks = kept.map((entry) => scan.task(entry, index))
  const counts = {
    manifests: manifests.length,
    manifestsPruned: manifests.length - wanted.length,
    files: data.length,
    filesPruned: data.length - kept.length,
  }
  return { snapshot, schema, tasks, counts }
}

/** A snapshot of the past is read by the schema of then, a branch by the table's.
 *  @source Iceberg Java, SnapshotUtil.schemaFor */
function schemaToRead(table: TableMetadata, snapshot: Snapshot | undefined, asOf: AsOf = {}): Schema {
  const isBranch = asOf.snapshotId === undefined && asOf.timestampMs === undefined && isBranchRef(table, asOf.ref)
  const id = snapshot?.['schema-id']
  const isThere = table.schemas.some((schema) => schema['schema-id'] === id)
  return isBranch || id === undefined || !isThere ? schemaOf(table) : schemaOf(table, id)
}

const isBranchRef = (metadata: TableMetadata, ref = 'main') => findRef(metadata, ref)?.type !== 'tag'

/** What is needed of a spec, worked out once. */
interface SpecPlan {
  readonly spec: PartitionSpec
  readonly types: readonly string[]
  readonly projected: BoundPredicate
  /** Places of the fields, by their ids. */
  readonly places: ReadonlyMap<number, number>
}

class Scan {
  private readonly table: TableMetadata
  private readonly predicate: BoundPredicate
  private readonly typeOf: TypeOf
  private readonly plans = new Map<number, SpecPlan>()

  constructor(table: TableMetadata, predicate: BoundPredicate) {
    this.table = table
    this.predicate = predicate
    this.typeOf = columnTypes(table)
  }

  private plan(specId: number): SpecPlan {
    const known = this.plans.get(specId)
    if (known !== undefined) return known
    const spec = specOf(this.table, specId)
    const projected = project(this.predicate, spec, this.typeOf, 'inclusive')
    const places = new Map(spec.fields.map((field, at) => [field['field-id'], at]))
    const made = { spec, types: tupleTypes(spec, this.typeOf), projected, places }
    this.plans.set(specId, made)
    return made
  }

  wantsManifest({ specId, partitions, addedFiles, existingFiles }: ManifestFile): boolean {
    if (addedFiles + existingFiles === 0) return false
    if (partitions === undefined) return true
    const { projected, places } = this.plan(specId)
    return mightMatch(projected, (id) => {
      const summary = partitions[places.get(id) ?? -1]
      return summary && extentOfSummary(summary)
    })
  }

  wantsFile(file: DataFile): boolean {
    const { projected, spec } = this.plan(file.specId)
    if (!isGlobalDelete(file, spec) && !testPartition(projected, spec, file.partition)) return false
    // Position deletes have bounds of paths, not of columns.
    if (file.content === 'position-deletes') return true
    const isNamed = (id: number) => file.content === 'data' || file.equalityIds?.includes(id) === true
    // Of a delete by value, only the columns it compares say which rows it can be about.
    return mightMatch(this.predicate, (id) => (isNamed(id) ? extentOfColumn(file, id) : undefined))
  }

  task({ file, sequenceNumber = 0 }: ManifestEntry, index: DeleteIndex): ScanTask {
    const { spec } = this.plan(file.specId)
    const deletes = index.deletesOf(file, sequenceNumber)
    return { file, sequenceNumber, deletes, residual: residual(this.predicate, spec, this.typeOf, file.partition) }
  }

  /** Name a file's partition. */
  partitionOf({ specId, partition }: DataFile): string {
    return `${specId}:${partitionKey(this.plan(specId).types, partition)}`
  }

  isGlobal(file: DataFile): boolean {
    return isGlobalDelete(file, this.plan(file.specId).spec)
  }
}

const isGlobalDelete = ({ content }: DataFile, { fields }: PartitionSpec) =>
  content === 'equality-deletes' && fields.length === 0

/** See what a manifest says of a column. A column that the file has not says nothing. */
function extentOfColumn(file: DataFile, id: number): Extent | undefined {
  const values = file.valueCounts?.get(id)
  const nulls = file.nullCounts?.get(id)
  const nans = file.nanCounts?.get(id)
  const lower = file.lowerBounds?.get(id)
  const upper = file.upperBounds?.get(id)
  if (values === undefined && lower === undefined && upper === undefined) return undefined
  const isKnown = nulls !== undefined && values !== undefined
  return {
    lower,
    upper,
    hasNan: nans === undefined ? undefined : nans > 0,
    nulls: !isKnown ? undefined : nulls === 0 ? 'none' : nulls >= values ? 'all' : 'some',
  }
}

/** Finds the deletes of a file without looking at all of them. */
class DeleteIndex {
  private readonly scan: Scan
  private readonly byPath = new Map<string, ManifestEntry[]>()
  private readonly byPartition = new Map<string, ManifestEntry[]>()
  private readonly global: ManifestEntry[] = []

  constructor(scan: Scan, entries: readonly ManifestEntry[]) {
    this.scan = scan
    const bySequence = entries.toSorted((a, b) => (a.sequenceNumber ?? 0) - (b.sequenceNumber ?? 0))
    for (const entry of bySequence) {
      const { file } = entry
      const path = file.content === 'position-deletes' ? file.referencedDataFile : undefined
      if (path !== undefined) push(this.byPath, path, entry)
      else if (scan.isGlobal(file)) this.global.push(entry)
      else push(this.byPartition, scan.partitionOf(file), entry)
    }
  }

  deletesOf(data: DataFile, sequence: number): DataFile[] {
    const near = this.byPartition.size === 0 ? [] : (this.byPartition.get(this.scan.partitionOf(data)) ?? [])
    const candidates = [...this.global, ...near, ...(this.byPath.get(data.path) ?? [])]
    const applying = candidates
      .filter(({ file, sequenceNumber = 0 }) => {
        if (file.content === 'equality-deletes') return sequence < sequenceNumber
        return sequence <= sequenceNumber && mayName(file, data.path)
      })
      .map(({ file }) => file)
    // A deletion vector holds all that was deleted by position.
    if (!applying.some(isVector)) return applying
    return applying.filter((file) => isVector(file) || file.content === 'equality-deletes')
  }
}

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const known = map.get(key)
  if (known === undefined) map.set(key, [value])
  else known.push(value)
}
