/** Which commands scripts can run, and how: those of the shard, and the few of the connection that make sense here. */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { crc16Slot, type Tx } from '@dotdo/core/shard'
import { checkCommand, denialText } from '../acl/check.ts'
import type { User } from '../acl/user.ts'
import type { Blocking, Command } from '../command.ts'
import { wrongArity } from '../commands/arguments.ts'
import { flagsOf, isContainer, isListed } from '../commands/traits.ts'
import { CommandIndex } from '../lookup.ts'
import { findKeys, forOneShard } from '../routing.ts'
import type { Row } from '../session.ts'
import { OK, type Value } from '../value.ts'
import type { Run } from './runtime.ts'

/** Commands of Redis that are no shard's, and not for scripts here. */
const notForScripts = new Set(
  (
    'acl asking auth bgrewriteaof bgsave blmove blmpop blpop brpop brpoplpush bzmpop bzpopmax bzpopmin client ' +
    'cluster command config debug discard eval eval_ro evalsha evalsha_ro exec failover fcall fcall_ro ' +
    'function hello info lastsave latency lolwut memory migrate module monitor multi psubscribe psync pubsub ' +
    'punsubscribe quit readonly readwrite replicaof reset role save script shutdown slaveof slowlog ' +
    'ssubscribe subscribe sunsubscribe swapdb sync unsubscribe unwatch wait waitaof watch'
  ).split(' '),
)

/** Have a message sent once the run is committed: how many hear it is not known before. */
function publish({ effects }: Run, argv: readonly Bin[], shard?: true): Value {
  effects.push({ publish: [argv[1] as Bin, argv[2] as Bin], ...(shard && { shard }) })
  return 0
}

/** Commands of the connection that scripts may run. */
const own: Record<string, { arity: number; run(run: Run, argv: readonly Bin[]): Value }> = {
  echo: { arity: 2, run: (_, argv) => argv[1] as Bin },
  publish: { arity: 3, run: (run, argv) => publish(run, argv) },
  spublish: { arity: 3, run: (run, argv) => publish(run, argv, true) },
  ping: { arity: -1, run: (_, argv) => argv[1] ?? { simple: 'PONG' } },
  select: {
    arity: 2,
    run: (run, argv) => {
      if (!/^-?\d+$/.test(argv[1] as Bin)) throw new Failure('invalid', 'ERR value is not an integer or out of range')
      const db = Number(argv[1])
      if (db < 0 || db > 15) throw new Failure('invalid', 'ERR DB index is out of range')
      run.db = db
      return OK
    },
  },
  time: {
    arity: 1,
    run: ({ tx }) => [`${Math.floor(tx.nowMs / 1000)}`, `${(tx.nowMs % 1000) * 1000}`],
  },
}

/** The commands of scripts. */
export class ScriptCommands {
  private readonly index: CommandIndex

  /** @param rows the commands of the shard */
  constructor(rows: readonly Command[]) {
    this.index = new CommandIndex(new Map(rows.map((row) => [row.name, row as unknown as Row])))
  }

  /** Run a command; what it throws is undone.
   *  @throws Failure in Redis' words; whatever ends the whole run */
  run(run: Run, argv: readonly Bin[]): Value {
    const row = this.index.named(argv[0] as Bin)
    if (row === undefined || isForbidden(row)) return this.runOwn(run, argv)
    const chosen = this.choose(argv)
    checkUser(run.user, chosen, argv)
    const { mode, name } = chosen
    if (chosen.block !== undefined) refuseBlock(chosen, chosen.block, argv)
    // Where nobody can wait, and scripts run no scripts, a command answers a plain reply.
    const command = chosen.run as (tx: Tx, argv: readonly Bin[], context: { readonly db: number }) => Value
    if (mode === 'write' && run.readOnly) {
      throw new Failure('invalid', 'ERR Write commands are not allowed from read-only scripts.')
    }
    if (run.slots !== undefined) checkSlots(run.slots, chosen, argv)
    if (chosen.scatter !== undefined && chosen.scatter.kind !== 'split') {
      if (run.slots !== undefined) {
        throw new Failure('invalid', `ERR ${name} asks every shard, which a script of one shard cannot`)
      }
      const { argv: sent, finish } = forOneShard(chosen, argv)
      return finish(run.tx.attempt(() => command(run.tx, sent, run)))
    }
    return mode === 'write' ? run.tx.attempt(() => command(run.tx, argv, run)) : command(run.tx, argv, run)
  }

