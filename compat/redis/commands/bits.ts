/** The bitmap commands. */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { Tx } from '@dotdo/core/shard'
import type { Command, Context } from '../command.ts'
import * as bits from '../engine/bits.ts'
import { isLarge, WHOLE_BYTES_MAX } from '../engine/chunks.ts'
import { narrow } from '../engine/integers.ts'
import { alive, checkString, probeKey, putString, removeKey } from '../engine/keys.ts'
import {
  findString,
  overwrite,
  readPart,
  readString,
  replaceValue,
  stringLength,
  type Target,
  targetString,
  targetValue,
} from '../engine/strings.ts'
import { readValues } from '../engine/values.ts'
import { keys } from '../tables.ts'
import type { Value } from '../value.ts'
import { integerReply, syntaxError, toBitOffset, toInt64, toInteger } from './arguments.ts'
import { oneKey, rows } from './rows.ts'

type Argv = readonly Bin[]

function setbit(tx: Tx, argv: Argv, { db }: Context): Value {
  const offset = toBitOffset(argv[2] as Bin)
  const bit = argv[3] as Bin
  if (bit !== '0' && bit !== '1') throw new Failure('invalid', 'ERR bit is not an integer or out of range')
  const target = targetString(tx, db, argv[1] as Bin)
  const at = Math.floor(offset / 8)
  checkString(target.probe.key, at + 1)
  const byte = readPart(tx, target.row, at, at + 1)
  overwrite(tx, target, at, bits.setBit(byte, offset % 8, Number(bit)))
  return bits.getBit(byte, offset % 8)
}

function getbit(tx: Tx, argv: Argv, { db }: Context): Value {
  const offset = toBitOffset(argv[2] as Bin)
  const at = Math.floor(offset / 8)
  return bits.getBit(readPart(tx, findString(tx, db, argv[1] as Bin), at, at + 1), offset % 8)
}

/** A range of a string in bits, both ends included; `undefined` when it is empty. */
interface BitRange {
  from: number
  to: number
}

/** Read the unit of a range at `at`. */
function isBitUnit(argv: Argv, at: number): boolean {
  const unit = argv[at]?.toUpperCase()
  if (argv.length > at + 1 || (unit !== undefined && unit !== 'BIT' && unit !== 'BYTE')) throw syntaxError()
  return unit === 'BIT'
}

function toBitRange(sizeBytes: number, start: number, end: number, inBits: boolean): BitRange | undefined {
  const total = sizeBytes * (inBits ? 8 : 1)
  const from = start < 0 ? Math.max(0, total + start) : start
  const to = Math.min(end < 0 ? Math.max(0, total + end) : end, total - 1)
  if (from > to) return undefined
  return inBits ? { from, to } : { from: from * 8, to: to * 8 + 7 }
}

function bitcount(tx: Tx, argv: Argv, { db }: Context): Value {
  if (argv.length === 3) throw syntaxError()
  const whole = argv.length === 2
  const start = whole ? 0 : toInteger(argv[2] as Bin)
  const end = whole ? -1 : toInteger(argv[3] as Bin)
  const inBits = isBitUnit(argv, 4)
  const row = findString(tx, db, argv[1] as Bin)
  // Before both are moved to the start of a short string, where they would meet.
  if (start < 0 && end < 0 && start > end) return 0
  const range = toBitRange(stringLength(tx, row), start, end, inBits)
  if (range === undefined) return 0
  let count = 0
  // A large string is read in parts.
  const step = WHOLE_BYTES_MAX
  for (let at = Math.floor(range.from / 8 / step) * step; at * 8 <= range.to; at += step) {
    const [first, last] = [Math.max(range.from, at * 8), Math.min(range.to, (at + step) * 8 - 1)]
    const from = Math.floor(first / 8)
    const part = readPart(tx, row, from, Math.floor(last / 8) + 1)
    count += bits.countBits(part, first - from * 8, last - from * 8)
  }
  return count
}

