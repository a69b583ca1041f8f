/** `dotdo sql`: SQL over hot and cold rows of a running server: one query, a script, or a shell. */
import { Failure } from '@dotdo/core/errors'
import { type Command, Option } from 'commander'
import type { CliHost } from './index.ts'
import { addServerOptions, type ServerOptions } from './server.ts'
import { runShell } from './shell.ts'
import { type OutputFormat, outputFormats } from './sql-output.ts'
import { outputTo, type RunOptions, runStatement, withPlace } from './sql-run.ts'
import { cutStatements, isBlank } from './sql-statements.ts'

const help = `
Names without a database are of --database; others are written database.collection:

  dotdo sql "select type, count(*) from default.keys group by type"
  dotdo sql "select * from keys where key = $1" --param user:1
  dotdo sql "select count(*) from keys" --as-of 2026-11-21T10:00:00Z
  dotdo sql --format csv < report.sql > report.csv

Without SQL it opens a shell; \\help there tells the rest. Timing, and what was read, goes to standard error.
`

interface SqlOptions extends ServerOptions {
  readonly database: string
  readonly format: OutputFormat
  readonly json?: true
  readonly explain?: true
  readonly asOf?: string
  readonly param?: readonly string[]
  readonly timing: boolean
}

/** Add the command. */
export function addSql(program: Command, host: CliHost): void {
  const command = program.command('sql').description('Query hot and cold rows with SQL; a shell without a query.')
  command.argument('[sql]', 'the query; `-` reads statements from standard input')
  command
    .addOption(new Option('--database <name>', 'where names without a database are').default('default'))
    .addOption(new Option('--format <format>', 'how results are written').choices(outputFormats).default('table'))
    .addOption(new Option('--json', 'the same as --format json'))
    .addOption(new Option('--explain', 'say how it would be run'))
    .addOption(new Option('--as-of <when>', 'read the past: a time, the id of a snapshot, a tag or a branch'))
    .addOption(new Option('--param <value...>', 'values of $1, $2, ...: JSON scalars, or text'))
    .addOption(new Option('--no-timing', 'do not say what it cost'))
  addServerOptions(command).addHelpText('after', help)
  command.action(async (sql: string | undefined, options: SqlOptions) => {
    host.exit(await run(sql, options))
  })
}

/** Read a parameter: a number, true, false or null as JSON writes them, else text; quotes make text of anything. */
function paramOf(text: string): string | number | boolean | null {
  if (!/^(-?\d+(\.\d+)?([eE][+-]?\d+)?|true|false|null|".*")$/s.test(text)) return text
  try {
    const value = JSON.parse(text) as string | number | boolean | null
    // A number that JavaScript would round stays the text that it is.
    return typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value) ? text : value
  } catch {
    return text
  }
}

function optionsOf({ url, password, json, explain, asOf, param, ...rest }: SqlOptions): RunOptions {
  const server = { ...(url !== undefined && { url }), ...(password !== undefined && { password }) }
  return {
    ...rest,
    server,
    format: json ? 'json' : rest.format,
    out: outputTo(process.stdout),
    notes: outputTo(process.stderr),
    ...(explain && { explain }),
    ...(asOf !== undefined && { asOf }),
    ...(param && { params: param.map(paramOf) }),
  }
}

async function readInput(): Promise<string> {
  const pieces: Buffer[] = []
  for await (const piece of process.stdin) pieces.push(piece as Buffer)
  return Buffer.concat(pieces).toString()
}

async function run(sql: string | undefined, given: SqlOptions): Promise<number> {
  const options = optionsOf(given)
  // Whoever reads has enough, as `head` does: that is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))
  if (sql === undefined && process.stdin.isTTY) {
    return runShell({ input: process.stdin, output: process.stdout, options })
  }
  const isScript = sql === undefined || sql === '-'
  const { whole, rest } = cutStatements(isScript ? await readInput() : sql)
  const statements = isBlank(rest) ? whole : [...whole, rest.trim()]
  if (statements.length === 0) throw new Failure('invalid', 'there is no SQL to run')
  for (const statement of statements) {
    await runStatement(statement, options).catch((error) => {
      throw error instanceof Failure ? withPlace(error) : error
    })
  }
  return 0
}
