/** Ids of stream entries, and what a stream knows of itself.
 *
 *  1. An id is 16 bytes: milliseconds and sequence number, 64 bits each, high byte first. So ids order as binary
 *     strings do, here and in SQL, and nothing is lost beyond 2^53.
 *  2. The state of a stream is the `meta` of its key's row: last id, first id, greatest deleted id, entries ever added.
 *
 *  @source https://redis.io/docs/latest/develop/data-types/streams/ */
import type { Bin } from '@dotdo/core/bytes'
import { type Int64, narrow } from './integers.ts'

/** The id 0-0, below all others: no entry has it. */
export const ID_MIN: Bin = '\0'.repeat(16)
/** The greatest id there is. */
export const ID_MAX: Bin = '\xff'.repeat(16)

const TWO_32 = 2 ** 32

function word(value: number): Bin {
  return String.fromCharCode(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255)
}

/** Write a number from 0 to 2^64 - 1 as 8 bytes. */
export function toEight(value: Int64): Bin {
  if (typeof value === 'number') return word(Math.floor(value / TWO_32)) + word(value % TWO_32)
  return word(Number(value >> 32n)) + word(Number(value & 0xffff_ffffn))
}

function readWord(bin: Bin, at: number): number {
  const high = bin.charCodeAt(at) * 2 ** 24
  return high + (bin.charCodeAt(at + 1) << 16) + (bin.charCodeAt(at + 2) << 8) + bin.charCodeAt(at + 3)
}

/** Read the number that 8 bytes are. */
export function fromEight(bin: Bin, at = 0): Int64 {
  const [high, low] = [readWord(bin, at), readWord(bin, at + 4)]
  return high < 2 ** 21 ? high * TWO_32 + low : narrow(BigInt(high) * 2n ** 32n + BigInt(low))
}

/** Make an id of milliseconds and a sequence number. */
export function toId(ms: Int64, seq: Int64): Bin {
  return toEight(ms) + toEight(seq)
}

/** Write an id as people see it: `ms-seq`. */
export function idText(id: Bin): Bin {
  return `${fromEight(id)}-${fromEight(id, 8)}`
}

/** Find the id right behind another.
 *  @returns undefined behind the last one */
export function idAfter(id: Bin): Bin | undefined {
  let at = 15
  while (at >= 0 && id.charCodeAt(at) === 255) at--
  if (at < 0) return undefined
  return id.slice(0, at) + String.fromCharCode(id.charCodeAt(at) + 1) + '\0'.repeat(15 - at)
}

/** Find the id right before another.
 *  @returns undefined before 0-0 */
export function idBefore(id: Bin): Bin | undefined {
  let at = 15
  while (at >= 0 && id.charCodeAt(at) === 0) at--
  if (at < 0) return undefined
  return id.slice(0, at) + String.fromCharCode(id.charCodeAt(at) - 1) + '\xff'.repeat(15 - at)
}

/** As Redis' string2ull: what strtoull takes of numbers without a sign that does anything.
 *  @returns undefined when it is no number of 64 bits without sign */
function parseUnsigned(text: Bin): Int64 | undefined {
  if (!/^[ \t-\r]*\+?\d+$/.test(text)) return undefined
  const digits = text.replace(/^[^\d]*/, '')
  if (digits.length <= 15) return Number(digits)
  const exact = BigInt(digits)
  return exact < 2n ** 64n ? narrow(exact) : undefined
}

/** An id as it was written: in full, or without its sequence number. */
export interface ParsedId {
  readonly ms: Int64
  /** `*` where it is to be chosen; undefined when it was left out. */
  readonly seq: Int64 | '*' | undefined
}

/** Parse `ms`, `ms-seq` or `ms-*`.
 *  @returns undefined when it is none of these
 *  @source redis 7.2 t_stream.c streamGenericParseIDOrReply */
export function parseId(text: Bin): ParsedId | undefined {
  if (text.length > 127) return undefined
  const dash = text.indexOf('-')
  const ms = parseUnsigned(dash < 0 ? text : text.slice(0, dash))
  if (ms === undefined) return undefined
  if (dash < 0) return { ms, seq: undefined }
  const rest = text.slice(dash + 1)
  const seq = rest === '*' ? rest : parseUnsigned(rest)
  return seq === undefined ? undefined : { ms, seq }
}

/** What a stream knows of itself. */
export interface StreamState {
  /** The greatest id that was ever added, or that XSETID said. */
  readonly last: Bin
  /** The id of its first entry; 0-0 when it has none. */
  readonly first: Bin
  /** The greatest id that XDEL removed; 0-0 for none. */
  readonly deleted: Bin
  /** How many entries were ever added. */
  readonly added: Int64
}

/** The state of a stream that nothing was added to. */
export const NEW_STREAM: StreamState = { last: ID_MIN, first: ID_MIN, deleted: ID_MIN, added: 0 }

/** Read a state from the `meta` of a key's row. */
export function readState(meta: Bin): StreamState {
  return { last: meta.slice(0, 16), first: meta.slice(16, 32), deleted: meta.slice(32, 48), added: fromEight(meta, 48) }
}

/** Write a state as the `meta` of a key's row. */
export function writeState({ last, first, deleted, added }: StreamState): Bin {
  return last + first + deleted + toEight(added)
}
