/** What feeding from SQLite promises, on every host: the same file, value for value, whichever way a chunk is read. */
import type { Sql, SqlValue } from '../../shard/sql.ts'
import type { Zstd } from '../zstd.ts'
import { feedSql, type SqlFed, type SqlFeed } from './feed-sql.ts'
import type { StructType } from './schema.ts'
import { readRows, writeFile } from './testing.ts'

/** The parts of `expect` that the cases use. */
export type Expect = (value: unknown) => {
  toEqual(expected: unknown): void
  toBe(expected: unknown): void
  toBeGreaterThan(expected: number): void
}

/** One promise. */
export interface FeedCase {
  readonly name: string
  run(sql: Sql, zstd: Zstd, expect: Expect): Promise<void>
}

const field = (id: number, name: string, type: string, required = false) => ({ id, name, required, type })
const schema: StructType = {
  type: 'struct',
  fields: [
    field(1, 'k', 'long', true),
    field(2, 'i', 'long'),
    field(3, 'flag', 'boolean'),
    field(4, 'day', 'date'),
    field(5, 't', 'string'),
    field(6, 'b', 'binary'),
    field(7, 'r', 'double'),
    field(8, 'fixed', 'fixed[2]'),
    field(9, 'money', 'decimal(30,2)'),
  ],
}

/** Values of a row of the table, but for its key. */
interface Row {
  readonly i?: string | null
  readonly flag?: number | null
  readonly day?: number | null
  readonly t?: string | null
  readonly b?: Uint8Array | null
  readonly r?: number | null
  readonly fixed?: Uint8Array | null
  readonly money?: string | null
}

const whole: Required<Row> = {
  i: '42',
  flag: 1,
  day: -3,
  t: 'text',
  b: Uint8Array.of(0, 1, 255),
  r: 1.25,
  fixed: Uint8Array.of(7, 8),
  money: '123456789012345678901234567890',
}
const names = Object.keys(whole) as (keyof Row)[]

/** Fill the table.
 *  @param keyOf the key of each row, ascending */
function fill(sql: Sql, rows: readonly Row[], keyOf: (at: number) => number = (at) => at + 1): void {
  sql.all(`create table source (k integer primary key, i integer, flag integer, day integer, t text, b blob, r real,
    fixed blob, money text) strict`)
  sql.transact(() => {
    for (const [at, row] of rows.entries()) {
      const values = names.map((name): SqlValue => row[name] ?? null)
      sql.all('insert into source values (?, cast(? as integer), ?, ?, ?, ?, ?, ?, ?)', keyOf(at), ...values)
    }
  })
}

async function feed(
  sql: Sql,
  zstd: Zstd,
  options: Partial<SqlFeed> = {},
): Promise<{ rows: Record<string, unknown>[]; fed: SqlFed }> {
  let fed: SqlFed = { rows: 0, last: undefined, slowChunks: 0 }
  const columns = schema.fields.map(({ name }) => ({ field: name, sql: name }))
  const { bytes } = await writeFile(schema, { compressor: zstd, pageRows: 100 }, async (writer) => {
    fed = await feedSql(writer, { sql, from: 'source', key: 'k', columns, ...options })
  })
  return { rows: await readRows(bytes, zstd), fed }
}

/** What a reader is to see of a row. */
function readBack(row: Row, key: number): Record<string, unknown> {
  const { i = null, flag = null, day = null, t = null, b = null, r = null, fixed = null, money = null } = row
  return {
    k: BigInt(key),
    i: i === null ? null : BigInt(i),
    flag: flag === null ? null : flag === 1,
    day,
    t,
    b: b && [...b],
    r,
    fixed: fixed && [...fixed],
    money: money === null ? null : Number(money) * 10 ** -2,
  }
}

const tidy = (row: Record<string, unknown>) =>
  Object.fromEntries(
    Object.entries(row).map(([name, value]) => [name, value instanceof Uint8Array ? [...value] : value]),
  )

/** Fill, feed and compare. @returns how the feed went */
async function roundTrip(
  sql: Sql,
  zstd: Zstd,
  expect: Expect,
  {
    rows,
    keyOf = (at) => at + 1,
    ...options
  }: { rows: readonly Row[]; keyOf?: (at: number) => number } & Partial<SqlFeed>,
): Promise<SqlFed> {
  fill(sql, rows, keyOf)
  const { rows: found, fed } = await feed(sql, zstd, options)
  expect(found.map(tidy)).toEqual(rows.map((row, at) => readBack(row, keyOf(at))))
  expect(fed.rows).toBe(rows.length)
  expect(fed.last).toBe(rows.length === 0 ? undefined : keyOf(rows.length - 1))
  return fed
}

const many = (count: number, make: (at: number) => Row) => Array.from({ length: count }, (_, at) => make(at))
/** Rows that differ, with nulls here and there. */
const mixed = (count: number, change: (at: number) => Row = () => ({})) =>
  many(count, (at) => ({
    i: at % 7 === 0 ? null : String(at * 1_000_003 - 500_000),
    flag: at % 5 === 0 ? null : at % 2,
    day: at % 6 === 0 ? null : at,
    t: at % 9 === 0 ? null : `value ${at % 13}`,
    b: at % 4 === 0 ? null : Uint8Array.of(at, 0, at >> 8),
    r: at % 8 === 0 ? null : at / 100,
    fixed: at % 3 === 0 ? null : Uint8Array.of(at, 1),
    money: at % 10 === 0 ? null : `${at}00000000000000000000`,
    ...change(at),
  }))

