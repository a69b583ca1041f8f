/** The commands of consumer groups. */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { Tx } from '@dotdo/core/shard'
import type { Command, Context, KeyPositions } from '../command.ts'
import { type Int64, parseInt64 } from '../engine/integers.ts'
import * as groups from '../engine/stream-groups.ts'
import { ID_MAX, ID_MIN, idText, readState } from '../engine/stream-ids.ts'
import type { EntryRow, GroupRow } from '../engine/stream-tables.ts'
import * as streams from '../engine/streams.ts'
import { OK, type Value, type WouldBlock } from '../value.ts'
import { syntaxError, toInt64, toInteger } from './arguments.ts'
import { oneKey, rows } from './rows.ts'
import { parseRead, readBlock, readKeys, refuse, toBoundId, toEnd, toStart, toStrictId } from './stream-arguments.ts'
import { entryReply } from './streams.ts'

type Argv = readonly Bin[]
type Found = readonly [row: streams.StreamRow, group: GroupRow]

/** Make the failure of a group that is not there. */
export function noGroup(text: string): Failure {
  return new Failure('not_found', `NOGROUP ${text}`)
}

function findBoth(tx: Tx, db: number, key: Bin, group: Bin): Found | undefined {
  const row = streams.findStream(tx, db, key)
  const found = row && groups.findGroup(tx, row, group)
  return row && found && [row, found]
}

function getBoth(tx: Tx, db: number, key: Bin, group: Bin): Found {
  const found = findBoth(tx, db, key, group)
  if (found === undefined) throw noGroup(`No such key '${key}' or consumer group '${group}'`)
  return found
}

interface GroupOptions {
  create: boolean
  read: Int64 | undefined
}

/** Parse what stands behind the id of XGROUP CREATE and SETID. */
function parseGroup(argv: Argv, name: 'CREATE' | 'SETID'): GroupOptions {
  const found: GroupOptions = { create: false, read: undefined }
  const wrong = () => refuse(`unknown subcommand or wrong number of arguments for '${argv[1]}'. Try XGROUP HELP.`)
  for (let i = 5; i < argv.length; i++) {
    const option = (argv[i] as Bin).toUpperCase()
    if (name === 'CREATE' && option === 'MKSTREAM') found.create = true
    else if (option === 'ENTRIESREAD' && argv[i + 1] !== undefined) {
      const read = toInt64(argv[++i] as Bin)
      if (read < -1) throw refuse('value for ENTRIESREAD must be positive or -1')
      found.read = read < 0 ? undefined : read
    } else throw wrong()
  }
  if (argv.length > (name === 'CREATE' ? 8 : 7)) throw wrong()
  return found
}

function getStream(row: streams.StreamRow | undefined): streams.StreamRow {
  if (row !== undefined) return row
  const hint = 'Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.'
  throw new Failure('not_found', `ERR The XGROUP subcommand requires the key to exist. ${hint}`)
}

/** Find the group that a subcommand of XGROUP is about. */
function getGroup(tx: Tx, argv: Argv, db: number): Found {
  const [key, name] = [argv[2] as Bin, argv[3] as Bin]
  const row = getStream(streams.findStream(tx, db, key))
  const group = groups.findGroup(tx, row, name)
  if (group === undefined) throw noGroup(`No such consumer group '${name}' for key name '${key}'`)
  return [row, group]
}

function xgroupCreate(tx: Tx, argv: Argv, { db }: Context): Value {
  const { create, read } = parseGroup(argv, 'CREATE')
  const [key, name, from] = argv.slice(2) as [Bin, Bin, Bin]
  const found = streams.findStream(tx, db, key)
  if (!create) getStream(found)
  const last = from === '$' ? (found === undefined ? ID_MIN : readState(found.meta).last) : toStrictId(from)
  groups.createGroup(tx, found ?? streams.findOrCreate(tx, db, key), name, { last, read })
  return OK
}

function xgroupSetId(tx: Tx, argv: Argv, { db }: Context): Value {
  const { read } = parseGroup(argv, 'SETID')
  const [row, group] = getGroup(tx, argv, db)
  const from = argv[4] as Bin
  groups.setGroup(tx, group, { last: from === '$' ? readState(row.meta).last : toBoundId(from), read })
  return OK
}

