/** Content of files: inline in the inode's row, or in chunks; what is not stored reads as zeros.
 *
 *  1. A chunk's row ends with the last byte that was written to it; a chunk without a row is a hole.
 *  2. Nothing is stored past `size`: what grows again reads as zeros.
 *  3. Content that has once outgrown its row stays in chunks until it is cut to nothing. */
import {
  FSX_CHUNK_BYTES,
  FSX_CHUNKS_MAX,
  FSX_FILE_BYTES_MAX,
  FSX_INLINE_BYTES_MAX,
  FSX_RELATIME_MS,
} from '@dotdo/core/limits'
import { refuse } from '../errors.ts'
import { type ChunkRow, chunks, type Inode } from '../tables.ts'
import { checkQuota, countBytes } from './quota.ts'
import { type Files, readData, setInode, touchInode } from './volume.ts'

const chunkId = (body: number, index: number) => body * FSX_CHUNKS_MAX + index

/** Read a stretch of a file.
 *  @returns fresh bytes; shorter where the file ends
 *  @cost a statement a run of chunks */
export function readContent(files: Files, inode: Inode, from: number, length: number): Uint8Array {
  const end = Math.min(inode.size, from + length)
  touch(files, inode)
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

const selectChunks = 'select id, data from fs_chunks where id between ? and ? order by id'

function readChunks({ tx }: Files, body: number, from: number, end: number): Uint8Array {
  const first = Math.floor(from / FSX_CHUNK_BYTES)
  const last = Math.floor((end - 1) / FSX_CHUNK_BYTES)
  const rows = tx.raw(selectChunks, chunkId(body, first), chunkId(body, last))
  if (rows.length === 1 && first === last) {
    const data = rows[0]?.[1] as Uint8Array
    const offset = from - first * FSX_CHUNK_BYTES
    if (data.length >= offset + end - from) return data.subarray(offset, offset + end - from)
  }
  const out = new Uint8Array(end - from)
  for (const [id, data] of rows) {
    const chunk = data as Uint8Array
    const start = (Number(id) - chunkId(body, 0)) * FSX_CHUNK_BYTES
    const skip = Math.max(0, from - start)
    if (skip < chunk.length) out.set(chunk.subarray(skip, Math.min(chunk.length, end - start)), start + skip - from)
  }
  return out
}

function findChunk({ tx }: Files, id: number): Uint8Array | undefined {
  return tx.raw('select data from fs_chunks where id = ?', id)[0]?.[0] as Uint8Array | undefined
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
    body = inode.ino
    data = null
    const before = readData(files, inode.ino)
    if (before !== null) files.tx.put(chunks, { id: chunkId(body, 0), data: before })
  }
  for (let at = from; at < end; ) {
    const index = Math.floor(at / FSX_CHUNK_BYTES)
    const offset = at - index * FSX_CHUNK_BYTES
    const piece = bytes.subarray(at - from, at - from + FSX_CHUNK_BYTES - offset)
    stored += writeChunk(files, chunkId(body, index), offset, piece, index * FSX_CHUNK_BYTES < inode.size)
    at += piece.length
  }
  checkQuota(files, stored - inode.stored)
  return changed(files, { ...inode, ...times, size, stored, body }, data)
}

/** @returns how many bytes more are stored */
function writeChunk(files: Files, id: number, offset: number, piece: Uint8Array, mayExist: boolean): number {
  const isWhole = offset === 0 && piece.length === FSX_CHUNK_BYTES
  const before = mayExist ? findChunk(files, id) : undefined
  const length = Math.max(before?.length ?? 0, offset + piece.length)
  let data = piece
  if (!isWhole && (offset > 0 || length > piece.length)) {
    data = new Uint8Array(length)
    if (before !== undefined) data.set(before)
    data.set(piece, offset)
  }
  files.tx.put(chunks, { id, data })
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
  const freed = cutChunks(files, inode.body, size)
  countBytes(files, -freed)
  const body = size === 0 ? null : inode.body
  return changed(files, { ...next, stored: inode.stored - freed, body }, size === 0 ? null : undefined)
}

/** @returns bytes freed */
function cutChunks(files: Files, body: number, size: number): number {
  const { tx } = files
  const kept = Math.ceil(size / FSX_CHUNK_BYTES)
  let freed = removeChunks(files, body, kept)
  const tail = size % FSX_CHUNK_BYTES
  if (tail === 0) return freed
  const id = chunkId(body, kept - 1)
  const last = findChunk(files, id)
  if (last === undefined || last.length <= tail) return freed
  freed += last.length - tail
  tx.put(chunks, { id, data: last.subarray(0, tail) })
  return freed
}

/** Remove the chunks of a content from one on.
 *  @returns bytes freed */
export function removeChunks({ tx }: Files, body: number, fromIndex: number): number {
  const statement = 'delete from fs_chunks where id between ? and ? returning id, length(data) as bytes'
  let freed = 0
  for (const { id, bytes } of tx.write(statement, chunkId(body, fromIndex), chunkId(body, FSX_CHUNKS_MAX - 1))) {
    tx.record(chunks, 'delete', { id } as ChunkRow)
    freed += Number(bytes)
  }
  return freed
}
