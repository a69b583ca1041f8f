/** Redis as a shard runs it: the command table's functions, transactions, and active expiry.
 *
 *  Calls: a command's name with `{ argv, db }`; `exec`; `watch`, which answers what `exec` needs to see that
 *  a key has changed; `keyspace`, which counts. */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { Row, Table, Tx } from '@dotdo/core/shard'
import { type Call, type ColdRow, ColdRows, type Op, type Position, type Program } from '@dotdo/core/shard'
import type { Command } from './command.ts'
import { hashCommands } from './commands/hashes.ts'
import { keyCommands } from './commands/keys.ts'
import { scanCommands } from './commands/scan.ts'
import { isFunctionCall, runFunctions, scriptCommands } from './commands/scripting.ts'
import { stringCommands } from './commands/strings.ts'
import { sweepExpired } from './engine/expiry.ts'
import { probeKey } from './engine/keys.ts'
import { countKeys } from './engine/scan.ts'
import { errorReply } from './errors.ts'
import { fields, keys, libraries } from './tables.ts'
import type { Value } from './value.ts'

/** The arguments of a command's call. */
export interface CommandArgs {
  readonly argv: readonly Bin[]
  readonly db: number
}

/** Where a shard's history was when WATCH asked; plain data, opaque to sessions. */
export interface WatchMark {
  readonly position: Position
  readonly atMs: number
}

/** The arguments of the call `exec`. */
export interface ExecArgs {
  readonly commands: readonly { readonly name: string; readonly argv: readonly Bin[]; readonly db: number }[]
  readonly watches: readonly { readonly key: Bin; readonly db: number; readonly position: WatchMark }[]
}

/** How many keys a numbered database has in a shard, for INFO. */
export interface Keyspace {
  readonly db: number
  readonly keys: number
  readonly expires: number
}

type Run = NonNullable<Command['run']>

const dataCommands: readonly Command[] = [...stringCommands, ...keyCommands, ...hashCommands, ...scanCommands]

const runs: ReadonlyMap<string, Run> = new Map(
  [...dataCommands, ...scriptCommands(dataCommands)].flatMap(({ name, run }): [string, Run][] =>
    run === undefined ? [] : [[name, run]],
  ),
)

function runCommand(tx: Tx, name: string, args: CommandArgs): Value {
  const run = runs.get(name)
  if (run === undefined) throw new Failure('unsupported', `ERR no shard runs the command '${name}'`)
  return run(tx, args.argv, args)
}

type Watch = ExecArgs['watches'][number]

/** Whether a change names the watched key: a truncate has only some columns, and names all that agree with them. */
function names({ key, db }: Watch, table: Table, changed: Row, _: Op): boolean {
  if (table !== keys && table !== fields) return false
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
function exec(tx: Tx, { commands, watches }: ExecArgs): Value {
  if (watches.some((watch) => changed(tx, watch))) return { nilArray: true }
  const cold: ColdRow[] = []
  const replies = commands.map(({ name, argv, db }): Value => {
    try {
      return tx.attempt(() => runCommand(tx, name, { argv, db }))
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

/** The program `redis`. */
export const redisProgram: Program = {
  name: 'redis',
  tables: [keys, fields, libraries],
  run(tx: Tx, { name, args }: Call): unknown {
    if (name === 'exec') return exec(tx, args as ExecArgs)
    if (name === 'watch') return { position: tx.position, atMs: tx.nowMs } satisfies WatchMark
    if (name === 'keyspace') return keyspace(tx)
    if (isFunctionCall(name)) return runFunctions(tx, name, (args as CommandArgs).argv)
    return runCommand(tx, name, args as CommandArgs)
  },
  // These truncate, or settle after they wrote; the others read what they need of SQL before their first write.
  writesSql: ({ name }: Call) => name === 'exec' || name === 'flushdb' || name === 'flushall',
  sweep: sweepExpired,
}
