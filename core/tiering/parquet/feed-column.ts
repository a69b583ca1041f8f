/** How one column is read from SQLite: joined into one value a chunk, or row by row.
 *
 *    boolean, int, long, date, time, timestamps, decimal up to 18 digits    integers between commas
 *    float, double    as integers too, once a scale is found that makes all of them exact; row by row before
 *    string           short ones between line feeds, others end to end with their lengths
 *    binary, fixed, uuid (a blob)    end to end, through hexadecimal
 *    decimal of more digits, nested, and columns with `convert`    row by row */
import { Failure } from '../../errors.ts'
import type { SqlValue } from '../../shard/sql.ts'
import type { ColumnInput } from './column.ts'
import { type Distinct, type Packed, parseDistinct, parseIntegers, parsePacked, parseSeparated } from './parse-sql.ts'
import { type CompiledSchema, compileSchema, type Leaf, type StructType } from './schema.ts'

/** Where a field's values come from. */
export interface FeedColumn {
  /** The field of the schema. */
  readonly field: string
  /** The SQL expression; a column's name, most often. */
  readonly sql: string
  /** Turns a value of SQL that is not null into a value of the field, as rows have it; then it is read row by row. */
  readonly convert?: (value: SqlValue) => unknown
}

/** A planned column. */
export interface SqlColumn {
  readonly field: string
  /** Whether `joined` is read by parseIntegers. */
  readonly isInteger?: boolean
  /** Whether it is the feed's key as it stands. */
  readonly isKey?: boolean
  /** The expressions of the joined form; undefined when it is read row by row, for now or always. */
  readonly joined: readonly string[] | undefined
  /** Whether a chunk that cannot be had joined concerns this column alone. */
  readonly isOptionalJoin: boolean
  /** The expression of the form row by row. */
  readonly single: string
  /** Gives the last row's length in bytes, where `parse` wants it. */
  readonly lastLength?: string | undefined
  /** Read the joined form; undefined when it does not hold what was expected. */
  parse(values: readonly SqlValue[], rows: number, lastLength: SqlValue | undefined): ColumnInput | undefined
  /** Read the form row by row. */
  gather(rows: readonly SqlValue[][], at: number): ColumnInput
  /** Go back to rows: the joined form did not hold. */
  unjoin(): void
}

/** Plan the columns of a feed.
 *  @throws invalid when they are not the schema's fields */
export function planColumns(schema: StructType, columns: readonly FeedColumn[], key: string): SqlColumn[] {
  const compiled = compileSchema(schema)
  for (const { name } of schema.fields) {
    const given = columns.filter(({ field }) => field === name).length
    if (given !== 1) throw new Failure('invalid', `the field ${name} has ${given} columns in the feed, not one`)
  }
  return columns.map((column) => {
    const planned = planColumn(compiled, column)
    return column.sql === key && planned.isInteger === true ? { ...planned, isKey: true } : planned
  })
}

function planColumn(schema: CompiledSchema, given: FeedColumn): SqlColumn {
  const node = schema.fields.find(([name]) => name === given.field)?.[1]
  if (node === undefined) throw new Failure('invalid', `the schema has no field ${given.field}`)
  const column = { ...given, sql: /^\w+$/.test(given.sql) ? given.sql : `(${given.sql})` }
  if (column.convert !== undefined) return valuesColumn(column, column.convert)
  if (node.kind !== 'leaf') throw new Failure('invalid', `the field ${column.field} is nested: it needs \`convert\``)
  const { leaf } = node
  switch (leaf.storage) {
    case 'boolean':
    case 'int32':
    case 'int64':
      return integerColumn(column, leaf.maxDefinition === 0)
    case 'float':
    case 'double':
      return realColumn(column, leaf.maxDefinition === 0)
    case 'bytes':
      return leaf.primitive === 'string'
        ? textColumn(column, leaf.maxDefinition === 0)
        : blobColumn(column, leaf.maxDefinition === 0)
    case 'fixed':
      return leaf.primitive === 'decimal'
        ? valuesColumn(column, toWhole(leaf))
        : blobColumn(column, leaf.maxDefinition === 0)
  }
}

