/** CLUSTER, as a client of Redis Cluster needs it: one node that serves every slot.
 *
 *  Shards are this server's own affair: whoever connects here reaches all of them, so MOVED is never said.
 *
 *  @source https://redis.io/docs/latest/commands/cluster/ */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { SLOT_COUNT } from '@dotdo/core/limits'
import { crc16Slot } from '@dotdo/core/shard'
import type { SlotKeysArgs } from '../engine/slot-keys.ts'
import { replyOf } from '../errors.ts'
import { Later, PROGRAM } from '../routing.ts'
import type { Answer, Row, Session } from '../session.ts'
import { OK, type Value } from '../value.ts'
import { toInteger } from './arguments.ts'

/** The address this client reaches us by, as it will dial it for every slot. An empty host means the same one. */
function ourAddress({ state, server }: Session): { host: string; port: number } {
  const colon = state.localAddress.lastIndexOf(':')
  if (colon < 0) return { host: '', port: server.info.port ?? 0 }
  return { host: state.localAddress.slice(0, colon), port: Number(state.localAddress.slice(colon + 1)) }
}

function info(): Value {
  const fields = {
    cluster_state: 'ok',
    cluster_slots_assigned: SLOT_COUNT,
    cluster_slots_ok: SLOT_COUNT,
    cluster_slots_pfail: 0,
    cluster_slots_fail: 0,
    cluster_known_nodes: 1,
    cluster_size: 1,
  }
  const text = Object.entries(fields).map(([name, value]) => `${name}:${value}\r\n`)
  return { verbatim: text.join(''), format: 'txt' }
}

function slots(session: Session): Value {
  const { host, port } = ourAddress(session)
  return [[0, SLOT_COUNT - 1, [host === '' ? null : host, port, session.server.info.runId, []]]]
}

function nodes(session: Session): Value {
  const { host, port } = ourAddress(session)
  const { runId } = session.server.info
  const line = `${runId} ${host}:${port}@0 myself,master - 0 0 1 connected 0-${SLOT_COUNT - 1}\n`
  return { verbatim: line, format: 'txt' }
}

/** The shape of SLOTS that 7.0 brought: the same node, with names for what it has. */
function shards(session: Session): Value {
  const { host, port } = ourAddress(session)
  const node: [Value, Value][] = [
    ['id', session.server.info.runId],
    ['port', port],
    ['ip', host],
    ['endpoint', host],
    ['role', 'master'],
    ['replication-offset', 0],
    ['health', 'online'],
  ]
  const shard: [Value, Value][] = [
    ['slots', [0, SLOT_COUNT - 1]],
    ['nodes', [{ map: node }]],
  ]
  return [{ map: shard }]
}

function readSlot(argument: Bin): number {
  const slot = toInteger(argument)
  if (slot < 0 || slot >= SLOT_COUNT) throw new Failure('invalid', 'ERR Invalid slot')
  return slot
}

function askSlot(session: Session, args: SlotKeysArgs): Answer {
  return session.withPlan((plan) => {
    const pending = plan.one(args.slot, { program: PROGRAM, name: 'slotkeys', args })
    return new Later(() => replyOf(pending.reply))
  })
}

function countKeysInSlot(session: Session, argv: readonly Bin[]): Answer {
  return askSlot(session, { slot: readSlot(argv[2] as Bin), db: session.state.db })
}

function getKeysInSlot(session: Session, argv: readonly Bin[]): Answer {
  const slot = readSlot(argv[2] as Bin)
  const limit = toInteger(argv[3] as Bin)
  if (limit < 0) throw new Failure('invalid', 'ERR Invalid number of keys')
  return askSlot(session, { slot, db: session.state.db, limit })
}

/** Replicas of a node: it must be this one, and it has none. */
function replicas({ server }: Session, [, , node = '']: readonly Bin[]): Value {
  if (node !== server.info.runId) throw new Failure('invalid', `ERR Unknown node ${node}`)
  return []
}

function failureReports(session: Session, argv: readonly Bin[]): Value {
  replicas(session, argv)
  return 0
}

const keySlot = (_session: Session, argv: readonly Bin[]): Value => crc16Slot(argv[2] as Bin)
const myId = ({ server }: Session): Value => server.info.runId

const row = { mode: 'session', group: 'cluster', since: '3.0.0' } as const

/** CLUSTER and its subcommands. */
export const clusterCommands: readonly Row[] = [
  { ...row, name: 'cluster', arity: -2, summary: 'A container for Redis Cluster commands.' },
  {
    ...row,
    name: 'cluster|count-failure-reports',
    arity: 3,
    summary: 'Returns 0: nobody reports failures of the only node.',
    session: failureReports,
  },
  {
    ...row,
    name: 'cluster|countkeysinslot',
    arity: 3,
    summary: 'Returns the number of keys in a slot.',
    session: countKeysInSlot,
  },
  { ...row, name: 'cluster|getkeysinslot', arity: 4, summary: 'Returns keys of a slot.', session: getKeysInSlot },
  { ...row, name: 'cluster|info', arity: 2, summary: 'Returns that all slots are served.', session: info },
  { ...row, name: 'cluster|keyslot', arity: 3, summary: 'Returns the hash slot for a key.', session: keySlot },
  { ...row, name: 'cluster|myid', arity: 2, summary: 'Returns the ID of this run of the server.', session: myId },
  {
    ...row,
    name: 'cluster|links',
    arity: 2,
    since: '7.0.0',
    summary: 'Returns that there are no links to other nodes.',
    session: () => [],
  },
  {
    ...row,
    name: 'cluster|myshardid',
    arity: 2,
    since: '7.2.0',
    summary: 'Returns the ID of this run of the server.',
    session: myId,
  },
  { ...row, name: 'cluster|nodes', arity: 2, summary: 'Returns this server as the only node.', session: nodes },
  {
    ...row,
    name: 'cluster|replicas',
    arity: 3,
    since: '5.0.0',
    summary: 'Returns that this node has no replicas.',
    session: replicas,
  },
  {
    ...row,
    name: 'cluster|shards',
    arity: 2,
    since: '7.0.0',
    summary: 'Returns this server as the only shard.',
    session: shards,
  },
  { ...row, name: 'cluster|slaves', arity: 3, summary: 'Returns that this node has no replicas.', session: replicas },
  { ...row, name: 'cluster|slots', arity: 2, summary: 'Returns this server for every slot.', session: slots },
  {
    ...row,
    name: 'asking',
    arity: 1,
    summary: 'Does nothing: no slot is being moved as far as clients see.',
    session: () => OK,
  },
  { ...row, name: 'readonly', arity: 1, summary: 'Does nothing: this node serves reads anyway.', session: () => OK },
  { ...row, name: 'readwrite', arity: 1, summary: 'Does nothing: this node serves all anyway.', session: () => OK },
]