function xgroupDestroy(tx: Tx, argv: Argv, { db }: Context): Value {
  const row = getStream(streams.findStream(tx, db, argv[2] as Bin))
  const group = groups.findGroup(tx, row, argv[3] as Bin)
  if (group === undefined) return 0
  groups.destroyGroup(tx, row, group)
  return 1
}

function xgroupCreateConsumer(tx: Tx, argv: Argv, { db }: Context): Value {
  return groups.createConsumer(tx, getGroup(tx, argv, db)[1], argv[4] as Bin) ? 1 : 0
}

function xgroupDelConsumer(tx: Tx, argv: Argv, { db }: Context): Value {
  return groups.removeConsumer(tx, getGroup(tx, argv, db)[1], argv[4] as Bin)
}

function xack(tx: Tx, argv: Argv, { db }: Context): Value {
  const found = findBoth(tx, db, argv[1] as Bin, argv[2] as Bin)
  return found === undefined ? 0 : groups.acknowledge(tx, found[1], argv.slice(3).map(toStrictId))
}

/** One stream of XREADGROUP. */
interface Wanted {
  readonly key: Bin
  /** Behind which id the consumer's history is read; undefined for what is new. */
  readonly after: Bin | undefined
}

function parseWanted(tx: Tx, argv: Argv, { db }: Context): Wanted[] {
  const { keysAt, keyCount, group } = parseRead(argv, true)
  return Array.from({ length: keyCount }, (_, i) => {
    const [key, id] = [argv[keysAt + i] as Bin, argv[keysAt + keyCount + i] as Bin]
    if (findBoth(tx, db, key, group as Bin) === undefined) {
      throw noGroup(`No such key '${key}' or consumer group '${group}' in XREADGROUP with GROUP option`)
    }
    if (id === '$') {
      throw refuse(
        'The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by ' +
          'specifying a proper ID, or use the > ID to get new messages. ' +
          'The $ ID would just return an empty result set.',
      )
    }
    const after = id === '>' ? ID_MAX : toStrictId(id)
    return { key, after: after === ID_MAX ? undefined : after }
  })
}

/** Show a delivery: of an entry that is gone, the id alone. */
function redeliveryReply([{ id }, entry]: groups.Redelivery): Value {
  return entry === undefined ? [idText(id), { nilArray: true }] : entryReply(entry)
}

/** What is to be written for one stream, and its reply; undefined when there is nothing for the client. */
interface Reading {
  readonly reply: Value | undefined
  write(): void
}

function readOne(tx: Tx, argv: Argv, { db }: Context, { key, after }: Wanted): Reading {
  const { count, group: name, consumer, noAck } = parseRead(argv, true)
  const [row, group] = getBoth(tx, db, key, name as Bin)
  if (after !== undefined) {
    const found = groups.readHistory(tx, row, group, { consumer, after, count })
    return {
      reply: found.map(redeliveryReply),
      write: () => groups.redeliver(tx, group, found, consumer),
    }
  }
  const found = groups.readNew(tx, row, group, count)
  return {
    reply: found.length === 0 ? undefined : found.map(entryReply),
    write: () => groups.deliver(tx, row, group, found, { consumer, noAck }),
  }
}

function xreadgroup(tx: Tx, argv: Argv, context: Context): Value | WouldBlock {
  const wanted = parseWanted(tx, argv, context)
  const distinct = new Set(wanted.map(({ key }) => key)).size === wanted.length
  // All is read before anything is written, unless a stream is named twice.
  const rounds = distinct ? [wanted] : wanted.map((each) => [each])
  const replies: [Value, Value][] = []
  for (const round of rounds) {
    const readings = round.map((each) => readOne(tx, argv, context, each))
    for (const [i, { reply, write }] of readings.entries()) {
      write()
      if (reply !== undefined) replies.push([(round[i] as Wanted).key, reply])
    }
  }
  if (replies.length > 0) return { keyed: replies }
  // That the consumer was here has been written; it is no content of the key, and wakes nobody.
  return parseRead(argv, true).blockAt === undefined ? { nilArray: true } : { wouldBlock: { nilArray: true } }
}

interface PendingOptions {
  readonly minIdleMs: number
  readonly from: Bin
  readonly to: Bin
  readonly count: number
  readonly consumer: Bin | undefined
}

