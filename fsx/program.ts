/** The filesystem as a shard runs it: calls by name, their arguments plain data.
 *
 *  Every call may say who asks (`as`); without, it is root. Those marked as reads write nothing but to memory. */
import { FSX_NAME_BYTES_MAX } from '@dotdo/core/limits'
import type { Call, Program, Tx } from '@dotdo/core/shard'
import * as attributes from './engine/attributes.ts'
import * as regular from './engine/files.ts'
import { type Finding, fsck } from './engine/fsck.ts'
import { sweepOrphans } from './engine/making.ts'
import { type Credential, root } from './engine/mode.ts'
import * as namespace from './engine/namespace.ts'
import { readUsage, setQuota } from './engine/quota.ts'
import { realpath } from './engine/realpath.ts'
import { type Files, findVolume, flush, openFiles } from './engine/volume.ts'
import { refuse } from './errors.ts'
import { fsxTables, type Inode } from './tables.ts'
import { type Check, checkGuard } from './web/guard.ts'
import { forgetLocks, listLocks, lock, refreshLock, unlock } from './web/locking.ts'
import { webLocks } from './web/locks.ts'
import { makeNameless, placeFile, putFile } from './web/place.ts'
import { patchProperties, peek, survey } from './web/survey.ts'

/** The name of the program in calls. */
export const FSX = 'fsx'

/** What a filesystem holds and may hold; numbers without bound are absent. */
export interface Statistics {
  readonly bytes: number
  readonly inodes: number
  readonly quotaBytes?: number
  readonly quotaInodes?: number
  readonly nameMax: number
}

type Handler = (files: Files, args: never, who: Credential) => unknown

/** Calls that only read. */
const reads = {
  stat: attributes.stat,
  access: attributes.access,
  readlink: namespace.readlink,
  realpath,
  readdir: namespace.readdir,
  read: regular.read,
  listXattrs: attributes.listXattrs,
  readXattr: attributes.readXattr,
  statfs(files: Files, _: null): Statistics {
    const { quotaBytes, quotaInodes } = files.volume
    return {
      ...readUsage(files),
      ...(quotaBytes < Number.POSITIVE_INFINITY && { quotaBytes }),
      ...(quotaInodes < Number.POSITIVE_INFINITY && { quotaInodes }),
      nameMax: FSX_NAME_BYTES_MAX,
    }
  },
  fsck: (files: Files, _: null): Finding[] => fsck(files),
  survey,
  peek,
  listLocks,
} satisfies { [name: string]: Handler }

/** Calls that may write. */
const writes = {
  open: regular.open,
  close: (files: Files, { ino }: { ino: number }) => regular.close(files, ino),
  write: regular.write,
  truncate: regular.truncate,
  readFile: regular.readFile,
  writeFile: regular.writeFile,
  copyFile: regular.copyFile,
  mkdir: namespace.mkdir,
  mkdirs: namespace.mkdirs,
  rmdir: namespace.rmdir,
  unlink: namespace.unlink,
  link: namespace.link,
  symlink: namespace.symlink,
  rename: namespace.rename,
  removeTree: namespace.removeTree,
  mkdtemp,
  chmod: attributes.chmod,
  chown: attributes.chown,
  utimes: attributes.utimes,
  writeXattr: attributes.writeXattr,
  quota(files: Files, args: { bytes?: number; inodes?: number }) {
    setQuota(files, args)
    return null
  },
  batch,
  makeNameless,
  placeFile,
  putFile,
  patchProperties,
  lock,
  refreshLock,
  unlock,
  forgetLocks,
  guard,
} satisfies { [name: string]: Handler }

const handlers = { ...reads, ...writes }

/** Calls by name, with what they take and answer. */
export type FsxCalls = typeof handlers
/** The name of a call. */
export type FsxName = keyof FsxCalls
/** What a call takes. */
export type FsxArgs<N extends FsxName> = Parameters<FsxCalls[N]>[1] & { readonly as?: Credential }
/** What a call answers. */
export type FsxAnswer<N extends FsxName> = ReturnType<FsxCalls[N]>
/** All about an inode but its content. */
export type { Inode }

/** One call of several. */
export interface FsxStep {
  readonly name: string
  readonly args: unknown
}

/** Run calls, all or none.
 *  @returns their answers */
function batch(files: Files, { steps }: { steps: readonly FsxStep[] }, who: Credential): unknown[] {
  return steps.map(({ name, args }) => run(files, name, args, who))
}

/** Run calls, all or none, if what must hold does.
 *  @returns their answers
 *  @throws conflict, with what does not hold */
function guard(files: Files, { check, steps }: { check: Check; steps: readonly FsxStep[] }, who: Credential) {
  checkGuard(files, check, who)
  return batch(files, { steps }, who)
}

const letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'

/** Make a directory whose name nothing has.
 *  @returns its path: the prefix and six letters
 *  @throws as mkdir(2) */
function mkdtemp(files: Files, { prefix }: { prefix: string }, who: Credential): string {
  for (let tries = 0; ; tries++) {
    let random = files.tx.random()
    let path = prefix
    for (let i = 0; i < 6; i++) {
      path += letters[random % letters.length]
      random = Math.floor(random / letters.length)
    }
    try {
      namespace.mkdir(files, { path, mode: 0o700 }, who)
      return path
    } catch (error) {
      if ((error as { code?: string }).code !== 'exists' || tries >= 100) throw error
    }
  }
}

function run(files: Files, name: string, args: unknown, who: Credential): unknown {
  const handler = (handlers as Record<string, Handler>)[name]
  if (handler === undefined || !Object.hasOwn(handlers, name)) throw refuse('ENOTSUP')
  return handler(files, args as never, who)
}

/** The program `fsx`. */
export const fsxProgram: Program = {
  name: FSX,
  tables: [...fsxTables, webLocks],
  run(tx: Tx, { name, args }: Call): unknown {
    return run(openFiles(tx), name, args, (args as { as?: Credential } | null)?.as ?? root)
  },
  // Reading a file may cut it first, if its flags say so; as a rule it does not, and is run again if it does.
  writesSql: ({ name }) => !Object.hasOwn(reads, name) && name !== 'readFile',
  finish(tx: Tx): void {
    const volume = findVolume(tx.memory)
    if (volume !== undefined && volume.dirty.size > 0) flush({ tx, volume, nowUs: tx.nowMs * 1000 })
  },
  busy: (memory) => (findVolume(memory)?.handles.size ?? 0) > 0,
  sweep(tx: Tx): number | undefined {
    // A shard that holds no filesystem gets none by being swept.
    if (findVolume(tx.memory) === undefined && tx.raw('select 1 from fs_orphans limit 1').length === 0) return undefined
    const files = openFiles(tx)
    const next = sweepOrphans(files)
    flush(files)
    return next
  },
}
