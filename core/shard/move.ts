/** The slot mover: gives slots to other shards, by stopping them and copying their rows.
 *
 *  1. A move is plain data that says what is to be done and how far it is. It is kept (in the catalog) before a step is
 *     begun, so that whoever finds it can go on; every step may be done twice, also late (ownership.ts, 5).
 *  2. prepare the targets -> fence the sources -> copy -> activate the targets -> discard at the sources -> publish the
 *     map. Fence and activation are durable before the next step begins. All moves of one epoch go step by step
 *     together.
 *  3. One move at a time in a database: the catalog refuses a second. There is no way back once a source is fenced: a
 *     move that fails is resumed until it is done.
 *
 *  Limits: the slots are not served from their fence to their activation, which is as long as their copy takes; and
 *  calls to the whole of a shard that gives or takes slots wait from `prepare` to `discard`. Rows are logged at the
 *  target as new puts and at the source as truncates: a follower that merges both must treat a target's log as
 *  following on the source's. */
import { Failure, fromWire } from '../errors.ts'
import { COPY_ROWS_MAX, DISCARD_SLOTS_MAX } from '../limits.ts'
import type { MapData, ShardMap, SlotMove, SlotRange } from './map.ts'
import type { Call } from './program.ts'
import type { ShardClient } from './router.ts'
import { type CopyReply, SYSTEM, type SystemCalls } from './system.ts'
import type { Row } from './table.ts'

/** What a move does next. */
export type MoveStep = 'prepare' | 'fence' | 'copy' | 'activate' | 'discard' | 'publish' | 'done'

/** A move, and how far it is. Plain data. */
export interface MoveState {
  /** The epoch at which the targets serve. */
  readonly epoch: number
  readonly moves: readonly SlotMove[]
  /** The map when all is done. */
  readonly map: MapData
  /** What the shards that take part own before the move: they may never have been told. */
  readonly before: readonly { readonly shard: number; readonly slots: readonly SlotRange[] }[]
  readonly step: MoveStep
  /** The tables to copy; known from `prepare` on. */
  readonly tables: readonly string[]
  /** Where the copy goes on: move, table and run by number, and the row that was copied last. */
  readonly cursor: { readonly move: number; readonly table: number; readonly run: number; readonly after?: Row }
  /** Counts what was kept, so that an older state never replaces a newer one. */
  readonly version: number
}

/** What a mover needs of its surroundings. */
export interface MovePorts {
  client(shard: number): ShardClient
  /** Keep the state, durably; it is newer than the one kept. */
  save(state: MoveState): Promise<void>
  /** Publish the map and forget the move. */
  publish(state: MoveState): Promise<void>
  /** Rows of one piece of the copy. Default COPY_ROWS_MAX. */
  copyRowsMax?: number
}

/** Plan a move.
 *  @param map as it is
 *  @param plan the moves and the map when they are done, as `planResize` answers */
export function planMove(map: ShardMap, plan: { moves: readonly SlotMove[]; map: ShardMap }): MoveState {
  if (plan.map.epoch !== map.epoch + 1) {
    throw new Failure('invalid', `a move from epoch ${map.epoch} leads to ${map.epoch + 1}, not ${plan.map.epoch}`)
  }
  const moves = plan.moves.filter(({ slots }) => slots.length > 0)
  const shards = [...new Set(moves.flatMap(({ from, to }) => [from, to]))].sort((a, b) => a - b)
  return {
    epoch: plan.map.epoch,
    moves,
    map: plan.map.toData(),
    before: shards.map((shard) => ({ shard, slots: map.slotsOf(shard) })),
    step: 'prepare',
    tables: [],
    cursor: { move: 0, table: 0, run: 0 },
    version: 0,
  }
}

/** Do what is left of a move.
 *  @param state as it was kept last
 *  @throws Failure when a shard or the catalog fails; call it again then, with the state that was kept last */
export async function runMove(state: MoveState, ports: MovePorts): Promise<void> {
  let now = state
  while (now.step !== 'done') {
    const next = { ...(await steps[now.step](now, ports)), version: now.version + 1 }
    if (next.step !== 'done') await ports.save(next)
    now = next
  }
}

type Steps = { [Step in Exclude<MoveStep, 'done'>]: (state: MoveState, ports: MovePorts) => Promise<MoveState> }

