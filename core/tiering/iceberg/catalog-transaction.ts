/** Commits several tables of the file catalog at one moment.
 *
 *  1. *Prepare*: each table, in the order of the keys, gets a version that repeats its state and has the next one
 *     beside it. The version's name is then taken: nobody can commit in between. Requirements are checked on that
 *     state.
 *  2. *Decide*: the record `_transactions/{id}.json` is written, if there is none. That moment every table has its next
 *     state, for every reader of this catalog. Readers of bare files see tables change one by one, with rule 4 below.
 *  3. A commit that meets a prepared version waits a while for the record, then writes it itself: `aborted`. So whoever
 *     dies stops nobody for ever, and of two that wait for each other one gives way.
 *  4. Next states become versions right after the decision; after a crash, when the table is next looked at.
 *  5. Records stay for a day, as long as anybody can still be about to decide: a record that is gone could be
 *     written again, differently.
 *  A crash before the decision leaves the old states, one after it the new ones. */
import { Failure } from '../../errors.ts'
import {
  ICEBERG_COMMIT_ATTEMPTS_MAX,
  ICEBERG_TRANSACTION_KEPT_MS,
  ICEBERG_TRANSACTION_PATIENCE,
  ICEBERG_TRANSACTION_TABLES_MAX,
} from '../../limits.ts'
import type { Clock } from '../../shard/clock.ts'
import { unavailable } from '../objects/port.ts'
import { applyUpdates } from './apply.ts'
import { backOff } from './back-off.ts'
import type { TableState, TableVersions } from './catalog-versions.ts'
import { randomUuid } from './random.ts'
import { checkRequirements, requirementFailed } from './requirement.ts'
import type { CommitRequest } from './update.ts'

/** A table's part of a transaction. */
export interface KeyedCommit {
  /** The table's folder. */
  readonly key: string
  /** For messages. */
  readonly name: string
  readonly request: CommitRequest
}

/** Find the newest state of a table when no transaction is open on it: one that stays open is called off. */
export async function settledState(
  versions: TableVersions,
  clock: Clock,
  key: string,
): Promise<TableState | undefined> {
  for (let attempt = 1; ; attempt++) {
    const state = await versions.newest(key)
    if (state?.prepared === undefined) return state
    if (attempt > ICEBERG_TRANSACTION_PATIENCE) await versions.decide(state.prepared.id, 'aborted', [])
    else await backOff(clock, attempt)
  }
}

/** Commit several tables: all or none.
 *  @throws conflict (`requirement`) when a requirement of one does not hold or another commit came first; invalid for a
 *  table that is named twice; unavailable when the outcome is not known */
export async function commitTogether(
  versions: TableVersions,
  clock: Clock,
  commits: readonly KeyedCommit[],
): Promise<void> {
  const ordered = [...commits].sort((a, b) => (a.key < b.key ? -1 : 1))
  const keys = ordered.map(({ key }) => key)
  if (new Set(keys).size < keys.length) throw new Failure('invalid', 'a table is named twice in one commit')
  if (keys.length > ICEBERG_TRANSACTION_TABLES_MAX) {
    throw new Failure('limit', `${keys.length} tables in one commit; ${ICEBERG_TRANSACTION_TABLES_MAX} at the most`)
  }
  const id = randomUuid(clock)
  try {
    for (const commit of ordered) await prepare(versions, clock, commit, id)
  } catch (error) {
    await ignoringFailure(() => versions.decide(id, 'aborted', []))
    throw undone(error)
  }
  if (!(await versions.decide(id, 'committed', keys))) {
    throw requirementFailed('another commit called this one off: it had waited too long')
  }
  // What is not done here is done by whoever looks at the table next.
  await ignoringFailure(async () => {
    for (const key of keys) await versions.newest(key)
    await versions.removeRecords(ICEBERG_TRANSACTION_KEPT_MS)
  })
}

async function prepare(
  versions: TableVersions,
  clock: Clock,
  { key, name, request }: KeyedCommit,
  id: string,
): Promise<void> {
  for (let attempt = 1; attempt <= ICEBERG_COMMIT_ATTEMPTS_MAX; attempt++) {
    const base = await settledState(versions, clock, key)
    checkRequirements(base?.metadata, request.requirements)
    if (base === undefined) {
      throw new Failure('unsupported', `${name} is not there; make it first, then commit it with others`)
    }
    const same = versions.logged(key, base, base.metadata)
    const applied = applyUpdates(same, request.updates, clock.nowMs())
    const next = versions.logged(key, { ...base, version: base.version + 1 }, applied)
    if ((await versions.write(key, base.version + 1, same, { id, next })) !== undefined) return
  }
  throw requirementFailed(`${name}: other commits came first too often`)
}

/** Nobody but the one who fails here would have decided to commit, so the outcome is known. */
function undone(error: unknown): unknown {
  if (!(error instanceof Failure) || error.code !== 'unavailable') return error
  return unavailable(error.message, { outcome: 'none' }, error)
}

async function ignoringFailure(work: () => Promise<unknown>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof Failure)) throw error
  }
}
