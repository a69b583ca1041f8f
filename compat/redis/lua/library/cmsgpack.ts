/** Redis' cmsgpack library.
 *  @source https://github.com/msgpack/msgpack/blob/master/spec.md, and what Redis 7.0 answers */
import { type Bin, fromBin, toBin } from '@dotdo/core/bytes'
import { LUA_VALUES_MAX } from '@dotdo/core/limits'
import type { Machine } from '../machine.ts'
import { LuaTable } from '../table.ts'
import type { LuaValue, Results } from '../value.ts'
import { type Arguments, library } from './arguments.ts'

/** How deep tables inside tables are packed; below that there is nil. */
const NESTING_MAX = 16

const unsigned = (value: number, bytes: number): Bin => {
  let text = ''
  for (let rest = value, left = bytes; left > 0; left--, rest = Math.floor(rest / 256)) {
    text = String.fromCharCode(rest % 256) + text
  }
  return text
}

function double(value: number): Bin {
  const view = new DataView(new ArrayBuffer(8))
  view.setFloat64(0, value)
  return toBin(new Uint8Array(view.buffer))
}

function float(value: number): Bin {
  const view = new DataView(new ArrayBuffer(4))
  view.setFloat32(0, value)
  return toBin(new Uint8Array(view.buffer))
}

function packNumber(value: number): Bin {
  if (!Number.isInteger(value) || value >= 2 ** 64 || value < -(2 ** 63)) {
    return Math.fround(value) === value ? `\xca${float(value)}` : `\xcb${double(value)}`
  }
  if (value >= 0) {
    if (value < 128) return String.fromCharCode(value)
    if (value < 256) return `\xcc${unsigned(value, 1)}`
    if (value < 65536) return `\xcd${unsigned(value, 2)}`
    return value < 2 ** 32 ? `\xce${unsigned(value, 4)}` : `\xcf${unsigned(value, 8)}`
  }
  if (value >= -32) return String.fromCharCode(256 + value)
  if (value >= -128) return `\xd0${unsigned(256 + value, 1)}`
  if (value >= -32768) return `\xd1${unsigned(65536 + value, 2)}`
  if (value >= -(2 ** 31)) return `\xd2${unsigned(2 ** 32 + value, 4)}`
  const view = new DataView(new ArrayBuffer(8))
  view.setBigInt64(0, BigInt(value))
  return `\xd3${toBin(new Uint8Array(view.buffer))}`
}

function packText(text: Bin): Bin {
  const { length } = text
  if (length < 32) return String.fromCharCode(0xa0 | length) + text
  if (length < 256) return `\xd9${unsigned(length, 1)}${text}`
  return `${length < 65536 ? `\xda${unsigned(length, 2)}` : `\xdb${unsigned(length, 4)}`}${text}`
}

/** The head of an array or map. */
function head(count: number, fixed: number, short: Bin, long: Bin): Bin {
  if (count < 16) return String.fromCharCode(fixed | count)
  return count < 65536 ? short + unsigned(count, 2) : long + unsigned(count, 4)
}

function packTable(machine: Machine, table: LuaTable, depth: number): Bin {
  const entries = [...table.entries()]
  const isArray = entries.every(([key]) => typeof key === 'number' && Number.isInteger(key) && key > 0)
  if (isArray && table.length === entries.length) {
    const items = entries.map(([, value]) => pack(machine, value, depth + 1))
    return head(entries.length, 0x90, '\xdc', '\xdd') + items.join('')
  }
  const pairs = entries.map(([key, value]) => pack(machine, key, depth + 1) + pack(machine, value, depth + 1))
  return head(entries.length, 0x80, '\xde', '\xdf') + pairs.join('')
}

function pack(machine: Machine, value: LuaValue, depth = 0): Bin {
  if (--machine.stepsLeft < 0) machine.enter()
  if (typeof value === 'string') return packText(value)
  if (typeof value === 'number') return packNumber(value)
  if (typeof value === 'boolean') return value ? '\xc3' : '\xc2'
  if (!(value instanceof LuaTable) || depth >= NESTING_MAX) return '\xc0'
  return machine.checkLength(packTable(machine, value, depth))
}

/** Says that bytes are missing, or make no sense. */
class BadInput {
  readonly message: Bin
  constructor(message: Bin) {
    this.message = message
  }
}

/** Reads values one after the other. */
class Unpacker {
  private readonly machine: Machine
  private readonly text: Bin
  private readonly view: DataView
  at: number
  private depth = 0

  constructor(machine: Machine, text: Bin, at: number) {
    this.machine = machine
    this.text = text
    const bytes = fromBin(text)
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.at = at
  }

  private take(bytes: number): number {
    const { at } = this
    if (at + bytes > this.text.length) throw new BadInput('Missing bytes in input.')
    this.at += bytes
    return at
  }

