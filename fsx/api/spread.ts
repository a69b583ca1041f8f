/** The way to a filesystem over several shards: which of them is asked for what.
 *
 *  1. A path is asked of the shard that its first name is on; where links lead elsewhere, that one says so
 *     (engine/part.ts). The root is asked of all.
 *  2. What names two paths is asked once both are known to be on one shard; else it is EXDEV, but for a copy.
 *  3. Outside, the numbers of inodes are `(ino - 1) * shards + shard + 1`: no two shards have one in common. */
import { Failure } from '@dotdo/core/errors'
import { FSX_LINKS_FOLLOWED_MAX, FSX_TRANSFER_BYTES_MAX } from '@dotdo/core/limits'
import type { Finding } from '../engine/fsck.ts'
import { isDirectory, O } from '../engine/mode.ts'
import type { Listing } from '../engine/namespace.ts'
import { elsewhereOf, isRootPath, type Part, shardOfName } from '../engine/part.ts'
import { errnoOf, refuse } from '../errors.ts'
import type { FsxStep, Statistics } from '../program.ts'
import { type Inode, ROOT_INO } from '../tables.ts'
import { type Caller, driveLater, driveNow } from './request.ts'

/** A question to one of the shards. */
interface Question {
  readonly shard: number
  readonly name: string
  readonly args: Args
}

// biome-ignore lint/suspicious/noExplicitAny: arguments are what the call of a name takes
type Args = { readonly [name: string]: any }
// biome-ignore lint/suspicious/noExplicitAny: answers are what the call of a name gives
type Route = Generator<Question, any, any>

/** Make one way of the ways to each shard of a filesystem, in order. */
export function spreadCaller(callers: readonly Caller[]): Caller {
  const shards = callers.length
  const callerOf = ({ shard }: Question) => callers[shard] as Caller
  const isHere = callers.every(({ callNow }) => callNow !== undefined)
  return {
    call: (name, args) => {
      return driveLater(route(shards, name, args as Args), (asked) => callerOf(asked).call(asked.name, asked.args))
    },
    ...(isHere && {
      callNow: (name: string, args: object) => {
        return driveNow(route(shards, name, args as Args), (asked) => callerOf(asked).callNow?.(asked.name, asked.args))
      },
    }),
  }
}

/** Say to the shards which of how many they are, the first one last: once it is told, all are.
 *  @throws conflict when they are those of another filesystem, or have content of their own */
export async function becomeParts(callers: readonly Caller[]): Promise<void> {
  const shards = callers.length
  // What one refuses, none becomes.
  for (const asks of [true, false]) {
    for (let shard = shards - 1; shard >= 0; shard--) {
      await (callers[shard] as Caller).call('becomePart', { shard, shards, asks }).catch((error) => {
        const isTaken = error instanceof Failure && error.code === 'conflict'
        throw isTaken ? new Failure('conflict', `this filesystem is not over ${shards} shards`) : error
      })
    }
  }
}

/** Tell which shard a path is likely to be on: that of its first name. */
function guess(path: string, shards: number): number {
  const first = path.split('/').find((name) => name !== '')
  return first === undefined ? 0 : shardOfName(first, shards)
}

function* route(shards: number, name: string, args: Args): Route {
  if (typeof args.ino === 'number') {
    const shard = (args.ino - 1) % shards
    const inside = { ...args, ino: Math.floor((args.ino - 1) / shards) + 1 }
    if (inside.ino === ROOT_INO) return yield* routeRoot(shards, name, inside)
    return outside(yield { shard, name, args: inside }, { shard, shards })
  }
  if (args.steps !== undefined) return yield* routeSteps(shards, args as { steps: readonly FsxStep[] })
  if (args.from !== undefined) return yield* routeTwo(shards, name, args)
  if (args.path !== undefined && isRootPath(args.path)) return yield* routeRoot(shards, name, args)
  if (args.path !== undefined) return yield* routePath(shards, { name, args, key: 'path' })
  if (args.prefix !== undefined) return yield* routePath(shards, { name, args, key: 'prefix' })
  if (name !== 'statfs' && name !== 'fsck') throw refuse('ENOTSUP')
  const answers = yield* askAll(shards, name, args)
  if (name === 'statfs') return (answers as Statistics[]).reduce(addStatistics)
  return (answers as Finding[][]).flat()
}

