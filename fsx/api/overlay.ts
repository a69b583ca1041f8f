/** The way to a filesystem that lies over another one, or over a folder of the host: what is below is read when it is
 *  first needed, and never written to.
 *
 *  1. Before a call, everything that its paths lead through is taken in (engine/overlay.ts).
 *  2. What is below must not change meanwhile: what was taken in is not looked at again. */
import type { promises } from 'node:fs'
import { Failure } from '@dotdo/core/errors'
import { FSX_TAR_PIECE_BYTES } from '@dotdo/core/limits'
import { LOWER_MARK, type LowerEntry, type Unfilled } from '../engine/overlay.ts'
import type { View } from '../engine/volume.ts'
import type { FsxStep } from '../program.ts'
import type { Caller } from './request.ts'

/** What is below: node:fs for a folder of the host, or another filesystem. */
export interface Lower {
  readonly fs: { readonly promises: Pick<typeof promises, 'lstat' | 'readdir' | 'readlink' | 'open'> }
  /** The directory. */
  readonly path: string
}

/** Calls for which what a path leads to need not be whole: they ask about it, or give it another name. */
const shallow = new Set(['stat', 'access', 'realpath', 'readlink', 'chmod', 'chown', 'utimes', 'readXattr'])
/** Calls that do nothing with the content of a file: of what they lead to, directories must be whole. */
const namesOnly = new Set(['unlink', 'rename', 'link', 'rmdir', 'removeTree', 'mkdir', 'mkdirs', 'symlink'])
const named = ['path', 'from', 'to', 'prefix'] as const

type Args = { readonly on?: View; readonly steps?: readonly FsxStep[] } & {
  readonly [N in (typeof named)[number]]?: unknown
}

/** Put a filesystem over another one.
 *  @throws Failure conflict when it has content of its own, or lies over another directory */
export async function overlayCaller(caller: Caller, lower: Lower): Promise<Caller> {
  if (!(await caller.call('beginOverlay', { lower: lower.path }))) {
    throw new Failure('conflict', `the filesystem is not empty, and does not lie over ${lower.path}`)
  }
  const filling = new Map<string, Promise<void>>()
  const fill = (found: Unfilled, on: View | undefined): Promise<void> => {
    const key = `${on?.fork ?? ''}/${found.ino}`
    const work = filling.get(key) ?? fillOne({ caller, lower, on }, found).finally(() => void filling.delete(key))
    filling.set(key, work)
    return work
  }
  const makeWhole = async (name: string, args: Args): Promise<void> => {
    for (const step of args.steps ?? []) await makeWhole(step.name, { ...(step.args as Args), on: args.on as View })
    for (const key of named) {
      const path = args[key]
      if (typeof path !== 'string') continue
      for (;;) {
        const asked = { path, whole: !shallow.has(name), ...(args.on && { on: args.on }) }
        const found = (await caller.call('findUnfilled', asked)) as Unfilled | null
        if (found === null || (!found.isDirectory && namesOnly.has(name))) break
        if (args.on?.snapshot !== undefined) {
          throw new Failure('unsupported', `nobody had looked at ${path} when the snapshot was taken`)
        }
        await fill(found, args.on)
      }
    }
  }
  return {
    ...(caller.job && { job: caller.job }),
    async call(name, args) {
      await makeWhole(name, args)
      const answer = await caller.call(name, args)
      return name === 'listXattrs' ? (answer as string[]).filter((one) => !one.startsWith(LOWER_MARK)) : answer
    },
    ...(caller.waiting && { waiting: caller.waiting }),
  }
}

interface Way {
  readonly caller: Caller
  readonly lower: Lower
  readonly on: View | undefined
}

async function fillOne({ caller, lower, on }: Way, found: Unfilled): Promise<void> {
  const view = on === undefined ? {} : { on }
  const { lstat, readdir, readlink, open } = lower.fs.promises
  if (found.isDirectory) {
    const entries: LowerEntry[] = []
    for (const name of await readdir(found.lower)) {
      const stats = await lstat(`${found.lower}/${name}`)
      const isLink = stats.isSymbolicLink()
      // Devices, FIFOs and sockets have no place here.
      if (!stats.isFile() && !stats.isDirectory() && !isLink) continue
      const { mode, uid, gid, size, mtimeMs } = stats
      const link = isLink ? await readlink(`${found.lower}/${name}`) : undefined
      const mtime = Math.floor(mtimeMs * 1000)
      entries.push({ name, mode, uid, gid, size, mtime, ...(link !== undefined && { link }) })
    }
    await caller.call('fillDirectory', { ino: found.ino, entries, ...view })
    return
  }
  const handle = await open(found.lower, 'r')
  try {
    for (let position = 0, isLast = false; !isLast; position += FSX_TAR_PIECE_BYTES) {
      const buffer = new Uint8Array(FSX_TAR_PIECE_BYTES)
      let length = 0
      for (let more = 1; more > 0 && length < buffer.length; length += more) {
        more = (await handle.read(buffer, length, buffer.length - length, position + length)).bytesRead
      }
      isLast = length < buffer.length || position + length >= found.size
      await caller.call('fillFile', { ino: found.ino, position, bytes: buffer.subarray(0, length), isLast, ...view })
    }
  } finally {
    await handle.close()
  }
}
