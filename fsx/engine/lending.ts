/** Forks in another shard: one lends what it has, another one begins with it; see TIERS.md.
 *
 *  1. What is lent is looked at through a fork of its own, which nobody writes to: its name begins with `#`.
 *  2. A loan of an object is written down in the transaction that tells of it, and ends when the borrower says that it
 *     has nothing of the object: until then the object stays as it is.
 *  3. Who begins with what is lent was never used before, and is used by nobody until all is there.
 *  4. Content is referred to, never copied: it must all be in the store. */
import { FSX_CHUNKS_MAX, FSX_LENT_CHUNKS_PER_CALL, FSX_LENT_INOS_PER_CALL } from '@dotdo/core/limits'
import { refuse } from '../errors.ts'
import {
  type EntryRow,
  heads,
  type InodeRow,
  type LoanRow,
  loans,
  OBJECT_PIECES,
  type ObjectRow,
  type XattrRow,
} from '../tables.ts'
import { chunkLengths, seenChunks } from './bodies.ts'
import { type Credential, checkRoot } from './mode.ts'
import { inodesOf } from './seen.ts'
import { makeFork, removeFork } from './snapshots.ts'
import type { Piece } from './tier.ts'
import { type Files, getInode } from './volume.ts'

/** The fork through which is seen what is lent to a database. */
export const lentView = (borrower: string) => `#${borrower}`

/** Some of the rows that a filesystem sees, in one layer. */
export interface LentRows {
  readonly inodes: readonly InodeRow[]
  readonly entries: readonly EntryRow[]
  readonly xattrs: readonly XattrRow[]
  /** The number to go on from; undefined at the end. */
  readonly next?: number
}

/** A chunk as it is lent. */
export type LentChunk = readonly [id: number, piece: number, bytes: number]

/** Content, by reference. */
export interface LentChunks {
  readonly chunks: readonly LentChunk[]
  readonly pieces: readonly (Piece & { readonly object_bytes: number })[]
  /** Where to go on: which of the inodes, and at which chunk; undefined at the end. */
  readonly next?: { readonly at: number; readonly first: number }
}

/** Begin to lend: what is to be seen is kept as it is now.
 *  @returns the first number that no inode has */
function lend(files: Files, { to }: { to: string }, who: Credential): { nextIno: number } {
  checkRoot(who)
  // What lies below an overlay is not here to be lent.
  if (files.tx.raw("select 1 from fs_xattrs where name = 'dotdo.lower' limit 1").length > 0) throw refuse('ENOTSUP')
  endLend(files, { to }, who)
  makeFork(files, lentView(to))
  return { nextIno: files.volume.numbers.nextIno }
}

/** Let go of what is kept to be lent: all of it has been told. */
function endLend(files: Files, { to }: { to: string }, who: Credential): null {
  checkRoot(who)
  const name = lentView(to)
  return files.tx.find(heads, { name }) === undefined ? null : removeFork(files, { name }, who)
}

/** List the bodies that a view sees content of. */
function lendBodies({ tx, volume }: Files, _: object, who: Credential): number[] {
  checkRoot(who)
  const statement = `with recursive ${inodesOf(volume)}, shown (body) as (select body from inodes where body is not null
    union select base from shown s join fs_bodies b on b.body = s.body) select body from shown order by body`
  return tx.raw(statement).map(([body]) => Number(body))
}

/** Rows of a table whose keys begin with numbers of a stretch, of each layer that is seen, the topmost first. */
function* rowsOf({ tx, volume }: Files, select: string, from: number, to: number) {
  for (const { base } of volume.chain) yield { base, rows: tx.all(select, base + from, base + to) }
}

