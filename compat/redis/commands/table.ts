/** The table of commands: what drives dispatch, routing, COMMAND and the support page. */

import { monitorCommands } from '../monitor.ts'
import type { Row } from '../session.ts'
import { aclCommands } from './acl.ts'
import { administrationCommands } from './administration.ts'
import { clientCommands } from './client.ts'
import { clusterCommands } from './cluster.ts'
import { configCommands } from './config.ts'
import { connectionCommands } from './connection.ts'
import { debugCommands } from './debug.ts'
import { introspectionCommands } from './introspection.ts'
import { memoryCommands } from './memory.ts'
import { monitoringCommands } from './monitoring.ts'
import { pubsubCommands } from './pubsub.ts'
import { refusedCommands } from './refused.ts'
import { scriptingCommands } from './scripts.ts'
import { serverCommands } from './server.ts'
import { shardCommands } from './shard.ts'
import { transactionCommands } from './transactions.ts'

const groups: readonly (readonly Row[])[] = [
  refusedCommands,
  connectionCommands,
  clientCommands,
  clusterCommands,
  serverCommands,
  aclCommands,
  administrationCommands,
  configCommands,
  debugCommands,
  memoryCommands,
  monitoringCommands,
  introspectionCommands,
  transactionCommands,
  pubsubCommands,
  monitorCommands,
  shardCommands,
  scriptingCommands,
]

/** Every command by its full name, `client|setname` among them. */
export const commandTable: ReadonlyMap<string, Row> = new Map(groups.flat().map((row) => [row.name, row]))
