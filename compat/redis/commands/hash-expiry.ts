/** The commands on when fields of hashes expire.
 *  @source Redis 7.4, https://redis.io/docs/latest/commands/hexpire/ */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { Tx } from '@dotdo/core/shard'
import type { Command, Context } from '../command.ts'
import { setFieldExpires, withoutExpired } from '../engine/field-expiry.ts'
import { findField, findHash, removeNamedFields } from '../engine/hashes.ts'
import { parseInt64 } from '../engine/integers.ts'
import type { FieldRow } from '../tables.ts'
import type { Value } from '../value.ts'
import { type TimeUnit, timeOptions, toInt64 } from './arguments.ts'
import { allowed, type Flags, flagsOf } from './expire.ts'
import { oneKey, rows } from './rows.ts'

type Argv = readonly Bin[]

/** The last time at which a field can expire, in ms since 1970: Redis keeps two of 48 bits for itself. */
const TIME_MAX_MS = 2 ** 46 - 1

const NO_FIELD = -2
const NO_TIME = -1
const NOT_MET = 0
const DONE = 1
const REMOVED = 2

/** Read `FIELDS n field...` from an index on. */
function toFields(argv: Argv, at: number, notPositive: string): Argv {
  if (argv[at]?.toUpperCase() !== 'FIELDS') {
    throw new Failure('invalid', 'ERR Mandatory argument FIELDS is missing or not at the right position')
  }
  const count = parseInt64(argv[at + 1] ?? '')
  if (count === undefined || count < 1) throw new Failure('invalid', `ERR ${notPositive}`)
  const found = argv.slice(at + 2)
  if (found.length !== count) {
    throw new Failure('invalid', 'ERR The `numfields` parameter must match the number of arguments')
  }
  return found
}

function toTime(argument: Bin, { unitMs, relative }: TimeUnit, nowMs: number, command: string): number {
  const value = toInt64(argument)
  if (value < 0) throw new Failure('invalid', 'ERR invalid expire time, must be >= 0')
  const timeMs = Number(value) * unitMs + (relative ? nowMs : 0)
  if (timeMs > TIME_MAX_MS) throw new Failure('invalid', `ERR invalid expire time in '${command}' command`)
  return timeMs
}

/** Tell what becomes of a field. */
function judge(flags: Flags, expires: number, nowMs: number, found: FieldRow | undefined): number {
  if (found === undefined) return NO_FIELD
  if (!allowed(flags, found.expires, expires)) return NOT_MET
  return expires <= nowMs ? REMOVED : DONE
}

function expireBy(command: string, unit: TimeUnit): NonNullable<Command['run']> {
  return (tx, argv, { db }) => {
    const hash = findHash(tx, db, argv[1] as Bin)
    const expires = toTime(argv[2] as Bin, unit, tx.nowMs, command)
    const flag = flagsOf[(argv[3] as Bin).toUpperCase()]
    const flags: Flags = flag === undefined ? {} : { [flag]: true }
    const names = toFields(argv, flag === undefined ? 3 : 4, 'Parameter `numFields` should be greater than 0')
    const row = hash && withoutExpired(tx, hash)
    if (row === undefined) return names.map(() => NO_FIELD)
    // A name that comes twice meets what became of it the first time.
    const later = new Map<Bin, FieldRow>()
    const removed = new Set<Bin>()
    const results = names.map((name) => {
      const found = removed.has(name) ? undefined : (later.get(name) ?? findField(tx, row, name))
      const result = judge(flags, expires, tx.nowMs, found)
      if (result === REMOVED) removed.add(name)
      if (result === DONE) later.set(name, { ...(found as FieldRow), expires })
      return result
    })
    setFieldExpires(tx, row, [...later.values()], expires)
    if (removed.size > 0) removeNamedFields(tx, db, row.key, [...removed])
    return results
  }
}

/** Tell when fields expire. */
function timeBy(unitMs: number, relative: boolean): NonNullable<Command['run']> {
  return (tx, argv, { db }) => {
    const row = findHash(tx, db, argv[1] as Bin)
    const names = toFields(argv, 2, 'Number of fields must be a positive integer')
    return names.map((name) => {
      const found = row && findField(tx, row, name)
      if (found === undefined) return NO_FIELD
      if (found.expires === null) return NO_TIME
      return Math.ceil((relative ? found.expires - tx.nowMs : found.expires) / unitMs)
    })
  }
}

function hpersist(tx: Tx, argv: Argv, { db }: Context): Value {
  const row = findHash(tx, db, argv[1] as Bin)
  const names = toFields(argv, 2, 'Number of fields must be a positive integer')
  const changed = new Map<Bin, FieldRow>()
  const results = names.map((name) => {
    const found = row && findField(tx, row, name)
    if (found === undefined) return NO_FIELD
    if (found.expires === null || changed.has(name)) return NO_TIME
    changed.set(name, found)
    return DONE
  })
  if (row !== undefined) setFieldExpires(tx, row, [...changed.values()], null)
  return results
}

const { EX, PX, EXAT, PXAT } = timeOptions as Record<'EX' | 'PX' | 'EXAT' | 'PXAT', TimeUnit>

/** The commands on when fields of hashes expire. */
export const hashExpiryCommands: readonly Command[] = rows('hash', [
  ['hexpire', -6, oneKey, 'write', '7.4.0', expireBy('hexpire', EX), 'Sets in how many seconds fields expire.'],
  ['hexpireat', -6, oneKey, 'write', '7.4.0', expireBy('hexpireat', EXAT), 'Sets the second at which fields expire.'],
  ['hexpiretime', -5, oneKey, 'read', '7.4.0', timeBy(1000, false), 'Returns the seconds at which fields expire.'],
  ['hpersist', -5, oneKey, 'write', '7.4.0', hpersist, 'Keeps fields from expiring.'],
  ['hpexpire', -6, oneKey, 'write', '7.4.0', expireBy('hpexpire', PX), 'Sets in how many milliseconds fields expire.'],
  [
    'hpexpireat',
    -6,
    oneKey,
    'write',
    '7.4.0',
    expireBy('hpexpireat', PXAT),
    'Sets the millisecond when fields expire.',
  ],
  ['hpexpiretime', -5, oneKey, 'read', '7.4.0', timeBy(1, false), 'Returns the milliseconds when fields expire.'],
  ['hpttl', -5, oneKey, 'read', '7.4.0', timeBy(1, true), 'Returns in how many milliseconds fields expire.'],
  ['httl', -5, oneKey, 'read', '7.4.0', timeBy(1000, true), 'Returns in how many seconds fields expire.'],
])
