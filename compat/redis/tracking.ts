/** Client-side caching: telling clients which of the keys that they have read are no longer what they were.
 *
 *  1. Changes are learnt from the shards' logs: whoever wrote is followed, expiry too.
 *  2. A key is remembered from before it is read until it has been told invalid once after its reply went out: no
 *     change after the read is missed. A change that is told for nothing costs a read.
 *  3. The table is bounded; a key that has to go is told invalid.
 *
 *  @source https://redis.io/docs/latest/develop/reference/client-side-caching/ and tracking.c of Redis 7.2 */
import type { Bin } from '@dotdo/core/bytes'
import { REDIS_TRACKED_KEYS_MAX } from '@dotdo/core/limits'
import type { Database } from '@dotdo/core/shard'
import type { KeyFeeds, KeyListener } from './key-feed.ts'
import { findKeys, Later } from './routing.ts'
import type { Queued, Session } from './session.ts'
import type { Value } from './value.ts'

/** How a client caches. */
export interface TrackingState {
  readonly broadcast: boolean
  /** Of keys that are told in broadcasting mode; all when there are none. */
  readonly prefixes: readonly Bin[]
  readonly opt: 'in' | 'out' | undefined
  /** The client that is told instead; 0 for none. */
  readonly redirect: number
  /** What CLIENT CACHING said of the next command. */
  caching: 'yes' | 'no' | undefined
  /** Keys it is to be told of. */
  readonly keys: Set<Bin>
  /** The other client has gone. */
  broken: boolean
}

/** A key in the table: who has read it, and how many of its reads are under way. */
type Readers = Map<Session, number>

interface Tracked {
  readonly readers: Map<Bin, Readers>
  readonly sessions: Set<Session>
  stop(): void
}

const CHANNEL = '__redis__:invalidate'

/** Tell a client, or the one it named, that keys are invalid; null for all. */
function tell(session: Session, keys: readonly Bin[] | null): void {
  const { state, server } = session
  const { tracking } = state
  if (tracking === undefined) return
  const receiver = tracking.redirect === 0 ? session : server.sessions.get(tracking.redirect)
  if (receiver === undefined) {
    tracking.broken = true
    if (state.protocol === 3) session.push({ push: ['tracking-redir-broken', tracking.redirect] })
  } else if (receiver.state.protocol === 3) receiver.push({ push: ['invalidate', keys] })
  else if (receiver.state.subscriptions?.channel.has(CHANNEL)) receiver.push({ push: ['message', CHANNEL, keys] })
}

/** The clients of one server that cache. */
export class Tracking {
  private readonly feeds: KeyFeeds
  private readonly databases = new Map<string, Promise<Tracked>>()
  private readonly open = new Map<string, Tracked>()
  private readonly onBug: (error: unknown) => void

  /** @param onBug told of failures that are bugs of ours */
  constructor(feeds: KeyFeeds, onBug: (error: unknown) => void) {
    this.feeds = feeds
    this.onBug = onBug
  }

  /** Begin, or change how.
   *  @returns when no change from here on is missed */
  async begin(session: Session, tracking: TrackingState): Promise<void> {
    const database = await session.database()
    const { name } = database
    const known = this.databases.get(name) ?? this.start(database)
    this.databases.set(name, known)
    const tracked = await known.catch((error) => {
      this.databases.delete(name)
      throw error
    })
    if (session.ended) return
    tracked.sessions.add(session)
    session.state.tracking = tracking
  }

  private async start(database: Database): Promise<Tracked> {
    const { map, name } = database
    const listener: KeyListener = ({ keys, all }) => {
      // Its slots have moved, maybe to more shards.
      if (all) for (let shard = shards.length; shard < map.count; shard++) follow(shard)
      this.changed(name, keys, all)
    }
    const shards = Array.from({ length: map.count }, (_, shard) => this.feeds.of(database, shard))
    const follow = (shard: number) => {
      const feed = this.feeds.of(database, shard)
      shards.push(feed)
      // What was read before it is followed is told to be invalid once it is.
      feed.begin(listener).then(() => this.changed(name, [], true), this.onBug)
    }
    const stop = () => {
      for (const feed of shards) feed.leave(listener)
    }
    const tracked: Tracked = { readers: new Map(), sessions: new Set(), stop }
    await Promise.all(shards.map((feed) => feed.begin(listener)))
    this.open.set(name, tracked)
    return tracked
  }

