/** Content of files: inline in the inode's row, or in chunks; what is not stored reads as zeros.
 *
 *  1. A chunk's row ends with the last byte that was written to it; a chunk without a row is a hole.
 *  2. Nothing is stored past `size`: what grows again reads as zeros.
 *  3. Content that has once outgrown its row stays in chunks until it is cut to nothing. */
import { FSX_CHUNK_BYTES, FSX_FILE_BYTES_MAX, FSX_INLINE_BYTES_MAX, FSX_RELATIME_MS } from '@dotdo/core/limits'
import { refuse } from '../errors.ts'
import { chunks, type Inode } from '../tables.ts'
import { chunkId, coverBody, cutBody, dropBody, findChunk, ownsBody, readChunks, takeBody } from './bodies.ts'
import { checkQuota, countBytes } from './quota.ts'
import { type Files, readData, setInode, touchInode } from './volume.ts'

/** Read a stretch of a file.
 *  @returns fresh bytes; shorter where the file ends
 *  @cost a statement a run of chunks */
export function readContent(files: Files, inode: Inode, from: number, length: number): Uint8Array {
  const end = Math.min(inode.size, from + length)
  if (!files.volume.isReadOnly) touch(files, inode)
  if (end <= from) return new Uint8Array(0)
  if (inode.body !== null) return readChunks(files, inode.body, from, end)
  const data = readData(files, inode.ino)
  // What waits to be written is nobody else's.
  if (data !== null && from === 0 && end === data.length && !files.volume.data.has(inode.ino)) return data
  const out = new Uint8Array(end - from)
  if (data !== null) out.set(data.subarray(from, end))
  return out
}

/** A read renews the time of last access when that is before the last change, or a day old.
 *  @source mount(8), relatime */
function touch(files: Files, inode: Inode): void {
  const { nowUs } = files
  const { atime, mtime, ctime } = inode
  const isNewer = atime > mtime && atime > ctime
  if ((isNewer && nowUs - atime < FSX_RELATIME_MS * 1000) || nowUs <= atime) return
  touchInode(files, { ...inode, atime: nowUs, nanos: inode.nanos - (inode.nanos % 1000) })
}

/** Write a stretch of a file, from any place on.
 *  @param bytes borrowed until the group ends
 *  @returns the inode as it is then
 *  @throws EFBIG, EDQUOT */
export function writeContent(files: Files, inode: Inode, from: number, bytes: Uint8Array): Inode {
  const end = from + bytes.length
  if (end > FSX_FILE_BYTES_MAX) throw refuse('EFBIG')
  const size = Math.max(inode.size, end)
  const times = { mtime: files.nowUs, ctime: files.nowUs, nanos: keepNanos(inode), era: files.volume.era }
  if (inode.body === null && size <= FSX_INLINE_BYTES_MAX) {
    const data = inlineWith(files, inode, from, bytes)
    checkQuota(files, data.length - inode.stored)
    return changed(files, { ...inode, ...times, size, stored: data.length }, data)
  }
  let stored = inode.stored
  let body = inode.body
  let data: null | undefined
  if (body === null) {
    body = takeBody(files, inode.ino)
    data = null
    const before = readData(files, inode.ino)
    if (before !== null) files.tx.put(chunks, { id: chunkId(body, 0), data: before })
  } else if (!ownsBody(files.volume, body)) body = coverBody(files, body, inode.size)
  for (let at = from; at < end; ) {
    const index = Math.floor(at / FSX_CHUNK_BYTES)
    const offset = at - index * FSX_CHUNK_BYTES
    const piece = bytes.subarray(at - from, at - from + FSX_CHUNK_BYTES - offset)
    stored += writeChunk(files, { body, index, mayExist: index * FSX_CHUNK_BYTES < inode.size }, offset, piece)
    at += piece.length
  }
  checkQuota(files, stored - inode.stored)
  return changed(files, { ...inode, ...times, size, stored, body }, data)
}

interface Piece {
  readonly body: number
  readonly index: number
  readonly mayExist: boolean
}

