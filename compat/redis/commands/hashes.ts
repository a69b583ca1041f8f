/** The hash commands. */
import { type Bin, toBin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { REDIS_RANDOM_FIELDS_MAX } from '@dotdo/core/limits'
import type { Tx } from '@dotdo/core/shard'
import type { Command, Context } from '../command.ts'
import { isDue } from '../engine/field-expiry.ts'
import * as hashes from '../engine/hashes.ts'
import { addInt64, parseInt64 } from '../engine/integers.ts'
import { parseLongDouble } from '../engine/long-double.ts'
import { pick, randomField, scanFields } from '../engine/scan.ts'
import { addFloats } from '../engine/strings.ts'
import { type FieldCells, pairsOf } from '../engine/values.ts'
import type { KeyRow } from '../tables.ts'
import { OK, type Value } from '../value.ts'
import { integerReply, syntaxError, toInt64, toRandomCount, wrongArity } from './arguments.ts'
import { hashExpiryCommands } from './hash-expiry.ts'
import { oneKey, rows } from './rows.ts'
import { cursorReply, parseScan, SCAN_WHOLE, toCursor } from './scan-options.ts'

type Argv = readonly Bin[]

function hset(tx: Tx, argv: Argv, { db }: Context): Value {
  if (argv.length % 2 !== 0) throw wrongArity('hset')
  return hashes.setFields(tx, db, argv, 2)
}

function hmset(tx: Tx, argv: Argv, { db }: Context): Value {
  if (argv.length % 2 !== 0) throw wrongArity('hmset')
  hashes.setFields(tx, db, argv, 2)
  return OK
}

function hsetnx(tx: Tx, argv: Argv, { db }: Context): Value {
  const row = hashes.findHash(tx, db, argv[1] as Bin)
  if (hashes.hasField(tx, row, argv[2] as Bin)) return 0
  return hashes.setFields(tx, db, argv, 2)
}

function hget(tx: Tx, argv: Argv, { db }: Context): Value {
  return hashes.readField(tx, hashes.findHash(tx, db, argv[1] as Bin), argv[2] as Bin) ?? null
}

function hmget(tx: Tx, argv: Argv, { db }: Context): Value {
  const row = hashes.findHash(tx, db, argv[1] as Bin)
  return hashes.readNamedFields(tx, row, argv.slice(2)).map((value) => value ?? null)
}

function hgetall(tx: Tx, argv: Argv, { db }: Context): Value {
  const row = hashes.findHash(tx, db, argv[1] as Bin)
  return { map: row === undefined ? [] : hashes.readPairs(tx, row) }
}

function hkeys(tx: Tx, argv: Argv, { db }: Context): Value {
  const row = hashes.findHash(tx, db, argv[1] as Bin)
  return row === undefined ? [] : hashes.readNames(tx, row)
}

function hvals(tx: Tx, argv: Argv, { db }: Context): Value {
  const row = hashes.findHash(tx, db, argv[1] as Bin)
  return row === undefined ? [] : hashes.readPairs(tx, row).map(([, value]) => value)
}

function hlen(tx: Tx, argv: Argv, { db }: Context): Value {
  const row = hashes.findHash(tx, db, argv[1] as Bin)
  return row === undefined ? 0 : hashes.countFields(tx, row)
}

function hstrlen(tx: Tx, argv: Argv, { db }: Context): Value {
  return hashes.readField(tx, hashes.findHash(tx, db, argv[1] as Bin), argv[2] as Bin)?.length ?? 0
}

function hexists(tx: Tx, argv: Argv, { db }: Context): Value {
  return hashes.hasField(tx, hashes.findHash(tx, db, argv[1] as Bin), argv[2] as Bin) ? 1 : 0
}

function hdel(tx: Tx, argv: Argv, { db }: Context): Value {
  return hashes.removeNamedFields(tx, db, argv[1] as Bin, argv.slice(2))
}

function hincrby(tx: Tx, argv: Argv, { db }: Context): Value {
  const [, key, field, by] = argv as [Bin, Bin, Bin, Bin]
  const step = toInt64(by)
  const value = parseInt64(hashes.readField(tx, hashes.findHash(tx, db, key), field) ?? '0')
  if (value === undefined) throw new Failure('invalid', 'ERR hash value is not an integer')
  const sum = addInt64(value, step)
  if (sum === undefined) throw new Failure('invalid', 'ERR increment or decrement would overflow')
  hashes.setFields(tx, db, ['', key, field, `${sum}`], 2, true)
  return integerReply(sum)
}

function hincrbyfloat(tx: Tx, argv: Argv, { db }: Context): Value {
  const [, key, field, by] = argv as [Bin, Bin, Bin, Bin]
  const step = parseLongDouble(by)
  if (step === undefined) throw new Failure('invalid', 'ERR value is not a valid float')
  if (typeof step === 'string') throw new Failure('invalid', 'ERR value is NaN or Infinity')
  const value = parseLongDouble(hashes.readField(tx, hashes.findHash(tx, db, key), field) ?? '0')
  if (value === undefined) throw new Failure('invalid', 'ERR hash value is not a float')
  const sum = addFloats(value, step)
  hashes.setFields(tx, db, ['', key, field, sum], 2, true)
  return sum
}

/** Whether to read a hash whole to choose from it: when it is small, when sampling would read as many rows, or when
 *  nobody knows how many of its fields are still there. */
function worthReading(tx: Tx, row: KeyRow, count: number): boolean {
  return isDue(tx, row) || row.size <= 512 || count * 16 > row.size
}

/** Choose distinct fields, in random order. */
function chooseDistinct(tx: Tx, row: KeyRow, count: number): FieldCells[] {
  if (worthReading(tx, row, count)) {
    const all = hashes.readCells(tx, row)
    for (let i = 0; i < Math.min(count, all.length); i++) {
      const other = i + (tx.random() % (all.length - i))
      const chosen = all[other] as FieldCells
      all[other] = all[i] as FieldCells
      all[i] = chosen
    }
    return all.slice(0, count)
  }
  const chosen = new Map<Bin, FieldCells>()
  while (chosen.size < count) {
    const cells = randomField(tx, row)
    chosen.set(toBin(cells[1]), cells)
  }
  return [...chosen.values()]
}

/** Choose fields that may come more than once. */
function chooseRepeated(tx: Tx, row: KeyRow, count: number): FieldCells[] {
  if (count > REDIS_RANDOM_FIELDS_MAX) {
    throw new Failure('limit', `ERR value is out of range: at most ${REDIS_RANDOM_FIELDS_MAX} fields at a time`)
  }
  const whole = worthReading(tx, row, count) ? hashes.readCells(tx, row) : undefined
  if (whole?.length === 0) return []
  return Array.from({ length: count }, () =>
    whole === undefined ? randomField(tx, row) : (pick(tx, whole) as FieldCells),
  )
}

function hrandfield(tx: Tx, argv: Argv, { db }: Context): Value {
  const [, key, amount, withValues] = argv as [Bin, Bin, Bin?, Bin?]
  if (amount === undefined) {
    const row = hashes.findHash(tx, db, key)
    const [chosen] = row === undefined ? [] : chooseRepeated(tx, row, 1)
    return chosen === undefined ? null : toBin(chosen[1])
  }
  const count = toRandomCount(amount, withValues !== undefined)
  if (argv.length > 4 || (withValues !== undefined && withValues.toUpperCase() !== 'WITHVALUES')) throw syntaxError()
  const row = hashes.findHash(tx, db, key)
  if (row === undefined || count === 0) return []
  const chosen = count > 0 ? chooseDistinct(tx, row, count) : chooseRepeated(tx, row, -count)
  return withValues === undefined ? chosen.map(([, field]) => toBin(field)) : { pairs: pairsOf(tx, row, chosen) }
}

function hscan(tx: Tx, argv: Argv, { db }: Context): Value {
  const cursor = toCursor(argv[2] as Bin)
  const row = hashes.findHash(tx, db, argv[1] as Bin)
  if (row === undefined) return ['0', []]
  const { count, matches, noValues } = parseScan(argv, 3, ['noValues'])
  const page = scanFields(tx, row, cursor, row.size <= SCAN_WHOLE ? SCAN_WHOLE + 1 : count)
  const found = page.items.filter(([, field]) => matches(toBin(field)))
  const shown = noValues ? found.map(([, field]) => toBin(field)) : pairsOf(tx, row, found).flat()
  return cursorReply(page.next, shown)
}

/** The hash commands. */
export const hashCommands: readonly Command[] = [
  ...rows('hash', [
    ['hdel', -3, oneKey, 'write', '2.0.0', hdel, 'Removes fields, and the hash with its last one.'],
    ['hexists', 3, oneKey, 'read', '2.0.0', hexists, 'Tells whether a field exists.'],
    ['hget', 3, oneKey, 'read', '2.0.0', hget, 'Returns the value of a field.'],
    ['hgetall', 2, oneKey, 'read', '2.0.0', hgetall, 'Returns all fields and values.'],
    ['hincrby', 4, oneKey, 'write', '2.0.0', hincrby, 'Adds to the integer of a field; an absent one counts as 0.'],
    ['hincrbyfloat', 4, oneKey, 'write', '2.6.0', hincrbyfloat, 'Adds to the floating point number of a field.'],
    ['hkeys', 2, oneKey, 'read', '2.0.0', hkeys, 'Returns all fields.'],
    ['hlen', 2, oneKey, 'read', '2.0.0', hlen, 'Returns the number of fields.'],
    ['hmget', -3, oneKey, 'read', '2.0.0', hmget, 'Returns the values of fields.'],
    ['hmset', -4, oneKey, 'write', '2.0.0', hmset, 'Sets fields: the old name of HSET.'],
    ['hrandfield', -2, oneKey, 'read', '6.2.0', hrandfield, 'Returns fields chosen at random.'],
    ['hscan', -3, oneKey, 'read', '2.8.0', hscan, 'Walks the fields and values of a hash.'],
    ['hset', -4, oneKey, 'write', '2.0.0', hset, 'Sets fields; creates the hash when absent.'],
    ['hsetnx', 4, oneKey, 'write', '2.0.0', hsetnx, 'Sets a field when it does not exist.'],
    ['hstrlen', 3, oneKey, 'read', '3.2.0', hstrlen, 'Returns the length of the value of a field in bytes.'],
    ['hvals', 2, oneKey, 'read', '2.0.0', hvals, 'Returns all values.'],
  ]),
  ...hashExpiryCommands,
]
