/** The commands on keys of any type, but for expiry (expire.ts) and walking (scan.ts). */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { Tx } from '@dotdo/core/shard'
import type { Command, Context, Scatter } from '../command.ts'
import { isLarge } from '../engine/chunks.ts'
import { allElementTables } from '../engine/elements.ts'
import { parseInt64 } from '../engine/integers.ts'
import { alive, copyKey, type Doomed, doom, findKey, type KeyProbe, probeKey, removeDoomed } from '../engine/keys.ts'
import { swapDatabases } from '../engine/swap.ts'
import { readValue } from '../engine/values.ts'
import { type KeyRow, keys } from '../tables.ts'
import { OK, type Value } from '../value.ts'
import { syntaxError, toInteger } from './arguments.ts'
import { expireCommands } from './expire.ts'
import { allKeys, oneKey, rows, twoKeys } from './rows.ts'

type Argv = readonly Bin[]

/** Numbered databases, as many as Redis has by default. */
const DATABASES = 16

function del(tx: Tx, argv: Argv, { db }: Context): Value {
  const doomed: Doomed[] = []
  for (let i = 1; i < argv.length; i++) {
    const stored = tx.find(keys, probeKey(db, argv[i] as Bin))
    if (stored !== undefined) doomed.push(doom(tx, stored))
  }
  let removed = 0
  for (const each of doomed) if (removeDoomed(tx, each) && alive(tx, each.row) !== undefined) removed++
  return removed
}

function exists(tx: Tx, argv: Argv, { db }: Context): Value {
  let found = 0
  for (let i = 1; i < argv.length; i++) if (findKey(tx, db, argv[i] as Bin) !== undefined) found++
  return found
}

function type(tx: Tx, argv: Argv, { db }: Context): Value {
  return { simple: findKey(tx, db, argv[1] as Bin)?.type ?? 'none' }
}

function noSuchKey(): Failure {
  return new Failure('not_found', 'ERR no such key')
}

/** Give a key another name or database. */
function transfer(tx: Tx, source: KeyRow, target: KeyProbe, stored: KeyRow | undefined): void {
  const doomed = doom(tx, source)
  copyKey(tx, source, target, stored)
  removeDoomed(tx, doomed)
}

function renameKey(tx: Tx, argv: Argv, db: number, overwrite: boolean): boolean {
  const source = findKey(tx, db, argv[1] as Bin)
  if (source === undefined) throw noSuchKey()
  if (argv[1] === argv[2]) return overwrite
  const target = probeKey(db, argv[2] as Bin)
  const stored = tx.find(keys, target)
  if (!overwrite && alive(tx, stored) !== undefined) return false
  transfer(tx, source, target, stored)
  return true
}

function rename(tx: Tx, argv: Argv, { db }: Context): Value {
  renameKey(tx, argv, db, true)
  return OK
}

function renamenx(tx: Tx, argv: Argv, { db }: Context): Value {
  return renameKey(tx, argv, db, false) ? 1 : 0
}

function toDatabase(argument: Bin): number {
  const db = toInteger(argument)
  if (db < 0 || db >= DATABASES) throw new Failure('invalid', 'ERR DB index is out of range')
  return db
}

function sameObject(): Failure {
  return new Failure('invalid', 'ERR source and destination objects are the same')
}

function move(tx: Tx, argv: Argv, { db }: Context): Value {
  const to = toDatabase(argv[2] as Bin)
  if (to === db) throw sameObject()
  const source = findKey(tx, db, argv[1] as Bin)
  const target = probeKey(to, argv[1] as Bin)
  const stored = tx.find(keys, target)
  if (source === undefined || alive(tx, stored) !== undefined) return 0
  transfer(tx, source, target, stored)
  return 1
}

function copy(tx: Tx, argv: Argv, { db }: Context): Value {
  let to = db
  let replace = false
  for (let i = 3; i < argv.length; i++) {
    const word = (argv[i] as Bin).toUpperCase()
    if (word === 'REPLACE') replace = true
    else if (word === 'DB' && i + 1 < argv.length) to = toDatabase(argv[++i] as Bin)
    else throw syntaxError()
  }
  if (to === db && argv[1] === argv[2]) throw sameObject()
  const source = findKey(tx, db, argv[1] as Bin)
  if (source === undefined) return 0
  const target = probeKey(to, argv[2] as Bin)
  const stored = tx.find(keys, target)
  if (!replace && alive(tx, stored) !== undefined) return 0
  copyKey(tx, source, target, stored)
  return 1
}

/** ASYNC and SYNC are the same here: the rows go in the transaction, the pages later. */
function checkFlush(argv: Argv): void {
  const mode = argv[1]?.toUpperCase()
  if (argv.length > 2 || (mode !== undefined && mode !== 'ASYNC' && mode !== 'SYNC')) throw syntaxError()
}

function flushdb(tx: Tx, argv: Argv, { db }: Context): Value {
  checkFlush(argv)
  for (const table of allElementTables) tx.truncate(table, { db })
  tx.truncate(keys, { db })
  return OK
}

