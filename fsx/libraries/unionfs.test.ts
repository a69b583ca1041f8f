/** unionfs, unchanged, with a filesystem of ours over a folder of node:fs. */
import nodeFs from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { type IUnionFs, Union } from 'unionfs'
import { expect, it } from 'vitest'
import { placeForEach } from './place.testing.ts'

const place = placeForEach()

/** A file of the folder, two of ours, and one that both have. */
async function unionOf(): Promise<{ union: IUnionFs; base: string }> {
  const { fs, folder } = place
  const base = join(folder, 'base')
  nodeFs.mkdirSync(base)
  nodeFs.writeFileSync(join(base, 'below'), 'from below')
  nodeFs.writeFileSync(join(base, 'both'), 'not seen')
  await fs.write(join(base, 'both'), 'from above')
  await fs.write(join(base, 'above'), 'only above')
  const union = new Union()
  type Layer = Parameters<typeof union.use>[0]
  return { union: union.use(nodeFs as unknown as Layer).use(fs as unknown as Layer), base }
}

it('reads through to what is below', async () => {
  const { union, base } = await unionOf()
  expect(union.readFileSync(join(base, 'below'), 'utf8')).toBe('from below')
  expect(union.readFileSync(join(base, 'both'), 'utf8')).toBe('from above')
  expect(await union.promises.readFile(join(base, 'below'), 'utf8')).toBe('from below')
  expect(await union.promises.readFile(join(base, 'above'), 'utf8')).toBe('only above')
  expect(await promisify(union.readFile)(join(base, 'above'), 'utf8')).toBe('only above')
  expect(union.readdirSync(base)).toEqual(['above', 'below', 'both'])
  expect(await union.promises.readdir(base)).toEqual(['above', 'below', 'both'])
  expect(await promisify(union.readdir)(base)).toEqual(['above', 'below', 'both'])
  expect(union.existsSync(join(base, 'none'))).toBe(false)
  expect(await text(union.createReadStream(join(base, 'both')))).toBe('from above')
  await expect(union.promises.stat(join(base, 'none'))).rejects.toMatchObject({ code: 'ENOENT' })
})

it('writes to ours', async () => {
  const { union, base } = await unionOf()
  await union.promises.writeFile(join(base, 'below'), 'hidden now')
  union.mkdirSync(join(base, 'd'))
  await new Promise<void>((done, fail) => {
    const stream = union.createWriteStream(join(base, 'd/f'))
    stream.once('error', fail)
    stream.end('streamed', done)
  })
  expect(nodeFs.readFileSync(join(base, 'below'), 'utf8')).toBe('from below')
  expect(nodeFs.existsSync(join(base, 'd'))).toBe(false)
  const again = await place.reopen()
  expect(await again.read(join(base, 'below'), 'utf8')).toBe('hidden now')
  expect(await again.read(join(base, 'd/f'), 'utf8')).toBe('streamed')
})
