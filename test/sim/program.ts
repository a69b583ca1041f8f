/** The program that the simulated shards run: lists that are appended to, so that a lost, doubled or half-applied
 *  effect shows, in a buffered and in an unbuffered table.
 *
 *  1. A call is a list of steps, run as one. Every call that writes leaves a mark: which call, and where in the log it
 *     began. The marks are the serial order that the model replays (model.ts).
 *  2. Every reply says at which seq it was computed, and after a write where the call's changes end. */
import { Failure } from '../../core/errors.ts'
import { ANY_EPOCH, type ShardWork } from '../../core/shard/job.ts'
import type { Call, Program, Tx } from '../../core/shard/program.ts'
import type { Relation } from '../../core/shard/relation.ts'
import type { Row } from '../../core/shard/table.ts'
import { internalTable, table } from '../../core/shard/table.ts'

/** A row of either list table. */
export type ListRow = Row & { slot: number; name: string; items: string | null; note: string | null }
type MarkRow = Row & { slot: number; id: string; at: number; steps: string }

const document = ({ slot, name, items, note }: ListRow) => ({ slot, name, items, note })
const documentId = ({ slot, name }: Partial<ListRow>) => `${slot}/${name}`

/** Items may leave for the lake, which is a table beside. */
const relation: Relation<ListRow> = {
  columns: [{ name: 'items', type: 'string', value: ({ items }) => items }],
  payload: {
    column: 'items',
    isCold: ({ items }) => items === null,
    fromLake: ({ items }) => items as string,
  },
}

const lists = table<ListRow>({
  name: 'lists',
  collection: 'lists',
  columns: { slot: 'integer', name: 'bin', items: 'text?', note: 'text?' },
  primaryKey: ['slot', 'name'],
  withoutRowid: true,
  buffered: true,
  document,
  documentId,
  relation,
})

const books = table<ListRow>({
  name: 'books',
  collection: 'books',
  columns: { slot: 'integer', name: 'bin', items: 'text?', note: 'text?' },
  primaryKey: ['slot', 'name'],
  indexes: { items: '(items)' },
  document,
  documentId,
  relation,
})

type LakeRow = { slot: number; place: string; items: string }

const lake = internalTable<LakeRow>({
  name: 'lake',
  columns: { slot: 'integer', place: 'text', items: 'text' },
  primaryKey: ['slot', 'place'],
})

const marks = table<MarkRow>({
  name: 'marks',
  collection: 'marks',
  columns: { slot: 'integer', id: 'text', at: 'integer', steps: 'text' },
  primaryKey: ['slot', 'id'],
  withoutRowid: true,
  buffered: true,
  document: ({ slot, id, at, steps }) => ({ slot, id, at, steps }),
  documentId: ({ slot, id }) => `${slot}/${id}`,
})

/** Which list table a step is about. */
export type ListTable = 'lists' | 'books'
const tables = { lists, books }

/** One step of a call. */
export type Step =
  | { readonly do: 'append'; readonly table: ListTable; readonly slot: number; readonly name: string }
  | { readonly do: 'remove'; readonly table: ListTable; readonly slot: number; readonly name: string }
  | { readonly do: 'clear'; readonly table: ListTable; readonly slot: number }
  | { readonly do: 'find'; readonly table: ListTable; readonly slot: number; readonly name: string }
  /** Let a list's items go to the lake. */
  | { readonly do: 'evict'; readonly table: ListTable; readonly slot: number; readonly name: string }
  /** Read a range of slots by SQL. */
  | { readonly do: 'scan'; readonly table: ListTable; readonly slots: readonly [number, number] }
  /** Run steps, undone when `fails`; the call goes on either way. */
  | { readonly do: 'attempt'; readonly steps: readonly Step[]; readonly fails: boolean }
  /** Fail the call: `bug` as our own bugs do. */
  | { readonly do: 'fail'; readonly bug: boolean }

/** The arguments of the call `run`. */
export interface RunArgs {
  /** Unique among the calls that write; '' for a call that only reads. */
  readonly id: string
  readonly steps: readonly Step[]
  /** Whether the call is named as one that writes with SQL. */
  readonly sql: boolean
}

/** What a step saw: a list's items or null, whether a row was there, or the rows of a scan. */
export type Seen = string | null | boolean | readonly (readonly [slot: number, name: string, items: string])[]

/** The reply to `run`. */
export interface RunReply {
  readonly at: number
  readonly end: number
  readonly seen: readonly Seen[]
}

/** A mark as `marks` answers it. */
export interface Mark {
  readonly slot: number
  readonly id: string
  readonly at: number
  readonly steps: readonly Step[]
}

/** What fails when a call is told to. */
export const plannedFailure = 'planned: the call fails'

/** The name of the program. */
export const SIM = 'sim'