/** @source redis 7.2 bitops.c bitposCommand: zeros go on after the end of a string, unless the range has an end */
function bitpos(tx: Tx, argv: Argv, { db }: Context): Value {
  const wanted = toInteger(argv[2] as Bin)
  if (wanted !== 0 && wanted !== 1) throw new Failure('invalid', 'ERR The bit argument must be 1 or 0.')
  const start = argv.length > 3 ? toInteger(argv[3] as Bin) : 0
  const end = argv.length > 4 ? toInteger(argv[4] as Bin) : -1
  const inBits = isBitUnit(argv, 5)
  const value = readString(tx, db, argv[1] as Bin)
  if (value === undefined) return wanted === 1 ? -1 : 0
  const range = toBitRange(value.length, start, end, inBits)
  if (range === undefined) return -1
  const found = bits.findBit(value, wanted, range.from, range.to)
  return found === -1 && wanted === 0 && argv.length <= 4 ? range.to + 1 : found
}

const operations: readonly string[] = ['and', 'or', 'xor', 'not']

function bitop(tx: Tx, argv: Argv, { db }: Context): Value {
  const operation = (argv[1] as Bin).toLowerCase()
  if (!operations.includes(operation)) throw syntaxError()
  if (operation === 'not' && argv.length !== 4) {
    throw new Failure('invalid', 'ERR BITOP NOT must be called with a single source key.')
  }
  const rows = argv.slice(3).map((key) => targetString(tx, db, key).row)
  const values = readValues(tx, rows).map((value) => value ?? '')
  const result = bits.combineBits(operation as bits.BitOperation, values)
  const probe = probeKey(db, argv[2] as Bin)
  const stored = tx.find(keys, probe)
  if (result !== '') putString(tx, probe, stored, result)
  else if (alive(tx, stored) !== undefined) removeKey(tx, stored as NonNullable<typeof stored>)
  return result.length
}

/** One step of BITFIELD. */
type Step =
  | { op: 'get'; type: bits.IntegerType; offset: number }
  | { op: 'set' | 'incrby'; type: bits.IntegerType; offset: number; operand: bigint; overflow: bits.Overflow }

function toIntegerType(argument: Bin): bits.IntegerType {
  const [, sign, digits] = /^([iu])([1-9]\d?)$/.exec(argument) ?? []
  const count = Number(digits)
  if (sign === undefined || count > (sign === 'i' ? 64 : 63)) {
    throw new Failure(
      'invalid',
      'ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.',
    )
  }
  return { signed: sign === 'i', bits: count }
}

function toOverflow(argument: Bin): bits.Overflow {
  const word = argument.toLowerCase()
  if (word === 'wrap' || word === 'sat' || word === 'fail') return word
  throw new Failure('invalid', 'ERR Invalid OVERFLOW type specified')
}

function parseSteps(argv: Argv): Step[] {
  const steps: Step[] = []
  let overflow: bits.Overflow = 'wrap'
  for (let i = 2; i < argv.length; ) {
    const op = (argv[i] as Bin).toLowerCase()
    const left = argv.length - i - 1
    if (op === 'overflow' && left >= 1) {
      overflow = toOverflow(argv[i + 1] as Bin)
      i += 2
      continue
    }
    if (!(op === 'get' && left >= 2) && !((op === 'set' || op === 'incrby') && left >= 3)) throw syntaxError()
    const type = toIntegerType(argv[i + 1] as Bin)
    const offset = toBitOffset(argv[i + 2] as Bin, type.bits)
    if (op === 'get') steps.push({ op, type, offset })
    else steps.push({ op, type, offset, operand: BigInt(toInt64(argv[i + 3] as Bin)), overflow })
    i += op === 'get' ? 3 : 4
  }
  return steps
}

