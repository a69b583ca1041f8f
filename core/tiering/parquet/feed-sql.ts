/** Feeds a Parquet writer from SQLite, many rows with each result: SQLite joins the values of a chunk of rows into one
 *  value a column, and its bytes are the page (facts/lake.md, 1.4). No JavaScript value is made for most of them.
 *
 *  1. Rows come in the order of an integer key, which is unique. The order is checked, not hoped for.
 *  2. Nothing is mangled in silence: text with a NUL, strings that look like separators, doubles that are no short
 *     decimals, results past 2 MB and anything unexpected send the chunk (or the column) the slow way, row by row.
 *  3. Integers are exact to 64 bits on both ways. Invalid UTF-8 in text is passed on as it is.
 *  4. The rows of one chunk are read in one turn; between chunks others may write. */
import { assert, Failure } from '../../errors.ts'
import type { Sql, SqlValue } from '../../shard/sql.ts'
import type { ColumnInput } from './column.ts'
import { type FeedColumn, joinedIntegers, planColumns, type SqlColumn } from './feed-column.ts'
import { type Integers, parseIntegers } from './parse-sql.ts'
import type { ParquetWriter } from './writer.ts'

/** What is read, in which order, into which columns. */
export interface SqlFeed {
  readonly sql: Sql
  /** A table's name, or a select in brackets. */
  readonly from: string
  /** An integer column, unique and never null; rows come in its order. */
  readonly key: string
  /** Rows whose key is greater; all when left out. */
  readonly after?: number
  /** Rows whose key is at most this; all when left out. */
  readonly through?: number
  /** For each field of the schema, in any order, the expression that gives its value. */
  readonly columns: readonly FeedColumn[]
  /** Rows of a chunk at the most. */
  readonly chunkRows?: number
}

/** How a feed went. */
export interface SqlFed {
  readonly rows: number
  /** Key of the last row; undefined when there was none. */
  readonly last: number | undefined
  /** Chunks that were read row by row as a whole. */
  readonly slowChunks: number
}

/** Rows of a chunk: few enough that SQLite reads a page of 250-byte rows once (its cache is 2 MB). */
const chunkRowsMax = 4_096
/** Rows of the first chunk, when nobody knows yet how large they are: up to 2 MB each. */
const chunkRowsFirst = 32
/** Bytes that a chunk aims at: half of the 2 MB a value may have in a Durable Object, for columns that are uneven. */
const chunkBytes = 1_000_000

/** Write all rows of a feed.
 *  @throws invalid when the feed does not fit the writer's schema, or a value its column; what SQL and the sink throw
 *  @cost one statement a chunk, two with columns that cannot be joined */
export async function feedSql(writer: ParquetWriter, feed: SqlFeed): Promise<SqlFed> {
  const reader = new ChunkReader(writer, feed)
  let rows = 0
  for (let chunk = reader.next(); chunk !== undefined; chunk = reader.next()) {
    await writer.writeColumns(chunk.rows, chunk.columns)
    rows += chunk.rows
  }
  return { rows, last: rows === 0 ? undefined : reader.after, slowChunks: reader.slowChunks }
}

interface Chunk {
  readonly rows: number
  readonly columns: { readonly [field: string]: ColumnInput }
  readonly bytes: number
}

class ChunkReader {
  after: number
  slowChunks = 0
  private readonly sql: Sql
  private readonly feed: SqlFeed
  private readonly columns: readonly SqlColumn[]
  private readonly through: number
  private readonly rowsMax: number
  private size: number
  /** Whether the last chunk's keys had no gaps: then the end of the next is guessed, not looked up. */
  private isDense = false

  constructor(writer: ParquetWriter, feed: SqlFeed) {
    this.feed = feed
    this.sql = feed.sql
    this.columns = planColumns(writer.schema, feed.columns, feed.key)
    this.after = feed.after ?? Number.MIN_SAFE_INTEGER
    const [most] = this.sql.raw(`select max(${feed.key}) from ${feed.from}`)[0] as [number | null]
    this.through = Math.min(feed.through ?? Number.MAX_SAFE_INTEGER, most ?? Number.MIN_SAFE_INTEGER)
    for (const bound of [this.after, this.through]) {
      if (!Number.isSafeInteger(bound))
        throw new Failure('invalid', `${bound} is no key: an integer within 2^53 is right`)
    }
    this.rowsMax = feed.chunkRows ?? chunkRowsMax
    this.size = Math.min(chunkRowsFirst, this.rowsMax)
  }

  /** Read the next chunk; undefined after the last. */
  next(): Chunk | undefined {
    while (this.after < this.through) {
      const end = this.findEnd()
      const joined = this.readJoined(end)
      if (joined === 'too large' && this.size > 1) {
        this.size = Math.ceil(this.size / 4)
        continue
      }
      const chunk = typeof joined === 'object' ? joined : this.readRows(end)
      this.isDense = chunk.rows === end - this.after
      this.after = end
      if (chunk.rows === 0) continue
      const wanted = Math.floor((chunkBytes * chunk.rows) / (chunk.bytes + 1))
      this.size = Math.max(1, Math.min(this.rowsMax, this.size * 4, wanted))
      return chunk
    }
    return undefined
  }

