/** The catalog: which databases exist, their maps and their options. A program on a shard of its own, written with
 *  drizzle-orm over the same Sql port. */
import { asc, eq, gt } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/durable-sqlite'
import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import { Failure } from '../errors.ts'
import type { MapData } from './map.ts'
import type { Call, Program, Tx } from './program.ts'
import type { SqlValue } from './sql.ts'
import { table } from './table.ts'

/** The name of the catalog's program. */
export const CATALOG = 'catalog'

/** One database as the catalog knows it. */
export interface CatalogEntry {
  name: string
  map: MapData
  createdMs: number
}

/** Arguments by call name; the answers are named beside them. */
export interface CatalogCalls {
  /** Answers CatalogEntry, made now when it was not there. */
  ensure: { name: string; map: MapData; nowMs: number }
  /** Answers CatalogEntry. */
  create: { name: string; map: MapData; nowMs: number }
  /** Answers CatalogEntry or null. */
  find: { name: string }
  /** Answers CatalogEntry[], by name. */
  list: { after: string; limit: number }
  /** Keep a newer map. Answers null. */
  publish: { name: string; map: MapData }
}

/** A row of the catalog. */
type DatabaseRow = { name: string; epoch: number; shards: number; map: string; created: number }

/** The catalog's table, as the shard knows it. */
export const databasesTable = table<DatabaseRow>({
  name: 'databases',
  collection: 'databases',
  columns: { name: 'text', epoch: 'integer', shards: 'integer', map: 'text', created: 'integer' },
  primaryKey: ['name'],
  withoutRowid: true,
  document: (row) => ({ ...row, map: JSON.parse(row.map) }),
  documentId: (key) => String(key.name),
})

/** The same table, as drizzle knows it. */
const databases = sqliteTable('databases', {
  name: text().primaryKey(),
  epoch: integer().notNull(),
  shards: integer().notNull(),
  map: text().notNull(),
  created: integer().notNull(),
})

/** Present a Tx in the shape of a Durable Object's storage, which drizzle's driver takes. */
function storageOf(tx: Tx): Parameters<typeof drizzle>[0] {
  const exec = (query: string, ...values: SqlValue[]) => ({
    toArray: () => tx.all(query, ...values),
    next: () =>
      tx
        .all(query, ...values)
        .values()
        .next(),
    raw: () => ({ toArray: () => tx.raw(query, ...values) }),
  })
  const storage = { sql: { exec }, transactionSync: <T>(work: () => T) => tx.attempt(work) }
  return storage as unknown as Parameters<typeof drizzle>[0]
}

/** The catalog's program. */
export const catalogProgram: Program = {
  name: CATALOG,
  tables: [databasesTable],
  run(tx: Tx, call: Call): unknown {
    const handler = handlers[call.name as keyof CatalogCalls]
    if (handler === undefined) throw new Failure('unsupported', `the catalog has no call ${call.name}`)
    return (handler as (tx: Tx, args: unknown) => unknown)(tx, call.args)
  },
}

const handlers: { [Name in keyof CatalogCalls]: (tx: Tx, args: CatalogCalls[Name]) => unknown } = {
  ensure: (tx, args) => find(tx, args.name) ?? insert(tx, args),
  create(tx, args) {
    if (find(tx, args.name) !== null) throw new Failure('exists', `database ${args.name} exists already`)
    return insert(tx, args)
  },
  find: (tx, { name }) => find(tx, name),
  list(tx, { after, limit }) {
    const db = drizzle(storageOf(tx))
    return db
      .select()
      .from(databases)
      .where(gt(databases.name, after))
      .orderBy(asc(databases.name))
      .limit(limit)
      .all()
      .map(toEntry)
  },
  publish(tx, { name, map }) {
    const known = find(tx, name)
    if (known === null) throw new Failure('not_found', `no database ${name}`)
    if (map.epoch <= known.map.epoch) {
      throw new Failure('conflict', `the map of ${name} is at epoch ${known.map.epoch}; ${map.epoch} is not newer`)
    }
    tx.put(databasesTable, rowOf({ name, map, createdMs: known.createdMs }))
    return null
  },
}

function find(tx: Tx, name: string): CatalogEntry | null {
  const [row] = drizzle(storageOf(tx)).select().from(databases).where(eq(databases.name, name)).all()
  return row === undefined ? null : toEntry(row)
}

function insert(tx: Tx, { name, map, nowMs }: CatalogCalls['create']): CatalogEntry {
  const entry: CatalogEntry = { name, map, createdMs: nowMs }
  tx.put(databasesTable, rowOf(entry))
  return entry
}

function rowOf({ name, map, createdMs }: CatalogEntry): DatabaseRow {
  return { name, epoch: map.epoch, shards: map.count, map: JSON.stringify(map), created: createdMs }
}

function toEntry(row: DatabaseRow): CatalogEntry {
  return { name: row.name, map: JSON.parse(row.map) as MapData, createdMs: row.created }
}