function* askAll(shards: number, name: string, args: Args): Generator<Question, unknown[], unknown> {
  const answers: unknown[] = []
  for (let shard = 0; shard < shards; shard++) answers.push(yield { shard, name, args })
  return answers
}

function addStatistics(a: Statistics, b: Statistics): Statistics {
  return { ...a, bytes: a.bytes + b.bytes, inodes: a.inodes + b.inodes }
}

/** Turn an inode of a shard into one of the filesystem; what is none stays. */
function outside(answer: unknown, { shard, shards }: Part): unknown {
  if (typeof answer !== 'object' || answer === null || !('ino' in answer) || !('mode' in answer)) return answer
  return { ...answer, ino: ((answer.ino as number) - 1) * shards + shard + 1 }
}

/** Ask about one path, wherever it leads. */
function* routePath(shards: number, { name, args, key }: Omit<Question, 'shard'> & { key: 'path' | 'prefix' }): Route {
  let path = args[key] as string
  for (let hops = 0; hops <= FSX_LINKS_FOLLOWED_MAX; hops++) {
    const shard = guess(path, shards)
    try {
      return outside(yield { shard, name, args: { ...args, [key]: path } }, { shard, shards })
    } catch (error) {
      const there = elsewhereOf(error)
      if (there === undefined) throw error
      if (name === 'mkdirs') return yield* makeAll(shards, args)
      path = there
    }
    if (key === 'path' && isRootPath(path)) return yield* routeRoot(shards, name, { ...args, path })
  }
  throw refuse('ELOOP')
}

/** Make a directory and those above it, one by one: a link must lead to one that is there, which only its shard knows.
 *  @returns as mkdirs of engine/namespace.ts, whose errors these are */
function* makeAll(shards: number, { path, ...rest }: Args): Route {
  let first: string | null = null
  for (const wanted = [path as string]; wanted.length > 0; ) {
    const next = wanted.pop() as string
    try {
      yield* route(shards, 'mkdir', { ...rest, path: next })
      first ??= next
    } catch (error) {
      const errno = errnoOf(error)
      const above = next.slice(0, Math.max(0, next.lastIndexOf('/')))
      if (errno === 'ENOENT' && above !== next && next !== '') wanted.push(next, above)
      else if (errno !== 'EEXIST') throw error
      else if (!isDirectory(yield* route(shards, 'stat', { ...rest, path: next, follow: true }))) {
        throw refuse(wanted.length > 0 ? 'ENOTDIR' : 'EEXIST')
      }
    }
  }
  return first
}

/** What sets something of the root sets it on every shard. */
const ofAll = new Set(['chmod', 'chown', 'utimes', 'writeXattr'])

function* routeRoot(shards: number, name: string, args: Args): Route {
  if (name === 'readdir') {
    const listings = (yield* askAll(shards, name, args)) as Listing[]
    return { names: listings.flatMap(({ names }) => names), kinds: listings.flatMap(({ kinds }) => kinds) }
  }
  if (name === 'stat') {
    const roots = (yield* askAll(shards, name, args)) as Inode[]
    return outside(roots.reduce(joinRoots), { shard: 0, shards })
  }
  if (ofAll.has(name)) return (yield* askAll(shards, name, args))[0]
  return outside(yield { shard: 0, name, args }, { shard: 0, shards })
}

/** The root has the directories of all its shards in it, and changed when one of them did. */
function joinRoots(a: Inode, b: Inode): Inode {
  const later = b.ctime > a.ctime ? b : a
  return { ...a, nlink: a.nlink + b.nlink - 2, mtime: Math.max(a.mtime, b.mtime), ctime: later.ctime }
}

