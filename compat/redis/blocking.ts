/** Clients that wait for a key: BLPOP and its like.
 *
 *  1. A blocking command is run as any other. When it answers WouldBlock, its client waits; the command is run again
 *     when one of its keys has changed, until it answers something, the time is over, or the client is let go.
 *  2. Who has waited longest is served first, whatever the key: a client that comes while others wait for one of its
 *     keys goes behind them.
 *  3. What a command takes is committed with its answer. A client that leaves while its command runs may lose that
 *     answer, as it may lose any reply.
 *
 *  @source blocked.c of Redis 7.2 */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { Clock, Database, Position } from '@dotdo/core/shard'
import { errorReply } from './errors.ts'
import type { KeyFeed, KeyFeeds, KeyListener } from './key-feed.ts'
import type { Blocked, PeekArgs, Peeked } from './program.ts'
import { findKeys, Later, PROGRAM, planCommand } from './routing.ts'
import type { Row, Session } from './session.ts'
import { readTimeout, timeoutPlace } from './timeout.ts'
import { isWouldBlock, type Value } from './value.ts'

/** Why a client no longer waits: its time is over, CLIENT UNBLOCK ... ERROR, or it is gone. */
export type Release = 'timeout' | 'error' | 'end'

/** A client that waits. */
export interface Parked {
  /** Let it go; a command that runs just now may still answer. */
  release(why: Release): void
}

const UNBLOCKED: Value = { error: 'UNBLOCKED client unblocked via CLIENT UNBLOCK' }

interface Request {
  readonly session: Session
  readonly database: Database
  readonly row: Row
  readonly argv: readonly Bin[]
  readonly db: number
  /** `db/key` of each key it waits for. */
  readonly names: readonly string[]
  /** The shard of its keys is that of this slot. */
  readonly slot: number
  /** Requests of one kind that wait for the same keys: when one has to wait on, so have the others. */
  readonly kind: string
}

type Outcome = Value | Blocked

/** Run requests in order, in one group of their shard. */
async function runAll(requests: readonly Request[]): Promise<Outcome[]> {
  const [{ database }] = requests as [Request]
  const plan = database.plan()
  const laters = requests.map(({ db, row, argv }) => {
    try {
      return planCommand({ plan, map: database.map, db }, row, argv)
    } catch (error) {
      // The database may have more shards than when the client began to wait.
      return errorReply(error)
    }
  })
  await plan.run()
  return laters.map((later): Outcome => (later instanceof Later ? later.value() : later))
}

async function peekAt({ database, row, argv, db, slot }: Request): Promise<Peeked> {
  const args: PeekArgs = { name: row.name, argv, db }
  const plan = database.plan()
  const pending = plan.one(slot, { program: PROGRAM, name: 'peek', args })
  await plan.run()
  return pending.reply instanceof Failure ? errorReply(pending.reply) : (pending.reply as Peeked)
}

function hasWrongType(outcome: Outcome): boolean {
  return typeof outcome === 'object' && outcome !== null && 'error' in outcome && outcome.error.startsWith('WRONGTYPE')
}

/** A request that waits. */
class Waiter implements Parked {
  request: Request
  /** How many came before it. */
  readonly order: number
  /** Where it waits. */
  queue: Queue | undefined = undefined
  /** One of its keys has changed since it was run. */
  woken = false
  running = false
  /** Why it is to be let go, when that came while it ran. */
  verdict: Release | undefined = undefined
  timeoutReply: Value = null
  cancelTimer: () => void = () => undefined
  private readonly answered: (reply: Value | undefined) => void

  constructor(request: Request, order: number, answered: (reply: Value | undefined) => void) {
    this.request = request
    this.order = order
    this.answered = answered
  }

  release(why: Release): void {
    if (this.running) this.verdict = why
    else if (why === 'end') this.answer(undefined)
    else this.answer(why === 'timeout' ? this.timeoutReply : UNBLOCKED)
  }

  note({ wouldBlock, argv }: Blocked): void {
    this.timeoutReply = wouldBlock
    if (argv !== undefined) this.request = { ...this.request, argv }
  }

  answer(reply: Value | undefined): void {
    this.cancelTimer()
    this.queue?.remove(this)
    this.answered(reply)
  }

