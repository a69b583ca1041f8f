/** Redis' cjson library.
 *  @source the manual of lua-cjson 2.1, and what Redis 7.0 answers */
import { type Machine, showPlain } from '../machine.ts'
import type { LuaTable } from '../table.ts'
import { LuaUserdata, type Results } from '../value.ts'
import { type Arguments, library } from './arguments.ts'
import { JsonDecoder } from './cjson-decode.ts'
import { defaultSettings, JsonEncoder, type JsonSettings } from './cjson-encode.ts'

const nullValue = new LuaUserdata('(nil)')

function integerSetting(args: Arguments, at: number, range: readonly [number, number], now: number): number {
  if (args.any(at) === undefined) return now
  const value = args.integer(at)
  const [low, high] = range
  if (value < low || value > high) throw args.bad(at, `expected integer between ${low} and ${high}`)
  return value
}

function switchSetting<T>(args: Arguments, at: number, choices: ReadonlyMap<unknown, T>, now: T): T {
  const value = args.any(at)
  if (value === undefined) return now
  const chosen = choices.get(value)
  if (chosen === undefined) throw args.bad(at, `invalid option '${showPlain(value)}'`)
  return chosen
}

const booleans: ReadonlyMap<unknown, boolean> = new Map<unknown, boolean>([
  [true, true],
  [false, false],
  ['on', true],
  ['off', false],
])
const invalidNumbers: ReadonlyMap<unknown, boolean | 'null'> = new Map<unknown, boolean | 'null'>([
  ...booleans,
  ['null', 'null'],
])

function one(args: Arguments, most: number): void {
  if (args.count > most) throw args.bad(args.count, 'found too many arguments')
}

function sparse(settings: JsonSettings, args: Arguments): Results {
  one(args, 3)
  settings.sparseConvert = switchSetting(args, 1, booleans, settings.sparseConvert)
  settings.sparseRatio = integerSetting(args, 2, [0, 2 ** 31 - 1], settings.sparseRatio)
  settings.sparseSafe = integerSetting(args, 3, [0, 2 ** 31 - 1], settings.sparseSafe)
  return [settings.sparseConvert, settings.sparseRatio, settings.sparseSafe]
}

/** Make the cjson library.
 *  @param settings shared with nobody but `cjson.new`'s own */
export function cjsonLibrary(machine: Machine, settings: JsonSettings): LuaTable {
  return library(machine, {
    _NAME: 'cjson',
    _VERSION: '2.1.0',
    null: nullValue,
    new: () => cjsonLibrary(machine, defaultSettings()),
    encode: (args) => {
      if (args.count !== 1) throw args.bad(1, 'expected 1 argument')
      return new JsonEncoder(machine, settings, nullValue).encode(args.any(1))
    },
    decode: (args) => {
      if (args.count !== 1) throw args.bad(1, 'expected 1 argument')
      return new JsonDecoder(machine, args.text(1), settings, nullValue).decode()
    },
    encode_sparse_array: (args) => sparse(settings, args),
    encode_max_depth: (args) => {
      one(args, 1)
      settings.encodeDepth = integerSetting(args, 1, [1, 1000], settings.encodeDepth)
      return settings.encodeDepth
    },
    decode_max_depth: (args) => {
      one(args, 1)
      settings.decodeDepth = integerSetting(args, 1, [1, 1000], settings.decodeDepth)
      return settings.decodeDepth
    },
    encode_number_precision: (args) => {
      one(args, 1)
      settings.precision = integerSetting(args, 1, [1, 14], settings.precision)
      return settings.precision
    },
    encode_keep_buffer: (args) => {
      one(args, 1)
      settings.keepBuffer = switchSetting(args, 1, booleans, settings.keepBuffer)
      return settings.keepBuffer
    },
    encode_invalid_numbers: (args) => {
      one(args, 1)
      settings.encodeInvalid = switchSetting(args, 1, invalidNumbers, settings.encodeInvalid)
      return settings.encodeInvalid
    },
    decode_invalid_numbers: (args) => {
      one(args, 1)
      settings.decodeInvalid = switchSetting(args, 1, booleans, settings.decodeInvalid)
      return settings.decodeInvalid
    },
  })
}
