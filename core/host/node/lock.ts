/** One process a data folder. The lock is SQLite's own on a file, so that it dies with the process. Node only. */
import { realpathSync } from 'node:fs'
import { join } from 'node:path'
import { Failure } from '../../errors.ts'
import { openSqlite } from './sqlite.ts'

/** A folder that this process has taken is refused by name: POSIX locks do not keep a process from itself. */
const held = new Set<string>()

/** Take a data folder for this process.
 *  @returns a function that gives it up
 *  @throws conflict when this process or another has it already */
export function lockFolder(folder: string): () => void {
  const path = join(realpathSync(folder), 'lock.sqlite')
  if (held.has(path)) throw new Failure('conflict', `${folder} is open in this process already`)
  const sql = openSqlite(path, { durability: 'normal', exclusive: true })
  // A write takes the lock; reading alone would leave the file to others.
  sql.all('create table if not exists holder (pid integer) strict')
  sql.transact(() => {
    sql.all('delete from holder')
    sql.all('insert into holder (pid) values (?)', process.pid)
  })
  held.add(path)
  return () => {
    held.delete(path)
    sql.close()
  }
}
