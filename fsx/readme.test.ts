/** The snippet of README.md runs, and prints what it says. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { temporaryFolder } from '../core/host/node/testing.ts'

const readme = readFileSync(fileURLToPath(new URL('README.md', import.meta.url)), 'utf8')
const [, snippet = ''] = /```js\n([\s\S]*?)```/.exec(readme) ?? []

test('the snippet about tiers runs', async () => {
  const { path, remove } = temporaryFolder()
  const printed: unknown[] = []
  const tiers = readFileSync(fileURLToPath(new URL('TIERS.md', import.meta.url)), 'utf8')
  const code = (/```js\n([\s\S]*?)```/.exec(tiers)?.[1] ?? '')
    .replace(/^import (\{.*\}) from ('.*')$/gm, 'const $1 = await load($2)')
    .replace("'./data'", JSON.stringify(`${path}/data`))
    .replace("'./cold'", JSON.stringify(`${path}/cold`))
  const load = (name: string) => import(/* @vite-ignore */ name)
  // biome-ignore lint/security/noGlobalEval: what is run is this package's own TIERS.md
  const run = eval(`async (load, console) => {${code}}`) as (...all: unknown[]) => Promise<void>
  await run(load, { log: (value: unknown) => printed.push(value) })
  expect(printed).toEqual([{ olderThanMs: 2_592_000_000, largerThanBytes: 1_048_576, keepMs: 86_400_000 }])
  remove()
})

test('the snippet runs', async () => {
  const { path, remove } = temporaryFolder()
  const printed: unknown[] = []
  const code = snippet
    .replace(/^import (\{.*\}) from ('.*')$/gm, 'const $1 = await load($2)')
    .replace('fsx()', `fsx(${JSON.stringify(path)})`)
  const load = (name: string) => import(/* @vite-ignore */ name)
  // biome-ignore lint/security/noGlobalEval: what is run is this package's own README
  const run = eval(`async (load, console) => {${code}}`) as (...all: unknown[]) => Promise<void>
  await run(load, { log: (value: unknown) => printed.push(value) })
  expect(printed).toEqual(['# Today', ['notes/today.md'], ['today.md']])
  remove()
})
