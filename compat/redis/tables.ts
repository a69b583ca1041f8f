/** What Redis stores: a row a key, and a row a field of a hash.
 *
 *  1. `hash` is a function of the key (of the field): 31 bits of murmur3. Inside a slot (a hash) rows are ordered by
 *     it, which gives SCAN and HSCAN a numeric cursor that inserts and deletes do not disturb (engine/scan.ts).
 *  2. A key of type `hash` has at least one field and `size` is their number; a string has its `value`.
 *  3. `expires` is the last millisecond at which the key is alive: Redis expires a key when now > expires. */
import { type Bin, binToJson, binToText } from '@dotdo/core/bytes'
import { murmur3, table } from '@dotdo/core/shard'

/** The types a key can have. */
export type KeyType = 'string' | 'hash'

/** A key. */
export type KeyRow = {
  slot: number
  db: number
  hash: number
  key: Bin
  type: KeyType
  /** The value of a string; null for other types. */
  value: Bin | null
  /** How many fields a hash has; 0 for a string. */
  size: number
  /** When it expires, in ms since 1970; null for never. */
  expires: number | null
}

/** A field of a hash. */
export type FieldRow = {
  slot: number
  db: number
  key: Bin
  hash: number
  field: Bin
  value: Bin
}

/** Write a key or field so that `/` can join it to others: text stays text, other bytes become %XX. */
function idPart(bin: Bin): string {
  const text = binToText(bin)
  if (text !== undefined) return text.replace(/[%/]/g, (char) => (char === '%' ? '%25' : '%2F'))
  return bin.replace(/[^!-~]|[%/]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`)
}

/** Database 0 goes without saying; as parts hold no `/`, the number of parts tells whether it was left out. */
function idOf(db: number | undefined, ...parts: readonly (Bin | undefined)[]): string {
  const path = parts.map((part) => idPart(part ?? ''))
  return (db === undefined || db === 0 ? path : [String(db), ...path]).join('/')
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
  },
  primaryKey: ['slot', 'db', 'hash', 'key'],
  withoutRowid: true,
  buffered: true,
  // Slot and hash follow from the key.
  identity: {
    hash: ({ db = 0, hash = 0 }) => hash ^ db,
    same: (a, b) => a.key === b.key && a.db === b.db,
  },
  indexes: { redis_keys_expires: '(expires) where expires is not null' },
  document: ({ db, key, type, value, size, expires }) => ({
    db,
    key: binToJson(key),
    type,
    ...(value === null ? { size } : { value: binToJson(value) }),
    expires,
  }),
  documentId: ({ db, key }) => idOf(db, key),
})

/** The fields of all hashes. */
export const fields = table<FieldRow>({
  name: 'redis_fields',
  collection: 'fields',
  columns: { slot: 'integer', db: 'integer', key: 'bin', hash: 'integer', field: 'bin', value: 'bin' },
  primaryKey: ['slot', 'db', 'key', 'hash', 'field'],
  withoutRowid: true,
  buffered: true,
  identity: {
    hash: ({ db = 0, key = '', hash = 0 }) => murmur3(key, hash ^ db),
    same: (a, b) => a.field === b.field && a.key === b.key && a.db === b.db,
  },
  document: ({ db, key, field, value }) => ({
    db,
    key: binToJson(key),
    field: binToJson(field),
    value: binToJson(value),
  }),
  documentId: ({ db, key, field }) => idOf(db, key, field),
})
