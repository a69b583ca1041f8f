/** Holds the front page: its snippet runs as a newcomer would run it, and its links lead somewhere. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { temporaryFolder } from '../core/host/node/testing.ts'

const root = fileURLToPath(new URL('../', import.meta.url))
const page = readFileSync(join(root, 'README.md'), 'utf8')

const snippets = [...page.matchAll(/```js\n([\s\S]*?)```/g)].map(([, snippet]) => snippet as string)

test.each(snippets.map((snippet, index) => [index + 1, snippet] as const))(
  'snippet %i of the README prints what it says, with the built packages',
  (_, snippet) => {
    // Inside the repository, so that our packages are found; run elsewhere, so that its data goes away.
    const script = join(root, 'node_modules/.cache/dotdo/readme-snippet.mjs')
    mkdirSync(dirname(script), { recursive: true })
    writeFileSync(script, snippet)
    const folder = temporaryFolder()
    const { stdout, stderr } = spawnSync(process.execPath, [script], { cwd: folder.path, encoding: 'utf8' })
    folder.remove()
    rmSync(script)
    const said = [...snippet.matchAll(/\/\/ → (.*)$/gm)].map(([, text]) => text)
    expect(stderr).toBe('')
    expect(stdout.trim().split('\n')).toEqual(said)
  },
)

test('links in the pages lead to files that exist', () => {
  const pages = ['README.md', 'ARCHITECTURE.md', 'CHANGELOG.md', 'compat/redis/README.md', 'dotdo/README.md']
  for (const name of readdirSync(join(root, 'docs'))) pages.push(`docs/${name}`)
  const broken = pages.flatMap((name) => {
    const text = readFileSync(join(root, name), 'utf8')
    const targets = [...text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)].map(([, target]) => target as string)
    return targets.filter((target) => !existsSync(join(root, dirname(name), target))).map((target) => [name, target])
  })
  expect(broken).toEqual([])
})
