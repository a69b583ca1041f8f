/** Where the rows of a shard are in the lake, also while files are rewritten.
 *
 *  1. A row may have two places: one in a file, and one in the file that a rewrite has made of it. At most one of them is
 *     in a snapshot; what is said of the other means nothing. So a rewrite is told to the shards before it is committed,
 *     and nobody need tell them how it ended.
 *  2. Both places stand in the row of the key index, so they go where its slot goes. */
import { type Bin, fromBin } from '../../bytes.ts'
import type { Tx, View } from '../../shard/program.ts'
import type { SqlValue } from '../../shard/sql.ts'
import type { Relocation } from './port.ts'
import { type Place, type Relocator, relocator } from './relocation.ts'

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
  /** Tell of a rewrite that is about to be committed, a slice at a time. Answers `{ more }`, or `{ tell: true }` when
   *  the shard has forgotten the relocation, which then comes again as `move`. */
  relocate: { table: string; from: number; to: number; move?: Relocation; limit: number }
}

/** The call about rewrites. */
export const placeCalls: { [Name in keyof PlaceCalls]: (tx: Tx, args: PlaceCalls[Name]) => unknown } = {
  relocate(tx, { table, from, to, move, limit }) {
    const name = `tier move ${table} ${from} ${to}`
    if (move !== undefined) tx.memory.set(name, relocator(move))
    const known = tx.memory.get(name) as Relocator | undefined
    if (known === undefined) return { tell: true }
    let left = limit
    for (const kind of ['index', 'pending', 'gone'] as const) {
      left -= relocateRows(tx, { kind, table, from, to, move: known, limit: left })
      if (left <= 0) return { more: true }
    }
    tx.memory.delete(name)
    return { more: false }
  },
}

interface Relocating {
  readonly kind: 'index' | 'pending' | 'gone'
  readonly table: string
  readonly from: number
  readonly to: number
  readonly move: Relocator
  readonly limit: number
}

/** Give rows of the old file their place in the new one.
 *  @returns how many were looked at */
function relocateRows(tx: Tx, { kind, table, from, to, move, limit }: Relocating): number {
  if (kind === 'gone') return relocateGone(tx, { table, from, to, move, limit })
  const name = `tier_${kind}`
  const key = kind === 'index' ? 'slot = ? and collection = ? and key = ?' : 'collection = ? and key = ?'
  const keyOf = (slot: SqlValue | undefined, bytes: SqlValue | undefined): SqlValue[] => {
    return kind === 'index' ? [slot as number, table, bytes as Uint8Array] : [table, bytes as Uint8Array]
  }
  // What was the new place becomes the old one: only the last two rewrites are known.
  const newest = tx.raw(
    `select slot, key, alt_pos from ${name} where collection = ? and alt_file = ? limit ?`,
    table,
    from,
    limit,
  )
  for (const [slot, bytes, pos] of newest) {
    const next = Number(pos) < 0 ? undefined : move.place(Number(pos))
    const update = `update ${name} set file = alt_file, pos = alt_pos, alt_file = ?, alt_pos = ? where ${key}`
    tx.write(update, to, next ?? -1, ...keyOf(slot, bytes))
  }
  const left = limit - newest.length
  if (left <= 0) return newest.length
  const old = tx.raw(
    `select slot, key, pos from ${name} where collection = ? and file = ? and alt_file is not ? limit ?`,
    table,
    from,
    to,
    left,
  )
  for (const [slot, bytes, pos] of old) {
    const update = `update ${name} set alt_file = ?, alt_pos = ? where ${key}`
    tx.write(update, to, move.place(Number(pos)) ?? -1, ...keyOf(slot, bytes))
  }
  return newest.length + old.length
}

/** Positions to be deleted are deleted in both files. */
function relocateGone(tx: Tx, { table, from, to, move, limit }: Omit<Relocating, 'kind'>): number {
  const found = tx.raw(
    `select pos from tier_gone where collection = ? and file = ? and moved_to is not ? and own = 0 limit ?`,
    table,
    from,
    to,
    limit,
  )
  for (const [pos] of found) {
    const next = move.place(Number(pos))
    if (next !== undefined) {
      tx.write(
        `insert into tier_gone (collection, file, pos, own) values (?, ?, ?, 0)
          on conflict (collection, file, pos) do nothing`,
        table,
        to,
        next,
      )
    }
    const update = 'update tier_gone set moved_to = ? where collection = ? and file = ? and pos = ?'
    tx.write(update, to, table, from, pos as number)
  }
  return found.length
}
