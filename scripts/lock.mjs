/** Complete package-lock.json after an `npm install`.
 *
 *  npm leaves out the binaries of platforms that its registry does not offer (a mirror with Linux only, say), and
 *  `npm ci` then refuses the lock, there and on every other platform. Each such binary is an optional dependency of
 *  one exact version, so its entry can be written from its parent's; npm adds the integrity where it can get it.
 *
 *    node scripts/lock.mjs [FILE]       complete the lock
 *    node scripts/lock.mjs --check      fail when it is incomplete */
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

const systems = /\b(aix|android|darwin|freebsd|linux|netbsd|openbsd|openharmony|sunos|win32)/
const processors = /\b(arm64|arm|ia32|loong64|mips64el|ppc64|riscv64|s390x|wasm32|x64)\b/

/** Read the platform of a binary from its package's name: @rollup/rollup-linux-arm64-musl. */
function platformOf(name) {
  const plain = name.split('/').at(-1).replace('windows', 'win32').replace(/-64$/, '-x64')
  const [system, processor] = [systems.exec(plain)?.[1], processors.exec(plain)?.[1]]
  const libc = /musl/.test(plain) ? 'musl' : /gnu/.test(plain) && system === 'linux' ? 'glibc' : undefined
  return { ...(processor && { cpu: [processor] }), ...(libc && { libc: [libc] }), ...(system && { os: [system] }) }
}

/** Whether npm finds `name` from the package at `path`: in its own node_modules, or in one further out. */
function isLocked(packages, path, name) {
  const steps = path.split('/')
  return steps.concat('').some((_, index) => {
    return [...steps.slice(0, steps.length - index), 'node_modules', name].filter(Boolean).join('/') in packages
  })
}

/** List the optional dependencies of exact versions that a lock has no entry for. */
function missing(packages) {
  const found = []
  for (const [path, entry] of Object.entries(packages)) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      if (/^\d/.test(version) && !isLocked(packages, path, name)) found.push({ path, entry, name, version })
    }
  }
  return found
}

const check = process.argv.includes('--check')
const file = process.argv.slice(2).find((one) => !one.startsWith('--')) ?? join(root, 'package-lock.json')
const lock = JSON.parse(readFileSync(file, 'utf8'))
const gaps = missing(lock.packages)
if (check && gaps.length > 0) {
  console.error(`${file} lacks ${gaps.map(({ name }) => name).join(', ')}; run: node scripts/lock.mjs`)
  process.exit(1)
}
for (const { path, entry, name, version } of gaps) {
  // A binary of a nested package (node_modules/a/node_modules/b) stays beside that package.
  const beside = path.includes('/node_modules/') ? path.slice(0, path.lastIndexOf('/node_modules/') + 1) : ''
  const dev = entry.dev ? { dev: true } : {}
  lock.packages[`${beside}node_modules/${name}`] = { version, ...platformOf(name), ...dev, optional: true }
}
if (gaps.length > 0) {
  lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
  writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`)
}
