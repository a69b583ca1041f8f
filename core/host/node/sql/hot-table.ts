/** Rows of shards in DuckDB: of one table, kept from one query to the next, brought up to date before each.
 *
 *  1. What is kept of a shard is its answer as of a position, past what the snapshot holds. A query asks only for what
 *     is newer, and rows leave when a snapshot has taken them over.
 *  2. What cannot be continued is fetched anew: after a restore, when rows were truncated or slots have moved, when a
 *     rewrite has moved rows that were told as deleted.
 *  3. All of a refresh is one transaction: queries under way see what they began with. */
import type { DuckDBConnection } from '@duckdb/node-api'
import { SQL_SHARDS_AT_ONCE } from '../../../limits.ts'
import type { Position } from '../../../shard/program.ts'
import type { RelationType, RelationValue } from '../../../shard/relation.ts'
import { type HotPiece, type HotReader, Restart } from '../../../tiering/sql/hot.ts'
import { appendColumns } from './append.ts'
import { type DuckDBApi, rowsOf, run } from './duckdb.ts'
import { quoteName } from './quote.ts'
import { duckType } from './types.ts'

/** A column that is kept; `_shard`, `_seq` and `_id` always are. */
export interface HotColumn {
  readonly name: string
  readonly type: RelationType
}

/** What a refresh is for. */
export interface RefreshRequest {
  readonly reader: HotReader
  readonly shards: number
  /** Of the map of slots: when it changes, rows have left shards that do not tell which. */
  readonly epoch: number
  /** Where the snapshot stands, by shard. */
  readonly positions: ReadonlyMap<number, Position>
  /** The snapshot's data files. */
  readonly files: ReadonlySet<number>
  readonly columns: readonly HotColumn[]
  readonly where?: Parameters<HotReader['read']>[1]['where']
  /** Throws when more rows have come than are wanted. */
  check?(rows: number): void
}

/** What is kept of one shard. */
interface ShardState {
  readonly after: Position | undefined
  readonly position: Position
  /** Whether rows' seqs tell which of them a later snapshot holds. */
  readonly isExact: boolean
}

/** What a refresh has done. */
export interface Refreshed {
  /** Rows that came from shards. */
  readonly fetched: number
  /** Rows that are there now. */
  readonly rows: number
  readonly deletedFiles: ReadonlySet<number>
}

/** The column that says with which piece a row came: of several rows of one id, the last coming counts. */
const pieceName = 'dotdo piece'
const bookkeeping: readonly HotColumn[] = [
  { name: '_shard', type: 'int' },
  { name: '_seq', type: 'long' },
  { name: '_id', type: 'string' },
  { name: pieceName, type: 'int' },
]
const isKept = ({ name }: HotColumn) => bookkeeping.some((one) => one.name === name)

/** Rows of shards of one table. One refresh at a time. */
export class HotTable {
  /** Quoted, for SQL. */
  readonly rowsName: string
  /** Quoted, for SQL. */
  readonly deletesName: string
  private readonly api: DuckDBApi
  private readonly connection: DuckDBConnection
  private readonly names: { rows: string; deletes: string; ids: string }
  private columns: readonly HotColumn[] = []
  private shards = new Map<number, ShardState>()
  private files: ReadonlySet<number> = new Set()
  private epoch = 0
  private scope = ''
  /** How many pieces have come. */
  private pieces = 0
  private isMade = false
  /** An estimate. */
  bytes = 0
  private rows = 0

  /** @param name that nobody can guess */
  constructor(api: DuckDBApi, connection: DuckDBConnection, name: string) {
    this.api = api
    this.connection = connection
    this.names = { rows: `hot_${name}`, deletes: `gone_${name}`, ids: `ids_${name}` }
    this.rowsName = `memory.main.${quoteName(this.names.rows)}`
    this.deletesName = `memory.main.${quoteName(this.names.deletes)}`
  }

  /** The columns that are there. */
  has(columns: readonly HotColumn[]): boolean {
    return (
      this.isMade && columns.every((column) => isKept(column) || this.columns.some(({ name }) => name === column.name))
    )
  }

  /** Whether anything was fetched. */
  get isFilled(): boolean {
    return this.shards.size > 0
  }

  /** Tell what is there. */
  get state(): { readonly rows: number; readonly bytes: number; readonly columns: readonly string[] } {
    return { rows: this.rows, bytes: this.bytes, columns: this.columns.map(({ name }) => name) }
  }

  /** Forget everything, and give the memory back. */
  async drop(): Promise<void> {
    if (this.isMade) {
      for (const name of [this.rowsName, this.deletesName]) await run(this.connection, `drop table if exists ${name}`)
      await run(this.connection, `drop table if exists temp.${quoteName(this.names.ids)}`)
    }
    this.forget()
    this.isMade = false
  }

  private forget(): void {
    this.shards = new Map()
    this.bytes = 0
    this.rows = 0
  }

