/** The shard's part of tiers: the policy, what is cold, and the swap of chunks for pieces; see TIERS.md.
 *
 *  1. An object is written down before it is written, and deleted before it is forgotten: nothing is lost in the store.
 *  2. A chunk is swapped only if its content is still what was packed, and only for a piece of a live object.
 *  3. Whether an object may go is asked of the chunks, in the transaction that lets it go. */
import {
  FSX_CHUNKS_MAX,
  FSX_TIER_KEEP_MS,
  FSX_TIER_OBJECTS_PER_CALL,
  FSX_TIER_SCANNED_PER_CALL,
  FSX_TIER_SPARSE_PER_CALL,
} from '@dotdo/core/limits'
import type { Tx } from '@dotdo/core/shard'
import { refuse } from '../errors.ts'
import {
  type ChunkRow,
  chunks,
  type MetaRow,
  meta,
  OBJECT_PIECES,
  type ObjectRow,
  objects,
  type PieceRow,
  pieces,
} from '../tables.ts'
import { keepPieces } from './cold.ts'
import { settle } from './layers.ts'
import { type Credential, checkRoot } from './mode.ts'
import { type Files, writeMeta } from './volume.ts'

/** When content leaves, and how long what nobody refers to stays. */
export interface TierPolicy {
  /** Files that were neither read nor changed for so long leave. */
  readonly olderThanMs: number
  /** Smaller ones stay. */
  readonly largerThanBytes: number
  /** Objects stay so long after nobody refers to them any more. */
  readonly keepMs: number
}

/** What is where. */
export interface TierStatus {
  readonly policy: TierPolicy | null
  /** Bytes of chunks that are in the shard, and that are in the store alone, of all filesystems and snapshots. */
  readonly hotBytes: number
  readonly coldBytes: number
  readonly objects: number
  readonly objectBytes: number
  /** Objects that nobody refers to any more, as far as was found. */
  readonly deadObjects: number
}

/** A piece as it lies in the store. */
export type Piece = PieceRow & { readonly key: string }

/** A chunk that may become cold: its content, and what holds it. */
export interface Swap {
  readonly id: number
  readonly data: Uint8Array
  readonly piece: number
}

/** An object on its way. */
export type Begun = { readonly object: number; readonly key: string }

const policyNames = ['tier_older_ms', 'tier_larger_bytes', 'tier_keep_ms'] as const

/** Read the policy.
 *  @returns null when there is none */
export function readTierPolicy(tx: Tx): TierPolicy | null {
  const [olderThanMs, largerThanBytes, keepMs] = policyNames.map((name) => tx.find(meta, { name })?.value)
  if (olderThanMs === undefined) return null
  return { olderThanMs, largerThanBytes: largerThanBytes ?? 0, keepMs: keepMs ?? FSX_TIER_KEEP_MS }
}

/** Set the policy; null for none: nothing leaves any more, what has left stays where it is.
 *  @throws EINVAL */
function setTier({ tx }: Files, { policy }: { policy: TierPolicy | null }, who: Credential): null {
  checkRoot(who)
  const values = policy && [policy.olderThanMs, policy.largerThanBytes, policy.keepMs]
  if (values?.some((value) => !Number.isSafeInteger(value) || value < 0)) throw refuse('EINVAL')
  for (const [i, name] of policyNames.entries()) {
    if (values === null) tx.remove(meta, { name } as MetaRow)
    else writeMeta(tx, name, values[i] as number)
  }
  return null
}

function tierStatus({ tx }: Files, _: object): TierStatus {
  const [bytes] = tx.raw('select coalesce(sum(length(data)), 0), coalesce(sum(bytes), 0) from fs_chunks')
  const [stored] = tx.raw("select count(*), coalesce(sum(bytes), 0), count(dead) from fs_objects where state = 'live'")
  const [hotBytes, coldBytes] = (bytes as unknown[]).map(Number) as [number, number]
  const [count, objectBytes, deadObjects] = (stored as unknown[]).map(Number) as [number, number, number]
  return { policy: readTierPolicy(tx), hotBytes, coldBytes, objects: count, objectBytes, deadObjects }
}

const ofPiece = `p.piece, p.hash, p.at, p.stored, p.bytes, o.key from fs_pieces p
  join fs_objects o on o.object = p.piece / ${OBJECT_PIECES}`

/** Find where chunks are that are cold.
 *  @returns a piece each, and fewer where chunks are not cold any more or have the same one */
function tierLocate({ tx }: Files, { ids }: { ids: readonly number[] }): Piece[] {
  const statement = `select distinct ${ofPiece} where p.piece in
    (select piece from fs_chunks where id in (select value from json_each(?)))`
  return tx.all(statement, JSON.stringify(ids)) as unknown as Piece[]
}

