/** How Redis' names and values look to people: the ids of documents, and the columns of relations. */
import { type Bin, binToText, fromBin, textToBin, toBin } from '@dotdo/core/bytes'
import type { Relation, RelationValue } from '@dotdo/core/shard'
import type { Stored } from '../tables.ts'

/** Write a key or field so that `/` can join it to others: text stays text, other bytes become %XX. */
export function idPart(bin: Bin): string {
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
export function valueColumns<R extends { value: Stored }>(): Relation<R>['columns'] {
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
export function valueFromLake({ value, bytes }: { readonly [name: string]: RelationValue }): Stored {
  if (typeof value === 'string') return textToBin(value)
  return bytes instanceof Uint8Array ? toBin(bytes) : null
}

/** A name as people see it: text, or bytes in the form that they have in ids. */
export function nameColumn(bin: Bin): string {
  return textOf(bin) ?? escapeBytes(bin)
}

/** Microseconds since 1970, as far as a number goes: to the year 2255. */
export function timeColumn(timeMs: number | null): number | null {
  return timeMs === null ? null : Math.max(-Number.MAX_SAFE_INTEGER, Math.min(timeMs * 1000, Number.MAX_SAFE_INTEGER))
}

/** Database 0 goes without saying; as parts hold no `/`, the number of parts tells whether it was left out. */
export function idOf(db: number | undefined, path: string): string {
  return db === undefined || db === 0 ? path : `${db}/${path}`
}

/** The columns that name the key which a row belongs to. */
export function keyColumns<R extends { db: number; key: Bin }>(): Relation<R>['columns'] {
  return [
    { name: 'db', type: 'int', required: true, value: ({ db }) => db },
    { name: 'key', type: 'string', required: true, value: ({ key }) => nameColumn(key) },
  ]
}
