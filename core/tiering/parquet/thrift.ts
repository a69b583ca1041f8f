/** Writes Thrift's compact protocol: as much of it as Parquet's metadata needs.
 *  A struct is a list of fields in order of their ids; a field whose value is undefined is left out.
 *  @source https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md */
import type { Output } from './output.ts'

/** A value with its Thrift type. */
export type Thrift =
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'byte' | 'i16' | 'i32' | 'i64'; readonly value: number }
  | { readonly type: 'binary'; readonly value: Uint8Array }
  | { readonly type: 'list'; readonly of: Thrift['type']; readonly value: readonly Thrift[] }
  | { readonly type: 'struct'; readonly value: Fields }

/** A struct's fields by id, ascending. */
export type Fields = readonly (readonly [id: number, value: Thrift | undefined])[]

const typeCodes = { bool: 1, byte: 3, i16: 4, i32: 5, i64: 6, binary: 8, list: 9, struct: 12 } as const
const encoder = new TextEncoder()

/** Make a boolean. */
export const bool = (value: boolean): Thrift => ({ type: 'bool', value })
/** Make a 32-bit integer, or an enum's value. */
export const i32 = (value: number): Thrift => ({ type: 'i32', value })
/** Make a 64-bit integer; every one of Parquet's is a size, a count or a place within 2^53. */
export const i64 = (value: number): Thrift => ({ type: 'i64', value })
/** Make bytes. */
export const binary = (value: Uint8Array): Thrift => ({ type: 'binary', value })
/** Make a string. */
export const text = (value: string): Thrift => ({ type: 'binary', value: encoder.encode(value) })
/** Make a list of values of one type. */
export const list = (of: Thrift['type'], value: readonly Thrift[]): Thrift => ({ type: 'list', of, value })
/** Make a struct; a union is a struct of one field. */
export const struct = (...value: Fields): Thrift => ({ type: 'struct', value })

/** Write a struct's fields and its end. */
export function writeStruct(output: Output, fields: Fields): void {
  let previous = 0
  for (const [id, value] of fields) {
    if (value === undefined) continue
    const code = value.type === 'bool' && !value.value ? 2 : typeCodes[value.type]
    const step = id - previous
    if (step > 0 && step <= 15) output.byte((step << 4) | code)
    else {
      output.byte(code)
      output.zigzag(id)
    }
    previous = id
    if (value.type !== 'bool') writeValue(output, value)
  }
  output.byte(0)
}

function writeValue(output: Output, thrift: Thrift): void {
  switch (thrift.type) {
    case 'bool':
      return output.byte(thrift.value ? 1 : 2)
    case 'byte':
      return output.byte(thrift.value & 0xff)
    case 'i16':
    case 'i32':
    case 'i64':
      return output.zigzag(thrift.value)
    case 'binary':
      output.varint(thrift.value.length)
      return output.append(thrift.value)
    case 'list':
      return writeList(output, typeCodes[thrift.of], thrift.value)
    case 'struct':
      return writeStruct(output, thrift.value)
  }
}

function writeList(output: Output, code: number, values: readonly Thrift[]): void {
  if (values.length < 15) output.byte((values.length << 4) | code)
  else {
    output.byte(0xf0 | code)
    output.varint(values.length)
  }
  for (const value of values) writeValue(output, value)
}
