/** Calls and replies between Durable Objects, in RPCs that stay below the platform's 32 MiB.
 *
 *  1. A failure is plain data on the wire: RPC turns errors of ours into errors without a code.
 *  2. Replies that do not fit one RPC are handed out piece by piece; the object keeps the rest until it was fetched.
 *  3. What is too large on its own is refused with `limit`: a call before it is sent, a reply after its call ran. */
import { Failure, fromWire, toFailure, toWire, type WireFailure } from '../../errors.ts'
import { WORKERS_CALL_BYTES_MAX, WORKERS_RPC_BYTES } from '../../limits.ts'
import type { Call } from '../../shard/program.ts'

/** What an object answers to a submit: replies, and a way to the rest of them when there are more. */
export interface WireReplies {
  readonly replies: unknown[]
  readonly rest?: () => Promise<WireReplies>
}

/** What an object answers to a request: what was asked for, or why not. */
export type WireAnswer = WireReplies | WireFailure

/** What a job answers. */
export interface WireValue {
  readonly value: unknown
}

/** The methods of a shard's object, as its callers have them. */
export interface ShardRpc {
  submit(calls: readonly Call[]): Promise<WireAnswer>
  /** @returns null, or why it could not wait */
  awaitChange(afterSeq: number, waitMs: number): Promise<WireFailure | null>
  /** Run a job beside the shard. */
  job(name: string, args: unknown): Promise<WireValue | WireFailure>
}

/** Estimate the bytes a value takes on the wire. Binary strings take a byte a char, which is what engines send. */
export function wireBytes(value: unknown): number {
  if (typeof value === 'string') return value.length + 5
  if (typeof value !== 'object' || value === null) return 9
  if (value instanceof Uint8Array) return value.length + 10
  let size = 10
  for (const name in value) {
    if (!Array.isArray(value)) size += name.length + 5
    size += wireBytes((value as Record<string, unknown>)[name])
  }
  return size
}

/** Cut a list into runs of at most `maxBytes` each; an item larger than that is a run of its own. */
export function runsOf<T>(items: readonly T[], sizes: readonly number[], maxBytes: number): T[][] {
  const runs: T[][] = []
  let room = 0
  for (const [i, item] of items.entries()) {
    const size = sizes[i] as number
    if (runs.length === 0 || size > room) {
      runs.push([])
      room = maxBytes
    }
    runs.at(-1)?.push(item)
    room -= size
  }
  return runs
}

/** Prepare the answer of a job for the wire.
 *  @throws limit when it is too large */
export function wireValue(value: unknown): WireValue {
  const size = wireBytes(value)
  if (size > WORKERS_CALL_BYTES_MAX) throw tooLarge('the answer of a job', size, '; the job was run')
  return { value }
}

/** Prepare replies for the wire. */
export function wireReplies(replies: readonly unknown[]): WireReplies {
  const sizes: number[] = []
  const plain = replies.map((reply, i) => {
    const value = reply instanceof Failure ? toWire(reply) : reply
    const size = wireBytes(value)
    sizes[i] = size <= WORKERS_CALL_BYTES_MAX ? size : 0
    return size <= WORKERS_CALL_BYTES_MAX ? value : toWire(tooLarge('a reply', size, '; the command was run'))
  })
  const runs = runsOf(plain, sizes, WORKERS_RPC_BYTES)
  const piece = (at: number): WireReplies => {
    const found = runs[at] ?? []
    return at + 1 < runs.length ? { replies: found, rest: async () => piece(at + 1) } : { replies: found }
  }
  return piece(0)
}

function tooLarge(what: string, size: number, rest = ''): Failure {
  return new Failure('limit', `${what} of about ${size} bytes; ${WORKERS_CALL_BYTES_MAX} fit a call here${rest}`)
}

/** Submit calls over RPC, in as many RPCs as they need, in order.
 *  @param stub the object; taken anew for every request, as stubs belong to the request that made them
 *  @returns a reply a call; failures as Failure or WireFailure
 *  @throws Failure when nothing of it was run, or when that cannot be known */
export async function submitOver(stub: Pick<ShardRpc, 'submit'>, calls: readonly Call[]): Promise<unknown[]> {
  const sizes = calls.map(wireBytes)
  const total = sizes.reduce((sum, size) => sum + size, 0)
  if (total <= WORKERS_RPC_BYTES) return ask(stub, calls)
  const replies: unknown[] = []
  for (const run of runsOf(calls, sizes, WORKERS_RPC_BYTES)) {
    const size = run.length === 1 ? wireBytes(run[0]) : 0
    if (size > WORKERS_CALL_BYTES_MAX) {
      replies.push(tooLarge('a call', size))
      continue
    }
    try {
      for (const reply of await ask(stub, run)) replies.push(reply)
    } catch (error) {
      // The runs before were answered, so this failure is for the calls from here on only.
      return [...replies, ...calls.slice(replies.length).map(() => error)]
    }
  }
  return replies
}

async function ask(stub: Pick<ShardRpc, 'submit'>, calls: readonly Call[]): Promise<unknown[]> {
  const replies: unknown[] = []
  let held: WireAnswer | undefined
  let next: (() => Promise<WireAnswer>) | undefined = () => stub.submit(calls)
  try {
    while (next !== undefined) {
      const answer: WireAnswer = await next()
      release(held)
      held = answer
      if ('failure' in answer) throw fromWire(answer)
      for (const reply of answer.replies) replies.push(reply)
      next = answer.rest
    }
    return replies
  } catch (error) {
    throw error instanceof Failure ? error : lost(error)
  } finally {
    release(held)
  }
}

/** Tell the object that it need not keep the rest of an answer any longer. */
function release(answer: WireAnswer | undefined): void {
  // Results of RPC are disposable; those of calls in the same isolate need not be.
  if (answer !== undefined && 'rest' in answer) (answer as Partial<Disposable>)[Symbol.dispose]?.()
}

/** Say what an RPC that met no answer means to its caller.
 *  @param whose the object that was asked */
export function lost(error: unknown, whose = "the shard's"): Failure {
  const message = error instanceof Error ? error.message : String(error)
  return new Failure('unavailable', `${whose} object gave no answer: ${message}`, undefined, error)
}

/** Say on the wire why there is no value.
 *  @param onBug told of what is no Failure */
export function wireFailure(error: unknown, onBug?: (error: unknown) => void): WireFailure {
  if (!(error instanceof Failure)) onBug?.(error)
  return toWire(toFailure(error))
}

/** Take what was asked for out of an answer.
 *  @throws the Failure that came in its place; unavailable when nothing came
 *  @param whose the object that was asked */
export async function answered(answer: Promise<WireValue | WireFailure>, whose?: string): Promise<unknown> {
  const given = await answer.catch((error: unknown) => {
    throw lost(error, whose)
  })
  if ('failure' in given) throw fromWire(given)
  return given.value
}
