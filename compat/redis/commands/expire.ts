/** The commands on when keys expire. */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { Tx } from '@dotdo/core/shard'
import type { Command, Context } from '../command.ts'
import { findKey, setExpires } from '../engine/keys.ts'
import type { Value } from '../value.ts'
import { type TimeUnit, timeOptions, toInt64, toTimeMs } from './arguments.ts'
import { oneKey, rows } from './rows.ts'

type Argv = readonly Bin[]

/** The conditions by the words that ask for them. */
export const flagsOf: { readonly [word: string]: keyof Flags } = { NX: 'nx', XX: 'xx', GT: 'gt', LT: 'lt' }

/** Conditions on when a key, or a field, expires so far. */
export interface Flags {
  nx?: true
  xx?: true
  gt?: true
  lt?: true
}

function parseFlags(argv: Argv): Flags {
  const flags: Flags = {}
  for (let i = 3; i < argv.length; i++) {
    const flag = flagsOf[(argv[i] as Bin).toUpperCase()]
    if (flag === undefined) throw new Failure('invalid', `ERR Unsupported option ${argv[i]}`)
    flags[flag] = true
  }
  if (flags.nx && (flags.xx || flags.gt || flags.lt)) {
    throw new Failure('invalid', 'ERR NX and XX, GT or LT options at the same time are not compatible')
  }
  if (flags.gt && flags.lt) {
    throw new Failure('invalid', 'ERR GT and LT options at the same time are not compatible')
  }
  return flags
}

/** Whether the flags let a key that expires at `old` expire at `expires`; one that never expires is later than any. */
export function allowed({ nx, xx, gt, lt }: Flags, old: number | null, expires: number): boolean {
  if (nx && old !== null) return false
  if (xx && old === null) return false
  if (gt && (old === null || expires <= old)) return false
  return !(lt && old !== null && expires >= old)
}

function expireBy(command: string, unit: TimeUnit): NonNullable<Command['run']> {
  return (tx, argv, { db }) => {
    const flags = parseFlags(argv)
    const expires = toTimeMs(toInt64(argv[2] as Bin), unit, tx.nowMs, command)
    const row = findKey(tx, db, argv[1] as Bin)
    if (row === undefined || !allowed(flags, row.expires, expires)) return 0
    setExpires(tx, row, expires)
    return 1
  }
}

/** Tell when a key expires: -2 for no key, -1 for never. */
function timeBy(unitMs: number, relative: boolean): NonNullable<Command['run']> {
  return (tx, argv, { db }) => {
    const row = findKey(tx, db, argv[1] as Bin)
    if (row === undefined) return -2
    if (row.expires === null) return -1
    const timeMs = relative ? row.expires - tx.nowMs : row.expires
    return unitMs === 1 ? timeMs : Math.floor((timeMs + unitMs / 2) / unitMs)
  }
}

function persist(tx: Tx, argv: Argv, { db }: Context): Value {
  const row = findKey(tx, db, argv[1] as Bin)
  if (row === undefined || row.expires === null) return 0
  setExpires(tx, row, null)
  return 1
}

const { EX, PX, EXAT, PXAT } = timeOptions as Record<'EX' | 'PX' | 'EXAT' | 'PXAT', TimeUnit>

/** The commands on when keys expire. */
export const expireCommands: readonly Command[] = rows('generic', [
  ['expire', -3, oneKey, 'write', '1.0.0', expireBy('expire', EX), 'Sets in how many seconds a key expires.'],
  ['expireat', -3, oneKey, 'write', '1.2.0', expireBy('expireat', EXAT), 'Sets the second at which a key expires.'],
  ['expiretime', 2, oneKey, 'read', '7.0.0', timeBy(1000, false), 'Returns the second at which a key expires.'],
  ['persist', 2, oneKey, 'write', '2.2.0', persist, 'Keeps a key from expiring.'],
  ['pexpire', -3, oneKey, 'write', '2.6.0', expireBy('pexpire', PX), 'Sets in how many milliseconds a key expires.'],
  ['pexpireat', -3, oneKey, 'write', '2.6.0', expireBy('pexpireat', PXAT), 'Sets the millisecond when a key expires.'],
  ['pexpiretime', 2, oneKey, 'read', '7.0.0', timeBy(1, false), 'Returns the millisecond when a key expires.'],
  ['pttl', 2, oneKey, 'read', '2.6.0', timeBy(1, true), 'Returns in how many milliseconds a key expires.'],
  ['ttl', 2, oneKey, 'read', '1.0.0', timeBy(1000, true), 'Returns in how many seconds a key expires.'],
])