const steps: Steps = {
  async prepare(state, ports) {
    const { epoch, before } = state
    for (const { shard, slots } of before) {
      await ask(ports, shard, { name: 'assign', args: { epoch: epoch - 1, slots: [...slots] } })
    }
    for (const [to, moves] of by(state.moves, 'to')) {
      const slots = moves.flatMap((move) => move.slots)
      await ask(ports, to, { name: 'prepare', args: { epoch, slots } })
    }
    const [first] = before
    // Nothing moves: the map is all that changes.
    if (first === undefined) return { ...state, step: 'publish' }
    const tables = (await ask(ports, first.shard, { name: 'tables', args: null })) as string[]
    return { ...state, step: 'fence', tables }
  },
  async fence(state, ports) {
    for (const { from, to, slots } of state.moves) {
      await ask(ports, from, { name: 'fence', args: { epoch: state.epoch, slots: [...slots], to } })
    }
    return { ...state, step: state.tables.length > 0 ? 'copy' : 'activate' }
  },
  copy,
  async activate(state, ports) {
    for (const [to] of by(state.moves, 'to')) await ask(ports, to, { name: 'activate', args: { epoch: state.epoch } })
    return { ...state, step: 'discard' }
  },
  async discard(state, ports) {
    for (const { from, slots } of state.moves) {
      for (const run of slots.flatMap(pieces)) {
        await ask(ports, from, { name: 'discard', args: { epoch: state.epoch, slots: [run] } })
      }
    }
    return { ...state, step: 'publish' }
  },
  async publish(state, ports) {
    await ports.publish(state)
    return { ...state, step: 'done' }
  },
}

/** Copy pieces, as many as make up the rows after which it is worth keeping how far the copy is. */
async function copy(state: MoveState, ports: MovePorts): Promise<MoveState> {
  const { copyRowsMax = COPY_ROWS_MAX } = ports
  let cursor: MoveState['cursor'] | undefined = state.cursor
  for (let rows = 0; rows < copyRowsMax; ) {
    const piece = await copyPiece({ ...state, cursor }, ports, copyRowsMax)
    rows += piece.rows
    cursor = piece.cursor
    if (cursor === undefined) return { ...state, step: 'activate' }
  }
  return { ...state, cursor }
}

async function copyPiece({ epoch, moves, tables, cursor }: MoveState, ports: MovePorts, limit: number) {
  const { from, to, slots } = moves[cursor.move] as SlotMove
  const table = tables[cursor.table] as string
  const args: SystemCalls['copy'] = { table, slots: slots[cursor.run] as SlotRange, limit }
  if (cursor.after !== undefined) args.after = cursor.after
  const { rows, more } = (await ask(ports, from, { name: 'copy', args })) as CopyReply
  if (rows.length > 0) await ask(ports, to, { name: 'import', args: { epoch, table, rows } })
  const last = rows.at(-1)
  const { after: _, ...place } = cursor
  return { rows: rows.length, cursor: more && last ? { ...place, after: last } : nextPlace({ moves, tables }, place) }
}

/** @returns the next run of slots, table or move to copy; undefined when all are copied */
function nextPlace(
  { moves, tables }: Pick<MoveState, 'moves' | 'tables'>,
  { move, table, run }: MoveState['cursor'],
): MoveState['cursor'] | undefined {
  if (run + 1 < (moves[move]?.slots.length ?? 0)) return { move, table, run: run + 1 }
  if (table + 1 < tables.length) return { move, table: table + 1, run: 0 }
  return move + 1 < moves.length ? { move: move + 1, table: 0, run: 0 } : undefined
}

/** Group moves by one of their ends. */
function by(moves: readonly SlotMove[], end: 'from' | 'to'): Map<number, SlotMove[]> {
  const groups = new Map<number, SlotMove[]>()
  for (const move of moves) groups.set(move[end], [...(groups.get(move[end]) ?? []), move])
  return groups
}

/** Cut a run of slots for discarding. */
function pieces([from, to]: SlotRange): SlotRange[] {
  const runs: SlotRange[] = []
  for (let at = from; at <= to; at += DISCARD_SLOTS_MAX) runs.push([at, Math.min(to, at + DISCARD_SLOTS_MAX - 1)])
  return runs
}

type SystemCall = { [Name in keyof SystemCalls]: { name: Name; args: SystemCalls[Name] } }[keyof SystemCalls]

async function ask(ports: MovePorts, shard: number, { name, args }: SystemCall): Promise<unknown> {
  const call: Call = { program: SYSTEM, name, slot: -1, epoch: 0, args }
  const reply = fromWire((await ports.client(shard).submit([call]))[0])
  if (reply instanceof Failure) throw reply
  return reply
}
