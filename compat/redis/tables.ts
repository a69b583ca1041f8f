/** What Redis stores: a row a key, and a row a field of a hash.
 *
 *  1. `hash` is a function of the key (of the field): 31 bits of murmur3. Inside a slot (a hash) rows are ordered by
 *     it, which gives SCAN and HSCAN a numeric cursor that inserts and deletes do not disturb (engine/scan.ts).
 *  2. A key of type `hash` has at least one field and `size` is their number; a string has its `value`.
 *  3. `expires` is the last millisecond at which the key is alive: Redis expires a key when now > expires.
 *  4. A value that is null where there must be one is cold: it is in the lake alone. So rows as they are found have a
 *     `Stored` value, which nothing can be done with; the functions of engine/values.ts make it a Bin. */
import { type Bin, binToJson, binToText, fromBin, textToBin, toBin } from '@dotdo/core/bytes'
import { murmur3, type Relation, type RelationValue, type SqlValue, table } from '@dotdo/core/shard'

/** The types a key can have. */
export type KeyType = 'string' | 'hash'

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
  value: Stored
}

/** Write a key or field so that `/` can join it to others: text stays text, other bytes become %XX. */
function idPart(bin: Bin): string {
  if (!/[%/\x80-\xff]/.test(bin)) return bin
  const text = textOf(bin)
  if (text !== undefined) return /[%/]/.test(text) ? text.replace(/[%/]/g, (c) => (c === '%' ? '%25' : '%2F')) : text
  return escapeBytes(bin)
}

function escapeBytes(bin: Bin): string {
  return bin.replace(/[^!-~]|[%/]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`)
}

/** As `binToText`, without decoding what needs none. */
function textOf(bin: Bin): string | undefined {
  return /[\x80-\xff]/.test(bin) ? binToText(bin) : bin
}

/** The columns of a value: text in one, other bytes in the other, so that both can be asked for as what they are. */
function valueColumns<R extends { value: Stored }>(): Relation<R>['columns'] {
  const text = (value: Stored) => (value === null ? undefined : textOf(value as Bin))
  return [
    { name: 'value', type: 'string', value: ({ value }) => text(value) ?? null },
    {
      name: 'bytes',
      type: 'binary',
      value: ({ value }) => (value === null || text(value) !== undefined ? null : fromBin(value as Bin)),
    },
  ]
}

/** Read a value from its columns. */
function valueFromLake({ value, bytes }: { readonly [name: string]: RelationValue }): Stored {
  if (typeof value === 'string') return textToBin(value)
  return bytes instanceof Uint8Array ? toBin(bytes) : null
}

/** A name as people see it: text, or bytes in the form that they have in ids. */
function nameColumn(bin: Bin): string {
  return textOf(bin) ?? escapeBytes(bin)
}

/** Microseconds since 1970, as far as a number goes: to the year 2255. */
function timeColumn(timeMs: number | null): number | null {
  return timeMs === null ? null : Math.max(-Number.MAX_SAFE_INTEGER, Math.min(timeMs * 1000, Number.MAX_SAFE_INTEGER))
}

/** Database 0 goes without saying; as parts hold no `/`, the number of parts tells whether it was left out. */
function idOf(db: number | undefined, path: string): string {
  return db === undefined || db === 0 ? path : `${db}/${path}`
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
    ...(value === null ? { size } : { value: binToJson(value as Bin) }),
    expires,
  }),
  documentId: ({ db, key = '' }) => idOf(db, idPart(key)),
  relation: {
    columns: [
      { name: 'db', type: 'int', required: true, value: ({ db }) => db },
      { name: 'key', type: 'string', required: true, value: ({ key }) => nameColumn(key) },
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
  columns: { slot: 'integer', db: 'integer', key: 'bin', hash: 'integer', field: 'bin', value: 'bin?' },
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
    value: binToJson(value as Bin),
  }),
  documentId: ({ db, key = '', field = '' }) => idOf(db, `${idPart(key)}/${idPart(field)}`),
  relation: {
    columns: [
      { name: 'db', type: 'int', required: true, value: ({ db }) => db },
      { name: 'key', type: 'string', required: true, value: ({ key }) => nameColumn(key) },
      { name: 'field', type: 'string', required: true, value: ({ field }) => nameColumn(field) },
      ...valueColumns<FieldRow>(),
    ],
    payload: { column: 'value', isCold: ({ value }) => value === null, fromLake: valueFromLake },
  },
})
