/** The merged feed of a database: the changes of all its shards as one stream that can be resumed.
 *
 *  1. One follower a shard; lanes are merged in turn, so a busy shard does not starve the others. Order holds within a
 *     shard. A follower stops reading while two of its batches wait to be taken: that is the back-pressure.
 *  2. Across shards, a key's changes stay in order when its slot moves: a change of a later epoch is held until every
 *     other shard has been drained up to where it stood when that change was met. The shard that gave the slot away
 *     fenced it before the other served it, so all its changes of that key stand before that end.
 *  3. A token says what has been handed out. Resuming with it repeats nothing that was handed out before it, and skips
 *     nothing; what came after it comes again.
 *  4. A shard whose history was trimmed, restored or made anew ends the feed with `out_of_range`, never with a gap. */
import { Failure } from '../errors.ts'
import {
  FEED_BUFFERED_CHANGES_MAX,
  FEED_HEARTBEAT_MS,
  FEED_HEARTBEAT_MS_MAX,
  FEED_HEARTBEAT_MS_MIN,
  FEED_PATIENCE_MS,
  FEED_REFRESH_MS,
  FEED_TOKEN_EACH_SHARDS_MAX,
  FOLLOW_BATCH_MAX,
} from '../limits.ts'
import type { Clock } from '../shard/clock.ts'
import type { Capture } from '../shard/log.ts'
import type { Position } from '../shard/program.ts'
import type { ChangeRecord } from '../shard/system.ts'
import { type ChangeEvent, toEvent } from './event.ts'
import { compileFilter, type Filter } from './filter.ts'
import { follow, Patience, StopSwitch } from './follow.ts'
import { Lane } from './lane.ts'
import type { FeedSource } from './source.ts'
import { decodeToken, encodeToken } from './token.ts'

/** What a feed shall be. */
export interface FeedOptions {
  clock: Clock
  /** Where to begin: the oldest change kept, the present end, or the token of an earlier feed. Default `now`. */
  since?: 'start' | 'now' | (string & {})
  filter?: Filter
  /** Raise what is kept of the filter's collections first: `after` for documents, `full` for those from before too.
   *  Changes made before that stay as they were kept. */
  capture?: Capture
  /** Milliseconds without an event after which a heartbeat comes. */
  heartbeatMs?: number
  /** Go on past the present end, for ever. Default true. */
  follow?: boolean
}

/** An event, or the sign that there is none. */
export type FeedItem =
  | {
      readonly event: ChangeEvent
      /** Resumes after this event. Past FEED_TOKEN_EACH_SHARDS_MAX shards, only the last of a batch has it. */
      readonly token?: string
    }
  | {
      /** Milliseconds since 1970. */
      readonly heartbeat: number
      /** Resumes here. Moves past filtered changes: who keeps it does not fall out of the history. */
      readonly token: string
    }

/** Begin a feed. It holds resources until it ends or `return` is called.
 *  @throws invalid for a bad token, filter or option; not_found when `capture` names a collection that does not exist;
 *  out_of_range when the history after the token is gone, with the detail of HistoryLost
 *  @cost one or two calls a shard */
export async function openFeed(source: FeedSource, options: FeedOptions): Promise<Feed> {
  const { since = 'now', filter = {}, capture = 'key', follow: endless = true } = options
  checkOptions(options)
  compileFilter(filter)
  const vector = since === 'start' || since === 'now' ? undefined : decodeToken(since, source.database)
  await source.refresh()
  const count = Math.max(source.count(), vector?.positions.length ?? 0)
  const indexes = Array.from({ length: count }, (_, index) => index)
  const { collections = [] } = filter
  if (capture !== 'key') await Promise.all(indexes.map((index) => source.raise(index, collections, capture)))
  const from = indexes.map((index) => vector?.positions[index] ?? (vector ? 'start' : since)) as Place[]
  const ends = endless ? [] : await Promise.all(indexes.map((index) => placeOf(source, index, 'now')))
  const starts = await startingPlaces(source, from)
  const lanes = indexes.map((index) => new Lane(index, starts[index] as Position, ends[index]?.seq))
  return new Feed({ source, options, lanes, epoch: vector?.epoch ?? firstEpoch(since, starts) })
}

type Place = Position | 'start' | 'now'

async function placeOf(source: FeedSource, index: number, place: Place): Promise<Position> {
  return (await source.shard(index).read(place, 0)).next
}

