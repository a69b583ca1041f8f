/** One column of the row group under construction: values that are there, and levels for those that are not.
 *
 *  1. An entry is a value or a null with its levels; a row is one entry, or several where lists repeat.
 *  2. Definition levels are kept from the first null on: a column without nulls has none.
 *  3. `truncateRows` takes rows back, so that a row that turns out bad in a later column leaves no trace. */
import { assert, Failure } from '../../errors.ts'
import { makePush, makeValues, refuse, type Values } from './convert.ts'
import type { Leaf } from './schema.ts'
import { BytesValues, FixedValues, IntegerValues, NumberValues } from './values.ts'

/** Many values of one flat column at once. */
export type ColumnInput =
  /** Numbers of boolean (0 and 1), integer, float, date and time columns. Where `nulls` is not 0 the value is null. */
  | { readonly numbers: ArrayLike<number> | BigInt64Array; readonly nulls?: ArrayLike<number> | undefined }
  /** Strings and bytes end to end with their lengths in bytes; -1 is null and takes no bytes. Fixed and uuid as well.
   * */
  | { readonly bytes: Uint8Array; readonly lengths: Int32Array }
  /** Strings or bytes by their places among distinct ones; -1 is null. */
  | { readonly distinct: readonly Uint8Array[]; readonly indices: Int32Array }
  /** Values as rows have them; null and undefined are null. Any column, nested ones too. */
  | { readonly values: readonly unknown[] }

/** One column's part of a row group. */
export class Column {
  readonly leaf: Leaf
  readonly values: Values
  /** Appends one value that is not null; throws for one the column cannot hold. */
  readonly push: (value: unknown) => void
  /** Levels of each entry; undefined as long as every entry is a value. */
  definitions: NumberValues<Uint8Array> | undefined
  /** Levels of each entry; undefined where nothing repeats. */
  readonly repetitions: NumberValues<Uint8Array> | undefined
  entries = 0
  rows = 0
  private readonly spareDefinitions = new NumberValues(Uint8Array)

  constructor(leaf: Leaf) {
    this.leaf = leaf
    this.values = makeValues(leaf)
    this.push = makePush(leaf, this.values)
    this.repetitions = leaf.maxRepetition > 0 ? new NumberValues(Uint8Array) : undefined
  }

  /** Append a value. */
  add(value: unknown, repetition: number): void {
    this.push(value)
    this.definitions?.push(this.leaf.maxDefinition)
    this.addEntry(repetition)
  }

  /** Append what is there of a path that ends early: a null, or an empty list. */
  addNull(repetition: number, definition: number): void {
    this.needDefinitions().push(definition)
    this.addEntry(repetition)
  }

  private addEntry(repetition: number): void {
    this.repetitions?.push(repetition)
    if (repetition === 0) this.rows++
    this.entries++
  }

  private needDefinitions(): NumberValues<Uint8Array> {
    if (this.definitions === undefined) {
      this.definitions = this.spareDefinitions
      this.definitions.truncate(0)
      this.definitions.reserve(this.entries).fill(this.leaf.maxDefinition, 0, this.entries)
      this.definitions.count = this.entries
    }
    return this.definitions
  }

  /** Take rows back until so many are left; right after a failed append too.
   *  @cost reads all levels: for failures only */
  truncateRows(rows: number): void {
    if (rows >= this.rows) return
    const { definitions, repetitions, leaf } = this
    let entries = rows
    if (repetitions !== undefined) {
      let starts = 0
      for (entries = 0; entries < this.entries; entries++) {
        if (repetitions.array[entries] === 0 && starts++ === rows) break
      }
    }
    let count = entries
    for (let at = 0; definitions !== undefined && at < entries; at++) {
      if (definitions.array[at] !== leaf.maxDefinition) count--
    }
    this.rows = rows
    this.entries = entries
    this.values.truncate(count)
    definitions?.truncate(entries)
    if (count === entries) this.definitions = undefined
    repetitions?.truncate(entries)
  }

  /** Forget all rows; the buffers stay. */
  clear(): void {
    this.rows = 0
    this.entries = 0
    this.values.truncate(0)
    this.definitions = undefined
    this.repetitions?.truncate(0)
  }

  /** Bytes of values and levels. */
  get sizeBytes(): number {
    return this.values.sizeBytes + (this.definitions?.count ?? 0) + (this.repetitions?.count ?? 0)
  }

