/** The tables that SQL sees: what shards declare and what the lake has, found by name.
 *
 *  1. `database.collection` has the columns of the relation, then what the lake's table has besides (columns that the
 *     relation once had), then the hidden ones: `_id`, `_shard`, `_seq`, `_at`.
 *  2. `database.changes` and `database.dead_letters` are there for every database. Any other table in the database's
 *     namespace of the lake is a table as well.
 *  3. Names are found exactly, or else in any letters' case when that is not ambiguous. */
import { Failure } from '../../errors.ts'
import { DATABASES_PER_PAGE_MAX, SQL_DESCRIBED_TABLES_MAX } from '../../limits.ts'
import type { Database, Fabric } from '../../shard/fabric.ts'
import type { Relation, RelationColumn } from '../../shard/relation.ts'
import type { Table } from '../../shard/table.ts'
import type { Catalog } from '../iceberg/catalog.ts'
import type { LakeFiles } from '../iceberg/files.ts'
import { schemaOf, type TableMetadata } from '../iceberg/metadata.ts'
import type { Schema } from '../iceberg/schema.ts'
import { type IcebergType, isPrimitive } from '../iceberg/types.ts'
import { beginTable, changesTable, deadLettersTable, hiddenColumns } from '../tier/schemas.ts'
import { findColumn } from './condition.ts'
import type { SqlColumn, SqlTable } from './port.ts'

/** The lake's catalog and files. */
export interface SqlLake {
  readonly catalog: Catalog
  readonly files: LakeFiles
}

/** Where tables are looked for. */
export interface SqlSource {
  readonly fabric: Fabric
  /** What the fabric's programs declare; tables without a relation are not shown. */
  readonly tables: readonly Table[]
  readonly lake?: SqlLake | undefined
}

/** What of a table is hot: rows of a relation, entries of the log, or nothing. */
export type HotKind = 'rows' | 'changes' | 'none'

/** A column of a table. */
export interface FoundColumn {
  readonly name: string
  readonly type: IcebergType
  /** Whether shards have it. */
  readonly isHot: boolean
}

/** A table that was found. */
export interface FoundTable {
  readonly database: string
  readonly table: string
  readonly hot: HotKind
  readonly relation?: Relation | undefined
  /** The lake's state of it; undefined when it is not in the lake. */
  readonly metadata?: TableMetadata | undefined
  readonly columns: readonly FoundColumn[]
}

const hiddenNames = new Set(hiddenColumns.map(({ name }) => name))

/** List a table's columns.
 *  @param schema of the lake, or of a snapshot; undefined when it is not there */
export function mergeColumns(relation: Relation | undefined, schema: Schema | undefined): FoundColumn[] {
  const fields = schema?.fields ?? []
  const wider = (column: RelationColumn) => fields.find(({ name }) => name === column.name)?.type ?? column.type
  const declared = (relation?.columns ?? []).map((column) => {
    return { name: column.name, type: wider(column), isHot: true }
  })
  const names = new Set(declared.map(({ name }) => name))
  const isMirror = relation !== undefined
  const others = fields.filter(({ name }) => !names.has(name) && !(isMirror && hiddenNames.has(name)))
  const hidden = isMirror ? hiddenColumns.map(({ name, type }) => ({ name, type, isHot: true })) : []
  return [...declared, ...others.map(({ name, type }) => ({ name, type, isHot: false })), ...hidden]
}

/** Finds tables. */
export class SqlTables {
  private readonly source: SqlSource

  constructor(source: SqlSource) {
    this.source = source
  }

  /** Find a database without making it.
   *  @throws not_found */
  async database(name: string): Promise<Database> {
    // Looking up a name that no database can have would be answered with `invalid`.
    const entry = await this.source.fabric.find(name)
    if (entry === undefined) throw new Failure('not_found', `no database ${name}`)
    return this.source.fabric.database(entry.name)
  }

