/** Types of redlock, as far as tests use it: its package.json hides those it brings from `exports`. */
declare module 'redlock' {
  import type { EventEmitter } from 'node:events'
  import type { Redis } from 'ioredis'

  export class ResourceLockedError extends Error {}

  export class ExecutionError extends Error {
    readonly attempts: readonly Promise<{ votesAgainst: Map<Redis, Error> }>[]
  }

  export interface Lock {
    release(): Promise<unknown>
    extend(durationMs: number): Promise<Lock>
  }

  export default class Redlock extends EventEmitter {
    constructor(clients: Iterable<Redis>, settings?: { retryCount?: number })
    acquire(resources: string[], durationMs: number): Promise<Lock>
    using<T>(resources: string[], durationMs: number, work: (signal: AbortSignal) => Promise<T>): Promise<T>
  }
}
