/** Reads payloads out of the lake by their places: file and row. Files never change, and stay until the last snapshot
 *  that names them expires; so a place that a shard knows can be read, whatever has been committed since. */
import { Failure } from '../../errors.ts'
import type { RelationValue } from '../../shard/relation.ts'
import type { SqlValue } from '../../shard/sql.ts'
import type { Table } from '../../shard/table.ts'
import type { Catalog, TableName } from '../iceberg/catalog.ts'
import type { LakeFiles } from '../iceberg/files.ts'
import type { ManifestFile } from '../iceberg/manifest-list.ts'
import { schemaOf, type TableMetadata } from '../iceberg/metadata.ts'
import { readColumns } from '../parquet/read.ts'
import type { ParquetCache } from '../parquet/read-cache.ts'
import { openParquet } from '../parquet/read-file.ts'
import type { ParquetCodecs } from '../parquet/read-page.ts'
import { objectSource } from '../parquet/read-source.ts'
import { fileIdOf } from './plain.ts'
import type { Place } from './relocation.ts'

/** Where payloads are read from. */
export interface PayloadTools {
  readonly catalog: Catalog
  readonly files: LakeFiles
  readonly codecs: ParquetCodecs
  /** For footers; nothing is kept when left out. */
  readonly cache?: ParquetCache
}

/** Name a table of a database's lake. */
export function tableName(database: string, table: string): TableName {
  return { namespace: [database], name: table }
}

/** Name a place in a map. */
export function placeText({ file, pos }: Place): string {
  return `${file}:${pos}`
}

interface Known {
  readonly metadata: TableMetadata
  /** Paths by the ids of the files. */
  readonly paths: Map<number, string>
  /** Whether the files of all its snapshots are among them, not only those of the newest. */
  readonly isWhole: boolean
}

/** Reads payloads. */
export class Payloads {
  private readonly tools: PayloadTools
  private readonly known = new Map<string, Known>()

  constructor(tools: PayloadTools) {
    this.tools = tools
  }

  /** Read the payloads of rows.
   *  @returns them by `placeText`; places that are not in the lake any more have none
   *  @cost one file opened for each that is named, and the pages of those rows */
  async read(database: string, table: Table, places: readonly Place[]): Promise<Map<string, SqlValue>> {
    const byFile = new Map<number, number[]>()
    for (const { file, pos } of places) byFile.set(file, [...(byFile.get(file) ?? []), pos])
    const found = new Map<string, SqlValue>()
    for (const [file, positions] of byFile) {
      const known = await this.find(database, table.collection, file)
      const path = known?.paths.get(file)
      if (known === undefined || path === undefined) continue
      await this.readFile(known.metadata, { path, file, table, positions, found })
    }
    return found
  }

  private async readFile(metadata: TableMetadata, { path, file, table, positions, found }: Reading): Promise<void> {
    const { files, codecs, cache } = this.tools
    const relation = table.relation
    const { payload } = relation ?? {}
    if (relation === undefined || payload === undefined) {
      throw new Failure('internal', `rows of ${table.collection} have no payload`)
    }
    const names = new Set(relation.columns.map(({ name }) => name))
    const fields = schemaOf(metadata).fields.filter(({ name }) => names.has(name))
    const { store, key } = files.placeOf(path)
    const reader = await openParquet(objectSource(store, key, path), { codecs, cache })
    const wanted = [...new Set(positions)].sort((a, b) => a - b)
    for await (const batch of readColumns(reader, { fields, positions: wanted })) {
      for (let at = 0; at < batch.rows; at++) {
        const values = batch.columns.map((column) => column[at] ?? null) as RelationValue[]
        const row = Object.fromEntries(fields.map(({ name }, index) => [name, values[index] ?? null]))
        const pos = batch.positions?.[at] ?? batch.firstRow + at
        found.set(placeText({ file, pos }), payload.fromLake(row) as SqlValue)
      }
    }
  }

  /** Find the path of a file: in the newest snapshot, else in those before it. */
  private async find(database: string, collection: string, file: number): Promise<Known | undefined> {
    const name = `${database}/${collection}`
    const known = this.known.get(name)
    if (known?.paths.has(file)) return known
    const { metadata } = await this.tools.catalog.loadTable(tableName(database, collection))
    const isSame = known?.metadata['last-sequence-number'] === metadata['last-sequence-number']
    if (isSame && known?.isWhole === true) return known
    const newest = await this.pathsOf(metadata, metadata.refs.main?.['snapshot-id'])
    const made = newest.has(file)
      ? { metadata, paths: newest, isWhole: false }
      : { metadata, paths: await this.pathsOf(metadata), isWhole: true }
    this.known.set(name, made)
    return made
  }

  /** List data files of one snapshot, or of all. */
  private async pathsOf(metadata: TableMetadata, id?: number | bigint): Promise<Map<number, string>> {
    const { files } = this.tools
    const manifests = new Map<string, ManifestFile>()
    for (const snapshot of metadata.snapshots) {
      if (id !== undefined && snapshot['snapshot-id'] !== id) continue
      for (const manifest of await files.manifestList(snapshot['manifest-list'])) {
        if (manifest.content === 'data') manifests.set(manifest.path, manifest)
      }
    }
    const paths = new Map<number, string>()
    for (const manifest of manifests.values()) {
      for (const { file } of await files.manifest(manifest, metadata)) {
        const known = fileIdOf(file.path)
        if (known !== undefined) paths.set(known, file.path)
      }
    }
    return paths
  }
}

interface Reading {
  readonly path: string
  readonly file: number
  readonly table: Table
  readonly positions: readonly number[]
  readonly found: Map<string, SqlValue>
}