/** Find where a name is: its shard, and its path there. */
function* locate(
  shards: number,
  { path, ...args }: Args,
): Generator<Question, { shard: number; path: string }, string> {
  const found = (yield* routePath(shards, { name: 'locate', args: { ...args, path }, key: 'path' })) as string
  return { shard: guess(found, shards), path: found }
}

function* routeTwo(shards: number, name: string, { from, to, ...rest }: Args): Route {
  const near = guess(from, shards)
  if (near === guess(to, shards)) {
    try {
      const answer = yield { shard: near, name, args: { ...rest, from, to } }
      // Too long to be copied at once.
      return name === 'copyFile' && answer === false ? yield* copyAcross(shards, { from, to, ...rest }) : answer
    } catch (error) {
      if (elsewhereOf(error) === undefined) throw error
    }
  }
  // A copy is of what the source leads to, into what the target leads to.
  if (name === 'copyFile') return yield* copyAcross(shards, { from, to, ...rest })
  // What is missing there is said before anything of the other path, as link(2) does.
  if (name === 'link') yield* route(shards, 'stat', { ...rest, path: from, follow: false })
  const source = yield* locate(shards, { ...rest, path: from })
  const target = yield* locate(shards, { ...rest, path: to })
  if (source.shard !== target.shard) throw refuse('EXDEV')
  return yield { shard: source.shard, name, args: { ...rest, from: source.path, to: target.path } }
}

/** Copy a file in pieces, from whichever shard to whichever: as between two disks, others see it grow. */
function* copyAcross(shards: number, { from, to, exclusive, ...rest }: Args): Route {
  const source = (yield* route(shards, 'open', { ...rest, path: from, flags: 0, mode: 0 })) as Inode
  try {
    if (isDirectory(source)) throw refuse('EISDIR')
    const flags = O.WRONLY | O.CREAT | (exclusive ? O.EXCL : 0)
    const uid = rest.as?.uid ?? 0
    const target = (yield* route(shards, 'open', { ...rest, path: to, flags, mode: source.mode & 0o777 })) as Inode
    try {
      if (target.ino === source.ino) return true
      if (uid !== 0 && uid !== target.uid) throw refuse('EPERM')
      yield* route(shards, 'truncate', { ...rest, ino: target.ino, size: 0 })
      for (let position = 0; ; ) {
        const asked = { ...rest, ino: source.ino, position, length: FSX_TRANSFER_BYTES_MAX }
        // Of what is cold, one read gives less.
        const bytes = (yield* route(shards, 'read', asked)) as Uint8Array
        if (bytes.length === 0) break
        position = (yield* route(shards, 'write', { ...rest, ino: target.ino, position, bytes })) as number
      }
      yield* route(shards, 'chmod', { ...rest, ino: target.ino, mode: source.mode & 0o7777 })
    } finally {
      yield* route(shards, 'close', { ino: target.ino })
    }
  } finally {
    yield* route(shards, 'close', { ino: source.ino })
  }
  return true
}

/** Several calls at once, each on one path, all or none: they must be of one shard. */
function* routeSteps(shards: number, { steps, ...rest }: { readonly steps: readonly FsxStep[] }): Route {
  const likely = steps.map(({ args }) => guess((args as { path: string }).path, shards))
  if (likely.every((shard) => shard === likely[0])) {
    try {
      return yield { shard: likely[0] ?? 0, name: 'batch', args: { ...rest, steps } }
    } catch (error) {
      if (elsewhereOf(error) === undefined) throw error
    }
  }
  const found: FsxStep[] = []
  const asked = new Set<number>()
  for (const { name, args } of steps) {
    const { path, ...more } = args as Args
    const { shard, path: there } = yield* locate(shards, { ...rest, path })
    asked.add(shard)
    found.push({ name, args: { ...more, path: there } })
  }
  if (asked.size > 1) throw refuse('EXDEV')
  return yield { shard: [...asked][0] ?? 0, name: 'batch', args: { ...rest, steps: found } }
}
