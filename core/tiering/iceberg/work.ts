/** What the parts of making a snapshot share: the change, the manifests on their way, and writing each once. */
import { assert } from '../../errors.ts'
import type { Long } from '../avro/binary.ts'
import type { DataFile, ManifestEntry } from './data-file.ts'
import type { LakeFiles } from './files.ts'
import { writeManifest } from './manifest.ts'
import type { ManifestContent, ManifestFile } from './manifest-list.ts'
import { columnTypes, schemaOf, specOf, type TableMetadata } from './metadata.ts'

/** A change of a table's files. */
export interface Change {
  /** Data files to add. */
  readonly addData?: readonly DataFile[]
  /** Delete files to add. */
  readonly addDeletes?: readonly DataFile[]
  /** Data files to remove, or all. Deletes that are of removed files only are removed with them. */
  readonly removeData?: readonly DataFile[] | 'all'
  /** Delete files to remove. */
  readonly removeDeletes?: readonly DataFile[]
  /** The files hold the same rows as before: compaction. */
  readonly isRewrite?: boolean
  /** The age of the added rows, when they are older than the commit: compaction. */
  readonly dataSequenceNumber?: number
  /** The ages of added data files that differ from that, by path: files that only move keep their own. */
  readonly sequenceNumbers?: ReadonlyMap<string, number>
  /** The snapshot that the change was made from, null for an empty table. Rewrites and deletes by position need it:
   * what
   *  was committed since is looked at, and a change that it invalidates is refused as stale. */
  readonly baseSnapshotId?: Long | null
  /** Data files that added deletes are of; they must be there still. */
  readonly referencedDataFiles?: readonly string[]
  /** The branch; `main` when left out. */
  readonly branch?: string
  /** More properties of the summary. */
  readonly summary?: { readonly [key: string]: string }
  /** Asked before every attempt whether the change still belongs on the newest state.
   *  @throws whatever shall end the commit */
  readonly check?: (metadata: TableMetadata) => void | Promise<void>
}

/** Find the age that an added data file has; undefined for the commit's own. */
export function sequenceOf(
  { dataSequenceNumber, sequenceNumbers }: Change,
  { path }: Pick<DataFile, 'path'>,
): number | undefined {
  return sequenceNumbers?.get(path) ?? dataSequenceNumber
}

/** A manifest of the next snapshot; with its entries while it is new. */
export interface Listed {
  readonly manifest: ManifestFile
  /** With their own numbers; undefined for what gets the commit's. */
  readonly entries?: readonly ManifestEntry[]
}

/** A change on its way into a table: what has been written for it so far. */
export interface Work {
  readonly files: LakeFiles
  readonly change: Change
  readonly snapshotId: Long
  /** In the names of the files. */
  readonly name: string
  /** Manifests that were written, by what they are. */
  readonly made: Map<string, readonly Listed[]>
  /** Every manifest and list that was written. */
  readonly written: Set<string>
}

/** The folder of a table's metadata. */
export function metadataFolder(table: Pick<TableMetadata, 'location' | 'properties'>): string {
  return table.properties['write.metadata.path'] ?? `${table.location}/metadata`
}

/** The folder of a table's data and delete files. */
export function dataFolder(table: Pick<TableMetadata, 'location' | 'properties'>): string {
  return table.properties['write.data.path'] ?? `${table.location}/data`
}

/** Gather values by a key, in the order of their first. */
export function groupBy<K, V>(values: Iterable<V>, keyOf: (value: V) => K): Map<K, V[]> {
  const groups = new Map<K, V[]>()
  for (const value of values) {
    const key = keyOf(value)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [value])
    else group.push(value)
  }
  return groups
}

/** Do some work for each of many things, so many at a time, in their order.
 *  @throws the first failure, once what was under way has ended */
export async function inParallel<T>(
  things: readonly T[],
  count: number,
  work: (thing: T) => Promise<unknown>,
): Promise<void> {
  let next = 0
  let failed = false
  const one = async () => {
    while (next < things.length && !failed) {
      await work(things[next++] as T).catch((error) => {
        failed = true
        throw error
      })
    }
  }
  const results = await Promise.allSettled(Array.from({ length: Math.min(count, things.length) }, one))
  for (const result of results) if (result.status === 'rejected') throw result.reason
}

/** A manifest to write. */
export interface NewManifest {
  /** What it is; the same key is not written twice for one change. */
  readonly key: string
  /** At least one, all of one spec. */
  readonly entries: readonly ManifestEntry[]
  readonly content: ManifestContent
}

/** Write a manifest, unless an attempt before has. */
export async function writeOnce(work: Work, table: TableMetadata, plan: NewManifest): Promise<readonly Listed[]> {
  const { key, entries, content } = plan
  const known = work.made.get(key)
  if (known !== undefined) return known
  const first = entries[0]
  assert(first !== undefined, `manifest ${key} has no entries`)
  const path = `${metadataFolder(table)}/${work.name}-m${work.written.size}.avro`
  const { bytes, manifest } = writeManifest(entries, {
    path,
    schema: schemaOf(table),
    spec: specOf(table, first.file.specId),
    typeOf: columnTypes(table),
    content,
    version: table['format-version'],
    snapshotId: work.snapshotId,
    sync: work.files.sync(),
  })
  work.written.add(path)
  await work.files.write(path, bytes)
  const listed = [{ manifest, entries }]
  work.made.set(key, listed)
  return listed
}
