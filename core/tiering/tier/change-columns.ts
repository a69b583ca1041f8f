/** Changes of the log as columns of the table `changes`: bytes stay bytes, and no change becomes an object. */
import { changeFlags, type LogColumns } from '../../shard/log-columns.ts'
import type { ColumnInput } from '../parquet/column.ts'

const utf8 = new TextEncoder()
const dayMs = 86_400_000

/** Ops in the order of `opIndex`. */
const opTexts = ['put', 'delete', 'truncate', 'insert'].map((op) => utf8.encode(op))
const insertIndex = 3

/** Where columns come from. */
export interface ChangeSource {
  readonly database: string
  readonly shard: number
  /** Collections whose changes are wanted. */
  readonly collections: ReadonlySet<string>
}

/** Changes of one collection and one day. */
export interface ChangeBatch {
  readonly collection: string
  /** Of the first of them, in microseconds. */
  readonly ts: number
  readonly day: number
  readonly rows: number
  readonly columns: { readonly [field: string]: ColumnInput }
}

/** A change whose id no file takes. */
export interface ChangeMisfit {
  readonly collection: string
  readonly id: string
  readonly at: number
  readonly seq: number
}

/** Sort a piece of the log by collection and day. Rows that came with their slots, or left with them, are no changes of
 *  anybody's data: they are left out. */
export function changeBatches(
  log: LogColumns,
  source: ChangeSource,
): { batches: ChangeBatch[]; misfits: ChangeMisfit[] } {
  const { count, table, flags } = log
  const misfits: ChangeMisfit[] = []
  const wanted = log.tables.map(({ collection }) => source.collections.has(collection))
  const places = new Map<string, { collection: string; day: number; rows: Int32Array; size: number }>()
  let at = 0
  for (const group of log.groups) {
    const day = Math.floor(group.atMs / dayMs)
    for (const end = at + group.count; at < end; at++) {
      const place = table[at] as number
      if (!wanted[place] || ((flags[at] as number) & changeFlags.moved) !== 0) continue
      const collection = log.tables[place]?.collection as string
      const id = log.ids[at] as string
      if (!id.isWellFormed()) {
        misfits.push({ collection, id, at: group.atMs, seq: log.first + at })
        continue
      }
      const key = `${place} ${day}`
      let list = places.get(key)
      if (list === undefined) {
        list = { collection, day, rows: new Int32Array(count), size: 0 }
        places.set(key, list)
      }
      list.rows[list.size++] = at
    }
  }
  const starts = places.size > 0 ? documentStarts(log) : new Uint32Array(0)
  const common = commonColumns(log)
  const batches = [...places.values()].map(({ collection, day, rows, size }): ChangeBatch => {
    const picked = rows.subarray(0, size)
    const columns = columnsOf(log, { source, collection, rows: picked, starts, common })
    return { collection, day, ts: (common.ts[picked[0] as number] as number) ?? 0, rows: size, columns }
  })
  return { batches, misfits }
}

/** Where each document begins. */
function documentStarts({ count, afterBytes }: LogColumns): Uint32Array {
  const starts = new Uint32Array(count + 1)
  for (let at = 0; at < count; at++) starts[at + 1] = (starts[at] as number) + (afterBytes[at] as number)
  return starts
}

interface Common {
  readonly ts: Float64Array
  readonly epoch: Float64Array
}

function commonColumns({ count, groups }: LogColumns): Common {
  const ts = new Float64Array(count)
  const epoch = new Float64Array(count)
  let at = 0
  for (const group of groups) {
    ts.fill(group.atMs * 1000, at, at + group.count)
    epoch.fill(group.epoch, at, at + group.count)
    at += group.count
  }
  return { ts, epoch }
}

interface Picked {
  readonly source: ChangeSource
  readonly collection: string
  readonly rows: Int32Array
  readonly starts: Uint32Array
  readonly common: Common
}

function columnsOf(
  log: LogColumns,
  { source, collection, rows, starts, common }: Picked,
): { readonly [field: string]: ColumnInput } {
  const isAll = rows.length === log.count
  const { length } = rows
  const one = (text: string): ColumnInput => ({ distinct: [utf8.encode(text)], indices: new Int32Array(length) })
  const seq = new Float64Array(length)
  const op = new Int32Array(length)
  for (let i = 0; i < length; i++) {
    const at = rows[i] as number
    seq[i] = log.first + at
    const isInsert = log.op[at] === 0 && ((log.flags[at] as number) & changeFlags.isNew) !== 0
    op[i] = isInsert ? insertIndex : (log.op[at] as number)
  }
  const pick = (values: Float64Array) => (isAll ? values : Float64Array.from(rows, (at) => values[at] as number))
  return {
    namespace: one(source.database),
    type: one(collection),
    op: { distinct: opTexts, indices: op },
    id: textColumn(isAll ? log.ids : Array.from(rows, (at) => log.ids[at] as string)),
    data: documentColumn(log, { rows, starts, isAll }),
    ts: { numbers: pick(common.ts) },
    shard: { numbers: new Int32Array(length).fill(source.shard) },
    incarnation: one(log.next.incarnation),
    epoch: { numbers: pick(common.epoch) },
    seq: { numbers: seq },
  }
}

/** Encode texts all at once. */
function textColumn(texts: readonly string[]): ColumnInput {
  const joined = texts.join('')
  const bytes = utf8.encode(joined)
  const lengths = new Int32Array(texts.length)
  // Of ASCII there are as many bytes as chars; else each is measured.
  const isAscii = bytes.length === joined.length
  for (let at = 0; at < texts.length; at++) {
    const text = texts[at] as string
    lengths[at] = isAscii ? text.length : utf8.encode(text).length
  }
  return { bytes, lengths }
}

function documentColumn(
  { after, afterBytes }: LogColumns,
  { rows, starts, isAll }: { rows: Int32Array; starts: Uint32Array; isAll: boolean },
): ColumnInput {
  const lengths = new Int32Array(rows.length)
  let size = 0
  for (let i = 0; i < rows.length; i++) {
    const length = afterBytes[rows[i] as number] as number
    // A document is never empty text: nothing is none.
    lengths[i] = length === 0 ? -1 : length
    size += length
  }
  if (isAll) return { bytes: after, lengths }
  const bytes = new Uint8Array(size)
  let end = 0
  for (let i = 0; i < rows.length; i++) {
    const at = rows[i] as number
    bytes.set(after.subarray(starts[at], starts[at + 1]), end)
    end += afterBytes[at] as number
  }
  return { bytes, lengths }
}
