/** DUMP and RESTORE: a key's value to and from Redis' payloads.
 *  @source https://redis.io/docs/latest/commands/restore/ */
import { type Bin, fromBin, toBin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { Tx, View } from '@dotdo/core/shard'
import { fields, type KeyRow, keys } from '../tables.ts'
import { expiringFields, noteExpiry } from './due.ts'
import { members, scores } from './elements.ts'
import { andAlive } from './field-expiry.ts'
import { checkSize, type KeyProbe, newKey, placeOf, putKey, putString, removeElements } from './keys.ts'
import { itemValue, type ListRow, push, readItems } from './lists.ts'
import type { Dumped, DumpedField } from './rdb/dumped.ts'
import { encode } from './rdb/encode.ts'
import { readSortable } from './sort.ts'
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
      return encode({ type: 'list', items: readItems(view, row as ListRow, 0, row.size).map(itemValue) })
    case 'set':
      return encode({ type: 'set', members: readSortable(view, row) })
    case 'hash':
      return encode({ type: 'hash', fields: readFields(view, row) })
    case 'zset':
      return encode({ type: 'zset', scores: readScores(view, row) })
    case 'stream':
      throw new Failure('unsupported', 'ERR DUMP of a stream is not supported')
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
  if (dumped.type === 'stream') throw new Failure('unsupported', 'ERR RESTORE of a stream is not supported')
  if (dumped.type === 'string') return putString(tx, probe, stored, dumped.value, expires)
  checkElements(probe.key, dumped)
  if (stored !== undefined) {
    removeElements(tx, stored)
    tx.remove(keys, probe)
  }
  if (dumped.type === 'list') restoreList(tx, probe, dumped.items, expires)
  else if (dumped.type === 'set') restoreSet(tx, probe, dumped.members, expires)
  else if (dumped.type === 'zset') restoreScores(tx, probe, dumped.scores, expires)
  else restoreHash(tx, probe, dumped.fields, expires)
}

function restoreList(tx: Tx, probe: KeyProbe, items: readonly Bin[], expires: number | null): void {
  push(tx, probe.db, probe.key, items, 'right')
  if (expires !== null) putKey(tx, { ...(tx.find(keys, probe) as KeyRow), expires })
}

function restoreSet(tx: Tx, probe: KeyProbe, found: readonly Bin[], expires: number | null): void {
  const { slot, db, key } = probe
  for (const member of found) tx.put(members, { slot, db, key, hash: placeOf(member), member })
  putKey(tx, { ...newKey(probe, 'set', found.length), expires })
}

function restoreScores(
  tx: Tx,
  probe: KeyProbe,
  found: readonly (readonly [Bin, number])[],
  expires: number | null,
): void {
  const { slot, db, key } = probe
  for (const [member, score] of found) tx.put(scores, { slot, db, key, hash: placeOf(member), member, score })
  putKey(tx, { ...newKey(probe, 'zset', found.length), expires })
}

/** Fields that have expired are left out; the hash goes with the last of them. */
function restoreHash(tx: Tx, probe: KeyProbe, found: readonly DumpedField[], expires: number | null): void {
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
  putKey(tx, { ...newKey(probe, 'hash', size), expires, meta: first === Infinity ? null : String(first) })
}
