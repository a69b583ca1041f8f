/** The table of commands: what drives dispatch, routing, COMMAND and the support page. */
import type { Row } from '../session.ts'
import { clientCommands } from './client.ts'
import { clusterCommands } from './cluster.ts'
import { connectionCommands } from './connection.ts'
import { hashCommands } from './hashes.ts'
import { introspectionCommands } from './introspection.ts'
import { keyCommands } from './keys.ts'
import { scanCommands } from './scan.ts'
import { scriptingCommands } from './scripts.ts'
import { serverCommands } from './server.ts'
import { stringCommands } from './strings.ts'
import { transactionCommands } from './transactions.ts'

const groups: readonly (readonly Row[])[] = [
  connectionCommands,
  clientCommands,
  clusterCommands,
  serverCommands,
  introspectionCommands,
  transactionCommands,
  stringCommands,
  keyCommands,
  hashCommands,
  scanCommands,
  scriptingCommands,
]

/** Every command by its full name, `client|setname` among them. */
export const commandTable: ReadonlyMap<string, Row> = new Map(groups.flat().map((row) => [row.name, row]))
