/** Snapshots and forks: what was kept stays as it was, and nobody sees what others write. */
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { temporaryFolder } from '../core/host/node/testing.ts'
import type { FileSystem, OpenedFileSystem } from './index.ts'
import { codeOf, openIn } from './testing.ts'

let folder: ReturnType<typeof temporaryFolder>
let fs: OpenedFileSystem
const open = () => openIn(folder.path)
beforeEach(async () => {
  folder = temporaryFolder()
  fs = await open()
})
afterEach(async () => {
  expect(await fs.fsck()).toEqual([])
  await fs.close()
  folder.remove()
})

const bytes = (length: number, text: string) => Buffer.alloc(length, text)

/** Everything that a filesystem shows, but for times. */
function treeOf(fs: FileSystem, path = '/'): unknown[] {
  return fs
    .readdirSync(path)
    .sort()
    .flatMap((name) => {
      const child = `${path === '/' ? '' : path}/${name}`
      const { mode, uid, size, nlink, ino } = fs.lstatSync(child)
      if ((mode & 0o170000) === 0o040000) return [[child, mode, uid, nlink, ino], ...treeOf(fs, child)]
      if ((mode & 0o170000) === 0o120000) return [[child, fs.readlinkSync(child)]]
      return [[child, mode, uid, nlink, size, ino, createHash('md5').update(fs.readFileSync(child)).digest('hex')]]
    })
}