/** Keep pieces that have been fetched. */
function tierKeep({ tx }: Files, { fetched }: { fetched: Parameters<typeof keepPieces>[1] }): null {
  keepPieces(tx, fetched)
  return null
}

/** Find pieces by content, in objects from one on.
 *  @returns a number each, or null */
function tierKnown({ tx }: Files, { hashes, from = 0 }: { hashes: readonly Uint8Array[]; from?: number }) {
  const statement = `select piece from fs_pieces p join fs_objects o on o.object = p.piece / ${OBJECT_PIECES}
    where hash = ? and piece >= ? and o.state = 'live' limit 1`
  return hashes.map((hash) => {
    const [row] = tx.raw(statement, hash, from * OBJECT_PIECES)
    return row === undefined ? null : Number(row[0])
  })
}

/** A step of the scan. */
export interface Scanned {
  /** Of inodes with chunks: the body, when it was used last in ms since 1970, and its size. */
  readonly found: readonly (readonly [body: number, usedMs: number, size: number])[]
  /** The key to go on after; undefined at the end. */
  readonly after?: number
}

/** Look at inodes, of all layers, in the order of their keys. */
function tierScan(files: Files, { after }: { after: number }): Scanned {
  // Times of access may be in memory only.
  if (after < 0) settle(files)
  const statement = 'select ino, body, max(atime, ctime), size from fs_inodes where ino > ? order by ino limit ?'
  const rows = files.tx.raw(statement, after, FSX_TIER_SCANNED_PER_CALL)
  const found = rows
    .filter(([, body]) => body !== null)
    .map(([, body, used, size]) => [Number(body), Number(used) / 1000, Number(size)] as const)
  return { found, ...(rows.length === FSX_TIER_SCANNED_PER_CALL && { after: Number(rows.at(-1)?.[0]) }) }
}

/** Tell which bodies stand on which, those that were made last first. */
function tierBases({ tx }: Files, _: object): [body: number, base: number][] {
  return tx.raw('select body, base from fs_bodies order by body desc') as unknown as [number, number][]
}

/** Read chunks of a body that are here. */
function tierTake({ tx }: Files, { body, after, limit }: { body: number; after: number; limit: number }) {
  const statement = `select id, data from fs_chunks where id > ? and id < ? and piece is null order by id limit ?`
  const start = body * FSX_CHUNKS_MAX
  const rows = tx.raw(statement, Math.max(after, start - 1), start + FSX_CHUNKS_MAX, limit)
  return rows.map(([id, data]) => ({ id: Number(id), data: data as Uint8Array }))
}

/** Begin a pass: what an earlier one left half done is to be deleted.
 *  @returns the policy and the time */
function tierBegin({ tx }: Files, _: object): { policy: TierPolicy | null; nowMs: number } {
  tx.write("update fs_objects set state = 'deleting' where state = 'writing'")
  return { policy: readTierPolicy(tx), nowMs: tx.nowMs }
}

/** Write down that an object is about to be written.
 *  @param name the hash of its content
 *  @returns its number, which is never used again, and its key */
function tierBeginObject({ tx }: Files, args: { prefix: string; name: string; bytes: number }): Begun {
  const object = tx.find(meta, { name: 'next_object' })?.value ?? 1
  writeMeta(tx, 'next_object', object + 1)
  const key = `${args.prefix}${args.name}-${object}`
  const row: ObjectRow = { object, key, bytes: args.bytes, state: 'writing', dead: null, lender: null }
  tx.put(objects, row)
  return { object, key }
}

/** An object is in the store: its pieces are there from now on.
 *  @throws conflict when another pass has given it up */
function tierCommit({ tx }: Files, { object, made }: { object: number; made: readonly PieceRow[] }): null {
  const row = tx.find(objects, { object })
  if (row?.state !== 'writing') throw refuse('EBUSY')
  const next: ObjectRow = { ...row, state: 'live' }
  tx.put(objects, next)
  for (const piece of made) tx.put(pieces, piece)
  return null
}

/** Let chunks go whose content is in the store.
 *  @returns how many went, and their bytes: not those that have changed, nor those whose object is not live */
function tierSwap({ tx }: Files, { swaps }: { swaps: readonly Swap[] }): { chunks: number; bytes: number } {
  const live = new Map<number, boolean>()
  const isLive = (object: number): boolean => {
    const known = live.get(object) ?? tx.find(objects, { object })?.state === 'live'
    live.set(object, known)
    return known
  }
  const statement = `update fs_chunks set bytes = length(data), piece = ?, data = x'' where id = ? and piece is null
    and data = ? returning id, piece, bytes, data`
  let bytes = 0
  let count = 0
  for (const { id, data, piece } of swaps) {
    if (!isLive(Math.floor(piece / OBJECT_PIECES))) continue
    for (const row of tx.write(statement, piece, id, data) as ChunkRow[]) {
      tx.record(chunks, 'put', row)
      bytes += row.bytes as number
      count++
    }
  }
  return { chunks: count, bytes }
}

