/** Operations of node:fs on open files.
 *  @source https://nodejs.org/docs/latest-v20.x/api/fs.html#class-filehandle */
import { FSX_CHUNK_BYTES, FSX_TRANSFER_BYTES_MAX } from '@dotdo/core/limits'
import { O } from '../engine/mode.ts'
import { fsError } from '../errors.ts'
import type { Inode } from '../tables.ts'
import { leaveLocks } from './locks.ts'
import type { Env, OpenFile, Operation } from './request.ts'
import { BigIntStats, Stats } from './stats.ts'
import { absolute, bufferOf, bytesOf, modeOf, optionsOf, pathText, timeOf, wholeNumber } from './values.ts'

/** What reading gives: how much, and where it is. */
export interface ReadResult<B> {
  bytesRead: number
  buffer: B
}

/** Whether something is a file that is open. */
export function isOpenFile(value: unknown): value is OpenFile {
  return typeof value === 'object' && value !== null && 'ino' in value && 'fd' in value && 'flags' in value
}

/** Open the file of a path. */
export function* openFile(
  env: Env,
  path: unknown,
  { flags, mode }: { flags: number; mode: number },
): Operation<OpenFile> {
  const text = pathText(path)
  const args = { path: absolute(env, text), flags, mode }
  const inode: Inode = yield { name: 'open', args, doing: { syscall: 'open', path: text } }
  let fd = 3
  while (env.files.has(fd)) fd++
  const file: OpenFile = { fd, ino: inode.ino, flags, position: 0, closed: false }
  env.files.set(fd, file)
  return file
}

function check({ closed, flags }: OpenFile, syscall: string, wanted?: 'read' | 'write'): void {
  const access = flags & O.ACCMODE
  const lacks = (wanted === 'read' && access === O.WRONLY) || (wanted === 'write' && access === 0)
  if (closed || lacks) throw fsError('EBADF', { syscall })
}

/** @returns whether it is a place in the file; null and what Node takes for it mean the file's own */
function placeOf(position: unknown): number | undefined {
  if (position === undefined || position === null || position === -1 || position === -1n) return undefined
  return wholeNumber(position, 'position')
}

/** Read bytes at a place, or at the file's own.
 *  @returns fewer where the file ends, and where there is more cold content than one call reads */
export function* readBytes(_: Env, file: OpenFile, length: number, position?: number): Operation<Uint8Array> {
  check(file, 'read', 'read')
  const args = { ino: file.ino, position: position ?? file.position, length }
  const bytes: Uint8Array = yield { name: 'read', args, doing: { syscall: 'read' } }
  if (position === undefined) file.position += bytes.length
  return bytes
}

/** Read as many bytes as there are. What is cold comes in pieces, which end where a chunk does. */
function* readAll(env: Env, file: OpenFile, length: number, position?: number): Operation<Uint8Array> {
  const from = position ?? file.position
  let bytes = yield* readBytes(env, file, length, position)
  while (bytes.length > 0 && bytes.length < length && (from + bytes.length) % FSX_CHUNK_BYTES === 0) {
    const place = position === undefined ? undefined : position + bytes.length
    const more = yield* readBytes(env, file, length - bytes.length, place)
    if (more.length === 0) break
    bytes = Buffer.concat([bytes, more])
  }
  return bytes
}

/** Write bytes at a place, at the file's own, or at its end if it was opened for that. */
export function* writeBytes(_: Env, file: OpenFile, bytes: Uint8Array, position?: number): Operation<void> {
  check(file, 'write', 'write')
  const appends = (file.flags & O.APPEND) !== 0
  for (let at = 0; ; at += FSX_TRANSFER_BYTES_MAX) {
    const piece =
      at === 0 && bytes.length <= FSX_TRANSFER_BYTES_MAX ? bytes : bytes.subarray(at, at + FSX_TRANSFER_BYTES_MAX)
    const place = appends ? null : (position ?? file.position - at) + at
    const args = { ino: file.ino, bytes: piece, position: place }
    const end: number = yield { name: 'write', args, doing: { syscall: 'write' } }
    if (position === undefined) file.position = end
    if (at + FSX_TRANSFER_BYTES_MAX >= bytes.length) return
  }
}

