/** Watching in Node: what the process, the fabric and two clients have to do with it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openFabric } from '../core/host/node/index.ts'
import { openTestShard, temporaryFolder } from '../core/host/node/testing.ts'
import type { Fabric } from '../core/shard/index.ts'
import type { Changed } from './engine/changes.ts'
import { type Changes, createFileSystem, type FileSystem, fsx, fsxProgram, type PathChange } from './index.ts'
import { openIn } from './testing.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
let folder: ReturnType<typeof temporaryFolder>
let fabric: Fabric & { close(): Promise<void> }
beforeEach(async () => {
  folder = temporaryFolder()
  fabric = await openFabric({ data: folder.path, programs: [fsxProgram], defaults: { count: 2 }, durability: 'normal' })
})
afterEach(async () => {
  await fabric.close()
  folder.remove()
})

async function next(changes: Changes): Promise<string> {
  const { value } = (await changes.next()) as { value: PathChange }
  return `${value.kind} ${value.path}`
}

it('throws at once for what is not there, as Node does, and ends with the filesystem', async () => {
  const [one, two] = [await fsx({ fabric }), await fsx({ fabric })]
  expect(() => one.watch('/none')).toThrow("ENOENT: no such file or directory, watch '/none'")
  const events: unknown[] = []
  const watcher = one.watch('/', (...event) => events.push(event))
  const heard = new Promise((resolve) => watcher.once('change', resolve))
  const closed = new Promise((resolve) => watcher.once('close', resolve))
  const changes = await one.changes()
  two.writeFileSync('/f', '')
  await heard
  expect(events).toEqual([['rename', 'f']])
  expect(await next(changes)).toBe('added /f')
  await one.close()
  await closed
  expect((await changes.next()).done).toBe(true)
  expect(await two.list('/')).toEqual(['f'])
})

it('watchFile says what is wrong as node:fs does, ends, and can be begun anew', async () => {
  const fs = await fsx({ fabric })
  await fs.write('/private/f', 'x')
  await fs.promises.chmod('/private', 0o700)
  const other = fs.as({ uid: 1000, gid: 1000 })
  const first = other.watchFile('/private/f', () => undefined)
  const [error] = await once(first, 'error').catch((failed) => [failed])
  expect(error).toMatchObject({ code: 'EACCES' })
  await fs.promises.chmod('/private', 0o755)
  const heard = new Promise<number>((resolve) => {
    other.watchFile('/private/f', { interval: 1 }, ({ size }) => resolve(size))
  })
  await fs.list('/')
  await fs.write('/private/f', 'longer')
  expect(await heard).toBe(6)
  other.unwatchFile('/private/f')
})

it('tells of a directory itself, just before what is made in it', async () => {
  const fs = await fsx({ fabric })
  await fs.mkdir('/d')
  const changes = await fs.changes()
  await fs.promises.chmod('/d', 0o700)
  await fs.promises.writeFile('/d/f', '')
  expect([await next(changes), await next(changes)]).toEqual(['changed /d', 'added /d/f'])
  await fs.promises.utimes('/d', 4e9, 4e9)
  expect(await next(changes)).toBe('changed /d')
  await fs.promises.chmod('/d', 0o755)
  expect(await next(changes)).toBe('changed /d')
})

it('goes on when the filesystem moves to another shard, and says that it may have missed something', async () => {
  const fs = await fsx({ fabric, database: 'moving' })
  await fs.write('/a/f', 'x')
  const changes = await fs.changes()
  await fs.write('/a/g', 'x')
  expect(await next(changes)).toBe('added /a/g')
  expect(await next(changes)).toBe('changed /a/g')
  const from = (await fabric.database('moving')).map.shardOf(0)
  await fabric.move('moving', (map) => ({
    moves: [{ from, to: 1 - from, slots: [[0, 0]] }],
    map: map.reassign([[0, 0, 1 - from]]),
  }))
  await fs.write('/a/h', '')
  const told = [await next(changes)]
  while (told.at(-1) !== 'all /') told.push(await next(changes))
  await fs.write('/a/last', '')
  while (told.at(-1) !== 'added /a/last') told.push(await next(changes))
  await fs.close()
})

it.each([
  ['{"persistent":false}', '', 'ended\n'],
  ['{"persistent":true}', 'unref', 'ended\n'],
  ['{"persistent":false}', 'ref', 'ended\nheard\n'],
  ['{}', '', 'ended\nheard\n'],
])('keeps the process alive or not: %s, %s', async (options, then, expected) => {
  await fabric.close()
  const isKept = expected.includes('heard') ? 'write' : ''
  const args = ['scripts/run.mjs', 'fsx/watch.testing.ts', folder.path, options, then, isKept]
  const child = spawn(process.execPath, args, { cwd: root })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (text) => {
      said += text
    })
  }
  await new Promise((resolve) => child.on('close', resolve))
  expect(said).toBe(expected)
})

it('finds files of a filesystem that an older version made', async () => {
  let shard = await openTestShard([fsxProgram])
  const fs = () => createFileSystem({ call: (name, args) => shard.call('fsx', name, args) })
  await fs().write('/a/b/f', 'x')
  // Until version 3 only directories knew where they were.
  shard.sql.transact(() => {
    shard.sql.all('update fs_inodes set parent = null where mode & 61440 <> 16384')
    shard.sql.all("update fs_meta set value = 2 where name = 'version'")
  })
  shard = await shard.reopen({ crash: true })
  const after = (await shard.call('fsx', 'changed', { after: 'now', limit: 0, within: 1, deep: true })) as Changed
  await fs().promises.appendFile('/a/b/f', 'y')
  const args = { after: after.next, limit: 10, within: 1, deep: true }
  const { changes } = (await shard.call('fsx', 'changed', args)) as Changed
  expect(changes.map(({ kind, paths }) => [kind, ...paths])).toEqual([['changed', 'a/b/f']])
  expect(await fs().fsck()).toEqual([])
  shard.close()
})

/** Keeps a list of paths and sizes by what it is told alone. */
async function mirror(fs: FileSystem, changes: Changes, until: string): Promise<Map<string, number>> {
  const paths = new Map<string, number>()
  const take = async (path: string): Promise<void> => {
    const stats = await fs.promises.lstat(path).catch(() => undefined)
    if (stats === undefined) return
    paths.set(path, stats.isDirectory() ? -1 : stats.size)
    if (!stats.isDirectory()) return
    for (const name of await fs.promises.readdir(path).catch(() => [])) await take(`${path}/${name}`)
  }
  for await (const { kind, path } of changes) {
    if (kind !== 'changed')
      for (const known of paths.keys()) if (`${known}/`.startsWith(`${path}/`)) paths.delete(known)
    await take(path)
    if (path === until) return paths
  }
  throw new Error('changes have no end')
}