  /** @returns whether it waits on */
  take(outcome: Outcome): boolean {
    this.running = false
    const waitsOn = hasWrongType(outcome) && this.queue?.listening && !this.request.row.block?.answersWrongType
    if (!isWouldBlock(outcome) && !waitsOn) {
      this.answer(outcome)
      return false
    }
    if (isWouldBlock(outcome)) this.note(outcome)
    if (this.verdict !== undefined) this.release(this.verdict)
    return true
  }
}

interface QueueParts {
  readonly place: string
  readonly feed: KeyFeed
  /** Told when the last one has left. */
  empty(): void
  /** Told of one whose keys are in another shard by now. */
  moved(waiter: Waiter, at: Position): void
  onBug(error: unknown): void
}

/** Those that wait for keys of one shard. */
class Queue {
  private readonly waiters = new Set<Waiter>()
  private readonly byName = new Map<string, Set<Waiter>>()
  private readonly parts: QueueParts
  private serving = false
  /** Whether it learns of changes; the first one that has nothing to take says from where. */
  listening = false

  constructor(parts: QueueParts) {
    this.parts = parts
  }

  /** Learns of changed keys. */
  private readonly listener: KeyListener = ({ keys, all }) => {
    if (all) this.wakeAll()
    else this.wake(keys.map(([db, key]) => `${db}/${key}`))
  }

  isWaitedFor(name: string): boolean {
    return this.byName.has(name)
  }

  /** @param at it has seen everything up to there; undefined to run it now, behind those that wait already */
  add(waiter: Waiter, at: Position | undefined): void {
    waiter.queue = this
    this.waiters.add(waiter)
    for (const name of waiter.request.names) {
      const found = this.byName.get(name)
      if (found === undefined) this.byName.set(name, new Set([waiter]))
      else found.add(waiter)
    }
    if (at === undefined || this.hear(at)) this.wake(waiter.request.names)
  }

  /** @returns whether some change after `at` may have been told already */
  private hear(at: Position): boolean {
    this.listening = true
    return this.parts.feed.listen(this.listener, at)
  }

  remove(waiter: Waiter): void {
    waiter.queue = undefined
    this.waiters.delete(waiter)
    for (const name of waiter.request.names) {
      const found = this.byName.get(name)
      found?.delete(waiter)
      if (found?.size === 0) this.byName.delete(name)
    }
    if (this.waiters.size > 0) return
    this.listening = false
    this.parts.feed.leave(this.listener)
    this.parts.empty()
  }

  private wake(names: readonly string[]): void {
    let any = false
    for (const name of names) {
      for (const waiter of this.byName.get(name) ?? []) {
        waiter.woken = true
        any = true
      }
    }
    if (any) void this.serve()
  }

  private wakeAll(): void {
    for (const waiter of this.waiters) waiter.woken = true
    void this.serve()
  }

  /** Run what was woken, round by round: what is woken meanwhile comes in the next. */
  private async serve(): Promise<void> {
    if (this.serving) return
    this.serving = true
    try {
      for (;;) {
        const due = [...this.waiters].filter(({ woken }) => woken).sort((a, b) => a.order - b.order)
        if (due.length === 0) return
        for (const waiter of due) waiter.woken = false
        await this.serveRound(due)
      }
    } catch (error) {
      this.parts.onBug(error)
    } finally {
      this.serving = false
    }
  }

  /** Run waiters in order, few at first: most often one change serves one of many. Once one of a kind has to wait on,
   *  the others of its kind are not asked. */
  private async serveRound(due: readonly Waiter[]): Promise<void> {
    const dry = new Set<string>()
    let left = [...due]
    for (let size = 1; left.length > 0; size *= 2) {
      left = left.filter((waiter) => this.waiters.has(waiter) && !dry.has(waiter.request.kind))
      const chunk = left.splice(0, size)
      if (chunk.length === 0) return
      for (const waiter of chunk) waiter.running = true
      const outcomes = await runAll(chunk.map(({ request }) => request))
      for (const [i, waiter] of chunk.entries()) {
        const outcome = outcomes[i] as Outcome
        if (!waiter.take(outcome) || waiter.queue === undefined) continue
        const { request } = waiter
        if (isWouldBlock(outcome) && placeOf(request) !== this.parts.place) {
          this.parts.moved(waiter, outcome.at)
          continue
        }
        if (request.row.mode === 'write') dry.add(request.kind)
        if (isWouldBlock(outcome) && !this.listening && this.hear(outcome.at)) this.wake(request.names)
      }
    }
  }
}

