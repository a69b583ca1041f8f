/** Code that takes node:fs takes ours, without a cast: tsc checks this file, and what it says is run. */
import type nodeFs from 'node:fs'
import type nodePromises from 'node:fs/promises'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, expectTypeOf, it } from 'vitest'
import { temporaryFolder } from '../core/host/node/testing.ts'
import type { FileSystem, OpenedFileSystem, Promises } from './index.ts'
import { openIn } from './testing.ts'

/** What node:fs has and ours has not: functions of macOS, and those that watch. */
type Absent = 'lchmod' | 'lchmodSync' | 'watch' | 'watchFile' | 'unwatchFile'
/** Classes: those of ours are others. */
type Classes = 'BigIntStats' | 'Dir' | 'Dirent' | 'ReadStream' | 'Stats' | 'StatsFs' | 'WriteStream'
type Known = Absent | Classes

const data = temporaryFolder()
let fs: OpenedFileSystem
beforeAll(async () => {
  fs = await openIn(data.path)
})
afterAll(async () => {
  await fs.close()
  data.remove()
})

/** What it needs of node:fs. */
interface Needed extends Pick<typeof nodeFs, 'readFileSync' | 'existsSync'> {
  promises: Pick<typeof nodePromises, 'writeFile'>
}
/** Somebody's code for node:fs. */
async function copyUpper(fs: Needed, from: string, to: string) {
  await fs.promises.writeFile(to, fs.readFileSync(from, 'utf8').toUpperCase())
  return fs.existsSync(to)
}
/** Somebody's code for node:fs/promises. */
async function sizes({ readdir, stat }: Pick<typeof nodePromises, 'readdir' | 'stat'>, folder: string) {
  const entries = await readdir(folder, { withFileTypes: true })
  return Promise.all(entries.map(async ({ name }) => [name, (await stat(`${folder}/${name}`)).size]))
}
/** Somebody's code for functions with callbacks. */
function readLater(fs: Pick<typeof nodeFs, 'readFile' | 'open' | 'read' | 'close'>, path: string): Promise<Buffer> {
  return promisify(fs.readFile)(path)
}

it('has the types of node:fs, all but some', () => {
  expectTypeOf<Exclude<keyof typeof nodeFs, keyof FileSystem | Known>>().toEqualTypeOf<never>()
  expectTypeOf<Exclude<keyof typeof nodePromises, keyof Promises | 'watch' | 'lchmod'>>().toEqualTypeOf<never>()
  const whole: Pick<typeof nodeFs, Exclude<keyof typeof nodeFs, Known | 'promises'>> = fs
  const promises: Omit<typeof nodePromises, 'watch' | 'lchmod'> = fs.promises
  expect([whole.constants.O_CREAT, promises.constants.O_EXCL]).toEqual([0o100, 0o200])
  // What its types say is there is there.
  const names: (keyof FileSystem)[] = ['openAsBlob', 'constants', 'realpath', 'exists', 'opendirSync', 'statfs']
  for (const name of names) expect(fs[name]).toBeDefined()
})

it('is taken by code for node:fs', async () => {
  await fs.write('/d/a', 'abc')
  expect(await copyUpper(fs, '/d/a', '/d/b')).toBe(true)
  expect(await sizes(fs.promises, '/d')).toEqual([
    ['a', 3],
    ['b', 3],
  ])
  expect((await readLater(fs, '/d/b')).toString()).toBe('ABC')
})

it('answers util.promisify as node:fs does', async () => {
  await fs.write('/p', 'promised')
  const fd = await promisify(fs.open)('/p', 'r+')
  const buffer = Buffer.alloc(4)
  expect(await promisify(fs.read)(fd, buffer, 0, 4, 0)).toEqual({ bytesRead: 4, buffer: Buffer.from('prom') })
  expect(await promisify(fs.write)(fd, Buffer.from('P'), 0, 1, 0)).toMatchObject({ bytesWritten: 1 })
  expect(await promisify(fs.writev)(fd, [Buffer.from('Q')], 1)).toMatchObject({ bytesWritten: 1 })
  expect(await promisify(fs.readv)(fd, [Buffer.alloc(2)], 0)).toMatchObject({
    bytesRead: 2,
    buffers: [Buffer.from('PQ')],
  })
  await promisify(fs.close)(fd)
  expect([await promisify(fs.exists)('/p'), await promisify(fs.exists)('/none')]).toEqual([true, false])
})