/** The form that parseIntegers reads. Where nothing is null a null that turns up is skipped, and so missed. */
export const joinedIntegers = (sql: string, required: boolean) =>
  `cast(group_concat(${required ? sql : `ifnull(${sql}, '')`}) as blob)`
const never = () => {}

function valuesColumn({ field, sql }: FeedColumn, convert: (value: SqlValue) => unknown): SqlColumn {
  return {
    field,
    joined: undefined,
    isOptionalJoin: true,
    single: sql,
    parse: () => undefined,
    gather: (rows, at) => ({
      values: rows.map((row) => (row[at] === null ? null : convert(row[at] as SqlValue))),
    }),
    unjoin: never,
  }
}

/** Numbers that SQL cannot hold come as text. */
function toWhole({ name }: Leaf): (value: SqlValue) => bigint {
  return (value) => {
    if (typeof value === 'string' && /^-?\d+$/.test(value)) return BigInt(value)
    if (typeof value === 'number' && Number.isSafeInteger(value)) return BigInt(value)
    throw new Failure('invalid', `field ${name}: SQL gave ${String(value)}; an integer, or one as text, is right`)
  }
}

function integerColumn({ field, sql }: FeedColumn, required: boolean): SqlColumn {
  return {
    field,
    isInteger: true,
    joined: [joinedIntegers(sql, required)],
    isOptionalJoin: false,
    // Past 2^53 the port would round it.
    single: `iif(${sql} between -9007199254740991 and 9007199254740991, ${sql}, cast(${sql} as text))`,
    parse([text], rows) {
      const parsed = parseIntegers(text as Uint8Array, rows)
      return parsed && { numbers: parsed.numbers, nulls: parsed.nulls }
    },
    gather(rows, at) {
      const isWide = rows.some((row) => typeof row[at] === 'string')
      const nulls = nullsOf(rows, at)
      const whole = toWhole({ name: field } as Leaf)
      const numbers = isWide
        ? BigInt64Array.from(rows, (row) => (row[at] === null ? 0n : whole(row[at] as SqlValue)))
        : Float64Array.from(rows, (row) => numberOf(field, row[at] ?? 0))
      return { numbers, nulls }
    },
    unjoin: never,
  }
}

function nullsOf(rows: readonly SqlValue[][], at: number): Uint8Array | undefined {
  return rows.some((row) => row[at] === null) ? Uint8Array.from(rows, (row) => (row[at] === null ? 1 : 0)) : undefined
}

function numberOf(field: string, value: SqlValue): number {
  if (typeof value === 'number') return value
  throw new Failure(
    'invalid',
    `field ${field}: SQL gave ${typeof value === 'string' ? 'text' : 'a blob'}, not a number`,
  )
}

/** Decimal places up to which doubles are tried as integers. */
const scaleMax = 6
/** Times that a column may turn out not to be made of short decimals before it is left alone. */
const failuresMax = 3

/** Doubles row by row cost three times as much as integers joined. Most are short decimals (money, percents), and such
 *  a double is exactly an integer divided by a power of ten: SQL checks each, with the division made here. */
function realColumn({ field, sql }: FeedColumn, required: boolean): SqlColumn {
  let scale: number | undefined
  let failures = 0
  const whole = () => `cast(round(${sql} * 1e${scale}) as integer)`
  return {
    field,
    get joined() {
      if (scale === undefined) return undefined
      return [joinedIntegers(whole(), required), `sum(${whole()} / 1e${scale} is not ${sql})`]
    },
    isOptionalJoin: true,
    single: sql,
    parse([text, wrong], rows) {
      if (wrong !== 0) return undefined
      const parsed = parseIntegers(text as Uint8Array, rows)
      if (parsed === undefined || parsed.numbers instanceof BigInt64Array) return undefined
      const { numbers, nulls } = parsed
      const divisor = 10 ** (scale as number)
      for (let at = 0; at < rows; at++) numbers[at] = (numbers[at] as number) / divisor
      return { numbers, nulls }
    },
    gather(rows, at) {
      const numbers = Float64Array.from(rows, (row) => numberOf(field, row[at] ?? 0))
      if (failures < failuresMax) scale = scaleOf(numbers)
      return { numbers, nulls: nullsOf(rows, at) }
    },
    unjoin() {
      scale = undefined
      failures++
    },
  }
}

