/** Results of SQL as an Arrow IPC stream: typed columns, one record batch a batch of rows.
 *
 *      boolean Bool, int Int32, long Int64, float Float32, double Float64, date Date32, time Time64(µs),
 *      timestamp Timestamp(µs), timestamptz Timestamp(µs, UTC), decimal(p,s) Decimal128, binary and fixed Binary,
 *      null Null, string and uuid Utf8; json, list, struct and map are Utf8 that holds JSON, marked `arrow.json`
 *
 *  1. Buffers are made here, of whole columns: apache-arrow's builders go value by value, and some of them need
 *     `new Function`, which workerd refuses.
 *  @source https://arrow.apache.org/docs/format/Columnar.html#ipc-streaming-format
 *  @source https://arrow.apache.org/docs/format/CanonicalExtensions.html#json */
import { Failure } from '@dotdo/core/errors'
import type { SqlColumn, SqlResultValue } from '@dotdo/core/tiering/sql'
import type { Data, DataType, Decimal } from 'apache-arrow'
import type { ResultWriter, Rows } from './sql-formats.ts'
import { distinctNames, toJsonOf } from './sql-values.ts'

/** apache-arrow, handed in: loading it takes 100 ms, and few results are asked for as Arrow. */
type Arrow = typeof import('apache-arrow')

/** Makes columns from their buffers. */
type Make = (parts: object) => Data

/** The values of one column of a batch. */
type Values = readonly SqlResultValue[]

/** A column's type, and how its buffers are made. */
interface ArrowColumn {
  readonly type: DataType
  readonly isJson?: boolean
  data(values: Values, validity: Validity): Data
}

/** Which values are there: one bit each, lowest first. */
interface Validity {
  readonly length: number
  readonly nullCount: number
  readonly nullBitmap: Uint8Array
}

/** What the writer has written. */
interface ByteList {
  /** Take everything written since. */
  take(): Uint8Array
}

/** Make what gathers what the writer writes. */
function byteList({ AsyncByteQueue }: Arrow) {
  class Gathered extends AsyncByteQueue implements ByteList {
    private pieces: Uint8Array[] = []

    override write(piece: Uint8Array): void {
      this.pieces.push(piece)
    }

    take(): Uint8Array {
      const bytes = Buffer.concat(this.pieces)
      this.pieces = []
      return bytes
    }
  }
  return new Gathered()
}

/** Make bits of flags, padded to eight bytes. */
function bits(flags: readonly boolean[]): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(flags.length / 64) * 8)
  for (const [index, flag] of flags.entries())
    if (flag) bytes[index >> 3] = (bytes[index >> 3] ?? 0) | (1 << (index & 7))
  return bytes
}

function validityOf(values: Values): Validity {
  const flags = values.map((value) => value !== null)
  const nullCount = flags.reduce((count, flag) => count + (flag ? 0 : 1), 0)
  return { length: values.length, nullCount, nullBitmap: nullCount === 0 ? new Uint8Array(0) : bits(flags) }
}

/** Say that an engine gave a value that its column's type has not. */
function misfit(value: SqlResultValue, type: string): Failure {
  return new Failure('internal', `a result has ${String(value).slice(0, 80)} in a column of type ${type}`)
}

function numbers(
  make: Make,
  type: DataType,
  Numbers: Float64ArrayConstructor | Float32ArrayConstructor | Int32ArrayConstructor,
) {
  return (values: Values, validity: Validity) => {
    const data = new Numbers(values.map((value) => (value === null ? 0 : Number(value))))
    return make({ type, ...validity, data })
  }
}

/** 64-bit integers of values that are numbers, bigints, or what `parse` makes of text. */
function longs(make: Make, type: DataType, { name, parse }: { name: string; parse?: (text: string) => bigint }) {
  return (values: Values, validity: Validity) => {
    const data = BigInt64Array.from(values, (value) => {
      if (value === null) return 0n
      const exact = typeof value === 'string' && parse !== undefined ? parse(value) : toBigInt(value, name)
      if (BigInt.asIntN(64, exact) !== exact) throw misfit(exact, name)
      return exact
    })
    return make({ type, ...validity, data })
  }
}

