/** Redis as a shard runs it: the command table's functions, transactions, and active expiry.
 *
 *  Calls: a command's name with `{ argv, db }`; `exec`; `watch`, which answers what `exec` needs to see that
 *  a key has changed; `gather`, which reads for a command whose keys live apart; `keyspace` and `slotkeys`, which count
 *  and list; `changed`, which tells the keys that changed; `peek`, which tells what a blocking command would answer;
 *  `users`, which keeps the users of the ACL. */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { Row, Table, Tx } from '@dotdo/core/shard'
import { type Call, type ColdRow, ColdRows, type Op, type Position, type Program } from '@dotdo/core/shard'
import { type ChangedArgs, readChanged } from './changed.ts'
import type { Command, Context, Scatter } from './command.ts'
import { isFunctionCall, runFunctions, scriptCommands } from './commands/scripting.ts'
import { shardCommands } from './commands/shard.ts'
import { allElementTables, contentTables } from './engine/elements.ts'
import { sweepExpired } from './engine/expiry.ts'
import { probeKey } from './engine/keys.ts'
import { countKeys } from './engine/scan.ts'
import { type SlotKeysArgs, slotKeys } from './engine/slot-keys.ts'
import { runUsers, type UsersArgs, users } from './engine/users.ts'
import { errorReply } from './errors.ts'
import { hasEvents } from './event-names.ts'
import { notesEvents, withEvents, withExpiredEvents } from './events.ts'
import { keys, libraries } from './tables.ts'
import { readTimeout } from './timeout.ts'
import { isWouldBlock, type Value, type WithEffects, type WouldBlock } from './value.ts'

/** Everything that is stored, and what of it is content of its key: what wakes those who wait, and ends a WATCH. */
const tables: readonly Table[] = [keys, ...allElementTables]
const content: readonly Table[] = [keys, ...contentTables]

/** The arguments of a command's call. */
export interface CommandArgs extends Context {
  readonly argv: readonly Bin[]
}

/** The arguments of the call `gather`: what keys hold, for a command that computes with it elsewhere. */
export interface GatherArgs {
  readonly command: string
  readonly keys: readonly Bin[]
  readonly db: number
}

/** Where a shard's history was when WATCH asked; plain data, opaque to sessions. */
export interface WatchMark {
  readonly position: Position
  readonly atMs: number
}

/** The arguments of the call `exec`. */
export interface ExecArgs {
  readonly commands: readonly (CommandArgs & { readonly name: string })[]
  readonly watches: readonly { readonly key: Bin; readonly db: number; readonly position: WatchMark }[]
}

/** How many keys a numbered database has in a shard, for INFO. */
export interface Keyspace {
  readonly db: number
  readonly keys: number
  readonly expires: number
}

/** A blocking command's answer to a session when there is nothing for it yet. */
export interface Blocked extends WouldBlock {
  /** Changes after this one may bring what it waits for. */
  readonly at: Position
}

type Run = NonNullable<Command['run']>
type Runs = Map<string, Run>

/** A blocking command reads its time-out before anything else, also where it cannot wait; what writes notes events. */
function runOf(row: Command): Run | undefined {
  const { run, block } = row
  const noted = hasEvents(row)
  if (run === undefined || (block === undefined && !noted)) return run
  return (tx, argv, context) => {
    if (block !== undefined) readTimeout(block, argv)
    if (!noted || !notesEvents(tx)) return run(tx, argv, context)
    return withEvents(tx, { row, argv, db: context.db }, () => run(tx, argv, context))
  }
}

function runsOf(rows: readonly Command[]): Runs {
  return new Map(
    rows.flatMap((row): [string, Run][] => {
      const run = runOf(row)
      return run === undefined ? [] : [[row.name, run]]
    }),
  )
}

function answerCommand(tx: Tx, runs: Runs, name: string, args: CommandArgs): Value | WouldBlock | WithEffects {
  const run = runs.get(name)
  if (run === undefined) throw new Failure('unsupported', `ERR no shard runs the command '${name}'`)
  return run(tx, args.argv, args)
}

const gatherings: ReadonlyMap<string, Extract<Scatter, { kind: 'gather' }>> = new Map(
  shardCommands.flatMap(({ name, scatter }) => (scatter?.kind === 'gather' ? [[name, scatter] as const] : [])),
)

function gather(tx: Tx, { command, keys, db }: GatherArgs): unknown[] {
  const gathering = gatherings.get(command)
  if (gathering === undefined) throw new Failure('unsupported', `ERR no shard gathers for the command '${command}'`)
  return gathering.read(tx, keys, { db })
}

/** Run a command where nobody can wait: in a transaction, or in a script. */
function runCommand(tx: Tx, runs: Runs, name: string, args: CommandArgs): Value | WithEffects {
  const answer = answerCommand(tx, runs, name, args)
  return isWouldBlock(answer) ? answer.wouldBlock : answer
}

