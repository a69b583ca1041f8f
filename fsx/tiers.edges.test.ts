/** Tiers at their edges: many pieces, little memory, holes, and forks elsewhere that fail. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Failure } from '../core/errors.ts'
import { nodeClock } from '../core/host/node/clock.ts'
import { type NodeFabric, openFabric } from '../core/host/node/fabric.ts'
import { openTestShard, type TestShard, temporaryFolder } from '../core/host/node/testing.ts'
import { openZstd } from '../core/host/node/zstd.ts'
import { sha256 } from '../core/host/sha256.ts'
import { memoryObjects } from '../core/tiering/index.ts'
import { callerOf, createFileSystem, fsx, fsxProgram, fsxWork } from './index.ts'
import { OBJECT_PIECES } from './tables.ts'
import { codeOf } from './testing.ts'
import { FSX_TIER } from './tier/index.ts'
import { Pack } from './tier/pack.ts'
import { besideCaller, besideOf, noise } from './tiers.testing.ts'

const MB = 1024 * 1024
const codec = await openZstd()
let folder: ReturnType<typeof temporaryFolder>
beforeEach(() => {
  folder = temporaryFolder()
})
afterEach(() => folder.remove())

/** Open a filesystem whose shard may use a part of its memory. */
async function openTiered(share = 1) {
  const store = memoryObjects(nodeClock)
  let test: TestShard | undefined
  const beside = besideOf(() => (test as TestShard).shard, { store, codec, sha256 })
  test = await openTestShard([fsxProgram], { fetchCold: (_, cold) => beside.fetchCold(cold), share })
  const fs = createFileSystem(besideCaller(test.shard, beside))
  await fs.tiers.set({ olderThan: '0s' })
  return { fs, test }
}

function fabricOf(): Promise<NodeFabric> {
  const store = memoryObjects(nodeClock)
  const work = fsxWork({ store, codec, sha256 })
  return openFabric({ data: folder.path, durability: 'normal', programs: [fsxProgram], ...work })
}

it('an object has no more pieces than have numbers', () => {
  const pack = new Pack()
  const bytes = new Uint8Array(1)
  for (let i = 0; i < OBJECT_PIECES; i++) {
    expect(pack.isFull).toBe(false)
    pack.add(new Uint8Array(new Uint32Array([i]).buffer), bytes, 1)
  }
  expect(pack.isFull).toBe(true)
}, 30_000)

it('what one call waits for is in memory, however little a shard may use', async () => {
  const { fs, test } = await openTiered(1 / 50)
  const bytes = noise(16 * MB)
  await fs.write('/f', bytes)
  await fs.tiers.run()
  expect((await fs.read('/f')).equals(bytes)).toBe(true)
  test.close()
})

it('holes need no content, and space asks for all that it needs at once', async () => {
  const { fs, test } = await openTiered()
  await fs.write('/f', noise(4 * MB))
  await fs.tiers.run()
  await fs.snapshot()
  const holes = await fs.promises.open('/f', 'r+')
  await holes.deallocate(0, 4 * MB)
  expect((await holes.readFile()).every((byte) => byte === 0)).toBe(true)
  await holes.close()
  const space = await fs.promises.open('/g', 'w+')
  for (let i = 0; i < 40; i++) await space.write(noise(100, i + 1), 0, 100, i * 65_536)
  await fs.tiers.run()
  await space.allocate(0, 40 * 65_536)
  const last = await space.read(Buffer.alloc(100), 0, 100, 39 * 65_536)
  expect(last.buffer.equals(noise(100, 40))).toBe(true)
  await space.close()
  expect(await fs.fsck()).toEqual([])
  test.close()
})

describe('a fork elsewhere', () => {
  let fabric: NodeFabric
  beforeEach(async () => {
    fabric = await fabricOf()
  })
  afterEach(() => fabric.close())

  it('that cannot be leaves the other as it was', async () => {
    const fs = await fsx({ fabric, database: 'a' })
    await fs.write('/f', noise(100_000))
    expect(await codeOf(fs.at('nope').forkTo('fresh'))).toBe('ENOENT')
    const fresh = await fsx({ fabric, database: 'fresh' })
    expect(await codeOf(fresh.write('/x', 'x'))).toBe('done')
    expect(await fs.forks.list()).toEqual([])
  })

  it('is no way to lose what is cold: copies from shard to shard have all of it', async () => {
    const fs = await fsx({ fabric, database: 'x', shards: 2 })
    const on = new Map<number, string>()
    for (let i = 0; on.size < 2; i++) {
      await fs.write(`/n${i}`, 'x')
      on.set(((await fs.stat(`/n${i}`)).ino - 1) % 2, `/n${i}`)
    }
    const [from, to] = [on.get(0) as string, on.get(1) as string]
    const bytes = noise(20 * MB)
    await fs.write(from, bytes)
    // Tiers of several shards are refused; what one had before it became a part would be as cold as this.
    const shard = callerOf(await fabric.database('x'), fabric)
    await shard.job?.(FSX_TIER, { all: 'main' })
    expect(await shard.call('tierStatus', {})).toMatchObject({ coldBytes: bytes.length })
    await fs.promises.copyFile(from, to)
    expect((await fs.read(to)).equals(bytes)).toBe(true)
  })

  it('takes no filesystem that is one shard of several, or has a past', async () => {
    const fs = await fsx({ fabric, database: 'a' })
    await fs.write('/f', 'x')
    await fsx({ fabric, database: 'x', shards: 2 })
    for (const name of ['x', 'x.1']) expect(await codeOf(fs.forkTo(name))).not.toBe('done')
    const past = await fsx({ fabric, database: 'past' })
    await past.snapshot('s')
    expect(await codeOf(fs.forkTo('past'))).toBe('EEXIST')
    expect((await past.snapshots.list()).map(({ name }) => name)).toEqual(['s'])
  })

  it('has the space past the end of files, and who cannot be asked keeps all', async () => {
    const fs = await fsx({ fabric, database: 'a' })
    await fs.write('/f', noise(100_000))
    const handle = await fs.promises.open('/f', 'r+')
    await handle.allocate(261 * MB, 65_536, { keepSize: true })
    await handle.close()
    const other = await fs.forkTo('b')
    expect(await other.fsck()).toEqual([])
    const way = callerOf(await fabric.database('a'), fabric)
    const elsewhere = async () => {
      throw new Failure('unavailable', 'cannot be asked')
    }
    const cut = createFileSystem({ ...way, elsewhere })
    expect(await codeOf(cut.tiers.run())).toBe('done')
    expect((await other.read('/f')).equals(noise(100_000))).toBe(true)
    const user = createFileSystem(way, { as: { uid: 1000, gid: 1000 } })
    expect(await codeOf(user.tiers.run())).toBe('EPERM')
  })
})