  /** Stop for a session. */
  leave(session: Session): void {
    const { tracking, database } = session.state
    const tracked = this.open.get(database)
    if (tracking === undefined || tracked === undefined) return
    session.state.tracking = undefined
    for (const key of tracking.keys) this.forget(tracked, session, key)
    tracked.sessions.delete(session)
    if (tracked.sessions.size > 0) return
    tracked.stop()
    this.open.delete(database)
    this.databases.delete(database)
  }

  private forget({ readers }: Tracked, session: Session, key: Bin): void {
    const known = readers.get(key)
    known?.delete(session)
    if (known?.size === 0) readers.delete(key)
  }

  /** Remember the keys of commands that are about to be read; the reply takes note that they have been.
   *  @returns the reply */
  follow(session: Session, requests: readonly Queued[], later: Later): Later {
    const { tracking, database } = session.state
    const tracked = this.open.get(database)
    if (tracking === undefined || tracked === undefined || tracking.broadcast) return later
    const { caching } = tracking
    tracking.caching = undefined
    if (tracking.opt === 'in' ? caching !== 'yes' : tracking.opt === 'out' && caching === 'no') return later
    const keys = requests.flatMap(({ row, argv }) =>
      row.mode === 'read' ? findKeys(row, argv).map((at) => argv[at] as Bin) : [],
    )
    if (keys.length === 0) return later
    for (const key of keys) this.pin(tracked, session, key, 1)
    return new Later(() => {
      for (const key of keys) if (session.state.tracking === tracking) this.pin(tracked, session, key, -1)
      return later.value()
    })
  }

  private pin(tracked: Tracked, session: Session, key: Bin, by: 1 | -1): void {
    const { readers } = tracked
    const known = readers.get(key) ?? new Map<Session, number>()
    readers.set(key, known)
    known.set(session, Math.max(0, (known.get(session) ?? 0) + by))
    session.state.tracking?.keys.add(key)
    if (readers.size <= REDIS_TRACKED_KEYS_MAX) return
    const [oldest] = readers.keys()
    this.invalidate(tracked, oldest as Bin)
  }

  private changed(name: string, keys: readonly (readonly [number, Bin])[], all: boolean): void {
    const tracked = this.open.get(name)
    if (tracked === undefined) return
    if (all) return this.flush(tracked)
    const changed = [...new Set(keys.map(([, key]) => key))]
    for (const key of changed) if (tracked.readers.has(key)) this.invalidate(tracked, key)
    for (const session of tracked.sessions) {
      const { tracking } = session.state
      if (!tracking?.broadcast) continue
      const prefixes = tracking.prefixes.length === 0 ? [''] : tracking.prefixes
      for (const prefix of prefixes) {
        const told = changed.filter((key) => key.startsWith(prefix))
        if (told.length > 0) tell(session, told)
      }
    }
  }

  /** Tell all who have read a key; they must read it again to be told again. */
  private invalidate(tracked: Tracked, key: Bin): void {
    for (const [session, pins] of tracked.readers.get(key) ?? []) {
      tell(session, [key])
      // A read that is under way may have come before the change, or after it.
      if (pins > 0) continue
      session.state.tracking?.keys.delete(key)
      this.forget(tracked, session, key)
    }
    // What is read all the time goes to the end of the line.
    const left = tracked.readers.get(key)
    tracked.readers.delete(key)
    if (left !== undefined) tracked.readers.set(key, left)
  }

  private flush(tracked: Tracked): void {
    for (const session of tracked.sessions) {
      tell(session, null)
      for (const key of session.state.tracking?.keys ?? []) {
        if ((tracked.readers.get(key)?.get(session) ?? 0) > 0) continue
        session.state.tracking?.keys.delete(key)
        this.forget(tracked, session, key)
      }
    }
  }
}

/** Describe how a client caches, for CLIENT TRACKINGINFO. */
export function trackingInfo(tracking: TrackingState | undefined): Value {
  const flags = tracking === undefined ? ['off'] : ['on']
  if (tracking?.broadcast) flags.push('bcast')
  if (tracking?.opt !== undefined) flags.push(`opt${tracking.opt}`)
  if (tracking?.caching !== undefined) flags.push(`caching-${tracking.caching}`)
  if (tracking?.broken) flags.push('broken_redirect')
  return {
    map: [
      ['flags', { set: flags }],
      ['redirect', tracking?.redirect ?? -1],
      ['prefixes', tracking?.prefixes ?? []],
    ],
  }
}
