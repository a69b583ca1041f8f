/** A directory that is read name by name.
 *  @source https://nodejs.org/docs/latest-v20.x/api/fs.html#class-fsdir */
import type { Dirent } from './stats.ts'

type Done<T> = (error: Error | null, value?: T) => void

function closed(): Error {
  return Object.assign(new Error('Directory handle was closed'), { code: 'ERR_DIR_CLOSED' })
}

/** An opened directory: what was in it when it was opened. */
export class Dir {
  readonly path: string
  private readonly left: Iterator<Dirent>
  private isClosed = false

  constructor(path: string, entries: readonly Dirent[]) {
    this.path = path
    this.left = entries[Symbol.iterator]()
  }

  /** @throws ERR_DIR_CLOSED */
  readSync(): Dirent | null {
    if (this.isClosed) throw closed()
    return this.left.next().value ?? null
  }

  /** @throws ERR_DIR_CLOSED */
  closeSync(): void {
    if (this.isClosed) throw closed()
    this.isClosed = true
  }

  read(done?: Done<Dirent | null>): Promise<Dirent | null> | undefined {
    const next = async () => this.readSync()
    if (done === undefined) return next()
    next().then((entry) => done(null, entry), done)
    return undefined
  }

  close(done?: Done<void>): Promise<void> | undefined {
    const end = async () => this.closeSync()
    if (done === undefined) return end()
    end().then(() => done(null), done)
    return undefined
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Dirent> {
    try {
      for (let entry = this.readSync(); entry !== null; entry = this.readSync()) yield entry
    } finally {
      if (!this.isClosed) this.closeSync()
    }
  }
}