describe('a snapshot', () => {
  it('stays as it was', async () => {
    await fs.write('/a/small', 'one')
    await fs.write('/a/large', bytes(200_000, 'one '))
    await fs.promises.symlink('small', '/a/link')
    await fs.xattrs.set('/a/small', 'user.kind', 'note')
    const taken = await fs.snapshot('before')
    expect(taken).toMatchObject({ id: 1, name: 'before' })
    const then = fs.at('before')
    const tree = treeOf(then)
    expect(tree).toEqual(treeOf(fs))
    await fs.write('/a/small', 'two')
    const handle = await fs.promises.open('/a/large', 'r+')
    await handle.write('two', 70_000)
    await handle.truncate(150_000)
    await handle.truncate(190_000)
    await handle.close()
    await fs.xattrs.remove('/a/small', 'user.kind')
    await fs.promises.chmod('/a', 0o700)
    await fs.remove('/a/link')
    await fs.write('/new', 'new')
    await fs.move('/a', '/b')
    expect(treeOf(then)).toEqual(tree)
    expect(String(await then.xattrs.get('/a/small', 'user.kind'))).toBe('note')
    expect(await fs.xattrs.list('/b/small')).toEqual([])
    const expected = bytes(200_000, 'one ')
    expected.write('two', 70_000)
    expected.fill(0, 150_000)
    expect(fs.readFileSync('/b/large').equals(expected.subarray(0, 190_000))).toBe(true)
    await fs.close()
    fs = await open()
    expect(treeOf(fs.at(taken))).toEqual(tree)
    expect(await fs.snapshots.list()).toEqual([taken])
  })

  it('stays as it was while a long file is copied over another', async () => {
    await fs.write('/long', bytes(12_000_000, 'long '))
    await fs.write('/there', bytes(6_000_000, 'there '))
    await fs.snapshot('before')
    const tree = treeOf(fs)
    const copying = fs.promises.copyFile('/long', '/there')
    // Between the pieces: what was copied by then is below, and is not written to.
    for (const name of ['one', 'two', 'three']) {
      await fs.snapshot(name)
      expect((await fs.at(name).read('/there')).equals(bytes(6_000_000, 'there '))).toBe(true)
    }
    await copying
    expect((await fs.read('/there')).equals(bytes(12_000_000, 'long '))).toBe(true)
    for (const name of ['before', 'one', 'two', 'three']) expect(treeOf(fs.at(name))).toEqual(tree)
    const fork = await fs.at('before').fork('other')
    await fork.promises.copyFile('/there', '/long')
    expect((await fork.read('/long')).equals(bytes(6_000_000, 'there '))).toBe(true)
    expect(await fs.fsck()).toEqual([])
    for (const { id } of await fs.snapshots.list()) await fs.snapshots.remove(id)
    expect((await fs.read('/there')).equals(bytes(12_000_000, 'long '))).toBe(true)
    // What a file has taken over is its own, in layers of each age.
    await fs.promises.copyFile('/long', '/there')
    const { id } = await fs.snapshot()
    const handle = await fs.promises.open('/there', 'r+')
    await handle.write('patched', 5_000_000)
    await handle.close()
    expect((await fs.at(id).read('/there')).equals(bytes(12_000_000, 'long '))).toBe(true)
    await fs.snapshots.remove(id)
    expect((await fs.read('/there')).subarray(4_999_999, 5_000_008).toString()).toBe(' patchedn')
    await fs.promises.copyFile('/there', '/long')
    await fs.promises.truncate('/there', 0)
    await fs.write('/there', bytes(100_000, 'new'))
    expect((await fs.read('/long')).subarray(4_999_999, 5_000_008).toString()).toBe(' patchedn')
  })

  it('cannot be written to', async () => {
    await fs.write('/a', 'one')
    await fs.snapshot()
    const then = fs.at(1)
    expect(await codeOf(then.write('/a', 'two'))).toBe('EROFS')
    expect(await codeOf(then.write('/b', 'two'))).toBe('EROFS')
    expect(await codeOf(then.promises.truncate('/a'))).toBe('EROFS')
    expect(await codeOf(then.promises.chmod('/a', 0))).toBe('EROFS')
    expect(await codeOf(then.promises.access('/a', 2))).toBe('EROFS')
    expect(await codeOf(then.writeAll([['/c', 'x']]))).toBe('EROFS')
    expect(await codeOf(then.promises.access('/a', 4))).toBe('done')
    expect(await codeOf(then.snapshot())).toBe('EROFS')
    expect(await codeOf(fs.at('none').list('/'))).toBe('ENOENT')
    expect(await codeOf(fs.snapshot('a/b'))).toBe('EINVAL')
    expect(await codeOf(fs.as({ uid: 1, gid: 1 }).snapshot())).toBe('EPERM')
  })

  it('is removed, and nothing of it stays', async () => {
    await fs.write('/a', bytes(300_000, 'one '))
    for (const text of ['two', 'three', 'four']) {
      await fs.snapshot(text)
      await fs.promises.appendFile('/a', bytes(70_000, text))
      await fs.write(`/${text}`, text)
      await fs.remove('/two')
    }
    const now = treeOf(fs)
    const second = treeOf(fs.at('three'))
    expect(await codeOf(fs.snapshot('two'))).toBe('EEXIST')
    const handle = await fs.at('two').promises.open('/a')
    // Open files are of the view that opened them; another view of the same snapshot is the same.
    expect(await codeOf(fs.snapshots.remove('two'))).toBe('EBUSY')
    await handle.close()
    await fs.snapshots.remove('two')
    expect(await fs.fsck()).toEqual([])
    expect(treeOf(fs.at('three'))).toEqual(second)
    await fs.snapshots.remove('four')
    expect(await fs.fsck()).toEqual([])
    expect(treeOf(fs.at('three'))).toEqual(second)
    await fs.snapshots.remove('three')
    expect(treeOf(fs)).toEqual(now)
    expect(await codeOf(fs.at('three').list('/'))).toBe('ENOENT')
    await fs.close()
    fs = await open()
    expect(treeOf(fs)).toEqual(now)
  })

  it('is gone back to', async () => {
    await fs.write('/a/b', 'one')
    await fs.snapshot('one')
    await fs.write('/a/b', 'two')
    await fs.snapshot('two')
    await fs.move('/a', '/c')
    const handle = await fs.promises.open('/c/b')
    expect(await codeOf(fs.restore('one'))).toBe('EBUSY')
    await handle.close()
    await fs.restore('one')
    expect(await fs.read('/a/b', 'utf8')).toBe('one')
    await fs.restore('two')
    expect(await fs.read('/a/b', 'utf8')).toBe('two')
    expect(await fs.diff('one')).toEqual({ added: [], removed: [], changed: ['/a/b'], renamed: [] })
  })

  it('is compared by content, not only by time and size, and by root alone', async () => {
    await fs.write('/f', 'aaa')
    await fs.promises.utimes('/f', 1, 1)
    await fs.snapshot('2')
    await fs.write('/f', 'bbb')
    await fs.promises.utimes('/f', 1, 1)
    expect(await fs.diff('2')).toMatchObject({ changed: ['/f'] })
    expect(await codeOf(fs.as({ uid: 1000, gid: 1000 }).diff('2'))).toBe('EPERM')
    // Its number would be the other's name.
    expect((await fs.snapshot()).name).toBe('3')
  })

  it('is compared with another', async () => {
    await fs.writeAll([
      ['/same', '1'],
      ['/changed', '1'],
      ['/gone', '1'],
      ['/old', '1'],
      ['/swap', '1'],
    ])
    await fs.write('/dir/in/it', '1')
    await fs.write('/lost/in/it', '1')
    await fs.snapshot('a')
    await fs.write('/changed', '22')
    await fs.remove('/gone')
    await fs.remove('/lost')
    await fs.move('/old', '/new')
    await fs.move('/dir', '/moved')
    await fs.write('/fresh/a/b', '1')
    await fs.remove('/swap')
    await fs.write('/swap', '2')
    await fs.snapshot('b')
    const expected = {
      added: ['/fresh'],
      removed: ['/gone', '/lost'],
      changed: ['/changed', '/swap'],
      renamed: [
        { from: '/dir', to: '/moved' },
        { from: '/old', to: '/new' },
      ],
    }
    expect(await fs.diff('a', 'b')).toEqual(expected)
    await fs.promises.chmod('/same', 0o600)
    expect(await fs.diff('b')).toEqual({ added: [], removed: [], changed: ['/same'], renamed: [] })
    expect((await fs.diff('b', 'a')).added).toEqual(['/gone', '/lost'])
  })
})

