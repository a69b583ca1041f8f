/** Make a fresh clone ready to run: install the dependencies when they are missing or older than package-lock.json.
 *  Plain Node, no dependencies: this runs before there are any. */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const lock = join(root, 'package-lock.json')
const installed = join(root, 'node_modules/.package-lock.json')
const stamp = join(root, 'node_modules/.cache/dotdo/ready.txt')

/** Stop with a sentence on a Node that is too old. */
function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major > 20 || (major === 20 && minor >= 19)) return
  console.error(`dotdo needs Node 20.19 or newer; this is ${process.version}`)
  process.exit(1)
}

/** Whether node_modules is what package-lock.json says: installed after it was written, or from the same text. */
function isReady(lockHash) {
  if (!existsSync(installed)) return false
  if (statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return true
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === lockHash
}

function install() {
  console.log('installing dependencies: npm ci (once; a minute or two where better-sqlite3 must be compiled)')
  const options = ['ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund']
  const { status, error } = spawnSync('npm', options, {
    cwd: root,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  })
  if (status === 0) return
  console.error(`npm ci failed${error ? `: ${error.message}` : ''}`)
  process.exit(status ?? 1)
}

checkNode()
const lockHash = createHash('sha256').update(readFileSync(lock)).digest('hex')
if (!isReady(lockHash)) {
  install()
  mkdirSync(dirname(stamp), { recursive: true })
  writeFileSync(stamp, lockHash)
}
