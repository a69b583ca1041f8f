/** The way from a request to the filesystem that it names. */
import { Failure } from '@dotdo/core/errors'
import type { Fabric } from '@dotdo/core/shard'
import { callerOf } from '@dotdo/fsx/filesystem'
import type { FsxAnswer, FsxArgs, FsxName, FsxStep } from '@dotdo/fsx/program'
import type { Check } from '@dotdo/fsx/web'

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
  /** @returns undefined when nothing has the name */
  find(database: string): Promise<Way | undefined>
  /** Find a filesystem, making it when it is new.
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

/** Make what finds the filesystems of a fabric. */
export function waysOver(fabric: Fabric): Ways {
  const known = new Map<string, Way>()
  const open = async (database: string): Promise<Way> => {
    const there = known.get(database)
    if (there !== undefined) return there
    const caller = callerOf(await fabric.database(database))
    const way: Way = {
      call: (name, args) => caller.call(name, args as object) as never,
      guard: (check, steps) => caller.call('guard', { check, steps }) as Promise<unknown[]>,
      job: async (name) => caller.job?.(name, {}),
    }
    if (known.size >= waysMax) known.clear()
    known.set(database, way)
    return way
  }
  return {
    open,
    async find(database) {
      // A name is only made by those who write.
      if (!known.has(database) && (await fabric.find(database)) === undefined) return undefined
      return open(database)
    },
  }
}
