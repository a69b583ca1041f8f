/** The filesystem as a shard runs it: calls by name, their arguments plain data.
 *
 *  Every call may say who asks (`as`); without, it is root. Those marked as reads write nothing but to memory. */
import { FSX_NAME_BYTES_MAX } from '@dotdo/core/limits'
import type { Call, Program, Tx } from '@dotdo/core/shard'
import * as attributes from './engine/attributes.ts'
import { borrowingReads, borrowingWrites } from './engine/borrowing.ts'
import { changed, look } from './engine/changes.ts'
import * as copying from './engine/copying.ts'
import { diff } from './engine/diff.ts'
import * as locks from './engine/file-locks.ts'
import * as regular from './engine/files.ts'
import { type Finding, fsck } from './engine/fsck.ts'
import { lendingReads, lendingWrites } from './engine/lending.ts'
import { makeNameless, sweepOrphans } from './engine/making.ts'
import { type Credential, checkRoot, root } from './engine/mode.ts'
import * as namespace from './engine/namespace.ts'
import { beginOverlay, fillDirectory, fillFile, findUnfilled, OWN_XATTRS } from './engine/overlay.ts'
import { elsewhere, elsewhereOf } from './engine/part.ts'
import { readUsage, setQuota } from './engine/quota.ts'
import { realpath } from './engine/realpath.ts'
import * as shared from './engine/snapshots.ts'
import { allocate, deallocate } from './engine/space.ts'
import { becomePart, locate, readPart } from './engine/spread.ts'
import { tierReads, tierWrites } from './engine/tier.ts'
import { type Files, findVolumes, flush, forgetIdle, openFiles, type View } from './engine/volume.ts'
import { refuse } from './errors.ts'
import { fsxTables, type Inode, LAYER_INOS } from './tables.ts'
import { type Check, checkGuard } from './web/guard.ts'
import { forgetLocks, listLocks, lock, refreshLock, unlock } from './web/locking.ts'
import { webLocks } from './web/locks.ts'
import { placeFile, putFile } from './web/place.ts'
import { patchProperties, peek, survey } from './web/survey.ts'

/** The name of the program in calls. */
export const FSX = 'fsx'

/** The call that tells whether a shard has a filesystem; every other one makes it. */
export const FSX_IS_THERE = 'isThere'

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
  snapshots: shared.snapshots,
  forks: shared.forks,
  diff,
  look,
  changed,
  findUnfilled,
  survey,
  peek,
  listLocks,
  readPart,
  locate,
  ...tierReads,
  ...lendingReads,
  ...borrowingReads,
} satisfies { [name: string]: Handler }

/** Calls that may write. */
const writes = {
  open: regular.open,
  close(files: Files, { ino, owner }: { ino: number; owner?: string }): null {
    if (owner !== undefined) locks.dropLock(files, { ino, owner, start: 0, stop: Number.MAX_SAFE_INTEGER })
    return regular.close(files, ino)
  },
  write: regular.write,
  truncate: regular.truncate,
  allocate,
  deallocate,
  readFile: regular.readFile,
  writeFile: regular.writeFile,
  copyFile: copying.copyFile,
  beginCopy: copying.beginCopy,
  copyPiece: copying.copyPiece,
  endCopy: copying.endCopy,
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
  writeXattr(files: Files, args: Parameters<typeof attributes.writeXattr>[1], who: Credential) {
    // Whoever could set a mark could read whatever is below.
    if (args.name.startsWith(OWN_XATTRS)) throw refuse('EPERM')
    return attributes.writeXattr(files, args, who)
  },
  quota(files: Files, args: { bytes?: number; inodes?: number }, who: Credential) {
    checkRoot(who)
    setQuota(files, args)
    return null
  },
  snapshot: shared.snapshot,
  removeSnapshot: shared.removeSnapshot,
  restore: shared.restore,
  fork: shared.fork,
  removeFork: shared.removeFork,
  beginOverlay,
  fillDirectory,
  fillFile,
  takeLock: locks.takeLock,
  dropLock: locks.dropLock,
  renewLocks: locks.renewLocks,
  endLocks: locks.endLocks,
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
  becomePart,
  ...tierWrites,
  ...lendingWrites,
  ...borrowingWrites,
} satisfies { [name: string]: Handler }

