/** The stream commands, but for those of consumer groups (stream-groups.ts) and XINFO (stream-info.ts). */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { Tx } from '@dotdo/core/shard'
import type { Command, Context, Scatter } from '../command.ts'
import { unpackWords } from '../engine/stream-fields.ts'
import { ID_MAX, ID_MIN, idAfter, idText, readState } from '../engine/stream-ids.ts'
import type { EntryRow } from '../engine/stream-tables.ts'
import * as streams from '../engine/streams.ts'
import { OK, type Value, type WouldBlock } from '../value.ts'
import { syntaxError, toInt64, toInteger, wrongArity } from './arguments.ts'
import { oneKey, rows } from './rows.ts'
import { parseRead, parseTrim, readBlock, readKeys, refuse, toEnd, toStart, toStrictId } from './stream-arguments.ts'

type Argv = readonly Bin[]

/** Show an entry: its id, and names and values in turn. */
export function entryReply({ id, fields }: EntryRow): Value {
  return [idText(id), unpackWords(fields as Bin)]
}

function xadd(tx: Tx, argv: Argv, { db }: Context): Value {
  const { trim, create, id, idAt } = parseTrim(argv, true)
  const fields = argv.slice(idAt + 1)
  if (id === undefined || fields.length < 2 || fields.length % 2 !== 0) throw wrongArity('xadd')
  if (id !== '*' && 'id' in id && id.id === ID_MIN) {
    throw refuse('The ID specified in XADD must be greater than 0-0')
  }
  const added = streams.addEntry(tx, db, argv[1] as Bin, { id, fields, create, trim })
  return added === undefined ? null : idText(added)
}

function xlen(tx: Tx, argv: Argv, { db }: Context): Value {
  return streams.findStream(tx, db, argv[1] as Bin)?.size ?? 0
}

/** Parse the COUNT of a range; negative ones are 0.
 *  @returns undefined when there is none */
function parseCount(argv: Argv, from: number): number | undefined {
  let count: number | undefined
  for (let i = from; i < argv.length; i += 2) {
    if (argv[i]?.toUpperCase() !== 'COUNT' || argv[i + 1] === undefined) throw syntaxError()
    count = Math.max(0, toInteger(argv[i + 1] as Bin))
  }
  return count
}

function ranging(reverse: boolean) {
  return (tx: Tx, argv: Argv, { db }: Context): Value => {
    const [first, second] = [argv[2] as Bin, argv[3] as Bin]
    const from = toStart(reverse ? second : first)
    const to = toEnd(reverse ? first : second)
    const count = parseCount(argv, 4)
    const row = streams.findStream(tx, db, argv[1] as Bin)
    if (row === undefined) return []
    if (count === 0) return { nilArray: true }
    return streams.readEntries(tx, row, { from, to, count, reverse }).map(entryReply)
  }
}

function xdel(tx: Tx, argv: Argv, { db }: Context): Value {
  const row = streams.findStream(tx, db, argv[1] as Bin)
  if (row === undefined) return 0
  return streams.removeEntries(tx, row, argv.slice(2).map(toStrictId))
}

function xtrim(tx: Tx, argv: Argv, { db }: Context): Value {
  const { trim } = parseTrim(argv, false)
  const row = streams.findStream(tx, db, argv[1] as Bin)
  return row === undefined || trim === undefined ? 0 : streams.trimStream(tx, row, trim)
}

function xsetid(tx: Tx, argv: Argv, { db }: Context): Value {
  const last = toStrictId(argv[2] as Bin)
  let set: streams.SetId = { last }
  for (let i = 3; i < argv.length; i += 2) {
    const option = (argv[i] as Bin).toUpperCase()
    const argument = argv[i + 1]
    if (argument === undefined) throw syntaxError()
    if (option === 'ENTRIESADDED') {
      const added = toInt64(argument)
      if (added < 0) throw refuse('entries_added must be positive')
      set = { ...set, added }
    } else if (option === 'MAXDELETEDID') {
      const deleted = toStrictId(argument)
      if (last < deleted) {
        throw refuse('The ID specified in XSETID is smaller than the provided max_deleted_entry_id')
      }
      set = { ...set, deleted }
    } else throw syntaxError()
  }
  const row = streams.findStream(tx, db, argv[1] as Bin)
  if (row === undefined) throw new Failure('not_found', 'ERR no such key')
  streams.setState(tx, row, set)
  return OK
}

