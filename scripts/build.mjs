/** Build what Node and workerd run without the sources: dotdo/dist, and each package's dist.
 *  Does nothing when no source has changed since the last build.
 *
 *    node scripts/build.mjs            build if needed
 *    node scripts/build.mjs --types    declarations too, for publishing */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import { bundle, root } from './bundle.mjs'

const stampPath = join(root, 'node_modules/.cache/dotdo/build.txt')
const readJson = (path) => JSON.parse(readFileSync(join(root, path), 'utf8'))
const workspaces = () => readJson('package.json').workspaces

/** What `dotdo` is made of. */
const programs = [
  { kind: 'programs', entries: { main: 'dotdo/main.ts', thread: 'dotdo/thread.ts' } },
  { kind: 'worker', entries: { worker: 'dotdo/worker.ts' } },
]

/** Libraries that our packages import by a name of their own (`imports` of package.json), as no other copy will do. */
const libraries = [{ folder: 'compat/redis', name: 'node-redis-library', source: 'seamed:redis' }]

/** List the sources that a build reads. */
function* sourceFiles(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.name === 'node_modules' || entry.name === 'dist') continue
    const path = join(folder, entry.name)
    if (entry.isDirectory()) yield* sourceFiles(path)
    else if (!/\.test\.ts$|\.md$/.test(entry.name)) yield path
  }
}

/** Sum up names, sizes and times of everything a build depends on. */
function fingerprint() {
  const hash = createHash('sha256')
  const folders = [...workspaces(), 'scripts'].map((name) => join(root, name)).filter(existsSync)
  const files = [join(root, 'package-lock.json'), ...folders.flatMap((folder) => [...sourceFiles(folder)])]
  for (const path of files.sort()) {
    const { size, mtimeMs } = statSync(path)
    hash.update(`${relative(root, path)} ${size} ${mtimeMs}\n`)
  }
  return hash.digest('hex')
}

/** Read from a package's exports which files are built from which sources.
 *  @returns output name to source, relative to the root */
function packageEntries(folder) {
  const entries = {}
  for (const { source, default: built } of Object.values(readJson(`${folder}/package.json`).exports ?? {})) {
    if (!existsSync(join(root, folder, source))) continue
    entries[built.replace(/^\.\/dist\//, '').replace(/\.js$/, '')] = join(folder, source)
  }
  return entries
}

/** List every output with what makes it. */
function plan() {
  const tasks = []
  for (const folder of workspaces()) {
    const entries = packageEntries(folder)
    if (Object.keys(entries).length > 0) tasks.push({ kind: 'package', entries, outdir: join(root, folder, 'dist') })
  }
  for (const { folder, name, source } of libraries) {
    tasks.push({ kind: 'seamed', entries: { [name]: source }, outdir: join(root, folder, 'dist') })
  }
  for (const program of programs) tasks.push({ ...program, outdir: join(root, 'dotdo/dist') })
  return tasks
}

const outputs = (task) => Object.keys(task.entries).map((name) => join(task.outdir, `${name}.js`))

/** Whether every output is there and newer than what it is made of. */
function isFresh(tasks, now) {
  return existsSync(stampPath) && readFileSync(stampPath, 'utf8') === now && tasks.flatMap(outputs).every(existsSync)
}

/** Build everything that is out of date.
 *  @returns how many outputs were written
 *  @throws every error, after building what can be built */
export async function buildAll() {
  const tasks = plan()
  const now = fingerprint()
  if (isFresh(tasks, now)) return 0
  // Should a bundle fail, the next run must not take the rest for a whole build.
  rmSync(stampPath, { force: true })
  const built = []
  const errors = []
  for (const { kind, entries, outdir } of tasks) {
    await bundle(kind, entries, outdir).then(
      (paths) => built.push(...paths),
      (error) => errors.push(error.message),
    )
  }
  if (errors.length > 0) throw new Error(errors.join('\n'))
  const main = join(root, 'dotdo/dist/main.js')
  if (existsSync(main)) chmodSync(main, 0o755)
  mkdirSync(join(stampPath, '..'), { recursive: true })
  writeFileSync(stampPath, now)
  return built.length
}

/** Write each package's declarations to its dist/types. */
function buildTypes() {
  const outdir = join(root, 'node_modules/.cache/dotdo/types')
  rmSync(outdir, { recursive: true, force: true })
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const options = ['--noEmit', 'false', '--declaration', '--emitDeclarationOnly', '--outDir', outdir]
  const { status } = spawnSync(process.execPath, [tsc, '-p', root, ...options], { stdio: 'inherit' })
  if (status !== 0) process.exit(1)
  for (const folder of workspaces()) {
    const from = join(outdir, folder)
    if (existsSync(from)) cpSync(from, join(root, folder, 'dist/types'), { recursive: true })
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const started = performance.now()
  const count = await buildAll().catch((error) => {
    console.error(error.message)
    process.exit(1)
  })
  if (count > 0) console.log(`built ${count} files in ${Math.round(performance.now() - started)} ms`)
  if (process.argv.includes('--types')) buildTypes()
}
