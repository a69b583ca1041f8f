/** Forks in other databases: both refer to the same content in the store, and neither takes it from the other. */
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Failure } from '../core/errors.ts'
import { openDiskObjects } from '../core/host/node/disk-objects.ts'
import { type NodeFabric, openFabric } from '../core/host/node/fabric.ts'
import { temporaryFolder } from '../core/host/node/testing.ts'
import { openZstd } from '../core/host/node/zstd.ts'
import { sha256 } from '../core/host/sha256.ts'
import { type CountedStore, counted } from '../core/tiering/index.ts'
import type { Caller } from './api/request.ts'
import { callerOf, createFileSystem, type FileSystem, fsx, fsxProgram, fsxWork } from './index.ts'
import { codeOf } from './testing.ts'
import { noise } from './tiers.testing.ts'

const codec = await openZstd()
const defaults = { count: 2 } as const
const names = ['a', 'b', 'c']
let folder: ReturnType<typeof temporaryFolder>
let fabric: NodeFabric
let store: CountedStore
let close: () => Promise<void>

async function open(): Promise<void> {
  const disk = await openDiskObjects(join(folder.path, 'cold'), { durability: 'normal' })
  store = counted(disk)
  const work = fsxWork({ store, codec, sha256 })
  fabric = await openFabric({ data: folder.path, durability: 'normal', programs: [fsxProgram], defaults, ...work })
  close = async () => {
    await fabric.close()
    disk.close()
  }
}

const use = (database: string) => fsx({ fabric, database })
const keys = async () => (await store.list()).objects.map(({ key }) => key)

beforeEach(async () => {
  folder = temporaryFolder()
  await open()
})
afterEach(async () => {
  for (const name of names) expect(await (await use(name)).fsck(), name).toEqual([])
  await close()
  folder.remove()
})

/** Everything that a filesystem shows, but for times. */
async function treeOf(fs: FileSystem, path = '/'): Promise<unknown[]> {
  const found: unknown[] = []
  for (const name of (await fs.promises.readdir(path)).sort()) {
    const child = `${path === '/' ? '' : path}/${name}`
    const { mode, uid, size, nlink, ino } = await fs.promises.lstat(child)
    const kind = mode & 0o170000
    const more = kind === 0o120000 ? await fs.promises.readlink(child) : undefined
    const content = kind === 0o100000 ? Buffer.from(sha256(await fs.read(child))).toString('hex') : undefined
    const attributes = kind === 0o120000 ? [] : await fs.xattrs.list(child)
    found.push({ child, mode, uid, size, nlink, ino, more, content, attributes })
    if (kind === 0o040000) found.push(...(await treeOf(fs, child)))
  }
  return found
}

/** Fill a filesystem with everything there is: hot and cold, in layers. */
async function fill(fs: FileSystem): Promise<void> {
  await fs.tiers.set({ olderThan: '0s', keep: '0s' })
  await fs.write('/d/cold', noise(300_000, 1))
  await fs.write('/d/changed', noise(300_000, 2))
  await fs.write('/d/gone', noise(100_000, 3))
  await fs.xattrs.set('/d/cold', 'user.a', '1')
  await fs.tiers.run()
  await fs.snapshot('one')
  const handle = await fs.promises.open('/d/changed', 'r+')
  await handle.write('changed', 70_000)
  await handle.truncate(200_000)
  await handle.truncate(1_000_000)
  await handle.close()
  await fs.xattrs.remove('/d/cold', 'user.a')
  await fs.xattrs.set('/d', 'user.b', '2')
  await fs.remove('/d/gone')
  await fs.write('/small', 'small')
  await fs.write('/hot', noise(200_000, 4))
  await fs.promises.link('/hot', '/d/hot')
  await fs.promises.symlink('d/hot', '/link')
  await fs.promises.mkdir('/d/e/f', { recursive: true })
  for (let i = 0; i < 300; i++) await fs.write(`/many/${i}`, String(i))
}