describe('a fork', () => {
  it('begins as its parent is, and goes its own way', async () => {
    await fs.write('/a/b', 'one')
    await fs.write('/large', bytes(200_000, 'x'))
    const child = await fs.fork('child')
    const grandchild = await child.fork('grandchild')
    expect(treeOf(grandchild)).toEqual(treeOf(fs))
    await child.write('/a/b', 'two')
    await grandchild.remove('/a')
    await grandchild.promises.appendFile('/large', 'y')
    await fs.write('/c', 'three')
    expect(await fs.read('/a/b', 'utf8')).toBe('one')
    expect(await child.read('/a/b', 'utf8')).toBe('two')
    expect(await grandchild.list('/')).toEqual(['large'])
    expect((await fs.list('/')).sort()).toEqual(['a', 'c', 'large'])
    expect((await child.stat('/large')).size).toBe(200_000)
    expect((await fs.forks.list()).map(({ name }) => name)).toEqual(['child', 'grandchild'])
    expect(await codeOf(fs.fork('child'))).toBe('EEXIST')
    await fs.forks.remove('child')
    expect(await fs.fsck()).toEqual([])
    expect((await fs.forks.open('grandchild').stat('/large')).size).toBe(200_001)
    expect(await codeOf(fs.forks.open('child').list('/'))).toBe('ENOENT')
    await fs.forks.remove('grandchild')
    expect(await fs.read('/a/b', 'utf8')).toBe('one')
  })

  it('of a snapshot begins as that was', async () => {
    await fs.write('/a', 'one')
    await fs.snapshot('then')
    await fs.write('/a', 'two')
    const fork = await fs.at('then').fork('again')
    await fork.snapshot('mine')
    await fork.write('/b', 'three')
    await fs.snapshots.remove('then')
    expect(await fork.read('/a', 'utf8')).toBe('one')
    expect(await fork.at('mine').list('/')).toEqual(['a'])
  })

  it('has its own quota, and open files without a name stay whose they are', async () => {
    await fs.write('/a', bytes(1000, 'x'))
    const handle = await fs.promises.open('/a')
    await fs.promises.unlink('/a')
    const fork = await fs.fork('small')
    await fork.setQuota({ bytes: 500 })
    expect(await codeOf(fork.write('/b', bytes(600, 'y')))).toBe('EDQUOT')
    await fs.write('/b', bytes(600, 'y'))
    expect((await handle.readFile()).length).toBe(1000)
    expect((await fs.forks.open('small').promises.statfs('/')).bfree).toBeDefined()
    expect(await fs.fsck()).toEqual([])
    await handle.close()
  })
})

const names = ['a', 'b', 'c']
const path = fc.array(fc.constantFrom(...names), { minLength: 1, maxLength: 2 }).map((parts) => `/${parts.join('/')}`)
const size = fc.constantFrom(0, 5, 16_384, 16_385, 65_536, 140_000)
const who = fc.nat(3)
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('write' as const), who, path, size }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('patch' as const), who, path, size, at: size }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('truncate' as const), who, path, size }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('mkdir' as const), who, path }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('remove' as const), who, path }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('move' as const), who, path, to: path }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('link' as const), who, path, to: path }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('xattr' as const), who, path, size: fc.nat(2) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('snapshot' as const), who }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('fork' as const), who }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('unsnapshot' as const), who, nth: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('unfork' as const), who }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restore' as const), who, nth: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reopen' as const), who }) },
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