  /** @returns the key of the chunk's last row, or one past it where no row is */
  private findEnd(): number {
    if (this.isDense) return Math.min(this.through, this.after + this.size)
    const { from, key } = this.feed
    const text = `select ${key} from ${from} where ${key} > ? and ${key} <= ? order by ${key} limit 1 offset ?`
    const found = this.sql.raw(text, this.after, this.through, this.size - 1)[0]
    return found === undefined ? this.through : (found[0] as number)
  }

  /** Read a chunk joined, and its other columns row by row.
   *  @returns undefined when something in it cannot be had this way */
  private readJoined(end: number): Chunk | 'too large' | undefined {
    const { from, key } = this.feed
    const expressions = this.columns.flatMap((column) => (column.isKey ? [] : (column.joined ?? [])))
    const wanted = [joinedIntegers(key, true), ...expressions].join(', ')
    const text = `select count(*), ${wanted} from ${from} where ${key} > ? and ${key} <= ?`
    let row: SqlValue[]
    try {
      row = this.sql.raw(text, this.after, end)[0] as SqlValue[]
    } catch (error) {
      if (error instanceof Failure && error.code === 'limit') return 'too large'
      throw error
    }
    const rows = row[0] as number
    if (rows === 0) return { rows, columns: {}, bytes: 0 }
    const keys = parseIntegers(row[1] as Uint8Array, rows)
    if (keys === undefined || !isAscending(keys)) return undefined
    const lasts = this.lastLengths(end)
    const columns: Record<string, ColumnInput> = {}
    let at = 2
    for (const column of this.columns) {
      if (column.isKey) {
        columns[column.field] = { numbers: keys.numbers }
        continue
      }
      const taken = column.joined?.length ?? 0
      const input = taken === 0 ? undefined : column.parse(row.slice(at, at + taken), rows, lasts.get(column))
      at += taken
      if (input === undefined && taken > 0) {
        if (!column.isOptionalJoin) return undefined
        column.unjoin()
      }
      if (input !== undefined) columns[column.field] = input
    }
    const rest = this.readSingly(columns, end)
    assert(rest === undefined || rest.rows === rows, 'one chunk has two numbers of rows')
    return { rows, columns, bytes: bytesOf(row) + (rest?.bytes ?? 0) }
  }

  /** Read of the last row how long its values are, for the columns that want to know. */
  private lastLengths(end: number): ReadonlyMap<SqlColumn, SqlValue> {
    const asking = this.columns.filter(({ lastLength }) => lastLength !== undefined)
    if (asking.length === 0) return new Map()
    const { from, key } = this.feed
    const list = asking.map(({ lastLength }) => lastLength).join(', ')
    const text = `select ${list} from ${from} where ${key} > ? and ${key} <= ? order by ${key} desc limit 1`
    const [last] = this.sql.raw(text, this.after, end)
    return new Map(asking.map((column, at) => [column, last?.[at] ?? null]))
  }

  /** Read the columns that are not there yet row by row.
   *  @returns undefined when all are there */
  private readSingly(columns: Record<string, ColumnInput>, end: number): { rows: number; bytes: number } | undefined {
    const missing = this.columns.filter(({ field }) => columns[field] === undefined)
    if (missing.length === 0) return undefined
    const { from, key } = this.feed
    const list = missing.map(({ single }) => single).join(', ')
    const text = `select ${list} from ${from} where ${key} > ? and ${key} <= ? order by ${key}`
    const found = this.sql.raw(text, this.after, end)
    for (const [at, column] of missing.entries()) columns[column.field] = column.gather(found, at)
    return { rows: found.length, bytes: found.reduce((sum, row) => sum + bytesOf(row), 0) }
  }

  private readRows(end: number): Chunk {
    this.slowChunks++
    const columns: Record<string, ColumnInput> = {}
    const { rows, bytes } = this.readSingly(columns, end) as { rows: number; bytes: number }
    return { rows, columns, bytes }
  }
}

/** Whether the keys of a chunk came in their order: then so did the values of all columns. */
function isAscending(keys: Integers): boolean {
  if (keys.nulls !== undefined || keys.numbers instanceof BigInt64Array) return false
  const { numbers } = keys
  for (let at = 1; at < numbers.length; at++) if ((numbers[at] as number) <= (numbers[at - 1] as number)) return false
  return true
}

function bytesOf(row: readonly SqlValue[]): number {
  let bytes = 0
  for (const value of row) bytes += typeof value === 'string' || value instanceof Uint8Array ? value.length : 8
  return bytes
}
