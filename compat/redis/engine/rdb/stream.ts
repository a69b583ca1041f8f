/** Streams in Redis' payloads: listpacks of up to a hundred entries, and the groups.
 *  @source redis 7.2 rdb.c; t_stream.c on the format of the listpacks */
import type { Bin } from '@dotdo/core/bytes'
import type { Dumped, DumpedConsumer, DumpedGroup, DumpedId, DumpedPending, DumpedStream } from './dumped.ts'
import { readListpack } from './packed.ts'
import { badFormat, type Reader } from './reader.ts'

const DELETED = 1
const SAME_FIELDS = 2

const MAX_64 = 2n ** 64n - 1n
const zero: DumpedId = { ms: 0n, seq: 0n }

function rawId(bytes: Bin): DumpedId {
  const half = (from: number) => {
    let value = 0n
    for (let i = from; i < from + 8; i++) value = (value << 8n) | BigInt(bytes.charCodeAt(i))
    return value
  }
  return { ms: half(0), seq: half(8) }
}

function readId(reader: Reader): DumpedId {
  return { ms: reader.length64(), seq: reader.length64() }
}

/** Whether an id comes after another one. */
function isAfter(a: DumpedId, b: DumpedId): boolean {
  return a.ms > b.ms || (a.ms === b.ms && a.seq > b.seq)
}

/** Walks the values of a listpack. */
class Cursor {
  private readonly values: readonly Bin[]
  private at = 0

  constructor(values: readonly Bin[]) {
    this.values = values
  }

  get done(): boolean {
    return this.at >= this.values.length
  }

  next(): Bin {
    const value = this.values[this.at++]
    if (value === undefined) throw badFormat()
    return value
  }

  integer(): bigint {
    const text = this.next()
    if (!/^-?\d{1,20}$/.test(text)) throw badFormat()
    return BigInt(text)
  }

  /** Read how many of the values that follow belong together. */
  count(): number {
    const count = this.integer()
    if (count < 0n || count > BigInt(this.values.length - this.at)) throw badFormat()
    return Number(count)
  }
}

type Entries = { id: DumpedId; fields: Bin[] }[]

/** Read the entries of one listpack. */
function readEntries(first: DumpedId, cursor: Cursor, entries: Entries): void {
  const expected = cursor.integer()
  cursor.integer()
  const names = Array.from({ length: cursor.count() }, () => cursor.next())
  if (cursor.integer() !== 0n) throw badFormat()
  const before = entries.length
  while (!cursor.done) {
    const flags = Number(cursor.integer())
    const id = { ms: first.ms + cursor.integer(), seq: first.seq + cursor.integer() }
    const fields: Bin[] = []
    if (flags & SAME_FIELDS) for (const name of names) fields.push(name, cursor.next())
    else for (let left = cursor.count(); left > 0; left--) fields.push(cursor.next(), cursor.next())
    cursor.integer()
    if (flags & DELETED) continue
    if (id.ms > MAX_64 || id.seq > MAX_64 || id.seq < 0n || !isAfter(id, entries.at(-1)?.id ?? zero)) throw badFormat()
    entries.push({ id, fields })
  }
  if (BigInt(entries.length - before) !== expected) throw badFormat()
}

function readConsumer(reader: Reader, version: number): DumpedConsumer {
  const name = reader.string()
  const seenMs = Number(reader.signed(8))
  const activeMs = version >= 3 ? Number(reader.signed(8)) : undefined
  const pending: DumpedId[] = []
  for (let left = reader.count(); left > 0; left--) pending.push(rawId(reader.take(16)))
  return { name, seenMs, activeMs, pending }
}

function readGroup(reader: Reader, version: number): DumpedGroup {
  const name = reader.string()
  const lastId = readId(reader)
  const entriesRead = version >= 2 ? BigInt.asIntN(64, reader.length64()) : -1n
  const pending: DumpedPending[] = []
  for (let left = reader.count(); left > 0; left--) {
    const id = rawId(reader.take(16))
    pending.push({ id, deliveredMs: Number(reader.signed(8)), deliveries: reader.length() })
  }
  const consumers: DumpedConsumer[] = []
  for (let left = reader.count(); left > 0; left--) consumers.push(readConsumer(reader, version))
  checkPending(pending, consumers)
  return { name, lastId, entriesRead, pending, consumers }
}

const idText = ({ ms, seq }: DumpedId) => `${ms}-${seq}`

/** Every pending entry belongs to one consumer. */
function checkPending(pending: readonly DumpedPending[], consumers: readonly DumpedConsumer[]): void {
  const owned = consumers.flatMap((consumer) => consumer.pending.map(idText)).sort()
  const listed = pending.map(({ id }) => idText(id)).sort()
  const names = new Set(consumers.map(({ name }) => name))
  if (names.size !== consumers.length || new Set(listed).size !== listed.length) throw badFormat()
  if (owned.length !== listed.length || owned.some((id, i) => id !== listed[i])) throw badFormat()
}

/** Read a stream.
 *  @param version of the format: 1 of Redis 5, 2 of 7.0, 3 of 7.2
 *  @throws invalid */
export function decodeStream(reader: Reader, version: number): Dumped {
  const entries: Entries = []
  for (let left = reader.count(); left > 0; left--) {
    const first = reader.string()
    if (first.length !== 16) throw badFormat()
    readEntries(rawId(first), new Cursor(readListpack(reader.string())), entries)
  }
  const length = reader.length()
  const lastId = readId(reader)
  const last = entries.at(-1)
  if (length !== entries.length || (last !== undefined && isAfter(last.id, lastId))) throw badFormat()
  // The first id is known from the entries.
  if (version >= 2) readId(reader)
  const maxDeletedId = version >= 2 ? readId(reader) : zero
  const entriesAdded = version >= 2 ? reader.length64() : BigInt(length)
  const groups: DumpedGroup[] = []
  for (let left = reader.count(); left > 0; left--) groups.push(readGroup(reader, version))
  if (new Set(groups.map(({ name }) => name)).size !== groups.length) throw badFormat()
  const stream: DumpedStream = { entries, lastId, maxDeletedId, entriesAdded, groups }
  return { type: 'stream', stream }
}
