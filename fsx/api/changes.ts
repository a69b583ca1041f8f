/** What changes in a filesystem, as it changes: the loop of everything that follows a log, over the paths that the
 *  shard makes of it. Whoever made the change, and by which door, it is told. */
import { type Batch, follow, type Source, type StopSwitch } from '@dotdo/core/cdc'
import { Failure } from '@dotdo/core/errors'
import type { Position } from '@dotdo/core/shard'
import type { Change, Changed, ChangeKind, Scope } from '../engine/changes.ts'
import { toFsError } from '../errors.ts'
import { type Inode, ROOT_INO } from '../tables.ts'
import { type Env, type Request, runLater, runNow, stopWith, waitingOf } from './request.ts'
import { absolute, badArgument, pathText } from './values.ts'

export type { ChangeKind }

/** A change of a path. */
export interface PathChange {
  /** `added`: it leads to something new. `removed`: it leads nowhere any more. `changed`: what it leads to did. `all`:
   *  anything may have changed, as when the filesystem was restored, or the log does not reach back far enough. */
  readonly kind: ChangeKind
  /** From the root; that is '/' for `all`. */
  readonly path: string
  /** Goes on after this change, whenever it is given to `changes` again. */
  readonly position: string
}

/** Options of `changes`. */
export interface ChangesOptions {
  /** The `position` of an earlier change. Default now. */
  since?: string
  /** Ends it, with an AbortError. */
  signal?: AbortSignal
}

/** Changes one after the other, without end. */
export interface Changes extends AsyncIterableIterator<PathChange> {
  /** Goes on after everything that was given out so far. */
  readonly position: string
}

/** What there is at a path, and where the log was when that was seen. */
export interface Looked {
  readonly inode: Inode | null
  readonly position: Position
}

function* once<T>(request: Request): Generator<Request, T, T> {
  return yield request
}

/** Ask what there is at a path.
 *  @param reads refuse what is not there, and who may not read it; else that is null */
export function lookRequest(env: Env, path: unknown, reads: boolean): Request {
  const text = pathText(path, 'filename')
  return { name: 'look', args: { path: absolute(env, text), reads }, doing: { syscall: 'watch', path: text } }
}

/** Look at a path: at once where the shard is in this thread.
 *  @throws at once, or later, as stat(2); EACCES */
export function lookSoon(env: Env, path: unknown, reads: boolean): Looked | Promise<Looked> {
  const request = lookRequest(env, path, reads)
  return env.caller.callNow === undefined ? runLater(env, once<Looked>(request)) : runNow(env, once<Looked>(request))
}

/** The changes of a shard as a source to follow: a record of each, with the change in `after`. */
function sourceOf(env: Env, scope: Scope): Source {
  return {
    async read(after, limit) {
      const args = { ...scope, after, limit, ...(env.as && { as: env.as }), ...(env.on && { on: env.on }) }
      const { changes, next, more } = (await env.caller.call('changed', args)) as Changed
      const records = changes.map((change) => {
        const { seq, epoch, atMs } = change
        const about = { collection: 'entries', op: 'put', slot: 0, documentId: change.paths[0] as string } as const
        return { seq, epoch, atMs, ...about, after: { change } }
      })
      return { changes: records, next, more }
    },
    wait: (after, waitMs) => waitingOf(env).awaitChange(after.seq, waitMs),
  }
}

/** A change, and the place in the log after it. */
export interface Told extends Pick<Change, 'kind' | 'paths'> {
  readonly next: Position
}

/** Follow what changes until it is stopped.
 *  @param hear is waited for before more is read
 *  @throws what is no passing failure; what `hear` throws */
export async function followChanges(
  env: Env,
  scope: Scope,
  { from, stop, hear }: { from: Position; stop: StopSwitch; hear(told: readonly Told[]): Promise<void> | void },
): Promise<void> {
  const source = sourceOf(env, scope)
  let at = from
  const bookmark = {
    load: async () => at,
    async save(position: Position) {
      at = position
    },
  }
  const deliver = async ({ changes, next: { incarnation } }: Batch) => {
    await hear(
      changes.map(({ seq, epoch, after }) => {
        const { kind, paths } = (after as { change: Change }).change
        return { kind, paths, next: { incarnation, epoch, seq } }
      }),
    )
  }
  const { clock } = waitingOf(env)
  while (!stop.aborted) {
    try {
      await follow(source, bookmark, deliver, { clock, stop, filtered: true })
    } catch (error) {
      if (!(error instanceof Failure && error.code === 'out_of_range')) throw error
      // The history is another one, or does not reach back so far.
      at = (await source.read('now', 0)).next
      await hear([{ kind: 'all', paths: [''], next: at }])
    }
  }
}