/** Up to which epoch nothing has to be drained. No slot moved before epoch 1; at `now`, one shard may be ahead. */
function firstEpoch(since: string, starts: readonly Position[]): number {
  const epochs = starts.map(({ epoch }) => epoch).filter((epoch) => epoch > 0)
  return since === 'now' && epochs.length > 0 ? Math.min(...epochs) : 1
}

function checkOptions({ heartbeatMs = FEED_HEARTBEAT_MS, filter = {}, capture = 'key' }: FeedOptions): void {
  if (!(heartbeatMs >= FEED_HEARTBEAT_MS_MIN && heartbeatMs <= FEED_HEARTBEAT_MS_MAX)) {
    const range = `${FEED_HEARTBEAT_MS_MIN} to ${FEED_HEARTBEAT_MS_MAX} ms`
    throw new Failure('invalid', `heartbeats every ${heartbeatMs} ms: want ${range}`)
  }
  if (capture !== 'key' && filter.collections === undefined) {
    throw new Failure('invalid', `capture ${capture} needs the collections it is for`)
  }
  const fine = filter.operations?.find((operation) => operation === 'insert' || operation === 'update')
  if (fine !== undefined && capture !== 'full') {
    throw new Failure('invalid', `operation ${fine} is only known at capture full; ask for that, or for put`)
  }
}

/** The detail of an `out_of_range` of a feed. */
export interface HistoryLost {
  /** The shards whose history after the position asked for is gone. */
  shards: { shard: number; asked: Position; available: { after: Position; to: Position } }[]
  /** Resumes with what remains: those shards from the oldest change kept, the others as asked. */
  token: string
}

/** Check every place, and resolve `start` and `now`. */
async function startingPlaces(source: FeedSource, from: readonly Place[]): Promise<Position[]> {
  const settled = await Promise.allSettled(from.map((place, index) => placeOf(source, index, place)))
  const lost: number[] = []
  for (const [index, result] of settled.entries()) {
    if (result.status === 'fulfilled') continue
    if (!isOutOfRange(result.reason)) throw result.reason
    lost.push(index)
  }
  if (lost.length > 0) {
    const positions = settled.map((result, i) => (result.status === 'fulfilled' ? result.value : from[i])) as Position[]
    throw await historyLost(source, { epoch: 1, positions }, lost)
  }
  return settled.map((result) => (result as PromiseFulfilledResult<Position>).value)
}

const isOutOfRange = (error: unknown): error is Failure => error instanceof Failure && error.code === 'out_of_range'

/** Say what is gone and what remains.
 *  @param at where the feed stands */
async function historyLost(
  source: FeedSource,
  at: { epoch: number; positions: readonly Position[] },
  lost: readonly number[],
): Promise<Failure> {
  const positions = [...at.positions]
  const shards = await Promise.all(
    lost.map(async (shard): Promise<HistoryLost['shards'][number]> => {
      const [after, to] = await Promise.all([placeOf(source, shard, 'start'), placeOf(source, shard, 'now')])
      positions[shard] = after
      return { shard, asked: at.positions[shard] as Position, available: { after, to } }
    }),
  )
  const detail: HistoryLost = { shards, token: encodeToken({ database: source.database, epoch: at.epoch, positions }) }
  const [{ shard, asked, available }] = shards as [HistoryLost['shards'][number]]
  const kept = `${available.after.seq + 1} to ${available.to.seq} of history ${available.to.incarnation}`
  const gone = `changes after ${asked.seq} of history ${asked.incarnation}, shard ${shard}, are not kept any more`
  return new Failure('out_of_range', `${gone}; there are ${kept}`, detail)
}

/** What `openFeed` has made ready. */
interface FeedParts {
  source: FeedSource
  options: FeedOptions
  lanes: Lane[]
  epoch: number
}

/** A running feed. Iterate over it, or take what there is with `nextBatch`. */
export class Feed implements AsyncIterableIterator<FeedItem> {
  private readonly source: FeedSource
  private readonly clock: Clock
  private readonly options: FeedOptions
  private readonly keeps: (record: ChangeRecord) => boolean
  private readonly lanes: Lane[]
  private readonly batchMax: number
  private readonly stop = new StopSwitch()
  private waiters = new Set<() => void>()
  /** Changes up to this epoch may be handed out. */
  private epoch: number
  /** A later epoch, and how far each shard must be handed out before it. */
  private barrier: { epoch: number; ends: Map<Lane, number> } | undefined
  private turn = 0
  private quietSinceMs: number
  private failed: { error: unknown; lane: Lane | undefined } | undefined
  private growing: Promise<void> | undefined
  private cancelGrowth = () => {}
  private closed = false

