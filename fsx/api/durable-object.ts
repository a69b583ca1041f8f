/** A filesystem inside a Durable Object of your own, over its storage. On Workers only. */
import { StopSwitch } from '@dotdo/core/cdc'
import { Failure } from '@dotdo/core/errors'
import { createWorkersSql, workersClock } from '@dotdo/core/host/workers'
import { SLOT_COUNT } from '@dotdo/core/limits'
import { type Clock, Shard, SYSTEM } from '@dotdo/core/shard'
import { FSX, fsxProgram } from '../program.ts'
import { FSX_SLOT } from '../tables.ts'
import { createFileSystem, type FileSystem, type FileSystemOptions } from './filesystem.ts'

/** Whoever asks is in the object: a group is what has been asked by the end of the microtask, and the platform writes
 *  all groups of a turn at once, before the object answers anybody. */
const insideClock: Clock = { ...workersClock, defer: (work) => queueMicrotask(work) }

/** How a filesystem in an object is used. */
export interface InsideOptions extends FileSystemOptions {
  /** Told of failures that are bugs of ours. */
  readonly onBug?: (error: unknown) => void
}

/** Open the filesystem of the object whose storage this is; the functions that end in Sync work too. Open it once: in
 *  the object's constructor, or when it is first needed.
 *  @param storage `ctx.storage` of a class that is declared with `new_sqlite_classes`; its tables begin with `fs_` and
 *  `dotdo_`, and may stand beside others
 *  @throws unsupported when a newer version has written it */
export async function fsxInside(
  storage: Parameters<typeof createWorkersSql>[0],
  { onBug, ...options }: InsideOptions = {},
): Promise<FileSystem> {
  const parts = { sql: createWorkersSql(storage), clock: insideClock, programs: [fsxProgram] }
  const shard = new Shard({ ...parts, isShared: true, ...(onBug && { onBug }) })
  const callOf = (name: string, args: object) => ({ program: FSX, name, slot: FSX_SLOT, epoch: 1, args })
  const given = (reply: unknown) => {
    if (reply instanceof Failure) throw reply
    return reply
  }
  const everything = { epoch: 1, slots: [[0, SLOT_COUNT - 1]] }
  given((await shard.submit([{ program: SYSTEM, name: 'assign', slot: -1, epoch: 1, args: everything }]))[0])
  return createFileSystem(
    {
      call: async (name, args) => given((await shard.submit([callOf(name, args)]))[0]),
      callNow: (name, args) => given(shard.runNow([callOf(name, args)])[0]),
      waiting: {
        clock: insideClock,
        ended: new StopSwitch(),
        awaitChange: (afterSeq, waitMs) => shard.awaitChange(afterSeq, waitMs),
      },
    },
    options,
  )
}
