/** Tells which keys change, while somebody wants to know: one loop over a shard's log, none when nobody listens.
 *
 *  1. What is told has been committed, in the log's order, whoever wrote it: any session, script, thread or expiry.
 *  2. A loop waits for the log to grow; it asks nothing of an idle shard but, every REDIS_CHANGE_WAIT_MS, whether its
 *     slots are still there.
 *  3. When the log does not reach back far enough, or slots have moved, any key may have changed: that is said. */
import { Failure } from '@dotdo/core/errors'
import { REDIS_CHANGE_RETRY_MS_MAX, REDIS_CHANGE_WAIT_MS } from '@dotdo/core/limits'
import type { Clock, Database, Position } from '@dotdo/core/shard'
import type { Changed, ChangedArgs } from './changed.ts'
import type { KeyEvent } from './events.ts'
import { PROGRAM } from './routing.ts'

/** What changed; called in order, in the turn in which it was learnt. */
export type KeyListener = (changed: Pick<Changed, 'keys' | 'all'>) => void

/** What a feed needs of its surroundings. */
export interface FeedParts {
  readonly clock: Pick<Clock, 'after'>
  /** Told of failures that are bugs of ours. */
  onBug(error: unknown): void
}

/** The changed keys of one shard. */
export class KeyFeed {
  private readonly database: Database
  private readonly shard: number
  private readonly parts: FeedParts
  private readonly listeners = new Set<KeyListener>()
  private at: Position | undefined
  private epoch = 0
  private running = false
  private hearEvents: ((events: readonly KeyEvent[]) => void) | undefined

  constructor(database: Database, shard: number, parts: FeedParts) {
    this.database = database
    this.shard = shard
    this.parts = parts
  }

  /** Begin to listen to what changes after a position.
   *  @returns whether some of that may have been told already */
  listen(listener: KeyListener, from: Position): boolean {
    this.listeners.add(listener)
    if (!this.running) {
      this.at = from
      void this.run()
    }
    const { incarnation, seq } = this.at as Position
    return incarnation !== from.incarnation || seq > from.seq
  }

  /** Begin to listen to what changes from now on.
   *  @returns when every later change is sure to be told */
  async begin(listener: KeyListener): Promise<void> {
    const { next } = await this.ask('now')
    this.listen(listener, next)
  }

  /** Begin to have events noted, and to be told of them.
   *  @returns when every later change is sure to be noted */
  async listenToEvents(hear: (events: readonly KeyEvent[]) => void, listener: KeyListener): Promise<void> {
    this.hearEvents = hear
    const { next } = await this.ask('now')
    // It may have been called off meanwhile.
    if (this.hearEvents === hear) this.listen(listener, next)
  }

  /** Stop being told of events; the shard stops noting them when it has not been asked for a while. */
  leaveEvents(listener: KeyListener): void {
    this.hearEvents = undefined
    this.leave(listener)
  }

  /** Stop listening. */
  leave(listener: KeyListener): void {
    this.listeners.delete(listener)
  }

  private async run(): Promise<void> {
    const { router, map } = this.database
    this.running = true
    this.epoch = map.epoch
    for (let failures = 0; this.listeners.size > 0; ) {
      try {
        await router.client(this.shard).awaitChange((this.at as Position).seq, REDIS_CHANGE_WAIT_MS)
        if (this.listeners.size === 0) break
        await this.read()
        failures = 0
      } catch (error) {
        if (!(error instanceof Failure && error.retryable)) this.parts.onBug(error)
        failures++
        await this.pause(Math.min(10 * 2 ** failures, REDIS_CHANGE_RETRY_MS_MAX))
      }
    }
    this.running = false
  }

  private async ask(after: ChangedArgs['after']): Promise<Changed> {
    const args: ChangedArgs = { after, events: this.hearEvents !== undefined }
    const call = { program: PROGRAM, name: 'changed', args }
    return (await this.database.router.call(call, { shard: this.shard })) as Changed
  }

  private async read(): Promise<void> {
    const { map } = this.database
    const { keys, all, events, next } = await this.ask(this.at as Position)
    this.at = next
    if (events.length > 0) this.hearEvents?.(events)
    const moved = map.epoch !== this.epoch
    this.epoch = map.epoch
    if (keys.length === 0 && !all && !moved) return
    for (const listener of [...this.listeners]) listener({ keys, all: all || moved })
  }

  private pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.parts.clock.after(delayMs, resolve))
  }
}

/** The feeds of a server's databases. */
export class KeyFeeds {
  private readonly parts: FeedParts
  private readonly feeds = new Map<string, KeyFeed>()

  constructor(parts: FeedParts) {
    this.parts = parts
  }

  /** Find the feed of a shard; it is made when it is first asked for, and costs nothing until somebody listens. */
  of(database: Database, shard: number): KeyFeed {
    const name = `${database.name}/${shard}`
    const known = this.feeds.get(name)
    if (known !== undefined) return known
    const made = new KeyFeed(database, shard, this.parts)
    this.feeds.set(name, made)
    return made
  }
}