const handlers = { ...reads, ...writes }
/** Those of the writes that can be done to a snapshot: what they would change is looked at by themselves. */
const harmless = new Set([
  'open',
  'close',
  'readFile',
  'fork',
  'batch',
  'takeLock',
  'dropLock',
  'lend',
  'endLend',
  'lendChunks',
])

/** What cannot be done to one shard of several: it is about the whole. */
const wholeOnly: ReadonlySet<string> = new Set<keyof typeof handlers>([
  'snapshot',
  'snapshots',
  'removeSnapshot',
  'restore',
  'diff',
  'fork',
  'forks',
  'removeFork',
  'quota',
  'beginOverlay',
  'setTier',
  'lend',
  'borrow',
  // What only comes over HTTP, where there is one way to a filesystem.
  'survey',
  'peek',
  'guard',
  'makeNameless',
  'placeFile',
  'putFile',
  'patchProperties',
  'lock',
])

/** What is done to a filesystem that is still arriving from another shard. */
const whileArriving = new Set<string>([...Object.keys(borrowingReads), ...Object.keys(borrowingWrites)])

/** Calls by name, with what they take and answer. */
export type FsxCalls = typeof handlers
/** The name of a call. */
export type FsxName = keyof FsxCalls
/** What a call takes. */
export type FsxArgs<N extends FsxName> = Parameters<FsxCalls[N]>[1] & { readonly as?: Credential; readonly on?: View }
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
      const there = elsewhereOf(error)
      // Of several shards, this one makes those that are its own.
      if (there === path) tries--
      else if (there !== undefined) throw elsewhere(there.slice(0, -6))
      else if ((error as { code?: string }).code !== 'exists' || tries >= 100) throw error
    }
  }
}

function run(files: Files, name: string, args: unknown, who: Credential): unknown {
  const handler = (handlers as Record<string, Handler>)[name]
  if (handler === undefined || !Object.hasOwn(handlers, name)) throw refuse('ENOTSUP')
  if (files.volume.numbers.isArriving && !whileArriving.has(name)) throw refuse('EBUSY')
  if (files.volume.isReadOnly && Object.hasOwn(writes, name) && !harmless.has(name)) throw refuse('EROFS')
  if (files.volume.part !== undefined && wholeOnly.has(name)) throw refuse('ENOTSUP')
  return handler(files, args as never, who)
}

/** The program `fsx`. */
export const fsxProgram: Program = {
  name: FSX,
  tables: [...fsxTables, webLocks, locks.fileLocks, locks.lockSessions],
  run(tx: Tx, { name, args }: Call): unknown {
    if (name === FSX_IS_THERE) return tx.raw("select 1 from fs_meta where name = 'version'").length > 0
    const { as = root, on } = (args ?? {}) as { as?: Credential; on?: View }
    forgetIdle(tx)
    return run(openFiles(tx, on), name, args, as)
  },
  // Reading a file may cut it first, if its flags say so; as a rule it does not, and is run again if it does.
  writesSql: ({ name }) => !Object.hasOwn(reads, name) && name !== 'readFile' && name !== FSX_IS_THERE,
  finish(tx: Tx): void {
    for (const volume of findVolumes(tx.memory)?.known.values() ?? []) {
      if (volume.dirty.size > 0) flush({ tx, volume, nowUs: tx.nowMs * 1000 })
    }
  },
  busy: (memory) => [...(findVolumes(memory)?.known.values() ?? [])].some(({ handles }) => handles.size > 0),
  sweep(tx: Tx): number | undefined {
    const locksDueMs = locks.sweepLocks(tx)
    // A shard that holds no filesystem gets none by being swept.
    const layers = tx.raw(`select distinct ino / ${LAYER_INOS} from fs_orphans`)
    if (findVolumes(tx.memory) === undefined && layers.length === 0) return locksDueMs
    let next = locksDueMs ?? Number.POSITIVE_INFINITY
    for (const [layer] of layers) {
      const heads = tx.raw('select name from fs_heads where layer = ?', layer as number)
      // What is in a layer that is no filesystem's own is there for its snapshots.
      if (heads.length === 0 && tx.raw('select 1 from fs_heads limit 1').length > 0) continue
      const files = openFiles(tx, heads.length === 0 ? {} : { fork: String(heads[0]?.[0]) })
      next = Math.min(next, sweepOrphans(files) ?? next)
      flush(files)
    }
    return next < Number.POSITIVE_INFINITY ? next : undefined
  },
}
