/** Rewrites as a shard knows them: rows of the key index may name files that have been rewritten since.
 *
 *  1. A rewrite is proposed to every shard before it is committed, so that no shard ever learns of it too late: until
 *     it is confirmed or dropped, queries are told both places of a deleted row, and one of them means nothing.
 *  2. Confirmed, it is followed wherever a place is read. The index itself is rewritten some time after, when no query
 *     can still have the table as it was before.
 *  3. It is kept for longer than slots are on their way between shards: rows that arrive may name the old file. */
import { type Bin, fromBin } from '../../bytes.ts'
import { TIER_RELOCATION_GRACE_MS, TIER_RELOCATION_KEPT_MS } from '../../limits.ts'
import type { Tx, View } from '../../shard/program.ts'
import type { Relocation } from './port.ts'
import { decodePositions, encodePositions, follow, type Place, type Relocator, relocator } from './relocation.ts'
import { changeState } from './state.ts'

interface Moves {
  readonly confirmed: ReadonlyMap<number, Relocator>
  /** Confirmed or proposed. */
  readonly all: ReadonlyMap<number, Relocator>
}

const memoryName = (collection: string) => `tier moves ${collection}`

function movesOf(view: View, collection: string): Moves {
  const known = view.memory.get(memoryName(collection)) as Moves | undefined
  if (known !== undefined) return known
  const confirmed = new Map<number, Relocator>()
  const all = new Map<number, Relocator>()
  for (const { state, ...move } of readMoves(view, collection)) {
    const made = relocator(move)
    all.set(move.from, made)
    if (state > 0) confirmed.set(move.from, made)
  }
  const moves = { confirmed, all }
  view.memory.set(memoryName(collection), moves)
  return moves
}

/** A relocation as a shard keeps it; `state` 0: proposed. */
export interface KeptMove extends Relocation {
  readonly commit: string
  readonly state: number
}

function readMoves(view: View, collection: string): KeptMove[] {
  const moves: (KeptMove & { without: number[] })[] = []
  const statement = `select file, target, offset, without, commit_id, state, part from tier_moves where collection = ?
    order by commit_id, file, part`
  for (const [file, to, offset, without, commit, state, part] of view.raw(statement, collection)) {
    const positions = decodePositions(without as Uint8Array)
    const last = moves.at(-1)
    if (Number(part) > 0 && last !== undefined) last.without.push(...positions)
    else {
      const move = { from: Number(file), to: Number(to), offset: Number(offset), without: positions }
      moves.push({ ...move, commit: String(commit), state: Number(state) })
    }
  }
  return moves
}

/** Find where an indexed place is now.
 *  @returns undefined for a row that was deleted before a rewrite */
export function placeNow(view: View, collection: string, at: Place): Place | undefined {
  return follow(movesOf(view, collection).confirmed, at)
}

/** List every place that an indexed row has, for readers of the table before and after rewrites. */
export function placesOf(view: View, collection: string, at: Place): Place[] {
  const places: Place[] = []
  follow(movesOf(view, collection).all, at, (place) => places.push(place))
  return places
}

/** Positions of one row of `tier_moves`: far below a row's 2 MB, whatever the steps between them. */
const positionsPerPart = 200_000

const findPending = 'select file, pos from tier_pending where collection = ? and key = ?'
const findPlace = 'select file, pos from tier_index where slot = ? and collection = ? and key = ?'

/** Find where a row's payload is.
 *  @returns undefined when the row is not in the mirror */
export function place(view: View, collection: string, { slot, key }: { slot: number; key: Bin }): Place | undefined {
  const indexed = indexedPlace(view, collection, { slot, key })
  const now = indexed && placeNow(view, collection, indexed)
  if (now !== undefined) return now
  // Committed and not settled yet: a rewrite may have left out what the index still names.
  const [pending] = view.raw(findPending, collection, fromBin(key))
  return pending?.[0] == null ? undefined : { file: Number(pending[0]), pos: Number(pending[1]) }
}

