/** How every bundle of this repository is made.
 *
 *  1. Our own packages (@dotdo/*, dotdo) are bundled from their sources, by the condition `source`.
 *  2. Their dependencies stay imports in bundles for Node; for Workers they are bundled too.
 *  3. An output is written whole and renamed, so that a process starting meanwhile reads the old one or the new one.
 *  4. A library that has no seam for its sockets is bundled by itself, with one put in (kind `seamed`). */
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { createRequire, isBuiltin } from 'node:module'
import { basename, dirname, isAbsolute, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

/** The repository's root, without a slash at the end. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)))

const ours = /^(@dotdo\/|dotdo(\/|$))/

/** Leave every import of another package as it stands. */
const dependenciesStay = {
  name: 'dependencies-stay',
  setup(plugin) {
    plugin.onResolve({ filter: /^[^./]/ }, ({ path, kind }) => {
      if (kind === 'entry-point' || isAbsolute(path) || ours.test(path)) return undefined
      return { path, external: true }
    })
  },
}

/** Leave imports of everything but the package itself, our other packages included: the form that is published. */
const packagesStay = {
  name: 'packages-stay',
  setup(plugin) {
    plugin.onResolve({ filter: /^[^./]/ }, ({ path, kind }) => {
      return kind === 'entry-point' || isAbsolute(path) ? undefined : { path, external: true }
    })
  },
}

/** What a library gets for node:net: a socket of whoever is called by the options, else a real one.
 *  The symbol is compat/redis/clients/node-redis.ts's too. */
const seam = `import net from 'node:net'
const dial = Symbol.for('dotdo.dial')
const createConnection = (options, ...rest) => options?.[dial]?.() ?? net.createConnection(options, ...rest)
module.exports = { ...net, createConnection }`

/** Export every name of a CommonJS package, its built-in modules imported statically and node:net with the seam. */
const seamed = {
  name: 'seamed',
  setup(plugin) {
    const require = createRequire(import.meta.url)
    const inside = (namespace) => (path) => ({ path, namespace })
    plugin.onResolve({ filter: /^seamed:/ }, ({ path }) => inside('seamed')(path.slice('seamed:'.length)))
    plugin.onLoad({ filter: /./, namespace: 'seamed' }, ({ path }) => {
      const names = Object.keys(require(path)).filter((name) => /^[A-Za-z]\w*$/.test(name) && name !== 'default')
      const contents = `import * as library from '${path}'\nexport const { ${names.join(', ')} } = library`
      return { contents, resolveDir: root }
    })
    plugin.onResolve({ filter: /^[a-z@]/ }, ({ path, namespace }) => {
      if (!isBuiltin(path)) return optionalPeers.has(path) ? { path, external: true } : undefined
      return namespace === 'built-in' ? { path, external: true } : inside('built-in')(path.replace(/^node:/, ''))
    })
    plugin.onLoad({ filter: /./, namespace: 'built-in' }, ({ path }) => {
      return { contents: path === 'net' ? seam : `import own from 'node:${path}'\nmodule.exports = own` }
    })
  },
}

/** What libraries load when their users have it. */
const optionalPeers = new Set(['@opentelemetry/api', '@node-rs/xxhash'])

/** Lets a bundled library load its optional peers, and says whose it is. */
const seamedBanner = `/*! node-redis, https://github.com/redis/node-redis, under the MIT License of its authors.
 *  Unchanged, but for node:net: see scripts/bundle.mjs of dotdo. */
import { createRequire as createRequireOfBundle } from 'node:module'
const require = createRequireOfBundle(import.meta.url)`

const node = { platform: 'node', target: 'node20.19', conditions: ['source'] }
const shared = { splitting: true, chunkNames: 'chunk-[hash]' }
const kinds = {
  /** One file that Node runs. */
  node: { ...node, plugins: [dependenciesStay] },
  /** Programs in one folder, sharing their common parts; what they import later is read later. */
  programs: { ...node, plugins: [dependenciesStay], ...shared },
  /** Files of a package, likewise. */
  package: { ...node, plugins: [packagesStay], ...shared },
  /** A library of others with a seam. */
  seamed: {
    platform: 'neutral',
    target: 'node20.19',
    mainFields: ['main'],
    plugins: [seamed],
    banner: { js: seamedBanner },
  },
  /** One file that workerd runs; node:* is there by nodejs_compat. */
  worker: {
    platform: 'browser',
    target: 'es2023',
    conditions: ['source', 'workerd', 'worker'],
    external: ['node:*', 'cloudflare:*'],
  },
}

async function writeWhole(path, contents) {
  await mkdir(dirname(path), { recursive: true })
  const part = `${path}.${process.pid}.part`
  await writeFile(part, contents)
  await rename(part, path)
}

/** Remove the shared parts of earlier builds: their names change with their contents. */
async function dropOldChunks(folder, kept) {
  const old = (await readdir(folder)).filter((name) => name.startsWith('chunk-') && !kept.has(name))
  for (const name of old) await rm(join(folder, name), { force: true })
}

/** Bundle TypeScript to ES modules with source maps.
 *  @param kind node, programs, package, seamed or worker
 *  @param entries output name without `.js` to source, relative to the root; `seamed:` and a package's name for seamed
 *  @returns paths of the outputs
 *  @throws the first errors of esbuild, as one message */
export async function bundle(kind, entries, outdir, extension = '.js') {
  const result = await build({
    ...kinds[kind],
    entryPoints: entries,
    absWorkingDir: root,
    outdir,
    outExtension: { '.js': extension },
    bundle: true,
    format: 'esm',
    sourcemap: 'linked',
    write: false,
    logLevel: 'silent',
  })
  // What is shared first: whoever starts meanwhile finds all that the entry it reads asks for.
  const isShared = ({ path }) => basename(path).startsWith('chunk-')
  const inOrder = result.outputFiles.toSorted((a, b) => isShared(b) - isShared(a))
  for (const { path, contents } of inOrder) await writeWhole(path, contents)
  if (kinds[kind].splitting) await dropOldChunks(outdir, new Set(result.outputFiles.map((file) => basename(file.path))))
  return Object.keys(entries).map((name) => join(outdir, `${name}${extension}`))
}
