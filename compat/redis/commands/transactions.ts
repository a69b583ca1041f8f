/** MULTI, EXEC, DISCARD, WATCH, UNWATCH.
 *
 *  1. A transaction runs whole in one shard, in one call; its keys and the watched ones live in one slot, unless the
 *     database has one shard.
 *  2. WATCH remembers the position of the shard's log; EXEC does nothing when the log has named the key since.
 *  3. Commands of the connection inside MULTI (SELECT, CLIENT ...) run when EXEC has, in their places.
 *
 *  @source https://redis.io/docs/latest/develop/interact/transactions/ and multi.c of Redis 7.2 */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { Database, Plan } from '@dotdo/core/shard'
import type { Context } from '../command.ts'
import { errorReply, replyOf } from '../errors.ts'
import type { ExecArgs, WatchMark } from '../program.ts'
import { findKeys, forOneShard, Later, PROGRAM, settleAnswer, slotsOf } from '../routing.ts'
import type { Answer, Queued, Row, Session, Transaction, Watch } from '../session.ts'
import { type Effect, OK, type Value } from '../value.ts'

function multi({ state }: Session): Value {
  if (state.multi) throw new Failure('invalid', 'ERR MULTI calls can not be nested')
  state.multi = { queue: [], broken: false, sizeBytes: 0 }
  return OK
}

function discard({ state }: Session): Value {
  if (!state.multi) throw new Failure('invalid', 'ERR DISCARD without MULTI')
  state.multi = undefined
  state.watches = []
  return OK
}

function watch(session: Session, argv: readonly Bin[]): Answer {
  const { state } = session
  if (state.multi) throw new Failure('invalid', 'ERR WATCH inside MULTI is not allowed')
  return session.withPlan((plan, { map }) => {
    const { db } = state
    const known = (key: Bin) => state.watches.some((other) => other.key === key && other.db === db)
    const keys = [...new Set(argv.slice(1))].filter((key) => !known(key))
    const slots = slotsOf(map, [...state.watches.map(({ key }) => key), ...keys])
    if (slots.length > 1 && map.count > 1) throw new Failure('cross_shard', 'watched keys live apart')
    const ask = (key: Bin) => plan.one(map.slotOf(key), { program: PROGRAM, name: 'watch', args: {} })
    const watches = keys.map((key): Watch => ({ key, db, asked: ask(key) }))
    state.watches = [...state.watches, ...watches]
    return new Later(() => {
      for (const { asked } of watches) if (asked.reply instanceof Failure) throw asked.reply
      return OK
    })
  })
}

function unwatch({ state }: Session): Value {
  state.watches = []
  return OK
}

/** Put refusals in the places of commands that the user was allowed when they were queued, and is no longer.
 *  @source multi.c of Redis 7.2, execCommand */
function forbidChanged({ server, state }: Session, queue: Queued[]): void {
  for (const [i, { row, argv }] of queue.entries()) {
    const denial = server.access.denial(state.user, row, argv)
    if (denial === undefined) continue
    const refused: Row = {
      name: row.name,
      arity: row.arity,
      mode: 'session',
      since: row.since,
      group: row.group,
      summary: row.summary,
      session() {
        throw new Failure('forbidden', `NOPERM ${changedSince} ${deniedBecause[denial.reason]}`)
      },
    }
    queue[i] = { row: refused, argv }
  }
}

const changedSince =
  'ACLs rules changed between the moment the transaction was accumulated and the EXEC call. ' +
  'This command is no longer allowed for the following reason:'
const deniedBecause = {
  command: 'no permission to execute the command or subcommand',
  key: 'no permission to touch the specified keys',
  channel: 'no permission to access one of the channels used as arguments to the command',
}

function exec(session: Session): Answer {
  const { state } = session
  const { multi: transaction, watches } = state
  if (!transaction) throw new Failure('invalid', 'ERR EXEC without MULTI')
  state.multi = undefined
  state.watches = []
  if (transaction.broken) {
    throw new Failure('invalid', 'EXECABORT Transaction discarded because of previous errors.')
  }
  if (session.server.access.enforced) forbidChanged(session, transaction.queue)
  const ownCommands = transaction.queue.some(({ row }) => row.session)
  const unknown = watches.some(({ asked }) => asked.reply === undefined)
  if (transaction.queue.some(({ row }) => row.prepare)) {
    return prepared(session, transaction).then((ready) => execNow(session, ready, watches))
  }
  // Positions that were asked for in this batch must come first, and what SELECT does must show in later commands.
  if (ownCommands || unknown) return execNow(session, transaction, watches)
  if (transaction.queue.length === 0 && watches.length === 0) return []
  return session.withPlan((plan, database) => planExec(session, { plan, database, queue: transaction.queue, watches }))
}

/** Complete the arguments of commands whose rows ask for that. */
async function prepared(session: Session, transaction: Transaction): Promise<Transaction> {
  const queue: Queued[] = []
  for (const { row, argv } of transaction.queue) queue.push({ row, argv: await session.prepare(row, argv) })
  return { ...transaction, queue }
}

