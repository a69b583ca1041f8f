/** What the interface asks of a filesystem, written once for promises, callbacks and the synchronous functions.
 *
 *  An operation is a generator: it yields requests, gets their answers, and returns its result. */
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
  /** Run a job beside the shard; only where its host has one of the name.
   *  @throws Failure */
  job?(name: string, args: object): Promise<unknown>
  /** The name of its database, where it has one. */
  readonly database?: string
  /** Find the way to the filesystem of another database. */
  elsewhere?(database: string): Promise<Caller>
}

/** A file that somebody has opened. */
export interface OpenFile {
  readonly fd: number
  readonly ino: number
  readonly flags: number
  /** Where the next read or write without a position is. */
  position: number
  closed: boolean
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

/** Run an operation. */
export async function runLater<T>(env: Env, operation: Operation<T>): Promise<T> {
  let step = operation.next()
  while (!step.done) {
    const request = step.value
    let answer: unknown
    try {
      answer = await env.caller.call(request.name, argsOf(env, request))
    } catch (error) {
      step = operation.throw(toFsError(error, request.doing))
      continue
    }
    step = operation.next(answer)
  }
  return step.value
}

/** Run an operation at once.
 *  @throws ERR_FEATURE_UNAVAILABLE_ON_PLATFORM when the shard is not in this thread */
export function runNow<T>(env: Env, operation: Operation<T>): T {
  const { caller } = env
  if (caller.callNow === undefined) {
    const message = 'the synchronous functions need the shard in this thread; use fs.promises'
    throw Object.assign(new TypeError(message), { code: 'ERR_FEATURE_UNAVAILABLE_ON_PLATFORM' })
  }
  let step = operation.next()
  while (!step.done) {
    const request = step.value
    let answer: unknown
    try {
      answer = caller.callNow(request.name, argsOf(env, request))
    } catch (error) {
      step = operation.throw(toFsError(error, request.doing))
      continue
    }
    step = operation.next(answer)
  }
  return step.value
}
