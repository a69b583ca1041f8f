/** The hot part of a table: what shards have past a snapshot, in pieces, the same for rows of a collection and for the
 *  log as the table `changes` shows it.
 *
 *  1. All pieces of one shard's answer together are one state; a piece that is `again` replaces rows that came before.
 *  2. Reads of all shards must be of one epoch of the map: whoever reads them looks at it before and after. */
import { Failure } from '../../errors.ts'
import { CHANGES_PER_READ_MAX, SQL_HOT_PIECE_ROWS } from '../../limits.ts'
import type { Database } from '../../shard/fabric.ts'
import type { Position } from '../../shard/program.ts'
import type { RelationValue } from '../../shard/relation.ts'
import { type ChangeRecord, type ChangesReply, type ShardStatus, SYSTEM } from '../../shard/system.ts'
import { type SinceReply, type SinceRequest, TIER } from '../tier/port.ts'

/** What is wanted of one shard. */
export interface HotRequest {
  /** Where the snapshot stands; undefined: it has nothing of the shard. */
  readonly after: Position | undefined
  /** Where an earlier answer stands, when only what is newer is wanted. */
  readonly known?: Position | undefined
  readonly columns: readonly string[]
  readonly where?: SinceRequest['where']
}

/** A piece of a shard's answer. */
export interface HotPiece {
  readonly columns: readonly (readonly RelationValue[])[]
  readonly ids: readonly string[]
  readonly gone: readonly string[]
  readonly again: boolean
  readonly deletes: SinceReply['deletes']
  /** Where the answer stands, in its last piece. */
  readonly position?: Position | undefined
}

/** Reads what a shard has. */
export interface HotReader {
  /** Whether rows are entries of a log: none takes another's place, whatever their ids. */
  readonly isLog: boolean
  /** What it leaves out: rows that were read under another scope say nothing under this one. */
  readonly scope: string
  /** @throws Stale, Restart */
  read(shard: number, request: HotRequest): AsyncIterable<HotPiece>
  /** Whether the `_seq` of each row of an answer without `known` is exactly that of its last change: then it tells
   *  whether a later snapshot holds the row. Ask when the answer has ended. */
  isExact(shard: number, after: Position | undefined): Promise<boolean>
}

/** Thrown when a shard knows another snapshot than the query's. */
export class Stale extends Error {
  override name = 'Stale'
}

/** Thrown when a shard cannot go on from what was read before: read it without `known`. */
export class Restart extends Error {
  override name = 'Restart'
}

/** Read rows of a collection. */
export function rowsReader({ router }: Database, collection: string): HotReader {
  return {
    isLog: false,
    scope: '',
    async *read(shard, { after, known, columns, where = [] }) {
      let cursor: unknown
      do {
        const args: SinceRequest = {
          collection,
          after,
          columns,
          limit: SQL_HOT_PIECE_ROWS,
          ...(known !== undefined && { known }),
          ...(cursor !== undefined && { cursor }),
          ...(where.length > 0 && { where }),
        }
        const reply = (await router.call({ program: TIER, name: 'since', args }, { shard })) as SinceReply
        if (reply.stale !== undefined) throw new Stale(`shard ${shard} of ${collection} knows another snapshot`)
        if (reply.restart === true) throw new Restart()
        yield reply
        cursor = reply.cursor
      } while (cursor !== undefined)
    },
    async isExact(shard, after) {
      if (after === undefined) return false
      const status = await router.call({ program: SYSTEM, name: 'status', args: null }, { shard })
      const { position, floor } = status as ShardStatus
      // Where the log did not reach back, all rows were told as of then.
      return position.incarnation === after.incarnation && after.seq >= floor
    },
  }
}

/** Columns of `changes`, from an entry of the log.
 *  @see docs/lake.md */
const changeColumns: Record<string, (change: ChangeRecord, at: ChangePlace) => RelationValue> = {
  namespace: (_, { database }) => database,
  type: ({ collection }) => collection,
  op: ({ op, before }) => (op === 'put' && before === null ? 'insert' : op),
  id: ({ documentId }) => documentId,
  data: ({ after }) => (after === undefined ? null : JSON.stringify(after)),
  ts: ({ atMs }) => atMs * 1000,
  shard: (_, { shard }) => shard,
  incarnation: (_, { incarnation }) => incarnation,
  epoch: ({ epoch }) => epoch,
  seq: ({ seq }) => seq,
  _seq: ({ seq }) => seq,
}

interface ChangePlace {
  readonly database: string
  readonly shard: number
  readonly incarnation: string
}

/** Read the log as `changes` shows it.
 *  @param collections those that are written to it; all when left out */
export function changesReader({ name: database, router }: Database, collections?: readonly string[]): HotReader {
  return {
    isLog: true,
    scope: JSON.stringify(collections ?? 'all'),
    async *read(shard, { after, known, columns }) {
      const makers = columns.map((column) => changeColumns[column])
      let from: Position | 'start' = known ?? after ?? 'start'
      for (let more = true; more; ) {
        const args = { after: from, limit: CHANGES_PER_READ_MAX, ...(collections !== undefined && { collections }) }
        const reply = await logOf(() => router.call({ program: SYSTEM, name: 'changes', args }, { shard }))
        if (reply === undefined) {
          if (known !== undefined) throw new Restart()
          // The shard was restored, or its log trimmed: what it still has is what tiering goes on with.
          from = 'start'
          continue
        }
        const place = { database, shard, incarnation: reply.next.incarnation }
        // A row that came with its slot is told in the log of the shard that it left.
        const changes = reply.changes.filter(({ moved }) => moved !== true)
        from = reply.next
        more = reply.more
        yield {
          columns: makers.map((make) => changes.map((change) => (make === undefined ? null : make(change, place)))),
          ids: changes.map(({ documentId }) => documentId),
          gone: [],
          again: false,
          deletes: [],
          ...(!more && { position: from }),
        }
      }
    },
    isExact: async () => true,
  }
}

/** Read the log; undefined when it does not reach back so far. */
async function logOf(read: () => Promise<unknown>): Promise<ChangesReply | undefined> {
  try {
    return (await read()) as ChangesReply
  } catch (error) {
    if (error instanceof Failure && error.code === 'out_of_range') return undefined
    throw error
  }
}
