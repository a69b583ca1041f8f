/** Where the rows of a shard are in the lake, also while files are rewritten.
 *
 *  1. A row may have two places: one in a file, and one in the file that a rewrite has made of it. At most one of them
 *     is in a snapshot; what is said of the other means nothing. So a rewrite is told to the shards before it is
 *     committed, and nobody need tell them how it ended.
 *  2. Both places stand in the row of the key index, so they go where its slot goes. */
import { type Bin, fromBin, toBin } from '../../bytes.ts'
import { Failure } from '../../errors.ts'
import type { Tx, View } from '../../shard/program.ts'
import type { SqlValue } from '../../shard/sql.ts'
import type { Relocation } from './port.ts'
import { type Place, type Relocator, relocator } from './relocation.ts'
import { readValue, writeValue } from './state.ts'

/** The places a row may be at, one or two; the newest first. */
export type Places = readonly Place[]

/** Columns of places, in the order that `placesIn` reads. */
export const placeColumns = 'file, pos, alt_file, alt_pos'

/** Read the places of a row from the columns of `placeColumns`. */
export function placesIn([file, pos, altFile, altPos]: readonly (SqlValue | undefined)[]): Places {
  if (file === null || file === undefined) return []
  const place = { file: Number(file), pos: Number(pos) }
  // A rewrite leaves out rows that were deleted: they have no place in its file.
  if (altFile === null || altFile === undefined || Number(altPos) < 0) return [place]
  return [{ file: Number(altFile), pos: Number(altPos) }, place]
}

/** Whether one row can be meant by both. */
export function haveCommon(a: Places, b: Places): boolean {
  return a.some(({ file, pos }) => b.some((other) => other.file === file && other.pos === pos))
}

const findIndexed = `select ${placeColumns} from tier_index where slot = ? and collection = ? and key = ?`
const findPending = `select ${placeColumns} from tier_pending where collection = ? and key = ?`

/** Find where the mirror has a row.
 *  @param overlay take what is pending for settled
 *  @returns nothing when it is not there */
export function placesOf(
  view: View,
  collection: string,
  { slot, key, overlay = false }: { readonly slot: number; readonly key: Bin; readonly overlay?: boolean },
): Places {
  const packed = fromBin(key)
  const pending = overlay ? view.raw(findPending, collection, packed)[0] : undefined
  return placesIn(pending ?? view.raw(findIndexed, slot, collection, packed)[0] ?? [])
}

/** Arguments of the call about rewrites. */
export interface PlaceCalls {
  /** Tell of a rewrite that is about to be committed, a slice at a time. Answers Relocated. */
  relocate: {
    table: string
    /** Its number: of several rewrites, the newest counts (rewrite.ts). */
    rewrite: number
    from: number
    to: number
    move?: Relocation
    after?: IndexCursor | undefined
    limit: number
  }
}

/** A row of the key index, by what orders it. */
export interface IndexCursor {
  readonly slot: number
  readonly key: Bin
}

/** How far a shard is with a relocation. */
export interface Relocated {
  readonly more: boolean
  readonly after?: IndexCursor | undefined
  /** The shard has forgotten the relocation: it must be told again, as `move`. */
  readonly tell?: true
}

/** The call about rewrites. */
export const placeCalls: { [Name in keyof PlaceCalls]: (tx: Tx, args: PlaceCalls[Name]) => unknown } = {
  relocate(tx, { table, rewrite, from, to, move, after, limit }): Relocated {
    const newest = readValue<number>(tx, `rewrite ${table}`) ?? 0
    if (rewrite < newest) throw new Failure('conflict', `another rewrite of ${table} has begun`)
    if (rewrite > newest) writeValue(tx, `rewrite ${table}`, rewrite)
    const name = `tier move ${table} ${from} ${to}`
    if (move !== undefined) tx.memory.set(name, relocator(move))
    const known = tx.memory.get(name) as Relocator | undefined
    if (known === undefined) return { more: true, after, tell: true }
    const relocating = { table, from, to, move: known, limit }
    if (moveNewest(tx, 'index', relocating) === limit || moveNewest(tx, 'pending', relocating) === limit) {
      return { more: true, after }
    }
    const next = moveIndexed(tx, relocating, after ?? { slot: -2, key: '' })
    if (next !== undefined) return { more: true, after: next }
    if (movePending(tx, relocating) === limit || moveGone(tx, relocating) === limit) return { more: true, after: last }
    tx.memory.delete(name)
    return { more: false }
  },
}

