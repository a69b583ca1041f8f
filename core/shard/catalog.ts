/** The catalog: which databases exist, their maps and their options. A program on a shard of its own, written with
 *  drizzle-orm over the same Sql port. */
import { and, asc, eq, gt, isNotNull } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/durable-sqlite'
import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import { Failure } from '../errors.ts'
import { POLICIES_CHARS_MAX } from '../limits.ts'
import type { MapData } from './map.ts'
import type { MoveState } from './move.ts'
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
  /** The move under way, as it was kept last. */
  move?: MoveState
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
  /** Keep a newer map, and forget the move that led to it. Answers null. */
  publish: { name: string; map: MapData }
  /** Keep a move that begins. Answers null. */
  begin: { name: string; move: MoveState }
  /** Keep how far a move is; an older state than the one kept changes nothing. Answers null. */
  advance: { name: string; move: MoveState }
  /** Answers what was set, or null. */
  policies: { name: string }
  /** Set what a database's rows do; null for nothing. Only when it is `expected`, if that is given. Answers null. */
  setPolicies: { name: string; value: unknown; expected?: unknown }
  /** Answers `{ name, policies }[]` of the databases that have any, by name. */
  withPolicies: { after: string; limit: number }
}

/** A row of the catalog. */
type DatabaseRow = {
  name: string
  epoch: number
  shards: number
  map: string
  created: number
  move: string | null
  /** JSON of what its rows do; null when nobody has set it. */
  policies: string | null
}

/** The catalog's table, as the shard knows it. */
export const databasesTable = table<DatabaseRow>({
  name: 'databases',
  collection: 'databases',
  columns: {
    name: 'text',
    epoch: 'integer',
    shards: 'integer',
    map: 'text',
    created: 'integer',
    move: 'text?',
    policies: 'text?',
  },
  primaryKey: ['name'],
  withoutRowid: true,
  indexes: { policies: '(name) where policies is not null' },
  document: (row) => ({
    ...row,
    map: JSON.parse(row.map),
    move: row.move && JSON.parse(row.move),
    policies: row.policies && JSON.parse(row.policies),
  }),
  documentId: (key) => String(key.name),
})

/** The same table, as drizzle knows it. */
const databases = sqliteTable('databases', {
  name: text().primaryKey(),
  epoch: integer().notNull(),
  shards: integer().notNull(),
  map: text().notNull(),
  created: integer().notNull(),
  move: text(),
  policies: text(),
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
    const entry = existing(tx, name)
    const { map: known, move, createdMs } = entry
    // A reply that was lost makes its caller ask again.
    if (map.epoch === known.epoch && JSON.stringify(map) === JSON.stringify(known)) return null
    if (map.epoch <= known.epoch) {
      throw new Failure('conflict', `the map of ${name} is at epoch ${known.epoch}; ${map.epoch} is not newer`)
    }
    if (move !== undefined && move.epoch !== map.epoch) throw moveUnderWay(entry)
    put(tx, { name, map, createdMs })
    return null
  },
  begin(tx, { name, move }) {
    const entry = existing(tx, name)
    if (entry.move !== undefined) throw moveUnderWay(entry)
    if (move.epoch !== entry.map.epoch + 1) {
      throw new Failure('conflict', `a move to epoch ${move.epoch} does not begin at epoch ${entry.map.epoch}`)
    }
    put(tx, { ...entry, move })
    return null
  },
  advance(tx, { name, move }) {
    const entry = existing(tx, name)
    const known = entry.move
    if (known?.epoch !== move.epoch) {
      // The move is done and forgotten; only a late message still speaks of it.
      if (move.epoch <= entry.map.epoch) return null
      throw new Failure('conflict', `no move of ${name} to epoch ${move.epoch} was begun`)
    }
    if (move.version > known.version) put(tx, { ...entry, move })
    return null
  },
  policies: (tx, { name }) => policiesOf(existingRow(tx, name)),
  setPolicies(tx, { name, value, expected }) {
    const row = existingRow(tx, name)
    if (expected !== undefined && row.policies !== policiesText(expected)) {
      throw new Failure('conflict', `the policies of ${name} have changed since they were read; read them again`)
    }
    tx.put(databasesTable, { ...row, policies: policiesText(value) })
    return null
  },
  withPolicies(tx, { after, limit }) {
    const db = drizzle(storageOf(tx))
    return db
      .select()
      .from(databases)
      .where(and(gt(databases.name, after), isNotNull(databases.policies)))
      .orderBy(asc(databases.name))
      .limit(limit)
      .all()
      .map((row) => ({ name: row.name, policies: policiesOf(row) }))
  },
}

function existing(tx: Tx, name: string): CatalogEntry {
  const entry = find(tx, name)
  if (entry === null) throw new Failure('not_found', `no database ${name}`)
  return entry
}

function moveUnderWay({ name, move }: CatalogEntry): Failure {
  return new Failure('conflict', `a move of ${name} to epoch ${move?.epoch} is under way; it must be finished first`)
}

function findRow(tx: Tx, name: string): DatabaseRow | undefined {
  return drizzle(storageOf(tx)).select().from(databases).where(eq(databases.name, name)).all()[0]
}

function existingRow(tx: Tx, name: string): DatabaseRow {
  const row = findRow(tx, name)
  if (row === undefined) throw new Failure('not_found', `no database ${name}`)
  return row
}

function find(tx: Tx, name: string): CatalogEntry | null {
  const row = findRow(tx, name)
  return row === undefined ? null : toEntry(row)
}

function policiesOf({ policies }: DatabaseRow): unknown {
  return policies === null ? null : JSON.parse(policies)
}

/** Write policies as they are kept, and compared: whatever the order of their fields. */
function policiesText(value: unknown): string | null {
  if (value === null) return null
  const text = JSON.stringify(value, (_, part: unknown) => {
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part
    return Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
  if (text === undefined) throw new Failure('invalid', 'policies must be something that JSON can write')
  if (text.length > POLICIES_CHARS_MAX) {
    throw new Failure('limit', `the policies of a database have at most ${POLICIES_CHARS_MAX} chars`)
  }
  return text
}

/** Store an entry; what it does not speak of stays as it is. */
function put(tx: Tx, entry: CatalogEntry): void {
  const policies = findRow(tx, entry.name)?.policies ?? null
  tx.put(databasesTable, { ...rowOf(entry), policies })
}

function insert(tx: Tx, { name, map, nowMs }: CatalogCalls['create']): CatalogEntry {
  const entry: CatalogEntry = { name, map, createdMs: nowMs }
  put(tx, entry)
  return entry
}

function rowOf({ name, map, createdMs, move }: CatalogEntry): Omit<DatabaseRow, 'policies'> {
  const kept = move === undefined ? null : JSON.stringify(move)
  return { name, epoch: map.epoch, shards: map.count, map: JSON.stringify(map), created: createdMs, move: kept }
}

function toEntry(row: DatabaseRow): CatalogEntry {
  const { name, created: createdMs } = row
  const entry: CatalogEntry = { name, map: JSON.parse(row.map) as MapData, createdMs }
  if (row.move !== null) entry.move = JSON.parse(row.move) as MoveState
  return entry
}
