/** From a key's value to the bytes of a payload: the plainest form that every Redis since 7.0 reads.
 *  @source redis 7.0 rdb.c rdbSaveObject */
import type { Bin } from '@dotdo/core/bytes'
import type { Dumped, DumpedField, DumpedGroup, DumpedId, DumpedStream } from './dumped.ts'
import { unsigned, writeListpack } from './packed.ts'
import { seal } from './payload.ts'

/** The format of Redis 7.0. */
const VERSION = 10
/** The one of Redis 7.4, for hashes whose fields expire. */
const VERSION_WITH_TIMES = 12

const view = new DataView(new ArrayBuffer(8))

function bigEndian(value: bigint, size: number): Bin {
  let text = ''
  for (let i = size - 1; i >= 0; i--) text += String.fromCharCode(Number((value >> BigInt(8 * i)) & 255n))
  return text
}

/** Write a length. */
export function encodeLength(length: number | bigint): Bin {
  if (length < 64) return String.fromCharCode(Number(length))
  if (length < 16_384) return String.fromCharCode(64 | (Number(length) >> 8), Number(length) & 255)
  if (length < 2 ** 32) return `\x80${bigEndian(BigInt(length), 4)}`
  return `\x81${bigEndian(BigInt(length), 8)}`
}

/** Write a string; integers of 32 bits as such. */
export function encodeString(text: Bin): Bin {
  if (text.length <= 11 && /^(0|-?[1-9]\d*)$/.test(text)) {
    const value = Number(text)
    for (const [size, first] of [
      [1, '\xc0'],
      [2, '\xc1'],
      [4, '\xc2'],
    ] as const) {
      const bound = 2 ** (size * 8 - 1)
      if (value >= -bound && value < bound) return first + unsigned(value < 0 ? value + bound * 2 : value, size)
    }
  }
  return encodeLength(text.length) + text
}

function encodeDouble(value: number): Bin {
  view.setFloat64(0, value, true)
  let text = ''
  for (let i = 0; i < 8; i++) text += String.fromCharCode(view.getUint8(i))
  return text
}

function many<T>(type: number, found: readonly T[], encodeOne: (each: T) => Bin): Bin {
  return String.fromCharCode(type) + encodeLength(found.length) + found.map(encodeOne).join('')
}

function encodeHash(fields: readonly DumpedField[]): Bin {
  const times = fields.flatMap(({ expires }) => (expires === null ? [] : [expires]))
  if (times.length === 0) {
    return seal(
      many(4, fields, ({ field, value }) => encodeString(field) + encodeString(value)),
      VERSION,
    )
  }
  const first = times.reduce((least, time) => Math.min(least, time))
  const encodeField = ({ field, value, expires }: DumpedField) =>
    encodeLength(expires === null ? 0 : expires - first + 1) + encodeString(field) + encodeString(value)
  const body = many(24, fields, encodeField)
  return seal(body.slice(0, 1) + unsigned(first, 8) + body.slice(1), VERSION_WITH_TIMES)
}

/** Entries of one listpack, as many as Redis takes by default. */
const ENTRIES_PER_LISTPACK = 100
const SAME_FIELDS = 2n

const rawId = ({ ms, seq }: DumpedId) => bigEndian(ms, 8) + bigEndian(seq, 8)
const encodeId = ({ ms, seq }: DumpedId) => encodeLength(ms) + encodeLength(seq)

function namesOf(fields: readonly Bin[]): Bin[] {
  return fields.filter((_, i) => i % 2 === 0)
}

/** Write entries as a listpack: the names of the first one's fields once, and then what differs.
 *  @source redis t_stream.c streamAppendItem */
function encodeEntries(entries: DumpedStream['entries']): Bin {
  const [first] = entries as [DumpedStream['entries'][number]]
  const names = namesOf(first.fields)
  const values: (Bin | bigint)[] = [BigInt(entries.length), 0n, BigInt(names.length), ...names, 0n]
  for (const { id, fields } of entries) {
    const own = namesOf(fields)
    const isSame = own.length === names.length && own.every((name, i) => name === names[i])
    const kept = isSame ? fields.filter((_, i) => i % 2 === 1) : [BigInt(own.length), ...fields]
    const flags = isSame ? SAME_FIELDS : 0n
    // Last comes how many values there are, to walk backwards.
    values.push(flags, id.ms - first.id.ms, id.seq - first.id.seq, ...kept, BigInt(kept.length + 3))
  }
  return encodeString(rawId(first.id)) + encodeString(writeListpack(values))
}

function encodeGroup({ name, lastId, entriesRead, pending, consumers }: DumpedGroup): Bin {
  let text = encodeString(name) + encodeId(lastId) + encodeLength(BigInt.asUintN(64, entriesRead))
  text += encodeLength(pending.length)
  for (const { id, deliveredMs, deliveries } of pending) {
    text += rawId(id) + unsigned(deliveredMs, 8) + encodeLength(deliveries)
  }
  text += encodeLength(consumers.length)
  for (const consumer of consumers) {
    text += encodeString(consumer.name) + unsigned(consumer.seenMs, 8) + encodeLength(consumer.pending.length)
    text += consumer.pending.map(rawId).join('')
  }
  return text
}

/** Write a stream in the format of Redis 7.0. */
function encodeStream({ entries, lastId, maxDeletedId, entriesAdded, groups }: DumpedStream): Bin {
  const listpacks: Bin[] = []
  for (let at = 0; at < entries.length; at += ENTRIES_PER_LISTPACK) {
    listpacks.push(encodeEntries(entries.slice(at, at + ENTRIES_PER_LISTPACK)))
  }
  const firstId = entries[0]?.id ?? { ms: 0n, seq: 0n }
  const ids = encodeId(lastId) + encodeId(firstId) + encodeId(maxDeletedId)
  const counts = encodeLength(entries.length) + ids + encodeLength(entriesAdded)
  return `\x13${encodeLength(listpacks.length)}${listpacks.join('')}${counts}${encodeLength(groups.length)}${groups
    .map(encodeGroup)
    .join('')}`
}

/** Write the payload of a key's value. */
export function encode(dumped: Dumped): Bin {
  switch (dumped.type) {
    case 'string':
      return seal(`\0${encodeString(dumped.value)}`, VERSION)
    case 'list':
      return seal(many(1, dumped.items, encodeString), VERSION)
    case 'set':
      return seal(many(2, dumped.members, encodeString), VERSION)
    case 'hash':
      return encodeHash(dumped.fields)
    case 'zset':
      return seal(
        many(5, dumped.scores, ([member, score]) => encodeString(member) + encodeDouble(score)),
        VERSION,
      )
    case 'stream':
      return seal(encodeStream(dumped.stream), VERSION)
  }
}
