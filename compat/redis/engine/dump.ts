/** DUMP and RESTORE: a key's value to and from Redis' payloads.
 *  @source https://redis.io/docs/latest/commands/restore/ */
import { type Bin, fromBin, toBin } from '@dotdo/core/bytes'
import type { Tx, View } from '@dotdo/core/shard'
import { fields, type KeyRow, keys } from '../tables.ts'
import { clearKey } from './collections.ts'
import { expiringFields, noteExpiry } from './due.ts'
import { scores } from './elements.ts'
import { andAlive } from './field-expiry.ts'
import { checkSize, type KeyProbe, newKey, placeOf, putKey, putString, setExpires } from './keys.ts'
import { type ListRow, push, readItems } from './lists.ts'
import type { Dumped, DumpedField } from './rdb/dumped.ts'
import { encode } from './rdb/encode.ts'
import { readMembers, replaceSet } from './sets.ts'
import { replaceSortedSet } from './sorted-sets.ts'
import { dumpStream, restoreStream } from './stream-dump.ts'
import type { StreamRow } from './streams.ts'
import { readValue } from './values.ts'

function readFields(view: View, row: KeyRow): DumpedField[] {
  const { slot, db, key } = row
  view.settle(fields, slot, slot)
  const { and, bound } = andAlive(view, row)
  const statement = `select slot, db, key, hash, field, value, expires from redis_fields
    where slot = ? and db = ? and key = ?${and}`
  const found = view.all(statement, slot, db, fromBin(key), ...bound).map((each) => view.fromSql(fields, each))
  return view.wholeAll(fields, found).map(({ field, value, expires }) => ({ field, value: value as Bin, expires }))
}

function readScores(view: View, { slot, db, key }: KeyRow): [Bin, number][] {
  view.settle(scores, slot, slot)
  // Redis adds those with the highest scores first, as each then goes to the head of its skip list.
  const statement = `select member, score from redis_scores where slot = ? and db = ? and key = ?
    order by score desc, member desc`
  const rows = view.raw(statement, slot, db, fromBin(key)) as unknown as [Uint8Array, number][]
  return rows.map(([member, score]) => [toBin(member), score])
}

/** Make the payload of a key.
 *  @cost all it holds */
export function dumpKey(view: View, row: KeyRow): Bin {
  switch (row.type) {
    case 'string':
      return encode({ type: 'string', value: readValue(view, row) })
    case 'list':
      return encode({ type: 'list', items: readItems(view, row as ListRow, 0, row.size) })
    case 'set':
      return encode({ type: 'set', members: readMembers(view, row) })
    case 'hash':
      return encode({ type: 'hash', fields: readFields(view, row) })
    case 'zset':
      return encode({ type: 'zset', scores: readScores(view, row) })
    case 'stream':
      return encode({ type: 'stream', stream: dumpStream(view, row as StreamRow) })
  }
}

/** Elements are checked before anything is written. */
function checkElements(key: Bin, dumped: Dumped): void {
  if (dumped.type === 'list') for (const item of dumped.items) checkSize(key, item.length)
  if (dumped.type === 'set') for (const member of dumped.members) checkSize(key, member.length)
  if (dumped.type === 'zset') for (const [member] of dumped.scores) checkSize(key, member.length)
  if (dumped.type !== 'hash') return
  for (const { field, value } of dumped.fields) checkSize(key, field.length + value.length)
}

/** Store what a payload holds, replacing whatever the key holds.
 *  @param stored the key's row as it is in the table
 *  @throws limit when an element is too large */
export function restoreKey(
  tx: Tx,
  probe: KeyProbe,
  stored: KeyRow | undefined,
  { dumped, expires }: { readonly dumped: Dumped; readonly expires: number | null },
): void {
  if (dumped.type === 'string') return putString(tx, probe, stored, dumped.value, expires)
  checkElements(probe.key, dumped)
  const { db, key } = probe
  if (dumped.type === 'set') replaceSet(tx, db, key, dumped.members)
  else if (dumped.type === 'stream') restoreStream(tx, probe, dumped.stream)
  else if (dumped.type === 'zset') replaceSortedSet(tx, db, key, new Map(dumped.scores))
  else {
    clearKey(tx, db, key, false)
    if (dumped.type === 'list') push(tx, db, key, dumped.items, 'right')
    else putFields(tx, probe, dumped.fields)
  }
  const row = tx.find(keys, probe)
  if (expires !== null && row !== undefined) setExpires(tx, row, expires)
}

/** Fields that have expired are left out; the hash goes with the last of them. */
function putFields(tx: Tx, probe: KeyProbe, found: readonly DumpedField[]): void {
  const { slot, db, key } = probe
  let size = 0
  let first = Infinity
  for (const { field, value, expires } of found) {
    if (expires !== null && expires < tx.nowMs) continue
    if (expires !== null) first = Math.min(first, expires)
    tx.put(fields, { slot, db, key, hash: placeOf(field), field, value, expires })
    size++
  }
  if (size === 0) return
  if (first !== Infinity) noteExpiry(tx, slot, first, expiringFields)
  putKey(tx, { ...newKey(probe, 'hash', size), meta: first === Infinity ? null : String(first) })
}
