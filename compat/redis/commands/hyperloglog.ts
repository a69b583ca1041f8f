/** The HyperLogLog commands: PFADD, PFCOUNT, PFMERGE, PFDEBUG, PFSELFTEST. */
import { type Bin, fromBin, toBin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { Tx, View } from '@dotdo/core/shard'
import type { Command, Context, Scatter } from '../command.ts'
import * as sketches from '../engine/hyperloglog.ts'
import { findKey, wrongType } from '../engine/keys.ts'
import { replaceValue, type Target, targetString, targetValue } from '../engine/strings.ts'
import { readValues } from '../engine/values.ts'
import { OK, type Value } from '../value.ts'
import { allKeys, oneKey, rows } from './rows.ts'

type Argv = readonly Bin[]

/** Open what a target holds.
 *  @returns undefined when there is none */
function openTarget(tx: Tx, target: Target): sketches.Sketch | undefined {
  const value = targetValue(tx, target)
  return value === undefined ? undefined : sketches.openSketch(value)
}

function store(tx: Tx, target: Target, sketch: sketches.Sketch): void {
  replaceValue(tx, target, sketches.closeSketch(sketch))
}

function pfadd(tx: Tx, argv: Argv, { db }: Context): Value {
  const target = targetString(tx, db, argv[1] as Bin)
  const found = openTarget(tx, target)
  const sketch = found ?? sketches.emptySketch()
  let changed = found === undefined
  for (let i = 2; i < argv.length; i++) if (sketches.addElement(sketch, argv[i] as Bin)) changed = true
  if (!changed) return 0
  sketches.markStale(sketch)
  store(tx, target, sketch)
  return 1
}

/** Raise registers to those of keys. */
function gatherRegisters(view: View, db: number, names: readonly Bin[]): Uint8Array {
  const found = names.map((key) => {
    const row = findKey(view, db, key)
    if (row !== undefined && row.type !== 'string') throw wrongType()
    return row
  })
  const registers = sketches.zeroRegisters()
  for (const value of readValues(view, found)) {
    if (value !== undefined) sketches.mergeRegisters(registers, sketches.openSketch(value))
  }
  return registers
}

/** The count of one key is kept in it, as Redis does: the next one costs nothing. */
function countOne(tx: Tx, db: number, key: Bin): Value {
  const target = targetString(tx, db, key)
  const sketch = openTarget(tx, target)
  if (sketch === undefined) return 0
  const kept = sketches.keptCount(sketch)
  if (kept !== undefined) return kept
  const count = sketches.estimate(sketches.readRegisters(sketch))
  sketches.keepCount(sketch, count)
  store(tx, target, sketch)
  return count
}

/** Names a piece of a PFCOUNT over several shards: it answers registers, as counts cannot be joined. */
const PIECE = 'pfcount registers'

function pfcount(tx: Tx, argv: Argv, { db }: Context): Value {
  if (argv[0] === PIECE) return toBin(gatherRegisters(tx, db, argv.slice(1)))
  if (argv.length === 2) return countOne(tx, db, argv[1] as Bin)
  return sketches.estimate(gatherRegisters(tx, db, argv.slice(1)))
}

const splitCount: Scatter = {
  kind: 'split',
  piece: PIECE,
  join(replies) {
    const registers = sketches.zeroRegisters()
    for (const reply of replies) {
      for (const [i, value] of fromBin(reply as Bin).entries()) {
        if (value > (registers[i] as number)) registers[i] = value
      }
    }
    return sketches.estimate(registers)
  },
}

function pfmerge(tx: Tx, argv: Argv, { db }: Context): Value {
  const names = argv.slice(1)
  const registers = gatherRegisters(tx, db, names)
  const target = targetString(tx, db, argv[1] as Bin)
  const sketch = openTarget(tx, target) ?? sketches.emptySketch()
  const dense = names.some((key) => {
    const source = openTarget(tx, targetString(tx, db, key))
    return source !== undefined && sketches.isDense(source)
  })
  if (dense) sketches.makeDense(sketch)
  sketches.raiseAll(sketch, registers)
  sketches.markStale(sketch)
  store(tx, target, sketch)
  return OK
}

function pfdebug(tx: Tx, argv: Argv, { db }: Context): Value {
  const word = argv[1] as Bin
  const target = targetString(tx, db, argv[2] as Bin)
  if (target.row === undefined) throw new Failure('not_found', 'ERR The specified key does not exist')
  const sketch = openTarget(tx, target) as sketches.Sketch
  const what = word.toLowerCase()
  if (!['getreg', 'decode', 'encoding', 'todense'].includes(what)) {
    throw new Failure('invalid', `ERR Unknown PFDEBUG subcommand '${word}'`)
  }
  if (what === 'encoding') return { simple: sketches.isDense(sketch) ? 'dense' : 'sparse' }
  if (what === 'decode') {
    if (sketches.isDense(sketch)) throw new Failure('invalid', 'ERR HLL encoding is not sparse')
    return sketches.describeRuns(sketch)
  }
  const made = sketches.makeDense(sketch)
  if (made) store(tx, target, sketch)
  return what === 'todense' ? Number(made) : [...sketches.readRegisters(sketch)]
}

function pfselftest(): Value {
  const wrong = sketches.selfTest()
  if (wrong !== undefined) throw new Failure('internal', wrong)
  return OK
}

const debugKey = { first: 2, last: 2, step: 1 }
const everywhere: { scatter: Scatter } = { scatter: { kind: 'all', merge: () => OK } }

/** The HyperLogLog commands; they belong to the strings they work on. */
export const hyperLogLogCommands: readonly Command[] = rows('hyperloglog', [
  ['pfadd', -2, oneKey, 'write', '2.8.9', pfadd, 'Adds elements to a HyperLogLog; creates the key when absent.'],
  [
    'pfcount',
    -2,
    allKeys,
    'read',
    '2.8.9',
    pfcount,
    'Estimates how many elements the HyperLogLogs have together.',
    { scatter: splitCount },
  ],
  ['pfdebug', 3, debugKey, 'write', '2.8.9', pfdebug, 'Shows the registers, runs or encoding of a HyperLogLog.'],
  ['pfmerge', -2, allKeys, 'write', '2.8.9', pfmerge, 'Merges HyperLogLogs into the first key.'],
  ['pfselftest', 1, undefined, 'read', '2.8.9', pfselftest, 'Checks registers and estimates.', everywhere],
])