/** Find the place of a row as the index has it. */
export function indexedPlace(
  view: View,
  collection: string,
  { slot, key }: { slot: number; key: Bin },
): Place | undefined {
  const found = view.raw(findPlace, slot, collection, fromBin(key))[0]
  return found === undefined ? undefined : { file: Number(found[0]), pos: Number(found[1]) }
}

/** Arguments of the calls about rewrites. */
export interface MoveCalls {
  /** Tell of a rewrite that is about to be committed; again, it changes nothing. Answers null. */
  propose: { table: string; commit: string; moves: readonly Relocation[] }
  /** Say that it was committed. Answers null. */
  confirm: { table: string; commit: string }
  /** Say that it was not, and never will be. Answers null. */
  drop: { table: string; commit: string }
  /** List the relocations that are kept here. Answers KeptMove[]: `state` 0 is proposed. */
  moves: { table: string }
  /** Bring the index up to date with rewrites that are old enough, a slice at a time. Answers `{ more }`. */
  rewrite: { table: string; limit: number; graceMs?: number }
}

/** The calls about rewrites. */
export const moveCalls: { [Name in keyof MoveCalls]: (tx: Tx, args: MoveCalls[Name]) => unknown } = {
  propose(tx, { table, commit, moves }) {
    const statement = `insert into tier_moves
      (collection, file, target, offset, part, without, commit_id, state, at)
      values (?, ?, ?, ?, ?, ?, ?, 0, ?) on conflict (collection, file, commit_id, part) do nothing`
    for (const { from, to, offset, without } of moves) {
      for (let part = 0; part === 0 || part * positionsPerPart < without.length; part++) {
        const some = without.slice(part * positionsPerPart, (part + 1) * positionsPerPart)
        tx.write(statement, table, from, to, offset, part, encodePositions(some), commit, tx.nowMs)
      }
    }
    tx.memory.delete(memoryName(table))
    return null
  },
  confirm(tx, { table, commit }) {
    tx.write(
      'update tier_moves set state = 1, at = ? where collection = ? and commit_id = ? and state = 0',
      tx.nowMs,
      table,
      commit,
    )
    changeState(tx, table, { relocated: commit })
    tx.memory.delete(memoryName(table))
    return null
  },
  drop(tx, { table, commit }) {
    tx.write('delete from tier_moves where collection = ? and commit_id = ? and state = 0', table, commit)
    tx.memory.delete(memoryName(table))
    return null
  },
  moves: (tx, { table }) => readMoves(tx, table),
  rewrite,
}

function rewrite(tx: Tx, { table, limit, graceMs = TIER_RELOCATION_GRACE_MS }: MoveCalls['rewrite']): unknown {
  const [move] = tx.raw(
    'select file from tier_moves where collection = ? and state = 1 and at <= ? order by at, file limit 1',
    table,
    tx.nowMs - graceMs,
  )
  if (move === undefined) {
    const old = 'delete from tier_moves where collection = ? and state = 2 and at <= ?'
    tx.write(old, table, tx.nowMs - TIER_RELOCATION_KEPT_MS)
    tx.memory.delete(memoryName(table))
    return { more: false }
  }
  const file = Number(move[0])
  const rows = tx.raw(
    'select slot, key, pos from tier_index where collection = ? and file = ? limit ?',
    table,
    file,
    limit,
  )
  const update = 'update tier_index set file = ?, pos = ? where slot = ? and collection = ? and key = ?'
  for (const [slot, key, pos] of rows) {
    const now = placeNow(tx, table, { file, pos: Number(pos) })
    // A row that the rewrite left out had been deleted before: what replaced it is pending.
    if (now !== undefined) tx.write(update, now.file, now.pos, slot as number, table, key as Uint8Array)
    else
      tx.write(
        'delete from tier_index where slot = ? and collection = ? and key = ?',
        slot as number,
        table,
        key as Uint8Array,
      )
  }
  if (rows.length < limit) {
    tx.write('update tier_moves set state = 2 where collection = ? and file = ? and state = 1', table, file)
  }
  return { more: true }
}