function toBigInt(value: SqlResultValue, type: string): bigint {
  if (typeof value === 'bigint') return value
  if (typeof value === 'number' && Number.isSafeInteger(value)) return BigInt(value)
  throw misfit(value, type)
}

/** Days since 1970 of `YYYY-MM-DD`, with a sign or more digits for years that need them. */
function daysOf(text: SqlResultValue): number {
  const [, sign, year, month, day] = /^([+-]?)(\d{4,6})-(\d\d)-(\d\d)$/.exec(String(text)) ?? []
  if (year === undefined) throw misfit(text, 'date')
  const at = new Date(0).setUTCFullYear(Number(`${sign}${year}`), Number(month) - 1, Number(day))
  return Math.round(at / 86_400_000)
}

/** Microseconds since midnight of `HH:MM:SS.ffffff`. */
function microsOf(text: string): bigint {
  const [, hours, minutes, seconds, part = ''] = /^(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?$/.exec(text) ?? []
  if (hours === undefined) throw misfit(text, 'time')
  const whole = (Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)
  return BigInt(whole) * 1_000_000n + BigInt(part.padEnd(6, '0'))
}

/** The unscaled value of a decimal's text, such as 1234 of `12.34`. */
function unscaled(text: string, scale: number): bigint {
  const [, sign, whole, part = ''] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text) ?? []
  if (whole === undefined || part.length > scale) throw misfit(text, `decimal of scale ${scale}`)
  const digits = BigInt(whole + part.padEnd(scale, '0'))
  return sign === '-' ? -digits : digits
}

/** Decimals as 128-bit integers, lowest word first. */
function decimals(make: Make, type: Decimal) {
  return (values: Values, validity: Validity) => {
    const words = new BigInt64Array(values.length * 2)
    for (const [index, value] of values.entries()) {
      if (value === null) continue
      const exact = unscaled(String(value), type.scale)
      words[2 * index] = BigInt.asIntN(64, exact)
      words[2 * index + 1] = BigInt.asIntN(64, exact >> 64n)
    }
    return make({ type, ...validity, data: new Uint32Array(words.buffer) })
  }
}

const encoder = new TextEncoder()

/** Bytes of every value after one another, and where each begins. */
function variable(make: Make, type: DataType, bytesOf: (value: SqlResultValue) => Uint8Array) {
  return (values: Values, validity: Validity) => {
    const pieces = values.map((value) => (value === null ? undefined : bytesOf(value)))
    const offsets = new Int32Array(values.length + 1)
    let size = 0
    for (const [index, piece] of pieces.entries()) {
      size += piece?.length ?? 0
      offsets[index + 1] = size
    }
    // Offsets are of 32 bits; a batch is some thousand rows.
    if (size > 0x7fff_ffff) throw new Failure('limit', 'a batch of a result has more than 2 GiB in one column')
    const data = new Uint8Array(size)
    for (const [index, piece] of pieces.entries()) if (piece !== undefined) data.set(piece, offsets[index])
    return make({ type, ...validity, valueOffsets: offsets, data })
  }
}

function booleans(make: Make, type: DataType) {
  return (values: Values, validity: Validity) => {
    return make({ type, ...validity, data: bits(values.map((value) => value === true)) })
  }
}

const utf8 = (value: SqlResultValue) => encoder.encode(String(value))

function bytesOf(value: SqlResultValue): Uint8Array {
  if (value instanceof Uint8Array) return value
  throw misfit(value, 'binary')
}

function dates(make: Make, type: DataType): ArrowColumn['data'] {
  return (values, validity) => {
    const data = Int32Array.from(values, (value) => (value === null ? 0 : daysOf(value)))
    return make({ type, ...validity, data })
  }
}

/** Columns that hold JSON: text as it is, values written out. */
function jsonColumn(make: Make, type: DataType, name: string): ArrowColumn {
  const encode = toJsonOf(name) ?? ((value: SqlResultValue) => value)
  const text = (value: SqlResultValue) => (typeof value === 'string' ? value : JSON.stringify(encode(value)))
  return { type, isJson: true, data: variable(make, type, (value) => encoder.encode(text(value))) }
}

