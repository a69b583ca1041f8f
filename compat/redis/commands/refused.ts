/** Commands of Redis that are known and refused, so that the table of commands and the support page name them.
 *
 *  They stand first in the table: a row of the same name elsewhere takes their place. */
import { Failure } from '@dotdo/core/errors'
import type { Row } from '../session.ts'

type Line = readonly [name: string, arity: number, since: string, group: string]

const replication = 'replicas are made by the fabric (see the documentation of replicate)'
const modules = 'there are no modules to load'
const slots = 'slots are moved between shards by the server itself, and every client reaches all of them here'

/** Why, and the commands. */
const refusals: readonly (readonly [why: string, lines: readonly Line[]])[] = [
  [
    replication,
    [
      ['failover', -1, '6.2.0', 'server'],
      ['psync', -3, '2.8.0', 'server'],
      ['replconf', -1, '3.0.0', 'server'],
      ['replicaof', 3, '5.0.0', 'server'],
      ['slaveof', 3, '1.0.0', 'server'],
      ['sync', 1, '1.0.0', 'server'],
    ],
  ],
  [
    modules,
    [
      ['module|load', -3, '4.0.0', 'server'],
      ['module|loadex', -3, '7.0.0', 'server'],
      ['module|unload', 3, '4.0.0', 'server'],
    ],
  ],
  [
    slots,
    [
      ['cluster|addslots', -3, '3.0.0', 'cluster'],
      ['cluster|addslotsrange', -4, '7.0.0', 'cluster'],
      ['cluster|bumpepoch', 2, '3.0.0', 'cluster'],
      ['cluster|delslots', -3, '3.0.0', 'cluster'],
      ['cluster|delslotsrange', -4, '7.0.0', 'cluster'],
      ['cluster|failover', -2, '3.0.0', 'cluster'],
      ['cluster|flushslots', 2, '3.0.0', 'cluster'],
      ['cluster|forget', 3, '3.0.0', 'cluster'],
      ['cluster|meet', -4, '3.0.0', 'cluster'],
      ['cluster|replicate', 3, '3.0.0', 'cluster'],
      ['cluster|reset', -2, '3.0.0', 'cluster'],
      ['cluster|saveconfig', 2, '3.0.0', 'cluster'],
      ['cluster|set-config-epoch', 3, '3.0.0', 'cluster'],
      ['cluster|setslot', -4, '3.0.0', 'cluster'],
      ['migrate', -6, '2.6.0', 'generic'],
      ['restore-asking', -4, '3.0.0', 'server'],
    ],
  ],
]

function refused([name, arity, since, group]: Line, why: string): Row {
  const shown = name.replace('|', ' ').toUpperCase()
  return {
    name,
    arity,
    mode: 'session',
    since,
    group,
    summary: `Refused: ${why}.`,
    session() {
      throw new Failure('unsupported', `ERR ${shown} is not supported: ${why}`)
    },
  }
}

const container = { name: 'module', arity: -2, mode: 'session', since: '4.0.0', group: 'server' } as const

/** The refused commands; MODULE LIST, which is not, stands beside the others of its container. */
export const refusedCommands: readonly Row[] = [
  { ...container, summary: 'A container for module commands.' },
  { ...container, name: 'module|list', arity: 2, summary: 'Returns that no module is loaded.', session: () => [] },
  ...refusals.flatMap(([why, lines]) => lines.map((line) => refused(line, why))),
]