/** @source redis 7.2 t_stream.c xpendingCommand */
function parsePending(argv: Argv): PendingOptions | undefined {
  if (argv.length === 3) return undefined
  if (argv.length < 6 || argv.length > 9) throw syntaxError()
  const idle = argv[3]?.toUpperCase() === 'IDLE'
  const minIdleMs = idle ? toInteger(argv[4] as Bin) : 0
  if (idle && argv.length < 8) throw syntaxError()
  const at = idle ? 5 : 3
  const count = Math.max(0, toInteger(argv[at + 2] as Bin))
  return { minIdleMs, from: toStart(argv[at] as Bin), to: toEnd(argv[at + 1] as Bin), count, consumer: argv[at + 3] }
}

function* idleOnly<T extends { delivered: number }>(tx: Tx, walk: Iterable<T>, minIdleMs: number): Generator<T> {
  for (const each of walk) if (tx.nowMs - each.delivered >= minIdleMs) yield each
}

function xpending(tx: Tx, argv: Argv, { db }: Context): Value {
  const options = parsePending(argv)
  const [, group] = getBoth(tx, db, argv[1] as Bin, argv[2] as Bin)
  if (options !== undefined) {
    const { minIdleMs, from, to, count, consumer } = options
    const walk = groups.scanPending(tx, group, { from, to, consumer })
    return groups.take(minIdleMs > 0 ? idleOnly(tx, walk, minIdleMs) : walk, count).map((row): Value => {
      return [idText(row.id), row.consumer, Math.max(0, tx.nowMs - row.delivered), row.count]
    })
  }
  const edges = groups.pendingEdges(tx, group)
  if (edges === undefined) return [0, null, null, { nilArray: true }]
  const busy = groups.listConsumers(tx, group).filter(({ pending }) => pending > 0)
  const counts = busy.map(({ name, pending }): Value => [name, String(pending)])
  return [group.pending, idText(edges[0]), idText(edges[1]), counts]
}

interface ClaimOptions {
  ids: Bin[]
  force: boolean
  justId: boolean
  retries: number | undefined
  delivered: number | undefined
  last: Bin
}

function toOption(argument: Bin, option: string): number {
  try {
    return toInteger(argument)
  } catch {
    throw refuse(`Invalid ${option} option argument for XCLAIM`)
  }
}

/** Parse an option of XCLAIM with an argument.
 *  @returns whether it is one */
function parseClaimOption(found: ClaimOptions, option: string, argument: Bin | undefined, nowMs: number): boolean {
  if (argument === undefined) return false
  if (option === 'IDLE') found.delivered = nowMs - toOption(argument, option)
  else if (option === 'TIME') found.delivered = toOption(argument, option)
  else if (option === 'RETRYCOUNT') found.retries = toOption(argument, option)
  else if (option === 'LASTID') found.last = toStrictId(argument)
  else return false
  return true
}

function isId(argument: Bin): boolean {
  try {
    toStrictId(argument)
    return true
  } catch {
    return false
  }
}

/** @source redis 7.2 t_stream.c xclaimCommand */
function parseClaim(argv: Argv, nowMs: number): ClaimOptions {
  let at = 5
  while (at < argv.length && isId(argv[at] as Bin)) at++
  const found: ClaimOptions = {
    ids: argv.slice(5, at).map(toStrictId),
    force: false,
    justId: false,
    retries: undefined,
    delivered: undefined,
    last: ID_MIN,
  }
  for (; at < argv.length; at++) {
    const option = (argv[at] as Bin).toUpperCase()
    if (option === 'FORCE') found.force = true
    else if (option === 'JUSTID') found.justId = true
    else if (parseClaimOption(found, option, argv[at + 1], nowMs)) at++
    else throw refuse(`Unrecognized XCLAIM option '${argv[at]}'`)
  }
  return found
}

function toMinIdle(argument: Bin, command: string): number {
  try {
    return Math.max(0, toInteger(argument))
  } catch {
    throw refuse(`Invalid min-idle-time argument for ${command}`)
  }
}

/** Show claimed entries, or their ids alone. */
function claimedReply(tx: Tx, row: streams.StreamRow, ids: readonly Bin[], justId: boolean): Value[] {
  if (justId) return ids.map(idText)
  return streams.readByIds(tx, row, ids).map((entry) => entryReply(entry as EntryRow))
}