  /** Find a table.
   *  @throws not_found for the database or the table */
  async find(database: string, name: string): Promise<FoundTable> {
    const relations = this.relations()
    const declared = findColumn([...relations, ...fixed.map((one) => ({ name: one }))], name)?.name
    const inLake = await this.lakeName(database, declared ?? name, declared === undefined)
    if (declared === undefined && inLake === undefined) {
      await this.database(database)
      throw new Failure('not_found', `no table ${name} in database ${database}`)
    }
    const table = declared ?? (inLake as string)
    const metadata = inLake === undefined ? undefined : await this.load(database, inLake)
    if (metadata === undefined) await this.database(database)
    return this.found(database, table, metadata)
  }

  private relations(): { name: string; relation: Relation }[] {
    return this.source.tables.flatMap(({ collection: name, relation }) =>
      relation === undefined ? [] : [{ name, relation }],
    )
  }

  private found(database: string, table: string, metadata: TableMetadata | undefined): FoundTable {
    const schema = metadata && schemaOf(metadata)
    if (fixed.includes(table)) {
      const columns = mergeColumns(undefined, schema ?? beginTable(table).schema)
      const hot = table === changesTable ? 'changes' : 'none'
      return { database, table, hot, metadata, columns: columns.map((one) => ({ ...one, isHot: hot === 'changes' })) }
    }
    const relation = this.relations().find(({ name }) => name === table)?.relation
    const columns = mergeColumns(relation, schema)
    return { database, table, hot: relation === undefined ? 'none' : 'rows', relation, metadata, columns }
  }

  /** Find the lake's name of a table.
   *  @param isLoose also in other letters' case, which takes a list */
  private async lakeName(database: string, name: string, isLoose: boolean): Promise<string | undefined> {
    const { lake } = this.source
    if (lake === undefined || !isLoose) return lake === undefined ? undefined : name
    const tables = await orAbsent(lake.catalog.listTables([database]))
    return tables && findColumn(tables, name)?.name
  }

  private async load(database: string, name: string): Promise<TableMetadata | undefined> {
    const { lake } = this.source
    return (await (lake && orAbsent(lake.catalog.loadTable({ namespace: [database], name }))))?.metadata
  }

  /** List tables, of one database or of all, up to a bound.
   *  @throws not_found */
  async describe(database?: string): Promise<SqlTable[]> {
    if (database !== undefined) {
      await this.database(database)
      return this.describeOne(database)
    }
    const tables: SqlTable[] = []
    for (let after = ''; ; ) {
      const page = await this.source.fabric.list(after, DATABASES_PER_PAGE_MAX)
      for (const { name } of page) {
        if (tables.length >= SQL_DESCRIBED_TABLES_MAX) return tables
        tables.push(...(await this.describeOne(name)))
      }
      const last = page.at(-1)
      if (last === undefined || page.length < DATABASES_PER_PAGE_MAX) return tables
      after = last.name
    }
  }

  /** List the names of databases, up to a bound. */
  async databases(): Promise<string[]> {
    return (await this.source.fabric.list('', DATABASES_PER_PAGE_MAX)).map(({ name }) => name)
  }

  private async describeOne(database: string): Promise<SqlTable[]> {
    const { lake } = this.source
    const inLake = new Set(
      ((await (lake && orAbsent(lake.catalog.listTables([database])))) ?? []).map(({ name }) => name),
    )
    const names = [...new Set([...this.relations().map(({ name }) => name), ...fixed, ...inLake])].sort()
    return Promise.all(
      names.map(async (name) => {
        const metadata = inLake.has(name) ? await this.load(database, name) : undefined
        const { table, hot, columns } = this.found(database, name, metadata)
        return { database, table, columns: columns.map(toSqlColumn), hot: hot !== 'none', cold: metadata !== undefined }
      }),
    )
  }
}

const fixed: readonly string[] = [changesTable, deadLettersTable]

function toSqlColumn({ name, type }: FoundColumn): SqlColumn {
  return { name, type: isPrimitive(type) ? type.replace(/\s/g, '') : type.type }
}

/** Wait for what may not be there. */
async function orAbsent<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work
  } catch (error) {
    if (error instanceof Failure && error.code === 'not_found') return undefined
    throw error
  }
}