function flushall(tx: Tx, argv: Argv): Value {
  checkFlush(argv)
  for (const table of allElementTables) tx.truncate(table)
  tx.truncate(keys)
  return OK
}

/** Collections are trees of rows here, which are no listpacks whatever their size. */
const encodings = {
  hash: 'hashtable',
  list: 'quicklist',
  set: 'hashtable',
  zset: 'skiplist',
  stream: 'stream',
} as const

/** Strings as Redis would hold them when set. */
function objectEncoding(tx: Tx, argv: Argv, { db }: Context): Value {
  const row = findKey(tx, db, argv[2] as Bin)
  if (row === undefined) return null
  if (row.type !== 'string') return encodings[row.type]
  if (isLarge(row)) return 'raw'
  const value = readValue(tx, row)
  if (parseInt64(value) !== undefined) return 'int'
  return value.length <= 44 ? 'embstr' : 'raw'
}

function objectFreq(tx: Tx, argv: Argv, { db }: Context): Value {
  if (findKey(tx, db, argv[2] as Bin) === undefined) return null
  throw new Failure(
    'unsupported',
    'ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching ' +
      'between policies at runtime LRU and LFU data will take some time to adjust.',
  )
}

function objectIdletime(tx: Tx, argv: Argv, { db }: Context): Value {
  if (findKey(tx, db, argv[2] as Bin) === undefined) return null
  throw new Failure('unsupported', 'ERR OBJECT IDLETIME is not supported: the time of the last access is not kept')
}

function objectRefcount(tx: Tx, argv: Argv, { db }: Context): Value {
  return findKey(tx, db, argv[2] as Bin) === undefined ? null : 1
}

function swapdb(tx: Tx, argv: Argv): Value {
  const [left, right] = [argv[1] as Bin, argv[2] as Bin].map((word) => parseInt64(word))
  if (left === undefined) throw new Failure('invalid', 'ERR invalid first DB index')
  if (right === undefined) throw new Failure('invalid', 'ERR invalid second DB index')
  swapDatabases(tx, toDatabase(`${left}`), toDatabase(`${right}`))
  return OK
}

/** Add up the integers that pieces or shards answered. */
export function sum(replies: readonly Value[]): Value {
  return replies.reduce<number>((total, reply) => total + (reply as number), 0)
}

const scatter: Scatter = { kind: 'split', join: sum }
const split = { scatter }
const everywhere: { scatter: Scatter } = { scatter: { kind: 'all', merge: () => OK } }
const objectKey = { first: 2, last: 2, step: 1 }

/** A container of subcommands: the session finds the subcommand's own row. */
const objectContainer: Command = {
  name: 'object',
  arity: -2,
  mode: 'read',
  since: '2.2.3',
  group: 'generic',
  summary: 'A container for commands that tell how a key is stored.',
}

/** The commands on keys of any type, those on expiry included. */
export const keyCommands: readonly Command[] = [
  ...rows('generic', [
    ['copy', -3, twoKeys, 'write', '6.2.0', copy, 'Copies a key to another name or database.'],
    ['del', -2, allKeys, 'write', '1.0.0', del, 'Removes keys.', split],
    ['exists', -2, allKeys, 'read', '1.0.0', exists, 'Tells how many of the keys exist.', split],
    ['move', 3, oneKey, 'write', '1.0.0', move, 'Moves a key to another database.'],
    ['rename', 3, twoKeys, 'write', '1.0.0', rename, 'Renames a key and overwrites the destination.'],
    ['renamenx', 3, twoKeys, 'write', '1.0.0', renamenx, 'Renames a key when the new name does not exist.'],
    [
      'touch',
      -2,
      allKeys,
      'read',
      '3.2.1',
      exists,
      'Tells how many of the keys exist; access times are not kept.',
      split,
    ],
    ['type', 2, oneKey, 'read', '1.0.0', type, 'Returns the type of a key.'],
    ['unlink', -2, allKeys, 'write', '4.0.0', del, 'Removes keys, as DEL does.', split],
  ]),
  ...rows('server', [
    ['flushall', -1, undefined, 'write', '1.0.0', flushall, 'Removes all keys of all numbered databases.', everywhere],
    ['flushdb', -1, undefined, 'write', '1.0.0', flushdb, 'Removes all keys of the numbered database.', everywhere],
    ['swapdb', 3, undefined, 'write', '4.0.0', swapdb, 'Swaps two numbered databases: in a database of one shard.'],
  ]),
  objectContainer,
  ...rows('generic', [
    ['object|encoding', 3, objectKey, 'read', '2.2.3', objectEncoding, 'Returns how the value of a key is stored.'],
    ['object|freq', 3, objectKey, 'read', '4.0.0', objectFreq, 'Refused: access frequencies are not kept.'],
    ['object|idletime', 3, objectKey, 'read', '2.2.3', objectIdletime, 'Refused: access times are not kept.'],
    ['object|refcount', 3, objectKey, 'read', '2.2.3', objectRefcount, 'Returns 1 for a key that exists.'],
  ]),
  ...expireCommands,
]
