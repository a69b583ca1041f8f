/** The built `dotdo serve` as a process of its own, to be loaded, stopped and killed: for crash tests, benches and the
 *  demo. It is started and read as a user does: flags, and the ready file. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

/** Find the repository from a source, or from the bundle that scripts/run.mjs makes of it. */
function findRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package-lock.json'))) folder = dirname(folder)
  return folder
}

/** The repository's root. */
export const root = findRoot()

/** How a server is started. */
export interface ServerOptions {
  /** The data folder; what an earlier server left there is kept. */
  readonly data: string
  readonly durability?: 'full' | 'normal'
  readonly shards?: number
  readonly threads?: number
  /** Default: a port of HTTP too. */
  readonly http?: boolean
  /** Put before `node`, such as strace with its flags. */
  readonly under?: readonly string[]
  /** More flags. */
  readonly args?: readonly string[]
}

/** A server that listens. */
export interface ServerProcess {
  /** The process that was started: the server, or what it runs under. */
  readonly process: ChildProcess
  /** The server's own. */
  readonly pid: number
  readonly redisPort: number
  /** 0 when it was started without. */
  readonly httpPort: number
  /** From the start of the process until everything listened. */
  readonly startMs: number
  /** Settles when the process has ended. */
  readonly ended: Promise<void>
  /** Everything it logged. */
  logged(): string
  /** Ask it to stop, as an operator does (SIGTERM).
   *  @throws Error when it does not end well */
  stop(): Promise<void>
  /** End it on the spot (SIGKILL). */
  kill(): Promise<void>
}

interface Ready {
  pid: number
  redis: { port: number }
  http?: { port: number }
}

function argumentsOf(options: ServerOptions, readyFile: string): string[] {
  const { data, durability = 'full', shards = 1, threads = 0, http = true } = options
  const flags = {
    data,
    durability,
    shards,
    threads,
    redis: 0,
    http: http ? 0 : 'off',
    'ready-file': readyFile,
    'log-level': 'warn',
  }
  const main = join(root, 'dotdo/dist/main.js')
  const common = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)])
  return [main, 'serve', ...common, ...(options.args ?? [])]
}

/** Start a server and wait until it listens.
 *  @throws Error with what it logged when it ends instead */
export async function startServer(options: ServerOptions): Promise<ServerProcess> {
  const startedMs = performance.now()
  const readyFile = `${options.data}.ready.json`
  rmSync(readyFile, { force: true })
  const [command = '', ...rest] = [...(options.under ?? []), process.execPath, ...argumentsOf(options, readyFile)]
  // What the environment says of dotdo is meant for another server.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('DOTDO_')))
  const child = spawn(command, rest, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (text += chunk))
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()).once('error', () => resolve()))
  let over = false
  void ended.then(() => (over = true))
  while (!existsSync(readyFile) && !over) await delay(2)
  if (over) throw new Error(`dotdo serve ended before it listened:\n${text}`)
  const { pid, redis, http } = JSON.parse(readFileSync(readyFile, 'utf8')) as Ready
  const signal = async (name: 'SIGTERM' | 'SIGKILL') => {
    if (!over) process.kill(pid, name)
    await ended
  }
  return {
    process: child,
    pid,
    redisPort: redis.port,
    httpPort: http?.port ?? 0,
    startMs: performance.now() - startedMs,
    ended,
    logged: () => text,
    async stop() {
      await signal('SIGTERM')
      if (child.exitCode !== 0)
        throw new Error(`dotdo serve ended with ${child.exitCode ?? child.signalCode}:\n${text}`)
    },
    kill: () => signal('SIGKILL'),
  }
}