  /** Made by `openFeed`. */
  constructor({ source, options, lanes, epoch }: FeedParts) {
    const { clock, filter = {}, follow: endless = true } = options
    this.source = source
    this.options = options
    this.clock = clock
    this.keeps = compileFilter(filter)
    this.lanes = lanes
    this.epoch = epoch
    const share = Math.floor(FEED_BUFFERED_CHANGES_MAX / (2 * lanes.length))
    this.batchMax = Math.min(FOLLOW_BATCH_MAX, Math.max(1, share))
    // An endless feed begins with a heartbeat: its consumer then holds a token, whatever happens next.
    this.quietSinceMs = endless ? Number.NEGATIVE_INFINITY : clock.nowMs()
    for (const lane of lanes) this.run(lane)
    if (endless) this.growLater()
  }

  /** Wait for events, or a heartbeat.
   *  @param max items at most
   *  @returns what is ready, one at the least; nothing when the feed has ended
   *  @throws out_of_range with the detail of HistoryLost, or unavailable, after everything before it was returned */
  async nextBatch(max: number): Promise<FeedItem[]> {
    const { heartbeatMs = FEED_HEARTBEAT_MS } = this.options
    while (!this.closed) {
      const greeting = this.quietSinceMs === Number.NEGATIVE_INFINITY
      const items = greeting ? [] : this.take(max)
      const nowMs = this.clock.nowMs()
      const dueMs = this.quietSinceMs + heartbeatMs - nowMs
      if (items.length === 0 && dueMs <= 0) items.push({ heartbeat: nowMs, token: this.token() })
      if (items.length > 0) {
        this.quietSinceMs = nowMs
        return items
      }
      if (this.failed !== undefined) throw await this.end(this.failed)
      const heldEpoch = this.heldEpoch()
      if (heldEpoch < (this.barrier?.epoch ?? Number.POSITIVE_INFINITY)) await this.meetEpoch(heldEpoch)
      else if (this.finished) this.close()
      else await this.sleep(dueMs)
    }
    return []
  }

  /** Wait for the next event or heartbeat. */
  async next(): Promise<IteratorResult<FeedItem, undefined>> {
    const [value] = await this.nextBatch(1)
    return value === undefined ? { done: true, value } : { done: false, value }
  }