function runForSession(tx: Tx, runs: Runs, name: string, args: CommandArgs): Value | WithEffects | Blocked {
  const answer = answerCommand(tx, runs, name, args)
  return isWouldBlock(answer) ? { ...answer, at: tx.position } : answer
}

/** The arguments of the call `peek`. */
export interface PeekArgs extends CommandArgs {
  readonly name: string
}

/** What a blocking command would answer: an error, WouldBlock, or that there is something for it. */
export type Peeked = Blocked | { readonly error: Bin } | { readonly ready: true }

/** Undoes what was only tried. */
const tried = Symbol('tried')

/** Find out what a blocking command would answer, without doing it: others may have to be served before. */
function peek(tx: Tx, runs: Runs, { name, ...args }: PeekArgs): Peeked {
  try {
    return tx.attempt(() => {
      const answer = runForSession(tx, runs, name, args)
      if (isWouldBlock(answer)) return answer
      throw tried
    })
  } catch (error) {
    if (error === tried) return { ready: true }
    if (error instanceof Failure) return errorReply(error)
    throw error
  }
}

type Watch = ExecArgs['watches'][number]

const watched: ReadonlySet<Table> = new Set(content)

/** Whether a change names the watched key: a truncate has only some columns, and names all that agree with them. */
function names({ key, db }: Watch, table: Table, changed: Row, _: Op): boolean {
  if (!watched.has(table)) return false
  return (changed.key === undefined || changed.key === key) && (changed.db === undefined || changed.db === db)
}

/** Whether a watched key has changed, or has expired since it was watched: Redis counts that as a change. One
 *  that had expired before counts only when the sweep has removed it since, as that looks like any removal.
 *  @source redis 7.2 multi.c execCommand, isWatchedKeyExpired */
function changed(tx: Tx, watch: Watch): boolean {
  const { position, atMs } = watch.position
  if (tx.changedSince(position, (table, key, op) => names(watch, table, key, op))) return true
  const expires = tx.find(keys, probeKey(watch.db, watch.key))?.expires ?? null
  return expires !== null && expires < tx.nowMs && expires >= atMs
}

/** Run a transaction: nothing when a watched key has changed, else every command, a failed one undone alone. */
function exec(tx: Tx, runs: Runs, { commands, watches }: ExecArgs): Value | (Value | WithEffects)[] {
  if (watches.some((watch) => changed(tx, watch))) return { nilArray: true }
  const cold: ColdRow[] = []
  const replies = commands.map(({ name, ...args }): Value | WithEffects => {
    try {
      return tx.attempt(() => runCommand(tx, runs, name, args))
    } catch (error) {
      if (error instanceof Failure) return errorReply(error)
      if (!(error instanceof ColdRows)) throw error
      // The transaction is run again: find out what the commands after this one will need, too.
      cold.push(...error.rows)
      return null
    }
  })
  if (cold.length > 0) throw new ColdRows(cold)
  return replies
}

function keyspace(tx: Tx): Keyspace[] {
  tx.settle(keys)
  const used = tx.raw('select distinct db from redis_keys order by db').map(([db]) => db as number)
  return used.map((db) => ({ db, ...countKeys(tx, db) })).filter((counted) => counted.keys > 0)
}

/** Make the program `redis` with these commands. */
export function createRedisProgram(rows: readonly Command[]): Program {
  const runs = runsOf(rows)
  // Scripts run commands as transactions do: nobody waits, and their events are noted.
  const scripted = rows.map((row): Command => {
    return { ...row, run: (tx, argv, { db }) => runCommand(tx, runs, row.name, { argv, db }) }
  })
  for (const { name, run } of scriptCommands(scripted)) if (run !== undefined) runs.set(name, run)
  return {
    name: 'redis',
    tables: [...tables, users, libraries],
    run(tx: Tx, { name, args }: Call): unknown {
      if (name === 'exec') return exec(tx, runs, args as ExecArgs)
      if (name === 'watch') return { position: tx.position, atMs: tx.nowMs } satisfies WatchMark
      if (name === 'gather') return gather(tx, args as GatherArgs)
      if (name === 'keyspace') return keyspace(tx)
      if (name === 'slotkeys') return slotKeys(tx, args as SlotKeysArgs)
      if (name === 'users') return runUsers(tx, args as UsersArgs)
      if (name === 'changed') return readChanged(tx, args as ChangedArgs, content)
      if (name === 'peek') return peek(tx, runs, args as PeekArgs)
      if (isFunctionCall(name)) return runFunctions(tx, name, (args as CommandArgs).argv)
      return runForSession(tx, runs, name, args as CommandArgs)
    },
    // These truncate, or settle after they wrote; the others read what they need of SQL before their first write.
    writesSql: ({ name }: Call) => ['exec', 'flushdb', 'flushall', 'swapdb', 'users'].includes(name),
    sweep: (tx: Tx) => withExpiredEvents(tx, () => sweepExpired(tx)),
  }
}

/** The program `redis`. */
export const redisProgram: Program = createRedisProgram(shardCommands)
