/** The call `partial` of the program `tier`: a shard runs the part of a query that can run where its rows are, over its
 *  rows that are newer than a snapshot, in one turn. Only groups, or the first rows, leave the shard.
 *
 *  1. One turn is one state: pieces of the answer may tell a row twice, but never differently.
 *  2. A shard with more rows than a turn may take says so; they are then asked for in pieces. */
import { QUERY_PARTIAL_ROWS_MAX, SQL_HOT_PIECE_ROWS } from '../../../limits.ts'
import type { Position, Tx } from '../../../shard/program.ts'
import type { SinceReply, SinceRequest } from '../../tier/port.ts'
import { since } from '../../tier/since-calls.ts'
import type { Batch, Column } from './expression.ts'
import { type PartialPlan, type PartialResult, placeColumns, runPartial } from './partial.ts'
import type { Datum } from './values.ts'

/** What is asked of a shard. */
export interface PartialRequest {
  readonly since: Omit<SinceRequest, 'columns' | 'cursor' | 'limit' | 'known'>
  readonly plan: PartialPlan
  /** The shard's number, which it does not know. */
  readonly shard: number
}

/** What it answers. */
export interface PartialReply {
  /** Undefined when there are more rows than a turn may take, or the snapshot is not the shard's. */
  readonly result?: PartialResult
  /** Rows of the snapshot that are not so any more. */
  readonly deletes: SinceReply['deletes']
  readonly stale?: { readonly watermark: Position | undefined }
}

/** Reads a piece, as the call `since` does. */
export type Since = (tx: Tx, request: SinceRequest) => SinceReply

/** Make the call. It reads only, and fails as `since` and `runPartial` do.
 *  @param read the call `since` */
export function partialCall(read: Since): (tx: Tx, request: PartialRequest) => PartialReply {
  return (tx, request) => {
    const pieces: SinceReply[] = []
    const columns = request.plan.columns.map(([, name]) => name)
    let cursor: unknown
    let work = 0
    do {
      const args = { ...request.since, columns, limit: SQL_HOT_PIECE_ROWS, ...(cursor !== undefined && { cursor }) }
      const piece = read(tx, args)
      if (piece.stale !== undefined) return { deletes: [], stale: piece.stale }
      pieces.push(piece)
      work += piece.ids.length + piece.deletes.reduce((sum, [, positions]) => sum + positions.length, 0)
      if (work > QUERY_PARTIAL_ROWS_MAX) return { deletes: [] }
      cursor = piece.cursor
    } while (cursor !== undefined)
    const result = runPartial(request.plan, batches(request, pieces))
    return { result, deletes: pieces.flatMap(({ deletes }) => deletes) }
  }
}

/** What the planner adds to the program `tier`: `tierProgram(plannerCalls)`. */
export const plannerCalls: { readonly partial: ReturnType<typeof partialCall> } = { partial: partialCall(since) }

/** The rows of all pieces, each once. */
function* batches({ plan, shard }: PartialRequest, pieces: readonly SinceReply[]): Generator<Batch> {
  const seen = new Set<string>()
  for (const { ids, columns } of pieces) {
    const fresh: number[] = []
    ids.forEach((id, at) => {
      if (seen.has(id)) return
      seen.add(id)
      fresh.push(at)
    })
    const isWhole = fresh.length === ids.length
    const own = plan.columns.map(([, name], at): Column => {
      if (name === '_shard') return fresh.map(() => shard)
      const column = columns[at] as readonly Datum[]
      return isWhole ? column : fresh.map((row) => column[row] as Datum)
    })
    yield placeColumns(plan, fresh.length, own)
  }
}