const values: readonly (readonly [name: string, change: (at: number) => Row])[] = [
  ['integers past 2^53', (at) => ({ i: at % 50 === 49 ? '9223372036854775807' : '-9007199254740993' })],
  ['text with a NUL', (at) => ({ t: at % 50 === 49 ? `a\0${at}` : 'x' })],
  ['text with a NUL in the last row of all', (at) => ({ t: at === 399 ? 'ab\0c' : `s${at % 3}` })],
  ['text with line feeds and commas', (at) => ({ t: at % 2 === 0 ? 'a\nb' : ',\n' })],
  ['empty text and nulls', (at) => ({ t: at % 3 === 0 ? '' : at % 3 === 1 ? null : 'a' })],
  ['text in many letters', (at) => ({ t: `${at} é 日本語 😀` })],
  ['long text', (at) => ({ t: `${at}`.repeat(100) })],
  ['many short texts', (at) => ({ t: `${at * 7919}` })],
  ['short text, then long', (at) => ({ t: at < 200 ? 'x' : 'y'.repeat(at) })],
  ['empty and long blobs', (at) => ({ b: new Uint8Array(at % 2 === 0 ? 0 : 500).fill(at) })],
  ['doubles that are no short decimals', (at) => ({ r: Math.sqrt(at) })],
  ['doubles with cents', (at) => ({ r: (at - 200) / 100 })],
  ['doubles with cents, and one without', (at) => ({ r: at === 250 ? Math.PI : at / 100 })],
  ['doubles, whole and huge', (at) => ({ r: at % 2 === 0 ? at : at * 1e300 })],
  ['doubles, infinite', (at) => ({ r: at % 40 === 39 ? Number.POSITIVE_INFINITY : at })],
  ['doubles, tiny', (at) => ({ r: at * 5e-324 })],
  ['nulls alone', () => ({ i: null, flag: null, day: null, t: null, b: null, r: null, fixed: null, money: null })],
]

/** The promises. */
export const feedCases: readonly FeedCase[] = [
  ...values.map(
    ([name, change]): FeedCase => ({
      name: `carries ${name}`,
      run: async (sql, zstd, expect) => {
        await roundTrip(sql, zstd, expect, { rows: mixed(400, change), chunkRows: 50 })
      },
    }),
  ),
  {
    name: 'reads rows without surprises joined',
    async run(sql, zstd, expect) {
      const { slowChunks } = await roundTrip(sql, zstd, expect, { rows: mixed(3000) })
      expect(slowChunks).toBe(0)
    },
  },
  {
    name: 'reads nothing of an empty table',
    async run(sql, zstd, expect) {
      await roundTrip(sql, zstd, expect, { rows: [] })
    },
  },
  {
    name: 'reads one row',
    async run(sql, zstd, expect) {
      await roundTrip(sql, zstd, expect, { rows: [whole] })
    },
  },
  {
    name: 'reads keys with gaps, below zero too',
    async run(sql, zstd, expect) {
      const keyOf = (at: number) => at * at * at - 1000 + (at > 100 ? 1e12 : 0)
      await roundTrip(sql, zstd, expect, { rows: mixed(300), keyOf, chunkRows: 40 })
    },
  },
  {
    name: 'reads a gap after rows without gaps',
    async run(sql, zstd, expect) {
      const keyOf = (at: number) => (at < 150 ? at : at + 100_000)
      await roundTrip(sql, zstd, expect, { rows: mixed(300), keyOf, chunkRows: 40 })
    },
  },
  {
    name: 'reads between two keys',
    async run(sql, zstd, expect) {
      fill(sql, mixed(200))
      const { rows, fed } = await feed(sql, zstd, { after: 50, through: 120, chunkRows: 30 })
      expect(rows.map(({ k }) => Number(k))).toEqual(Array.from({ length: 70 }, (_, at) => 51 + at))
      expect(fed).toEqual({ rows: 70, last: 120, slowChunks: 0 })
    },
  },
  {
    name: 'reads from a select, and expressions',
    async run(sql, zstd, expect) {
      fill(sql, mixed(100))
      const columns = schema.fields.map(({ name }) => ({ field: name, sql: name === 't' ? "'<' || i || '>'" : name }))
      const { rows } = await feed(sql, zstd, { from: '(select * from source where flag = 1)', columns })
      expect(rows.every(({ flag, i, t }) => flag === true && t === (i === null ? null : `<${i}>`))).toBe(true)
      expect(rows.length).toBeGreaterThan(30)
    },
  },
  {
    name: 'reads in the order of the key though another index would serve',
    async run(sql, zstd, expect) {
      fill(
        sql,
        mixed(500, (at) => ({ day: 500 - at })),
      )
      sql.all('create table other as select * from source')
      sql.all('create index by_all on other (day, k, i, flag, t, b, r, fixed, money)')
      const { rows } = await feed(sql, zstd, { from: 'other', chunkRows: 100 })
      expect(rows.map(({ k }) => Number(k))).toEqual(Array.from({ length: 500 }, (_, at) => at + 1))
    },
  },
  {
    name: 'converts what a caller converts',
    async run(sql, zstd, expect) {
      fill(sql, mixed(100))
      const columns = schema.fields.map(({ name }) => ({
        field: name,
        sql: name,
        ...(name === 't' && { convert: (value: SqlValue) => String(value).toUpperCase() }),
      }))
      const { rows } = await feed(sql, zstd, { columns })
      expect(rows[1]?.t).toBe('VALUE 1')
      expect(rows[0]?.t).toBe(null)
    },
  },
  {
    name: 'reads rows of a megabyte',
    async run(sql, zstd, expect) {
      const rows = many(12, (at) => ({
        ...whole,
        t: `${at % 10}`.repeat(900_000),
        b: new Uint8Array(400_000).fill(at),
      }))
      await roundTrip(sql, zstd, expect, { rows })
    },
  },
]