  private size(bytes: number): number {
    const at = this.take(bytes)
    if (bytes === 1) return this.view.getUint8(at)
    return bytes === 2 ? this.view.getUint16(at) : this.view.getUint32(at)
  }

  private bin(length: number): Bin {
    const at = this.take(length)
    return this.text.slice(at, at + length)
  }

  private array(count: number): LuaTable {
    const table = new LuaTable()
    for (let at = 1; at <= count; at++) table.set(at, this.nested())
    return table
  }

  private map(count: number): LuaTable {
    const table = new LuaTable()
    for (let at = 0; at < count; at++) {
      const key = this.nested()
      table.set(key, this.nested())
    }
    return table
  }

  private nested(): LuaValue {
    if (++this.depth > 190) throw new BadInput('Bad data format in input.')
    const value = this.value()
    this.depth--
    return value
  }

  /** Read the next value. */
  value(): LuaValue {
    if (--this.machine.stepsLeft < 0) this.machine.enter()
    const code = this.view.getUint8(this.take(1))
    if (code < 0x80) return code
    if (code < 0x90) return this.map(code & 15)
    if (code < 0xa0) return this.array(code & 15)
    if (code < 0xc0) return this.bin(code & 31)
    if (code >= 0xe0) return code - 256
    return this.coded(code)
  }

  private coded(code: number): LuaValue {
    const { view } = this
    if (code === 0xc0) return undefined
    if (code === 0xc2 || code === 0xc3) return code === 0xc3
    if (code >= 0xc4 && code <= 0xc6) return this.bin(this.size(1 << (code - 0xc4)))
    if (code === 0xca) return view.getFloat32(this.take(4))
    if (code === 0xcb) return view.getFloat64(this.take(8))
    if (code >= 0xcc && code <= 0xce) return this.size(1 << (code - 0xcc))
    if (code === 0xcf) return Number(view.getBigUint64(this.take(8)))
    if (code === 0xd0) return view.getInt8(this.take(1))
    if (code === 0xd1) return view.getInt16(this.take(2))
    if (code === 0xd2) return view.getInt32(this.take(4))
    if (code === 0xd3) return Number(view.getBigInt64(this.take(8)))
    if (code >= 0xd9 && code <= 0xdb) return this.bin(this.size(1 << (code - 0xd9)))
    if (code === 0xdc || code === 0xdd) return this.array(this.size(code === 0xdc ? 2 : 4))
    if (code === 0xde || code === 0xdf) return this.map(this.size(code === 0xde ? 2 : 4))
    throw new BadInput('Bad data format in input.')
  }
}

interface Extent {
  /** How many values are wanted; 0 for all. */
  readonly limit: number
  readonly offset: number
  /** Whether the place where reading stopped comes first. */
  readonly full: boolean
}

function unpack(args: Arguments, { limit, offset, full }: Extent): Results {
  const { machine } = args
  const text = args.text(1)
  if (offset < 0 || limit < 0) {
    throw machine.fail(`Invalid request to unpack with offset of ${offset} and limit of ${text.length}.`)
  }
  if (offset > text.length) throw machine.fail(`Start offset ${offset} greater than input length ${text.length}.`)
  const most = limit === 0 ? Number.POSITIVE_INFINITY : limit
  const unpacker = new Unpacker(machine, text, offset)
  const values: LuaValue[] = []
  try {
    while (unpacker.at < text.length && values.length < most) {
      if (values.length >= LUA_VALUES_MAX) throw new BadInput('Too many values to unpack.')
      values.push(unpacker.value())
    }
  } catch (error) {
    if (!(error instanceof BadInput)) throw error
    throw machine.fail(error.message)
  }
  if (!full) return values
  return [unpacker.at >= text.length ? -1 : unpacker.at, ...values]
}

/** Make the cmsgpack library. */
export function cmsgpackLibrary(machine: Machine): LuaTable {
  return library(machine, {
    _NAME: 'cmsgpack',
    _VERSION: 'lua-cmsgpack 0.4.0',
    _COPYRIGHT: 'the functions are those of lua-cmsgpack',
    _DESCRIPTION: 'MessagePack for Lua',
    pack: (args) => {
      if (args.count === 0) throw args.bad(0, 'MessagePack pack needs input.')
      return machine.checkLength(args.values.map((value) => pack(machine, value)).join(''))
    },
    unpack: (args) => unpack(args, { limit: 0, offset: 0, full: false }),
    unpack_one: (args) => unpack(args, { limit: 1, offset: args.integer(2, 0), full: true }),
    unpack_limit: (args) => unpack(args, { limit: args.integer(2), offset: args.integer(3, 0), full: true }),
  })
}
