/** The choice between the two SQLite bindings of Node.
 *
 *  1. better-sqlite3 is the first choice (12 on Node 20, 13 from Node 22 on); node:sqlite, from Node 22.16 on, where it
 *     cannot be loaded. DOTDO_SQLITE=better-sqlite3 or =node asks for one and takes no other.
 *  2. better-sqlite3 13 takes Node 20 down with a segmentation fault, so its version is read before it is loaded.
 *  3. Bindings are loaded at run time, once per process: bundlers leave them out, and Workers never see them. */
import { createRequire } from 'node:module'
import { Failure } from '../../errors.ts'
import type { Connect } from './driver.ts'
import { loadBetterSqlite3 } from './driver-better-sqlite3.ts'
import { loadNodeSqlite } from './driver-node-sqlite.ts'

/** A binding's name, as DOTDO_SQLITE has it. */
export type Binding = 'better-sqlite3' | 'node'

const loaders: { readonly [B in Binding]: (require: NodeJS.Require) => Connect } = {
  'better-sqlite3': loadBetterSqlite3,
  node: loadNodeSqlite,
}
const loaded = new Map<Binding, Connect>()

/** Load the first binding that works.
 *  @param wanted DOTDO_SQLITE: a binding's name, or undefined for the first that loads
 *  @throws invalid when `wanted` is no binding's name; unsupported when none can be loaded, saying what to do */
export function loadBinding(wanted: string | undefined = process.env.DOTDO_SQLITE): Connect {
  const names = Object.keys(loaders) as Binding[]
  const asked = wanted ? names.filter((name) => name === wanted) : names
  if (asked.length === 0) throw new Failure('invalid', `DOTDO_SQLITE=${wanted}: one of ${names.join(', ')} is right`)
  const reasons: string[] = []
  for (const name of asked) {
    try {
      const connect = loaded.get(name) ?? loaders[name](createRequire(import.meta.url))
      loaded.set(name, connect)
      return connect
    } catch (error) {
      reasons.push(`${name}: ${error instanceof Error ? error.message.split('\n')[0] : error}`)
    }
  }
  const advice =
    'run `npm install better-sqlite3` (`npm rebuild better-sqlite3` after a change of Node), or use Node >= 22.16'
  throw new Failure('unsupported', `no SQLite for Node ${process.versions.node}: ${advice} (${reasons.join('; ')})`)
}
