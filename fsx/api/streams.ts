/** Files as streams.
 *  @source https://nodejs.org/docs/latest-v20.x/api/fs.html#class-fsreadstream */
import { Readable, Writable } from '@dotdo/core/host/streams'
import { fileOperations, openFile, readBytes, writeBytes } from './open-files.ts'
import { type Env, type OpenFile, runLater } from './request.ts'
import { modeOf, openFlags, wholeNumber } from './values.ts'

/** Options of createReadStream and createWriteStream. */
export interface StreamOptions {
  flags?: string | number
  encoding?: BufferEncoding | null
  /** A file that is open already: its number, or a FileHandle. */
  fd?: number | { readonly fd: number }
  mode?: unknown
  autoClose?: boolean
  emitClose?: boolean
  start?: number
  /** The last byte to be read. */
  end?: number
  highWaterMark?: number
  /** Ends the stream. */
  signal?: AbortSignal
  /** A file that is open already. */
  file?: OpenFile
}

type Done = (error?: Error | null) => void

/** Bytes that are read at once unless the options say otherwise: what Node takes for files. */
export const READ_BYTES = 64 * 1024

/** A file that is read. */
export class ReadStream extends Readable {
  readonly path: unknown
  bytesRead = 0
  private readonly env: Env
  private readonly options: StreamOptions
  private file: OpenFile | undefined
  private at: number | undefined
  private readonly end: number

  constructor(env: Env, path: unknown, options: StreamOptions) {
    const { highWaterMark = READ_BYTES, emitClose = true, encoding, start, end, signal } = options
    const more = { ...(encoding && { encoding }), ...(signal && { signal }) }
    super({ highWaterMark, emitClose, autoDestroy: options.autoClose ?? true, ...more })
    this.env = env
    this.path = path
    this.options = options
    this.file = options.file
    this.at = start === undefined ? undefined : wholeNumber(start, 'start')
    this.end =
      end === undefined || end === Number.POSITIVE_INFINITY ? Number.POSITIVE_INFINITY : wholeNumber(end, 'end')
    if (this.at !== undefined && this.at > this.end) throw new RangeError(`"start" ${start} is past "end" ${end}`)
    // With an end, as in Node, reading begins at the beginning of the file.
    if (this.at === undefined && this.end < Number.POSITIVE_INFINITY) this.at = 0
  }

  override _construct(done: Done): void {
    open(this.env, this, { ...this.options, flags: this.options.flags ?? 'r' }).then((file) => {
      this.file = file
      done()
      announce(this, file)
    }, done)
  }

  /** Its number; null while it is not open yet. */
  get fd(): number | null {
    return this.file?.fd ?? null
  }

  /** Whether the file is still to be opened. */
  get pending(): boolean {
    return this.file === undefined
  }

  override _read(size: number): void {
    const { at, file } = this
    const length = at === undefined ? size : Math.min(size, this.end - at + 1)
    if (length <= 0) return void this.push(null)
    runLater(this.env, readBytes(this.env, file as OpenFile, length, at)).then(
      (bytes) => {
        if (at !== undefined) this.at = at + bytes.length
        this.bytesRead += bytes.length
        this.push(bytes.length === 0 ? null : bytes)
      },
      (error) => this.destroy(error),
    )
  }

  override _destroy(error: Error | null, done: Done): void {
    close(this.env, this.file, error, done)
  }

  /** Stop reading, and close the file. */
  close(done?: Done): void {
    if (done) this.once('close', done)
    this.destroy()
  }
}

/** A file that is written. */
export class WriteStream extends Writable {
  readonly path: unknown
  bytesWritten = 0
  private readonly env: Env
  private readonly options: StreamOptions
  private file: OpenFile | undefined
  private at: number | undefined

  constructor(env: Env, path: unknown, options: StreamOptions) {
    const { highWaterMark, emitClose = true, encoding, signal } = options
    super({
      emitClose,
      autoDestroy: options.autoClose ?? true,
      ...(highWaterMark !== undefined && { highWaterMark }),
      ...(encoding && { defaultEncoding: encoding }),
      ...(signal && { signal }),
    })
    this.env = env
    this.path = path
    this.options = options
    this.file = options.file
    this.at = options.start === undefined ? undefined : wholeNumber(options.start, 'start')
  }

  override _construct(done: Done): void {
    open(this.env, this, { ...this.options, flags: this.options.flags ?? 'w' }).then((file) => {
      this.file = file
      done()
      announce(this, file)
    }, done)
  }

  /** Its number; null while it is not open yet. */
  get fd(): number | null {
    return this.file?.fd ?? null
  }

  /** Whether the file is still to be opened. */
  get pending(): boolean {
    return this.file === undefined
  }

  override _write(chunk: Uint8Array, _: string, done: Done): void {
    const { at } = this
    runLater(this.env, writeBytes(this.env, this.file as OpenFile, chunk, at)).then(() => {
      if (at !== undefined) this.at = at + chunk.length
      this.bytesWritten += chunk.length
      done()
    }, done)
  }

  override _writev(chunks: { chunk: Uint8Array }[], done: Done): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), 'buffer', done)
  }

  override _destroy(error: Error | null, done: Done): void {
    close(this.env, this.file, error, done)
  }

  /** Write what is left, and close the file. */
  close(done?: Done): void {
    if (done) this.once('close', done)
    this.end()
  }
}

async function open(
  env: Env,
  { path }: { path: unknown },
  { file, flags, mode, fd }: StreamOptions,
): Promise<OpenFile> {
  if (file !== undefined) return file
  const number = typeof fd === 'object' && fd !== null ? fd.fd : fd
  if (number !== undefined) return env.files.get(number) ?? { fd: number, ino: 0, flags: 0, position: 0, closed: true }
  return runLater(env, openFile(env, path, { flags: openFlags(flags, 'r'), mode: modeOf(mode, 0o666) }))
}

function announce(stream: Readable | Writable, file: OpenFile): void {
  stream.emit('open', file.fd)
  stream.emit('ready')
}

function close(env: Env, file: OpenFile | undefined, error: Error | null, done: Done): void {
  if (file === undefined || file.closed) return done(error)
  runLater(env, fileOperations.close(env, file)).then(
    () => done(error),
    (other) => done(error ?? other),
  )
}
