/** `dotdo status`: how a running server is, asked over HTTP. */
import { type Command, Option } from 'commander'
import type { DatabaseSummary } from '../http/databases.ts'
import type { Health } from '../http/health.ts'
import type { CliHost } from './index.ts'
import { addServerOptions, ask, baseOf, type ServerOptions } from './server.ts'
import { alignRows, showDuration } from './table.ts'

interface StatusOptions extends ServerOptions {
  json?: true
}

interface Page {
  databases: DatabaseSummary[]
  next: string | null
}

/** Add the command. */
export function addStatus(program: Command, host: CliHost): void {
  const command = program.command('status').description('Show how a running server is, and its databases.')
  addServerOptions(command).addOption(new Option('--json', 'one JSON object'))
  command.action(async ({ json, ...server }: StatusOptions) => {
    // A server that is not well says so in the body, with 503.
    const health = await ask<Health>(server, 'health', { also: 503 })
    const { databases, next } = await ask<Page>(server, 'databases')
    const { origin } = baseOf(server)
    const text = json ? JSON.stringify({ health, databases, next }) : show(origin, health, { databases, next })
    process.stdout.write(`${text}\n`)
    host.exit(health.ok ? 0 : 1)
  })
}

function show(url: string, { ok, version, uptimeMs, checks }: Health, { databases, next }: Page): string {
  const checked = Object.entries(checks).map(([name, check]) => {
    return [name, check.ok ? 'ok' : `FAILED (${check.code})`, `${check.durationMs} ms`]
  })
  const listed = databases.map(({ name, shards, strategy, epoch, created }) => {
    return [name, String(shards), strategy, String(epoch), created]
  })
  const lines = [
    `dotdo ${version} at ${url}: ${ok ? 'ok' : 'NOT WELL'}, up ${showDuration(uptimeMs)}`,
    ...alignRows(checked),
    '',
  ]
  if (listed.length === 0) lines.push('No databases yet; the first use makes one.')
  else lines.push(...alignRows([['database', 'shards', 'strategy', 'epoch', 'created'], ...listed]))
  if (next !== null) lines.push(`  and more, after ${next}`)
  return lines.join('\n')
}