describe('a fork in another database', () => {
  it('is what the other was, over a restart, and each goes its own way', async () => {
    const a = await use('a')
    await fill(a)
    const tree = await treeOf(a)
    const there = await a.forkTo('b')
    const { writtenBytes } = store.counts
    expect(await treeOf(there)).toEqual(tree)
    expect(await a.forks.list()).toEqual([])
    await there.write('/hot', 'theirs')
    await a.write('/d/cold', 'ours')
    await there.write('/new', noise(100_000, 9))
    await close()
    await open()
    const [again, b] = [await use('a'), await use('b')]
    expect(await again.read('/d/cold', 'utf8')).toBe('ours')
    expect((await b.read('/d/cold')).equals(noise(300_000, 1))).toBe(true)
    expect(await b.read('/d/hot', 'utf8')).toBe('theirs')
    expect((await again.read('/hot')).equals(noise(200_000, 4))).toBe(true)
    expect((await b.stat('/new')).ino).toBeGreaterThan((await b.stat('/link')).ino)
    // What was lent was written once, by the lender.
    expect((await keys()).filter((key) => key.startsWith('_fsx/b/'))).toEqual([])
    expect(writtenBytes).toBeLessThan(1_100_000)
  })

  it('keeps what it has when the other lets go of it, and the other way round', async () => {
    const a = await use('a')
    await fill(a)
    const b = await a.forkTo('b')
    await b.tiers.set({ olderThan: '0s', keep: '0s' })
    const tree = await treeOf(b)
    await a.snapshots.remove('one')
    for (const name of await a.list('/')) await a.remove(`/${name}`)
    await a.tiers.run()
    await a.tiers.run()
    expect(await treeOf(b)).toEqual(tree)
    await close()
    await open()
    const [owner, borrower] = [await use('a'), await use('b')]
    expect(await treeOf(borrower)).toEqual(tree)
    await borrower.remove('/d')
    await borrower.tiers.run()
    await owner.tiers.run()
    expect((await borrower.read('/hot')).equals(noise(200_000, 4))).toBe(true)
    await borrower.remove('/hot')
    await borrower.tiers.run()
    await owner.tiers.run()
    expect(await keys()).toEqual([])
  })

  it('can be of a snapshot, and of a fork of a fork', async () => {
    const a = await use('a')
    await fill(a)
    const b = await a.at('one').forkTo('b')
    expect(await b.list('/d')).toEqual(expect.arrayContaining(['changed', 'cold', 'gone']))
    expect((await b.read('/d/changed')).equals(noise(300_000, 2))).toBe(true)
    const c = await b.forkTo('c')
    await b.tiers.set({ olderThan: '0s', keep: '0s' })
    await a.snapshots.remove('one')
    for (const fs of [a, b]) for (const name of await fs.list('/')) await fs.remove(`/${name}`)
    for (const fs of [b, a, b, a]) await fs.tiers.run()
    expect((await c.read('/d/changed')).equals(noise(300_000, 2))).toBe(true)
    expect((await c.read('/d/gone')).equals(noise(100_000, 3))).toBe(true)
  })

  it('goes on when either moves to another shard', async () => {
    const a = await use('a')
    await fill(a)
    const b = await a.forkTo('b')
    const tree = await treeOf(b)
    for (const name of ['a', 'b']) {
      const from = (await fabric.database(name)).map.shardOf(0)
      await fabric.move(name, (map) => ({
        moves: [{ from, to: 1 - from, slots: [[0, 0]] }],
        map: map.reassign([[0, 0, 1 - from]]),
      }))
    }
    await a.snapshots.remove('one')
    for (const name of await a.list('/')) await a.remove(`/${name}`)
    await a.tiers.run()
    await b.tiers.run()
    expect(await treeOf(b)).toEqual(tree)
    await b.write('/more', noise(100_000, 5))
    expect(await a.tiers.status()).toMatchObject({ coldBytes: 0 })
  })

  it('is refused where it cannot be', async () => {
    const a = await use('a')
    await a.write('/f', noise(100_000))
    await (await use('b')).write('/used', '')
    expect(await codeOf(a.forkTo('b'))).toBe('EEXIST')
    expect(await codeOf(a.forkTo('a'))).toBe('EEXIST')
    expect(await codeOf(a.as({ uid: 1, gid: 1 }).forkTo('c'))).toBe('EPERM')
    const only = createFileSystem({ call: (name, args) => callerOfA.call(name, args) })
    const callerOfA = callerOf(await fabric.database('a'))
    expect(await codeOf(only.forkTo('c'))).toBe('ENOTSUP')
    await (await use('c')).write('/free', '')
  })

  it('can be begun again after a failure at any step', async () => {
    const a = await use('a')
    await fill(a)
    await a.write('/d/later', noise(100_000, 8))
    let left = Number.POSITIVE_INFINITY
    const asked = new Set<string>()
    const failing = (caller: Caller): Caller => {
      const step = async <T>(work: () => Promise<T>): Promise<T> => {
        if (--left === 0) throw new Failure('unavailable', 'struck')
        return work()
      }
      const { call, job, elsewhere } = caller as Required<Caller>
      return {
        ...caller,
        call(name, args) {
          asked.add(name)
          return step(() => call(name, args))
        },
        job: (name, args) => step(() => job(name, args)),
        elsewhere: async (name) => failing(await elsewhere(name)),
      }
    }
    const open = (name: string) => fabric.database(name)
    const fs = createFileSystem(failing(callerOf(await open('a'), fabric)))
    let nth = 1
    for (; ; nth++) {
      left = nth
      asked.clear()
      const code = await codeOf(fs.forkTo('b'))
      left = Number.POSITIVE_INFINITY
      if (code === 'done') break
      expect(code).toBe('EIO')
      // Nobody uses half of it, and what is lent stays meanwhile.
      const isBegun = asked.has('lendRows')
      const there = createFileSystem(callerOf(await open('b')))
      expect(await codeOf(there.list('/'))).toBe(isBegun ? 'EBUSY' : 'done')
      if (!isBegun) expect(await a.forks.list()).toEqual([])
      await a.tiers.run()
    }
    expect(nth).toBeGreaterThan(10)
    const b = await use('b')
    expect(await treeOf(b)).toEqual(await treeOf(a))
    expect(await a.forks.list()).toEqual([])
  })
})
