/** What a JavaScript value becomes in a column, and what is refused.
 *
 *  boolean      true, false
 *  int, date    an integer of 32 bits; a date counts days since 1970-01-01
 *  long, time, timestamp, timestamptz   an integer within 2^53, or a bigint of 64 bits; times count microseconds
 *  float, double   a number
 *  decimal      the unscaled integer, as a number or a bigint
 *  string       well-formed text, or its UTF-8 bytes
 *  uuid         text with hyphens, or 16 bytes
 *  fixed, binary   a Uint8Array */
import { assert, Failure } from '../../errors.ts'
import type { Leaf } from './schema.ts'
import { BytesValues, FixedValues, IntegerValues, NumberValues } from './values.ts'

/** The values of a leaf, by its storage. */
export type Values = NumberValues | IntegerValues | BytesValues | FixedValues

/** Make room for the values of a leaf. */
export function makeValues({ storage, width }: Leaf): Values {
  switch (storage) {
    case 'boolean':
      return new NumberValues(Uint8Array)
    case 'int32':
      return new NumberValues(Int32Array)
    case 'int64':
      return new IntegerValues()
    case 'float':
      return new NumberValues(Float32Array)
    case 'double':
      return new NumberValues(Float64Array)
    case 'bytes':
      return new BytesValues()
    case 'fixed':
      return new FixedValues(width)
  }
}

/** Make the failure of a value that a leaf cannot hold. */
export function refuse({ name, primitive }: Pick<Leaf, 'name' | 'primitive'>, value: unknown, right: string): Failure {
  const shown = typeof value === 'string' ? JSON.stringify(value.slice(0, 40)) : describe(value)
  return new Failure('invalid', `field ${name}: ${shown} is no ${primitive}; ${right} is right`, { field: name })
}

function describe(value: unknown): string {
  if (typeof value === 'object' && value !== null) return `a ${value.constructor?.name ?? 'object'}`
  return `${typeof value} ${String(value)}`
}

/** Make the function that appends one value that is not null.
 *  It throws `invalid` (detail `{ field }`) for a value of another type or out of range, and then appends nothing. */
export function makePush(leaf: Leaf, values: Values): (value: unknown) => void {
  switch (leaf.storage) {
    case 'boolean':
      return pushBoolean(leaf, values as NumberValues)
    case 'int32':
      return pushInt(leaf, values as NumberValues)
    case 'int64':
      return pushLong(leaf, values as IntegerValues)
    case 'float':
    case 'double':
      return pushReal(leaf, values as NumberValues)
    case 'bytes':
      return leaf.primitive === 'string'
        ? pushString(leaf, values as BytesValues)
        : pushBinary(leaf, values as BytesValues)
    case 'fixed':
      return pushFixed(leaf, values as FixedValues)
  }
}

function pushBoolean(leaf: Leaf, values: NumberValues) {
  return (value: unknown) => {
    if (typeof value !== 'boolean') throw refuse(leaf, value, 'true or false')
    values.push(value ? 1 : 0)
  }
}

function pushInt(leaf: Leaf, values: NumberValues) {
  const limit = leaf.primitive === 'decimal' ? 10 ** leaf.precision - 1 : 2 ** 31 - 1
  const least = leaf.primitive === 'decimal' ? -limit : -(2 ** 31)
  return (value: unknown) => {
    const number = typeof value === 'bigint' ? Number(value) : value
    if (typeof number !== 'number' || !Number.isInteger(number) || number > limit || number < least) {
      throw refuse(leaf, value, `an integer from ${least} to ${limit}`)
    }
    values.push(number)
  }
}

function pushLong(leaf: Leaf, values: IntegerValues) {
  const isDecimal = leaf.primitive === 'decimal'
  const limit = isDecimal ? 10n ** BigInt(leaf.precision) - 1n : 2n ** 63n - 1n
  const least = isDecimal ? -limit : -(2n ** 63n)
  const right = `an integer within 2^53, or a bigint from ${least} to ${limit},`
  return (value: unknown) => {
    if (typeof value === 'number') {
      if (!Number.isSafeInteger(value) || (isDecimal && (value > limit || value < least)))
        throw refuse(leaf, value, right)
    } else if (typeof value !== 'bigint' || value > limit || value < least) throw refuse(leaf, value, right)
    values.push(value as number | bigint)
  }
}

function pushReal(leaf: Leaf, values: NumberValues) {
  return (value: unknown) => {
    if (typeof value !== 'number') throw refuse(leaf, value, 'a number')
    values.push(value)
  }
}

function pushString(leaf: Leaf, values: BytesValues) {
  return (value: unknown) => {
    if (value instanceof Uint8Array) return values.push(value)
    if (typeof value !== 'string') throw refuse(leaf, value, 'text')
    if (!value.isWellFormed()) throw refuse(leaf, value, 'text without lone surrogates')
    values.pushText(value)
  }
}

function pushBinary(leaf: Leaf, values: BytesValues) {
  return (value: unknown) => {
    if (!(value instanceof Uint8Array)) throw refuse(leaf, value, 'a Uint8Array')
    values.push(value)
  }
}

function pushFixed(leaf: Leaf, values: FixedValues) {
  const { primitive, width, precision } = leaf
  if (primitive === 'decimal') {
    const limit = 10n ** BigInt(precision) - 1n
    return (value: unknown) => {
      const isInteger = typeof value === 'bigint' || Number.isSafeInteger(value)
      const whole = isInteger ? BigInt(value as number) : limit + 1n
      if (whole > limit || whole < -limit) throw refuse(leaf, value, `an unscaled integer of ${precision} digits`)
      values.push(bigEndian(whole, width))
    }
  }
  const right =
    primitive === 'uuid' ? 'text such as f79c3e09-677c-4bbd-a479-3f349cb785e7, or 16 bytes,' : `${width} bytes`
  return (value: unknown) => {
    const bytes = primitive === 'uuid' && typeof value === 'string' ? uuidBytes(value) : value
    if (!(bytes instanceof Uint8Array) || bytes.length !== width) throw refuse(leaf, value, right)
    values.push(bytes)
  }
}

/** Write an integer in two's complement, the highest byte first.
 *  @param width enough bytes for it */
export function bigEndian(value: bigint, width: number): Uint8Array {
  const bytes = new Uint8Array(width)
  let rest = value
  for (let at = width - 1; at >= 0; at--) {
    bytes[at] = Number(rest & 0xffn)
    rest >>= 8n
  }
  assert(rest === 0n || rest === -1n, `${value} in ${width} bytes`)
  return bytes
}

/** Read the text form of a UUID; undefined when it is none. */
function uuidBytes(value: string): Uint8Array | undefined {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value)) return undefined
  const digits = value.replaceAll('-', '')
  return Uint8Array.from({ length: 16 }, (_, at) => Number.parseInt(digits.slice(2 * at, 2 * at + 2), 16))
}
