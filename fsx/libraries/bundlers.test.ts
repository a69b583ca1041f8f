/** esbuild and Vite build from sources that are in a filesystem of ours, and write what they have built there. */

import { dirname, extname, resolve } from 'node:path'
import { createContext, runInContext } from 'node:vm'
import { type BuildOptions, build as esbuild, type Loader, type Plugin } from 'esbuild'
import { type Plugin as VitePlugin, build as vite } from 'vite'
import { expect, it } from 'vitest'
import type { FileSystem } from '../index.ts'
import { placeForEach } from './place.testing.ts'

const place = placeForEach()
const sources = [
  ['/src/main.ts', "import { double } from './math'\nimport data from './data.json'\nout.push(double(data.n))\n"],
  ['/src/math.ts', 'export const double = (n: number): number => n * 2\n'],
  ['/src/data.json', '{ "n": 21 }'],
] as const

/** @returns the file that an import means: with the endings that may be left out */
async function fileOf(fs: FileSystem, importer: string, specifier: string): Promise<string | undefined> {
  const path = resolve(importer === '' ? '/' : dirname(importer), specifier)
  for (const ending of ['', '.ts', '.js', '/index.ts']) {
    const stats = await fs.promises.stat(path + ending).catch(() => undefined)
    if (stats?.isFile()) return path + ending
  }
  return undefined
}

const esbuildPlugin = (fs: FileSystem): Plugin => ({
  name: 'fsx',
  setup(build) {
    build.onResolve({ filter: /.*/ }, async ({ importer, path }) => {
      const found = await fileOf(fs, importer, path)
      return found === undefined ? { errors: [{ text: `${path} is not there` }] } : { path: found, namespace: 'fsx' }
    })
    build.onLoad({ filter: /.*/, namespace: 'fsx' }, async ({ path }) => {
      return { contents: await fs.promises.readFile(path), loader: extname(path).slice(1) as Loader }
    })
  },
})

const vitePlugin = (fs: FileSystem): VitePlugin => ({
  name: 'fsx',
  enforce: 'pre',
  resolveId: async (specifier, importer = '') => (await fileOf(fs, importer, specifier)) ?? null,
  load: (id) => fs.promises.readFile(id, 'utf8'),
})

/** Run a bundle.
 *  @returns what it put out */
function run(code: string): unknown[] {
  const out: unknown[] = []
  runInContext(code, createContext({ out }))
  return out
}

it('esbuild', async () => {
  const { fs } = place
  await fs.mkdir('/src')
  await fs.writeAll(sources)
  const options = {
    bundle: true,
    write: false,
    outdir: '/out',
    entryPoints: ['/src/main.ts'],
    logLevel: 'silent',
  } satisfies BuildOptions as BuildOptions & { write: false }
  const { outputFiles } = await esbuild({ ...options, sourcemap: true, plugins: [esbuildPlugin(fs)] })
  for (const { path, contents } of outputFiles) await fs.write(path, contents)
  const again = await place.reopen()
  expect(await again.list('/out')).toEqual(['main.js', 'main.js.map'])
  expect(run(await again.read('/out/main.js', 'utf8'))).toEqual([42])
  await again.remove('/src/math.ts')
  await expect(esbuild({ ...options, plugins: [esbuildPlugin(again)] })).rejects.toThrow('./math is not there')
})

it('Vite', async () => {
  const { fs } = place
  await fs.mkdir('/src')
  await fs.writeAll(sources)
  const result = await vite({
    configFile: false,
    logLevel: 'silent',
    plugins: [vitePlugin(fs)],
    build: { write: false, minify: false, rollupOptions: { input: '/src/main.ts', output: { format: 'iife' } } },
  })
  const outputs = [result].flat().flatMap((one) => ('output' in one ? one.output : []))
  for (const one of outputs) if (one.type === 'chunk') await fs.write(`/out/${one.fileName}`, one.code)
  const again = await place.reopen()
  const [name = ''] = await again.glob('**/*.js', { cwd: '/out' })
  expect(run(await again.read(`/out/${name}`, 'utf8'))).toEqual([42])
})