type Maker<T extends DataType> = (make: Make, type: T) => ArrowColumn['data']

function made<T extends DataType>(make: Make, type: T, data: Maker<T>): ArrowColumn {
  return { type, data: data(make, type) }
}

/** List how columns of each simple type are made. */
function simpleColumns(arrow: Arrow, make: Make): Readonly<Record<string, () => ArrowColumn>> {
  const { Bool, Int32, Int64, Float32, Float64, Utf8, Binary, DateDay, TimeMicrosecond, TimestampMicrosecond } = arrow
  const column = <T extends DataType>(type: T, data: Maker<T>) => made(make, type, data)
  const none: Maker<DataType> = (_, type) => (values) => make({ type, length: values.length })
  return {
    boolean: () => column(new Bool(), booleans),
    int: () => column(new Int32(), (to, type) => numbers(to, type, Int32Array)),
    long: () => column(new Int64(), (to, type) => longs(to, type, { name: 'long' })),
    float: () => column(new Float32(), (to, type) => numbers(to, type, Float32Array)),
    double: () => column(new Float64(), (to, type) => numbers(to, type, Float64Array)),
    string: () => column(new Utf8(), (to, type) => variable(to, type, utf8)),
    uuid: () => column(new Utf8(), (to, type) => variable(to, type, utf8)),
    binary: () => column(new Binary(), (to, type) => variable(to, type, bytesOf)),
    date: () => column(new DateDay(), dates),
    time: () => column(new TimeMicrosecond(), (to, type) => longs(to, type, { name: 'time', parse: microsOf })),
    timestamp: () => column(new TimestampMicrosecond(), (to, type) => longs(to, type, { name: 'timestamp' })),
    timestamptz: () => column(new TimestampMicrosecond('UTC'), (to, type) => longs(to, type, { name: 'timestamptz' })),
    null: () => column(new arrow.Null(), none),
  }
}

function columnOf(arrow: Arrow, name: string): ArrowColumn {
  const make = arrow.makeData as unknown as Make
  const simple = simpleColumns(arrow, make)
  if (Object.hasOwn(simple, name)) return (simple[name] as () => ArrowColumn)()
  const [, precision, scale] = /^decimal\((\d+), ?(\d+)\)$/.exec(name) ?? []
  if (precision !== undefined) return made(make, new arrow.Decimal(Number(scale), Number(precision), 128), decimals)
  if (/^fixed\b/.test(name)) return made(make, new arrow.Binary(), (to, type) => variable(to, type, bytesOf))
  return jsonColumn(make, new arrow.Utf8(), name)
}

/** Write a result as an Arrow IPC stream. Names are made distinct: Arrow lets them repeat, its readers mix them up. */
export function arrowWriter(arrow: Arrow, columns: readonly SqlColumn[]): ResultWriter {
  const { Field, RecordBatch, RecordBatchStreamWriter, Schema, Struct, makeData } = arrow
  const arrows = columns.map(({ type }) => columnOf(arrow, type))
  const fields = distinctNames(columns.map(({ name }) => name)).map((name, index) => {
    const { type, isJson } = arrows[index] as ArrowColumn
    return new Field(name, type, true, isJson ? new Map([['ARROW:extension:name', 'arrow.json']]) : undefined)
  })
  const schema = new Schema(fields)
  const struct = new Struct(fields)
  const sink = byteList(arrow)
  const writer = new RecordBatchStreamWriter()
  const write = (batch: Rows) => {
    const children = arrows.map(({ data }, index) => {
      const values = batch.map((row) => row[index] as SqlResultValue)
      return data(values, validityOf(values))
    })
    const data = makeData({ type: struct, length: batch.length, nullCount: 0, children })
    writer.write(new RecordBatch(schema, data as never))
  }
  return {
    begin() {
      writer.reset(sink, schema)
      return sink.take()
    },
    rows(batch) {
      if (batch.length > 0) write(batch)
      return sink.take()
    },
    end() {
      writer.finish()
      return sink.take()
    },
    fail: () => undefined,
  }
}