/** Find the fewest decimal places that hold all numbers; undefined when there are too many. */
function scaleOf(numbers: Float64Array): number | undefined {
  for (let scale = 0; scale <= scaleMax; scale++) {
    const factor = 10 ** scale
    if (numbers.every((value) => Math.round(value * factor) / factor === value && Math.abs(value) < 2 ** 40))
      return scale
  }
  return undefined
}

/** Bytes of a string on average up to which it stands between line feeds; longer ones are not looked through. */
const separatedBytesMax = 24

function textColumn({ field, sql }: FeedColumn, required: boolean): SqlColumn {
  let isShort = false
  let separatedFailures = 0
  const packed = [`cast(group_concat(${sql}, '') as blob)`, joinedIntegers(`octet_length(${sql})`, required)]
  const separated = required
    ? [`cast(group_concat(${sql}, '\n') as blob)`]
    : [`cast(group_concat(ifnull(${sql}, x'ff'), '\n') as blob)`, `count(${sql})`]
  return {
    field,
    get joined() {
      return isShort ? separated : packed
    },
    get lastLength() {
      return isShort ? `octet_length(${sql})` : undefined
    },
    isOptionalJoin: true,
    single: sql,
    parse(values, rows, lastLength) {
      const parsed = isShort
        ? parseShort(values, rows, { lastLength, required })
        : parsePacked(bytesOf(values[0]), bytesOf(values[1]), rows)
      if (parsed !== undefined && 'bytes' in parsed) {
        isShort = separatedFailures < failuresMax && parsed.bytes.length <= rows * separatedBytesMax
      }
      return parsed
    },
    gather: (rows, at) => ({ values: rows.map((row) => textOf(field, row[at] as SqlValue)) }),
    unjoin() {
      if (isShort) separatedFailures++
      isShort = false
    },
  }
}

/** Read short strings, and find out whether they are all there: a NUL cuts off what follows it, which makes too few of
 *  them, or the last one shorter; a string that looks like a null makes too many nulls. */
function parseShort(
  [text, present]: readonly SqlValue[],
  rows: number,
  { lastLength, required }: { lastLength: SqlValue | undefined; required: boolean },
): Packed | Distinct | undefined {
  const bytes = bytesOf(text)
  const parsed = parseDistinct(bytes, rows) ?? parseSeparated(bytes, rows)
  if (parsed === undefined || parsed.present !== (required ? rows : present)) return undefined
  return lastLengthOf(parsed, rows) === (lastLength ?? -1) ? parsed : undefined
}

function lastLengthOf(parsed: Packed | Distinct, rows: number): number {
  if ('lengths' in parsed) return parsed.lengths[rows - 1] as number
  return parsed.distinct[parsed.indices[rows - 1] as number]?.length ?? -1
}

/** A join of nulls alone is null. */
function bytesOf(value: SqlValue | undefined): Uint8Array {
  return value instanceof Uint8Array ? value : new Uint8Array(0)
}

function textOf(field: string, value: SqlValue): string | Uint8Array | null {
  if (typeof value !== 'number') return value
  throw new Failure('invalid', `field ${field}: SQL gave the number ${value}, not text`)
}

function blobColumn({ field, sql }: FeedColumn, required: boolean): SqlColumn {
  return {
    field,
    joined: [`unhex(group_concat(hex(${sql}), ''))`, joinedIntegers(`octet_length(${sql})`, required)],
    isOptionalJoin: true,
    single: sql,
    parse: ([bytes, lengths], rows) => parsePacked(bytesOf(bytes), bytesOf(lengths), rows),
    gather: (rows, at) => ({ values: rows.map((row) => row[at]) }),
    unjoin: never,
  }
}
