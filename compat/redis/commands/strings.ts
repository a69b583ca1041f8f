/** The string commands. */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { Tx } from '@dotdo/core/shard'
import type { Command, Context, Scatter } from '../command.ts'
import { type Int64, negateInt64 } from '../engine/integers.ts'
import { alive, checkString, findKey, probeKey, putString, removeKey, setExpires, wrongType } from '../engine/keys.ts'
import { longestCommonSubsequence } from '../engine/lcs.ts'
import * as strings from '../engine/strings.ts'
import { readValue, readValues } from '../engine/values.ts'
import { type KeyRow, keys } from '../tables.ts'
import { OK, type Value } from '../value.ts'
import {
  integerReply,
  syntaxError,
  timeOptions,
  toInt64,
  toInteger,
  toPositiveTimeMs,
  wrongArity,
} from './arguments.ts'
import { bitCommands } from './bits.ts'
import { hyperLogLogCommands } from './hyperloglog.ts'
import { allKeys, oneKey, pairKeys, rows, twoKeys } from './rows.ts'

type Argv = readonly Bin[]

function get(tx: Tx, argv: Argv, { db }: Context): Value {
  return strings.readString(tx, db, argv[1] as Bin) ?? null
}

function set(tx: Tx, argv: Argv, { db }: Context): Value {
  if (argv.length > 3) return setWithOptions(tx, argv, db)
  const probe = probeKey(db, argv[1] as Bin)
  putString(tx, probe, tx.find(keys, probe), argv[2] as Bin)
  return OK
}

/** What SET and GETEX may be told. */
interface Options {
  condition?: 'NX' | 'XX'
  get?: true
  /** The word that says when the key expires: there may be one, though more than once. */
  time?: string
  /** What follows that word, unread: Redis reads it when all words are known to make sense. */
  when?: Bin
}

const timeWords: Record<'set' | 'getex', string> = { set: 'KEEPTTL', getex: 'PERSIST' }

/** Parse the options of SET and GETEX.
 *  @source redis 7.2 t_string.c parseExtendedStringArgumentsOrReply */
function parseOptions(argv: Argv, from: number, command: 'set' | 'getex'): Options {
  const options: Options = {}
  for (let i = from; i < argv.length; i++) {
    const word = (argv[i] as Bin).toUpperCase()
    const unit = timeOptions[word]
    if (unit !== undefined || word === timeWords[command]) {
      if ((options.time ?? word) !== word) throw syntaxError()
      options.time = word
    }
    if (unit !== undefined) {
      const when = argv[++i]
      if (when === undefined) throw syntaxError()
      options.when = when
    } else if (command === 'set' && word === 'GET') options.get = true
    else if (command === 'set' && (word === 'NX' || word === 'XX')) {
      if ((options.condition ?? word) !== word) throw syntaxError()
      options.condition = word
    } else if (word !== timeWords[command]) throw syntaxError()
  }
  return options
}

/** Read when the key shall expire; null when no option says so. */
function expiresOf(tx: Tx, { time, when }: Options, command: 'set' | 'getex'): number | null {
  const unit = timeOptions[time ?? '']
  return unit === undefined ? null : toPositiveTimeMs(when as Bin, unit, tx.nowMs, command)
}

function setWithOptions(tx: Tx, argv: Argv, db: number): Value {
  const options = parseOptions(argv, 3, 'set')
  const { condition, get: wanted } = options
  const given = expiresOf(tx, options, 'set')
  const probe = probeKey(db, argv[1] as Bin)
  const stored = tx.find(keys, probe)
  const row = alive(tx, stored)
  if (wanted && row !== undefined && row.type !== 'string') throw wrongType()
  const old = wanted ? oldValue(tx, row) : OK
  if (condition !== undefined && (condition === 'XX') !== (row !== undefined)) return wanted ? old : null
  const expires = options.time === 'KEEPTTL' ? (row?.expires ?? null) : given
  checkString(probe.key, (argv[2] as Bin).length)
  if (expires === null || expires > tx.nowMs) putString(tx, probe, stored, argv[2] as Bin, expires)
  else if (stored !== undefined) removeKey(tx, stored)
  return old
}

/** Read what a string held; nil for none. */
function oldValue(tx: Tx, row: KeyRow | undefined): Value {
  return row === undefined ? null : readValue(tx, row)
}

function setWithTime(option: 'EX' | 'PX', command: string): NonNullable<Command['run']> {
  return (tx, argv, { db }) => {
    const expires = toPositiveTimeMs(argv[2] as Bin, timeOptions[option] as never, tx.nowMs, command)
    const probe = probeKey(db, argv[1] as Bin)
    putString(tx, probe, tx.find(keys, probe), argv[3] as Bin, expires)
    return OK
  }
}

