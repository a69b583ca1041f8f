/** The commands of `dotdo`, and what an error looks like: one line on standard error, and an exit code.
 *
 *      0  done            1  it did not work            2  it was asked wrongly
 *
 *  A new command is a file here with a function that adds it, and one line in `commands`. Only the one that is asked
 *  for is loaded: a question to a server need not wait for all of the server. */
import { Failure } from '@dotdo/core/errors'
import { Command, CommanderError } from 'commander'
import manifest from '../package.json' with { type: 'json' }
import { explain } from './explain.ts'

/** What a command is given besides its arguments. */
export interface CliHost {
  readonly version: string
  /** The built module that runs shards in a worker thread. */
  readonly threadEntry: URL
  /** Say how the command ended. */
  exit(code: number): void
}

type Add = (program: Command, host: CliHost) => void

const commands: ReadonlyMap<string, () => Promise<Add>> = new Map([
  ['serve', async () => (await import('./serve.ts')).addServe],
  ['status', async () => (await import('./status.ts')).addStatus],
  ['sql', async () => (await import('./sql.ts')).addSql],
  ['tier', async () => (await import('./tier.ts')).addTier],
  ['fs', async () => (await import('./fs.ts')).addFs],
  ['connect', async () => (await import('./connect.ts')).addConnect],
])

/** Load the command that is named first, or all where help or a mistake may speak of any. */
function load(name: string | undefined): Promise<Add[]> {
  const named = commands.get(name ?? '')
  return Promise.all([...(named === undefined ? commands.values() : [named])].map((one) => one()))
}

/** Whether the system said no (a folder without rights, a missing file): a sentence is enough. */
const isSystemError = (error: unknown): error is NodeJS.ErrnoException => {
  return error instanceof Error && 'syscall' in error && 'code' in error
}

/** Put what the parser says, such as "error: unknown option '--shard'\n(Did you mean --shards?)", on one line. */
function oneLine(text: string): string {
  return `${text
    .trim()
    .replace(/^error: /, 'dotdo: ')
    .replaceAll('\n', ' ')}; see --help\n`
}

/** Say on standard error why a command failed.
 *  @returns the exit code */
function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
  if (error instanceof Failure && error.code !== 'internal') {
    console.error(`dotdo: ${error.message}`)
    return error.code === 'invalid' ? 2 : 1
  }
  if (isSystemError(error)) console.error(`dotdo: ${error.message}`)
  else console.error('dotdo: this is a bug of dotdo', error)
  return 1
}

/** Run the command.
 *  @param args what follows `dotdo`
 *  @returns the exit code */
export async function runCli(args: readonly string[], { threadEntry }: Pick<CliHost, 'threadEntry'>): Promise<number> {
  const { version } = manifest
  if (args.length === 0) {
    process.stdout.write(explain(version))
    return 0
  }
  let exitCode = 0
  const exit = (code: number) => {
    exitCode = code
  }
  const program = new Command('dotdo')
  program.description('One storage fabric that speaks the protocols applications already use.').version(version)
  program.exitOverride().configureOutput({ outputError: (text, write) => write(oneLine(text)) })
  // Commands take over what is set on the program, so they are added last.
  for (const add of await load(args[0])) add(program, { version, threadEntry, exit })
  try {
    await program.parseAsync([...args], { from: 'user' })
    return exitCode
  } catch (error) {
    return report(error)
  }
}
