/** What streams hold: a row an entry, a group, a consumer, and a delivery that was not acknowledged.
 *
 *  1. Entries are ordered by id (stream-ids.ts). Their fields are one packed value (stream-fields.ts), maybe cold.
 *  2. Counts (a group's and a consumer's pending deliveries) stand in their rows and are kept up with each change.
 *  3. Rows of groups are no content of the key: they wake nobody, and no WATCH sees them. */
import { type Bin, binToJson, fromBin } from '@dotdo/core/bytes'
import { murmur3, type Table, table } from '@dotdo/core/shard'
import type { Stored } from '../tables.ts'
import { idOf, idPart, keyColumns, nameColumn, timeColumn } from './columns.ts'
import { fieldsFromLake, fieldsText, unpackFields } from './stream-fields.ts'
import { fromEight, ID_MIN, idText } from './stream-ids.ts'

/** An entry of a stream. */
export type EntryRow = {
  slot: number
  db: number
  key: Bin
  id: Bin
  /** Fields and values, packed. */
  fields: Stored
}

/** A consumer group. */
export type GroupRow = {
  slot: number
  db: number
  key: Bin
  name: Bin
  /** The id delivered last. */
  last: Bin
  /** How many entries had been added up to there, as 8 bytes; null when that is not known. */
  read: Bin | null
  /** The greatest id that ever was pending: beyond it no delivery need be looked for. */
  top: Bin
  /** How many deliveries are pending. */
  pending: number
}

/** A consumer of a group. */
export type ConsumerRow = {
  slot: number
  db: number
  key: Bin
  group_name: Bin
  name: Bin
  /** When it last asked for something, in ms since 1970. */
  seen: number
  /** When it last got something; null for never. */
  active: number | null
  /** How many deliveries are pending. */
  pending: number
}

/** A delivery that was not acknowledged. */
export type PendingRow = {
  slot: number
  db: number
  key: Bin
  group_name: Bin
  id: Bin
  consumer: Bin
  /** When it was delivered last, in ms since 1970. */
  delivered: number
  /** How often it was delivered. */
  count: number
}

type InKey = { db: number; key: Bin }
const hashOf = ({ db = 0, key = '' }: Partial<InKey>, rest: Bin) => murmur3(rest, murmur3(key, db))
const sameKey = (a: Partial<InKey>, b: Partial<InKey>) => a.key === b.key && a.db === b.db
const timeOf = (ms: number) => Math.min(ms, Number.MAX_SAFE_INTEGER / 1000)
const idColumn = { name: 'id', type: 'string', required: true, value: ({ id }: { id: Bin }) => idText(id) } as const

/** The time in an entry's id, as far as dates go. */
function timeOfId(id: Bin): number {
  return timeOf(Number(fromEight(id)))
}

/** The entries of all streams. */
export const entries = table<EntryRow>({
  name: 'redis_entries',
  collection: 'entries',
  columns: { slot: 'integer', db: 'integer', key: 'bin', id: 'bin', fields: 'bin?' },
  primaryKey: ['slot', 'db', 'key', 'id'],
  withoutRowid: true,
  buffered: true,
  identity: { hash: (row) => hashOf(row, row.id ?? ''), same: (a, b) => a.id === b.id && sameKey(a, b) },
  document: ({ db, key, id, fields }) => ({
    db,
    key: binToJson(key),
    id: idText(id),
    fields: unpackFields(fields as Bin).map(([name, value]) => [binToJson(name), binToJson(value)]),
  }),
  documentId: ({ db, key = '', id = ID_MIN }) => idOf(db, `${idPart(key)}/${idText(id)}`),
  relation: {
    columns: [
      ...keyColumns<EntryRow>(),
      idColumn,
      { name: 'time', type: 'timestamptz', required: true, value: ({ id }) => timeColumn(timeOfId(id)) },
      { name: 'fields', type: 'string', value: ({ fields }) => fieldsText(fields) ?? null },
      {
        name: 'bytes',
        type: 'binary',
        value: ({ fields }) => (fields === null || fieldsText(fields) !== undefined ? null : fromBin(fields as Bin)),
      },
    ],
    payload: { column: 'fields', isCold: ({ fields }) => fields === null, fromLake: fieldsFromLake },
  },
})

