/** The SQL shell of `dotdo sql`: statements over several lines up to `;`, history, completion, and commands that begin
 *  with a backslash. Control-C ends the query that runs, or drops what is typed. */
import { createInterface, type Interface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { Failure } from '@dotdo/core/errors'
import type { SqlTable } from '@dotdo/core/tiering/sql'
import { complete, sqlName } from './shell-complete.ts'
import { historyPath, onOneLine, readHistory, writeHistory } from './shell-history.ts'
import { listTables } from './sql-client.ts'
import { type OutputFormat, outputFormats } from './sql-output.ts'
import { explainFailure, outputTo, type RunOptions, runStatement } from './sql-run.ts'
import { cutStatements, isBlank } from './sql-statements.ts'
import { alignRows } from './table.ts'

/** What a shell is made of. */
export interface ShellOptions {
  readonly input: Readable
  readonly output: Writable & { readonly isTTY?: boolean; readonly columns?: number }
  readonly options: RunOptions
  /** Where history is kept; the user's own file when left out. */
  readonly historyFile?: string
}

const greeting = 'Statements end with ; and \\help tells the rest.\n'
const help = `  \\d              tables
  \\d NAME         columns of a table
  \\use DATABASE   where names without a database are
  \\format NAME    ${outputFormats.join(', ')}
  \\timing         say, or do not say, what each query cost
  \\q              leave (also Control-D)
A statement may take several lines; it ends with ;. Tab completes, Control-C ends a query.
`
/** How long tables are remembered for completion. */
const freshMs = 10_000

/** A shell at work. */
class Shell {
  private readonly lines: Interface
  private readonly output: ShellOptions['output']
  private readonly historyFile: string
  private options: RunOptions
  /** Statements, newest first. */
  private entries: string[]
  /** What was typed of a statement that has not ended. */
  private typed = ''
  private running: AbortController | undefined
  private tables: readonly SqlTable[] = []
  private tablesAtMs = 0
  private isOver = false

  constructor({ input, output, options, historyFile = historyPath(process.env) }: ShellOptions) {
    this.output = output
    this.historyFile = historyFile
    this.entries = readHistory(historyFile)
    const out = outputTo(output)
    this.options = { ...options, out, notes: out }
    this.lines = createInterface({
      input,
      output,
      history: [...this.entries],
      historySize: 1_000,
      terminal: output.isTTY === true,
      completer: (line: string, done: (error: null, found: [string[], string]) => void) => {
        void this.vocabulary().then((vocabulary) => done(null, complete(line, vocabulary)))
      },
    })
  }

  /** Read until there is no more. */
  async run(): Promise<number> {
    const { lines } = this
    let busy: Promise<void> = Promise.resolve()
    lines.on('line', (line) => {
      busy = busy.then(() => this.take(line)).finally(() => this.prompt())
    })
    lines.on('SIGINT', () => this.interrupt())
    const ended = new Promise<void>((resolve) => lines.once('close', resolve))
    this.output.write(greeting)
    this.prompt()
    await ended
    // What was typed before the end is still run, unless it said to leave.
    await busy
    return 0
  }

  private prompt(): void {
    if (this.isOver) return
    this.lines.setPrompt(
      this.typed === '' ? `${this.options.database}> ` : `${' '.repeat(this.options.database.length)}- `,
    )
    this.lines.prompt(true)
  }

  private interrupt(): void {
    if (this.running !== undefined) return this.running.abort()
    if (this.typed === '' && this.lines.line === '') this.output.write('\n\\q leaves\n')
    else this.output.write('\n')
    this.typed = ''
    this.lines.write(null, { ctrl: true, name: 'e' })
    this.lines.write(null, { ctrl: true, name: 'u' })
    this.prompt()
  }

  private async take(line: string): Promise<void> {
    if (this.isOver) return
    try {
      if (this.typed === '' && /^\s*\\/.test(line)) return await this.command(line.trim())
      if (this.typed === '' && /^\s*(quit|exit)\s*;?\s*$/i.test(line)) return this.leave()
      const { whole, rest } = cutStatements(`${this.typed}${line}\n`)
      this.typed = isBlank(rest) ? '' : rest
      for (const statement of whole) await this.runOne(statement)
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      this.output.write(`${error.message}\n`)
    }
  }

  private leave(): void {
    this.isOver = true
    this.lines.close()
  }

  private async runOne(statement: string): Promise<void> {
    this.remember(statement)
    const running = new AbortController()
    this.running = running
    try {
      await runStatement(statement, this.options, running.signal)
    } catch (error) {
      if (running.signal.aborted) this.output.write('\ncancelled\n')
      else if (error instanceof Failure) this.output.write(`${explainFailure(error, statement)}\n`)
      else throw error
    } finally {
      this.running = undefined
    }
  }

  /** Put a statement into the history, in place of its lines. */
  private remember(statement: string): void {
    const entry = `${onOneLine(statement)};`
    this.entries = [entry, ...this.entries.filter((one) => one !== entry)]
    // Readline's own list, which has every line as it was typed; Node documents it for the event `history` only.
    const lines = this.lines as unknown as { history: string[] }
    lines.history = [...this.entries]
    const error = writeHistory(this.historyFile, this.entries)
    if (error !== undefined && this.entries.length === 1) {
      this.output.write(`(history is not kept: ${error.message})\n`)
    }
  }

  private async vocabulary() {
    if (Date.now() - this.tablesAtMs > freshMs) {
      // Without a server there is nothing to complete but keywords.
      this.tables = await listTables(this.options.server).catch(() => this.tables)
      this.tablesAtMs = Date.now()
    }
    return { tables: this.tables, database: this.options.database, before: this.typed }
  }

  private async command(text: string): Promise<void> {
    const [name = '', ...rest] = text.replace(/;$/, '').split(/\s+/)
    const given = rest.join(' ')
    const commands: Readonly<Record<string, () => void | Promise<void>>> = {
      '\\d': () => this.describe(given),
      '\\q': () => this.leave(),
      '\\help': () => void this.output.write(help),
      '\\?': () => void this.output.write(help),
      '\\use': () => this.use(given),
      '\\format': () => this.setFormat(given),
      '\\timing': () => this.setTiming(given),
    }
    const run = Object.hasOwn(commands, name) ? commands[name] : undefined
    if (run === undefined) throw new Failure('invalid', `no such command: ${name}; \\help lists them`)
    await run()
  }

  private use(database: string): void {
    if (database === '') throw new Failure('invalid', '\\use wants the name of a database')
    this.options = { ...this.options, database }
  }

  private setFormat(name: string): void {
    if (!outputFormats.includes(name as OutputFormat)) {
      throw new Failure('invalid', `\\format wants one of ${outputFormats.join(', ')}`)
    }
    this.options = { ...this.options, format: name as OutputFormat }
  }

  private setTiming(given: string): void {
    if (!['', 'on', 'off'].includes(given)) throw new Failure('invalid', '\\timing wants on, off or nothing')
    const timing = given === '' ? !this.options.timing : given === 'on'
    this.options = { ...this.options, timing }
    this.output.write(`timing is ${timing ? 'on' : 'off'}\n`)
  }

  private async describe(name: string): Promise<void> {
    this.tables = await listTables(this.options.server)
    this.tablesAtMs = Date.now()
    this.output.write(`${(name === '' ? this.listTables() : this.listColumns(name)).join('\n')}\n`)
  }

  private listTables(): string[] {
    if (this.tables.length === 0) return ['No tables yet; the first write makes some.']
    const rows = this.tables.map(({ database, table, columns, hot, cold }) => {
      const where = [hot ? 'hot' : [], cold ? 'cold' : []].flat().join(' and ')
      return [`${sqlName(database)}.${sqlName(table)}`, String(columns.length), where]
    })
    return alignRows([['table', 'columns', 'rows are'], ...rows])
  }

  private listColumns(name: string): string[] {
    const { database } = this.options
    const found = this.tables.find((table) => {
      const names = [`${table.database}.${table.table}`, `${sqlName(table.database)}.${sqlName(table.table)}`]
      if (table.database === database) names.push(table.table, sqlName(table.table))
      return names.includes(name)
    })
    if (found === undefined) throw new Failure('not_found', `no table ${name}; \\d lists them`)
    return alignRows([['column', 'type'], ...found.columns.map((column) => [sqlName(column.name), column.type])])
  }
}

/** Run a shell until its input ends.
 *  @returns the exit code */
export function runShell(options: ShellOptions): Promise<number> {
  return new Shell(options).run()
}
