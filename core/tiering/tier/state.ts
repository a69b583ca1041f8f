/** The state machine of one table in one shard, as the shard keeps it: idle, building, pending, settling.
 *
 *  1. `building` names the receipt that a flush is writing; a second flush takes its place, and the first then fails.
 *  2. `pending` is durable: from then on it is what the shard has to say, until a committer settles or discards it.
 *  3. `settling` is past the watermark already: the index and what is still in `tier_pending` are read as one. */
import { Failure } from '../../errors.ts'
import type { Position, Tx, View } from '../../shard/program.ts'
import type { Receipt } from './port.ts'

/** A receipt without what the shard works out anew each time. */
export type KeptReceipt = Omit<Receipt, 'deletes' | 'database' | 'shard' | 'files'> & {
  readonly files: readonly { readonly id: number; readonly path: string; readonly file: unknown }[]
  /** The shard has been restored: whatever the table has of it goes. */
  readonly resync?: boolean
}

/** What a shard knows of one of its tables in the lake. */
export interface TableState {
  /** Null: nothing of this shard is in the table. */
  readonly watermark: Position | null
  readonly building?: string
  readonly settling?: string
  /** As they were counted last. */
  readonly counts?: { readonly hotRows: number; readonly hotBytes: number; readonly coldRows: number }
}

const find = 'select value from tier_state where name = ?'
const keep =
  'insert into tier_state (name, value) values (?, ?) on conflict (name) do update set value = excluded.value'

/** Read a value kept by name. */
export function readValue<T>(view: View, name: string): T | undefined {
  const value = view.raw(find, name)[0]?.[0]
  return value === undefined ? undefined : (JSON.parse(String(value)) as T)
}

/** Keep a value by name; undefined forgets it. */
export function writeValue(tx: Tx, name: string, value: unknown): void {
  if (value === undefined) tx.write('delete from tier_state where name = ?', name)
  else tx.write(keep, name, JSON.stringify(value))
}

/** Read a table's state. */
export function readState(view: View, table: string): TableState {
  return readValue<TableState>(view, `table ${table}`) ?? { watermark: null }
}

/** Change a table's state. A property given as undefined goes. */
export function changeState(
  tx: Tx,
  table: string,
  change: { readonly [K in keyof TableState]?: TableState[K] | undefined },
): TableState {
  const next = { ...readState(tx, table), ...change } as TableState
  writeValue(tx, `table ${table}`, next)
  return next
}

/** Find the receipt that waits to be committed. */
export function readPending(view: View, table: string): KeptReceipt | undefined {
  return readValue<KeptReceipt>(view, `receipt ${table}`)
}

/** Keep a receipt, or forget it. */
export function writePending(tx: Tx, table: string, receipt: KeptReceipt | undefined): void {
  writeValue(tx, `receipt ${table}`, receipt)
}

/** Check that a flush still has the word.
 *  @throws conflict when another has taken its place */
export function checkBuilding(view: View, table: string, receipt: string): TableState {
  const state = readState(view, table)
  if (state.building === receipt) return state
  throw new Failure('conflict', `the flush ${receipt} of ${table} was overtaken by ${state.building ?? 'its end'}`)
}
