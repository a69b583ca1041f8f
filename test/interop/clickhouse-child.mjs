/** ClickHouse (chdb) in a process of its own: its queries block the thread, and what it reads from is served by ours.
 *
 *    fork('clickhouse-child.mjs', [FOLDER OF chdb], { cwd: FOLDER OF FILES })
 *
 *  Then { id, sql } is answered with { id, text } or { id, error }. */
import { createRequire } from 'node:module'
import { join } from 'node:path'

const { Session } = createRequire(join(process.argv[2], 'index.js'))('chdb')
const session = new Session()

process.on('message', ({ id, sql }) => {
  try {
    process.send({ id, text: session.query(sql, 'JSONEachRow') })
  } catch (error) {
    process.send({ id, error: String(error?.message ?? error) })
  }
})
process.on('disconnect', () => {
  session.cleanup()
  process.exit()
})
process.send({ id: 0, text: '' })
