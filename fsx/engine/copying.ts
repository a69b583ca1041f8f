/** Copying a file: a short one at once, a long one in pieces.
 *
 *  1. Pieces go into a file without a name. When all are there, the target takes them over in one transaction: nobody
 *     sees a part of a copy, and who dies half-way leaves nothing.
 *     (Where a snapshot came between, the pieces are copied once more, in that transaction.)
 *  2. The target stays the inode that it was, with its other names, as copyfile of libuv has it.
 *  3. A file that is changed while it is copied in pieces is copied as cp(1) does it: with some of the changes. */
import { FSX_CHUNK_BYTES, FSX_COPY_BYTES } from '@dotdo/core/limits'
import { refuse } from '../errors.ts'
import type { Inode } from '../tables.ts'
import { copyChunks, copyContent, resizeContent } from './content.ts'
import { checkOpen, handled, reach } from './files.ts'
import { checkRoom, holdInode, makeNameless, releaseInode } from './making.ts'
import { type Credential, checkAccess, isDirectory, O, R, S } from './mode.ts'
import { type Files, getInode, setInode } from './volume.ts'
import { at, directoryOf, walk } from './walk.ts'

/** What is copied. */
export interface CopyArgs {
  readonly from: string
  readonly to: string
  /** Refuse when something is there (COPYFILE_EXCL). */
  readonly exclusive: boolean
}

function sourceOf(files: Files, from: string, who: Credential): Inode {
  const source = at(files, walk(files, from, { who, follow: true }))
  checkAccess(source, who, R)
  return source
}

const flagsOf = (exclusive: boolean) => O.WRONLY | O.CREAT | (exclusive ? O.EXCL : 0)

function checkOwner({ uid }: Inode, who: Credential): void {
  if (who.uid !== 0 && who.uid !== uid) throw refuse('EPERM')
}

/** @returns the file that is copied to, without content; undefined when it is the source */
function emptyTarget(files: Files, source: Inode, { to, exclusive }: Omit<CopyArgs, 'from'>, who: Credential) {
  const target = reach(files, { path: to, flags: flagsOf(exclusive), mode: source.mode & 0o777 }, who)
  if (target.ino === source.ino) return undefined
  if (isDirectory(source)) throw refuse('EISDIR')
  checkOwner(target, who)
  // As libuv: the copy has the permissions of its source, also where there was a file.
  const mode = (target.mode & S.IFMT) | (source.mode & 0o7777)
  return resizeContent(files, { ...target, mode }, 0)
}

/** Copy a file's content to another path.
 *  @param atMost bytes that are copied at once
 *  @returns false when it has more: then nothing was done, and `beginCopy` is the way
 *  @throws as open(2) */
export function copyFile(
  files: Files,
  { from, atMost = Number.POSITIVE_INFINITY, ...into }: CopyArgs & { readonly atMost?: number },
  who: Credential,
): boolean {
  const source = sourceOf(files, from, who)
  if (source.body !== null && source.size > atMost) return false
  const target = emptyTarget(files, source, into, who)
  if (target !== undefined) copyContent(files, source, target)
  return true
}

/** A copy that is under way. */
export interface Copying {
  /** The file that is copied, which is held open. */
  readonly source: number
  /** One without a name that the pieces go to, which is held open too. */
  readonly target: number
  readonly size: number
}

/** Begin to copy a long file; what would be refused at the end is refused now.
 *  @throws as open(2); EDQUOT, ENFILE */
export function beginCopy(
  files: Files,
  { from, to, exclusive, replaces = false }: CopyArgs & { readonly replaces?: boolean },
  who: Credential,
): Copying {
  const source = sourceOf(files, from, who)
  if (isDirectory(source)) throw refuse('EISDIR')
  const place = walk(files, to, { who, follow: exclusive || replaces ? 'never' : true })
  if (place.ino === undefined || replaces) checkRoom(directoryOf(files, place), who)
  else {
    if (exclusive) throw refuse('EEXIST')
    const there = getInode(files, place.ino)
    checkOpen(there, { place, flags: flagsOf(exclusive), who })
    checkOwner(there, who)
  }
  const { ino } = makeNameless(files, { mode: 0o600 }, who)
  holdInode(files, source.ino)
  return { source: source.ino, target: ino, size: source.size }
}

/** Copy a piece.
 *  @param position where it begins: where the one before ended
 *  @returns where it ends
 *  @throws EDQUOT */
export function copyPiece(files: Files, { source, target, size, position }: Copying & { position: number }): number {
  const end = Math.min(size, position + FSX_COPY_BYTES)
  const [from, to] = [handled(files, source), handled(files, target)]
  const [first, last] = [Math.floor(position / FSX_CHUNK_BYTES), Math.ceil(end / FSX_CHUNK_BYTES)]
  // Cut to something short meanwhile: the rest is a hole.
  if (from.body !== null) copyChunks(files, from, to, first, last)
  return end
}

/** Give a path the content that has been copied; the file without a name is closed, and gone.
 *  @throws as open(2) */
export function endCopy(
  files: Files,
  { source, target, size, ...into }: Copying & Omit<CopyArgs, 'from'>,
  who: Credential,
): null {
  // What has grown meanwhile has brought more than was asked for.
  const copied = resizeContent(files, handled(files, target), size)
  const emptied = emptyTarget(files, handled(files, source), into, who)
  if (emptied !== undefined) takeOver(files, copied, emptied)
  releaseInode(files, target)
  return null
}

function takeOver(files: Files, copied: Inode, emptied: Inode): void {
  // A body stays with its inode in layers that others see: after a snapshot meanwhile, it is copied once more.
  if (copied.ino < files.volume.first) {
    copyContent(files, copied, emptied)
    return
  }
  const { body, stored, size } = copied
  setInode(files, { ...copied, size: 0, stored: 0, body: null })
  setInode(files, { ...emptied, size, stored, body })
}