/** The groups of all streams. */
export const groups = table<GroupRow>({
  name: 'redis_groups',
  collection: 'groups',
  columns: {
    slot: 'integer',
    db: 'integer',
    key: 'bin',
    name: 'bin',
    last: 'bin',
    read: 'bin?',
    top: 'bin',
    pending: 'integer',
  },
  primaryKey: ['slot', 'db', 'key', 'name'],
  withoutRowid: true,
  buffered: true,
  identity: { hash: (row) => hashOf(row, row.name ?? ''), same: (a, b) => a.name === b.name && sameKey(a, b) },
  document: ({ db, key, name, last, pending }) => ({
    db,
    key: binToJson(key),
    group: binToJson(name),
    last: idText(last),
    pending,
  }),
  documentId: ({ db, key = '', name = '' }) => idOf(db, `${idPart(key)}/${idPart(name)}`),
  relation: {
    columns: [
      ...keyColumns<GroupRow>(),
      { name: 'group_name', type: 'string', required: true, value: ({ name }) => nameColumn(name) },
      { name: 'last', type: 'string', required: true, value: ({ last }) => idText(last) },
      { name: 'pending', type: 'long', required: true, value: ({ pending }) => pending },
    ],
  },
})

/** The consumers of all groups. */
export const consumers = table<ConsumerRow>({
  name: 'redis_consumers',
  collection: 'consumers',
  columns: {
    slot: 'integer',
    db: 'integer',
    key: 'bin',
    group_name: 'bin',
    name: 'bin',
    seen: 'integer',
    active: 'integer?',
    pending: 'integer',
  },
  primaryKey: ['slot', 'db', 'key', 'group_name', 'name'],
  withoutRowid: true,
  buffered: true,
  identity: {
    hash: (row) => hashOf(row, `${row.group_name}/${row.name}`),
    same: (a, b) => a.name === b.name && a.group_name === b.group_name && sameKey(a, b),
  },
  document: ({ db, key, group_name, name, seen, active, pending }) => ({
    db,
    key: binToJson(key),
    group: binToJson(group_name),
    consumer: binToJson(name),
    seen,
    active,
    pending,
  }),
  documentId: ({ db, key = '', group_name = '', name = '' }) =>
    idOf(db, `${idPart(key)}/${idPart(group_name)}/${idPart(name)}`),
  relation: {
    columns: [
      ...keyColumns<ConsumerRow>(),
      { name: 'group_name', type: 'string', required: true, value: ({ group_name }) => nameColumn(group_name) },
      { name: 'consumer', type: 'string', required: true, value: ({ name }) => nameColumn(name) },
      { name: 'seen', type: 'timestamptz', required: true, value: ({ seen }) => timeColumn(seen) },
      { name: 'active', type: 'timestamptz', value: ({ active }) => timeColumn(active) },
      { name: 'pending', type: 'long', required: true, value: ({ pending }) => pending },
    ],
  },
})

/** The pending deliveries of all groups. */
export const deliveries = table<PendingRow>({
  name: 'redis_deliveries',
  collection: 'deliveries',
  columns: {
    slot: 'integer',
    db: 'integer',
    key: 'bin',
    group_name: 'bin',
    id: 'bin',
    consumer: 'bin',
    delivered: 'integer',
    count: 'integer',
  },
  primaryKey: ['slot', 'db', 'key', 'group_name', 'id'],
  withoutRowid: true,
  buffered: true,
  identity: {
    hash: (row) => hashOf(row, `${row.id}${row.group_name}`),
    same: (a, b) => a.id === b.id && a.group_name === b.group_name && sameKey(a, b),
  },
  indexes: { consumer: '(slot, db, key, group_name, consumer, id)' },
  document: ({ db, key, group_name, id, consumer, delivered, count }) => ({
    db,
    key: binToJson(key),
    group: binToJson(group_name),
    id: idText(id),
    consumer: binToJson(consumer),
    delivered,
    count,
  }),
  documentId: ({ db, key = '', group_name = '', id = ID_MIN }) =>
    idOf(db, `${idPart(key)}/${idPart(group_name)}/${idText(id)}`),
  relation: {
    columns: [
      ...keyColumns<PendingRow>(),
      { name: 'group_name', type: 'string', required: true, value: ({ group_name }) => nameColumn(group_name) },
      idColumn,
      { name: 'consumer', type: 'string', required: true, value: ({ consumer }) => nameColumn(consumer) },
      { name: 'delivered', type: 'timestamptz', required: true, value: ({ delivered }) => timeColumn(delivered) },
      { name: 'count', type: 'long', required: true, value: ({ count }) => count },
    ],
  },
})

/** The tables of consumer groups. */
export const groupTables: readonly Table[] = [groups, consumers, deliveries]
