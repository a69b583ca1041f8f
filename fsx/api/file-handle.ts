/** An open file as an object.
 *  @source https://nodejs.org/docs/latest-v20.x/api/fs.html#class-filehandle */
import { EventEmitter } from '@dotdo/core/host/streams'
import { Lines } from './lines.ts'
import { type LockOptions, lockFile, type StretchOptions, unlockFile } from './locks.ts'
import { fileOperations } from './open-files.ts'
import { type Env, type OpenFile, type Operation, runLater } from './request.ts'
import type { BigIntStats, Stats } from './stats.ts'
import { READ_BYTES, ReadStream, type StreamOptions, WriteStream } from './streams.ts'

/** An open file. What is asked of one handle is done in order. */
export class FileHandle extends EventEmitter {
  private readonly env: Env
  private readonly file: OpenFile
  private last: Promise<unknown> = Promise.resolve()
  private closing: Promise<void> | undefined

  constructor(env: Env, file: OpenFile) {
    super()
    this.env = env
    this.file = file
  }

  /** Its number; -1 when it is closed. */
  get fd(): number {
    return this.file.closed ? -1 : this.file.fd
  }

  private run<T>(operation: () => Operation<T>): Promise<T> {
    const next = this.last.then(() => runLater(this.env, operation()))
    this.last = next.catch(() => undefined)
    return next
  }

  close(): Promise<void> {
    this.closing ??= this.run(() => fileOperations.close(this.env, this.file)).then(() => void this.emit('close'))
    return this.closing
  }

  read(...given: unknown[]) {
    return this.run(() => fileOperations.read(this.env, this.file, ...given))
  }

  readv(buffers: readonly ArrayBufferView[], position?: number | null) {
    return this.run(() => fileOperations.readv(this.env, this.file, buffers, position))
  }

  write(...given: unknown[]) {
    const [buffer] = given
    // As Node: nothing is not written, whatever the file was opened for.
    if (ArrayBuffer.isView(buffer) && buffer.byteLength === 0 && this.fd !== -1)
      return Promise.resolve({ bytesWritten: 0, buffer })
    return this.run(() => fileOperations.write(this.env, this.file, ...given))
  }

  writev(buffers: readonly ArrayBufferView[], position?: number | null) {
    return this.run(() => fileOperations.writev(this.env, this.file, buffers, position))
  }

  readFile(options?: unknown): Promise<Buffer | string> {
    return this.run(() => fileOperations.readFile(this.env, this.file, options))
  }

  writeFile(data: unknown, options?: unknown): Promise<void> {
    return this.run(() => fileOperations.writeFile(this.env, this.file, data, options))
  }

  appendFile(data: unknown, options?: unknown): Promise<void> {
    return this.writeFile(data, options)
  }

  stat(options?: unknown): Promise<Stats | BigIntStats> {
    return this.run(() => fileOperations.stat(this.env, this.file, options))
  }

  truncate(length?: number): Promise<void> {
    return this.run(() => fileOperations.truncate(this.env, this.file, length))
  }

  chmod(mode: unknown): Promise<void> {
    return this.run(() => fileOperations.chmod(this.env, this.file, mode))
  }

  chown(uid: number, gid: number): Promise<void> {
    return this.run(() => fileOperations.chown(this.env, this.file, uid, gid))
  }

  utimes(atime: unknown, mtime: unknown): Promise<void> {
    return this.run(() => fileOperations.utimes(this.env, this.file, atime, mtime))
  }

  sync(): Promise<void> {
    return this.run(() => fileOperations.sync(this.env, this.file))
  }

  datasync(): Promise<void> {
    return this.sync()
  }

  /** Take space for a stretch of the file before it is written; all of it, or it is EDQUOT at once.
   *  @param options `keepSize`: the file ends where it did, though the stretch may reach past that */
  allocate(offset: number, length: number, options?: { keepSize?: boolean }): Promise<void> {
    return this.run(() => fileOperations.allocate(this.env, this.file, offset, length, options))
  }

  /** Let a stretch of the file be a hole, which reads as zeros and takes no space; the file ends where it did. */
  deallocate(offset: number, length: number): Promise<void> {
    return this.run(() => fileOperations.deallocate(this.env, this.file, offset, length))
  }

  /** Lock the file, or a stretch of it, against others who lock: what is read and written is not hindered. Closing it
   *  gives the lock back. When it is lost, as the client was not heard of in time, that is the event `lockLost`.
   *  @throws EBADF for a file that is not open for writing (shared: for reading); EAGAIN, ETIMEDOUT; EDEADLK; ENOLCK */
  lock(options: LockOptions = {}): Promise<void> {
    return lockFile(this.env, this.file, options, () => void this.emit('lockLost'))
  }

  /** Give back what is locked of the file, or of a stretch of it. */
  unlock(options: StretchOptions = {}): Promise<void> {
    return unlockFile(this.env, this.file, options)
  }

  createReadStream(options: StreamOptions = {}): ReadStream {
    return new ReadStream(this.env, undefined, { ...options, file: this.file })
  }

  createWriteStream(options: StreamOptions = {}): WriteStream {
    return new WriteStream(this.env, undefined, { ...options, file: this.file })
  }

  /** Read it line by line, from its place on; it is closed at the end. */
  readLines(options: StreamOptions = {}): Lines {
    return new Lines(this.createReadStream(options))
  }

  /** Read it as a stream of the web, from its place on; it stays open. */
  readableWebStream(): ReadableStream<Uint8Array> {
    return new ReadableStream({
      type: 'bytes',
      pull: async (controller) => {
        const { bytesRead, buffer } = await this.read(Buffer.alloc(READ_BYTES))
        if (bytesRead > 0) return controller.enqueue(new Uint8Array(buffer.buffer, buffer.byteOffset, bytesRead))
        controller.close()
        controller.byobRequest?.respond(0)
      },
    })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
