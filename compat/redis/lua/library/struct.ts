/** Redis' struct library.
 *  @source http://www.inf.puc-rio.br/~roberto/struct/ 0.2, as far as Redis has it (no `z`), on a 64-bit machine */
import { type Bin, fromBin, toBin } from '@dotdo/core/bytes'
import { LUA_VALUES_MAX } from '@dotdo/core/limits'
import type { Machine } from '../machine.ts'
import type { LuaTable } from '../table.ts'
import type { LuaValue, Results } from '../value.ts'
import { type Arguments, library } from './arguments.ts'

const INTEGER_BYTES_MAX = 32

interface Item {
  readonly option: string
  readonly size: number
  readonly little: boolean
  /** Bytes of padding before it, in a text of `offset` bytes. */
  padding(offset: number): number
}

const sizes: Record<string, number> = { b: 1, B: 1, h: 2, H: 2, l: 8, L: 8, T: 8, f: 4, d: 8, x: 1 }

/** Walk through a format. */
function* items(args: Arguments, format: Bin): Generator<Item> {
  let little = true
  let align = 1
  for (let at = 0; at < format.length; ) {
    const option = format[at++] as string
    const digits = /^\d*/.exec(format.slice(at))?.[0] ?? ''
    const takesNumber = /[iIc!]/.test(option)
    if (takesNumber) at += digits.length
    const given = takesNumber && digits !== '' ? Number(digits) : undefined
    if (option === '<') little = true
    else if (option === '>') little = false
    else if (option === '!') align = alignment(args, given ?? 8)
    else if (option === ' ') continue
    else {
      const size = sizeOf(args, option, given)
      const to = Math.min(size, align)
      const aligned = !/[csx]/.test(option) && to > 1 && (size & (size - 1)) === 0
      yield { option, size, little, padding: (offset) => (aligned ? (to - (offset & (to - 1))) & (to - 1) : 0) }
    }
  }
}

function alignment(args: Arguments, bytes: number): number {
  if (bytes === 0 || (bytes & (bytes - 1)) !== 0) throw args.machine.fail('alignment is not a power of 2')
  return bytes
}

function sizeOf(args: Arguments, option: string, given: number | undefined): number {
  if (option === 'i' || option === 'I') {
    const size = given ?? 4
    if (size > INTEGER_BYTES_MAX) {
      throw args.machine.fail(`integral size ${size} is larger than limit of ${INTEGER_BYTES_MAX}`)
    }
    return size
  }
  if (option === 'c') return given ?? 1
  if (option === 's') return 0
  const size = sizes[option]
  if (size === undefined) throw args.bad(1, `invalid format option '${option}'`)
  return size
}

function integerBytes(value: number, size: number, little: boolean): Bin {
  const whole = Number.isFinite(value) ? BigInt(Math.trunc(value)) : 0n
  let rest = BigInt.asUintN(size * 8, whole)
  const bytes: string[] = []
  for (let at = 0; at < size; at++, rest >>= 8n) bytes.push(String.fromCharCode(Number(rest & 255n)))
  return (little ? bytes : bytes.reverse()).join('')
}

function floatBytes(value: number, size: number, little: boolean): Bin {
  const view = new DataView(new ArrayBuffer(size))
  if (size === 4) view.setFloat32(0, value, little)
  else view.setFloat64(0, value, little)
  return toBin(new Uint8Array(view.buffer))
}

function packText(args: Arguments, at: number, { option, size }: Item): Bin {
  const text = args.text(at)
  if (option === 's') return `${text}\0`
  const length = size === 0 ? text.length : size
  if (text.length < length) throw args.bad(at, 'string too short')
  return text.slice(0, length)
}

function pack(args: Arguments): Results {
  let packed = ''
  let at = 2
  for (const item of items(args, args.text(1))) {
    packed += '\0'.repeat(item.padding(packed.length))
    const { option, size, little } = item
    if (option === 'x') packed += '\0'
    else if (option === 'f' || option === 'd') packed += floatBytes(args.number(at++), size, little)
    else if (option === 's' || option === 'c') packed += packText(args, at++, item)
    else packed += integerBytes(args.number(at++), size, little)
    args.machine.checkLength(packed)
  }
  return packed
}

function readInteger(bytes: Uint8Array, { option, little }: Item): number {
  let value = 0n
  for (const byte of little ? bytes.slice().reverse() : bytes) value = (value << 8n) | BigInt(byte)
  const signed = /[bhli]/.test(option)
  return Number(signed ? BigInt.asIntN(bytes.length * 8, value) : value)
}

function unpack(args: Arguments): Results {
  const text = args.text(2)
  const start = args.integer(3, 1)
  if (start < 1) throw args.bad(3, 'offset must be 1 or greater')
  const values: LuaValue[] = []
  let at = start - 1
  const need = (bytes: number) => {
    if (at + bytes > text.length) throw args.bad(2, 'data string too short')
  }
  for (const item of items(args, args.text(1))) {
    const { option, little } = item
    let { size } = item
    if (values.length >= LUA_VALUES_MAX) throw args.machine.fail('too many results to unpack')
    at += item.padding(at)
    need(size)
    const bytes = () => fromBin(text.slice(at, at + size))
    if (option === 's') {
      const end = text.indexOf('\0', at)
      if (end < 0) throw args.bad(2, 'unfinished string in data')
      values.push(text.slice(at, end))
      size = end - at + 1
    } else if (option === 'c') {
      if (size === 0) {
        const length = values.pop()
        if (typeof length !== 'number') throw args.bad(1, "format 'c0' needs a previous size")
        size = length
        need(size)
      }
      values.push(text.slice(at, at + size))
    } else if (option === 'f' || option === 'd') {
      const view = new DataView(bytes().slice().buffer)
      values.push(option === 'f' ? view.getFloat32(0, little) : view.getFloat64(0, little))
    } else if (option !== 'x') values.push(readInteger(bytes(), item))
    at += size
  }
  return [...values, at + 1]
}

function size(args: Arguments): Results {
  let total = 0
  for (const item of items(args, args.text(1))) {
    if (item.option === 's') throw args.bad(1, 'variable-size format in size')
    if (item.option === 'c' && item.size === 0) throw args.bad(1, 'variable-length format in size')
    total += item.padding(total) + item.size
  }
  return total
}

/** Make the struct library. */
export function structLibrary(machine: Machine): LuaTable {
  return library(machine, { pack, unpack, size })
}
