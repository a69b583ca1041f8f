/** SORT and SORT_RO. */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { crc16Slot, type Tx } from '@dotdo/core/shard'
import type { Command, Context } from '../command.ts'
import { findKey, probeKey, removeKey } from '../engine/keys.ts'
import { push } from '../engine/lists.ts'
import { readPattern, type Sorting, sortElements } from '../engine/sort.ts'
import { keys } from '../tables.ts'
import type { Value } from '../value.ts'
import { syntaxError, toInteger } from './arguments.ts'
import { oneKey, rows } from './rows.ts'

type Argv = readonly Bin[]

type Options = { -readonly [name in keyof Sorting]: Sorting[name] } & {
  gets: Bin[]
  /** The place of the key to store the result at. */
  store: number | undefined
}

/** @param storing whether STORE is an option */
function parse(argv: Argv, storing: boolean): Options {
  const options: Options = {
    by: undefined,
    alpha: false,
    descending: false,
    offset: 0,
    count: -1,
    gets: [],
    store: undefined,
  }
  for (let i = 2; i < argv.length; i++) {
    const word = (argv[i] as Bin).toUpperCase()
    const left = argv.length - i - 1
    if (word === 'ASC') options.descending = false
    else if (word === 'DESC') options.descending = true
    else if (word === 'ALPHA') options.alpha = true
    else if (word === 'LIMIT' && left >= 2) {
      options.offset = toInteger(argv[++i] as Bin)
      options.count = toInteger(argv[++i] as Bin)
    } else if (word === 'STORE' && storing && left >= 1) options.store = ++i
    else if (word === 'BY' && left >= 1) options.by = argv[++i] as Bin
    else if (word === 'GET' && left >= 1) options.gets.push(argv[++i] as Bin)
    else throw syntaxError()
  }
  return options
}

/** Whether all keys that a pattern names are in the slot of a key. */
function staysIn(pattern: Bin, key: Bin): boolean {
  const star = pattern.indexOf('*')
  if (star < 0) return true
  const tag = /^[^{]*\{([^}]+)\}/.exec(pattern)?.[0]
  return tag !== undefined && (star >= tag.length || star < tag.indexOf('{')) && crc16Slot(pattern) === crc16Slot(key)
}

/** @source redis 7.4 sort.c sortCommandGeneric, in cluster mode */
function checkApart(argv: Argv): void {
  const { by, gets } = parse(argv, true)
  const refuse = (option: string) => {
    const when = 'when keys formed by the pattern may be in different slots.'
    return new Failure('unsupported', `ERR ${option} option of SORT denied in cluster mode ${when}`)
  }
  if (by !== undefined && !staysIn(by, argv[1] as Bin)) throw refuse('BY')
  for (const get of gets) if (!staysIn(get, argv[1] as Bin)) throw refuse('GET')
}

function run(tx: Tx, argv: Argv, { db }: Context, storing: boolean): Value {
  const options = parse(argv, storing)
  const row = findKey(tx, db, argv[1] as Bin)
  const sorted = row === undefined ? [] : sortElements(tx, row, options)
  const columns = options.gets.map((pattern) => readPattern(tx, db, pattern, sorted))
  const found = columns.length === 0 ? sorted : sorted.flatMap((_, i) => columns.map((column) => column[i] ?? null))
  if (options.store === undefined) return found
  const target = argv[options.store] as Bin
  const stored = tx.find(keys, probeKey(db, target))
  if (stored !== undefined) removeKey(tx, stored)
  if (found.length === 0) return 0
  const values = found.map((value) => value ?? '')
  return push(tx, db, target, values, 'right')
}

function sort(tx: Tx, argv: Argv, context: Context): Value {
  return run(tx, argv, context, true)
}

function sortReadOnly(tx: Tx, argv: Argv, context: Context): Value {
  return run(tx, argv, context, false)
}

const sortKeys = {
  checkApart,
  findKeys(argv: Argv): number[] {
    const { store } = parse(argv, true)
    return store === undefined ? [1] : [1, store]
  },
}
const sortReadOnlyKeys = { checkApart, findKeys: (_: Argv) => [1] }

/** SORT and SORT_RO. */
export const sortCommands: readonly Command[] = rows('generic', [
  [
    'sort',
    -2,
    undefined,
    'write',
    '1.0.0',
    sort,
    'Sorts a list, set or sorted set, and may store the result.',
    sortKeys,
  ],
  ['sort_ro', -2, oneKey, 'read', '7.0.0', sortReadOnly, 'Sorts a list, set or sorted set.', sortReadOnlyKeys],
])
