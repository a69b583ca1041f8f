import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { lockFolder } from './lock.ts'
import { temporaryFolder } from './testing.ts'

let folder: ReturnType<typeof temporaryFolder>
beforeEach(() => {
  folder = temporaryFolder()
})
afterEach(() => folder.remove())

test('a folder is held once in a process, until it is given up', () => {
  const unlock = lockFolder(folder.path)
  expect(() => lockFolder(folder.path)).toThrow(expect.objectContaining({ code: 'conflict' }))
  unlock()
  lockFolder(folder.path)()
})

test('a folder that another process holds is refused, and free when that was killed', async () => {
  const root = fileURLToPath(new URL('../../../', import.meta.url))
  const built = join(root, 'node_modules/.cache/dotdo/lock-holder.mjs')
  mkdirSync(join(root, 'node_modules/.cache/dotdo'), { recursive: true })
  await build({
    entryPoints: [fileURLToPath(new URL('lock.ts', import.meta.url))],
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile: built,
  })
  const script = join(folder.path, 'hold.mjs')
  const url = pathToFileURL(built).href
  writeFileSync(
    script,
    `import { lockFolder } from '${url}'
    lockFolder(process.argv[2])
    process.send('held')
    setInterval(() => {}, 1000)`,
  )
  const child = fork(script, [folder.path])
  await once(child, 'message')
  expect(() => lockFolder(folder.path)).toThrow(expect.objectContaining({ code: 'conflict' }))
  child.kill('SIGKILL')
  await once(child, 'exit')
  lockFolder(folder.path)()
})
