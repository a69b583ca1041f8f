/** The filesystem in Node, over files. */
import { mkdirSync, readFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { StopSwitch } from '../core/cdc/index.ts'
import { nodeClock } from '../core/host/node/clock.ts'
import { openTestShard, type TestShard, temporaryFolder } from '../core/host/node/testing.ts'
import { fsxCases, type Opened } from './fsx.conformance.ts'
import { createFileSystem, fsx, fsxProgram, type OpenedFileSystem } from './index.ts'
import { lockCases } from './locks.conformance.ts'
import { spaceCases } from './space.conformance.ts'
import { openIn } from './testing.ts'
import { watchCases } from './watch.conformance.ts'

describe('a filesystem over a file', () => {
  let shard: TestShard | undefined
  let ended: StopSwitch
  beforeEach(() => {
    ended = new StopSwitch()
  })
  afterEach(async () => {
    ended.abort()
    expect(await shard?.call('fsx', 'fsck', {})).toEqual([])
    shard?.close()
  })

  function opened(test: TestShard): Opened {
    shard = test
    // Whatever was opened before the shard was opened again goes on with the new one, as with a fabric.
    const here = () => shard as TestShard
    const awaitChange = (seq: number, waitMs: number) => here().shard.awaitChange(seq, waitMs)
    const another = () => {
      const call = (name: string, args: object) => here().call('fsx', name, args)
      return createFileSystem({ call, waiting: { clock: nodeClock, ended, awaitChange } })
    }
    return {
      fs: another(),
      another,
      reopen: async (crash = false) => opened(await test.reopen({ crash })),
    }
  }

  it.each([...fsxCases, ...watchCases, ...lockCases, ...spaceCases])('$name', async ({ run }) => {
    await run(opened(await openTestShard([fsxProgram])), expect)
  })
})

describe('a filesystem in this process', () => {
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

  it('is there when it is opened again', async () => {
    await fs.write('/a/b', 'hello')
    await fs.close()
    fs = await open()
    expect(fs.readFileSync('/a/b', 'utf8')).toBe('hello')
  })

  it('answers at once', () => {
    fs.mkdirSync('/d')
    fs.writeFileSync('/d/f', 'one')
    fs.appendFileSync('/d/f', ' two')
    expect(fs.readdirSync('/d')).toEqual(['f'])
    expect(() => fs.readFileSync('/none')).toThrow("ENOENT: no such file or directory, open '/none'")
    expect(fs.statSync('/none', { throwIfNoEntry: false })).toBeUndefined()
    const fd = fs.openSync('/d/f', 'r+')
    expect(fs.writeSync(fd, 'ONE')).toBe(3)
    expect(fs.readSync(fd, Buffer.alloc(10))).toBe(4)
    fs.closeSync(fd)
    expect(fs.readFileSync('/d/f', 'utf8')).toBe('ONE two')
    expect(() => fs.closeSync(fd)).toThrow('EBADF: bad file descriptor, close')
  })

  it('calls back', async () => {
    await new Promise<void>((resolve, reject) =>
      fs.writeFile('/f', 'x', (error) => (error ? reject(error) : resolve())),
    )
    const bytes = await new Promise((resolve) => fs.readFile('/f', 'utf8', (_, data) => resolve(data)))
    expect(bytes).toBe('x')
    expect(await new Promise((resolve) => fs.stat('/none', (error) => resolve(error?.code)))).toBe('ENOENT')
  })

  it('takes a write that came before a crash of its group alone', async () => {
    const [first, second] = await Promise.allSettled([fs.write('/a', '1'), fs.promises.mkdir('/none/b')])
    expect([first.status, second.status]).toEqual(['fulfilled', 'rejected'])
    expect(await fs.list('/')).toEqual(['a'])
  })

  it('is one of many in a folder', async () => {
    await fs.close()
    const { openFabric } = await import('@dotdo/core/host/node')
    const fabric = await openFabric({ data: folder.path, programs: [fsxProgram], defaults: { count: 4 } })
    const [one, two] = [await fsx({ fabric, database: 'one' }), await fsx({ fabric, database: 'two' })]
    await one.write('/f', '1')
    expect(await two.list('/')).toEqual([])
    await fabric.close()
    fs = await open()
  })

  it('moves whole to another shard', async () => {
    await fs.close()
    const { openFabric } = await import('@dotdo/core/host/node')
    const fabric = await openFabric({ data: folder.path, programs: [fsxProgram], defaults: { count: 2 } })
    const moving = await fsx({ fabric, database: 'moving' })
    await moving.write('/a/f', 'x'.repeat(200_000))
    await moving.promises.symlink('a', '/link')
    const from = (await fabric.database('moving')).map.shardOf(0)
    await fabric.move('moving', (map) => ({
      moves: [{ from, to: 1 - from, slots: [[0, 0]] }],
      map: map.reassign([[0, 0, 1 - from]]),
    }))
    expect((await fabric.database('moving')).map.shardOf(0)).toBe(1 - from)
    expect(await moving.read('/link/f', 'utf8')).toBe('x'.repeat(200_000))
    await moving.write('/a/g', 'y')
    expect((await moving.list('/a')).sort()).toEqual(['f', 'g'])
    expect(await moving.fsck()).toEqual([])
    await fabric.close()
    fs = await open()
  })

  it('lists what was copied in, with types', async () => {
    const source = readFileSync(import.meta.filename, 'utf8')
    await fs.write('/src/test.ts', source)
    mkdirSync(`${folder.path}/out`)
    expect((await fs.promises.readdir('/src', { withFileTypes: true }))[0]).toMatchObject({ name: 'test.ts' })
    expect(await fs.read('/src/test.ts', 'utf8')).toBe(source)
  })
})
