/** A filesystem that begins with what another one lends: rows come page by page, content by reference; see lending.ts.
 *
 *  1. It was never used before, and nobody uses it before all is there (EBUSY).
 *  2. Coming again, a page changes nothing; beginning again, what came before goes. */
import type { Table, Tx } from '@dotdo/core/shard'
import { refuse } from '../errors.ts'
import {
  chunks,
  entries,
  fsxTables,
  inodes,
  type MetaRow,
  meta,
  OBJECT_PIECES,
  type ObjectRow,
  objects,
  pieces,
  xattrs,
} from '../tables.ts'
import type { LentChunks, LentRows } from './lending.ts'
import { type Credential, checkRoot } from './mode.ts'
import { type Files, forgetAll, writeMeta } from './volume.ts'

const none = new Uint8Array(0)
const arriving = { name: 'arriving' } as MetaRow

/** Begin with what is lent.
 *  @returns a token for what follows: whoever begins after that has it to himself
 *  @throws EEXIST when the filesystem was used before */
function borrow({ tx }: Files, _: object, who: Credential): { token: number } {
  checkRoot(who)
  const before = tx.find(meta, arriving)?.value
  const used = `select 1 from fs_meta where name in ('next_ino', 'next_object', 'next_snapshot')
    union all select 1 from fs_entries union all select 1 from fs_heads union all select 1 from fs_xattrs`
  if (before === undefined && tx.raw(`${used} limit 1`).length > 0) throw refuse('EEXIST')
  for (const table of fsxTables as readonly Table[]) if (table !== meta) tx.truncate(table)
  const token = (before ?? 0) + 1
  writeMeta(tx, 'arriving', token)
  forgetAll(tx)
  return { token }
}

/** @throws EBUSY when somebody else has begun since */
function checkToken(tx: Tx, token: number): void {
  if (tx.find(meta, arriving)?.value !== token) throw refuse('EBUSY')
}

/** Take in rows. */
function borrowRows({ tx }: Files, { token, rows }: { token: number; rows: LentRows }): null {
  checkToken(tx, token)
  for (const row of rows.inodes) tx.put(inodes, row)
  for (const row of rows.entries) tx.put(entries, row)
  for (const row of rows.xattrs) tx.put(xattrs, row)
  return null
}

/** Take in content, by reference.
 *  @param lender whose objects they are */
function borrowChunks(
  { tx }: Files,
  { token, lender, content }: { token: number; lender: string; content: LentChunks },
): null {
  checkToken(tx, token)
  const numbers = new Map<number, number>()
  for (const { key, object_bytes, ...piece } of content.pieces) {
    const object = borrowObject(tx, { key, bytes: object_bytes, lender })
    const number = object * OBJECT_PIECES + (piece.piece % OBJECT_PIECES)
    numbers.set(piece.piece, number)
    tx.put(pieces, { ...piece, piece: number })
  }
  for (const [id, piece, bytes] of content.chunks) {
    tx.put(chunks, { id, piece: numbers.get(piece) as number, bytes, data: none })
  }
  return null
}

/** @returns the number of an object here */
function borrowObject(tx: Tx, { key, bytes, lender }: Pick<ObjectRow, 'key' | 'bytes' | 'lender'>): number {
  const known = tx.raw('select object from fs_objects where key = ?', key)[0]?.[0]
  if (known !== undefined) return Number(known)
  const object = tx.find(meta, { name: 'next_object' })?.value ?? 1
  writeMeta(tx, 'next_object', object + 1)
  const row: ObjectRow = { object, key, bytes, state: 'live', dead: null, lender }
  tx.put(objects, row)
  return object
}

/** All is there. */
function endBorrow({ tx }: Files, { token, nextIno }: { token: number; nextIno: number }): null {
  checkToken(tx, token)
  writeMeta(tx, 'next_ino', nextIno)
  tx.remove(meta, arriving)
  forgetAll(tx)
  return null
}

/** Begin with nothing after all: the filesystem is as unused as it was.
 *  @throws EBUSY when somebody else has begun since */
function unborrow({ tx }: Files, { token }: { token: number }, who: Credential): null {
  checkRoot(who)
  checkToken(tx, token)
  for (const table of fsxTables as readonly Table[]) if (table !== meta) tx.truncate(table)
  // Without a version, its root is made anew.
  for (const name of ['arriving', 'next_object', 'version'] as const) tx.remove(meta, { name } as MetaRow)
  forgetAll(tx)
  return null
}

/** List the objects of somebody that there is anything of.
 *  @returns their keys; null while they are still arriving */
function borrowed({ tx }: Files, { lender }: { lender: string }): string[] | null {
  if (tx.find(meta, arriving) !== undefined) return null
  return tx.raw('select key from fs_objects where lender = ?', lender).map(([key]) => String(key))
}

/** Calls of who borrows that only read. */
export const borrowingReads = { borrowed }
/** Calls of who borrows that write. */
export const borrowingWrites = { borrow, borrowRows, borrowChunks, endBorrow, unborrow }
