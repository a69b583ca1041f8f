/** A filesystem over several shards. */
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openFabric } from '../core/host/node/index.ts'
import { temporaryFolder } from '../core/host/node/testing.ts'
import { shardOfName } from './engine/part.ts'
import { runSpread, type Step, step } from './fuzz.testing.ts'
import { callerOf, type FsxOptions, fsx, fsxProgram, type OpenedFileSystem } from './index.ts'
import { codeOf } from './testing.ts'

const SHARDS = 3
/** A name for each shard. */
const [zero, one, two] = [0, 1, 2].map((shard) => {
  return 'abcdefghijklmnop'.split('').find((name) => shardOfName(name, SHARDS) === shard) as string
}) as [string, string, string]

let folder: ReturnType<typeof temporaryFolder>
let fs: OpenedFileSystem
const open = (more: Partial<FsxOptions> = {}) => {
  return fsx({ dotdo: { data: folder.path, durability: 'normal' }, shards: SHARDS, ...more })
}

beforeEach(async () => {
  folder = temporaryFolder()
  fs = await open()
})

afterEach(async () => {
  expect(await fs.fsck()).toEqual([])
  await fs.close()
  folder.remove()
})

describe('a filesystem over several shards', () => {
  it('has its names on all of them, and is there when it is opened again', async () => {
    for (const name of [zero, one, two]) await fs.write(`/${name}/sub/f`, name)
    expect((await fs.list('/')).sort()).toEqual([zero, one, two].sort())
    await fs.close()
    const fabric = await openFabric({ data: folder.path, programs: [fsxProgram] })
    for (const shard of [1, 2]) {
      await expect(fsx({ fabric, database: `default.${shard}` })).rejects.toMatchObject({ code: 'invalid' })
    }
    await fabric.close()
    // How many shards it has, it knows.
    fs = await open({ shards: undefined } as never)
    for (const name of [zero, one, two]) expect(await fs.read(`/${name}/sub/f`, 'utf8')).toBe(name)
    expect((await fs.glob('**/f')).sort()).toEqual([zero, one, two].map((name) => `${name}/sub/f`).sort())
    expect((await fs.stat('/')).nlink).toBe(5)
    const inos = [zero, one, two].map((name) => fs.statSync(`/${name}`).ino)
    expect(new Set(inos).size).toBe(3)
  })

  it('stays what it was made', async () => {
    await fs.write(`/${one}`, 'x')
    await fs.close()
    for (const shards of [1, 2, 4]) await expect(open({ shards })).rejects.toMatchObject({ code: 'conflict' })
    for (const shards of [0, 65, 1.5])
      await expect(open({ shards, database: 'b' })).rejects.toMatchObject({ code: 'invalid' })
    const whole = await open({ shards: 1, database: 'whole' })
    await whole.write('/f', 'x')
    await whole.close()
    await expect(open({ database: 'whole' })).rejects.toMatchObject({ code: 'conflict' })
    await expect(open({ database: 'c', over: { fs: await import('node:fs'), path: '/' } })).rejects.toMatchObject({
      code: 'unsupported',
    })
    fs = await open()
    expect(await fs.read(`/${one}`, 'utf8')).toBe('x')
  })

  it('follows links and dots from one to another', async () => {
    await fs.write(`/${one}/sub/f`, 'there')
    await fs.mkdir(`/${zero}`)
    await fs.promises.symlink(`/${one}`, `/${zero}/absolute`)
    await fs.promises.symlink(`../${one}/sub`, `/${zero}/relative`)
    await fs.promises.symlink('/', `/${zero}/root`)
    expect(await fs.read(`/${zero}/absolute/sub/f`, 'utf8')).toBe('there')
    expect(await fs.read(`/${zero}/relative/f`, 'utf8')).toBe('there')
    expect(fs.readFileSync(`/${zero}/../${one}/sub/f`, 'utf8')).toBe('there')
    expect((await fs.list(`/${zero}/root`)).sort()).toEqual([zero, one].sort())
    expect(await fs.promises.realpath(`/${zero}/relative/f`)).toBe(`/${one}/sub/f`)
    await fs.promises.writeFile(`/${zero}/absolute/new`, 'made')
    expect(await fs.read(`/${one}/new`, 'utf8')).toBe('made')
    expect(await fs.promises.mkdtemp(`/${zero}/absolute/t-`)).toMatch(/^.*t-\w{6}$/)
    expect((await fs.list(`/${one}`)).some((name) => name.startsWith('t-'))).toBe(true)
    expect(await fs.exists(await fs.promises.mkdtemp('/t-'))).toBe(true)
    await fs.promises.symlink(`/${two}/loop`, `/${one}/loop`)
    await fs.write(`/${two}/x`, '')
    await fs.promises.symlink(`/${one}/loop`, `/${two}/loop`)
    expect(await codeOf(fs.read(`/${one}/loop`))).toBe('ELOOP')
  })

  it('renames and links within a shard, and copies from one to another', async () => {
    await fs.write(`/${one}/f`, 'x'.repeat(3_000_000))
    await fs.mkdir(`/${two}`)
    await fs.promises.chmod(`/${one}/f`, 0o640)
    expect(await codeOf(fs.promises.rename(`/${one}/f`, `/${two}/f`))).toBe('EXDEV')
    expect(await codeOf(fs.promises.link(`/${one}/f`, `/${two}/f`))).toBe('EXDEV')
    expect(await codeOf(fs.promises.rename(`/${one}`, `/${two}/one`))).toBe('EXDEV')
    await fs.copy(`/${one}/f`, `/${two}/f`)
    expect((await fs.read(`/${two}/f`)).equals(await fs.read(`/${one}/f`))).toBe(true)
    expect((await fs.stat(`/${two}/f`)).mode & 0o777).toBe(0o640)
    expect(await codeOf(fs.promises.copyFile(`/${one}/f`, `/${two}/f`, 1))).toBe('EEXIST')
    // A copy onto itself, by a link of another shard.
    await fs.promises.symlink(`/${one}/f`, `/${two}/link`)
    await fs.promises.copyFile(`/${one}/f`, `/${two}/link`)
    expect((await fs.stat(`/${one}/f`)).size).toBe(3_000_000)
    await fs.promises.rename(`/${two}/../${one}/f`, `/${one}/g`)
    expect(await fs.list(`/${one}`)).toEqual(['g'])
    await fs.writeAll([
      [`/${one}/h`, '1'],
      [`/${one}/i`, '2'],
    ])
    const across = fs.writeAll([
      [`/${one}/j`, '1'],
      [`/${two}/j`, '2'],
    ])
    expect(await codeOf(across)).toBe('EXDEV')
    expect((await fs.list(`/${one}`)).sort()).toEqual(['g', 'h', 'i'])
  })

  it('has one root, and refuses what is of the whole', async () => {
    await fs.write(`/${two}/f`, 'x')
    await fs.promises.chmod('/', 0o700)
    const other = fs.as({ uid: 1000, gid: 1000 })
    for (const name of [zero, one, two]) expect(await codeOf(other.write(`/${name}/f`, 'x'))).toBe('EACCES')
    for (const work of [fs.snapshot(), fs.fork('x'), fs.setQuota({ bytes: 1 }), fs.snapshots.list()]) {
      expect(await codeOf(work)).toBe('ENOTSUP')
    }
    const handle = await fs.promises.open('/', 'r')
    await handle.chmod(0o755)
    await handle.close()
    for (const name of [zero, two]) expect(await codeOf(other.list(`/${name}`))).toMatch(/done|ENOENT/)
    expect(await codeOf(fs.lock(`/${two}/f`))).toBe('ERR_FEATURE_UNAVAILABLE_ON_PLATFORM')
    expect(() => fs.watch('/')).toThrow('several shards')
    const { files, ffree } = await fs.promises.statfs('/')
    expect(files - ffree).toBe(5)
  })

  it('takes no filesystem that has a past, nor a part of what it cannot have whole', async () => {
    await fs.close()
    const past = await open({ shards: 1, database: 'past' })
    await past.write('/f', 'x')
    await past.snapshot('s')
    await past.remove('/f')
    await past.close()
    await expect(open({ database: 'past' })).rejects.toMatchObject({ code: 'conflict' })
    // The others were not told either.
    const other = await open({ shards: 1, database: 'past.1' })
    await other.write('/f', 'x')
    await other.close()
    fs = await open()
  })

  it('refuses tiers, and sets nothing', async () => {
    expect(await codeOf(fs.tiers.set({ olderThan: '0s' }))).toBe('ENOTSUP')
    await fs.close()
    const fabric = await openFabric({ data: folder.path, programs: [fsxProgram] })
    for (const name of ['default', 'default.1']) {
      const shard = callerOf(await fabric.database(name))
      expect(await shard.call('tierStatus', {})).toMatchObject({ policy: null })
      const policy = { olderThanMs: 0, largerThanBytes: 0, keepMs: 0 }
      expect(await codeOf(shard.call('setTier', { policy }))).toBe('unsupported')
    }
    await fabric.close()
    fs = await open()
  })

  it('lets nobody write by a copy what they may not', async () => {
    await fs.write(`/${zero}/f`, 'mine')
    await fs.write(`/${one}/f`, 'root')
    await fs.promises.chmod(`/${one}/f`, 0o666)
    const other = fs.as({ uid: 1000, gid: 1000 })
    expect(await codeOf(other.promises.copyFile(`/${zero}/f`, `/${one}/f`))).toBe('EPERM')
    expect(await fs.read(`/${one}/f`, 'utf8')).toBe('root')
  })

  it('does what a whole one does, or refuses', { timeout: 120_000 }, async () => {
    const whole = await fsx({ dotdo: { data: `${folder.path}/whole`, durability: 'normal' } })
    let [refused, done] = [0, 0]
    const sequence = fc.array(step, { minLength: 1, maxLength: 60, size: 'max' })
    const same = (ours: unknown, theirs: unknown, s?: Step) => expect({ s, ours }).toEqual({ s, ours: theirs })
    try {
      await fc.assert(
        fc.asyncProperty(sequence, fc.boolean(), async (steps, later) => {
          refused += await runSpread([fs, whole], { steps, later }, same)
          done += steps.length
        }),
        { numRuns: Number(process.env.DOTDO_FUZZ_RUNS ?? 100) },
      )
      expect(refused).toBeGreaterThan(0)
      expect(refused).toBeLessThan(done / 5)
    } finally {
      await whole.close()
    }
  })
})
