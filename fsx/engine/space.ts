/** Space of open files: taking it before it is written, and giving back a stretch.
 *
 *  1. What is allocated is stored as zeros: it counts as stored, and writing there later takes no more. So it costs
 *     what writing costs, and holds what it promises.
 *  2. Past the end of a file there may be zeros, and nothing else.
 *  @source Linux fallocate(2): mode 0, FALLOC_FL_KEEP_SIZE and FALLOC_FL_PUNCH_HOLE */
import {
  FSX_ALLOCATED_PER_CALL,
  FSX_CHUNK_BYTES,
  FSX_COLD_CALL_BYTES_MAX,
  FSX_FILE_BYTES_MAX,
  FSX_INLINE_BYTES_MAX,
} from '@dotdo/core/limits'
import { refuse } from '../errors.ts'
import { bodies, type ChunkRow, chunks, type Inode } from '../tables.ts'
import { chunkId, chunkLengths, findChunk, hotChunk, type SeenChunk } from './bodies.ts'
import { contentOf, needChunks } from './cold.ts'
import { chunkContent, ownBody, timesOf } from './content.ts'
import { handled, withoutSetId } from './files.ts'
import { type Credential, S } from './mode.ts'
import { checkQuota, checkRoomFor, countBytes } from './quota.ts'
import { type Files, readData, setInode } from './volume.ts'

/** A stretch of an open file. */
interface Stretch {
  readonly ino: number
  readonly offset: number
  readonly length: number
}

const zeros = new Uint8Array(FSX_CHUNK_BYTES)

function regular(files: Files, { ino, offset, length }: Stretch, who: Credential) {
  const inode = handled(files, ino)
  if ((inode.mode & S.IFMT) !== S.IFREG || length <= 0) throw refuse('EINVAL')
  return { inode: withoutSetId(inode, who), end: offset + length }
}

/** Take space for a stretch of an open file, a part at a time.
 *  @param keepSize whether the file ends where it did
 *  @returns null when all of it is there; else where to go on
 *  @throws EFBIG; EDQUOT when there is no room for the whole: then nothing is taken
 *  @cost what writing zeros there would */
export function allocate(
  files: Files,
  { keepSize, ...stretch }: Stretch & { readonly keepSize: boolean },
  who: Credential,
): number | null {
  const { inode, end } = regular(files, stretch, who)
  if (end > FSX_FILE_BYTES_MAX) throw refuse('EFBIG')
  const size = keepSize ? inode.size : Math.max(inode.size, end)
  if (inode.body === null && size <= FSX_INLINE_BYTES_MAX && end <= size) {
    const before = readData(files, inode.ino) ?? zeros.subarray(0, 0)
    const data = new Uint8Array(Math.max(before.length, end))
    data.set(before)
    checkQuota(files, data.length - inode.stored)
    setInode(files, { ...inode, ...timesOf(files, inode), size, stored: data.length }, data)
    return null
  }
  const { body, data } = ownBody(files, inode)
  const { next, bytes } = fill(files, { body, offset: stretch.offset, end })
  const reached = keepSize ? inode.size : Math.max(inode.size, next ?? end)
  const changes = { size: reached, stored: inode.stored + bytes, body }
  setInode(files, { ...inode, ...timesOf(files, inode), ...changes }, data)
  return next
}

/** Store zeros where nothing is.
 *  @returns where to go on, or null, and how many bytes more are stored */
function fill(files: Files, { body, offset, end }: { body: number; offset: number; end: number }) {
  const first = Math.floor(offset / FSX_CHUNK_BYTES)
  const lengths = chunkLengths(files, body, first)
  const wantedOf = (index: number) => Math.min(FSX_CHUNK_BYTES, end - index * FSX_CHUNK_BYTES)
  let missing = end - first * FSX_CHUNK_BYTES
  for (const [index, length] of lengths) missing -= Math.max(0, Math.min(length, wantedOf(index)))
  checkRoomFor(files, missing)
  const wanting: { index: number; wanted: number; before: SeenChunk | undefined }[] = []
  let [bytes, written, cold] = [0, 0, 0]
  let index = first
  const isEnough = () => written >= FSX_ALLOCATED_PER_CALL || cold > FSX_COLD_CALL_BYTES_MAX - FSX_CHUNK_BYTES
  for (; index * FSX_CHUNK_BYTES < end && !isEnough(); index++) {
    const [wanted, length] = [wantedOf(index), lengths.get(index) ?? 0]
    if (length >= wanted) continue
    const before = length > 0 ? findChunk(files, body, index) : undefined
    wanting.push({ index, wanted, before })
    if (before?.piece != null) cold += before.bytes
    written += wanted
    bytes += wanted - length
  }
  // All at once: a call is not run again for each.
  needChunks(
    files,
    wanting.flatMap(({ before }) => (before ? [before] : [])),
  )
  for (const { index, wanted, before } of wanting) {
    let data = zeros.subarray(0, wanted)
    if (before !== undefined) {
      data = new Uint8Array(wanted)
      data.set(contentOf(files, before))
    }
    files.tx.put(chunks, hotChunk(chunkId(body, index), data))
  }
  countBytes(files, bytes)
  return { next: index * FSX_CHUNK_BYTES < end ? index * FSX_CHUNK_BYTES : null, bytes }
}

/** Let a stretch of an open file be a hole: it reads as zeros, and its space is free. The file ends where it did.
 *  @cost a statement or two a chunk */
export function deallocate(files: Files, stretch: Stretch, who: Credential): null {
  const { inode, end } = regular(files, stretch, who)
  const times = timesOf(files, inode)
  const { offset } = stretch
  if (inode.body === null) {
    const before = readData(files, inode.ino)
    if (before === null || offset >= before.length) return null
    const data = punched(before, offset, end)
    countBytes(files, data.length - inode.stored)
    setInode(files, { ...inode, ...times, stored: data.length }, data.length === 0 ? null : data)
    return null
  }
  const { body } = ownBody(files, inode)
  const freed = punch(files, { body, offset, end })
  countBytes(files, -freed)
  setInode(files, { ...inode, ...times, stored: inode.stored - freed, body } satisfies Inode)
  return null
}

/** @returns bytes with zeros in a stretch, and without those at their end that it makes */
function punched(bytes: Uint8Array, from: number, to: number): Uint8Array {
  if (to >= bytes.length) return bytes.slice(0, from)
  const data = bytes.slice()
  data.fill(0, from, to)
  return data
}

/** @returns how many bytes less are stored */
function punch(files: Files, { body, offset, end }: { body: number; offset: number; end: number }): number {
  const { tx } = files
  const standsOnAnother = tx.find(bodies, { body }) !== undefined
  let freed = 0
  for (const [index, length] of chunkLengths(files, body, Math.floor(offset / FSX_CHUNK_BYTES))) {
    const start = index * FSX_CHUNK_BYTES
    const [from, to] = [Math.max(0, offset - start), end - start]
    if (from >= length || to <= 0) continue
    const id = chunkId(body, index)
    if (from === 0 && to >= length && !standsOnAnother) {
      tx.write('delete from fs_chunks where id = ?', id)
      tx.record(chunks, 'delete', { id } as ChunkRow)
      freed += length
      continue
    }
    const isAll = from === 0 && to >= length
    const left = isAll ? zeros.subarray(0, 0) : punched(chunkContent(files, body, index), from, to)
    // A chunk hides what is below it, if there is a byte of it.
    const data = left.length === 0 ? zeros.subarray(0, 1) : left
    tx.put(chunks, hotChunk(id, data))
    freed += length - data.length
  }
  return freed
}