function bitfield(tx: Tx, argv: Argv, { db }: Context): Value {
  const steps = parseSteps(argv)
  const target = targetString(tx, db, argv[1] as Bin)
  let sizeBytes = 0
  for (const { op, type, offset } of steps) {
    if (op !== 'get') sizeBytes = Math.max(sizeBytes, Math.floor((offset + type.bits - 1) / 8) + 1)
  }
  checkString(target.probe.key, sizeBytes)
  const isFar = sizeBytes > WHOLE_BYTES_MAX || (target.row !== undefined && isLarge(target.row))
  if (isFar) return bitfieldFar(tx, target, steps, sizeBytes)
  const before = targetValue(tx, target) ?? ''
  const { value, replies } = runSteps(bits.padTo(before, sizeBytes), steps)
  if (sizeBytes > 0) replaceValue(tx, target, value)
  return replies
}

/** BITFIELD on a string that is, or becomes, a large one: each step reads and writes the few bytes it is about. */
function bitfieldFar(tx: Tx, target: Target, steps: readonly Step[], sizeBytes: number): Value {
  const { probe } = target
  let at = target
  if (sizeBytes > stringLength(tx, at.row)) {
    overwrite(tx, at, sizeBytes - 1, '\0')
    at = targetString(tx, probe.db, probe.key)
  }
  return steps.map((step) => {
    const from = Math.floor(step.offset / 8)
    const to = Math.floor((step.offset + step.type.bits - 1) / 8) + 1
    const part = readPart(tx, at.row, from, to)
    const { value, replies } = runSteps(part, [{ ...step, offset: step.offset - from * 8 }])
    if (value !== part) overwrite(tx, at, from, value)
    return replies[0] as Value
  })
}

function runSteps(before: Bin, steps: readonly Step[]): { value: Bin; replies: Value[] } {
  let value = before
  const replies = steps.map((step) => {
    const old = bits.readInteger(value, step.type, step.offset)
    if (step.op === 'get') return integerReply(narrow(old))
    // Redis sees a negative value for an unsigned SET as one beyond 2^63.
    const given = step.type.signed ? step.operand : BigInt.asUintN(64, step.operand)
    const next = bits.fitInteger(step.type, step.op === 'set' ? given : old + step.operand, step.overflow)
    if (next === undefined) return null
    value = bits.writeInteger(value, step.type, step.offset, next)
    return integerReply(narrow(step.op === 'set' ? old : next))
  })
  return { value, replies }
}

function bitfieldRo(tx: Tx, argv: Argv, { db }: Context): Value {
  const steps = parseSteps(argv)
  if (steps.some((step) => step.op !== 'get')) {
    throw new Failure('invalid', 'ERR BITFIELD_RO only supports the GET subcommand')
  }
  const value = readString(tx, db, argv[1] as Bin) ?? ''
  return steps.map(({ type, offset }) => integerReply(narrow(bits.readInteger(value, type, offset))))
}

const bitopKeys = { first: 2, last: -1, step: 1 }

/** The bitmap commands; they belong to the strings they work on. */
export const bitCommands: readonly Command[] = rows('bitmap', [
  ['bitcount', -2, oneKey, 'read', '2.6.0', bitcount, 'Counts the ones in a string.'],
  ['bitfield', -2, oneKey, 'write', '3.2.0', bitfield, 'Reads and writes integers of any width inside a string.'],
  ['bitfield_ro', -2, oneKey, 'read', '6.0.0', bitfieldRo, 'Reads integers of any width inside a string.'],
  ['bitop', -4, bitopKeys, 'write', '2.6.0', bitop, 'Combines strings bit by bit and stores the result.'],
  ['bitpos', -3, oneKey, 'read', '2.8.7', bitpos, 'Finds the first one or zero in a string.'],
  ['getbit', 3, oneKey, 'read', '2.2.0', getbit, 'Returns a bit of a string.'],
  ['setbit', 4, oneKey, 'write', '2.2.0', setbit, 'Sets a bit of a string; creates the key when absent.'],
])
