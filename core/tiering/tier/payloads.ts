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
import type { Places } from './places.ts'
import { fileIdOf } from './plain.ts'

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
   *  @returns them in the order of the rows; undefined for one that is at none of its places any more
   *  @cost one file opened for each that is named, and the pages of those rows */
  async read(database: string, table: Table, rows: readonly Places[]): Promise<(SqlValue | undefined)[]> {
    const found: (SqlValue | undefined)[] = rows.map(() => undefined)
    // What is known of the files may be older than the files: then it is read anew, once.
    for (const isSecond of [false, true]) {
      const missing = rows.flatMap((_, at) => (found[at] === undefined ? [at] : []))
      if (missing.length === 0) break
      if (isSecond) this.known.delete(`${database}/${table.collection}`)
      await this.readRows({ database, table, rows, found }, missing)
    }
    return found
  }

  private async readRows({ database, table, rows, found }: ReadingRows, missing: readonly number[]): Promise<void> {
    const byFile = new Map<string, { readonly known: Known; readonly at: Map<number, number[]> }>()
    for (const at of missing) {
      const place = await this.find(database, table.collection, rows[at] ?? [])
      if (place === undefined) continue
      const { path, known, pos } = place
      const file = byFile.get(path) ?? { known, at: new Map<number, number[]>() }
      byFile.set(path, file)
      file.at.set(pos, [...(file.at.get(pos) ?? []), at])
    }
    for (const [path, { known, at }] of byFile) {
      for (const [pos, payload] of await this.readFile(known.metadata, { path, table, positions: [...at.keys()] })) {
        for (const row of at.get(pos) ?? []) found[row] = payload
      }
    }
  }

  /** @returns payloads by position; none when the file is gone */
  private async readFile(metadata: TableMetadata, { path, table, positions }: Reading): Promise<Map<number, SqlValue>> {
    const { files, codecs, cache } = this.tools
    const { relation } = table
    const { payload } = relation ?? {}
    if (relation === undefined || payload === undefined) {
      throw new Failure('internal', `rows of ${table.collection} have no payload`)
    }
    const names = new Set(relation.columns.map(({ name }) => name))
    const fields = schemaOf(metadata).fields.filter(({ name }) => names.has(name))
    const wanted = positions.toSorted((a, b) => a - b)
    const { store, key } = files.placeOf(path)
    const found = new Map<number, SqlValue>()
    try {
      const reader = await openParquet(objectSource(store, key, path), { codecs, cache })
      for await (const batch of readColumns(reader, { fields, positions: wanted })) {
        for (let at = 0; at < batch.rows; at++) {
          const values = batch.columns.map((column) => column[at] ?? null) as RelationValue[]
          const row = Object.fromEntries(fields.map(({ name }, index) => [name, values[index] ?? null]))
          found.set(batch.positions?.[at] ?? batch.firstRow + at, payload.fromLake(row) as SqlValue)
        }
      }
    } catch (error) {
      if (!(error instanceof Failure) || error.code !== 'not_found') throw error
    }
    return found
  }

  /** Find the file of a row: in the newest snapshot, else in those before it. */
  private async find(database: string, collection: string, places: Places): Promise<Found | undefined> {
    const name = `${database}/${collection}`
    const known = this.known.get(name)
    const found = known && among(known, places)
    if (found !== undefined) return found
    const { metadata } = await this.tools.catalog.loadTable(tableName(database, collection))
    const isSame = known?.metadata['last-sequence-number'] === metadata['last-sequence-number']
    if (isSame && known?.isWhole === true) return undefined
    const newest = {
      metadata,
      paths: await this.pathsOf(metadata, metadata.refs.main?.['snapshot-id']),
      isWhole: false,
    }
    const there = among(newest, places)
    const made = there !== undefined ? newest : { metadata, paths: await this.pathsOf(metadata), isWhole: true }
    this.known.set(name, made)
    return there ?? among(made, places)
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
  readonly table: Table
  readonly positions: readonly number[]
}

interface ReadingRows {
  readonly database: string
  readonly table: Table
  readonly rows: readonly Places[]
  readonly found: (SqlValue | undefined)[]
}

interface Found {
  readonly path: string
  readonly known: Known
  readonly pos: number
}

/** Find the first of a row's places whose file is known. */
function among(known: Known, places: Places): Found | undefined {
  for (const { file, pos } of places) {
    const path = known.paths.get(file)
    if (path !== undefined) return { path, known, pos }
  }
  return undefined
}
