/** Random histories of files whose content leaves again and again, against files in memory. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { nodeClock } from '../core/host/node/clock.ts'
import { openTestShard, type TestShard } from '../core/host/node/testing.ts'
import { openZstd } from '../core/host/node/zstd.ts'
import { sha256 } from '../core/host/sha256.ts'
import { memoryObjects } from '../core/tiering/index.ts'
import { createFileSystem, type FileSystem, fsxProgram } from './index.ts'
import { besideCaller, besideOf, noise } from './tiers.testing.ts'

const codec = await openZstd()
const RUNS = Number(process.env.DOTDO_FUZZ_RUNS ?? 40)

type Files = ReadonlyMap<string, Buffer>

/** A filesystem of the shard, and what it and its snapshots must be. */
interface Known {
  readonly fork: string | undefined
  files: Files
  readonly snapshots: Map<number, Files>
}

const path = fc.constantFrom('/a', '/b', '/c')
const edges = [0, 1, 16_384, 65_535, 65_536, 65_537, 131_072, 196_608]
const place = fc.oneof(fc.constantFrom(...edges), fc.nat(250_000))
const who = fc.nat(7)
const weighed = (weight: number, kind: string, fields: Record<string, fc.Arbitrary<unknown>> = {}) => ({
  weight,
  arbitrary: fc.record({ kind: fc.constant(kind), who, ...fields }) as fc.Arbitrary<Step>,
})

interface Step {
  readonly kind: string
  readonly who: number
  readonly path: string
  readonly to: string
  readonly at: number
  readonly length: number
  readonly seed: number
}

const step = fc.oneof(
  weighed(8, 'write', { path, at: place, length: place, seed: fc.integer({ min: 1, max: 3 }) }),
  weighed(3, 'truncate', { path, length: place }),
  weighed(2, 'copy', { path, to: path }),
  weighed(1, 'remove', { path }),
  weighed(4, 'read', { path, at: place, length: place }),
  weighed(5, 'pass'),
  weighed(2, 'snapshot'),
  weighed(1, 'unsnapshot'),
  weighed(1, 'restore'),
  weighed(1, 'fork'),
  weighed(1, 'unfork'),
  weighed(1, 'reopen', { length: fc.nat(1) }),
)

function written(before: Buffer | undefined, at: number, bytes: Uint8Array): Buffer {
  const after = Buffer.alloc(Math.max(before?.length ?? 0, bytes.length === 0 ? 0 : at + bytes.length))
  before?.copy(after)
  after.set(bytes, at)
  return after
}

/** Change content, of both. */
async function change(fs: FileSystem, known: Known, { kind, path, to, at, length, seed }: Step): Promise<void> {
  const files = new Map(known.files)
  const before = files.get(path)
  known.files = files
  if (kind === 'write') {
    const handle = await fs.promises.open(path, 'a+')
    await handle.close()
    const open = await fs.promises.open(path, 'r+')
    const bytes = noise(length, seed)
    await open.write(bytes, 0, bytes.length, at)
    await open.close()
    files.set(path, written(before, bytes.length === 0 ? 0 : at, bytes))
  } else if (before === undefined) return
  else if (kind === 'truncate') {
    await fs.promises.truncate(path, length)
    const after = Buffer.alloc(length)
    before.copy(after)
    files.set(path, after)
  } else if (kind === 'copy') {
    await fs.promises.copyFile(path, to)
    files.set(to, before)
  } else if (kind === 'remove') {
    await fs.promises.unlink(path)
    files.delete(path)
  } else {
    const handle = await fs.promises.open(path)
    const buffer = Buffer.alloc(length)
    const { bytesRead } = await handle.read(buffer, 0, length, at)
    await handle.close()
    expect(buffer.subarray(0, bytesRead).equals(before.subarray(at, at + length))).toBe(true)
  }
}

