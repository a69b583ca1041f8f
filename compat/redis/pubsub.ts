/** Who is subscribed to what, and bringing messages to them.
 *
 *  1. Channels belong to a database of the fabric: who is in another one never hears them. The numbered databases
 *     inside it share them, as in Redis.
 *  2. A message reaches those who are subscribed in the turn in which it is published, and nobody else, ever.
 *  3. A subscriber that does not read is closed, as any client that does not read its replies (session.ts).
 *
 *  @source https://redis.io/docs/latest/develop/interact/pubsub/ and pubsub.c of Redis 7.2 */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { REDIS_SUBSCRIPTIONS_MAX } from '@dotdo/core/limits'
import { globMatches } from './engine/glob.ts'
import type { Row, Session } from './session.ts'
import type { Effect, Value } from './value.ts'

/** What can be subscribed to: channels, patterns of channels, and shard channels, which are a world of their own. */
export type Kind = 'channel' | 'pattern' | 'shard'

/** What a session is subscribed to. */
export type Subscriptions = Readonly<Record<Kind, Set<Bin>>>

type Subscribers = Map<Bin, Set<Session>>

type Channels = Record<Kind, Subscribers>

const kinds: readonly Kind[] = ['channel', 'pattern', 'shard']

/** Count what a session is subscribed to, of some kinds. */
export function countSubscriptions({ state }: Session, of: readonly Kind[] = kinds): number {
  const { subscriptions } = state
  // Asked before every command of a RESP2 client.
  if (subscriptions === undefined) return 0
  return of.reduce((sum, kind) => sum + subscriptions[kind].size, 0)
}

/** Make the failure of a command that a RESP2 subscriber may not send. */
export function notForSubscribers({ name }: Row): Failure {
  const allowed = '(P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context'
  return new Failure('invalid', `ERR Can't execute '${name}': only ${allowed}`)
}

function send(sessions: Iterable<Session>, message: Value): number {
  let count = 0
  // Sending may close a session that does not read, and take it away from here.
  for (const session of [...sessions]) {
    session.push(message)
    count++
  }
  return count
}

/** The subscriptions of one server. */
export class PubSub {
  private readonly databases = new Map<string, Channels>()
  private readonly onLeft: (database: string) => void

  /** @param onLeft told when a channel or pattern has lost its last subscriber */
  constructor(onLeft: (database: string) => void) {
    this.onLeft = onLeft
  }

  /** List the databases in which somebody is subscribed. */
  names(): string[] {
    return [...this.databases.keys()]
  }

  /** Subscribe a session in its database; a second time changes nothing.
   *  @throws limit */
  subscribe(session: Session, kind: Kind, name: Bin): void {
    const { state } = session
    state.subscriptions ??= { channel: new Set(), pattern: new Set(), shard: new Set() }
    const own = state.subscriptions[kind]
    if (own.has(name)) return
    if (countSubscriptions(session) >= REDIS_SUBSCRIPTIONS_MAX) {
      throw new Failure('limit', `ERR a connection has at most ${REDIS_SUBSCRIPTIONS_MAX} subscriptions`)
    }
    own.add(name)
    const channels = this.databases.get(state.database) ?? { channel: new Map(), pattern: new Map(), shard: new Map() }
    this.databases.set(state.database, channels)
    const subscribers = channels[kind].get(name)
    if (subscribers === undefined) channels[kind].set(name, new Set([session]))
    else subscribers.add(session)
  }

  /** End a subscription, if there is one. */
  unsubscribe(session: Session, kind: Kind, name: Bin): void {
    const { state } = session
    if (!state.subscriptions?.[kind].delete(name)) return
    const channels = this.databases.get(state.database)
    const subscribers = channels?.[kind].get(name)
    subscribers?.delete(session)
    if (subscribers?.size === 0) channels?.[kind].delete(name)
    if (channels && kinds.every((each) => channels[each].size === 0)) this.databases.delete(state.database)
    if (subscribers?.size === 0) this.onLeft(state.database)
  }

  /** End all subscriptions of a session. */
  leave(session: Session): void {
    const { subscriptions } = session.state
    if (subscriptions === undefined) return
    for (const kind of kinds) for (const name of [...subscriptions[kind]]) this.unsubscribe(session, kind, name)
    session.state.subscriptions = undefined
  }

  /** Bring a message to whoever is subscribed.
   *  @returns to how many: a client counts once a subscription */
  publish(database: string, channel: Bin, message: Bin, shard = false): number {
    const channels = this.databases.get(database)
    if (channels === undefined) return 0
    if (shard) return send(channels.shard.get(channel) ?? [], { push: ['smessage', channel, message] })
    let count = send(channels.channel.get(channel) ?? [], { push: ['message', channel, message] })
    for (const [pattern, sessions] of [...channels.pattern]) {
      if (!globMatches(pattern, channel)) continue
      count += send(sessions, { push: ['pmessage', pattern, channel, message] })
    }
    return count
  }

  /** Do what answers of shards ask for. */
  carryOut(database: string, effects: readonly Effect[]): void {
    for (const { publish, shard } of effects) this.publish(database, ...publish, shard)
  }

  /** List channels that have subscribers.
   *  @param pattern all when left out */
  channels(database: string, kind: 'channel' | 'shard', pattern?: Bin): Bin[] {
    const names = [...(this.databases.get(database)?.[kind].keys() ?? [])]
    return pattern === undefined ? names : names.filter((name) => globMatches(pattern, name))
  }

  /** Count the sessions that are subscribed to a channel itself. */
  subscribers(database: string, kind: 'channel' | 'shard', name: Bin): number {
    return this.databases.get(database)?.[kind].get(name)?.size ?? 0
  }

  /** List the patterns that somebody is subscribed to. */
  patterns(database: string): Bin[] {
    return [...(this.databases.get(database)?.pattern.keys() ?? [])]
  }
}