/** Where to read from: `$` is behind all that is there now. */
function toReadId(argument: Bin, row: streams.StreamRow | undefined): Bin {
  if (argument === '$') return row === undefined ? ID_MIN : readState(row.meta).last
  if (argument === '>') {
    const when = 'only when calling XREADGROUP using the GROUP <group> <consumer> option.'
    throw refuse(`The > ID can be specified ${when}`)
  }
  return toStrictId(argument)
}

function xread(tx: Tx, argv: Argv, { db }: Context): Value | WouldBlock {
  const { count, keysAt, keyCount, blockAt } = parseRead(argv, false)
  const wanted = Array.from({ length: keyCount }, (_, i) => {
    const key = argv[keysAt + i] as Bin
    const row = streams.findStream(tx, db, key)
    return { key, row, after: toReadId(argv[keysAt + keyCount + i] as Bin, row) }
  })
  const found = wanted.flatMap(({ key, row, after }): [Value, Value][] => {
    const from = idAfter(after)
    if (row === undefined || from === undefined) return []
    const entries = streams.readEntries(tx, row, { from, to: ID_MAX, count })
    return entries.length === 0 ? [] : [[key, entries.map(entryReply)]]
  })
  if (found.length > 0) return { keyed: found }
  if (blockAt === undefined) return { nilArray: true }
  // `$` is what it is now, also when it is looked at again.
  const ids = wanted.map(({ after }) => idText(after))
  return { wouldBlock: { nilArray: true }, argv: [...argv.slice(0, keysAt + keyCount), ...ids] }
}

/** Cut XREAD's keys and ids by slot. */
function cutRead(argv: Argv, places: readonly number[]): Argv {
  const { keysAt, keyCount, blockAt } = parseRead(argv, false)
  if (blockAt !== undefined) throw new Failure('cross_shard', 'a client waits for keys of one shard only')
  const keys = places.map((at) => argv[at] as Bin)
  const ids = places.map((at) => argv[at + keyCount] as Bin)
  return [...argv.slice(0, keysAt), ...keys, ...ids]
}

/** Put what was read of several slots in the order of the request. */
const gathered: Scatter = {
  kind: 'split',
  cut: cutRead,
  join(replies, places, _, argv) {
    const { keysAt } = parseRead(argv, false)
    const found: [number, readonly [Value, Value]][] = []
    for (const [piece, reply] of replies.entries()) {
      if (typeof reply !== 'object' || reply === null || !('keyed' in reply)) continue
      const left = [...(places[piece] as number[])]
      for (const pair of reply.keyed) {
        const at = left.findIndex((place) => argv[keysAt + place] === pair[0])
        found.push([left.splice(0, at + 1).at(-1) as number, pair])
      }
    }
    if (found.length === 0) return { nilArray: true }
    return { keyed: found.sort(([a], [b]) => a - b).map(([, pair]) => pair) }
  },
}

const reading = { findKeys: readKeys(false), scatter: gathered, block: readBlock(false) }

/** The stream commands without groups. */
export const streamCommands: readonly Command[] = rows('stream', [
  ['xadd', -5, oneKey, 'write', '5.0.0', xadd, 'Adds an entry to a stream; creates the stream when absent.'],
  ['xdel', -3, oneKey, 'write', '5.0.0', xdel, 'Removes entries by their ids.'],
  ['xlen', 2, oneKey, 'read', '5.0.0', xlen, 'Returns the number of entries.'],
  ['xrange', -4, oneKey, 'read', '5.0.0', ranging(false), 'Returns the entries from one id to another.'],
  ['xread', -4, undefined, 'read', '5.0.0', xread, 'Returns entries behind an id, of several streams.', reading],
  ['xrevrange', -4, oneKey, 'read', '5.0.0', ranging(true), 'Returns the entries from one id down to another.'],
  ['xsetid', -3, oneKey, 'write', '5.0.0', xsetid, 'Sets what a stream knows of itself: its last id and counts.'],
  ['xtrim', -4, oneKey, 'write', '5.0.0', xtrim, 'Removes the oldest entries.'],
])