/** Read a stretch of inodes, with their names and attributes. */
function lendRows(files: Files, { from }: { from: number }, who: Credential): LentRows {
  checkRoot(who)
  const to = from + FSX_LENT_INOS_PER_CALL - 1
  const seen = new Map<number, InodeRow>()
  for (const { base, rows } of rowsOf(files, 'select * from fs_inodes where ino between ? and ?', from, to)) {
    for (const row of rows as InodeRow[]) {
      const ino = row.ino - base
      if (!seen.has(ino)) seen.set(ino, { ...row, ino, body: row.body === null ? null : ino })
    }
  }
  const names = new Map<string, EntryRow>()
  for (const { base, rows } of rowsOf(files, 'select * from fs_entries where parent between ? and ?', from, to)) {
    for (const row of rows as EntryRow[]) {
      const key = `${row.parent - base}/${row.name}`
      if (!names.has(key)) names.set(key, { ...row, parent: row.parent - base })
    }
  }
  const attributes = new Map<number, XattrRow[]>()
  for (const { base, rows } of rowsOf(files, 'select * from fs_xattrs where ino between ? and ?', from, to)) {
    const own = new Map<number, XattrRow[]>()
    for (const row of rows as XattrRow[]) {
      const ino = row.ino - base
      own.set(ino, [...(own.get(ino) ?? []), { ...row, ino }])
    }
    for (const [ino, all] of own) if (!attributes.has(ino)) attributes.set(ino, all)
  }
  const isThere = (ino: number) => (seen.get(ino)?.mode ?? 0) !== 0
  return {
    inodes: [...seen.values()].filter(({ ino }) => isThere(ino)),
    entries: [...names.values()].filter(({ ino }) => ino !== 0),
    xattrs: [...attributes].flatMap(([ino, all]) => (isThere(ino) ? all.filter(({ name }) => name !== '') : [])),
    ...(to + 1 < files.volume.numbers.nextIno && { next: to + 1 }),
  }
}

/** Lend the content of inodes.
 *  @param at which of them to begin with, `first` at which chunk
 *  @throws EBUSY when content is not in the store */
function lendChunks(
  files: Files,
  { to, inos, at, first }: { to: string; inos: readonly number[]; at: number; first: number },
  who: Credential,
): LentChunks {
  checkRoot(who)
  const { tx } = files
  const lent: LentChunk[] = []
  let next: LentChunks['next']
  for (let i = at; i < inos.length && next === undefined; i++) {
    const ino = inos[i] as number
    const from = i === at ? first : 0
    const { body } = getInode(files, ino)
    if (body === null) continue
    const last = from + FSX_LENT_CHUNKS_PER_CALL - 1
    for (const [index, { piece, bytes }] of seenChunks(files, body, from, last)) {
      if (piece === null) throw refuse('EBUSY')
      lent.push([ino * FSX_CHUNKS_MAX + index, piece, bytes])
    }
    // Past the end there may be space that was taken.
    const rest = chunkLengths(files, body, last + 1)
    if (rest.size > 0) next = { at: i, first: [...rest.keys()].reduce((a, b) => Math.min(a, b)) }
    else if (lent.length >= FSX_LENT_CHUNKS_PER_CALL && i + 1 < inos.length) next = { at: i + 1, first: 0 }
  }
  const statement = `select distinct p.piece, p.hash, p.at, p.stored, p.bytes, o.key, o.bytes as object_bytes
    from fs_pieces p join fs_objects o on o.object = p.piece / ${OBJECT_PIECES}
    where p.piece in (select value from json_each(?))`
  const found = tx.all(statement, JSON.stringify(lent.map(([, piece]) => piece))) as unknown as LentChunks['pieces']
  for (const object of new Set(found.map(({ piece }) => Math.floor(piece / OBJECT_PIECES)))) {
    tx.put(loans, { object, borrower: to })
  }
  return { chunks: lent, pieces: found, ...(next && { next }) }
}

/** Who has borrowed, and what: keys of objects. */
export interface Loan {
  readonly borrower: string
  readonly keys: readonly string[]
}

/** List what is lent. */
function lent({ tx }: Files, _: object, who: Credential): Loan[] {
  checkRoot(who)
  const byBorrower = new Map<string, string[]>()
  const statement = 'select l.borrower, o.key from fs_loans l join fs_objects o on o.object = l.object'
  for (const [borrower, key] of tx.raw(statement)) {
    byBorrower.set(String(borrower), [...(byBorrower.get(String(borrower)) ?? []), String(key)])
  }
  return [...byBorrower].map(([borrower, keys]) => ({ borrower, keys }))
}

/** End loans of objects. */
function endLoans({ tx }: Files, { borrower, keys }: Loan, who: Credential): null {
  checkRoot(who)
  for (const key of keys) {
    const [row] = tx.all('select object from fs_objects where key = ?', key) as Pick<ObjectRow, 'object'>[]
    if (row !== undefined) tx.remove(loans, { object: row.object, borrower } satisfies LoanRow)
  }
  return null
}

/** Calls of who lends that only read. */
export const lendingReads = { lendBodies, lendRows, lent }
/** Calls of who lends that write. */
export const lendingWrites = { lend, endLend, lendChunks, endLoans }
