/** Locks of open files. node:fs has none; these are as F_OFD_SETLK and F_OFD_SETLKW of Linux: advisory, of stretches of
 *  bytes, each of the open file through which it was taken.
 *
 *  1. Who waits asks again when the log of the shard has grown: nobody polls.
 *  2. As long as a client has locks it is heard of every FSX_LOCK_RENEW_MS; when that was not so for FSX_LOCK_LEASE_MS,
 *     they are free, and files that lost theirs say so. */
import { Patience, StopSwitch } from '@dotdo/core/cdc'
import { FSX_LOCK_RENEW_MS, FSX_LOCK_WAIT_MS } from '@dotdo/core/limits'
import type { Position } from '@dotdo/core/shard'
import { O } from '../engine/mode.ts'
import { type Doing, fsError, toFsError } from '../errors.ts'
import { abortError } from './changes.ts'
import { type Caller, type Env, type OpenFile, stopWith, type Waiting, waitingOf } from './request.ts'
import { wholeNumber } from './values.ts'

/** A stretch of a file. */
export interface StretchOptions {
  /** The first byte. Default 0. */
  start?: number
  /** How many bytes. Default all there are, and will be. */
  length?: number
}

/** How to lock. */
export interface LockOptions extends StretchOptions {
  /** Whether nobody else may have a lock there; else others may have shared ones too. Default true. */
  exclusive?: boolean
  /** Whether to wait until it is free, or for how many milliseconds at most (then ETIMEDOUT). Without, EAGAIN. Default
   *  true. */
  wait?: boolean | number
  /** Ends the waiting, with an AbortError. */
  signal?: AbortSignal
}

const doing: Doing = { syscall: 'fcntl' }

/** The locks of a client: what has to be renewed. */
class Session {
  readonly name: string
  private readonly caller: Caller
  private readonly waiting: Waiting
  /** What to do when an owner's locks were lost. */
  private readonly holders = new Map<string, () => void>()
  private count = 0
  private cancel: (() => void) | undefined

  constructor(caller: Caller, waiting: Waiting) {
    this.caller = caller
    this.waiting = waiting
    this.name = [0, 1].map(() => waiting.clock.random().toString(36).padStart(10, '0')).join('')
  }

  /** Name another owner. */
  newOwner(): string {
    return `${this.name}.${this.count++}`
  }

  /** Keep the locks of an owner alive. */
  hold(owner: string, lost: () => void): void {
    this.holders.set(owner, lost)
    this.cancel ??= this.waiting.clock.after(FSX_LOCK_RENEW_MS, () => void this.renew())
  }

  /** An owner has none any more. */
  leave(owner: string): void {
    this.holders.delete(owner)
  }

  /** Before an owner takes another lock: hear of what it has lost, which could not be told any more. */
  async check(owner: string): Promise<void> {
    if (this.holders.has(owner)) await this.ask([owner])
  }

  private async ask(owners: readonly string[]): Promise<void> {
    const asked = this.caller.call('renewLocks', { session: this.name, owners }) as Promise<string[]>
    for (const owner of await asked.catch(() => [])) {
      const lost = this.holders.get(owner)
      this.holders.delete(owner)
      lost?.()
    }
  }

  private async renew(): Promise<void> {
    this.cancel = undefined
    if (this.holders.size === 0 || this.waiting.ended.aborted) return
    // What fails is tried again at the next time, which is soon enough.
    await this.ask([...this.holders.keys()])
    if (this.holders.size === 0) return
    this.cancel ??= this.waiting.clock.after(FSX_LOCK_RENEW_MS, () => void this.renew())
  }

  /** Give everything back. */
  async end(): Promise<void> {
    this.cancel?.()
    if (this.count === 0) return
    this.holders.clear()
    await this.caller.call('endLocks', { session: this.name }).catch(() => undefined)
  }
}

function sessionOf({ caller }: Env, waiting: Waiting): Session {
  const session = (waiting.session as Session | undefined) ?? new Session(caller, waiting)
  waiting.session = session
  return session
}

function stretchOf({ start = 0, length }: StretchOptions) {
  const first = wholeNumber(start, 'start')
  const bytes = length === undefined ? Number.MAX_SAFE_INTEGER - first : wholeNumber(length, 'length', { min: 1 })
  return { start: first, stop: Math.min(first + bytes, Number.MAX_SAFE_INTEGER) }
}