  /** Bring everything up to date with the shards, as seen from a snapshot.
   *  @throws Stale, and what the reader throws: then it is as it was before */
  async refresh(request: RefreshRequest): Promise<Refreshed> {
    if (!this.has(request.columns)) await this.make(request.columns)
    const { shards: states, bytes } = this
    await run(this.connection, 'begin transaction')
    try {
      const { epoch, reader } = request
      if (this.epoch !== epoch || this.scope !== reader.scope) await this.leaveAll()
      await this.leaveMovedFiles(request)
      const fetched = await this.fetchAll(request)
      const counted = await this.count()
      await run(this.connection, 'commit')
      this.files = request.files
      this.epoch = epoch
      this.scope = reader.scope
      this.rows = counted.rows
      return { fetched, ...counted }
    } catch (error) {
      this.shards = states
      this.bytes = bytes
      await run(this.connection, 'rollback')
      throw error
    }
  }

  private async make(columns: readonly HotColumn[]): Promise<void> {
    const wanted = new Map([...this.columns, ...columns].map((column) => [column.name, column]))
    await this.drop()
    this.columns = [...wanted.values()].filter((column) => !isKept(column))
    const declared = [...bookkeeping, ...this.columns].map(({ name, type }) => `${quoteName(name)} ${duckType(type)}`)
    await run(this.connection, `create table ${this.rowsName} (${declared.join(', ')})`)
    await run(this.connection, `create table ${this.deletesName} (shard integer, file bigint, pos bigint, seq bigint)`)
    await run(
      this.connection,
      `create temp table ${quoteName(this.names.ids)} (shard integer, id varchar, piece integer)`,
    )
    this.isMade = true
  }

  /** Forget shards whose deleted rows were told in files that are not in the snapshot any more: a rewrite has moved
   *  them, and where to was perhaps not told. */
  private async leaveMovedFiles({ files, positions }: RefreshRequest): Promise<void> {
    const left = [...this.files].filter((file) => !files.has(file))
    if (left.length === 0 || this.shards.size === 0) return
    this.shards = new Map(this.shards)
    // What a snapshot has deleted meanwhile means nothing any more.
    for (const [shard, { seq }] of positions) {
      await run(this.connection, `delete from ${this.deletesName} where shard = ${shard} and seq <= ${seq}`)
    }
    const moved = new Set(left)
    const told = await rowsOf(this.connection, `select distinct shard, file from ${this.deletesName}`)
    for (const [shard, file] of told) if (moved.has(Number(file))) await this.leave(Number(shard))
  }

  private async leaveAll(): Promise<void> {
    const known = [...this.shards.keys()]
    this.shards = new Map(this.shards)
    for (const shard of known) await this.leave(shard)
  }

  /** Forget a shard's rows. */
  private async leave(shard: number): Promise<void> {
    this.shards.delete(shard)
    await run(this.connection, `delete from ${this.rowsName} where _shard = ${shard}`)
    await run(this.connection, `delete from ${this.deletesName} where shard = ${shard}`)
    await run(this.connection, `delete from temp.main.${quoteName(this.names.ids)} where shard = ${shard}`)
  }

  private async fetchAll(request: RefreshRequest): Promise<number> {
    this.shards = new Map(this.shards)
    let fetched = 0
    const add = (rows: number) => {
      fetched += rows
      request.check?.(fetched)
    }
    // Statements of one connection wait for each other; the shards' work goes on beside.
    const turns = new Turns()
    const waiting = Array.from({ length: request.shards }, (_, shard) => shard)
    const work = async () => {
      for (let shard = waiting.shift(); shard !== undefined; shard = waiting.shift()) {
        await this.fetch(shard, request, { turns, add })
      }
    }
    const workers = Array.from({ length: Math.min(SQL_SHARDS_AT_ONCE, request.shards) }, work)
    const results = await Promise.allSettled(workers)
    for (const result of results) if (result.status === 'rejected') throw result.reason
    return fetched
  }

  private async fetch(shard: number, request: RefreshRequest, parts: FetchParts): Promise<void> {
    const after = request.positions.get(shard)
    const known = await parts.turns.take(() => this.advance(shard, after, request.reader))
    try {
      await this.read(shard, { after, known }, request, parts)
    } catch (error) {
      if (!(error instanceof Restart)) throw error
      await parts.turns.take(() => this.leave(shard))
      await this.read(shard, { after, known: undefined }, request, parts)
    }
  }

  /** Let rows go that the snapshot has taken over.
   *  @returns where to read on from; undefined when nothing stays */
  private async advance(
    shard: number,
    after: Position | undefined,
    { isLog }: HotReader,
  ): Promise<Position | undefined> {
    const state = this.shards.get(shard)
    if (state === undefined) return undefined
    const isSame = state.after?.incarnation === after?.incarnation && state.after?.seq === after?.seq
    if (isSame) return state.position
    const isFurther = state.after !== undefined && after !== undefined && after.incarnation === state.after.incarnation
    // Past where we stand there may have been rows that we never saw.
    if (!isFurther || !state.isExact || after.seq < state.after.seq || after.seq > state.position.seq) {
      await this.leave(shard)
      return undefined
    }
    await run(this.connection, `delete from ${this.rowsName} where _shard = ${shard} and _seq <= ${after.seq}`)
    await run(this.connection, `delete from ${this.deletesName} where shard = ${shard} and seq <= ${after.seq}`)
    // The snapshot may have rows that changed once more after they were written: where they are in its new files was
    // not told yet, so all that is past it is told again.
    return isLog ? state.position : { ...state.position, seq: after.seq }
  }

