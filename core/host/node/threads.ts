/** Shards on worker threads: calls of one turn travel in one message a thread. Node only. */
import { parentPort, Worker, workerData } from 'node:worker_threads'
import { Failure, fromWire, toFailure, toWire, type WireFailure } from '../../errors.ts'
import { crc16Slot } from '../../shard/hash.ts'
import type { Call, Program } from '../../shard/program.ts'
import type { ShardLimits } from '../../shard/shard.ts'
import { nodeClock } from './clock.ts'
import { type Durability, FileStore, type ShardStore, wireReplies } from './store.ts'

/** What a thread is started with. Plain data. */
export interface ThreadData {
  folder: string
  durability: Durability
  openMax?: number
  limits?: Partial<ShardLimits>
}

type Request =
  | { id: number; kind: 'submit'; database: string; index: number; calls: readonly Call[] }
  | { id: number; kind: 'await'; database: string; index: number; afterSeq: number; waitMs: number }
  | { id: number; kind: 'close' }

type RequestBody = Request extends infer R ? (R extends Request ? Omit<R, 'id'> : never) : never

interface Answer {
  id: number
  replies?: unknown[]
  failure?: WireFailure
}

interface Waiting {
  resolve(replies: unknown[]): void
  reject(failure: Failure): void
}

/** One worker thread, and the messages to it. */
class Thread {
  private readonly worker: Worker
  private readonly waiting = new Map<number, Waiting>()
  private outbox: Request[] = []
  private lastId = 0
  private dead: Failure | undefined

  constructor(entry: URL, data: ThreadData) {
    this.worker = new Worker(entry, { workerData: data })
    this.worker.on('message', (answers: Answer[]) => {
      for (const answer of answers) this.settle(answer)
    })
    this.worker.on('error', (error) => this.fail(new Failure('unavailable', `a shard thread died: ${error.message}`)))
    this.worker.on('exit', () => this.fail(new Failure('unavailable', 'a shard thread has ended')))
    this.worker.unref()
  }

  private settle({ id, replies, failure }: Answer): void {
    const waiting = this.waiting.get(id)
    this.waiting.delete(id)
    if (this.waiting.size === 0) this.worker.unref()
    if (failure === undefined) waiting?.resolve(replies ?? [])
    else waiting?.reject(fromWire(failure) as Failure)
  }

  private fail(failure: Failure): void {
    this.dead = failure
    for (const waiting of this.waiting.values()) waiting.reject(failure)
    this.waiting.clear()
  }

  request(request: RequestBody): Promise<unknown[]> {
    if (this.dead !== undefined) return Promise.reject(this.dead)
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
    this.worker.postMessage(outbox)
  }

  async close(): Promise<void> {
    if (this.dead === undefined) await this.request({ kind: 'close' }).catch(() => undefined)
    await this.worker.terminate()
  }
}

/** Shards spread over worker threads: a shard stays on the thread that its name and index choose. */
export class ThreadStore implements ShardStore {
  private readonly threads: Thread[]

  /** @param entry the built module that calls `serveThread` with the same programs */
  constructor(entry: URL, count: number, data: ThreadData) {
    this.threads = Array.from({ length: count }, () => new Thread(entry, data))
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

  async close(): Promise<void> {
    await Promise.all(this.threads.map((thread) => thread.close()))
  }
}

/** Serve shards in a worker thread; call it once, in the thread's entry module. */
export function serveThread(programs: readonly Program[]): void {
  const port = parentPort
  if (port === null) throw new Error('serveThread runs in a worker thread only')
  const store = new FileStore({ ...(workerData as ThreadData), programs, clock: nodeClock })
  let answers: Answer[] = []
  const answer = (one: Answer) => {
    if (answers.length === 0) {
      // The groups of one turn settle in microtasks of that turn; this runs after them.
      setImmediate(() => {
        const batch = answers
        answers = []
        port.postMessage(batch)
      })
    }
    answers.push(one)
  }
  const run = async (request: Request): Promise<unknown[]> => {
    if (request.kind === 'submit')
      return wireReplies(await store.submit(request.database, request.index, request.calls))
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
