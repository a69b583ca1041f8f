/** Random operations, done to node:fs in a temporary folder and to ours, and everything compared: results, errors as
 *  Node spells them, and the tree that is left. */
import nodeFs from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import type { FileSystem } from './index.ts'

/** What both sides have in common. */
type Fs = typeof nodeFs

/** One operation. Paths begin in the run's folder; `slot` names one of three open files. */
export type Step = { readonly kind: string; readonly [name: string]: unknown }

const names = ['a', 'b', 'c', 'dd']
const part = fc.oneof(
  { weight: 20, arbitrary: fc.constantFrom(...names) },
  { weight: 1, arbitrary: fc.constantFrom('.', '..', 'n'.repeat(255), 'n'.repeat(256), 'é', '日本') },
)
const path = fc
  .tuple(fc.array(part, { minLength: 1, maxLength: 4 }), fc.constantFrom('', '', '', '', '', '', '', '/', '//'))
  .map(([parts, end]) => `/${parts.join('/')}${end}`)
const plain = fc.array(fc.constantFrom(...names), { minLength: 1, maxLength: 3 }).map((parts) => `/${parts.join('/')}`)
const target = fc.oneof(
  fc.array(fc.constantFrom(...names, ...names, '..'), { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/')),
  plain.map((to) => `ABS${to}`),
)
const sizes = [0, 1, 5, 100, 4_096, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537, 140_000]
const size = fc.oneof({ weight: 3, arbitrary: fc.nat(200) }, { weight: 1, arbitrary: fc.constantFrom(...sizes) })
const content = fc.tuple(size, fc.constantFrom('x', 'y', 'z0')).map(([length, text]) => ({ length, text }))
const slot = fc.nat(2)
// Sticky, but not for all: what Linux guards in those (fs.protected_symlinks, _regular) is not done here.
const mode = fc.constantFrom(0o777, 0o755, 0o644, 0o600, 0o1775, 0o2755, 0o4755, 0)
const openFlags = fc.constantFrom('r', 'r+', 'w', 'w+', 'wx', 'wx+', 'a', 'a+', 'ax', 0o400000, 0o200000, 0o1000, 0o100)
const seconds = fc.double({ min: 0, max: 4e9, noNaN: true }).map((time) => Math.round(time * 1000) / 1000)

const weighed = (weight: number, kind: string, fields: Record<string, fc.Arbitrary<unknown>>) => ({
  weight,
  arbitrary: fc.record({ kind: fc.constant(kind), ...fields }) as fc.Arbitrary<Step>,
})

/** Any operation. */
export const step: fc.Arbitrary<Step> = fc.oneof(
  weighed(6, 'mkdir', { path }),
  weighed(3, 'mkdirs', { path: plain }),
  weighed(2, 'rmdir', { path }),
  weighed(3, 'unlink', { path }),
  weighed(1, 'rm', { path: plain, recursive: fc.boolean(), force: fc.boolean() }),
  weighed(6, 'writeFile', { path, content, flag: fc.constantFrom('w', 'w', 'a', 'wx', 'r+', 'ax') }),
  weighed(2, 'appendFile', { path, content }),
  weighed(4, 'readFile', { path }),
  weighed(2, 'truncate', { path, length: size }),
  weighed(6, 'rename', { path, to: path }),
  weighed(3, 'link', { path, to: path }),
  weighed(4, 'symlink', { path, target }),
  weighed(2, 'readlink', { path }),
  weighed(2, 'stat', { path }),
  weighed(2, 'lstat', { path }),
  weighed(2, 'readdir', { path }),
  weighed(1, 'readdirDeep', { path: plain }),
  weighed(2, 'chmod', { path, mode }),
  weighed(1, 'chown', { path, uid: fc.constantFrom(0, 1000), gid: fc.constantFrom(0, 1000) }),
  weighed(1, 'lchown', { path, uid: fc.constantFrom(0, 1000), gid: fc.constantFrom(0, 1000) }),
  weighed(2, 'utimes', { path, atime: seconds, mtime: seconds }),
  weighed(1, 'lutimes', { path, atime: seconds, mtime: seconds }),
  weighed(2, 'copyFile', { path, to: path, mode: fc.constantFrom(0, 1) }),
  weighed(1, 'access', { path, mode: fc.nat(7) }),
  weighed(2, 'realpath', { path }),
  weighed(1, 'exists', { path }),
  weighed(4, 'open', { path, flags: openFlags, slot }),
  weighed(4, 'read', { slot, length: size, position: fc.option(size) }),
  weighed(4, 'write', { slot, content, position: fc.option(size) }),
  weighed(2, 'ftruncate', { slot, length: size }),
  weighed(2, 'fstat', { slot }),
  weighed(1, 'fchmod', { slot, mode }),
  weighed(2, 'close', { slot }),
)

/** Any operation, done by root or by one of two users: each is of a group of their own number. */
export const stepOfSomebody: fc.Arbitrary<Step> = fc
  .tuple(step, fc.constantFrom(0, 1000, 1000, 1001))
  // access(2), which exists asks too, is about the real user, who is root throughout.
  .map(([one, who]) => ({ ...one, who: /^(access|exists)$/.test(one.kind) ? 0 : who }))

/** One side: a filesystem, the folder of the run in it, and its open files. */
interface Side extends Fd {
  /** Do something as somebody. */
  as(uid: number, work: (fs: Fs) => unknown): unknown
}

interface Fd {
  readonly fs: Fs
  readonly base: string
  readonly open: (number | nodeFs.promises.FileHandle | undefined)[]
}

const bytesOf = (given: unknown) => {
  const { length, text } = given as { length: number; text: string }
  return Buffer.alloc(length, text)
}

function statOf(stats: nodeFs.Stats) {
  const { mode, nlink, uid, gid, size } = stats
  return { mode, nlink, uid, gid, ...(stats.isDirectory() ? {} : { size }) }
}

const timesOf = ({ atimeMs, mtimeMs }: nodeFs.Stats) => ({ atimeMs, mtimeMs })

/** Asked for names alone, Node follows links to directories, round and round; asked for types it does not. */
function deepNames(entries: nodeFs.Dirent[]): string[] {
  return entries.map(({ parentPath, name }) => join(parentPath, name)).sort()
}

/** What a step does, by the functions that answer at once. */
function doNow({ fs, base, open }: Fd, s: Step): unknown {
  const at = (name: string) => base + (s[name] as string)
  const fd = open[s.slot as number] as number | undefined
  switch (s.kind) {
    case 'mkdir':
      return fs.mkdirSync(at('path'))
    case 'mkdirs':
      return fs.mkdirSync(at('path'), { recursive: true })
    case 'rmdir':
      return fs.rmdirSync(at('path'))
    case 'unlink':
      return fs.unlinkSync(at('path'))
    case 'rm':
      return fs.rmSync(at('path'), { recursive: s.recursive as boolean, force: s.force as boolean })
    case 'writeFile':
      return fs.writeFileSync(at('path'), bytesOf(s.content), { flag: s.flag as string })
    case 'appendFile':
      return fs.appendFileSync(at('path'), bytesOf(s.content))
    case 'readFile':
      return fs.readFileSync(at('path')).toString('base64')
    case 'truncate':
      return fs.truncateSync(at('path'), s.length as number)
    case 'rename':
      return fs.renameSync(at('path'), at('to'))
    case 'link':
      return fs.linkSync(at('path'), at('to'))
    case 'symlink':
      return fs.symlinkSync((s.target as string).replace(/^ABS/, base), at('path'))
    case 'readlink':
      return fs.readlinkSync(at('path'))
    case 'stat':
      return statOf(fs.statSync(at('path')))
    case 'lstat':
      return statOf(fs.lstatSync(at('path')))
    case 'readdir':
      return fs.readdirSync(at('path')).sort()
    case 'readdirDeep':
      return deepNames(fs.readdirSync(at('path'), { recursive: true, withFileTypes: true }))
    case 'chmod':
      return fs.chmodSync(at('path'), s.mode as number)
    case 'chown':
      return fs.chownSync(at('path'), s.uid as number, s.gid as number)
    case 'lchown':
      return fs.lchownSync(at('path'), s.uid as number, s.gid as number)
    case 'utimes':
      fs.utimesSync(at('path'), s.atime as number, s.mtime as number)
      return timesOf(fs.statSync(at('path')))
    case 'lutimes':
      fs.lutimesSync(at('path'), s.atime as number, s.mtime as number)
      return timesOf(fs.lstatSync(at('path')))
    case 'copyFile':
      return fs.copyFileSync(at('path'), at('to'), s.mode as number)
    case 'access':
      return fs.accessSync(at('path'), s.mode as number)
    case 'realpath':
      return fs.realpathSync.native(at('path'))
    case 'exists':
      return fs.existsSync(at('path'))
    case 'open':
      if (fd !== undefined) return 'taken'
      open[s.slot as number] = fs.openSync(at('path'), s.flags as string)
      return 'open'
  }
  return fd === undefined ? 'closed' : doOpenNow({ fs, base, open }, s, fd)
}

function doOpenNow({ fs, open }: Fd, s: Step, fd: number): unknown {
  switch (s.kind) {
    case 'read': {
      const buffer = Buffer.alloc(s.length as number)
      const count = fs.readSync(fd, buffer, 0, buffer.length, s.position as number | null)
      return [count, buffer.toString('base64')]
    }
    case 'write':
      return fs.writeSync(fd, bytesOf(s.content), 0, undefined, s.position as number | null)
    case 'ftruncate':
      return fs.ftruncateSync(fd, s.length as number)
    case 'fstat':
      return statOf(fs.fstatSync(fd))
    case 'fchmod':
      return fs.fchmodSync(fd, s.mode as number)
    default:
      open[s.slot as number] = undefined
      return fs.closeSync(fd)
  }
}

/** What a step does, by promises; the few that are not there, at once. */
async function doLater(side: Side, s: Step): Promise<unknown> {
  const { fs, base, open } = side
  const { promises } = fs
  const at = (name: string) => base + (s[name] as string)
  const handle = open[s.slot as number] as nodeFs.promises.FileHandle | undefined
  switch (s.kind) {
    case 'mkdirs':
      return promises.mkdir(at('path'), { recursive: true })
    case 'rm':
      return promises.rm(at('path'), { recursive: s.recursive as boolean, force: s.force as boolean })
    case 'writeFile':
      return promises.writeFile(at('path'), bytesOf(s.content), { flag: s.flag as string })
    case 'appendFile':
      return promises.appendFile(at('path'), bytesOf(s.content))
    case 'readFile':
      return (await promises.readFile(at('path'))).toString('base64')
    case 'truncate':
      return promises.truncate(at('path'), s.length as number)
    case 'symlink':
      return promises.symlink((s.target as string).replace(/^ABS/, base), at('path'))
    case 'stat':
    case 'lstat':
      return statOf(await promises[s.kind](at('path')))
    case 'readdir':
      return (await promises.readdir(at('path'))).sort()
    case 'readdirDeep':
      return deepNames(await promises.readdir(at('path'), { recursive: true, withFileTypes: true }))
    case 'mkdir':
    case 'rmdir':
    case 'unlink':
    case 'readlink':
    case 'realpath':
      return promises[s.kind](at('path'))
    case 'rename':
    case 'link':
      return promises[s.kind](at('path'), at('to'))
    case 'copyFile':
      return promises.copyFile(at('path'), at('to'), s.mode as number)
    case 'chmod':
    case 'access':
      return promises[s.kind](at('path'), s.mode as number)
    case 'chown':
    case 'lchown':
      return promises[s.kind](at('path'), s.uid as number, s.gid as number)
    case 'utimes':
    case 'lutimes':
      await promises[s.kind](at('path'), s.atime as number, s.mtime as number)
      return timesOf(await promises[s.kind === 'utimes' ? 'stat' : 'lstat'](at('path')))
    case 'exists':
      return fs.existsSync(at('path'))
    case 'open':
      if (handle !== undefined) return 'taken'
      open[s.slot as number] = await promises.open(at('path'), s.flags as string)
      return 'open'
  }
  return handle === undefined ? 'closed' : doOpenLater(side, s, handle)
}

async function doOpenLater({ open }: Side, s: Step, handle: nodeFs.promises.FileHandle): Promise<unknown> {
  switch (s.kind) {
    case 'read': {
      const buffer = Buffer.alloc(s.length as number)
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, s.position as number | null)
      return [bytesRead, buffer.toString('base64')]
    }
    case 'write':
      return (await handle.write(bytesOf(s.content), 0, undefined, s.position as number | null)).bytesWritten
    case 'ftruncate':
      return handle.truncate(s.length as number)
    case 'fstat':
      return statOf(await handle.stat())
    case 'fchmod':
      return handle.chmod(s.mode as number)
    default:
      open[s.slot as number] = undefined
      return handle.close()
  }
}

/** An error as it is compared: the folder of the run left out of it. */
function errorOf(error: unknown, base: string): unknown {
  const { code, errno, syscall, path, dest, message } = error as NodeJS.ErrnoException & { dest?: string }
  if (code === undefined) throw error
  const bare = (text: string | undefined) => text?.replaceAll(base, '')
  return { code, errno, syscall, path: bare(path), dest: bare(dest), message: bare(message) }
}

function bareResult(result: unknown, base: string): unknown {
  return typeof result === 'string' ? result.replaceAll(base, '') : result
}

async function outcome(side: Side, s: Step, later: boolean): Promise<unknown> {
  try {
    // Of a directory, libuv copies nothing, and deletes the file that it was to be copied to; we delete nothing.
    if (s.kind === 'copyFile' && side.fs.statSync(side.base + s.path).isDirectory()) return 'a directory'
    const result = later
      ? await doLater(side, s)
      : side.as((s.who as number | undefined) ?? 0, (fs) => doNow({ ...side, fs }, s))
    return { result: bareResult(result, side.base) }
  } catch (error) {
    const told = errorOf(error, side.base) as { code: string }
    // Of the calls that rm and mkdir -p are made of, Node's two implementations name different ones.
    if (s.kind === 'mkdirs') return { error: 'mkdir -p' }
    return { error: s.kind === 'rm' && !later ? told.code : told }
  }
}

/** The whole tree below a folder: each path with all that is compared of it. */
export function treeOf(fs: Fs, base: string, path = ''): [string, unknown][] {
  const found: [string, unknown][] = []
  for (const name of fs.readdirSync(base + path).sort()) {
    const at = `${path}/${name}`
    const stats = fs.lstatSync(base + at)
    const more = stats.isFile()
      ? fs.readFileSync(base + at).toString('base64')
      : stats.isSymbolicLink() && fs.readlinkSync(base + at).replaceAll(base, '')
    found.push([at, { ...statOf(stats), more }])
    if (stats.isDirectory()) found.push(...treeOf(fs, base, at))
  }
  return found
}

/** Do something as somebody else, as far as the system's calls are concerned. */
function asUser(uid: number, work: (fs: Fs) => unknown): unknown {
  if (uid === 0) return work(nodeFs)
  const { setegid, seteuid, setgroups } = process as Required<typeof process>
  setgroups([])
  setegid(uid)
  seteuid(uid)
  try {
    return work(nodeFs)
  } finally {
    seteuid(0)
    setegid(0)
  }
}

/** What is run. */
export interface Running {
  /** An empty folder of node:fs. */
  readonly folder: string
  readonly steps: readonly Step[]
  readonly later: boolean
  /** Done before each step: whatever it is, it must not show. */
  before?(): Promise<void>
}

/** Do the same to a filesystem over several shards and to a whole one, and compare; what the first refuses because it
 *  would be of two shards is not done to the other.
 *  @returns how often that was */
export async function runSpread(
  [spread, whole]: readonly [FileSystem, FileSystem],
  { steps, later }: Pick<Running, 'steps' | 'later'>,
  expectSame: (spread: unknown, whole: unknown, step?: Step) => void,
): Promise<number> {
  const [left, right] = [spread, whole].map((fs) => {
    const all = fs as unknown as Fs
    return { fs: all, base: '', open: [], as: (_: number, work: (fs: Fs) => unknown) => work(all) } as Side
  }) as [Side, Side]
  let refused = 0
  try {
    for (const s of steps) {
      const ours = await outcome(left, s, later)
      const isRefused = JSON.stringify(ours).includes('EXDEV')
      if (isRefused) refused++
      else expectSame(ours, await outcome(right, s, later), s)
    }
    expectSame(treeOf(left.fs, '/'), treeOf(right.fs, '/'))
    return refused
  } finally {
    for (const { fs, open } of [left, right]) {
      for (const one of open) {
        if (typeof one === 'number') fs.closeSync(one)
        else await one?.close()
      }
      for (const name of fs.readdirSync('/')) fs.rmSync(`/${name}`, { recursive: true, force: true })
      fs.chownSync('/', 0, 0)
      fs.chmodSync('/', 0o755)
    }
  }
}

/** Do the same to both, and compare.
 *  @param expectSame compares two values, and throws */
export async function runBoth(
  ours: FileSystem,
  { folder, steps, later, before }: Running,
  expectSame: (ours: unknown, node: unknown, step?: Step) => void,
): Promise<void> {
  // Deep enough that no `..` leaves it.
  const base = join(folder, 'l/o/n/g/w/a/y/d/o/w/n')
  const oursAs = (uid: number, work: (fs: Fs) => unknown) =>
    work((uid === 0 ? ours : ours.as({ uid, gid: uid })) as unknown as Fs)
  const sides: [Side, Side] = [
    { fs: ours as unknown as Fs, as: oursAs, base, open: [] },
    { fs: nodeFs, as: asUser, base, open: [] },
  ]
  for (const { fs } of sides) {
    fs.mkdirSync(base, { recursive: true })
    // The folder of a run is made for its owner alone; here, anybody may do anything.
    fs.chmodSync(folder, 0o777)
    fs.chmodSync(base, 0o777)
  }
  try {
    for (const s of steps) {
      await before?.()
      const [left, right] = [await outcome(sides[0], s, later), await outcome(sides[1], s, later)]
      expectSame(left, right, s)
    }
    const [left, right] = sides.map(({ fs }) => treeOf(fs, base))
    expectSame(left, right)
  } finally {
    for (const { fs, open } of sides) {
      for (const one of open) {
        if (typeof one === 'number') fs.closeSync(one)
        else await one?.close()
      }
      fs.rmSync(folder, { recursive: true, force: true })
    }
  }
}