/** Past every row of the index. */
const last: IndexCursor = { slot: Number.MAX_SAFE_INTEGER, key: '' }

interface Relocating {
  readonly table: string
  readonly from: number
  readonly to: number
  readonly move: Relocator
  readonly limit: number
}

const setPlaces = {
  index: 'where slot = ? and collection = ? and key = ?',
  pending: 'where collection = ? and key = ?',
} as const

/** Give rows whose newest place is in the old file their next one; only the last two are kept.
 *  @returns how many there were */
function moveNewest(tx: Tx, kind: 'index' | 'pending', { table, from, to, move, limit }: Relocating): number {
  const name = `tier_${kind}`
  const find = `select slot, key, alt_pos from ${name} where collection = ? and alt_file = ? limit ?`
  const found = tx.raw(find, table, from, limit)
  const update = `update ${name} set file = alt_file, pos = alt_pos, alt_file = ?, alt_pos = ? ${setPlaces[kind]}`
  for (const [slot, key, pos] of found) {
    const next = Number(pos) < 0 ? undefined : move.place(Number(pos))
    const row = kind === 'index' ? [slot as number, table, key as Uint8Array] : [table, key as Uint8Array]
    tx.write(update, to, next ?? -1, ...row)
  }
  return found.length
}

/** Give indexed rows of the old file their place in the new one.
 *  @returns where to go on */
function moveIndexed(
  tx: Tx,
  { table, from, to, move, limit }: Relocating,
  { slot: afterSlot, key: afterKey }: IndexCursor,
): IndexCursor | undefined {
  const find = `select slot, key, pos from tier_index where collection = ? and file = ? and (slot, key) > (?, ?)
    order by slot, key limit ?`
  const found = tx.raw(find, table, from, afterSlot, fromBin(afterKey), limit)
  const update = `update tier_index set alt_file = ?, alt_pos = ? ${setPlaces.index}`
  for (const [slot, key, pos] of found) {
    tx.write(update, to, move.place(Number(pos)) ?? -1, slot as number, table, key as Uint8Array)
  }
  const [slot, key] = found.at(-1) ?? []
  return found.length < limit ? undefined : { slot: Number(slot), key: toBin(key as Uint8Array) }
}

/** The same for rows that are settled later; seldom any. @returns how many there were */
function movePending(tx: Tx, { table, from, to, move, limit }: Relocating): number {
  const find = 'select key, pos from tier_pending where collection = ? and file = ? and alt_file is not ? limit ?'
  const found = tx.raw(find, table, from, to, limit)
  const update = `update tier_pending set alt_file = ?, alt_pos = ? ${setPlaces.pending}`
  for (const [key, pos] of found) tx.write(update, to, move.place(Number(pos)) ?? -1, table, key as Uint8Array)
  return found.length
}

/** Positions to be deleted are deleted in both files. @returns how many there were */
function moveGone(tx: Tx, { table, from, to, move, limit }: Relocating): number {
  const find = `select pos from tier_gone where collection = ? and file = ? and moved_to is not ? and own = 0 limit ?`
  const found = tx.raw(find, table, from, to, limit)
  const insert = `insert into tier_gone (collection, file, pos, own) values (?, ?, ?, 0)
    on conflict (collection, file, pos) do nothing`
  for (const [pos] of found) {
    const next = move.place(Number(pos))
    if (next !== undefined) tx.write(insert, table, to, next)
    const update = 'update tier_gone set moved_to = ? where collection = ? and file = ? and pos = ?'
    tx.write(update, to, table, from, pos as number)
  }
  return found.length
}