/** What waiting needs of the server. */
export interface WaitersParts {
  readonly clock: Pick<Clock, 'after' | 'nowMs'>
  readonly feeds: KeyFeeds
  /** Told of failures that are bugs of ours. */
  onBug(error: unknown): void
}

/** All clients of a server that wait for keys. */
export class Waiters {
  private readonly parts: WaitersParts
  private readonly queues = new Map<string, Queue>()
  private arrived = 0
  private waiting = 0

  constructor(parts: WaitersParts) {
    this.parts = parts
  }

  /** How many clients wait. */
  get size(): number {
    return this.waiting
  }

  /** Run a blocking command, and wait if need be.
   *  @returns its reply; undefined when the client left while it waited
   *  @throws invalid for arguments it cannot have */
  async run(session: Session, row: Row, argv: readonly Bin[]): Promise<Value | undefined> {
    const request = await requestOf(session, row, argv)
    const timeoutMs = row.block && readTimeout(row.block, argv)
    const mayWait = () => timeoutMs !== undefined && !session.finished
    const queue = this.queues.get(placeOf(request))
    const others = row.mode === 'write' && request.names.some((name) => queue?.isWaitedFor(name))
    if (others && mayWait()) {
      const peeked = await peekAt(request)
      if ('error' in peeked) return peeked
      const nothing = isWouldBlock(peeked)
      // Those who waited may have gone meanwhile: then this one is run at once, as the first in line.
      if (mayWait()) return session.ended ? undefined : this.park(request, timeoutMs ?? 0, nothing ? peeked : undefined)
    }
    const [outcome] = (await runAll([request])) as [Outcome]
    if (!isWouldBlock(outcome)) return outcome
    if (!mayWait()) return outcome.wouldBlock
    return session.ended ? undefined : this.park(request, timeoutMs ?? 0, outcome)
  }

  /** @param outcome what it answered; undefined when there is something for it, or for those that came before it */
  private park(request: Request, timeoutMs: number, outcome?: Blocked): Promise<Value | undefined> {
    const { session } = request
    this.waiting++
    return new Promise<Value | undefined>((settle) => {
      const waiter = new Waiter(request, ++this.arrived, (reply) => {
        session.parked = undefined
        this.waiting--
        settle(reply)
      })
      session.parked = waiter
      if (outcome !== undefined) waiter.note(outcome)
      if (timeoutMs > 0) this.startTimer(waiter, this.parts.clock.nowMs() + timeoutMs)
      this.enqueue(waiter, outcome?.at)
    })
  }

  private enqueue(waiter: Waiter, at: Position | undefined): void {
    const { request } = waiter
    const place = placeOf(request)
    const queue = this.queues.get(place) ?? this.open(place, request)
    queue.add(waiter, at)
  }

  private open(place: string, request: Request): Queue {
    const queue: Queue = new Queue({
      place,
      feed: this.parts.feeds.of(request.database, shardOf(request)),
      empty: () => this.queues.delete(place),
      moved: (waiter, at) => {
        queue.remove(waiter)
        this.enqueue(waiter, at)
      },
      onBug: this.parts.onBug,
    })
    this.queues.set(place, queue)
    return queue
  }

  private startTimer(waiter: Waiter, deadlineMs: number): void {
    const { clock } = this.parts
    // Clocks may wake early, from a wait that is too long for them.
    waiter.cancelTimer = clock.after(Math.max(0, deadlineMs - clock.nowMs()), () => {
      if (clock.nowMs() < deadlineMs) this.startTimer(waiter, deadlineMs)
      else waiter.release('timeout')
    })
  }
}

function shardOf({ database, slot }: Request): number {
  return database.map.shardOf(slot)
}

function placeOf(request: Request): string {
  return `${request.database.name}/${shardOf(request)}`
}

/** @throws invalid for arguments it cannot have */
async function requestOf(session: Session, row: Row, argv: readonly Bin[]): Promise<Request> {
  const database = await session.database()
  const { db } = session.state
  const places = row.block?.keys?.(argv) ?? findKeys(row, argv)
  const names = places.map((at) => `${db}/${argv[at] as Bin}`)
  const timeoutAt = row.block && timeoutPlace(row.block, argv)
  const kind = [row.name, db, ...argv.slice(1).filter((_, i) => i + 1 !== timeoutAt)].join('\0')
  const slot = database.map.slotOf(argv[places[0] as number] as Bin)
  return { session, database, row, argv, db, names, slot, kind }
}