function setnx(tx: Tx, argv: Argv, { db }: Context): Value {
  const probe = probeKey(db, argv[1] as Bin)
  const stored = tx.find(keys, probe)
  if (alive(tx, stored) !== undefined) return 0
  putString(tx, probe, stored, argv[2] as Bin)
  return 1
}

function getset(tx: Tx, argv: Argv, { db }: Context): Value {
  const { probe, stored, row } = strings.targetString(tx, db, argv[1] as Bin)
  const old = oldValue(tx, row)
  putString(tx, probe, stored, argv[2] as Bin)
  return old
}

function getdel(tx: Tx, argv: Argv, { db }: Context): Value {
  const { row } = strings.targetString(tx, db, argv[1] as Bin)
  if (row === undefined) return null
  const value = readValue(tx, row)
  removeKey(tx, row)
  return value
}

function getex(tx: Tx, argv: Argv, { db }: Context): Value {
  const options = parseOptions(argv, 2, 'getex')
  const { row } = strings.targetString(tx, db, argv[1] as Bin)
  if (row === undefined) return null
  const expires = expiresOf(tx, options, 'getex')
  const value = readValue(tx, row)
  if (expires !== null) setExpires(tx, row, expires)
  else if (options.time === 'PERSIST' && row.expires !== null) setExpires(tx, row, null)
  return value
}

function mget(tx: Tx, argv: Argv, { db }: Context): Value {
  const rows: (KeyRow | undefined)[] = []
  for (let i = 1; i < argv.length; i++) {
    const row = findKey(tx, db, argv[i] as Bin)
    rows.push(row?.type === 'string' ? row : undefined)
  }
  return readValues(tx, rows).map((value) => value ?? null)
}

/** Set keys and values in turn; all sizes are checked first, as nothing may fail after the first write. */
function setPairs(tx: Tx, argv: Argv, db: number): void {
  for (let i = 1; i < argv.length; i += 2) checkString(argv[i] as Bin, (argv[i + 1] as Bin).length)
  for (let i = 1; i < argv.length; i += 2) {
    const probe = probeKey(db, argv[i] as Bin)
    putString(tx, probe, tx.find(keys, probe), argv[i + 1] as Bin)
  }
}

function mset(tx: Tx, argv: Argv, { db }: Context): Value {
  if (argv.length % 2 === 0) throw wrongArity('mset')
  setPairs(tx, argv, db)
  return OK
}

function msetnx(tx: Tx, argv: Argv, { db }: Context): Value {
  if (argv.length % 2 === 0) throw wrongArity('msetnx')
  for (let i = 1; i < argv.length; i += 2) if (findKey(tx, db, argv[i] as Bin) !== undefined) return 0
  setPairs(tx, argv, db)
  return 1
}

function incr(tx: Tx, argv: Argv, { db }: Context): Value {
  return integerReply(strings.increment(tx, db, argv[1] as Bin, 1))
}

function decr(tx: Tx, argv: Argv, { db }: Context): Value {
  return integerReply(strings.increment(tx, db, argv[1] as Bin, -1))
}

function incrby(tx: Tx, argv: Argv, { db }: Context): Value {
  return integerReply(strings.increment(tx, db, argv[1] as Bin, toInt64(argv[2] as Bin)))
}

function decrby(tx: Tx, argv: Argv, { db }: Context): Value {
  const by: Int64 | undefined = negateInt64(toInt64(argv[2] as Bin))
  if (by === undefined) throw new Failure('invalid', 'ERR decrement would overflow')
  return integerReply(strings.increment(tx, db, argv[1] as Bin, by))
}

function incrbyfloat(tx: Tx, argv: Argv, { db }: Context): Value {
  return strings.incrementFloat(tx, db, argv[1] as Bin, argv[2] as Bin)
}

function append(tx: Tx, argv: Argv, { db }: Context): Value {
  return strings.append(tx, db, argv[1] as Bin, argv[2] as Bin)
}

function strlen(tx: Tx, argv: Argv, { db }: Context): Value {
  return strings.stringLength(tx, strings.findString(tx, db, argv[1] as Bin))
}

function getrange(tx: Tx, argv: Argv, { db }: Context): Value {
  const start = toInt64(argv[2] as Bin)
  const end = toInt64(argv[3] as Bin)
  return strings.readRange(tx, strings.findString(tx, db, argv[1] as Bin), start, end)
}

function setrange(tx: Tx, argv: Argv, { db }: Context): Value {
  const offset = toInteger(argv[2] as Bin)
  if (offset < 0) throw new Failure('invalid', 'ERR offset is out of range')
  return strings.setRange(tx, db, argv[1] as Bin, offset, argv[3] as Bin)
}

/** Find a string for LCS, which has its own words for a wrong type. */
function findForLcs(tx: Tx, db: number, key: Bin): KeyRow | undefined {
  const row = findKey(tx, db, key)
  if (row === undefined || row.type === 'string') return row
  throw new Failure('invalid', 'ERR The specified keys must contain string values')
}

