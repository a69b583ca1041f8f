import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { commandTable } from './commands/table.ts'
import type { Row } from './session.ts'

const path = fileURLToPath(new URL('README.md', import.meta.url))
const readme = readFileSync(path, 'utf8')

/** Say how a command works over several shards. */
function overShards({ scatter, keys, findKeys, mode }: Row): string {
  if (mode === 'session') return 'connection'
  if (scatter) return scatter.kind === 'cursor' ? 'one after the other' : scatter.kind
  return keys || findKeys ? 'one slot' : 'one shard only'
}

function supportTable(): string {
  const containers = new Set([...commandTable.keys()].flatMap((name) => (name.includes('|') ? name.split('|', 1) : [])))
  const rows = [...commandTable.values()].filter(({ name, session }) => session || !containers.has(name))
  rows.sort((a, b) => (a.group === b.group ? (a.name < b.name ? -1 : 1) : a.group < b.group ? -1 : 1))
  const lines = rows.map((row) => {
    const name = row.name.replace('|', ' ').toUpperCase()
    return `| ${row.group} | \`${name}\` | ${row.since} | ${overShards(row)} | ${row.summary.replaceAll('|', '\\|')} |`
  })
  return ['| group | command | since | over shards | what it does |', '|---|---|---|---|---|', ...lines].join('\n')
}

test('the table of commands is that of the code', async () => {
  const [before = '', after = ''] = readme.split(/(?<=<!-- commands: .*-->\n)[\s\S]*(?=<!-- \/commands -->)/)
  await expect(`${before}${supportTable()}\n${after}`).toMatchFileSnapshot(path)
})

/** A snippet with its imports as calls. */
function runnable(snippet: string, folder: string): string {
  return snippet
    .replace(/^import (\{.*\}) from ('.*')$/gm, 'const $1 = await load($2)')
    .replace(/^import (\w+) from ('.*')$/gm, 'const { default: $1 } = await load($2)')
    .replaceAll('./data', folder)
}

const snippets = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, snippet = '']) => snippet)

test.each(snippets)('snippet %$ runs', async (snippet) => {
  const folder = mkdtempSync(join(tmpdir(), 'dotdo-readme-'))
  const printed: string[] = []
  const log = (...values: unknown[]) => printed.push(values.join(' '))
  const load = (name: string) => import(/* @vite-ignore */ name)
  // biome-ignore lint/security/noGlobalEval: what is run is this package's own README
  const run = eval(`async (load, console) => {${runnable(snippet, folder)}}`) as (...all: unknown[]) => Promise<void>
  await run(load, { log })
  expect(printed).toEqual([...snippet.matchAll(/^console\.log\(.*\) \/\/ (.*)$/gm)].map(([, said]) => said))
  expect(printed).not.toEqual([])
  rmSync(folder, { recursive: true })
})
