/** DUMP and RESTORE. */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { Tx } from '@dotdo/core/shard'
import type { Command, Context } from '../command.ts'
import { dumpKey, restoreKey } from '../engine/dump.ts'
import { alive, findKey, probeKey, removeKey } from '../engine/keys.ts'
import { decode } from '../engine/rdb/decode.ts'
import { unseal } from '../engine/rdb/payload.ts'
import { keys } from '../tables.ts'
import { OK, type Value } from '../value.ts'
import { syntaxError, toInt64, toInteger } from './arguments.ts'
import { oneKey, rows } from './rows.ts'

type Argv = readonly Bin[]

function dump(tx: Tx, argv: Argv, { db }: Context): Value {
  const row = findKey(tx, db, argv[1] as Bin)
  return row === undefined ? null : dumpKey(tx, row)
}

interface RestoreOptions {
  replace: boolean
  absolute: boolean
}

/** IDLETIME and FREQ are checked, and then nothing to us: when a key was used last is not kept. */
function parse(argv: Argv): RestoreOptions {
  const options: RestoreOptions = { replace: false, absolute: false }
  let accessed: string | undefined
  for (let i = 4; i < argv.length; i++) {
    const word = (argv[i] as Bin).toUpperCase()
    const isLast = i + 1 === argv.length
    if (word === 'REPLACE') options.replace = true
    else if (word === 'ABSTTL') options.absolute = true
    else if ((word === 'IDLETIME' || word === 'FREQ') && !isLast && (accessed ?? word) === word) {
      const value = toInt64(argv[++i] as Bin)
      const [max, range] = word === 'FREQ' ? [255, '>= 0 and <= 255'] : [Infinity, '>= 0']
      if (value < 0 || value > max) throw new Failure('invalid', `ERR Invalid ${word} value, must be ${range}`)
      accessed = word
    } else throw syntaxError()
  }
  return options
}

function restore(tx: Tx, argv: Argv, { db }: Context): Value {
  const { replace, absolute } = parse(argv)
  const probe = probeKey(db, argv[1] as Bin)
  const stored = tx.find(keys, probe)
  if (!replace && alive(tx, stored) !== undefined) {
    throw new Failure('exists', 'BUSYKEY Target key name already exists.')
  }
  const time = toInteger(argv[2] as Bin)
  if (time < 0) throw new Failure('invalid', 'ERR Invalid TTL value, must be >= 0')
  const dumped = decode(unseal(argv[3] as Bin))
  const expires = time === 0 ? null : Math.min(absolute ? time : tx.nowMs + time, Number.MAX_SAFE_INTEGER)
  if (expires === null || expires > tx.nowMs) restoreKey(tx, probe, stored, { dumped, expires })
  else if (stored !== undefined) removeKey(tx, stored)
  return OK
}

/** DUMP and RESTORE. */
export const dumpCommands: readonly Command[] = rows('generic', [
  ['dump', 2, oneKey, 'read', '2.6.0', dump, 'Returns the value of a key in the form that RESTORE takes.'],
  ['restore', -4, oneKey, 'write', '2.6.0', restore, 'Makes a key of what DUMP returned; access times are not kept.'],
])
