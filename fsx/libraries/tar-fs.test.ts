/** tar-fs, unchanged, packs and extracts a filesystem of ours. */
import { execFileSync } from 'node:child_process'
import nodeFs from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { type ExtractOptions, extract, type PackOptions, pack } from 'tar-fs'
import { expect, it } from 'vitest'
import type { FileSystem } from '../index.ts'
import { placeForEach } from './place.testing.ts'

const place = placeForEach()
const nodeOf = (fs: FileSystem) => fs as unknown as typeof nodeFs
/** What its types leave out: which filesystem. */
const on = (fs: FileSystem) => ({ fs: nodeOf(fs) }) as PackOptions & ExtractOptions

/** What a tree is, but for times of directories, which are not the archive's. */
function shown(fs: typeof nodeFs, base: string): unknown[] {
  return (fs.readdirSync(base, { recursive: true }) as string[]).sort().map((name) => {
    const path = `${base}/${name}`
    const stats = fs.lstatSync(path)
    const { mode, nlink, size, mtimeMs } = stats
    if (stats.isDirectory()) return [name, mode]
    if (stats.isSymbolicLink()) return [name, mode, fs.readlinkSync(path)]
    return [name, mode, nlink, size, Math.floor(mtimeMs / 1000), fs.readFileSync(path).toString('base64')]
  })
}

it('packs what GNU tar lists and extracts', async () => {
  const { fs, folder } = place
  await fs.write('/a/b/small', 'x')
  await fs.write('/a/large', Buffer.alloc(300_000, 'large '))
  await fs.write('/a/empty', '')
  await fs.promises.chmod('/a/b/small', 0o4750)
  await fs.promises.symlink('b/small', '/a/link')
  await fs.promises.utimes('/a/large', 1_000_000, 1_000_000)
  const archive = join(folder, 'archive.tar')
  await pipeline(pack('/a', on(fs)), nodeFs.createWriteStream(archive))
  execFileSync('tar', ['-xpf', archive, '-C', folder])
  nodeFs.unlinkSync(archive)
  expect(shown(nodeFs, folder)).toEqual(shown(nodeOf(fs), '/a'))
})

it('extracts what GNU tar has packed', async () => {
  const { fs, folder } = place
  nodeFs.mkdirSync(join(folder, 'd/e'), { recursive: true })
  nodeFs.writeFileSync(join(folder, 'd/f'), Buffer.alloc(200_000, 'f '))
  nodeFs.linkSync(join(folder, 'd/f'), join(folder, 'd/same'))
  nodeFs.symlinkSync('../f', join(folder, 'd/e/link'))
  nodeFs.chmodSync(join(folder, 'd/e'), 0o700)
  nodeFs.utimesSync(join(folder, 'd/f'), 5_000_000, 5_000_000)
  execFileSync('tar', ['-cf', 'archive.tar', 'd'], { cwd: folder })
  await pipeline(nodeFs.createReadStream(join(folder, 'archive.tar')), extract('/into/here', on(fs)))
  const again = await place.reopen()
  expect(shown(nodeOf(again), '/into/here/d')).toEqual(shown(nodeFs, join(folder, 'd')))
})
