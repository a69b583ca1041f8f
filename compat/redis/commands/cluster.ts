/** CLUSTER, as a client of Redis Cluster needs it: one node that serves every slot.
 *
 *  Shards are this server's own affair: whoever connects here reaches all of them, so MOVED is never said.
 *
 *  @source https://redis.io/docs/latest/commands/cluster/ */
import type { Bin } from '@dotdo/core/bytes'
import { SLOT_COUNT } from '@dotdo/core/limits'
import { crc16Slot } from '@dotdo/core/shard'
import type { Row, Session } from '../session.ts'
import type { Value } from '../value.ts'

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

const keySlot = (_session: Session, argv: readonly Bin[]): Value => crc16Slot(argv[2] as Bin)
const myId = ({ server }: Session): Value => server.info.runId

const row = { mode: 'session', group: 'cluster', since: '3.0.0' } as const

/** CLUSTER and its subcommands. */
export const clusterCommands: readonly Row[] = [
  { ...row, name: 'cluster', arity: -2, summary: 'A container for Redis Cluster commands.' },
  { ...row, name: 'cluster|info', arity: 2, summary: 'Returns that all slots are served.', session: info },
  { ...row, name: 'cluster|keyslot', arity: 3, summary: 'Returns the hash slot for a key.', session: keySlot },
  { ...row, name: 'cluster|myid', arity: 2, summary: 'Returns the ID of this run of the server.', session: myId },
  { ...row, name: 'cluster|nodes', arity: 2, summary: 'Returns this server as the only node.', session: nodes },
  { ...row, name: 'cluster|slots', arity: 2, summary: 'Returns this server for every slot.', session: slots },
]