/** Follows changes, and gives them out to whoever asks, one after the other. Reads on when all were taken. */
export class Mailbox<T> implements AsyncIterableIterator<T> {
  private readonly stop: StopSwitch
  private readonly signal: AbortSignal | undefined
  private queue: T[] = []
  private failure: { error: unknown } | undefined
  private wake = () => {}
  private makeRoom = () => {}
  private last: Promise<unknown> = Promise.resolve()

  /** @param start begins to follow: it gives what comes to `put`, and ends when `stop` does */
  constructor(
    env: Env,
    start: (put: (items: readonly T[]) => Promise<void>, stop: StopSwitch) => Promise<void>,
    signal: AbortSignal | undefined,
  ) {
    const { stop, done } = stopWith(waitingOf(env))
    this.stop = stop
    this.signal = signal
    const abort = () => this.stop.abort()
    stop.addEventListener('abort', () => {
      this.makeRoom()
      this.wake()
    })
    signal?.addEventListener('abort', abort)
    if (signal?.aborted) abort()
    start((items) => this.put(items), stop)
      .catch((error) => {
        this.failure = { error }
        stop.abort()
      })
      .finally(() => {
        done()
        signal?.removeEventListener('abort', abort)
      })
  }

  private async put(items: readonly T[]): Promise<void> {
    if (items.length === 0 || this.stop.aborted) return
    this.queue = [...items]
    this.wake()
    await new Promise<void>((resolve) => {
      this.makeRoom = resolve
      if (this.stop.aborted) resolve()
    })
  }

  next(): Promise<IteratorResult<T, undefined>> {
    const next = this.last.then(() => this.take())
    this.last = next.catch(() => undefined)
    return next
  }

  private async take(): Promise<IteratorResult<T, undefined>> {
    while (this.queue.length === 0 && !this.stop.aborted) {
      this.makeRoom()
      await new Promise<void>((resolve) => {
        this.wake = resolve
      })
    }
    if (this.signal?.aborted) throw abortError(this.signal)
    const value = this.queue.shift()
    if (value !== undefined) return { done: false, value }
    if (this.failure !== undefined) throw this.failure.error
    return { done: true, value: undefined }
  }

  async return(): Promise<IteratorResult<T, undefined>> {
    this.stop.abort()
    this.queue = []
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}

/** Make the error of something that was called off, as Node does. */
export function abortError(signal: AbortSignal): Error {
  const error = new Error('The operation was aborted', { cause: signal.reason })
  return Object.assign(error, { name: 'AbortError', code: 'ABORT_ERR' })
}

const placeText = ({ incarnation, epoch, seq }: Position) => `${incarnation}.${epoch}.${seq}`

function placeOf(text: unknown): Position {
  const [, incarnation, epoch, seq] = /^([a-z0-9]{1,64})\.(\d{1,15})\.(\d{1,15})$/.exec(String(text)) ?? []
  if (incarnation !== undefined) return { incarnation, epoch: Number(epoch), seq: Number(seq) }
  const message = `The property 'options.since' must be a position as changes gave it. Received ${JSON.stringify(text)}`
  throw badArgument('ERR_INVALID_ARG_VALUE', message)
}

/** Begin to tell what changes in the whole filesystem.
 *  @throws ERR_INVALID_ARG_VALUE for a `since` that is no position */
export async function changesOf(env: Env, { since, signal }: ChangesOptions = {}): Promise<Changes> {
  waitingOf(env)
  if (signal?.aborted) throw abortError(signal)
  const { position } = await lookSoon(env, '/', true)
  const from = since === undefined ? position : placeOf(since)
  const scope = { within: ROOT_INO, deep: true }
  let at = placeText(from)
  let before = from
  const flat = ({ kind, paths, next }: Told): PathChange[] => {
    // Between the hard links of a file there is no place to go on from.
    const rest = placeText(before)
    before = next
    return paths.map((path, i) => {
      return { kind, path: `/${path}`, position: i === paths.length - 1 ? placeText(next) : rest }
    })
  }
  const mailbox = new Mailbox<PathChange>(
    env,
    (put, stop) => followChanges(env, scope, { from, stop, hear: (told) => put(told.flatMap(flat)) }),
    signal,
  )
  const changes: Changes = {
    get position() {
      return at
    },
    async next() {
      const item = await mailbox.next().catch((error) => {
        throw toFsError(error, { syscall: 'watch', path: '/' })
      })
      if (!item.done) at = item.value.position
      return item
    },
    return: () => mailbox.return(),
    [Symbol.asyncIterator]: () => changes,
  }
  return changes
}

/** Make the error of a filename that is no directory or file to be watched. */
export const watchError = (error: unknown, path: string) =>
  error instanceof Failure ? toFsError(error, { syscall: 'watch', path }) : error