/** One filesystem of several, and what it and its snapshots must show. */
interface Known {
  readonly fork: string | undefined
  tree: unknown
  snapshots: Map<number, unknown>
}

const RUNS = Number(process.env.DOTDO_FUZZ_RUNS ?? 20)

describe('random writes to filesystems, forks, and forks of forks', () => {
  const of = ({ fork }: Known) => (fork === undefined ? fs : fs.forks.open(fork))
  const shown = (one: FileSystem) => {
    const walk = (dir: string): string[] =>
      one
        .readdirSync(dir || '/')
        .sort()
        .flatMap((name) => {
          const path = `${dir}/${name}`
          return one.statSync(path).isDirectory() ? walk(path) : [path]
        })
    return walk('')
  }
  const treeWithXattrs = async (one: FileSystem) => {
    const xattrs = await Promise.all(shown(one).map(async (path) => [path, await one.xattrs.list(path)]))
    return [treeOf(one), xattrs]
  }

  async function change(one: FileSystem, step: Step): Promise<void> {
    switch (step.kind) {
      case 'write':
        return one.writeFileSync(step.path, bytes(step.size, `w${step.size}`))
      case 'patch': {
        const fd = one.openSync(step.path, 'r+')
        try {
          one.writeSync(fd, bytes(Math.min(step.size, 70_000), 'patch'), 0, null, step.at)
        } finally {
          one.closeSync(fd)
        }
        return
      }
      case 'truncate':
        return one.truncateSync(step.path, step.size)
      case 'mkdir':
        return void one.mkdirSync(step.path)
      case 'remove':
        return one.rmSync(step.path, { recursive: true })
      case 'move':
        return one.renameSync(step.path, step.to)
      case 'link':
        return one.linkSync(step.path, step.to)
      case 'xattr':
        return step.size === 0
          ? one.xattrs.remove(step.path, 'user.0')
          : one.xattrs.set(step.path, `user.${step.size - 1}`, 'x')
    }
  }

  async function manage(all: Known[], known: Known, step: Step, count: number): Promise<void> {
    const one = of(known)
    const nth = 'nth' in step ? [...known.snapshots.keys()][step.nth % Math.max(1, known.snapshots.size)] : undefined
    if (step.kind === 'snapshot') known.snapshots.set((await one.snapshot()).id, known.tree)
    else if (step.kind === 'fork' && all.length < 4) {
      await one.fork(`f${count}`)
      all.push({ fork: `f${count}`, tree: known.tree, snapshots: new Map() })
    } else if (step.kind === 'unfork' && known.fork !== undefined) {
      await fs.forks.remove(known.fork)
      all.splice(all.indexOf(known), 1)
    } else if (step.kind === 'unsnapshot' && nth !== undefined) {
      await one.snapshots.remove(nth)
      known.snapshots.delete(nth)
    } else if (step.kind === 'restore' && nth !== undefined) {
      await one.restore(nth)
      known.tree = known.snapshots.get(nth)
    } else if (step.kind === 'reopen') {
      await fs.close()
      fs = await open()
    }
  }

  async function compare(steps: readonly Step[]): Promise<void> {
    const all: Known[] = [{ fork: undefined, tree: await treeWithXattrs(fs), snapshots: new Map() }]
    for (const [count, step] of steps.entries()) {
      const known = all[step.who % all.length] as Known
      if (/fork|snapshot|restore|reopen/.test(step.kind)) await manage(all, known, step, count)
      else {
        await change(of(known), step).catch((error: { errno?: number }) => expect(error.errno).toBeLessThan(0))
        known.tree = await treeWithXattrs(of(known))
      }
      expect(await fs.fsck()).toEqual([])
      for (const { fork, tree, snapshots } of all) {
        const one = fork === undefined ? fs : fs.forks.open(fork)
        expect({ step, tree: await treeWithXattrs(one) }).toEqual({ step, tree })
        for (const [id, then] of snapshots)
          expect({ step, id, tree: await treeWithXattrs(one.at(id)) }).toEqual({ step, id, tree: then })
      }
    }
    for (const { fork } of all) if (fork !== undefined) await fs.forks.remove(fork)
    for (const { id } of await fs.snapshots.list()) await fs.snapshots.remove(id)
    for (const name of await fs.list('/')) await fs.remove(`/${name}`)
    expect(await fs.fsck()).toEqual([])
  }

  it('change nothing but their own', { timeout: 600_000 }, async () => {
    const steps = fc.array(step, { minLength: 1, maxLength: 40, size: 'max' })
    await fc.assert(fc.asyncProperty(steps, compare), { numRuns: RUNS })
  })
})