const isReferred = `select 1 where exists (select 1 from fs_chunks where piece between ? and ?)
  or exists (select 1 from fs_loans where object = ?)`

/** Look which objects nobody refers to, and let those go that have been so for long enough.
 *  @param after where the step before ended, 0 at first
 *  @returns where to go on; undefined at the end */
function tierCollect({ tx }: Files, { after }: { after: number }): { after?: number } {
  const keepMs = readTierPolicy(tx)?.keepMs ?? FSX_TIER_KEEP_MS
  const statement = "select object, dead from fs_objects where object > ? and state = 'live' order by object limit ?"
  const rows = tx.raw(statement, after, FSX_TIER_OBJECTS_PER_CALL)
  for (const [number, dead] of rows) {
    const object = Number(number)
    const range = [object * OBJECT_PIECES, (object + 1) * OBJECT_PIECES - 1] as const
    const isUsed = tx.raw(isReferred, ...range, object).length > 0
    const since = isUsed ? null : (dead ?? tx.nowMs)
    if (since !== dead) tx.write('update fs_objects set dead = ? where object = ?', since, object)
    if (since === null || tx.nowMs - Number(since) < keepMs) continue
    tx.write('delete from fs_pieces where piece between ? and ?', ...range)
    // What is borrowed is its lender's to delete, who asks whether it is still here.
    tx.write('delete from fs_objects where object = ? and lender is not null', object)
    tx.write("update fs_objects set state = 'deleting' where object = ?", object)
  }
  return rows.length === FSX_TIER_OBJECTS_PER_CALL ? { after: Number(rows.at(-1)?.[0]) } : {}
}

/** Find objects of which less than half is in use: not those that are lent, which stay as they are.
 *  @param after where the step before ended, 0 at first */
function tierSparse({ tx }: Files, { after }: { after: number }): { sparse: number[]; after?: number } {
  const select = `select object, bytes from fs_objects where object > ? and state = 'live' and dead is null
    and object not in (select object from fs_loans) order by object limit ?`
  const used = `select coalesce(sum(stored), 0) from fs_pieces p where piece between ? and ?
    and exists (select 1 from fs_chunks c where c.piece = p.piece)`
  const rows = tx.raw(select, after, FSX_TIER_SPARSE_PER_CALL)
  const sparse = rows.filter(([object, bytes]) => {
    const first = Number(object) * OBJECT_PIECES
    return 2 * Number(tx.raw(used, first, first + OBJECT_PIECES - 1)[0]?.[0]) < Number(bytes)
  })
  const more = rows.length === FSX_TIER_SPARSE_PER_CALL
  return { sparse: sparse.map(([object]) => Number(object)), ...(more && { after: Number(rows.at(-1)?.[0]) }) }
}

/** List the pieces of an object that are in use. */
function tierUsed({ tx }: Files, { object }: { object: number }): Piece[] {
  const statement = `select ${ofPiece} where p.piece between ? and ?
    and exists (select 1 from fs_chunks c where c.piece = p.piece) order by p.piece`
  return tx.all(statement, object * OBJECT_PIECES, (object + 1) * OBJECT_PIECES - 1) as unknown as Piece[]
}

/** Let chunks have their content from another piece, which is the same, if that is still there. */
function tierMove({ tx }: Files, { moves }: { moves: readonly (readonly [from: number, to: number])[] }): null {
  const statement = 'update fs_chunks set piece = ? where piece = ? returning id, piece, bytes, data'
  for (const [from, to] of moves) {
    if (tx.find(pieces, { piece: to }) === undefined) continue
    for (const row of tx.write(statement, to, from) as ChunkRow[]) tx.record(chunks, 'put', row)
  }
  return null
}

/** List objects that are to be deleted from the store. */
function tierDeleting({ tx }: Files, _: object): Begun[] {
  const statement = "select object, key from fs_objects where state = 'deleting' order by object limit ?"
  return tx.all(statement, FSX_TIER_OBJECTS_PER_CALL) as unknown as Begun[]
}

/** Forget objects that are not in the store any more. */
function tierForget({ tx }: Files, { gone }: { gone: readonly number[] }): null {
  for (const object of gone) {
    if (tx.find(objects, { object })?.state === 'deleting') tx.remove(objects, { object })
  }
  return null
}

/** Calls that only read, or write to memory. */
export const tierReads = {
  tierStatus,
  tierLocate,
  tierKeep,
  tierKnown,
  tierBases,
  tierTake,
  tierSparse,
  tierUsed,
  tierDeleting,
}
/** Calls that write. */
export const tierWrites = {
  setTier,
  tierScan,
  tierBegin,
  tierBeginObject,
  tierCommit,
  tierSwap,
  tierMove,
  tierCollect,
  tierForget,
}
