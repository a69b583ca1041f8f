/** From the bytes of a payload to a key's value, for every form that Redis has had since 2.6.
 *  @source redis 7.4 rdb.c rdbLoadObject */
import type { Bin } from '@dotdo/core/bytes'
import type { Dumped, DumpedField } from './dumped.ts'
import { readIntset, readListpack, readZiplist, readZipmap } from './packed.ts'
import { badFormat, type Reader } from './reader.ts'
import { decodeStream } from './stream.ts'

type Decode = (reader: Reader) => Dumped

function strings(reader: Reader, count = reader.count()): Bin[] {
  const found: Bin[] = []
  for (let i = 0; i < count; i++) found.push(reader.string())
  return found
}

/** @throws invalid when a name comes twice, or there is none */
function distinct<T>(found: readonly T[], nameOf: (each: T) => Bin): readonly T[] {
  if (found.length === 0 || new Set(found.map(nameOf)).size !== found.length) throw badFormat()
  return found
}

const itself = (each: Bin) => each

function list(items: readonly Bin[]): Dumped {
  if (items.length === 0) throw badFormat()
  return { type: 'list', items }
}

function set(members: readonly Bin[]): Dumped {
  return { type: 'set', members: distinct(members, itself) }
}

function hash(fields: readonly DumpedField[]): Dumped {
  return { type: 'hash', fields: distinct(fields, ({ field }) => field) }
}

function zset(scores: readonly (readonly [Bin, number])[]): Dumped {
  if (scores.some(([, score]) => Number.isNaN(score))) throw badFormat()
  return { type: 'zset', scores: distinct(scores, ([member]) => member) }
}

/** Cut into stretches of equal length. */
function stretches(entries: readonly Bin[], length: number): (readonly Bin[])[] {
  if (entries.length % length !== 0) throw badFormat()
  return Array.from({ length: entries.length / length }, (_, i) => entries.slice(i * length, i * length + length))
}

function hashOf(entries: readonly Bin[]): Dumped {
  return hash(stretches(entries, 2).map(([field, value]) => ({ field, value, expires: null }) as DumpedField))
}

/** Read a score in the form it has in listpacks: the shortest digits that make it. */
function toScore(text: Bin): number {
  const special = /^([+-]?)(inf|nan)$/i.exec(text)
  if (special) return special[2]?.toLowerCase() === 'nan' ? Number.NaN : special[1] === '-' ? -Infinity : Infinity
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN
}

function zsetOf(entries: readonly Bin[]): Dumped {
  return zset(stretches(entries, 2).map(([member, score]) => [member as Bin, toScore(score as Bin)]))
}

/** Read a score as Redis wrote it before 4.0. */
function textScore(reader: Reader): number {
  const length = reader.byte()
  if (length === 253) return Number.NaN
  if (length >= 254) return length === 254 ? Infinity : -Infinity
  return toScore(reader.take(length))
}

function scored(reader: Reader, readScore: (reader: Reader) => number): Dumped {
  const found: [Bin, number][] = []
  for (let left = reader.count(); left > 0; left--) found.push([reader.string(), readScore(reader)])
  return zset(found)
}

function quicklist(reader: Reader): Dumped {
  const items: Bin[] = []
  for (let left = reader.count(); left > 0; left--) for (const item of readZiplist(reader.string())) items.push(item)
  return list(items)
}

function quicklist2(reader: Reader): Dumped {
  const items: Bin[] = []
  for (let left = reader.count(); left > 0; left--) {
    const container = reader.length()
    if (container !== 1 && container !== 2) throw badFormat()
    const node = reader.string()
    if (container === 1) items.push(node)
    else for (const item of readListpack(node)) items.push(item)
  }
  return list(items)
}

/** The last time at which Redis lets a field expire, in ms since 1970. */
const FIELD_TIME_MAX_MS = 2 ** 46 - 1

function checkTime(timeMs: number): number {
  if (timeMs > FIELD_TIME_MAX_MS) throw badFormat()
  return timeMs
}

function hashWithTimes(reader: Reader): Dumped {
  const first = reader.unsigned(8)
  const found: DumpedField[] = []
  for (let left = reader.count(); left > 0; left--) {
    const time = reader.length()
    const field = reader.string()
    found.push({ field, value: reader.string(), expires: time === 0 ? null : checkTime(time + first - 1) })
  }
  return hash(found)
}

function listpackWithTimes(reader: Reader): Dumped {
  reader.take(8)
  const triples = stretches(readListpack(reader.string()), 3) as (readonly [Bin, Bin, Bin])[]
  return hash(
    triples.map(([field, value, time]) => {
      if (!/^\d{1,15}$/.test(time)) throw badFormat()
      return { field, value, expires: time === '0' ? null : checkTime(Number(time)) }
    }),
  )
}

/** Redis' RDB_TYPE_ constants. Modules' types are not among them. */
const decoders: { readonly [type: number]: Decode } = {
  0: (reader) => ({ type: 'string', value: reader.string() }),
  1: (reader) => list(strings(reader)),
  2: (reader) => set(strings(reader)),
  3: (reader) => scored(reader, textScore),
  4: (reader) => hashOf(strings(reader, reader.count() * 2)),
  5: (reader) => scored(reader, (from) => from.double()),
  9: (reader) => hashOf(readZipmap(reader.string())),
  10: (reader) => list(readZiplist(reader.string())),
  11: (reader) => set(readIntset(reader.string())),
  12: (reader) => zsetOf(readZiplist(reader.string())),
  13: (reader) => hashOf(readZiplist(reader.string())),
  14: quicklist,
  15: (reader) => decodeStream(reader, 1),
  16: (reader) => hashOf(readListpack(reader.string())),
  17: (reader) => zsetOf(readListpack(reader.string())),
  18: quicklist2,
  19: (reader) => decodeStream(reader, 2),
  20: (reader) => set(readListpack(reader.string())),
  21: (reader) => decodeStream(reader, 3),
  24: hashWithTimes,
  25: listpackWithTimes,
}

/** Read a key's value.
 *  @throws invalid in Redis' words */
export function decode(reader: Reader): Dumped {
  const decoder = decoders[reader.byte()]
  if (decoder === undefined) throw badFormat()
  const dumped = decoder(reader)
  if (reader.left > 0) throw badFormat()
  return dumped
}
