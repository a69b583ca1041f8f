/** Keyspace notifications: what happens to keys, as messages of pub/sub.
 *
 *  1. A follower of each shard's log publishes what was noted beside it (events.ts): after the commit, in its order.
 *  2. It runs while `notify-keyspace-events` is set and somebody of the database is subscribed to what may be such a
 *     channel; SUBSCRIBE is answered when every later change is sure to be noted.
 *
 *  @source https://redis.io/docs/latest/develop/use/keyspace-notifications/ and notify.c of Redis 7.2 */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { Database } from '@dotdo/core/shard'
import type { KeyEvent } from './events.ts'
import type { KeyFeeds, KeyListener } from './key-feed.ts'
import type { Kind, PubSub } from './pubsub.ts'

const classes = 'g$lshzxetdn'
/** What `A` stands for. */
const ordinary = 'g$lshzxetd'
const prefix = '__key'

/** The setting `notify-keyspace-events`. */
export class Setting {
  private readonly letters: ReadonlySet<string>

  /** @throws invalid in Redis' words; for key misses too, which change nothing that could be followed */
  constructor(text: Bin) {
    const failed = (why: string) =>
      new Failure('invalid', `ERR CONFIG SET failed (possibly related to argument 'notify-keyspace-events') - ${why}`)
    if (/[^g$lshzxetdnmKEA]/.test(text)) throw failed("Invalid event class character. Use 'Ag$lszhxeKEtmdn'.")
    if (text.includes('m')) throw failed('key-miss events (m) are not supported')
    this.letters = new Set(text.includes('A') ? `${text}${ordinary}` : text)
  }

  /** Whether it has a letter. */
  has(letter: string): boolean {
    return this.letters.has(letter)
  }

  /** Whether there are events at all: of some class, for some channels. */
  get isOn(): boolean {
    return (this.has('K') || this.has('E')) && [...classes].some((letter) => this.has(letter))
  }

  /** Write it as Redis does: `A` hides the new keys' `n`. */
  get text(): string {
    const all = [...ordinary].every((letter) => this.has(letter))
    const kept = all ? 'A' : [...classes].filter((letter) => this.has(letter)).join('')
    return `${kept}${this.has('K') ? 'K' : ''}${this.has('E') ? 'E' : ''}`
  }
}

/** Whether a pattern may match a channel of events. */
function mayMatch(pattern: Bin): boolean {
  const literal = /^[^*?[\\]*/.exec(pattern)?.[0] ?? ''
  return prefix.startsWith(literal) || literal.startsWith(prefix)
}

/** What notifications need of the server. */
export interface NotificationsParts {
  readonly fabric: { database(name: string): Promise<Database> }
  readonly feeds: KeyFeeds
  readonly pubsub: PubSub
  /** Told of failures that are bugs of ours. */
  onBug(error: unknown): void
}

/** A database whose shards are followed. */
interface Followed {
  readonly database: Database
  /** How many shards it had. */
  readonly count: number
  readonly listener: KeyListener
}

/** The notifications of one server. */
export class Notifications {
  /** The setting. */
  setting = new Setting('')
  private readonly parts: NotificationsParts
  /** Shards that are followed, by database. */
  private readonly followed = new Map<string, Followed>()

  constructor(parts: NotificationsParts) {
    this.parts = parts
  }

  /** Change the setting.
   *  @throws invalid, unsupported; what the shards answer */
  async set(text: Bin): Promise<void> {
    this.setting = new Setting(text)
    const known = new Set([...this.parts.pubsub.names(), ...this.followed.keys()])
    await Promise.all([...known].map((name) => this.refresh(name)))
  }

  private isWanted(name: string): boolean {
    if (!this.setting.isOn) return false
    const { pubsub } = this.parts
    if (pubsub.patterns(name).some(mayMatch)) return true
    return pubsub.channels(name, 'channel').some((channel) => channel.startsWith(prefix))
  }

  /** Whether somebody who is about to subscribe may wait for events. */
  concerns(kind: Kind, names: readonly Bin[]): boolean {
    if (!this.setting.isOn || kind === 'shard') return false
    return names.some((name) => (kind === 'pattern' ? mayMatch(name) : name.startsWith(prefix)))
  }

  /** Follow a database, or stop, as its subscriptions and the setting say.
   *  @returns when every later change is sure to be told */
  async refresh(name: string, isWanted = this.isWanted(name)): Promise<void> {
    if (!isWanted) return this.stop(name)
    const known = this.followed.get(name)
    const database = known?.database ?? (await this.parts.fabric.database(name))
    const { count } = database.map
    const listener: KeyListener = ({ all }) => {
      // Its slots have moved, maybe to more shards.
      if (all && database.map.count !== count) this.refresh(name).catch(this.parts.onBug)
    }
    const followed: Followed = { database, count, listener: known?.count === count ? known.listener : listener }
    this.followed.set(name, followed)
    if (known !== undefined && known.listener !== followed.listener) this.leave(known)
    const hear = (events: readonly KeyEvent[]) => this.tell(name, events)
    const shards = Array.from({ length: count }, (_, shard) => this.parts.feeds.of(database, shard))
    await Promise.all(shards.map((feed) => feed.listenToEvents(hear, followed.listener)))
  }

  private leave({ database, count, listener }: Followed): void {
    for (let shard = 0; shard < count; shard++) this.parts.feeds.of(database, shard).leaveEvents(listener)
  }

  /** Stop following a database that nobody is subscribed in any more. */
  stopUnwanted(name: string): void {
    if (this.followed.has(name) && !this.isWanted(name)) this.stop(name)
  }

  private stop(name: string): void {
    const followed = this.followed.get(name)
    if (followed === undefined) return
    this.followed.delete(name)
    this.leave(followed)
  }

  private tell(name: string, events: readonly KeyEvent[]): void {
    const { setting } = this
    const { pubsub } = this.parts
    for (const [db, key, event, kind] of events) {
      if (!setting.has(kind)) continue
      if (setting.has('K')) pubsub.publish(name, `__keyspace@${db}__:${key}`, event)
      if (setting.has('E')) pubsub.publish(name, `__keyevent@${db}__:${event}`, key)
    }
  }
}
