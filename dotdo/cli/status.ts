/** `dotdo status`: how a running server is, asked over HTTP. */
import { Failure } from '@dotdo/core/errors'
import { type Command, Option } from 'commander'
import type { DatabaseSummary } from '../http/databases.ts'
import type { Health } from '../http/health.ts'
import type { CliHost } from './index.ts'

const answerMsMax = 10_000

interface StatusOptions {
  url: string
  password?: string
  json?: true
}

interface Page {
  databases: DatabaseSummary[]
  next: string | null
}

/** Add the command. */
export function addStatus(program: Command, host: CliHost): void {
  const command = program.command('status').description('Show how a running server is, and its databases.')
  command.addOption(new Option('--url <url>', 'the server').env('DOTDO_URL').default('http://127.0.0.1:6480'))
  command.addOption(new Option('--password <text>', 'its password').env('DOTDO_PASSWORD'))
  command.addOption(new Option('--json', 'one JSON object'))
  command.action(async ({ url, password, json }: StatusOptions) => {
    const health = await ask<Health>(url, 'health', password)
    const { databases, next } = await ask<Page>(url, 'databases', password)
    const text = json ? JSON.stringify({ health, databases, next }) : show(url, health, { databases, next })
    process.stdout.write(`${text}\n`)
    host.exit(health.ok ? 0 : 1)
  })
}

function baseOf(url: string): URL {
  if (URL.canParse(url) && /^https?:/.test(url)) return new URL(url.endsWith('/') ? url : `${url}/`)
  throw new Failure('invalid', `--url: ${url} is not the URL of an HTTP server, such as http://127.0.0.1:6480`)
}

async function ask<T>(url: string, path: string, password: string | undefined): Promise<T> {
  const headers: Record<string, string> = password === undefined ? {} : { Authorization: `Bearer ${password}` }
  const target = new URL(path, baseOf(url))
  let response: Response
  let body: unknown
  try {
    response = await fetch(target, { headers, signal: AbortSignal.timeout(answerMsMax) })
    body = await response.json()
  } catch (error) {
    const { cause, message } = error as Error & { cause?: { code?: string; message?: string } }
    const why = cause?.code ?? cause?.message ?? message
    throw new Failure('unavailable', `no dotdo answers at ${target.origin}: ${why}`)
  }
  // A server that is not well says so in the body, with 503.
  if (response.ok || path === 'health') return body as T
  const said = (body as { error?: { message?: string } }).error?.message ?? `status ${response.status}`
  const hint = response.status === 401 ? '; give it with DOTDO_PASSWORD or --password' : ''
  throw new Failure('unavailable', `${target.origin} answers: ${said}${hint}`)
}

function duration(ms: number): string {
  const units = [
    [86_400_000, 'days'],
    [3_600_000, 'hours'],
    [60_000, 'minutes'],
    [1_000, 'seconds'],
  ] as const
  const [size, unit] = units.find(([size]) => ms >= 2 * size) ?? [1, 'ms']
  return `${Math.floor(ms / size)} ${unit}`
}

/** Align columns; numbers to the right would need no more than this. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
  return rows.map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd())
}

function show(url: string, { ok, version, uptimeMs, checks }: Health, { databases, next }: Page): string {
  const checked = Object.entries(checks).map(([name, check]) => {
    return [name, check.ok ? 'ok' : `FAILED (${check.code})`, `${check.durationMs} ms`]
  })
  const listed = databases.map(({ name, shards, strategy, epoch, created }) => {
    return [name, String(shards), strategy, String(epoch), created]
  })
  const lines = [
    `dotdo ${version} at ${url}: ${ok ? 'ok' : 'NOT WELL'}, up ${duration(uptimeMs)}`,
    ...table(checked),
    '',
  ]
  if (listed.length === 0) lines.push('No databases yet; the first use makes one.')
  else lines.push(...table([['database', 'shards', 'strategy', 'epoch', 'created'], ...listed]))
  if (next !== null) lines.push(`  and more, after ${next}`)
  return lines.join('\n')
}