function check({ closed, flags }: OpenFile, exclusive: boolean): void {
  const access = flags & O.ACCMODE
  if (closed || access === (exclusive ? 0 : O.WRONLY)) throw fsError('EBADF', doing)
}

/** Lock a stretch of an open file.
 *  @param lost called when the lock was lost, because the client was not heard of in time
 *  @throws EBADF for a file that is closed, or not open for writing (shared: for reading); EAGAIN, ETIMEDOUT,
 *  AbortError; EDEADLK when it would wait for itself; ENOLCK */
export async function lockFile(env: Env, file: OpenFile, options: LockOptions, lost: () => void): Promise<void> {
  const { exclusive = true, wait = true, signal } = options
  check(file, exclusive)
  const stretch = stretchOf(options)
  const waitMs = typeof wait === 'number' ? wholeNumber(wait, 'wait') : wait ? Number.POSITIVE_INFINITY : 0
  if (signal?.aborted) throw abortError(signal)
  const waiting = waitingOf(env)
  const session = sessionOf(env, waiting)
  const { stop, done } = stopWith(waiting)
  file.locking ??= { owner: session.newOwner(), closed: new StopSwitch() }
  const { owner } = file.locking
  const end = () => stop.abort()
  file.locking.closed.addEventListener('abort', end)
  signal?.addEventListener('abort', end)
  const wanted = { ino: file.ino, owner, ...stretch, exclusive, session: session.name, waits: waitMs > 0 }
  try {
    await session.check(owner)
    const isHeld = await acquire(env, { wanted, waitMs, stop })
    if (isHeld && !file.closed) return session.hold(owner, lost)
    // Nobody shall think that it still waits.
    if (!isHeld) await ask(env, 'dropLock', { ino: file.ino, owner, start: 0, stop: 0 })
    if (signal?.aborted) throw abortError(signal)
    if (file.closed || stop.aborted) throw fsError('EBADF', doing)
    throw fsError(waitMs > 0 ? 'ETIMEDOUT' : 'EAGAIN', doing)
  } catch (error) {
    throw toFsError(error, doing)
  } finally {
    done()
    file.locking.closed.removeEventListener('abort', end)
    signal?.removeEventListener('abort', end)
  }
}

function ask(env: Env, name: string, args: object): Promise<unknown> {
  return env.caller.call(name, { ...args, ...(env.on && { on: env.on }) })
}

/** Ask for a lock until it is there.
 *  @returns false when it was stopped, or took too long */
async function acquire(
  env: Env,
  { wanted, waitMs, stop }: { wanted: object; waitMs: number; stop: StopSwitch },
): Promise<boolean> {
  const { clock, awaitChange } = waitingOf(env)
  const patience = new Patience({ clock, stop })
  const untilMs = clock.nowMs() + waitMs
  while (!stop.aborted) {
    // Not called off on the way: then it might be held, and nobody know.
    const place = (await ask(env, 'takeLock', wanted).catch((error) => patience.failed(error))) as
      | Position
      | null
      | undefined
    if (place === null) return true
    const leftMs = untilMs - clock.nowMs()
    if (leftMs <= 0) return false
    if (place === undefined) continue
    patience.succeeded()
    await patience.retry(() => awaitChange(place.seq, Math.min(leftMs, FSX_LOCK_WAIT_MS)))
  }
  return false
}

/** Give back what an open file has locked of a stretch; nothing, when that is nothing.
 *  @throws EBADF for a file that is closed */
export async function unlockFile(env: Env, file: OpenFile, options: StretchOptions): Promise<void> {
  if (file.closed) throw fsError('EBADF', doing)
  const stretch = stretchOf(options)
  if (file.locking === undefined) return
  const { owner } = file.locking
  try {
    const holds = await ask(env, 'dropLock', { ino: file.ino, owner, ...stretch })
    if (!holds) sessionOf(env, waitingOf(env)).leave(owner)
  } catch (error) {
    throw toFsError(error, doing)
  }
}

/** An open file is closed: nothing waits for its locks, nor keeps them.
 *  @returns what the call that closes it must say */
export function leaveLocks({ caller }: Env, { locking }: OpenFile): { owner?: string } {
  if (locking === undefined) return {}
  locking.closed.abort()
  ;(caller.waiting?.session as Session | undefined)?.leave(locking.owner)
  return { owner: locking.owner }
}