  /** Tell whether the user may run a command, of any that there is.
   *  @returns undefined when there is none of that name */
  allows({ user }: Run, argv: readonly Bin[]): boolean | undefined {
    const container = (argv[0] as Bin).toLowerCase()
    const name =
      isContainer(container) && argv.length > 1 ? `${container}|${(argv[1] as Bin).toLowerCase()}` : container
    const row = this.index.named(name) ?? (isListed(name) ? stranger(name) : undefined)
    if (row === undefined || (container.includes('|') && name === container)) return undefined
    return user === undefined || checkCommand(user, row, argv) === undefined
  }

  private choose(argv: readonly Bin[]): Row {
    try {
      return this.index.find(argv)
    } catch (error) {
      if (error instanceof Failure && error.message.startsWith('ERR wrong number')) {
        throw new Failure('invalid', 'ERR Wrong number of args calling Redis command from script')
      }
      throw new Failure('invalid', 'ERR Unknown Redis command called from script', undefined, error)
    }
  }

  private runOwn(run: Run, argv: readonly Bin[]): Value {
    const name = (argv[0] as Bin).toLowerCase()
    const command = Object.hasOwn(own, name) ? own[name] : undefined
    if (command === undefined) {
      if (notForScripts.has(name)) throw new Failure('invalid', 'ERR This Redis command is not allowed from script')
      throw new Failure('invalid', 'ERR Unknown Redis command called from script')
    }
    const { arity } = command
    checkUser(run.user, stranger(name), argv)
    if (arity < 0 ? argv.length < -arity || argv.length > 2 : argv.length !== arity) {
      throw name === 'ping'
        ? wrongArity('ping')
        : new Failure('invalid', 'ERR Wrong number of args calling Redis command from script')
    }
    return command.run(run, argv)
  }
}

type AnyRow = Omit<Command, 'session'>

/** The row of a command that is no shard's, as far as rules ask for it. */
const stranger = (name: string): AnyRow => ({ name, arity: 0, mode: 'session', since: '', group: '', summary: '' })

/** Refuse the option to wait: there is no sense in it here.
 *  @throws invalid in Redis' words */
function refuseBlock({ name }: Row, { timeoutAt }: Blocking, argv: readonly Bin[]): void {
  if (!name.startsWith('xread') || typeof timeoutAt !== 'function' || timeoutAt(argv) === undefined) return
  throw new Failure('invalid', `ERR ${argv[0]} command is not allowed with BLOCK option from scripts`)
}

/** Whether a command of the shard is not for scripts, as its flags say. */
const isForbidden = (row: Row) => flagsOf(row).includes('noscript')

/** Hold a run to the rules of its user.
 *  @throws forbidden */
function checkUser(user: User | undefined, row: AnyRow, argv: readonly Bin[]): void {
  const denial = user && checkCommand(user, row, argv)
  if (denial) throw new Failure('forbidden', `NOPERM ACL failure in script: ${denialText(user.name, denial)}`)
}

/** Hold a run to the slots of the keys that it was called with: others may be anywhere. */
function checkSlots(slots: ReadonlySet<number>, row: Row, argv: readonly Bin[]): void {
  for (const at of findKeys(row, argv)) {
    if (slots.has(crc16Slot(argv[at] as Bin))) continue
    throw new Failure('invalid', 'ERR Script attempted to access a non local key in a cluster node')
  }
}