/** Read an open file from its place to its end. */
export function* readWhole(env: Env, file: OpenFile): Operation<Uint8Array> {
  check(file, 'read', 'read')
  const pieces: Uint8Array[] = []
  for (;;) {
    const piece = yield* readBytes(env, file, FSX_TRANSFER_BYTES_MAX)
    if (piece.length === 0) return pieces.length === 1 ? (pieces[0] as Uint8Array) : Buffer.concat(pieces)
    pieces.push(piece)
  }
}

/** Write all of something to an open file, from its place on. */
export function* writeWhole(env: Env, file: OpenFile, bytes: Uint8Array): Operation<void> {
  check(file, 'write', 'write')
  if (bytes.length > 0) yield* writeBytes(env, file, bytes)
}

/** Arguments of a read: a buffer and where in it, or options with them. */
function readArguments(given: readonly unknown[]) {
  const [first, second, third, fourth] = given
  const isView = ArrayBuffer.isView(first)
  const options = (isView ? (typeof second === 'object' ? second : undefined) : first) as
    | { buffer?: ArrayBufferView; offset?: number; length?: number; position?: unknown }
    | null
    | undefined
  const buffer = (isView ? first : (options?.buffer ?? Buffer.alloc(16_384))) as ArrayBufferView
  const positional = isView && !options
  const offset = wholeNumber((positional ? second : options?.offset) ?? 0, 'offset')
  const room = buffer.byteLength - offset
  const length = wholeNumber((positional ? third : options?.length) ?? room, 'length', { max: Math.max(0, room) })
  return { buffer, offset, length, position: placeOf(positional ? fourth : options?.position) }
}

/** Arguments of a write: bytes or text, and where. */
function writeArguments([data, second, third, fourth]: readonly unknown[]) {
  if (typeof data === 'string') {
    return { bytes: bytesOf(data, third as BufferEncoding | undefined), position: placeOf(second) }
  }
  const whole = bytesOf(data)
  const options = (typeof second === 'object' && second !== null ? second : undefined) as
    | { offset?: number; length?: number; position?: unknown }
    | undefined
  const offset = wholeNumber((options ? options.offset : second) ?? 0, 'offset', { max: whole.length })
  const room = whole.length - offset
  const length = wholeNumber((options ? options.length : third) ?? room, 'length', { max: room })
  return { bytes: whole.subarray(offset, offset + length), position: placeOf(options ? options.position : fourth) }
}

