/** What the interface asks of a filesystem, written once for promises, callbacks and the synchronous functions.
 *
 *  An operation is a generator: it yields requests, gets their answers, and returns its result. */

import { StopSwitch } from '@dotdo/core/cdc'
import type { Clock } from '@dotdo/core/shard'
import type { Credential } from '../engine/mode.ts'
import type { View } from '../engine/volume.ts'
import { type Doing, toFsError } from '../errors.ts'

/** One call to the filesystem, and what is being done, for its error. */
export interface Request {
  readonly name: string
  readonly args: object
  readonly doing: Doing
}

/** An operation. */
// biome-ignore lint/suspicious/noExplicitAny: a generator has one type for all answers that it gets
export type Operation<T> = Generator<Request, T, any>

/** The way to a filesystem. */
export interface Caller {
  /** Run a call.
   *  @throws Failure */
  call(name: string, args: object): Promise<unknown>
  /** Run a call at once; only where the shard lives in this thread.
   *  @throws Failure */
  callNow?(name: string, args: object): unknown
  /** What it takes to wait for something; left out, nothing can be watched, and no lock waited for. */
  readonly waiting?: Waiting
  /** Run a job beside the shard; only where its host has one of the name.
   *  @throws Failure */
  job?(name: string, args: object): Promise<unknown>
  /** The name of its database, where it has one. */
  readonly database?: string
  /** Find the way to the filesystem of another database. */
  elsewhere?(database: string): Promise<Caller>
}

/** How somebody waits. */
export interface Waiting {
  readonly clock: Clock
  /** Its locks, once it had any. */
  session?: { end(): Promise<void> }
  /** Ends whatever waits, when the filesystem is closed. */
  readonly ended: StopSwitch
  /** Wait until the shard has committed something after a seq, or some time has passed. */
  awaitChange(afterSeq: number, waitMs: number): Promise<void>
}

/** Find out how to wait.
 *  @throws ERR_FEATURE_UNAVAILABLE_ON_PLATFORM where there is no way */
export function waitingOf({ caller: { waiting } }: Env): Waiting {
  if (waiting !== undefined) return waiting
  const message = 'this way to the filesystem has no clock to wait by, or leads to several shards'
  throw Object.assign(new TypeError(message), { code: 'ERR_FEATURE_UNAVAILABLE_ON_PLATFORM' })
}

/** Begin something that ends with the filesystem, at the latest.
 *  @returns its end; `done` must be called when it has come */
export function stopWith({ ended }: Waiting): { stop: StopSwitch; done(): void } {
  const stop = new StopSwitch()
  const end = () => stop.abort()
  ended.addEventListener('abort', end)
  if (ended.aborted) end()
  return { stop, done: () => ended.removeEventListener('abort', end) }
}

/** A file that somebody has opened. */
export interface OpenFile {
  readonly fd: number
  readonly ino: number
  readonly flags: number
  /** Where the next read or write without a position is. */
  position: number
  closed: boolean
  /** What it needs for locks, once it had any. */
  locking?: Locking
}

/** An open file as one that holds locks. */
export interface Locking {
  readonly owner: string
  /** Ends what waits for one, when the file is closed. */
  readonly closed: StopSwitch
}

/** What operations know besides their arguments. */
export interface Env {
  readonly caller: Caller
  /** What relative paths begin at; ends without a slash. */
  readonly cwd: string
  /** Who asks; root when left out. */
  readonly as: Credential | undefined
  /** Which filesystem of the shard, and which state of it; the main one as it is when left out. */
  readonly on?: View
  /** Open files by number, of everybody who shares the way. */
  readonly files: Map<number, OpenFile>
}

function argsOf({ as, on }: Env, { args }: Request): object {
  if (as === undefined && on === undefined) return args
  return { ...args, ...(as && { as }), ...(on && { on }) }
}

// biome-ignore lint/suspicious/noExplicitAny: a generator has one type for all answers that it gets
type Asking<A, T> = Generator<A, T, any>

/** Run a generator that yields questions: it gets the answers, or what asking threw.
 *  @param failed makes of that what the generator shall see */
export async function driveLater<A, T>(
  asking: Asking<A, T>,
  ask: (question: A) => Promise<unknown>,
  failed: (error: unknown, question: A) => unknown = (error) => error,
): Promise<T> {
  let step = asking.next()
  while (!step.done) {
    const question = step.value
    let answer: unknown
    try {
      answer = await ask(question)
    } catch (error) {
      step = asking.throw(failed(error, question))
      continue
    }
    step = asking.next(answer)
  }
  return step.value
}

/** Run such a generator at once. */
export function driveNow<A, T>(
  asking: Asking<A, T>,
  ask: (question: A) => unknown,
  failed: (error: unknown, question: A) => unknown = (error) => error,
): T {
  let step = asking.next()
  while (!step.done) {
    const question = step.value
    let answer: unknown
    try {
      answer = ask(question)
    } catch (error) {
      step = asking.throw(failed(error, question))
      continue
    }
    step = asking.next(answer)
  }
  return step.value
}

const failedRequest = (error: unknown, { doing }: Request) => toFsError(error, doing)

/** Run an operation. */
export function runLater<T>(env: Env, operation: Operation<T>): Promise<T> {
  return driveLater(operation, (request) => env.caller.call(request.name, argsOf(env, request)), failedRequest)
}

/** Run an operation at once.
 *  @throws ERR_FEATURE_UNAVAILABLE_ON_PLATFORM when the shard is not in this thread */
export function runNow<T>(env: Env, operation: Operation<T>): T {
  const { caller } = env
  if (caller.callNow === undefined) {
    const message = 'the synchronous functions need the shard in this thread; use fs.promises'
    throw Object.assign(new TypeError(message), { code: 'ERR_FEATURE_UNAVAILABLE_ON_PLATFORM' })
  }
  const { callNow } = caller
  return driveNow(operation, (request) => callNow(request.name, argsOf(env, request)), failedRequest)
}
