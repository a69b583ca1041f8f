/** MEMORY and its subcommands. */
import type { Bin } from '@dotdo/core/bytes'
import type { Tx } from '@dotdo/core/shard'
import type { Command, Context } from '../command.ts'
import { findKey } from '../engine/keys.ts'
import { keyBytes } from '../engine/memory.ts'
import type { Row, Session } from '../session.ts'
import { OK, type Value } from '../value.ts'
import { syntaxError, toInteger } from './arguments.ts'
import { rows } from './rows.ts'

/** Elements that are looked at when nothing is said: as Redis. */
const SAMPLES = 5

function usage(tx: Tx, argv: readonly Bin[], { db }: Context): Value {
  let samples = SAMPLES
  for (let i = 3; i < argv.length; i += 2) {
    if (!/^samples$/i.test(argv[i] as Bin) || argv[i + 1] === undefined) throw syntaxError()
    samples = toInteger(argv[i + 1] as Bin)
    if (samples < 0) throw syntaxError()
  }
  const row = findKey(tx, db, argv[2] as Bin)
  return row === undefined ? null : keyBytes(tx, row, samples)
}

/** Only what the process knows of itself: keys are on disk, and in memory as far as they are used. */
function stats({ server }: Session): Value {
  const memory = server.info.memory?.()
  const known: [Value, Value][] = [['clients.normal', [...server.sessions.values()].reduce(queued, 0)]]
  if (memory === undefined) return { map: known }
  return {
    map: [['total.allocated', memory.usedBytes], ['process.resident', memory.residentBytes], ...known],
  }
}

const queued = (sum: number, session: Session) => sum + session.queuedInputBytes + session.transport.queuedBytes()

function doctor(): Value {
  const text =
    'Keys are stored on disk, and kept in memory as far as they are used: there is nothing to diagnose here.\n'
  return { verbatim: text, format: 'txt' }
}

const row = { mode: 'session', group: 'server', since: '4.0.0' } as const
const keyAt2 = { first: 2, last: 2, step: 1 }

/** The subcommands that run in a shard. */
export const memoryKeyCommands: readonly Command[] = [
  { ...row, name: 'memory', arity: -2, summary: 'A container for memory diagnostics commands.' },
  ...rows('server', [
    ['memory|usage', -3, keyAt2, 'read', '4.0.0', usage, 'Returns how many bytes a key takes, elements by a sample.'],
  ]),
]

/** The subcommands that do not. */
export const memoryCommands: readonly Row[] = [
  { ...row, name: 'memory|doctor', arity: 2, summary: 'Says that there is nothing to diagnose.', session: doctor },
  {
    ...row,
    name: 'memory|malloc-stats',
    arity: 2,
    summary: 'Says that the allocator keeps no statistics.',
    session: () => 'Stats not supported for the current allocator',
  },
  {
    ...row,
    name: 'memory|purge',
    arity: 2,
    // The answer of Redis over an allocator that cannot be told.
    summary: 'Does nothing: memory is given back by the garbage collector.',
    session: () => OK,
  },
  { ...row, name: 'memory|stats', arity: 2, summary: 'Returns what the process knows of its memory.', session: stats },
]
