/** Shards on worker threads: calls of one turn travel in one message a thread. Node only. */
import { parentPort, Worker, workerData } from 'node:worker_threads'
import { Failure, fromWire, toFailure, toWire, type WireFailure } from '../../errors.ts'
import { crc16Slot } from '../../shard/hash.ts'
import type { ShardWork } from '../../shard/job.ts'
import type { Call, Program } from '../../shard/program.ts'
import type { ShardLimits } from '../../shard/shard.ts'
import { nodeClock } from './clock.ts'
import { type Durability, FileStore, type ShardStore, type StoreStats, wireReplies } from './store.ts'

/** What a thread is started with. Plain data. */
export interface ThreadData {
  folder: string
  durability: Durability
  openMax?: number
  limits?: Partial<ShardLimits>
  /** For the thread's entry module. */
  extra?: unknown
}

type Request =
  | { id: number; kind: 'submit'; database: string; index: number; calls: readonly Call[] }
  | { id: number; kind: 'await'; database: string; index: number; afterSeq: number; waitMs: number }
  | { id: number; kind: 'job'; database: string; index: number; name: string; args: unknown }
  | { id: number; kind: 'stats' }
  | { id: number; kind: 'close' }

type RequestBody = Request extends infer R ? (R extends Request ? Omit<R, 'id'> : never) : never

interface Answer {
  id: number
  replies?: unknown[]
  failure?: WireFailure
}

/** What a thread posts: answers of one turn, and bugs as they come. */
type Post = { answers: Answer[] } | { bug: unknown }

interface Waiting {
  resolve(replies: unknown[]): void
  reject(failure: Failure): void
}

/** How threads are started. */
export interface ThreadOptions {
  /** The built module that calls `serveThread` with the same programs. */
  entry: URL
  data: ThreadData
  /** Told of failures that are bugs of ours, and of a thread's death; a dead thread is replaced. */
  onBug?(error: unknown): void
}

/** One worker thread, and the messages to it. When it dies, what it was asked fails and a new one takes its place. */
class Thread {
  private readonly options: ThreadOptions
  private worker: Worker
  private readonly waiting = new Map<number, Waiting>()
  private outbox: Request[] = []
  private lastId = 0
  private closing = false
  private failure: Failure | undefined
  /** Whether it has ever answered: one that dies before is not replaced, or it would die for ever. */
  private answered = false

  constructor(options: ThreadOptions) {
    this.options = options
    this.worker = this.start()
  }

  private start(): Worker {
    const worker = new Worker(this.options.entry, { workerData: this.options.data })
    let cause: unknown
    this.answered = false
    worker.on('message', (post: Post) => {
      this.answered = true
      if ('bug' in post) this.options.onBug?.(post.bug)
      else for (const answer of post.answers) this.settle(answer)
    })
    worker.on('error', (error) => {
      cause = error
    })
    worker.on('exit', () => this.ended(cause))
    worker.unref()
    return worker
  }

  private ended(cause: unknown): void {
    const why = cause instanceof Error ? `: ${cause.message}` : ''
    const failure = new Failure('unavailable', `a shard thread has ended${why}`, undefined, cause)
    for (const waiting of this.waiting.values()) waiting.reject(failure)
    this.waiting.clear()
    this.outbox = []
    if (this.closing || !this.answered) this.failure = failure
    else this.worker = this.start()
    if (!this.closing) this.options.onBug?.(cause ?? failure)
  }

  private settle({ id, replies, failure }: Answer): void {
    const waiting = this.waiting.get(id)
    this.waiting.delete(id)
    if (this.waiting.size === 0) this.worker.unref()
    if (failure === undefined) waiting?.resolve(replies ?? [])
    else waiting?.reject(fromWire(failure) as Failure)
  }

  request(request: RequestBody): Promise<unknown[]> {
    if (this.failure !== undefined) return Promise.reject(this.failure)
    return new Promise((resolve, reject) => {
      const id = ++this.lastId
      if (this.waiting.size === 0) this.worker.ref()
      this.waiting.set(id, { resolve, reject })
      if (this.outbox.length === 0) setImmediate(() => this.post())
      this.outbox.push({ ...request, id } as Request)
    })
  }

  private post(): void {
    const { outbox } = this
    this.outbox = []
    if (outbox.length > 0) this.worker.postMessage(outbox)
  }

  async close(): Promise<void> {
    this.closing = true
    if (this.failure === undefined) await this.request({ kind: 'close' }).catch(() => undefined)
    await this.worker.terminate()
  }
}

/** Shards spread over worker threads: a shard stays on the thread that its name and index choose. */
export class ThreadStore implements ShardStore {
  private readonly threads: Thread[]

  /** @param count how many threads */
  constructor(count: number, options: ThreadOptions) {
    this.threads = Array.from({ length: count }, () => new Thread(options))
  }

  private thread(database: string, index: number): Thread {
    return this.threads[(crc16Slot(database) + index) % this.threads.length] as Thread
  }

  submit(database: string, index: number, calls: readonly Call[]): Promise<unknown[]> {
    return this.thread(database, index).request({ kind: 'submit', database, index, calls })
  }

  async awaitChange(database: string, index: number, afterSeq: number, waitMs: number): Promise<void> {
    await this.thread(database, index).request({ kind: 'await', database, index, afterSeq, waitMs })
  }

  async job(database: string, index: number, name: string, args: unknown): Promise<unknown> {
    const [answer] = await this.thread(database, index).request({ kind: 'job', database, index, name, args })
    return answer
  }

  async stats(): Promise<StoreStats[]> {
    const stats = await Promise.all(this.threads.map((thread) => thread.request({ kind: 'stats' })))
    return stats.flat() as StoreStats[]
  }

  async close(): Promise<void> {
    await Promise.all(this.threads.map((thread) => thread.close()))
  }
}

/** Read what `openFabric` was given as `threadExtra`, in a worker thread of its own. */
export function threadExtra(): unknown {
  return (workerData as ThreadData).extra
}

/** Serve shards in a worker thread; call it once, in the thread's entry module.
 *  @param work what is done beside the shards of this thread */
export function serveThread(programs: readonly Program[], work: ShardWork = {}): void {
  const port = parentPort
  if (port === null) throw new Error('serveThread runs in a worker thread only')
  const post = (message: Post) => port.postMessage(message)
  const onBug = (error: unknown) => post({ bug: error instanceof Error ? error : String(error) })
  const store = new FileStore({ ...work, ...(workerData as ThreadData), programs, clock: nodeClock, onBug })
  let answers: Answer[] = []
  const answer = (one: Answer) => {
    if (answers.length === 0) {
      // The groups of one turn settle in microtasks of that turn; this runs after them.
      setImmediate(() => {
        const batch = answers
        answers = []
        post({ answers: batch })
      })
    }
    answers.push(one)
  }
  const run = async (request: Request): Promise<unknown[]> => {
    if (request.kind === 'submit')
      return wireReplies(await store.submit(request.database, request.index, request.calls))
    if (request.kind === 'job') return [await store.job(request.database, request.index, request.name, request.args)]
    if (request.kind === 'stats') return store.stats()
    if (request.kind === 'close') await store.close()
    else await store.awaitChange(request.database, request.index, request.afterSeq, request.waitMs)
    return []
  }
  port.on('message', (requests: Request[]) => {
    for (const request of requests) {
      run(request).then(
        (replies) => answer({ id: request.id, replies }),
        (error) => answer({ id: request.id, failure: toWire(toFailure(error)) }),
      )
    }
  })
}
