/** Sets: a key's row that counts, and a row a member. */
import type { Bin } from '@dotdo/core/bytes'
import type { Tx, View } from '@dotdo/core/shard'
import type { KeyRow } from '../tables.ts'
import { clearKey, findCollection, randomElements, sortElements, storeSize, targetCollection } from './collections.ts'
import { members } from './elements.ts'
import { ask, changing, indexNew, peek } from './indexes.ts'
import { checkSize, type KeyProbe, newKey, placeOf, putKey, removeElements } from './keys.ts'

/** Find a set that is alive.
 *  @throws type_mismatch when the key holds another type */
export function findSet(view: View, db: number, key: Bin): KeyRow | undefined {
  return findCollection(view, db, key, 'set')
}

/** Tell whether a set has a member. */
export function hasMember(view: View, row: KeyRow, member: Bin): boolean {
  return isStored(view, row, placeOf(member), member)
}

function isStored(view: View, row: KeyRow, hash: number, member: Bin): boolean {
  const known = peek(view, row)?.has(hash, member)
  if (known !== undefined) return known
  const { slot, db, key } = row
  return view.find(members, { slot, db, key, hash, member }) !== undefined
}

/** Read all members.
 *  @cost every member, from memory when they are there */
export function readMembers(view: View, row: KeyRow): Bin[] {
  return ask(view, row, (ranked) => ranked.slice(0, row.size).names)
}

/** Add members to the set at `key`, creating it when absent.
 *  @returns how many are new
 *  @throws type_mismatch when the key holds another type; limit when a member is too large
 *  @source https://redis.io/docs/latest/commands/sadd/ */
export function addMembers(tx: Tx, db: number, key: Bin, names: readonly Bin[]): number {
  const { probe, stored, row } = targetCollection(tx, db, key, 'set')
  for (const member of names) checkSize(key, member.length)
  if (row === undefined) {
    if (stored !== undefined) removeElements(tx, stored)
    return createSet(tx, probe, [...new Set(names)])
  }
  const { slot } = row
  const index = changing(tx, row)
  let added = 0
  for (const member of names) {
    const hash = placeOf(member)
    const known = index?.ranked.has(hash, member)
    if (known ?? tx.find(members, { slot, db, key, hash, member }) !== undefined) continue
    index?.ranked.add(hash, member)
    tx.put(members, { slot, db, key, hash, member })
    added++
  }
  if (added > 0) storeSize(tx, row, index, row.size + added)
  return added
}

/** @param names at least one, each once */
function createSet(tx: Tx, probe: KeyProbe, names: readonly Bin[]): number {
  const { slot, db, key } = probe
  const hashes = names.map(placeOf)
  for (const [i, member] of names.entries()) tx.put(members, { slot, db, key, hash: hashes[i] as number, member })
  const row = newKey(probe, 'set', names.length)
  putKey(tx, row)
  indexNew(
    tx,
    row,
    sortElements(names, (at) => hashes[at] as number),
  )
  return names.length
}

/** Store members as a set, replacing whatever the key holds; without members, there is no key.
 *  @param names each once
 *  @returns how many there are */
export function replaceSet(tx: Tx, db: number, key: Bin, names: readonly Bin[]): number {
  for (const member of names) checkSize(key, member.length)
  const probe = clearKey(tx, db, key, names.length > 0)
  return names.length === 0 ? 0 : createSet(tx, probe, names)
}

/** Remove members, and the set with its last one.
 *  @returns how many were there */
export function removeMembers(tx: Tx, row: KeyRow, names: readonly Bin[]): number {
  const { slot, db, key } = row
  const index = changing(tx, row)
  let removed = 0
  for (const member of names) {
    const hash = placeOf(member)
    const known = index?.ranked.has(hash, member)
    if (!(known ?? tx.find(members, { slot, db, key, hash, member }) !== undefined)) continue
    index?.ranked.remove(hash, member)
    tx.remove(members, { slot, db, key, hash, member })
    removed++
  }
  if (removed > 0) storeSize(tx, row, index, row.size - removed)
  return removed
}

/** Take members out at random, each as likely as any other.
 *  @returns fewer when there are not as many
 *  @source https://redis.io/docs/latest/commands/spop/ */
export function popMembers(tx: Tx, row: KeyRow, count: number): Bin[] {
  const { orders, names } = randomElements(tx, row, count)
  if (names.length === 0) return names
  const { slot, db, key } = row
  const index = changing(tx, row)
  for (let i = 0; i < names.length; i++) {
    const [hash, member] = [orders[i] as number, names[i] as Bin]
    index?.ranked.remove(hash, member)
    tx.remove(members, { slot, db, key, hash, member })
  }
  storeSize(tx, row, index, row.size - names.length)
  return names
}

/** Move a member from a set to another.
 *  @returns whether it was there
 *  @throws type_mismatch when the target is no set */
export function moveMember(tx: Tx, row: KeyRow, target: Bin, member: Bin): boolean {
  findSet(tx, row.db, target)
  if (!hasMember(tx, row, member)) return false
  if (row.key === target) return true
  removeMembers(tx, row, [member])
  addMembers(tx, row.db, target, [member])
  return true
}
