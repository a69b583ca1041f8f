/** From a command and its arguments to calls on a plan: one shard, some by key, or all.
 *
 *  1. Keys of one command live in one slot, unless the database has one shard; else CROSSSLOT, or the row's `scatter`.
 *  2. A split cuts by slot, not by shard: each piece is checked by the slot's owner, so a slot that moves is followed.
 *  3. SCAN's cursor is `shard cursor * 1024 + shard`; a shard's own cursor is below 2^48, so every u64 holds it. */
import type { Bin } from '@dotdo/core/bytes'
import { assert, Failure } from '@dotdo/core/errors'
import type { Pending, Plan, ShardMap } from '@dotdo/core/shard'
import type { User } from './acl/user.ts'
import type { Command, Scatter } from './command.ts'
import { wrongArity } from './commands/arguments.ts'
import { replyOf } from './errors.ts'
import type { CommandArgs, GatherArgs } from './program.ts'
import { type Effect, hasEffects, type Value } from './value.ts'

/** A row, whatever the type of its session function. */
export type AnyCommand = Omit<Command, 'session'>

/** The program that runs the commands in the shards. */
export const PROGRAM = 'redis'

/** A reply that is known once its plan has run. */
export class Later {
  private readonly read: () => Value
  private known: Value | undefined = undefined
  /** @param read called once, after the plan has run */
  constructor(read: () => Value) {
    this.read = read
  }

  /** Read the reply.
   *  @throws Failure when that is what the shards answered */
  value(): Value {
    if (this.known === undefined) this.known = this.read()
    return this.known
  }
}

/** Where a command is planned. */
export interface Target {
  readonly plan: Plan
  readonly map: ShardMap
  readonly db: number
  /** Who asks, when not everything is allowed to them. */
  readonly user?: User | undefined
  /** Carries out what an answer brings about, when it is read: its call has been committed by then. Without it, effects
   *  are dropped. */
  carryOut?(effects: readonly Effect[]): void
}

/** Read a shard's answer to a target's call, and carry out its effects. */
export function settleAnswer(target: Pick<Target, 'carryOut'>, answer: unknown): Value {
  if (!hasEffects(answer)) return replyOf(answer)
  target.carryOut?.(answer.effects)
  return answer.reply
}

/** List the places of a command's keys in argv.
 *  @throws invalid when argv is too short for them */
export function findKeys(command: Pick<Command, 'name' | 'keys' | 'findKeys'>, argv: readonly Bin[]): number[] {
  if (command.findKeys) return command.findKeys(argv)
  const { keys } = command
  if (keys === undefined) return []
  const last = keys.last < 0 ? argv.length + keys.last : keys.last
  const places: number[] = []
  for (let at = keys.first; at <= last; at += keys.step) {
    if (at + keys.step - 1 >= argv.length) throw wrongArity(command.name)
    places.push(at)
  }
  return places
}

/** Find the slots of keys, each once. */
export function slotsOf(map: ShardMap, keys: readonly Bin[]): number[] {
  return [...new Set(keys.map((key) => map.slotOf(key)))]
}

/** Plan a command of the shards.
 *  @throws cross_shard when its keys live apart and it cannot be cut; invalid for arguments it cannot have */
export function planCommand(target: Target, command: AnyCommand, argv: readonly Bin[]): Later {
  const { keys } = command
  if (target.map.count > 1) command.checkApart?.(argv)
  if (keys !== undefined && keys.first === keys.last) {
    const pending = target.plan.one(target.map.slotOf(argv[keys.first] as Bin), callOf(target, command, argv))
    return new Later(() => settleAnswer(target, pending.reply))
  }
  const places = findKeys(command, argv)
  if (places.length === 0) return planKeyless(target, command, argv)
  const { plan, map } = target
  const keysGiven = places.map((at) => argv[at] as Bin)
  const slots = slotsOf(map, keysGiven)
  if (slots.length > 1 && map.count > 1) {
    const { scatter } = command
    if (scatter?.kind === 'gather') return planGather(target, { command, argv, keys: keysGiven, scatter })
    if (scatter?.kind !== 'split') throw new Failure('cross_shard', `the keys of ${command.name} live apart`)
    return planSplit(target, { command, argv, places, scatter })
  }
  const pending = plan.together(slots, callOf(target, command, argv))
  return new Later(() => settleAnswer(target, pending.reply))
}

function callOf({ db, user }: Target, { name, group }: AnyCommand, argv: readonly Bin[]) {
  const args: CommandArgs = user !== undefined && group === 'scripting' ? { argv, db, user } : { argv, db }
  return { program: PROGRAM, name, args }
}

function planKeyless(target: Target, command: AnyCommand, argv: readonly Bin[]): Later {
  const { scatter } = command
  if (scatter?.kind === 'cursor') return planCursor(target, command, argv)
  if (scatter?.kind === 'all') {
    const pendings = target.plan.all(callOf(target, command, argv))
    return new Later(() => {
      const replies = readAll(pendings)
      return Array.isArray(replies) ? scatter.merge(replies, argv) : (replies as Value)
    })
  }
  if (target.map.count > 1 && command.keyless !== 'any') {
    throw new Failure('cross_shard', `${command.name} names no key to find its shard by`)
  }
  const pending = target.plan.shard(0, callOf(target, command, argv))
  return new Later(() => settleAnswer(target, pending.reply))
}

/** @returns every reply, or the first error among them */
function readAll(pendings: readonly Pending[]): Value[] | { readonly error: Bin } {
  const replies: Value[] = []
  for (const { reply } of pendings) {
    const value = replyOf(reply)
    if (typeof value === 'object' && value !== null && 'error' in value) return value
    replies.push(value)
  }
  return replies
}

