/** A table's past: finding snapshots, going back to one, and letting old ones go.
 *  @source https://iceberg.apache.org/spec/ (v2), "Snapshot References", "Snapshot Retention Policy" and appendix F */
import { Failure } from '../../errors.ts'
import type { Long } from '../avro/binary.ts'
import { findRef, numberProperty, type Snapshot, type TableMetadata } from './metadata.ts'
import type { CommitRequest, Requirement, Update } from './update.ts'

/** Which state of the table: the newest of main, of a branch or tag, a snapshot, or what was current at a time. */
export interface AsOf {
  readonly ref?: string
  readonly snapshotId?: Long
  readonly timestampMs?: number
}

/** Get a snapshot by its id.
 *  @throws not_found */
export function getSnapshot(metadata: TableMetadata, id: Long): Snapshot {
  const found = metadata.snapshots.find((snapshot) => snapshot['snapshot-id'] === id)
  if (found === undefined) throw new Failure('not_found', `the table has no snapshot ${id}`)
  return found
}

/** Find the snapshot of a branch or tag; `main` of an empty table has none. */
export function snapshotOfRef(metadata: TableMetadata, ref = 'main'): Snapshot | undefined {
  const id = findRef(metadata, ref)?.['snapshot-id']
  return id === undefined ? undefined : getSnapshot(metadata, id)
}

/** Travel in time.
 *  @returns undefined when the table was empty
 *  @throws not_found for a snapshot or ref that is not there, or a time before the history; invalid for two questions
 *  */
export function snapshotAsOf(metadata: TableMetadata, asOf: AsOf = {}): Snapshot | undefined {
  const { ref, snapshotId, timestampMs } = asOf
  if ([ref, snapshotId, timestampMs].filter((one) => one !== undefined).length > 1) {
    throw new Failure('invalid', 'ask for a ref, a snapshot or a time, not for more than one')
  }
  if (snapshotId !== undefined) return getSnapshot(metadata, snapshotId)
  if (timestampMs === undefined) {
    if (ref !== undefined && ref !== 'main' && findRef(metadata, ref) === undefined) {
      throw new Failure('not_found', `the table has no branch or tag ${ref}`)
    }
    return snapshotOfRef(metadata, ref)
  }
  // The log says what was current; parents would tell another story after a rollback.
  const entry = metadata['snapshot-log'].findLast((one) => one['timestamp-ms'] <= timestampMs)
  if (entry !== undefined) return getSnapshot(metadata, entry['snapshot-id'])
  throw new Failure('not_found', `the table's history does not reach back to ${timestampMs} ms`)
}

/** List a snapshot and those it came from, newest first, as far as they are there. */
export function ancestorsOf(metadata: TableMetadata, id: Long | undefined): Snapshot[] {
  const byId = new Map(metadata.snapshots.map((snapshot) => [snapshot['snapshot-id'], snapshot]))
  const line: Snapshot[] = []
  let at = id === undefined ? undefined : byId.get(id)
  while (at !== undefined) {
    line.push(at)
    const parent = at['parent-snapshot-id']
    at = parent === undefined ? undefined : byId.get(parent)
  }
  return line
}

/** Require that the table and a ref are still as they are in `metadata`. */
export function requireRef(metadata: TableMetadata, ref: string): Requirement[] {
  return [
    { type: 'assert-table-uuid', uuid: metadata['table-uuid'] },
    { type: 'assert-ref-snapshot-id', ref, 'snapshot-id': findRef(metadata, ref)?.['snapshot-id'] ?? null },
  ]
}

/** Point a branch at one of its earlier snapshots.
 *  @throws not_found, invalid when the snapshot is none of its line */
export function rollback(metadata: TableMetadata, snapshotId: Long, ref = 'main'): CommitRequest {
  const current = snapshotOfRef(metadata, ref)
  getSnapshot(metadata, snapshotId)
  if (!ancestorsOf(metadata, current?.['snapshot-id']).some((one) => one['snapshot-id'] === snapshotId)) {
    throw new Failure('invalid', `snapshot ${snapshotId} is no ancestor of ${ref}`)
  }
  const kept = findRef(metadata, ref) ?? { type: 'branch' as const }
  const update: Update = { action: 'set-snapshot-ref', 'ref-name': ref, ...kept, 'snapshot-id': snapshotId }
  return { requirements: requireRef(metadata, ref), updates: [update] }
}