interface ExecPlan {
  plan: Plan
  database: Database
  queue: readonly Queued[]
  watches: readonly Watch[]
}

/** What a transaction asks of its shard, and what is done to each reply before the client sees it. */
interface Gathered {
  commands: ExecArgs['commands'][number][]
  keys: Bin[]
  finish: ((reply: Value) => Value)[]
}

/** Gather the shard commands. Each runs in the numbered database that the SELECTs before it chose. */
function gather(queue: readonly Queued[], { db: firstDb, user }: Context, shardCount: number): Gathered {
  const gathered: Gathered = { commands: [], keys: [], finish: [] }
  let db = firstDb
  for (const { row, argv } of queue) {
    if (row.name === 'select' && /^(\d|1[0-5])$/.test(argv[1] as Bin)) db = Number(argv[1])
    if (!row.run) continue
    const places = findKeys(row, argv)
    if (places.length === 0 && shardCount > 1 && row.keyless !== 'any') {
      throw new Failure('cross_shard', `${row.name} asks every shard, which a transaction cannot`)
    }
    if (shardCount > 1) row.checkApart?.(argv)
    gathered.keys.push(...places.map((at) => argv[at] as Bin))
    const { argv: sent, finish } = forOneShard(row, argv)
    gathered.commands.push({ name: row.name, argv: sent, db, ...(user && row.group === 'scripting' && { user }) })
    gathered.finish.push(finish)
  }
  return gathered
}

/** Plan the call of a transaction's shard commands.
 *  @throws cross_shard when its keys, watched ones included, live apart */
function planExec(session: Session, { plan, database: { map }, queue, watches }: ExecPlan): Later {
  const { state, server } = session
  const { commands, keys, finish } = gather(
    queue,
    { db: state.db, user: server.access.restricted(state.user) },
    map.count,
  )
  const slots = slotsOf(map, [...watches.map(({ key }) => key), ...keys])
  if (slots.length > 1 && map.count > 1) throw new Failure('cross_shard', 'the keys of the transaction live apart')
  const positions = watches.map(({ key, db, asked }) => {
    if (asked.reply instanceof Failure) throw asked.reply
    return { key, db, position: asked.reply as WatchMark }
  })
  const args: ExecArgs = { commands, watches: positions }
  const call = { program: PROGRAM, name: 'exec', args }
  const { database } = state
  const target = { carryOut: (effects: readonly Effect[]) => server.pubsub.carryOut(database, effects) }
  const pending = slots.length === 0 ? plan.shard(0, call) : plan.together(slots, call)
  const later = new Later(() => {
    const answer = replyOf(pending.reply)
    if (!Array.isArray(answer)) return answer
    return answer.map((reply: unknown, i) => (finish[i] as (reply: Value) => Value)(settleAnswer(target, reply)))
  })
  return state.tracking ? server.tracking.follow(session, queue, later) : later
}

/** Run a transaction that holds commands of the connection, or whose watches are still being asked for. */
async function execNow(session: Session, { queue }: Transaction, watches: readonly Watch[]): Promise<Value> {
  await session.runPlan()
  let replies: readonly Value[] = []
  if (watches.length > 0 || queue.some(({ row }) => row.run)) {
    const later = await session.withPlan((plan, database) => planExec(session, { plan, database, queue, watches }))
    await session.runPlan()
    const answer = later.value()
    if (!Array.isArray(answer)) return answer
    replies = answer
  }
  const results: Value[] = []
  let next = 0
  for (const { row, argv } of queue) {
    if (row.run) results.push(replies[next++] as Value)
    else {
      const result = await settle(session, row, argv)
      if (result !== undefined) results.push(result)
    }
  }
  return results
}

async function settle(session: Session, row: Row, argv: readonly Bin[]): Promise<Value | undefined> {
  try {
    const answer = await session.perform(row, argv)
    if (!(answer instanceof Later)) return answer
    await session.runPlan()
    return answer.value()
  } catch (error) {
    return errorReply(error)
  }
}

const row = { mode: 'session', group: 'transactions', immediate: true } as const

/** The rows of the transactions group. */
export const transactionCommands: readonly Row[] = [
  { ...row, name: 'discard', arity: 1, since: '2.0.0', summary: 'Discards a transaction.', session: discard },
  { ...row, name: 'exec', arity: 1, since: '1.2.0', summary: 'Executes all commands in a transaction.', session: exec },
  { ...row, name: 'multi', arity: 1, since: '1.2.0', summary: 'Starts a transaction.', session: multi },
  {
    ...row,
    name: 'unwatch',
    arity: 1,
    since: '2.2.0',
    immediate: false,
    summary: 'Forgets about watched keys of a transaction.',
    session: unwatch,
  },
  {
    ...row,
    name: 'watch',
    arity: -2,
    since: '2.2.0',
    summary: 'Monitors changes to keys to determine the execution of a transaction.',
    session: watch,
  },
]