interface Split {
  readonly command: AnyCommand
  readonly argv: readonly Bin[]
  readonly places: readonly number[]
  readonly scatter: Extract<Scatter, { kind: 'split' }>
}

function planSplit(target: Target, { command, argv, places, scatter }: Split): Later {
  const step = command.keys?.step ?? 1
  const pieces = new Map<number, { argv: Bin[]; places: number[] }>()
  places.forEach((at, index) => {
    const slot = target.map.slotOf(argv[at] as Bin)
    const piece = pieces.get(slot) ?? { argv: [scatter.piece ?? (argv[0] as Bin)], places: [] }
    pieces.set(slot, piece)
    for (let i = at; i < at + step; i++) piece.argv.push(argv[i] as Bin)
    piece.places.push(index)
  })
  const pendings = [...pieces].map(([slot, piece]) => {
    const cut = scatter.cut?.(
      argv,
      piece.places.map((index) => places[index] as number),
    )
    return target.plan.one(slot, callOf(target, command, cut ?? piece.argv))
  })
  const piecePlaces = [...pieces.values()].map((piece) => piece.places)
  return new Later(() => {
    const replies = readAll(pendings)
    return Array.isArray(replies) ? scatter.join(replies, piecePlaces, places.length, argv) : (replies as Value)
  })
}

interface Gather {
  readonly command: AnyCommand
  readonly argv: readonly Bin[]
  readonly keys: readonly Bin[]
  readonly scatter: Extract<Scatter, { kind: 'gather' }>
}

/** As a split, each piece is of one slot: keys of the same shard are read at once all the same. */
function planGather(target: Target, { command, argv, keys, scatter }: Gather): Later {
  const pieces = new Map<number, number[]>()
  for (const [place, key] of keys.entries()) {
    const slot = target.map.slotOf(key)
    const piece = pieces.get(slot)
    if (piece === undefined) pieces.set(slot, [place])
    else piece.push(place)
  }
  const pendings = [...pieces].map(([slot, places]) => {
    const args: GatherArgs = { command: command.name, keys: places.map((place) => keys[place] as Bin), db: target.db }
    return target.plan.one(slot, { program: PROGRAM, name: 'gather', args })
  })
  return new Later(() => {
    const replies = readAll(pendings)
    if (!Array.isArray(replies)) return replies as Value
    const held: unknown[] = []
    for (const [i, places] of [...pieces.values()].entries()) {
      for (const [at, place] of places.entries()) held[place] = (replies[i] as unknown[])[at]
    }
    return scatter.compute(held, argv)
  })
}

const CURSOR_SHARDS = 1024n
const CURSOR_MAX = 2n ** 48n

/** Read a client's cursor.
 *  @returns the shard and its own cursor
 *  @throws invalid when it is not a number below 2^64 */
export function readCursor(cursor: Bin): { shard: number; cursor: Bin } {
  if (!/^\d{1,20}$/.test(cursor) || BigInt(cursor) >= 2n ** 64n) throw new Failure('invalid', 'ERR invalid cursor')
  const value = BigInt(cursor)
  return { shard: Number(value % CURSOR_SHARDS), cursor: String(value / CURSOR_SHARDS) }
}

/** Write a cursor for the client.
 *  @param cursor what the shard answered; '0' when it has no more
 *  @returns '0' when no shard is left */
export function writeCursor(shard: number, cursor: Bin, count: number): Bin {
  if (cursor === '0') return shard + 1 < count ? String(shard + 1) : '0'
  const value = BigInt(cursor)
  assert(value > 0n && value < CURSOR_MAX, `a shard's cursor is ${cursor}`)
  return String(value * CURSOR_SHARDS + BigInt(shard))
}

function planCursor(target: Target, command: AnyCommand, argv: readonly Bin[]): Later {
  const { shard, cursor } = readCursor(argv[1] as Bin)
  const { count } = target.map
  // A cursor of a database that had more shards: there is nothing left where it points.
  if (shard >= count) return new Later(() => ['0', []])
  const pending = target.plan.shard(shard, callOf(target, command, withCursor(argv, cursor)))
  return new Later(() => toClient(replyOf(pending.reply), shard, count))
}

function withCursor(argv: readonly Bin[], cursor: Bin): Bin[] {
  return [argv[0] as Bin, cursor, ...argv.slice(2)]
}

function toClient(reply: Value, shard: number, count: number): Value {
  if (!Array.isArray(reply)) return reply
  const [next, items] = reply as [Bin, Value]
  return [writeCursor(shard, next, count), items]
}

/** Make a command ready for the shard of a database that has but one, as EXEC sends it.
 *  @returns its arguments, and what makes the client's reply of the shard's */
export function forOneShard(
  command: AnyCommand,
  argv: readonly Bin[],
): { argv: readonly Bin[]; finish(reply: Value): Value } {
  const { scatter } = command
  if (scatter?.kind === 'cursor') {
    const { shard, cursor } = readCursor(argv[1] as Bin)
    // Past the only shard there is nothing: an empty last page is what its end answers.
    if (shard > 0) return { argv: withCursor(argv, cursor), finish: () => ['0', []] }
    return { argv: withCursor(argv, cursor), finish: (reply) => toClient(reply, 0, 1) }
  }
  if (scatter?.kind !== 'all' || findKeys(command, argv).length > 0) return { argv, finish: (reply) => reply }
  const isError = (reply: Value) => typeof reply === 'object' && reply !== null && 'error' in reply
  return { argv, finish: (reply) => (isError(reply) ? reply : scatter.merge([reply], argv)) }
}