/** Every operation on open files. */
export const fileOperations = {
  *close(env: Env, file: OpenFile): Operation<void> {
    check(file, 'close')
    file.closed = true
    env.files.delete(file.fd)
    yield { name: 'close', args: { ino: file.ino, ...leaveLocks(env, file) }, doing: { syscall: 'close' } }
  },

  *read(env: Env, file: OpenFile, ...given: unknown[]): Operation<ReadResult<ArrayBufferView>> {
    const { buffer, offset, length, position } = readArguments(given)
    // As Node: what asks for nothing is not asked.
    if (length === 0 && !file.closed) return { bytesRead: 0, buffer }
    const bytes = yield* readAll(env, file, length, position)
    new Uint8Array(buffer.buffer, buffer.byteOffset + offset, length).set(bytes)
    return { bytesRead: bytes.length, buffer }
  },

  *readv(env: Env, file: OpenFile, buffers: readonly ArrayBufferView[], position?: unknown) {
    const total = buffers.reduce((sum, { byteLength }) => sum + byteLength, 0)
    const bytes = yield* readAll(env, file, total, placeOf(position))
    let at = 0
    for (const { buffer, byteOffset, byteLength } of buffers) {
      const piece = bytes.subarray(at, at + byteLength)
      new Uint8Array(buffer, byteOffset, byteLength).set(piece)
      at += piece.length
    }
    return { bytesRead: bytes.length, buffers }
  },

  *write(env: Env, file: OpenFile, ...given: unknown[]) {
    const { bytes, position } = writeArguments(given)
    yield* writeBytes(env, file, bytes, position)
    return { bytesWritten: bytes.length, buffer: given[0] }
  },

  *writev(env: Env, file: OpenFile, buffers: readonly ArrayBufferView[], position?: unknown) {
    const bytes = Buffer.concat(buffers.map((buffer) => bytesOf(buffer)))
    yield* writeBytes(env, file, bytes, placeOf(position))
    return { bytesWritten: bytes.length, buffers }
  },

  *stat(_: Env, file: OpenFile, options?: unknown): Operation<Stats | BigIntStats> {
    check(file, 'fstat')
    const inode: Inode = yield { name: 'stat', args: { ino: file.ino }, doing: { syscall: 'fstat' } }
    return optionsOf<{ bigint?: boolean }>(options).bigint ? new BigIntStats(inode) : new Stats(inode)
  },

  *truncate(_: Env, file: OpenFile, length: unknown = 0): Operation<void> {
    check(file, 'ftruncate')
    // Linux says EINVAL, not EBADF, of a file that is open for reading only.
    if ((file.flags & O.ACCMODE) === 0) throw fsError('EINVAL', { syscall: 'ftruncate' })
    const size = Math.max(0, wholeNumber(length ?? 0, 'len', { min: Number.MIN_SAFE_INTEGER }))
    yield { name: 'truncate', args: { ino: file.ino, size }, doing: { syscall: 'ftruncate' } }
  },

  /** Not in node:fs: take space before it is written. */
  *allocate(_: Env, file: OpenFile, offset: unknown, length: unknown, options?: unknown): Operation<void> {
    check(file, 'fallocate', 'write')
    const { keepSize = false } = optionsOf<{ keepSize?: boolean }>(options)
    const from = wholeNumber(offset, 'offset')
    const end = from + wholeNumber(length, 'length', { min: 1 })
    for (let next: number | null = from; next !== null; ) {
      const args: object = { ino: file.ino, offset: next, length: end - next, keepSize }
      next = yield { name: 'allocate', args, doing: { syscall: 'fallocate' } }
    }
  },

  /** Not in node:fs: let a stretch be a hole. */
  *deallocate(_: Env, file: OpenFile, offset: unknown, length: unknown): Operation<void> {
    check(file, 'fallocate', 'write')
    const args = { offset: wholeNumber(offset, 'offset'), length: wholeNumber(length, 'length', { min: 1 }) }
    yield { name: 'deallocate', args: { ino: file.ino, ...args }, doing: { syscall: 'fallocate' } }
  },

  *chmod(_: Env, file: OpenFile, mode: unknown): Operation<void> {
    check(file, 'fchmod')
    yield { name: 'chmod', args: { ino: file.ino, mode: modeOf(mode, 0) }, doing: { syscall: 'fchmod' } }
  },

  *chown(_: Env, file: OpenFile, uid: unknown, gid: unknown): Operation<void> {
    check(file, 'fchown')
    const owners = { uid: wholeNumber(uid, 'uid', { min: -1 }), gid: wholeNumber(gid, 'gid', { min: -1 }) }
    yield { name: 'chown', args: { ino: file.ino, ...owners }, doing: { syscall: 'fchown' } }
  },

  *utimes(_: Env, file: OpenFile, atime: unknown, mtime: unknown): Operation<void> {
    check(file, 'futime')
    const times = { atime: timeOf(atime), mtime: timeOf(mtime) }
    yield { name: 'utimes', args: { ino: file.ino, ...times }, doing: { syscall: 'futime' } }
  },

  /** What was acknowledged is stored: there is nothing left to wait for but what was asked before. */
  *sync(_: Env, file: OpenFile): Operation<void> {
    check(file, 'fsync')
    yield { name: 'stat', args: { ino: file.ino }, doing: { syscall: 'fsync' } }
  },

  *readFile(env: Env, file: OpenFile, options?: unknown): Operation<Buffer | string> {
    const bytes = bufferOf(yield* readWhole(env, file))
    const { encoding } = optionsOf(options)
    return encoding && encoding !== 'buffer' ? bytes.toString(encoding) : bytes
  },

  *writeFile(env: Env, file: OpenFile, data: unknown, options?: unknown): Operation<void> {
    yield* writeWhole(env, file, bytesOf(data, optionsOf(options).encoding))
  },
}