/** The program. */
export const simProgram: Program = {
  name: SIM,
  tables: [lists, books, marks, lake],
  writesSql: (call) => (call.args as RunArgs | null)?.sql ?? false,
  run(tx: Tx, call: Call): unknown {
    switch (call.name) {
      case 'restore':
        return restore(tx, call.args as ListPlace)
      case 'run':
        return run(tx, call.slot, call.args as RunArgs)
      case 'marks':
        return readMarks(tx)
      case 'items':
        return readItems(tx)
    }
    throw new Failure('unsupported', `no call ${call.name}`)
  },
}

function run(tx: Tx, slot: number, { id, steps }: RunArgs): RunReply {
  const at = tx.position.seq
  if (id !== '') tx.put(marks, { slot, id, at, steps: JSON.stringify(steps) })
  const seen = steps.flatMap((step) => runStep(tx, id, step))
  return { at, end: tx.position.seq, seen }
}

function runStep(tx: Tx, id: string, step: Step): Seen[] {
  switch (step.do) {
    case 'append': {
      const { slot, name } = step
      const found = readList(tx, step)
      const items = found === undefined ? id : `${found} ${id}`
      tx.put(tables[step.table], { slot, name, items, note: items.length % 2 === 0 ? id : null })
      return [items]
    }
    case 'remove':
      return [tx.remove(tables[step.table], { slot: step.slot, name: step.name })]
    case 'clear':
      tx.truncate(tables[step.table], { slot: step.slot })
      return []
    case 'find':
      return [readList(tx, step) ?? null]
    case 'evict':
      evict(tx, step)
      return []
    case 'scan':
      return [scan(tx, step.table, step.slots)]
    case 'attempt':
      return attempt(tx, id, step)
    case 'fail':
      if (step.bug) throw new Error(plannedFailure)
      throw new Failure('invalid', plannedFailure)
  }
}

function scan(tx: Tx, name: ListTable, [from, to]: readonly [number, number]): [number, string, string][] {
  const statement = `select slot, name, items, note from ${name} where slot between ? and ? order by slot, name`
  tx.settle(tables[name], from, to)
  const rows = tx.all(statement, from, to).map((row) => tx.fromSql(tables[name], row))
  return tx.wholeAll(tables[name], rows).map(({ slot, name: found, items }) => [slot, found, items as string])
}

interface ListPlace {
  readonly table: ListTable
  readonly slot: number
  readonly name: string
}

function readList(tx: Tx, { table, slot, name }: ListPlace): string | undefined {
  const row = tx.find(tables[table], { slot, name })
  return row && (tx.whole(tables[table], row).items as string)
}

const placeOf = ({ table, name }: ListPlace) => `${table}/${name}`

function evict(tx: Tx, at: ListPlace): void {
  const { table, slot, name } = at
  const items = tx.find(tables[table], { slot, name })?.items
  const freed = tx.evict(tables[table], { slot, name })
  // A row that is cold already has its items there.
  if (freed > 0) tx.put(lake, { slot, place: placeOf(at), items: items as string })
}

function restore(tx: Tx, at: ListPlace): boolean {
  const { table, slot, name } = at
  const kept = tx.find(lake, { slot, place: placeOf(at) })
  return kept !== undefined && tx.restore(tables[table], { slot, name }, kept.items)
}

/** What hosts do beside a shard of this program: bring items back from the lake. */
export const simWork: ShardWork = {
  async fetchCold(shard, cold) {
    const calls = cold.map(({ table, key }): Call => {
      const args: ListPlace = { table: table.name as ListTable, slot: Number(key.slot), name: String(key.name) }
      return { program: SIM, name: 'restore', slot: args.slot, epoch: ANY_EPOCH, args }
    })
    for (const reply of await shard.submit(calls)) if (reply instanceof Failure) throw reply
  },
}

function attempt(tx: Tx, id: string, { steps, fails }: Step & { do: 'attempt' }): Seen[] {
  try {
    return tx.attempt(() => {
      const seen = steps.flatMap((step) => runStep(tx, id, step))
      if (fails) throw new Failure('conflict', 'planned: the attempt fails')
      return seen
    })
  } catch (error) {
    if (error instanceof Failure && error.code === 'conflict') return []
    throw error
  }
}

function readMarks(tx: Tx): Mark[] {
  tx.settle(marks)
  const rows = tx.raw('select slot, id, at, steps from marks order by at')
  return rows.map(([slot, id, at, steps]) => ({
    slot: Number(slot),
    id: String(id),
    at: Number(at),
    steps: JSON.parse(String(steps)) as Step[],
  }))
}

/** Every item of every list, as `[slot, list, item]`: what a read of all shards must see once each. */
function readItems(tx: Tx): [number, string, string][] {
  return (['lists', 'books'] as const).flatMap((name) =>
    scan(tx, name, [0, 16_383]).flatMap(([slot, list, items]) =>
      items.split(' ').map((item): [number, string, string] => [slot, `${name}/${list}`, item]),
    ),
  )
}
