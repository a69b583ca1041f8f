/** The built Worker in a local workerd on a folder, and `dotdo connect` to it: what these tests talk to. */
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { pathToFileURL } from 'node:url'
import { Miniflare, type MiniflareOptions, type WorkerOptions } from 'miniflare'
import { root } from '../crash/server.ts'

const path = (name: string) => join(root, 'dotdo', name)

/** What is used of wrangler.jsonc, so that what is tested is what is deployed. */
interface WranglerConfig {
  readonly main: string
  readonly compatibility_date: string
  readonly compatibility_flags: string[]
  readonly vars: Record<string, unknown>
  readonly durable_objects: { readonly bindings: { readonly name: string; readonly class_name: string }[] }
  readonly migrations: { readonly new_sqlite_classes: string[] }[]
  readonly r2_buckets: { readonly binding: string; readonly bucket_name: string }[]
}

function readConfig(): WranglerConfig {
  const lines = readFileSync(path('wrangler.jsonc'), 'utf8').split('\n')
  return JSON.parse(lines.filter((line) => !/^\s*\/\//.test(line)).join('\n')) as WranglerConfig
}

/** How workerd is started. */
export interface WorkerdOptions {
  /** Where the objects are kept; a folder of an earlier run has what that one kept. */
  readonly folder: string
  /** Variables and secrets. */
  readonly bindings?: Record<string, unknown>
  /** The Worker's bundle; the built one of dotdo when left out. */
  readonly main?: string
  /** Where the isolate can be looked into; 0 for any port. */
  readonly inspectorPort?: number
  /** More buckets, by binding. */
  readonly buckets?: Record<string, string>
  /** Whether the buckets of wrangler.jsonc are bound. Default true. */
  readonly isBucketBound?: boolean
  /** A second Worker, with the same objects bound: its script, and the path under which it is called. */
  readonly beside?: string
}

/** A running workerd. */
export interface Workerd {
  readonly url: string
  readonly pid: number
  /** What it has logged. */
  output(): string
  /** Where the isolate can be looked into, by a WebSocket, when it was asked for. */
  inspector(): Promise<URL>
  get(path: string, init?: RequestInit): Promise<Response>
  /** Call the second Worker. */
  beside(path: string): Promise<string>
  /** Kill it as a power failure would, and clear up. */
  kill(): Promise<void>
  stop(): Promise<void>
}

const children = () => {
  try {
    return execFileSync('pgrep', ['-P', String(process.pid), 'workerd'], { encoding: 'utf8' })
      .trim()
      .split('\n')
  } catch {
    // pgrep found none.
    return []
  }
}

function workersOf({ bindings, beside, main, isBucketBound = true, buckets: more }: WorkerdOptions): WorkerOptions[] {
  const config = readConfig()
  const { compatibility_date, compatibility_flags, vars, durable_objects, migrations } = config
  const script = main ?? path(config.main)
  const buckets = isBucketBound ? config.r2_buckets : []
  const named = buckets.map((bucket) => [bucket.binding, bucket.bucket_name] as const)
  const r2Buckets = { ...Object.fromEntries(named), ...more }
  const shared = { compatibilityDate: compatibility_date, compatibilityFlags: compatibility_flags }
  const sqlite = new Set(migrations.flatMap((migration) => migration.new_sqlite_classes))
  const own = durable_objects.bindings.map(({ name, class_name: className }) => {
    return [name, { className, useSQLite: sqlite.has(className) }] as const
  })
  const dotdo: WorkerOptions = {
    ...shared,
    name: 'dotdo',
    modules: [{ type: 'ESModule', path: script, contents: readFileSync(script, 'utf8') }],
    bindings: { ...vars, ...bindings } as never,
    durableObjects: Object.fromEntries(own),
    r2Buckets,
  }
  if (beside === undefined) return [dotdo]
  const theirs = own.map(([name, binding]) => [name, { ...binding, scriptName: 'dotdo' }])
  const second: WorkerOptions = {
    ...shared,
    name: 'beside',
    modules: [{ type: 'ESModule', path: 'beside.mjs', contents: beside }],
    durableObjects: Object.fromEntries(theirs),
    r2Buckets,
  }
  return [dotdo, second]
}

/** Bundle a Worker that is no part of dotdo's build.
 *  @param source relative to the repository's root
 *  @returns the path of the bundle */
export async function bundleWorker(name: string, source: string): Promise<string> {
  const { bundle } = (await import(pathToFileURL(join(root, 'scripts/bundle.mjs')).href)) as {
    bundle(kind: string, entries: Record<string, string>, folder: string): Promise<string[]>
  }
  return (await bundle('worker', { [name]: source }, join(root, 'node_modules/.cache/dotdo')))[0] as string
}

/** Start a workerd, and tell which process it is. */
export async function launch(options: MiniflareOptions): Promise<{ miniflare: Miniflare; url: string; pid: number }> {
  const before = new Set(children())
  const miniflare = new Miniflare(options)
  const url = (await miniflare.ready).origin
  return { miniflare, url, pid: Number(children().find((child) => !before.has(child))) }
}

/** Start the Worker. */
export async function startWorkerd(options: WorkerdOptions): Promise<Workerd> {
  let output = ''
  const { miniflare, url, pid } = await launch({
    workers: workersOf(options),
    durableObjectsPersist: options.folder,
    r2Persist: join(options.folder, 'r2'),
    ...(options.inspectorPort !== undefined && { inspectorPort: options.inspectorPort }),
    handleRuntimeStdio(out: Readable, err: Readable) {
      for (const stream of [out, err]) stream.on('data', (bytes) => (output += bytes))
    },
  })
  return {
    url,
    pid,
    output: () => output,
    inspector: () => miniflare.getInspectorURL(),
    get: (at, init) => fetch(`${url}${at}`, init),
    async beside(at) {
      const { fetch } = await miniflare.getWorker('beside')
      const answer = await fetch(`http://beside${at}`)
      return answer.text()
    },
    async kill() {
      process.kill(pid, 'SIGKILL')
      await miniflare.dispose()
    },
    stop: () => miniflare.dispose(),
  }
}

/** A running `dotdo connect`. */
export interface Connected {
  readonly port: number
  output(): string
  stop(): Promise<void>
}

/** Start `dotdo connect` and wait until its port is open.
 *  @throws Error with its output when it ends before */
export async function startConnect(url: string, env: Record<string, string> = {}): Promise<Connected> {
  const folder = mkdtempSync(join(tmpdir(), 'dotdo-connect-'))
  const readyFile = join(folder, 'ready.json')
  const args = [path('dist/main.js'), 'connect', url, '--redis', '0', '--ready-file', readyFile]
  const child = spawn(process.execPath, args, { env: { ...process.env, ...env } })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => (output += bytes))
  let ended = false
  const end = new Promise<void>((resolve) => {
    child.on('close', () => {
      ended = true
      resolve()
    })
  })
  while (!existsSync(readyFile)) {
    if (ended) throw new Error(`dotdo connect ended:\n${output}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  const { redis } = JSON.parse(readFileSync(readyFile, 'utf8')) as { redis: { port: number } }
  return {
    port: redis.port,
    output: () => output,
    async stop() {
      child.kill('SIGTERM')
      await end
      rmSync(folder, { recursive: true })
    },
  }
}
