/** Publish and subscribe.
 *  @source https://redis.io/docs/latest/commands/?group=pubsub and pubsub.c of Redis 7.2 */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { countSubscriptions, type Kind } from '../pubsub.ts'
import { Later } from '../routing.ts'
import type { Answer, Row, Session } from '../session.ts'

/** How the commands of a kind call themselves in their answers, and what is counted there. */
const words: Record<Kind, { prefix: string; counted: readonly Kind[] }> = {
  channel: { prefix: '', counted: ['channel', 'pattern'] },
  pattern: { prefix: 'p', counted: ['channel', 'pattern'] },
  shard: { prefix: 's', counted: ['shard'] },
}

/** @throws unsupported where every connection has a server of its own */
function requireCompany({ server }: Session): void {
  if (!server.alone) return
  const why = 'every connection through a tunnel has a server of its own, so that nobody would hear'
  throw new Failure('unsupported', `ERR pub/sub is not supported here: ${why}`)
}

function subscribe(kind: Kind): NonNullable<Row['session']> {
  const { prefix, counted } = words[kind]
  return (session, [, ...names]) => {
    requireCompany(session)
    const { pubsub, notifications } = session.server
    const begin = (): undefined => {
      for (const name of names) {
        pubsub.subscribe(session, kind, name)
        session.push({ push: [`${prefix}subscribe`, name, countSubscriptions(session, counted)] })
      }
    }
    if (!notifications.concerns(kind, names)) return begin()
    return notifications.refresh(session.state.database, true).then(begin)
  }
}

function unsubscribe(kind: Kind): NonNullable<Row['session']> {
  const { prefix, counted } = words[kind]
  return (session, [, ...given]) => {
    const names: (Bin | null)[] = given.length > 0 ? given : [...(session.state.subscriptions?.[kind] ?? [])]
    // Without any there is one answer nevertheless.
    if (names.length === 0) names.push(null)
    for (const name of names) {
      if (name !== null) session.server.pubsub.unsubscribe(session, kind, name)
      session.push({ push: [`${prefix}unsubscribe`, name, countSubscriptions(session, counted)] })
    }
    return undefined
  }
}

function publish(shard: boolean): NonNullable<Row['session']> {
  return (session, [, channel = '', message = '']): Answer => {
    requireCompany(session)
    const { server, state } = session
    const { database } = state
    const send = () => server.pubsub.publish(database, channel, message, shard)
    // What was written before it in the same batch is to be seen by those who hear of it.
    return session.hasPlan ? new Later(send) : send()
  }
}

function numbers(kind: 'channel' | 'shard'): NonNullable<Row['session']> {
  return ({ server, state }, [, , ...names]) =>
    names.flatMap((name) => [name, server.pubsub.subscribers(state.database, kind, name)])
}

function channels(kind: 'channel' | 'shard'): NonNullable<Row['session']> {
  return ({ server, state }, argv) => {
    if (argv.length > 3) {
      const shown = `${argv[1]}`.slice(0, 128)
      const hint = 'unknown subcommand or wrong number of arguments for'
      throw new Failure('invalid', `ERR ${hint} '${shown}'. Try PUBSUB HELP.`)
    }
    return server.pubsub.channels(state.database, kind, argv[2])
  }
}

const row = { mode: 'session', group: 'pubsub' } as const
// A subscriber's answers are pushes of their own, one a channel: they cannot stand in EXEC's list of replies.
const own = { ...row, noMulti: true, inSubscriberMode: true } as const
const below = { ...row, since: '2.8.0' } as const
const shardBelow = { ...row, since: '7.0.0' } as const

/** The rows of the pubsub group. */
export const pubsubCommands: readonly Row[] = [
  {
    ...own,
    name: 'psubscribe',
    arity: -2,
    since: '2.0.0',
    summary: 'Listens for messages published to channels that match patterns.',
    session: subscribe('pattern'),
  },
  {
    ...row,
    name: 'publish',
    arity: 3,
    since: '2.0.0',
    summary: 'Posts a message to a channel of the database (not through a tunnel).',
    session: publish(false),
  },
  { ...row, name: 'pubsub', arity: -2, since: '2.8.0', summary: 'A container for Pub/Sub commands.' },
  {
    ...below,
    name: 'pubsub|channels',
    arity: -2,
    summary: 'Returns the active channels.',
    session: channels('channel'),
  },
  {
    ...below,
    name: 'pubsub|numpat',
    arity: 2,
    summary: 'Returns a count of unique pattern subscriptions.',
    session: ({ server, state }) => server.pubsub.patterns(state.database).length,
  },
  {
    ...below,
    name: 'pubsub|numsub',
    arity: -2,
    summary: 'Returns a count of subscribers to channels.',
    session: numbers('channel'),
  },
  {
    ...shardBelow,
    name: 'pubsub|shardchannels',
    arity: -2,
    summary: 'Returns the active shard channels.',
    session: channels('shard'),
  },
  {
    ...shardBelow,
    name: 'pubsub|shardnumsub',
    arity: -2,
    summary: 'Returns the count of subscribers of shard channels.',
    session: numbers('shard'),
  },
  {
    ...own,
    name: 'punsubscribe',
    arity: -1,
    since: '2.0.0',
    summary: 'Stops listening to messages published to channels that match patterns.',
    session: unsubscribe('pattern'),
  },
  {
    ...row,
    name: 'spublish',
    arity: 3,
    since: '7.0.0',
    summary: 'Posts a message to a shard channel (not through a tunnel).',
    session: publish(true),
  },
  {
    ...own,
    name: 'ssubscribe',
    arity: -2,
    since: '7.0.0',
    summary: 'Listens for messages published to shard channels.',
    session: subscribe('shard'),
  },
  {
    ...own,
    name: 'subscribe',
    arity: -2,
    since: '2.0.0',
    summary: 'Listens for messages published to channels (not through a tunnel).',
    session: subscribe('channel'),
  },
  {
    ...own,
    name: 'sunsubscribe',
    arity: -1,
    since: '7.0.0',
    summary: 'Stops listening to messages posted to shard channels.',
    session: unsubscribe('shard'),
  },
  {
    ...own,
    name: 'unsubscribe',
    arity: -1,
    since: '2.0.0',
    summary: 'Stops listening to messages posted to channels.',
    session: unsubscribe('channel'),
  },
]
