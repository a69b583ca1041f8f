/** XINFO. Nodes of the radix tree are counted as Redis would have them: there are none here. */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { Tx, View } from '@dotdo/core/shard'
import type { Command, Context } from '../command.ts'
import * as groups from '../engine/stream-groups.ts'
import { ID_MAX, ID_MIN, idText, readState } from '../engine/stream-ids.ts'
import type { ConsumerRow, GroupRow } from '../engine/stream-tables.ts'
import * as streams from '../engine/streams.ts'
import type { Value } from '../value.ts'
import { integerReply, toInteger } from './arguments.ts'
import { rows } from './rows.ts'
import { refuse } from './stream-arguments.ts'
import { noGroup, subcommandKey } from './stream-groups.ts'
import { entryReply } from './streams.ts'

type Argv = readonly Bin[]
type Pairs = [Value, Value][]

function getStream(tx: Tx, argv: Argv, db: number): streams.StreamRow {
  const row = streams.findStream(tx, db, argv[2] as Bin)
  if (row === undefined) throw new Failure('not_found', 'ERR no such key')
  return row
}

/** Entries of a node of Redis' radix tree. */
const NODE_ENTRIES = 100

function stateReply(row: streams.StreamRow): Pairs {
  const { last, first, deleted, added } = readState(row.meta)
  const nodes = Math.ceil(row.size / NODE_ENTRIES)
  return [
    ['length', row.size],
    ['radix-tree-keys', nodes],
    ['radix-tree-nodes', nodes + 1],
    ['last-generated-id', idText(last)],
    ['max-deleted-entry-id', idText(deleted)],
    ['entries-added', integerReply(added)],
    ['recorded-first-entry-id', idText(first)],
  ]
}

function edgeReply(view: View, row: streams.StreamRow, reverse: boolean): Value {
  const [entry] = streams.readEntries(view, row, { from: ID_MIN, to: ID_MAX, count: 1, reverse })
  return entry === undefined ? null : entryReply(entry)
}

/** @returns how many of everything FULL shows; undefined without FULL */
function parseFull(argv: Argv): number | undefined {
  if (argv.length === 3) return undefined
  const isFull = (argv[3] as Bin).toUpperCase() === 'FULL'
  const isCount = argv.length === 6 && (argv[4] as Bin).toUpperCase() === 'COUNT'
  if (!isFull || (argv.length !== 4 && !isCount)) {
    throw refuse(`unknown subcommand or wrong number of arguments for '${argv[1]}'. Try XINFO HELP.`)
  }
  if (!isCount) return 10
  const count = toInteger(argv[5] as Bin)
  return count < 0 ? 10 : count === 0 ? Infinity : count
}

function xinfoStream(tx: Tx, argv: Argv, { db }: Context): Value {
  const row = getStream(tx, argv, db)
  const count = parseFull(argv)
  const all = groups.listGroups(tx, row)
  if (count === undefined) {
    const edges: Pairs = [
      ['first-entry', edgeReply(tx, row, false)],
      ['last-entry', edgeReply(tx, row, true)],
    ]
    return { map: [...stateReply(row), ['groups', all.length], ...edges] }
  }
  const shown = { from: ID_MIN, to: ID_MAX, count: count === Infinity ? undefined : count }
  const entries = streams.readEntries(tx, row, shown).map(entryReply)
  const details = all.map((group) => fullGroup(tx, row, group, count))
  return { map: [...stateReply(row), ['entries', entries], ['groups', details]] }
}

function progress(row: streams.StreamRow, group: GroupRow): Pairs {
  const read = groups.readCount(group)
  const lag = groups.lagOf(row, group)
  return [
    ['entries-read', read === undefined ? null : integerReply(read)],
    ['lag', lag === undefined ? null : integerReply(lag)],
  ]
}

function fullGroup(tx: Tx, row: streams.StreamRow, group: GroupRow, count: number): Value {
  const pending = groups.take(groups.scanPending(tx, group, { from: ID_MIN }), count)
  return {
    map: [
      ['name', group.name],
      ['last-delivered-id', idText(group.last)],
      ...progress(row, group),
      ['pel-count', group.pending],
      ['pending', pending.map((each): Value => [idText(each.id), each.consumer, each.delivered, each.count])],
      ['consumers', groups.listConsumers(tx, group).map((each) => fullConsumer(tx, group, each, count))],
    ],
  }
}

function fullConsumer(tx: Tx, group: GroupRow, { name, seen, active, pending }: ConsumerRow, count: number): Value {
  const found = groups.take(groups.scanPending(tx, group, { from: ID_MIN, consumer: name }), count)
  return {
    map: [
      ['name', name],
      ['seen-time', seen],
      ['active-time', active ?? -1],
      ['pel-count', pending],
      ['pending', found.map((each): Value => [idText(each.id), each.delivered, each.count])],
    ],
  }
}

function xinfoGroups(tx: Tx, argv: Argv, { db }: Context): Value {
  const row = getStream(tx, argv, db)
  return groups.listGroups(tx, row).map((group): Value => {
    return {
      map: [
        ['name', group.name],
        ['consumers', groups.listConsumers(tx, group).length],
        ['pending', group.pending],
        ['last-delivered-id', idText(group.last)],
        ...progress(row, group),
      ],
    }
  })
}

function xinfoConsumers(tx: Tx, argv: Argv, { db }: Context): Value {
  const row = getStream(tx, argv, db)
  const group = groups.findGroup(tx, row, argv[3] as Bin)
  if (group === undefined) throw noGroup(`No such consumer group '${argv[3]}' for key name '${argv[2]}'`)
  return groups.listConsumers(tx, group).map(({ name, pending, seen, active }): Value => {
    return {
      map: [
        ['name', name],
        ['pending', pending],
        ['idle', Math.max(0, tx.nowMs - seen)],
        ['inactive', active === null ? -1 : Math.max(0, tx.nowMs - active)],
      ],
    }
  })
}

/** XINFO and its subcommands. */
export const streamInfoCommands: readonly Command[] = [
  {
    name: 'xinfo',
    arity: -2,
    mode: 'read',
    since: '5.0.0',
    group: 'stream',
    summary: 'A container for commands that tell of streams.',
  },
  ...rows('stream', [
    ['xinfo|consumers', 4, subcommandKey, 'read', '5.0.0', xinfoConsumers, 'Returns the consumers of a group.'],
    ['xinfo|groups', 3, subcommandKey, 'read', '5.0.0', xinfoGroups, 'Returns the consumer groups of a stream.'],
    ['xinfo|stream', -3, subcommandKey, 'read', '5.0.0', xinfoStream, 'Returns what is known of a stream.'],
  ]),
]
