/** The built `dotdo` command as a process of its own. For tests only. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { Ready } from './serve/serve.ts'

/** The built command. */
export const mainPath = fileURLToPath(new URL('dist/main.js', import.meta.url))

/** The environment without what would set the command. */
function environment(more: Record<string, string>): NodeJS.ProcessEnv {
  const rest = Object.entries(process.env).filter(([name]) => !name.startsWith('DOTDO_'))
  return { ...Object.fromEntries(rest), ...more }
}

/** Run the command to its end. */
export function runDotdo(args: readonly string[], env: Record<string, string> = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [mainPath, ...args], {
    env: environment(env),
    encoding: 'utf8',
    timeout: 20_000,
  })
  return { status, stdout, stderr }
}

/** A running `dotdo serve`. */
export interface ServeProcess {
  readonly child: ChildProcess
  readonly ready: Ready
  readonly pid: number
  /** What it has written to standard output and standard error. */
  output(): string
  /** @returns exit code, or the signal's name */
  ended: Promise<number | string>
  /** Send a signal and wait for the end. */
  stop(signal?: NodeJS.Signals): Promise<number | string>
  port(listener: string): number
  /** GET over HTTP. */
  get(path: string, init?: RequestInit): Promise<Response>
  /** Send a whole request, wait until the server closes. */
  redis(text: string): Promise<string>
}

/** How `dotdo serve` is started. */
export interface ServeOptions {
  readonly args: readonly string[]
  readonly env?: Record<string, string>
  readonly readyFile: string
  /** A command that runs it, such as strace. */
  readonly under?: readonly string[]
  /** Where it listens. */
  readonly host?: string
}

/** Start `dotdo serve` on free ports and wait until it is ready.
 *  @throws Error with its output when it ends before */
export async function startServe(options: ServeOptions): Promise<ServeProcess> {
  const { args, env = {}, readyFile, under = [], host = '127.0.0.1' } = options
  const earlier = existsSync(readyFile) ? readFileSync(readyFile, 'utf8') : undefined
  const command = [...under, process.execPath, mainPath, 'serve', '--ready-file', readyFile, ...args]
  const child = spawn(command[0] as string, command.slice(1), { env: environment(env) })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => (output += bytes))
  const ended = new Promise<number | string>((resolve) => {
    child.on('close', (code, signal) => resolve(code ?? signal ?? 'unknown'))
  })
  const early = ended.then((code) => Promise.reject(new Error(`dotdo serve ended with ${code}:\n${output}`)))
  const ready = await Promise.race([early, readyAt(readyFile, earlier)])
  early.catch(() => undefined)
  const port = (listener: string) => (ready[listener] as { port: number }).port
  return {
    child,
    ready,
    pid: ready.pid,
    output: () => output,
    ended,
    stop(signal = 'SIGTERM') {
      process.kill(ready.pid, signal)
      return ended
    },
    port,
    get: (path, init) => fetch(`http://${host}:${port('http')}${path}`, init),
    redis: (text) => talk(connect({ host, port: port('redis') }), text),
  }
}

/** Wait for a ready file other than an earlier one's. */
async function readyAt(path: string, earlier: string | undefined): Promise<Ready> {
  for (;;) {
    const text = existsSync(path) ? readFileSync(path, 'utf8') : undefined
    if (text !== undefined && text !== earlier) return JSON.parse(text) as Ready
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

function talk(socket: Socket, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = ''
    socket.on('data', (bytes) => {
      answer += bytes.toString('latin1')
    })
    socket.on('end', () => resolve(answer))
    socket.on('error', reject)
    socket.end(text)
  })
}