  /** End the feed; a `next` that waits gets its end at once. */
  async return(): Promise<IteratorResult<FeedItem, undefined>> {
    this.close()
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** Write the token of everything that was returned so far. */
  token(): string {
    const positions = this.lanes.map((lane) => lane.position)
    return encodeToken({ database: this.source.database, epoch: this.epoch, positions })
  }

  private run(lane: Lane): void {
    const { collections } = this.options.filter ?? {}
    const bookmark = {
      load: async () => lane.position,
      save: async (position: Position) => {
        lane.save(position)
        this.wake()
      },
    }
    const deliver = (batch: Parameters<Lane['push']>[0]) => {
      const room = lane.push(batch)
      this.wake()
      return room
    }
    const { clock, batchMax } = this
    const filtered = collections !== undefined
    const how = { clock, stop: this.stop, batchMax, filtered, patienceMs: FEED_PATIENCE_MS }
    follow(this.source.shard(lane.index, collections), bookmark, deliver, how).catch((error: unknown) => {
      this.fail(error, lane)
    })
  }

  /** Hand out what is here, a change a shard in turn. */
  private take(max: number): FeedItem[] {
    const { lanes } = this
    const items: FeedItem[] = []
    const each = lanes.length <= FEED_TOKEN_EACH_SHARDS_MAX
    do {
      for (let idle = 0; idle < lanes.length && items.length < max; this.turn++) {
        const event = this.takeFrom(lanes[this.turn % lanes.length] as Lane)
        if (event === undefined) idle++
        else {
          items.push(each ? { event, token: this.token() } : { event })
          idle = 0
        }
      }
    } while (items.length < max && this.crossEpoch())
    const last = items.at(-1)
    if (!each && last !== undefined) items.splice(-1, 1, { ...last, token: this.token() })
    return items
  }

  private takeFrom(lane: Lane): ChangeEvent | undefined {
    for (;;) {
      const { head } = lane
      if (head === undefined || head.seq > lane.endSeq || head.epoch > this.epoch) return undefined
      lane.shift()
      const { incarnation } = lane.position
      if (this.keeps(head)) return toEvent(head, { database: this.source.database, shard: lane.index, incarnation })
    }
  }

  /** Go on to the epoch that changes are held for, when every shard has been drained for it.
   *  @returns whether it did */
  private crossEpoch(): boolean {
    const { barrier } = this
    if (barrier === undefined) return false
    const { epoch, ends } = barrier
    const drained = (lane: Lane) => lane.position.seq >= (ends.get(lane) ?? 0) || lane.isHeld(epoch - 1)
    if (!this.lanes.every(drained)) return false
    this.epoch = epoch
    this.barrier = undefined
    return true
  }

  /** The earliest epoch that changes are held for. */
  private heldEpoch(): number {
    let earliest = Number.POSITIVE_INFINITY
    for (const { head } of this.lanes) {
      if (head !== undefined && head.epoch > this.epoch && head.epoch < earliest) earliest = head.epoch
    }
    return earliest
  }

  /** Find out how far every shard must be drained before changes of an epoch. */
  private async meetEpoch(epoch: number): Promise<void> {
    const ends = new Map<Lane, number>()
    try {
      await this.patience().retry(() => this.grow())
      const others = this.lanes.filter((lane) => !lane.isHeld(epoch - 1))
      await Promise.all(
        others.map(async (lane) => {
          const end = await this.patience().retry(() => placeOf(this.source, lane.index, 'now'))
          if (end !== undefined) ends.set(lane, end.seq)
        }),
      )
    } catch (error) {
      this.fail(error, undefined)
    }
    this.barrier = { epoch, ends }
  }

  private patience(): Patience {
    return new Patience({ clock: this.clock, stop: this.stop, patienceMs: FEED_PATIENCE_MS })
  }

  /** Whether the end that was the present one at the start has been reached, or cannot be in the right order. */
  private get finished(): boolean {
    return this.lanes.every((lane) => lane.done || (this.barrier !== undefined && lane.isHeld(this.epoch)))
  }

  private growLater(): void {
    this.cancelGrowth = this.clock.after(FEED_REFRESH_MS, async () => {
      try {
        await this.grow()
      } catch (error) {
        // What passes is tried again next time.
        if (!(error instanceof Failure && error.retryable)) this.fail(error, undefined)
      }
      if (!this.stop.aborted) this.growLater()
    })
  }

  /** Follow shards that were added. */
  private grow(): Promise<void> {
    this.growing ??= this.addLanes().finally(() => {
      this.growing = undefined
    })
    return this.growing
  }

  private async addLanes(): Promise<void> {
    const { filter = {}, capture = 'key', follow: endless = true } = this.options
    await this.source.refresh()
    for (let index = this.lanes.length; index < this.source.count(); index = this.lanes.length) {
      if (capture !== 'key') await this.source.raise(index, filter.collections ?? [], capture)
      const lane = new Lane(index, await placeOf(this.source, index, 'start'), endless ? undefined : 0)
      if (this.stop.aborted) return
      this.lanes.push(lane)
      this.run(lane)
    }
  }

  private fail(error: unknown, lane: Lane | undefined): void {
    this.failed ??= { error, lane }
    this.stop.abort()
    this.cancelGrowth()
    this.wake()
  }

  /** Close after a failure.
   *  @returns what to throw */
  private async end({ error, lane }: { error: unknown; lane: Lane | undefined }): Promise<unknown> {
    this.close()
    if (!isOutOfRange(error) || lane === undefined) return error
    const positions = this.lanes.map((one) => one.position)
    return historyLost(this.source, { epoch: this.epoch, positions }, [lane.index]).catch(() => error)
  }

  private close(): void {
    this.closed = true
    this.stop.abort()
    this.cancelGrowth()
    for (const lane of this.lanes) lane.close()
    this.wake()
  }

  private wake(): void {
    for (const waiter of this.waiters) waiter()
  }

  private sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        cancel()
        this.waiters.delete(done)
        resolve()
      }
      const cancel = this.clock.after(ms, done)
      this.waiters.add(done)
    })
  }
}
