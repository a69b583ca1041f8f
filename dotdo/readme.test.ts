/** Holds dotdo/README.md: its table says what the settings are, and its first example runs. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { temporaryFolder } from '../core/host/node/testing.ts'
import { type Setting, settings } from './serve/settings.ts'
import { mainPath } from './testing.ts'

const readme = readFileSync(new URL('README.md', import.meta.url), 'utf8')
const has = (command: string) => spawnSync('which', [command]).status === 0

function row({ name, flag, env, fallback, help }: Setting): string {
  const shown = fallback === undefined ? 'none' : `\`${fallback}\``
  return `| \`${name}\` | \`${flag}\` | \`${env}\` | ${shown} | ${help} |`
}

it('lists every setting as it is', () => {
  const table = /<!-- settings: .*-->\n.*\n.*\n([\s\S]*?)\n<!-- \/settings -->/.exec(readme)?.[1]
  expect(table?.split('\n')).toEqual(settings.map(row))
})

async function freePort(): Promise<string> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return String(port)
}

// The example uses programs that not every machine has.
it.skipIf(!has('redis-cli') || !has('curl'))('has a first example that runs', async () => {
  const folder = temporaryFolder()
  const [, first = ''] = /```sh\n([\s\S]*?)```/.exec(readme) ?? []
  const example = first
    .replaceAll('6379', await freePort())
    .replaceAll('6480', await freePort())
    // Whoever types it waits for the server to be ready; a script must do so too.
    .replace(/&\n/, '>log &\nserver=$!\nuntil [ -f ready.json ] || ! kill -0 $server; do sleep 0.05; done\n')
  const dotdo = `dotdo() { exec "${process.execPath}" "${mainPath}" "$@"; }`
  const script = `set -e\n${dotdo}\n${example.replace(/^dotdo (status|sql).*$/gm, '($&)')}kill $server\nwait $server\n`
  const env = { PATH: process.env.PATH, DOTDO_READY_FILE: join(folder.path, 'ready.json') }
  const { status, stdout, stderr } = spawnSync('sh', ['-c', script], { cwd: folder.path, env, encoding: 'utf8' })
  folder.remove()
  expect(stderr).toMatch(/^1 row in /)
  expect(stdout).toMatch(/^OK\n\{"name":"default",.*\}dotdo \d\S* at http:\S+: ok, up /)
  expect(stdout).toMatch(/\n greeting │ hello\n$/)
  expect(status).toBe(0)
})