it.each([1, 2, 3, 4])('misses nothing, whatever is done: seed %i', async (seed) => {
  const fs = await openIn(`${folder.path}/own`)
  let state = seed * 7919
  const random = (below: number) => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return Math.floor((state / 2 ** 31) * below)
  }
  const name = () => `/${'abc'[random(3)]}${random(2) === 0 ? `/${'xyz'[random(3)]}` : ''}`
  const steps: (() => Promise<unknown>)[] = [
    () => fs.promises.mkdir(name()),
    () => fs.promises.mkdir(name()),
    () => fs.promises.writeFile(name(), 'x'.repeat(random(30_000))),
    () => fs.promises.appendFile(name(), 'more'),
    () => fs.promises.rename(name(), name()),
    () => fs.promises.link(name(), name()),
    () => fs.promises.rm(name(), { recursive: true }),
    () => fs.promises.symlink('a', name()),
    () => fs.move(name(), name(), 'exchange'),
    () => fs.snapshot(),
    async () => {
      const snapshots = await fs.snapshots.list()
      await fs.snapshots.remove(snapshots[random(snapshots.length)] ?? 'none')
    },
  ]
  const mirrored = mirror(fs, await fs.changes(), '/end')
  for (let i = 0; i < 300; i++) await steps[random(steps.length)]?.().catch(() => undefined)
  await fs.write('/end', '')
  const found = new Map<string, number>()
  for (const name of (await fs.promises.readdir('/', { recursive: true })).map((one) => `/${one}`)) {
    const stats = await fs.promises.lstat(name)
    found.set(name, stats.isDirectory() ? -1 : stats.size)
  }
  expect([...(await mirrored)].sort()).toEqual([...found].sort())
  await fs.close()
})