  /** Append rows `from` to `to` of a column given as typed arrays.
   *  @throws invalid for a value the column cannot hold, a null in a required column, or an input of the wrong kind;
   *  then some rows may have been appended: see truncateRows */
  appendNumbers(input: Extract<ColumnInput, { numbers: unknown }>, from: number, to: number): void {
    const { leaf, values } = this
    if (values instanceof BytesValues || values instanceof FixedValues) throw wrongInput(leaf, 'numbers')
    const { numbers, nulls } = input
    const appended = this.appendNulls(from, to, nulls === undefined ? undefined : (at) => nulls[at] !== 0)
    if (values instanceof IntegerValues && numbers instanceof BigInt64Array && leaf.primitive !== 'decimal') {
      const part = numbers.subarray(from, to)
      values.append(appended === to - from ? part : part.filter((_, at) => !nulls?.[from + at]))
      return
    }
    const array = values instanceof IntegerValues ? values : undefined
    if (array?.wide !== undefined || numbers instanceof BigInt64Array || leaf.primitive === 'decimal') {
      for (let at = from; at < to; at++) if (!nulls?.[at]) this.push(numbers[at])
      return
    }
    this.copyNumbers((array?.narrow ?? values) as NumberValues, numbers, nulls, from, to)
  }

  private copyNumbers(
    into: NumberValues,
    numbers: ArrayLike<number>,
    nulls: ArrayLike<number> | undefined,
    from: number,
    to: number,
  ): void {
    const { leaf } = this
    const target = into.reserve(to - from)
    const isReal = leaf.storage === 'float' || leaf.storage === 'double'
    const most = leaf.storage === 'boolean' ? 1 : leaf.storage === 'int32' ? 2 ** 31 - 1 : Number.MAX_SAFE_INTEGER
    const least = leaf.storage === 'boolean' ? 0 : leaf.storage === 'int32' ? -(2 ** 31) : -most
    let { count } = into
    for (let at = from; at < to; at++) {
      if (nulls?.[at]) continue
      const value = numbers[at] as number
      if (!isReal && !(value >= least && value <= most && Math.floor(value) === value)) {
        throw refuse(leaf, value, `an integer from ${least} to ${most}`)
      }
      target[count++] = value
    }
    into.count = count
  }

  /** Append rows `from` to `to` of strings or bytes that stand end to end.
   *  @param start where row `from` begins among the bytes
   *  @returns where row `to` begins
   *  @throws as appendNumbers; fixed and uuid columns want values of their width */
  appendBytes(
    { bytes, lengths }: Extract<ColumnInput, { bytes: unknown }>,
    from: number,
    to: number,
    start: number,
  ): number {
    const { values, leaf } = this
    const isBytes = values instanceof BytesValues
    if (!isBytes && !(values instanceof FixedValues && leaf.primitive !== 'decimal')) throw wrongInput(leaf, 'bytes')
    let end = start
    let present = 0
    for (let at = from; at < to; at++) {
      const length = lengths[at] as number
      if (length < 0) continue
      if (!isBytes && length !== leaf.width)
        throw refuse(leaf, bytes.subarray(end, end + length), `${leaf.width} bytes`)
      end += length
      present++
    }
    if (end > bytes.length)
      throw new Failure('invalid', `column ${leaf.name}: lengths of ${end} bytes, ${bytes.length} are there`)
    this.appendNulls(from, to, present === to - from ? undefined : (at) => (lengths[at] as number) < 0)
    const part = bytes.subarray(start, end)
    if (isBytes) values.append(part, lengths, [from, to], present)
    else {
      values.data.reserve(part.length).set(part, values.data.count)
      values.data.count += part.length
    }
    return end
  }

  /** Append rows `from` to `to` of strings or bytes told by their places among distinct ones.
   *  @throws as appendNumbers */
  appendDistinct({ distinct, indices }: Extract<ColumnInput, { distinct: unknown }>, from: number, to: number): void {
    const { values, leaf } = this
    if (!(values instanceof BytesValues)) throw wrongInput(leaf, 'distinct bytes')
    let present = 0
    for (let at = from; at < to; at++) {
      const index = indices[at] as number
      if (index >= distinct.length) throw new Failure('invalid', `column ${leaf.name}: no distinct value ${index}`)
      if (index >= 0) present++
    }
    this.appendNulls(from, to, present === to - from ? undefined : (at) => (indices[at] as number) < 0)
    values.appendIndices(distinct, indices, [from, to])
  }

  /** Append entries for rows of a flat column, values and nulls.
   *  @returns how many are values */
  private appendNulls(from: number, to: number, isNull: ((at: number) => boolean) | undefined): number {
    const { leaf } = this
    assert(leaf.maxRepetition === 0, `typed arrays for the nested column ${leaf.name}`)
    const rows = to - from
    let nulls = 0
    if (isNull !== undefined) for (let at = from; at < to; at++) if (isNull(at)) nulls++
    if (nulls > 0 && leaf.maxDefinition === 0) throw refuse(leaf, null, 'a value')
    const definitions = nulls > 0 ? this.needDefinitions() : this.definitions
    if (definitions !== undefined) {
      const levels = definitions.reserve(rows)
      let { count } = definitions
      for (let at = from; at < to; at++) levels[count++] = isNull?.(at) ? leaf.maxDefinition - 1 : leaf.maxDefinition
      definitions.count = count
    }
    this.entries += rows
    this.rows += rows
    return rows - nulls
  }
}

function wrongInput({ name, primitive }: Leaf, kind: string): Failure {
  return new Failure('invalid', `column ${name} is ${primitive}: it cannot be given as ${kind}`)
}
