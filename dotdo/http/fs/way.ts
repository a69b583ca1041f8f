/** The way from a request to the filesystem that it names. */
import { Failure } from '@dotdo/core/errors'
import type { Fabric } from '@dotdo/core/shard'
import { type Caller, callerOf } from '@dotdo/fsx/filesystem'
import { FSX_IS_THERE, type FsxAnswer, type FsxArgs, type FsxName, type FsxStep } from '@dotdo/fsx/program'
import { type Check, checkEmpty } from '@dotdo/fsx/web'
import type { Target } from './target.ts'

/** A filesystem. */
export interface Way {
  /** Run a call.
   *  @throws Failure */
  call<N extends FsxName>(name: N, args: FsxArgs<N>): Promise<FsxAnswer<N>>
  /** Run calls in one transaction, if what must hold does.
   *  @returns their answers
   *  @throws Failure; conflict, with what does not hold */
  guard(check: Check, steps: readonly FsxStep[]): Promise<unknown[]>
  /** Run a job beside the shard.
   *  @throws Failure */
  job(name: string): Promise<unknown>
}

/** Finds filesystems. */
export interface Ways {
  /** @returns undefined when there is none: no database of the name, or one that has no filesystem */
  find(database: string): Promise<Way | undefined>
  /** Find a filesystem; one that is new is made by the first call.
   *  @throws invalid for a bad name */
  open(database: string): Promise<Way>
}

/** Ways that are remembered: each is a name and a client. */
const waysMax = 10_000

/** Find a filesystem that is there.
 *  @throws not_found */
export async function wayOf(ways: Ways, database: string): Promise<Way> {
  const way = await ways.find(database)
  if (way === undefined) throw new Failure('not_found', `no filesystem ${database.slice(0, 80)}`)
  return way
}

/** Find a filesystem for somebody who writes to it. A new one is made by that, unless an empty one would refuse it.
 *  @throws what an empty one does */
export async function openFor(ways: Ways, { database, path }: Target, check: Check): Promise<Way> {
  const there = await ways.find(database)
  if (there !== undefined) return there
  checkEmpty(path, check)
  return ways.open(database)
}

/** Make what finds the filesystems of a fabric. */
export function waysOver(fabric: Fabric): Ways {
  // Of those that are there: what has been made stays.
  const known = new Map<string, Way>()
  const wayTo = (caller: Caller): Way => ({
    call: (name, args) => caller.call(name, args as object) as never,
    guard: (check, steps) => caller.call('guard', { check, steps }) as Promise<unknown[]>,
    job: async (name) => caller.job?.(name, {}),
  })
  return {
    open: async (database) => known.get(database) ?? wayTo(callerOf(await fabric.database(database))),
    async find(database) {
      const there = known.get(database)
      if (there !== undefined) return there
      if ((await fabric.find(database)) === undefined) return undefined
      const caller = callerOf(await fabric.database(database))
      if (!(await caller.call(FSX_IS_THERE, {}))) return undefined
      if (known.size >= waysMax) known.clear()
      known.set(database, wayTo(caller))
      return known.get(database)
    },
  }
}
