/** What the keys of collections hold: a row an element, in tables of their own.
 *
 *  1. The key's row counts them (`size`); a key goes with its last element.
 *  2. Items of a list stand in blocks (list-blocks.ts); large ones in rows of their own, by their numbers.
 *  3. Members of a set are ordered by their hash, as fields are: SSCAN needs no memory.
 *  4. Members of a sorted set are kept as those of a set, and ordered by score and name through an index.
 *  5. Of streams, see stream-tables.ts. */
import { type Bin, binToJson } from '@dotdo/core/bytes'
import { murmur3, type Table, table } from '@dotdo/core/shard'
import { fields, type KeyRow, type KeyType, type Stored } from '../tables.ts'
import { idOf, idPart, keyColumns, nameColumn, valueColumns, valueFromLake } from './columns.ts'
import { blocks } from './list-blocks.ts'
import { consumers, deliveries, entries, groups, groupTables } from './stream-tables.ts'

/** A large item of a list. */
export type ItemRow = {
  slot: number
  db: number
  key: Bin
  /** Its number: a whole one. */
  position: number
  value: Stored
}

/** A member of a set. */
export type MemberRow = {
  slot: number
  db: number
  key: Bin
  hash: number
  member: Bin
}

/** A member of a sorted set. */
export type ScoreRow = {
  slot: number
  db: number
  key: Bin
  hash: number
  member: Bin
  score: number
}

/** A part of a large string. */
export type ChunkRow = {
  slot: number
  db: number
  key: Bin
  number: number
  value: Stored
}

const numbers = new DataView(new ArrayBuffer(8))

/** Hash a double: its halves, as neighbours must not collide. */
function hashNumber(value: number): number {
  numbers.setFloat64(0, value)
  return (Math.imul(numbers.getInt32(0), 31) + numbers.getInt32(4)) | 0
}

/** The large items of all lists. */
export const items = table<ItemRow>({
  name: 'redis_items',
  collection: 'items',
  columns: { slot: 'integer', db: 'integer', key: 'bin', position: 'real', value: 'bin?' },
  primaryKey: ['slot', 'db', 'key', 'position'],
  withoutRowid: true,
  buffered: true,
  identity: {
    hash: ({ db = 0, key = '', position = 0 }) => murmur3(key, hashNumber(position) ^ db),
    same: (a, b) => a.position === b.position && a.key === b.key && a.db === b.db,
  },
  document: ({ db, key, position, value }) => ({
    db,
    key: binToJson(key),
    position,
    value: binToJson(value as Bin),
  }),
  documentId: ({ db, key = '', position }) => idOf(db, `${idPart(key)}/${position}`),
  relation: {
    columns: [
      ...keyColumns<ItemRow>(),
      { name: 'position', type: 'double', required: true, value: ({ position }) => position },
      ...valueColumns<ItemRow>(),
    ],
    payload: { column: 'value', isCold: ({ value }) => value === null, fromLake: valueFromLake },
  },
})

/** The members of all sets. */
export const members = table<MemberRow>({
  name: 'redis_members',
  collection: 'members',
  columns: { slot: 'integer', db: 'integer', key: 'bin', hash: 'integer', member: 'bin' },
  primaryKey: ['slot', 'db', 'key', 'hash', 'member'],
  withoutRowid: true,
  buffered: true,
  cells: ({ slot, db, key, hash, member }) => [slot, db, key, hash, member],
  identity: {
    hash: ({ db = 0, key = '', hash = 0 }) => murmur3(key, hash ^ db),
    same: (a, b) => a.member === b.member && a.key === b.key && a.db === b.db,
  },
  document: ({ db, key, member }) => ({ db, key: binToJson(key), member: binToJson(member) }),
  documentId: ({ db, key = '', member = '' }) => idOf(db, `${idPart(key)}/${idPart(member)}`),
  relation: {
    columns: [
      ...keyColumns<MemberRow>(),
      { name: 'member', type: 'string', required: true, value: ({ member }) => nameColumn(member) },
    ],
  },
})

/** The members of all sorted sets. */
export const scores = table<ScoreRow>({
  name: 'redis_scores',
  collection: 'scores',
  columns: { slot: 'integer', db: 'integer', key: 'bin', hash: 'integer', member: 'bin', score: 'real' },
  primaryKey: ['slot', 'db', 'key', 'hash', 'member'],
  withoutRowid: true,
  buffered: true,
  cells: ({ slot, db, key, hash, member, score }) => [slot, db, key, hash, member, score],
  identity: {
    hash: ({ db = 0, key = '', hash = 0 }) => murmur3(key, hash ^ db),
    same: (a, b) => a.member === b.member && a.key === b.key && a.db === b.db,
  },
  indexes: { redis_scores_order: '(slot, db, key, score, member)' },
  document: ({ db, key, member, score }) => ({
    db,
    key: binToJson(key),
    member: binToJson(member),
    // JSON has no infinities.
    score: Number.isFinite(score) ? score : String(score),
  }),
  documentId: ({ db, key = '', member = '' }) => idOf(db, `${idPart(key)}/${idPart(member)}`),
  relation: {
    columns: [
      ...keyColumns<ScoreRow>(),
      { name: 'member', type: 'string', required: true, value: ({ member }) => nameColumn(member) },
      { name: 'score', type: 'double', required: true, value: ({ score }) => score },
    ],
  },
})

/** The chunks of all large strings (chunks.ts). */
export const chunks = table<ChunkRow>({
  name: 'redis_chunks',
  collection: 'chunks',
  columns: { slot: 'integer', db: 'integer', key: 'bin', number: 'integer', value: 'bin?' },
  primaryKey: ['slot', 'db', 'key', 'number'],
  buffered: true,
  identity: {
    hash: ({ db = 0, key = '', number = 0 }) => murmur3(key, number ^ db),
    same: (a, b) => a.number === b.number && a.key === b.key && a.db === b.db,
  },
  document: ({ db, key, number, value }) => ({ db, key: binToJson(key), number, value: binToJson(value as Bin) }),
  documentId: ({ db, key = '', number }) => idOf(db, `${idPart(key)}/${number}`),
  relation: {
    columns: [
      ...keyColumns<ChunkRow>(),
      { name: 'number', type: 'long', required: true, value: ({ number }) => number },
      ...valueColumns<ChunkRow>(),
    ],
    payload: { column: 'value', isCold: ({ value }) => value === null, fromLake: valueFromLake },
  },
})

/** The tables that hold the elements of a key, by its type. */
export const elementTables: { readonly [type in KeyType]: readonly Table[] } = {
  string: [chunks],
  hash: [fields],
  list: [blocks, items],
  set: [members],
  zset: [scores],
  stream: [entries, groups, consumers, deliveries],
}

const none: readonly Table[] = []
const onlyBlocks: readonly Table[] = [blocks]

/** The tables that hold the elements of a key: none for a string that fits its row, one for a list without large
 *  items. */
export function elementTablesOf({ type, meta }: Pick<KeyRow, 'type' | 'meta'>): readonly Table[] {
  if (meta !== null || (type !== 'string' && type !== 'list')) return elementTables[type]
  return type === 'string' ? none : onlyBlocks
}

/** Every table of elements. */
export const allElementTables: readonly Table[] = Object.values(elementTables).flat()

/** The tables of elements that are content of their key: changes in others, WATCH does not see. */
export const contentTables: readonly Table[] = allElementTables.filter((each) => !groupTables.includes(each))
