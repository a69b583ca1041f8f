/** Forks in other databases: rows go from one shard to the other page by page, content stays where it is, in the store.
 *
 *  1. Whatever fails, it can be begun again: what is lent is kept anew, and what came before goes.
 *  2. Objects are lent before the borrower hears of them; loans end only after it has said that it has none left. */
import { Failure } from '@dotdo/core/errors'
import type { LentChunks, LentRows, Loan } from '../engine/lending.ts'
import { FSX_TIER, type TierReport } from '../tier/index.ts'
import type { Caller, Env } from './request.ts'

/** The way to both filesystems. */
interface Both {
  readonly here: Caller
  readonly there: Caller
  readonly lender: string
  readonly borrower: string
  /** Who asks, and what of: for all calls. */
  readonly as: object
  readonly on: object
}

/** Make the filesystem of another database, which nobody has used yet, be what this one is.
 *  @returns the way to it
 *  @throws Failure: exists when it was used before; unsupported where other databases, or a store, cannot be reached */
export async function forkElsewhere({ caller, as, on }: Env, borrower: string): Promise<Caller> {
  const { elsewhere, database: lender, job } = caller
  if (elsewhere === undefined || lender === undefined || job === undefined) {
    throw new Failure('unsupported', 'other databases cannot be reached from here')
  }
  if (lender === borrower) throw new Failure('exists', `${borrower} is this filesystem`)
  const there = await elsewhere(borrower)
  const both: Both = { here: caller, there, lender, borrower, as: as ? { as } : {}, on: on ? { on } : {} }
  const { token } = (await there.call('borrow', both.as)) as { token: number }
  const view = { fork: `#${borrower}` }
  const keep = async () => {
    const kept = (await caller.call('lend', { to: borrower, ...both.as, ...both.on })) as { nextIno: number }
    for (let more = true; more; ) more = ((await job(FSX_TIER, { all: view.fork })) as TierReport).more
    return kept
  }
  const { nextIno } = await keep().catch(async (error) => {
    // Nothing was told yet: both are as they were.
    const undone = there.call('unborrow', { token, ...both.as })
    await undone.then(() => caller.call('endLend', { to: borrower, ...both.as })).catch(() => undefined)
    throw error
  })
  for (let from: number | undefined = 1; from !== undefined; ) {
    const rows = (await caller.call('lendRows', { from, ...both.as, on: view })) as LentRows
    await there.call('borrowRows', { token, rows, ...both.as })
    await lendContent(both, { token, on: view, inos: rows.inodes.filter(({ body }) => body).map(({ ino }) => ino) })
    from = rows.next
  }
  // The last step makes it whole: what fails before it is begun again.
  await caller.call('endLend', { to: borrower, ...both.as })
  await there.call('endBorrow', { token, nextIno, ...both.as })
  return there
}

async function lendContent(
  { here, there, lender, borrower, as }: Both,
  { token, on, inos }: { token: number; on: object; inos: readonly number[] },
): Promise<void> {
  for (let next: LentChunks['next'] = { at: 0, first: 0 }; next !== undefined && inos.length > 0; ) {
    const content = (await here.call('lendChunks', { to: borrower, inos, ...next, ...as, on })) as LentChunks
    await there.call('borrowChunks', { token, lender, content, ...as })
    next = content.next
  }
}

/** End loans of what the borrowers have nothing of any more. */
export async function endLoans({ caller, as }: Env): Promise<void> {
  const { elsewhere, database: lender } = caller
  if (elsewhere === undefined || lender === undefined) return
  for (const { borrower, keys } of (await caller.call('lent', { ...(as && { as }) })) as Loan[]) {
    // What was lent after this list was made is not ended by it: a borrower begins once.
    const left = await elsewhere(borrower)
      .then((there) => there.call('borrowed', { lender }) as Promise<string[] | null>)
      .catch(() => null)
    // Who is arriving, or cannot be asked, keeps all.
    if (left === null) continue
    const kept = new Set(left)
    const ended = keys.filter((key) => !kept.has(key))
    if (ended.length > 0) await caller.call('endLoans', { borrower, keys: ended, ...(as && { as }) })
  }
}