/** @returns how many bytes more are stored */
function writeChunk(files: Files, { body, index, mayExist }: Piece, offset: number, piece: Uint8Array): number {
  const isWhole = offset === 0 && piece.length === FSX_CHUNK_BYTES
  const before = mayExist ? findChunk(files, body, index) : undefined
  const length = Math.max(before?.length ?? 0, offset + piece.length)
  let data = piece
  if (!isWhole && (offset > 0 || length > piece.length)) {
    data = new Uint8Array(length)
    if (before !== undefined) data.set(before)
    data.set(piece, offset)
  }
  files.tx.put(chunks, { id: chunkId(body, index), data })
  return length - (before?.length ?? 0)
}

function inlineWith(files: Files, inode: Inode, from: number, bytes: Uint8Array): Uint8Array {
  const before = inode.stored === 0 ? null : readData(files, inode.ino)
  const length = Math.max(before?.length ?? 0, from + bytes.length)
  // Kept until the group ends, while the caller may use its buffer again.
  const data = new Uint8Array(length)
  if (before !== null) data.set(before)
  data.set(bytes, from)
  return data
}

function changed(files: Files, inode: Inode, data?: Uint8Array | null): Inode {
  setInode(files, inode, data)
  return inode
}

/** What is left of the nanoseconds when the times of change and content are set anew. */
function keepNanos({ nanos }: Inode): number {
  return nanos === 0 ? 0 : (nanos % 1000) + Math.floor(nanos / 1e9) * 1e9
}

/** Give a file a size: cut it off, or let it end in a hole.
 *  @throws EFBIG, EDQUOT */
export function resizeContent(files: Files, inode: Inode, size: number): Inode {
  if (size > FSX_FILE_BYTES_MAX) throw refuse('EFBIG')
  const times = { mtime: files.nowUs, ctime: files.nowUs, nanos: keepNanos(inode), era: files.volume.era }
  const next = { ...inode, ...times, size }
  if (inode.body === null) {
    if (size >= inode.stored) return changed(files, next)
    countBytes(files, size - inode.stored)
    const data = size === 0 ? null : new Uint8Array((readData(files, inode.ino) as Uint8Array).subarray(0, size))
    return changed(files, { ...next, stored: size }, data)
  }
  if (size >= inode.size) return changed(files, next)
  if (size === 0) {
    countBytes(files, -inode.stored)
    dropBody(files, inode.body)
    return changed(files, { ...next, stored: 0, body: null }, null)
  }
  const { body, freed } = cutBody(files, inode.body, size)
  countBytes(files, -freed)
  return changed(files, { ...next, stored: inode.stored - freed, body })
}

/** Copy chunks of a file into one that has none there; holes stay holes.
 *  @returns the other as it is then, its size that of what was copied so far
 *  @throws EDQUOT */
export function copyChunks(files: Files, source: Inode, target: Inode, first: number, end: number): Inode {
  touch(files, source)
  const { tx, nowUs, volume } = files
  let { stored, body } = target
  if (body === null) body = takeBody(files, target.ino)
  // A snapshot may have come between two pieces.
  else if (!ownsBody(volume, body)) body = coverBody(files, body, target.size)
  for (let index = first; index < end; index++) {
    const data = findChunk(files, source.body as number, index)
    if (data === undefined) continue
    tx.put(chunks, { id: chunkId(body, index), data })
    stored += data.length
  }
  checkQuota(files, stored - target.stored)
  const size = Math.max(target.size, Math.min(source.size, end * FSX_CHUNK_BYTES))
  return changed(files, { ...target, body, stored, size, mtime: nowUs, ctime: nowUs, era: volume.era })
}

/** Copy the whole content of a file into one that has none.
 *  @throws EDQUOT */
export function copyContent(files: Files, source: Inode, target: Inode): Inode {
  if (source.body !== null) return copyChunks(files, source, target, 0, Math.ceil(source.size / FSX_CHUNK_BYTES))
  touch(files, source)
  const { size, stored } = source
  checkQuota(files, stored)
  const data = readData(files, source.ino)
  return changed(files, { ...target, size, stored }, data === null ? undefined : new Uint8Array(data))
}