  private async read(
    shard: number,
    { after, known }: { after: Position | undefined; known: Position | undefined },
    { reader, where }: RefreshRequest,
    { turns, add }: FetchParts,
  ): Promise<void> {
    const columns = [...this.columns.map(({ name }) => name), '_seq']
    const deletes: HotPiece['deletes'][number][] = []
    const first = this.pieces + 1
    let position: Position | undefined
    let isAgain = known !== undefined && !reader.isLog
    let isGone = false
    for await (const piece of reader.read(shard, { after, known, columns, ...(where && { where }) })) {
      add(piece.ids.length)
      deletes.push(...piece.deletes)
      position = piece.position ?? position
      isAgain ||= piece.again
      isGone ||= piece.gone.length > 0
      await turns.take(() => this.store(shard, piece))
    }
    if (isAgain) await turns.take(() => this.dropOlder(shard, first))
    if (isGone) await turns.take(() => this.dropGone(shard))
    await turns.take(() => this.storeDeletes(shard, deletes, position))
    const before = known === undefined ? undefined : this.shards.get(shard)
    if (position === undefined || where !== undefined) this.shards.delete(shard)
    else this.shards.set(shard, { after, position, isExact: before?.isExact ?? (await reader.isExact(shard, after)) })
  }

  private async store(shard: number, { ids, gone, columns }: HotPiece): Promise<void> {
    const { api, connection, names } = this
    const piece = ++this.pieces
    const same = (count: number, value: number) => new Array<RelationValue>(count).fill(value)
    if (gone.length > 0) {
      const values = [same(gone.length, shard), gone, same(gone.length, piece)]
      const types = ['int', 'string', 'int'] as const
      await appendColumns(api, connection, { table: names.ids, catalog: 'temp', types, values })
    }
    if (ids.length === 0) return
    const seqs = columns.at(-1) as readonly RelationValue[]
    const values = [same(ids.length, shard), seqs, ids, same(ids.length, piece), ...columns.slice(0, -1)]
    const types = [...bookkeeping, ...this.columns].map(({ type }) => type)
    this.bytes += await appendColumns(api, connection, { table: names.rows, types, values })
  }

  /** Drop rows that have come again since a piece: all at once, as each look is at every row. */
  private async dropOlder(shard: number, first: number): Promise<void> {
    const piece = quoteName(pieceName)
    const newest = `select _id, max(${piece}) as piece from ${this.rowsName}
      where _shard = ${shard} and ${piece} >= ${first} group by _id`
    const sql = `delete from ${this.rowsName} h using (${newest}) n
      where h._shard = ${shard} and h._id = n._id and h.${piece} < n.piece`
    await run(this.connection, sql)
  }

  /** Drop rows that were told to be gone after they came. */
  private async dropGone(shard: number): Promise<void> {
    const table = `temp.main.${quoteName(this.names.ids)}`
    const last = `select id, max(piece) as piece from ${table} where shard = ${shard} group by id`
    const sql = `delete from ${this.rowsName} h using (${last}) n
      where h._shard = ${shard} and h._id = n.id and h.${quoteName(pieceName)} < n.piece`
    await run(this.connection, sql)
    await run(this.connection, `delete from ${table} where shard = ${shard}`)
  }

  /** Deletes count until a snapshot has come to where they were told. */
  private async storeDeletes(
    shard: number,
    deletes: HotPiece['deletes'],
    position: Position | undefined,
  ): Promise<void> {
    const seq = position?.seq ?? Number.MAX_SAFE_INTEGER
    const columns: [number[], number[], number[], number[]] = [[], [], [], []]
    for (const [file, positions] of deletes) {
      for (const pos of positions) {
        columns[0].push(shard)
        columns[1].push(file)
        columns[2].push(pos)
        columns[3].push(seq)
      }
    }
    if (columns[0].length === 0) return
    const types = ['int', 'long', 'long', 'long'] as const
    this.bytes += await appendColumns(this.api, this.connection, { table: this.names.deletes, types, values: columns })
  }

  private async count(): Promise<{ rows: number; deletedFiles: Set<number> }> {
    const [[rows]] = (await rowsOf(this.connection, `select count(*) from ${this.rowsName}`)) as [[bigint]]
    const files = await rowsOf(this.connection, `select distinct file from ${this.deletesName}`)
    return { rows: Number(rows), deletedFiles: new Set(files.map(([file]) => Number(file))) }
  }
}

interface FetchParts {
  readonly turns: Turns
  add(rows: number): void
}

/** Lets one at a time do something. */
export class Turns {
  private last: Promise<unknown> = Promise.resolve()

  /** Run when those before have ended. */
  take<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.last.then(work, work)
    this.last = turn.catch(() => undefined)
    return turn
  }
}
