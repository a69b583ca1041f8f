/** What Redis stores: a row a key, and a row a field of a hash; what other types hold stands in engine/elements.ts.
 *
 *  1. `hash` is a function of the key (of the field): 31 bits of murmur3. Inside a slot (a hash) rows are ordered by
 *     it, which gives SCAN and HSCAN a numeric cursor that inserts and deletes do not disturb (engine/scan.ts).
 *  2. A key that is no string has at least one element (a stream may have none) and `size` is their number; a string
 *     has its `value`.
 *  3. `expires` is the last millisecond at which the key is alive: Redis expires a key when now > expires.
 *  4. A value that is null where there must be one is cold: it is in the lake alone. So rows as they are found have a
 *     `Stored` value, which nothing can be done with; the functions of engine/values.ts make it a Bin. */
import { type Bin, binToJson } from '@dotdo/core/bytes'
import { murmur3, type SqlValue, table } from '@dotdo/core/shard'
import { idOf, idPart, keyColumns, nameColumn, timeColumn, valueColumns, valueFromLake } from './engine/columns.ts'

/** The types a key can have. */
export type KeyType = 'string' | 'hash' | 'list' | 'set' | 'zset' | 'stream'

/** A value as a row holds it: a Bin, or null when there is none or when it is cold. Typed so that no code reads it
 *  without asking for it. */
export type Stored = SqlValue

/** A key. */
export type KeyRow = {
  slot: number
  db: number
  hash: number
  key: Bin
  type: KeyType
  /** The value of a string; null for other types. */
  value: Stored
  /** How many elements it has; the bytes of a large string; 0 for another string. */
  size: number
  /** When it expires, in ms since 1970; null for never. */
  expires: number | null
  /** The numbers of a list's first and last items; null for other types. */
  head: number | null
  tail: number | null
  /** What else a type keeps of a key: 'large' for a list that has had large items, the state of a stream, the first
   *  time at which a field of a hash may expire (field-expiry.ts), 'chunks' for a large string (chunks.ts). */
  meta: Bin | null
}

/** A field of a hash. */
export type FieldRow = {
  slot: number
  db: number
  key: Bin
  hash: number
  field: Bin
  value: Stored
  /** The last millisecond at which the field is there, since 1970; null for ever. */
  expires: number | null
}

/** The keys of all numbered databases. */
export const keys = table<KeyRow>({
  name: 'redis_keys',
  collection: 'keys',
  columns: {
    slot: 'integer',
    db: 'integer',
    hash: 'integer',
    key: 'bin',
    type: 'text',
    value: 'bin?',
    size: 'integer',
    expires: 'integer?',
    head: 'real?',
    tail: 'real?',
    meta: 'bin?',
  },
  primaryKey: ['slot', 'db', 'hash', 'key'],
  withoutRowid: true,
  buffered: true,
  // Slot and hash follow from the key.
  identity: {
    hash: ({ db = 0, hash = 0 }) => hash ^ db,
    same: (a, b) => a.key === b.key && a.db === b.db,
  },
  cells: ({ slot, db, hash, key, type, value, size, expires, head, tail, meta }) => {
    return [slot, db, hash, key, type, value, size, expires, head, tail, meta]
  },
  indexes: { redis_keys_expires: '(expires) where expires is not null' },
  document: ({ db, key, type, value, size, expires, meta }) => ({
    db,
    key: binToJson(key),
    type,
    ...(value === null || meta === 'chunks' ? { size } : { value: binToJson(value as Bin) }),
    expires,
  }),
  documentId: ({ db, key = '' }) => idOf(db, idPart(key)),
  relation: {
    columns: [
      ...keyColumns<KeyRow>(),
      { name: 'type', type: 'string', required: true, value: ({ type }) => type },
      ...valueColumns<KeyRow>(),
      { name: 'size', type: 'long', required: true, value: ({ size }) => size },
      { name: 'expires', type: 'timestamptz', value: ({ expires }) => timeColumn(expires) },
    ],
    payload: {
      column: 'value',
      isCold: ({ type, value }) => value === null && type === 'string',
      fromLake: valueFromLake,
    },
  },
})

/** A library of functions, or which library a function is in. */
export type LibraryRow = {
  slot: number
  kind: 'library' | 'function'
  name: Bin
  /** A library's text; of a function, the name of its library. */
  value: Bin
}

/** The libraries of FUNCTION LOAD, all in one slot: they belong to no key. */
export const libraries = table<LibraryRow>({
  name: 'redis_libraries',
  collection: 'libraries',
  columns: { slot: 'integer', kind: 'text', name: 'bin', value: 'bin' },
  primaryKey: ['slot', 'kind', 'name'],
  withoutRowid: true,
  buffered: true,
  document: ({ kind, name, value }) => ({ kind, name: binToJson(name), value: binToJson(value) }),
  documentId: ({ kind = '', name = '' }) => `${kind}/${idPart(name)}`,
})

/** The fields of all hashes. */
export const fields = table<FieldRow>({
  name: 'redis_fields',
  collection: 'fields',
  columns: {
    slot: 'integer',
    db: 'integer',
    key: 'bin',
    hash: 'integer',
    field: 'bin',
    value: 'bin?',
    expires: 'integer?',
  },
  primaryKey: ['slot', 'db', 'key', 'hash', 'field'],
  withoutRowid: true,
  buffered: true,
  identity: {
    hash: ({ db = 0, key = '', hash = 0 }) => murmur3(key, hash ^ db),
    same: (a, b) => a.field === b.field && a.key === b.key && a.db === b.db,
  },
  cells: ({ slot, db, key, hash, field, value, expires }) => [slot, db, key, hash, field, value, expires],
  indexes: {
    redis_fields_expires: '(expires) where expires is not null',
    redis_fields_due: '(slot, db, key, expires) where expires is not null',
  },
  document: ({ db, key, field, value, expires }) => ({
    db,
    key: binToJson(key),
    field: binToJson(field),
    value: binToJson(value as Bin),
    ...(expires === null ? {} : { expires }),
  }),
  documentId: ({ db, key = '', field = '' }) => idOf(db, `${idPart(key)}/${idPart(field)}`),
  relation: {
    columns: [
      ...keyColumns<FieldRow>(),
      { name: 'field', type: 'string', required: true, value: ({ field }) => nameColumn(field) },
      ...valueColumns<FieldRow>(),
    ],
    payload: { column: 'value', isCold: ({ value }) => value === null, fromLake: valueFromLake },
  },
})
