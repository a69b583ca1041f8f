/** One process a data folder. The lock is SQLite's own on a file, so that it dies with the process. Node only. */
import { join } from 'node:path'
import { Failure } from '../../errors.ts'
import { openSqlite } from './sqlite.ts'

const held = new Set<string>()

/** Take a data folder for this process.
 *  @returns a function that gives it up
 *  @throws conflict when a process (or this one) has it already */
export function lockFolder(folder: string): () => void {
  const path = join(folder, 'lock.sqlite')
  const refuse = () => new Failure('conflict', `${folder} is in use by another process`)
  if (held.has(path)) throw new Failure('conflict', `${folder} is open in this process already`)
  const sql = openSqlite(path, { durability: 'normal', exclusive: true })
  try {
    sql.all('create table if not exists holder (pid integer) strict')
    sql.all('insert into holder (pid) values (?)', process.pid)
    sql.all('delete from holder where pid <> ?', process.pid)
  } catch (error) {
    sql.close()
    throw error instanceof Failure && error.code === 'storage' ? refuse() : error
  }
  held.add(path)
  return () => {
    held.delete(path)
    sql.close()
  }
}