/** How long a branch or tag, and the snapshots of a branch, are kept. */
export interface RefRetention {
  readonly minSnapshots?: number
  readonly maxSnapshotAgeMs?: number
  readonly maxRefAgeMs?: number
}

/** Make a branch or a tag at a snapshot.
 *  @throws exists, not_found */
export function createRef(
  metadata: TableMetadata,
  name: string,
  type: 'branch' | 'tag',
  { snapshotId, retention = {} }: { readonly snapshotId?: Long; readonly retention?: RefRetention } = {},
): CommitRequest {
  if (findRef(metadata, name) !== undefined)
    throw new Failure('exists', `the table has a branch or tag ${name} already`)
  const id = snapshotId ?? metadata['current-snapshot-id']
  if (id === undefined) throw new Failure('not_found', 'the table is empty: there is no snapshot to name')
  getSnapshot(metadata, id)
  const { minSnapshots, maxSnapshotAgeMs, maxRefAgeMs } = retention
  const update: Update = {
    action: 'set-snapshot-ref',
    'ref-name': name,
    type,
    'snapshot-id': id,
    ...(minSnapshots !== undefined && { 'min-snapshots-to-keep': minSnapshots }),
    ...(maxSnapshotAgeMs !== undefined && { 'max-snapshot-age-ms': maxSnapshotAgeMs }),
    ...(maxRefAgeMs !== undefined && { 'max-ref-age-ms': maxRefAgeMs }),
  }
  return { requirements: requireRef(metadata, name), updates: [update] }
}

/** Which snapshots to let go; left out, the table's properties say it. */
export interface ExpireOptions {
  readonly nowMs: number
  readonly maxSnapshotAgeMs?: number
  readonly minSnapshots?: number
}

/** Java's defaults: five days, and one snapshot in any case. */
const snapshotAgeMs = 5 * 86_400_000

/** Find the snapshots and refs that the retention policy lets go.
 *  @returns undefined when there are none */
export function expire(metadata: TableMetadata, options: ExpireOptions): CommitRequest | undefined {
  const { nowMs } = options
  const refAgeMs = numberProperty(metadata, 'history.expire.max-ref-age-ms', Number.MAX_SAFE_INTEGER)
  const expiredRefs: string[] = []
  const kept = new Set<Long>()
  for (const [name, ref] of Object.entries(metadata.refs)) {
    const snapshot = getSnapshot(metadata, ref['snapshot-id'])
    const isOld = nowMs - snapshot['timestamp-ms'] > (ref['max-ref-age-ms'] ?? refAgeMs)
    if (name !== 'main' && isOld) expiredRefs.push(name)
    else for (const id of keptBy(metadata, name, options)) kept.add(id)
  }
  const gone = metadata.snapshots.map((one) => one['snapshot-id']).filter((id) => !kept.has(id))
  if (gone.length === 0 && expiredRefs.length === 0) return undefined
  const updates: Update[] = expiredRefs.map((name) => ({ action: 'remove-snapshot-ref', 'ref-name': name }))
  if (gone.length > 0) updates.push({ action: 'remove-snapshots', 'snapshot-ids': gone })
  // A branch that moves meanwhile may come to need a snapshot that goes.
  const refs = Object.keys(metadata.refs).flatMap((name) => requireRef(metadata, name).slice(1))
  const uuid: Requirement = { type: 'assert-table-uuid', uuid: metadata['table-uuid'] }
  return { requirements: [uuid, ...refs], updates }
}

function keptBy(metadata: TableMetadata, name: string, { nowMs, ...options }: ExpireOptions): Long[] {
  const ref = metadata.refs[name]
  const id = ref?.['snapshot-id']
  if (ref === undefined || id === undefined) return []
  if (ref.type === 'tag') return [id]
  const byTable = numberProperty(metadata, 'history.expire.max-snapshot-age-ms', snapshotAgeMs)
  const maxAgeMs = options.maxSnapshotAgeMs ?? ref['max-snapshot-age-ms'] ?? byTable
  const minByTable = numberProperty(metadata, 'history.expire.min-snapshots-to-keep', 1)
  const min = Math.max(1, options.minSnapshots ?? ref['min-snapshots-to-keep'] ?? minByTable)
  const line = ancestorsOf(metadata, id)
  // The line is cut at the first that goes: what is kept stays connected.
  const cut = line.findIndex((snapshot, at) => at >= min && nowMs - snapshot['timestamp-ms'] > maxAgeMs)
  return (cut < 0 ? line : line.slice(0, cut)).map((snapshot) => snapshot['snapshot-id'])
}
