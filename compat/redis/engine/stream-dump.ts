/** Streams between their rows and what Redis' payloads hold of them. */
import type { Bin } from '@dotdo/core/bytes'
import type { Tx, View } from '@dotdo/core/shard'
import { clearKey } from './collections.ts'
import { narrow } from './integers.ts'
import { checkSize, type KeyProbe, newKey, putKey } from './keys.ts'
import type { DumpedConsumer, DumpedGroup, DumpedId, DumpedStream } from './rdb/dumped.ts'
import { packFields, unpackWords } from './stream-fields.ts'
import { listConsumers, listGroups, readCount, scanPending } from './stream-groups.ts'
import { fromEight, ID_MAX, ID_MIN, readState, toEight, toId, writeState } from './stream-ids.ts'
import { consumers, deliveries, entries, type GroupRow, groups } from './stream-tables.ts'
import { readEntries, type StreamRow } from './streams.ts'

/** The last time that a date can say: times of payloads may be any number of 64 bits. */
const TIME_MAX_MS = 8.64e15

const toDumped = (id: Bin): DumpedId => ({ ms: BigInt(fromEight(id)), seq: BigInt(fromEight(id, 8)) })
const fromDumped = ({ ms, seq }: DumpedId): Bin => toId(narrow(ms), narrow(seq))
const timeOf = (ms: number) => Math.min(Math.max(ms, 0), TIME_MAX_MS)

function dumpGroup(view: View, group: GroupRow): DumpedGroup {
  const rows = [...scanPending(view, group, { from: ID_MIN })]
  const owned = new Map<Bin, DumpedId[]>()
  for (const { consumer, id } of rows) {
    const ids = owned.get(consumer)
    if (ids === undefined) owned.set(consumer, [toDumped(id)])
    else ids.push(toDumped(id))
  }
  const members = listConsumers(view, group).map(
    ({ name, seen, active }): DumpedConsumer => ({
      name,
      seenMs: seen,
      activeMs: active ?? -1,
      pending: owned.get(name) ?? [],
    }),
  )
  return {
    name: group.name,
    lastId: toDumped(group.last),
    entriesRead: BigInt(readCount(group) ?? -1),
    pending: rows.map(({ id, delivered, count }) => ({ id: toDumped(id), deliveredMs: delivered, deliveries: count })),
    consumers: members,
  }
}

/** Read a whole stream with its groups.
 *  @cost all it holds */
export function dumpStream(view: View, row: StreamRow): DumpedStream {
  const { last, deleted, added } = readState(row.meta)
  const found = readEntries(view, row, { from: ID_MIN, to: ID_MAX })
  return {
    entries: found.map(({ id, fields }) => ({ id: toDumped(id), fields: unpackWords(fields as Bin) })),
    lastId: toDumped(last),
    maxDeletedId: toDumped(deleted),
    entriesAdded: BigInt(added),
    groups: listGroups(view, row).map((group) => dumpGroup(view, group)),
  }
}

function putGroup(tx: Tx, { slot, db, key }: KeyProbe, group: DumpedGroup): void {
  const place = { slot, db, key }
  const { name, lastId, entriesRead, pending } = group
  const ids = pending.map(({ id }) => fromDumped(id))
  const top = [...ids].sort().at(-1) ?? ID_MIN
  const read = entriesRead < 0n ? null : toEight(narrow(entriesRead))
  tx.put(groups, { ...place, name, last: fromDumped(lastId), read, top, pending: ids.length })
  const owners = new Map<Bin, Bin>()
  for (const consumer of group.consumers) {
    for (const id of consumer.pending) owners.set(fromDumped(id), consumer.name)
    const seen = timeOf(consumer.seenMs)
    // Before Redis 7.2 only this was known, and its own best guess is the same.
    const active = consumer.activeMs === undefined ? seen : consumer.activeMs < 0 ? null : timeOf(consumer.activeMs)
    const count = consumer.pending.length
    tx.put(consumers, { ...place, group_name: name, name: consumer.name, seen, active, pending: count })
  }
  for (const [i, { deliveredMs, deliveries: count }] of pending.entries()) {
    const id = ids[i] as Bin
    const delivered = timeOf(deliveredMs)
    tx.put(deliveries, { ...place, group_name: name, id, consumer: owners.get(id) as Bin, delivered, count })
  }
}

/** Store a stream, replacing whatever the key holds.
 *  @throws limit when an entry is too large; nothing is written then */
export function restoreStream(tx: Tx, probe: KeyProbe, stream: DumpedStream): void {
  const { slot, db, key } = probe
  const rows = stream.entries.map(({ id, fields }) => ({ id: fromDumped(id), fields: packFields(fields) }))
  for (const { fields } of rows) checkSize(key, fields.length)
  clearKey(tx, db, key, true)
  for (const { id, fields } of rows) tx.put(entries, { slot, db, key, id, fields })
  for (const group of stream.groups) putGroup(tx, probe, group)
  const meta = writeState({
    last: fromDumped(stream.lastId),
    first: rows[0]?.id ?? ID_MIN,
    deleted: fromDumped(stream.maxDeletedId),
    added: narrow(stream.entriesAdded),
  })
  putKey(tx, { ...newKey(probe, 'stream', rows.length), meta })
}
