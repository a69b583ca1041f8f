import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { commandTable } from './commands/table.ts'
import Redis from './index.ts'
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

test('the first snippet runs', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'dotdo-readme-'))
  const snippet = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
  const code = snippet.replace("import Redis from '@dotdo/redis'", '').replace('./data', folder)
  const printed: unknown[] = []
  // biome-ignore lint/security/noGlobalEval: what is run is this package's own README
  const run = eval(`async (Redis, console) => {${code}}`) as (redis: typeof Redis, console: unknown) => Promise<void>
  await run(Redis, { log: (text: unknown) => printed.push(text) })
  expect(printed).toEqual(['hello'])
  rmSync(folder, { recursive: true })
})
