/** Snapshots and forks, as methods of a filesystem. */
import type { Difference } from '../engine/diff.ts'
import type { Fork, Snapshot } from '../engine/snapshots.ts'
import { toFsError } from '../errors.ts'
import { forkElsewhere } from './elsewhere.ts'
import type { FileSystem } from './filesystem.ts'
import { type Env, type Request, runLater } from './request.ts'

export type { Difference, Fork, Snapshot }

/** A snapshot: its number, its name, or what `snapshot` answered. */
export type SnapshotRef = number | string | Pick<Snapshot, 'id'>

/** What a filesystem can do with its past, and to begin others. */
export interface Shared {
  /** Keep the filesystem as it is now; nothing is copied.
   *  @throws EEXIST when a snapshot has the name */
  snapshot(name?: string): Promise<Snapshot>
  readonly snapshots: {
    /** In the order in which they were taken. */
    list(): Promise<Snapshot[]>
    /** @throws ENOENT; EBUSY while a file of it is open */
    remove(snapshot: SnapshotRef): Promise<void>
  }
  /** See the filesystem as it was when a snapshot was taken: whoever writes to that gets EROFS. */
  at(snapshot: SnapshotRef): FileSystem
  /** Tell what is different between two states; without the second, how it is now. */
  diff(from: SnapshotRef, to?: SnapshotRef): Promise<Difference>
  /** Make the filesystem what it was when a snapshot was taken. Snapshots stay, later ones too.
   *  @throws ENOENT; EBUSY while a file is open */
  restore(snapshot: SnapshotRef): Promise<void>
  /** Begin another filesystem that is as this one is now; nothing is copied, and neither sees what the other writes.
   *  @throws EEXIST when a fork has the name */
  fork(name: string): Promise<FileSystem>
  /** Begin the filesystem of another database, which nobody has used yet, as this one is now: content goes to the
   *  store, and both refer to it there. If it fails, it can be begun again; the other one is EBUSY meanwhile.
   *  @throws EEXIST when the other one was used before; ENOTSUP where there is no store */
  forkTo(database: string): Promise<FileSystem>
  readonly forks: {
    list(): Promise<Fork[]>
    /** Use a fork: ENOENT from whatever is done, if there is none of the name. */
    open(name: string): FileSystem
    /** Remove a fork, and its snapshots; forks of it stay.
     *  @throws ENOENT; EBUSY while a file of it is open */
    remove(name: string): Promise<void>
  }
}

/** @returns what the engine calls a snapshot */
const whichOf = (snapshot: SnapshotRef) => (typeof snapshot === 'object' ? snapshot.id : snapshot)

/** Make the methods.
 *  @param build makes a filesystem of another view */
export function sharedOf(env: Env, build: (env: Env) => FileSystem): Shared {
  function* once(request: Request): Generator<Request, unknown, unknown> {
    return yield request
  }
  const ask = async <T>(name: string, args: object, path?: string): Promise<T> => {
    return (await runLater(env, once({ name, args, doing: { syscall: name, path } }))) as T
  }
  const other = (on: Env['on']) => build({ ...env, ...(on && { on }), files: new Map() })
  return {
    snapshot: (name) => ask('snapshot', { ...(name !== undefined && { name }) }, name),
    snapshots: {
      list: () => ask('snapshots', {}),
      remove: async (snapshot) => void (await ask('removeSnapshot', { which: whichOf(snapshot) })),
    },
    at: (snapshot) => other({ ...env.on, snapshot: whichOf(snapshot) }),
    diff: (from, to) => ask('diff', { from: whichOf(from), to: to === undefined ? null : whichOf(to) }),
    restore: async (snapshot) => void (await ask('restore', { which: whichOf(snapshot) })),
    async fork(name) {
      await ask('fork', { name }, name)
      return other({ fork: name })
    },
    async forkTo(database) {
      const doing = { syscall: 'fork', path: database }
      const caller = await forkElsewhere(env, database).catch((error) => {
        throw toFsError(error, doing)
      })
      const { on: _, ...rest } = env
      return build({ ...rest, caller, files: new Map() })
    },
    forks: {
      list: () => ask('forks', {}),
      open: (name) => other({ fork: name }),
      remove: async (name) => void (await ask('removeFork', { name }, name)),
    },
  }
}
