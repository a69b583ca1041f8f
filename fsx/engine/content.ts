/** Content of files: inline in the inode's row, or in chunks; what is not stored reads as zeros.
 *
 *  1. A chunk's row ends with the last byte that was written to it; a chunk without a row is a hole.
 *  2. Past `size`, nothing but zeros is stored: what grows again reads as zeros.
 *  3. Content that has once outgrown its row stays in chunks until it is cut to nothing. */
import { FSX_CHUNK_BYTES, FSX_FILE_BYTES_MAX, FSX_INLINE_BYTES_MAX, FSX_RELATIME_MS } from '@dotdo/core/limits'
import { refuse } from '../errors.ts'
import { chunks, type Inode } from '../tables.ts'
import {
  chunkId,
  chunkLike,
  coverBody,
  cutBody,
  dropBody,
  findChunk,
  hotChunk,
  ownsBody,
  readChunks,
  type SeenChunk,
  seenChunks,
  takeBody,
} from './bodies.ts'
import { contentOf, needChunk } from './cold.ts'
import { checkQuota, countBytes } from './quota.ts'
import { type Files, readData, setInode, touchInode } from './volume.ts'

/** Chunks that are in memory at once while a file is copied: 8 MiB. */
const CHUNKS_PER_COPY = 128

/** Read a stretch of a file.
 *  @returns fresh bytes; shorter where the file ends, and where there is more cold content than one call reads
 *  @throws ColdRows when content must be fetched first
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
  const times = timesOf(files, inode)
  if (inode.body === null && size <= FSX_INLINE_BYTES_MAX) {
    const data = inlineWith(files, inode, from, bytes)
    checkQuota(files, data.length - inode.stored)
    return changed(files, { ...inode, ...times, size, stored: data.length }, data)
  }
  let stored = inode.stored
  const { body, data } = ownBody(files, inode)
  for (let at = from; at < end; ) {
    const index = Math.floor(at / FSX_CHUNK_BYTES)
    const offset = at - index * FSX_CHUNK_BYTES
    const piece = bytes.subarray(at - from, at - from + FSX_CHUNK_BYTES - offset)
    stored += writeChunk(files, { body, index }, offset, piece)
    at += piece.length
  }
  checkQuota(files, stored - inode.stored)
  return changed(files, { ...inode, ...times, size, stored, body }, data)
}

/** Let a file have its content in chunks that may be changed.
 *  @returns whose they are, and what becomes of its inline content */
export function ownBody(files: Files, { ino, body }: Inode): { body: number; data: null | undefined } {
  if (body !== null) {
    return { body: ownsBody(files.volume, body) ? body : coverBody(files, body, FSX_FILE_BYTES_MAX), data: undefined }
  }
  const own = takeBody(files, ino)
  const before = readData(files, ino)
  if (before !== null) files.tx.put(chunks, hotChunk(chunkId(own, 0), before))
  return { body: own, data: null }
}

interface Piece {
  readonly body: number
  readonly index: number
}

/** @returns how many bytes more are stored */
function writeChunk(files: Files, { body, index }: Piece, offset: number, piece: Uint8Array): number {
  const isWhole = offset === 0 && piece.length === FSX_CHUNK_BYTES
  const before = findChunk(files, body, index)
  const length = Math.max(before?.bytes ?? 0, offset + piece.length)
  let data = piece
  if (!isWhole && (offset > 0 || length > piece.length)) {
    data = new Uint8Array(length)
    if (before !== undefined) {
      needChunk(files, before)
      data.set(contentOf(files, before))
    }
    data.set(piece, offset)
  }
  files.tx.put(chunks, hotChunk(chunkId(body, index), data))
  return length - (before?.bytes ?? 0)
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

/** The times of a file whose content changes now. */
export function timesOf({ nowUs, volume }: Files, inode: Inode) {
  return { mtime: nowUs, ctime: nowUs, nanos: keepNanos(inode), era: volume.era }
}

/** What is left of the nanoseconds when the times of change and content are set anew. */
function keepNanos({ nanos }: Inode): number {
  return nanos === 0 ? 0 : (nanos % 1000) + Math.floor(nanos / 1e9) * 1e9
}

/** Give a file a size: cut it off, or let it end in a hole.
 *  @throws EFBIG, EDQUOT */
export function resizeContent(files: Files, inode: Inode, size: number): Inode {
  if (size > FSX_FILE_BYTES_MAX) throw refuse('EFBIG')
  const next = { ...inode, ...timesOf(files, inode), size }
  if (inode.body === null) {
    if (size >= inode.stored) return changed(files, next)
    countBytes(files, size - inode.stored)
    const data = size === 0 ? null : new Uint8Array((readData(files, inode.ino) as Uint8Array).subarray(0, size))
    return changed(files, { ...next, stored: size }, data)
  }
  if (size === 0) {
    countBytes(files, -inode.stored)
    dropBody(files, inode.body)
    return changed(files, { ...next, stored: 0, body: null }, null)
  }
  if (size >= inode.size) return changed(files, next)
  const { body, freed } = cutBody(files, inode.body, size)
  countBytes(files, -freed)
  return changed(files, { ...next, stored: inode.stored - freed, body })
}

/** Copy chunks of a file into one that has none there: as they are stored, so that what is cold stays so.
 *  @returns the other as it is then, its size that of what was copied so far
 *  @throws EDQUOT */
export function copyChunks(files: Files, source: Inode, target: Inode, first: number, end: number): Inode {
  const { tx, nowUs, volume } = files
  if (!volume.isReadOnly) touch(files, source)
  let { stored, body } = target
  if (body === null) body = takeBody(files, target.ino)
  // A snapshot may have come between two pieces.
  else if (!ownsBody(volume, body)) body = coverBody(files, body, target.size)
  for (let from = first; from < end; from += CHUNKS_PER_COPY) {
    const last = Math.min(end, from + CHUNKS_PER_COPY) - 1
    for (const [index, chunk] of seenChunks(files, source.body as number, from, last)) {
      tx.put(chunks, chunkLike(chunkId(body, index), chunk))
      stored += chunk.bytes
    }
  }
  checkQuota(files, stored - target.stored)
  const size = Math.max(target.size, Math.min(source.size, end * FSX_CHUNK_BYTES))
  return changed(files, { ...target, body, stored, size, mtime: nowUs, ctime: nowUs, era: volume.era })
}

/** Copy the whole content of a file into one that has none.
 *  @throws EDQUOT */
export function copyContent(files: Files, source: Inode, target: Inode): Inode {
  if (source.body !== null) return copyChunks(files, source, target, 0, Math.ceil(source.size / FSX_CHUNK_BYTES))
  if (!files.volume.isReadOnly) touch(files, source)
  const { size, stored } = source
  checkQuota(files, stored)
  const data = readData(files, source.ino)
  return changed(files, { ...target, size, stored }, data === null ? undefined : new Uint8Array(data))
}

/** Get the content of a chunk that is there.
 *  @returns as many bytes as are seen; borrowed
 *  @throws ColdRows when it must be fetched first */
export function chunkContent(files: Files, body: number, index: number): Uint8Array {
  const chunk = findChunk(files, body, index) as SeenChunk
  needChunk(files, chunk)
  return contentOf(files, chunk)
}