/** Everything there is, step by step. */
class World {
  readonly store = memoryObjects(nodeClock)
  readonly all: Known[] = [{ fork: undefined, files: new Map(), snapshots: new Map() }]
  readonly left = { chunks: 0, objects: 0 }
  private test!: TestShard
  private main!: FileSystem
  private count = 0
  private readonly beside = besideOf(() => this.test.shard, { store: this.store, codec, sha256 })

  async open(): Promise<void> {
    this.test = await openTestShard([fsxProgram], { fetchCold: (_, cold) => this.beside.fetchCold(cold) })
    this.main = createFileSystem(besideCaller(this.test.shard, this.beside))
    await this.main.tiers.set({ olderThan: '0s', keep: '0s' })
  }

  fsOf({ fork }: Known): FileSystem {
    return fork === undefined ? this.main : this.main.forks.open(fork)
  }

  async step(step: Step): Promise<void> {
    const { all } = this
    const known = all[step.who % all.length] as Known
    const fs = this.fsOf(known)
    const [oldest] = known.snapshots.keys()
    this.count++
    if (/write|truncate|copy|remove|read/.test(step.kind)) await change(fs, known, step)
    else if (step.kind === 'pass') this.left.chunks += (await fs.tiers.run()).chunks
    else if (step.kind === 'snapshot') known.snapshots.set((await fs.snapshot()).id, known.files)
    else if (step.kind === 'fork' && all.length < 4) {
      await fs.fork(`f${this.count}`)
      all.push({ fork: `f${this.count}`, files: known.files, snapshots: new Map() })
    } else if (step.kind === 'unfork' && known.fork !== undefined) {
      await this.main.forks.remove(known.fork)
      all.splice(all.indexOf(known), 1)
    } else if (step.kind === 'unsnapshot' && oldest !== undefined) {
      await fs.snapshots.remove(oldest)
      known.snapshots.delete(oldest)
    } else if (step.kind === 'restore' && oldest !== undefined) {
      await fs.restore(oldest)
      known.files = known.snapshots.get(oldest) as Files
    } else if (step.kind === 'reopen') {
      this.test = await this.test.reopen({ crash: step.length === 1 })
      this.main = createFileSystem(besideCaller(this.test.shard, this.beside))
    }
  }

  async check(): Promise<void> {
    for (const known of this.all) {
      const fs = this.fsOf(known)
      await same(fs, known.files)
      for (const [id, files] of known.snapshots) await same(fs.at(id), files)
    }
    expect(await this.main.fsck()).toEqual([])
  }

  /** Remove everything: then nothing is in the store. */
  async end(): Promise<void> {
    const { main, all } = this
    for (const { fork } of all) if (fork !== undefined) await main.forks.remove(fork)
    for (const { id } of await main.snapshots.list()) await main.snapshots.remove(id)
    for (const name of await main.list('/')) await main.remove(`/${name}`)
    await main.tiers.run()
    expect(await main.fsck()).toEqual([])
    expect((await this.store.list()).objects).toEqual([])
    this.test.close()
  }
}

async function same(fs: FileSystem, files: Files): Promise<void> {
  expect((await fs.list('/')).map((name) => `/${name}`).sort()).toEqual([...files.keys()].sort())
  for (const [path, bytes] of files) expect((await fs.read(path)).equals(bytes), path).toBe(true)
}

it('content that leaves is what it would be had it stayed', { timeout: 600_000 }, async () => {
  let chunks = 0
  const run = async (steps: readonly Step[]) => {
    const world = new World()
    await world.open()
    for (const step of steps) {
      await world.step(step)
      if (/restore|un|fork|reopen/.test(step.kind)) await world.check()
    }
    await world.check()
    chunks += world.left.chunks
    await world.end()
  }
  const steps = fc.array(step, { minLength: 1, maxLength: 60, size: 'max' })
  await fc.assert(fc.asyncProperty(steps, run), { numRuns: RUNS })
  expect(chunks).toBeGreaterThan(10 * RUNS)
})
