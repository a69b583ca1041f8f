/** The users of the ACL, kept: they outlive the server, and every server of a database knows them. */
import type { Bin } from '@dotdo/core/bytes'
import { internalTable, type Tx } from '@dotdo/core/shard'

/** A user of the ACL. */
export type UserRow = {
  /** Users are of the server, not of a key: all are in slot 0 of the database that connections begin in. */
  slot: number
  name: Bin
  /** What it may do, as ACL LIST says it; of passwords, their hashes. */
  rules: Bin
  /** 1 when the password that the server was started with is one of its own. */
  password: number
}

/** Users: in no log, feed or query, as they hold hashes of passwords. */
export const users = internalTable<UserRow>({
  name: 'redis_users',
  columns: { slot: 'integer', name: 'bin', rules: 'bin', password: 'integer' },
  primaryKey: ['slot', 'name'],
  withoutRowid: true,
})

/** The slot that all users are in. */
export const USERS_SLOT = 0

/** A user as it is kept. */
export type StoredUser = Omit<UserRow, 'slot'>

/** The arguments of the call `users`: store some, remove others, then answer all, by name. */
export interface UsersArgs {
  readonly put?: readonly StoredUser[]
  readonly remove?: readonly Bin[]
}

/** Change users.
 *  @returns all there are then */
export function runUsers(tx: Tx, { put = [], remove = [] }: UsersArgs): StoredUser[] {
  for (const user of put) tx.put(users, { ...user, slot: USERS_SLOT })
  for (const name of remove) tx.remove(users, { slot: USERS_SLOT, name })
  const rows = tx.all('select * from redis_users where slot = ? order by name', USERS_SLOT)
  return rows.map((row) => {
    const { name, rules, password } = tx.fromSql(users, row)
    return { name, rules, password }
  })
}
