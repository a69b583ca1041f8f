/** Tiers, as methods of a filesystem: cold content leaves for an object store, and comes back when it is read. */
import { Failure } from '@dotdo/core/errors'
import { FSX_TIER_KEEP_MS } from '@dotdo/core/limits'
import { parseDuration, parseSize } from '@dotdo/core/tiering/tier'
import type { TierPolicy, TierStatus } from '../engine/tier.ts'
import { toFsError } from '../errors.ts'
import { FSX_TIER, type TierReport } from '../tier/index.ts'
import { endLoans } from './elsewhere.ts'
import { type Env, type Request, runLater } from './request.ts'

export type { TierPolicy, TierReport, TierStatus }

/** What becomes cold: durations as `30d`, sizes as `1mb`. */
export interface TierOptions {
  /** Files that were neither read nor changed for so long. A time of access is a day coarse. */
  olderThan: string
  /** Files of this size at the least. Default: all whose content is not in their inode's row. */
  largerThan?: string
  /** Objects stay so long after nobody refers to them any more: as old as a backup of the shard may be. Default 1d. */
  keep?: string
}

/** What a filesystem can do with its cold content. It is of the shard: forks and snapshots have the same. */
export interface Tiers {
  readonly tiers: {
    /** Say what becomes cold; null: nothing more. It is kept, and holds for passes from now on.
     *  @throws EINVAL */
    set(options: TierOptions | null): Promise<void>
    status(): Promise<TierStatus>
    /** Run a pass: what is cold by now leaves, and objects that nobody refers to go, here or in forks elsewhere.
     *  @throws ENOTSUP where no store was given to the host of the shard */
    run(): Promise<TierReport>
  }
}

const names = ['olderThan', 'largerThan', 'keep']

/** Read a policy.
 *  @throws invalid, naming the option */
export function tierPolicyOf(options: TierOptions): TierPolicy {
  const unknown = Object.keys(options).find((name) => !names.includes(name))
  if (unknown !== undefined) throw new Failure('invalid', `unknown option ${unknown}: there are ${names.join(', ')}`)
  const { olderThan, largerThan, keep } = options
  return {
    olderThanMs: parseDuration('olderThan', olderThan),
    largerThanBytes: largerThan === undefined ? 0 : parseSize('largerThan', largerThan),
    keepMs: keep === undefined ? FSX_TIER_KEEP_MS : parseDuration('keep', keep),
  }
}

/** Make the methods. */
export function tiersOf(env: Env): Tiers {
  const doing = { syscall: 'tier' }
  function* once(name: string, args: object): Generator<Request, unknown, unknown> {
    return yield { name, args, doing }
  }
  const told = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      throw toFsError(error, doing)
    }
  }
  return {
    tiers: {
      set: (options) =>
        told(async () => {
          const policy = options && tierPolicyOf(options)
          await runLater(env, once('setTier', { policy }))
        }),
      status: async () => (await runLater(env, once('tierStatus', {}))) as TierStatus,
      run: () =>
        told(async () => {
          if (env.caller.job === undefined) throw new Failure('unsupported', 'nothing runs beside this shard')
          await endLoans(env)
          return (await env.caller.job(FSX_TIER, {})) as TierReport
        }),
    },
  }
}
