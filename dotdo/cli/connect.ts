/** `dotdo connect`: open the wire protocols of a remote dotdo, such as a Worker, on ports of this machine. */
import { constants } from 'node:os'
import { Failure } from '@dotdo/core/errors'
import { type Command, Option } from 'commander'
import { type Dialect, dialects } from '../serve/dialects.ts'
import { type Listener, listen } from '../serve/listen.ts'
import { removeReadyFile, writeReadyFile } from '../serve/ready-file.ts'
import { parseTarget, probeTunnel, tunnelServer } from '../tunnel/dial.ts'
import type { CliHost } from './index.ts'

/** Whoever reaches the port has the rights that the password gives, so no other machine may. */
const host = '127.0.0.1'

const help = `
Clients connect to the port as if the server ran here:

  dotdo connect https://dotdo.example.workers.dev --redis 6379
  redis-cli set greeting hello

Without a port, every protocol gets its usual one.
`

interface ConnectOptions {
  readonly password?: string
  readonly readyFile?: string
  readonly [dialect: string]: string | undefined
}

/** How a dialect says that there is no way to its server. */
const refusals: Readonly<Record<string, (message: string) => string>> = {
  redis: (message) => `-ERR ${message.replaceAll(/[\r\n]+/g, ' ')}\r\n`,
}

/** Add the command. */
export function addConnect(program: Command, cli: CliHost): void {
  const command = program.command('connect').description('Open the protocols of a remote dotdo on local ports.')
  command.argument('<url>', 'the remote, such as https://dotdo.example.workers.dev')
  for (const { name, title, portDefault } of dialects) {
    command.addOption(
      new Option(`--${name} <port>`, `local port of ${title}; 0 for any free one (usual: ${portDefault})`),
    )
  }
  command.addOption(new Option('--password <text>', 'its password').env('DOTDO_PASSWORD'))
  command.addOption(new Option('--ready-file <path>', 'file to write, as JSON, when the ports are open'))
  command.addHelpText('after', help)
  command.action(async (url: string, options: ConnectOptions) => {
    cli.exit(await connect(parseTarget(url), options))
  })
}

function portOf({ name }: Dialect, text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : -1
  if (port < 0 || port > 65_535) throw new Failure('invalid', `--${name}: ${text} is not a port (0 to 65535)`)
  return port
}

/** Tell which ports are asked for: those named, else all. */
function portsOf(options: ConnectOptions): [Dialect, number][] {
  const named = dialects.filter(({ name }) => options[name] !== undefined)
  if (named.length === 0) return dialects.map((dialect) => [dialect, dialect.portDefault])
  return named.map((dialect) => [dialect, portOf(dialect, options[dialect.name] as string)])
}

async function open(url: URL, dialect: Dialect, port: number, password: string | undefined): Promise<Listener> {
  const { name, connectionsMax } = dialect
  const target = { url, dialect: name, ...(password !== undefined && { password }) }
  await probeTunnel(target)
  const refuse = (message: string) => Buffer.from(refusals[name]?.(message) ?? '')
  const onBroken = (client: string, { message }: Error) => console.error(`${name} connection of ${client}: ${message}`)
  const server = tunnelServer({ ...target, refuse, onBroken })
  try {
    const onBug = (error: unknown) => console.error('this is a bug of dotdo', error)
    return await listen(server, { host, port, connectionsMax, onBroken, onBug })
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const hint = code === 'EADDRINUSE' ? `is taken; choose another with --${name}` : message
    throw new Failure('unavailable', `${host} port ${port} ${hint}`, undefined, error)
  }
}

async function connect(url: URL, options: ConnectOptions): Promise<number> {
  const { password, readyFile } = options
  const listeners: [Dialect, Listener][] = []
  try {
    // One of an earlier run that was killed: whoever waits for this one must not read it.
    if (readyFile !== undefined) removeReadyFile(readyFile)
    for (const [dialect, port] of portsOf(options)) {
      listeners.push([dialect, await open(url, dialect, port, password)])
    }
    const ports = listeners.map(([{ name }, { port }]) => [name, { port }])
    if (readyFile !== undefined) writeReadyFile(readyFile, { pid: process.pid, ...Object.fromEntries(ports) })
    const lines = listeners.map(([{ title, example }, { port }]) => `  ${title.padEnd(8)} ${example(host, port)}`)
    process.stdout.write(`connected to ${url.href}\n${lines.join('\n')}\nCtrl-C ends it.\n`)
    const signal = await nextSignal()
    void nextSignal().then((second) => process.exit(128 + constants.signals[second]))
    process.stdout.write(`${signal}: closing\n`)
    return 0
  } finally {
    if (readyFile !== undefined) removeReadyFile(readyFile)
    await Promise.all(listeners.map(([, listener]) => listener.close()))
  }
}

function nextSignal(): Promise<'SIGTERM' | 'SIGINT'> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal))
  })
}
