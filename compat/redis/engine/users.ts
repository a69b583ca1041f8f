/** The users of the ACL, kept: they outlive the server, and every server of a database knows them. */
import type { Bin } from '@dotdo/core/bytes'
import type { Tx } from '@dotdo/core/shard'
import { type UserRow, users } from '../tables.ts'

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