function lcs(tx: Tx, argv: Argv, { db }: Context): Value {
  const rows = [findForLcs(tx, db, argv[1] as Bin), findForLcs(tx, db, argv[2] as Bin)]
  let [len, idx, withLength, shortest] = [false, false, false, 0]
  for (let i = 3; i < argv.length; i++) {
    const word = (argv[i] as Bin).toUpperCase()
    if (word === 'LEN') len = true
    else if (word === 'IDX') idx = true
    else if (word === 'WITHMATCHLEN') withLength = true
    else if (word === 'MINMATCHLEN' && i + 1 < argv.length) shortest = toInteger(argv[++i] as Bin)
    else throw syntaxError()
  }
  if (len && idx) {
    throw new Failure('invalid', 'ERR If you want both the length and indexes, please just use IDX.')
  }
  const [left = '', right = ''] = readValues(tx, rows)
  const { text, matches } = longestCommonSubsequence(left, right)
  if (len) return text.length
  if (!idx) return text
  const listed = matches
    .filter((match) => match.length >= shortest)
    .map((match) => (withLength ? [match.left, match.right, match.length] : [match.left, match.right]))
  return {
    map: [
      ['matches', listed],
      ['len', text.length],
    ],
  }
}

const splitMget: Scatter = {
  kind: 'split',
  join(replies, places, keyCount) {
    const values: Value[] = new Array(keyCount).fill(null)
    for (const [piece, reply] of replies.entries()) {
      for (const [at, place] of (places[piece] as number[]).entries()) values[place] = (reply as Value[])[at] ?? null
    }
    return values
  },
}

const splitMset: Scatter = { kind: 'split', join: () => OK }

/** The string commands, bitmaps and HyperLogLogs included. */
export const stringCommands: readonly Command[] = [
  ...rows('string', [
    ['append', 3, oneKey, 'write', '2.0.0', append, 'Appends to a string; creates the key when absent.'],
    ['decr', 2, oneKey, 'write', '1.0.0', decr, 'Takes one from an integer; an absent key counts as 0.'],
    ['decrby', 3, oneKey, 'write', '1.0.0', decrby, 'Takes a number from an integer; an absent key counts as 0.'],
    ['get', 2, oneKey, 'read', '1.0.0', get, 'Returns the string value of a key.'],
    ['getdel', 2, oneKey, 'write', '6.2.0', getdel, 'Returns the string value of a key and removes the key.'],
    ['getex', -2, oneKey, 'write', '6.2.0', getex, 'Returns the string value of a key and sets when it expires.'],
    ['getrange', 4, oneKey, 'read', '2.4.0', getrange, 'Returns part of a string.'],
    ['getset', 3, oneKey, 'write', '1.0.0', getset, 'Sets a string and returns the old one.'],
    ['incr', 2, oneKey, 'write', '1.0.0', incr, 'Adds one to an integer; an absent key counts as 0.'],
    ['incrby', 3, oneKey, 'write', '1.0.0', incrby, 'Adds a number to an integer; an absent key counts as 0.'],
    ['incrbyfloat', 3, oneKey, 'write', '2.6.0', incrbyfloat, 'Adds to a floating point number.'],
    ['lcs', -3, twoKeys, 'read', '7.0.0', lcs, 'Finds the longest common subsequence of two strings.'],
    ['mget', -2, allKeys, 'read', '1.0.0', mget, 'Returns the string values of keys.', { scatter: splitMget }],
    ['mset', -3, pairKeys, 'write', '1.0.1', mset, 'Sets the string values of keys.', { scatter: splitMset }],
    ['msetnx', -3, pairKeys, 'write', '1.0.1', msetnx, 'Sets the string values of keys when none of them exists.'],
    ['psetex', 4, oneKey, 'write', '2.6.0', setWithTime('PX', 'psetex'), 'Sets a string that expires in milliseconds.'],
    ['set', -3, oneKey, 'write', '1.0.0', set, 'Sets the string value of a key, whatever it held.'],
    ['setex', 4, oneKey, 'write', '2.0.0', setWithTime('EX', 'setex'), 'Sets a string that expires in seconds.'],
    ['setnx', 3, oneKey, 'write', '1.0.0', setnx, 'Sets a string when the key does not exist.'],
    ['setrange', 4, oneKey, 'write', '2.2.0', setrange, 'Overwrites part of a string; creates the key when absent.'],
    ['strlen', 2, oneKey, 'read', '2.2.0', strlen, 'Returns the length of a string in bytes.'],
    ['substr', 4, oneKey, 'read', '1.0.0', getrange, 'Returns part of a string: the old name of GETRANGE.'],
  ]),
  ...bitCommands,
  ...hyperLogLogCommands,
]