function xclaim(tx: Tx, argv: Argv, { db }: Context): Value {
  const [row, group] = getBoth(tx, db, argv[1] as Bin, argv[2] as Bin)
  const minIdleMs = toMinIdle(argv[4] as Bin, 'XCLAIM')
  const { ids, force, justId, retries, delivered = tx.nowMs, last } = parseClaim(argv, tx.nowMs)
  const claims = groups.chooseClaims(tx, row, group, { ids, minIdleMs, force })
  const reply = claimedReply(tx, row, claims.claimed, justId)
  groups.claim(tx, group, claims, {
    consumer: argv[3] as Bin,
    // A time that cannot be is not worth an error: the client's clock may differ.
    delivered: delivered < 0 || delivered > tx.nowMs ? tx.nowMs : delivered,
    retries: retries === undefined || retries < 0 ? undefined : Math.min(retries, Number.MAX_SAFE_INTEGER),
    justId,
    last,
  })
  return reply
}

/** The greatest COUNT of XAUTOCLAIM. */
const AUTOCLAIM_MAX = (2n ** 63n - 1n) / 16n

function parseAutoClaim(argv: Argv): { count: number; justId: boolean } {
  const found = { count: 100, justId: false }
  for (let at = 6; at < argv.length; at++) {
    const option = (argv[at] as Bin).toUpperCase()
    if (option === 'JUSTID') found.justId = true
    else if (option === 'COUNT' && argv[at + 1] !== undefined) {
      const count = parseInt64(argv[++at] as Bin)
      if (count === undefined || count < 1 || count > AUTOCLAIM_MAX) throw refuse('COUNT must be > 0')
      found.count = Number(count)
    } else throw syntaxError()
  }
  return found
}

function xautoclaim(tx: Tx, argv: Argv, { db }: Context): Value {
  const minIdleMs = toMinIdle(argv[4] as Bin, 'XAUTOCLAIM')
  const from = toStart(argv[5] as Bin)
  const { count, justId } = parseAutoClaim(argv)
  const [row, group] = getBoth(tx, db, argv[1] as Bin, argv[2] as Bin)
  const claims = groups.chooseIdle(tx, row, group, { from, minIdleMs, count })
  const reply = claimedReply(tx, row, claims.claimed, justId)
  groups.claim(tx, group, claims, { consumer: argv[3] as Bin, delivered: tx.nowMs, justId })
  return [idText(claims.next), reply, claims.gone.map(idText)]
}

/** Keys of a subcommand with one key. */
export const subcommandKey: KeyPositions = { first: 2, last: 2, step: 1 }

const container = (name: string, summary: string): Command => {
  return { name, arity: -2, mode: 'read', since: '5.0.0', group: 'stream', summary }
}

/** A stream that goes, or becomes something else, ends the wait for its group. */
const reading = { findKeys: readKeys(true), block: { ...readBlock(true), answersWrongType: true } as const }

/** The commands of consumer groups. */
export const streamGroupCommands: readonly Command[] = [
  ...rows('stream', [
    ['xack', -4, oneKey, 'write', '5.0.0', xack, 'Acknowledges deliveries to a consumer group.'],
    ['xautoclaim', -6, oneKey, 'write', '6.2.0', xautoclaim, 'Claims deliveries that wait for too long.'],
    ['xclaim', -6, oneKey, 'write', '5.0.0', xclaim, 'Claims deliveries by their ids.'],
    ['xpending', -3, oneKey, 'read', '5.0.0', xpending, 'Returns what was delivered, and not acknowledged.'],
    ['xreadgroup', -7, undefined, 'write', '5.0.0', xreadgroup, 'Returns entries as a consumer of a group.', reading],
  ]),
  container('xgroup', 'A container for commands of consumer groups.'),
  ...rows('stream', [
    ['xgroup|create', -5, subcommandKey, 'write', '5.0.0', xgroupCreate, 'Creates a consumer group.'],
    [
      'xgroup|createconsumer',
      5,
      subcommandKey,
      'write',
      '6.2.0',
      xgroupCreateConsumer,
      'Creates a consumer of a group.',
    ],
    ['xgroup|delconsumer', 5, subcommandKey, 'write', '5.0.0', xgroupDelConsumer, 'Removes a consumer of a group.'],
    ['xgroup|destroy', 4, subcommandKey, 'write', '5.0.0', xgroupDestroy, 'Removes a consumer group.'],
    ['xgroup|setid', -5, subcommandKey, 'write', '5.0.0', xgroupSetId, 'Sets where a consumer group goes on.'],
  ]),
]
