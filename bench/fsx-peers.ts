/** Bench `fsx-peers`: our filesystem against others that keep files in SQLite: agentfs-sdk (Turso), and dofs, which is
 *  in @cloudflare/computer, on better-sqlite3; CPU time, files of 1 KB in 100 directories.
 *
 *  All are used by promises, a file a transaction; ours and dofs with durability `normal` (WAL, synchronous NORMAL),
 *  AgentFS as it opens by itself. dofs asks for `cloudflare:workers`: of that, it gets empty classes. */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { fsx } from '@dotdo/fsx'
import Database from 'better-sqlite3'
import { build } from 'esbuild'
import { temporaryFolder } from '../core/host/node/testing.ts'
import { alternate, type Bench, type BenchContext, type BenchRow } from './bench.ts'
import { cpuOf } from './fsx.ts'

const name = 'fsx-peers'
const peers = { 'agentfs-sdk': '0.6.4', '@cloudflare/computer': '0.8.0' } as const
const folder = join(process.cwd(), 'node_modules/.cache/dotdo/peers')
const content = Buffer.alloc(1024, 'x')

/** One filesystem. */
interface Side {
  mkdir(path: string): unknown
  writeFile(path: string, data: Buffer): unknown
  stat(path: string): unknown
  readFile(path: string): unknown
  readdir(path: string): unknown
  /** @returns how many files below a directory have a name that ends so */
  find(directory: string, end: string): Promise<number>
  close(): unknown
}

async function openOurs(data: string): Promise<Side> {
  const fs = await fsx({ dotdo: { data, durability: 'normal' } })
  return {
    mkdir: (path) => fs.promises.mkdir(path),
    writeFile: (path, bytes) => fs.promises.writeFile(path, bytes),
    stat: (path) => fs.promises.stat(path),
    readFile: (path) => fs.promises.readFile(path),
    readdir: (path) => fs.promises.readdir(path),
    find: async (directory, end) => (await fs.glob(`**/*${end}`, { cwd: directory })).length,
    close: () => fs.close(),
  }
}

/** The part of AgentFS that is used. */
interface Agent {
  readonly fs: Omit<Side, 'find' | 'close'> & {
    readdirPlus(path: string): Promise<{ name: string; stats: { isDirectory(): boolean } }[]>
  }
  close(): Promise<void>
}

async function openAgent(data: string): Promise<Side> {
  const path = createRequire(join(folder, 'package.json')).resolve('agentfs-sdk')
  const { AgentFS } = (await import(pathToFileURL(path).href)) as {
    AgentFS: { open(options: { path: string }): Promise<Agent> }
  }
  const agent = await AgentFS.open({ path: `${data}.agentfs.db` })
  const { fs } = agent
  // It has no glob: what its directories hold is looked at one by one.
  const find = async (directory: string, end: string): Promise<number> => {
    let count = 0
    for (const { name, stats } of await fs.readdirPlus(directory)) {
      if (stats.isDirectory()) count += await find(`${directory}/${name}`, end)
      else if (name.endsWith(end)) count++
    }
    return count
  }
  const same = (method: Exclude<keyof Side, 'find' | 'close'>) => fs[method].bind(fs) as never
  const methods = { mkdir: same('mkdir'), writeFile: same('writeFile'), stat: same('stat') }
  return { ...methods, readFile: same('readFile'), readdir: same('readdir'), find, close: () => agent.close() }
}

/** The storage of a Durable Object, as far as dofs goes, on a file. */
function storageOn(path: string) {
  const sqlite = new Database(path)
  sqlite.pragma('journal_mode = wal')
  sqlite.pragma('synchronous = normal')
  const statements = new Map<string, Database.Statement>()
  const exec = (query: string, ...bindings: unknown[]) => {
    const statement = statements.get(query) ?? sqlite.prepare(query)
    statements.set(query, statement)
    if (!statement.reader) statement.run(...bindings)
    const rows = statement.reader ? statement.all(...bindings) : []
    return { toArray: () => rows }
  }
  return { sql: { exec }, transactionSync: <T>(work: () => T) => sqlite.transaction(work)(), sqlite }
}

/** The part of dofs that is used. */
interface Provider extends Omit<Side, 'find' | 'close'> {
  readdirEntriesSync(path: string): { name: string; type: string }[]
}

async function openDofs(data: string): Promise<Side> {
  const outfile = join(folder, 'dofs.mjs')
  await build({
    stdin: { contents: "export { Workspace } from '@cloudflare/computer'", resolveDir: folder },
    ...{ bundle: true, format: 'esm', platform: 'node', outfile, logLevel: 'silent' },
    plugins: [
      {
        name: 'no workers',
        setup({ onResolve, onLoad }) {
          onResolve({ filter: /^cloudflare:workers$/ }, ({ path }) => ({ path, namespace: 'none' }))
          const classes = ['DurableObject', 'RpcTarget', 'WorkerEntrypoint'].map((one) => `export class ${one} {}`)
          onLoad({ filter: /./, namespace: 'none' }, () => ({ contents: classes.join('\n') }))
        },
      },
    ],
  })
  const { Workspace } = (await import(pathToFileURL(outfile).href)) as {
    Workspace: new (options: object) => { provider(): Provider }
  }
  const storage = storageOn(`${data}.dofs.sqlite`)
  const provider = new Workspace({ storage }).provider()
  // Its own find reads every entry too; this does no more.
  const find = async (directory: string, end: string): Promise<number> => {
    let count = 0
    for (const { name, type } of provider.readdirEntriesSync(directory)) {
      if (type === 'dir') count += await find(`${directory}/${name}`, end)
      else if (name.endsWith(end)) count++
    }
    return count
  }
  const same = (method: Exclude<keyof Side, 'find' | 'close'>) => provider[method].bind(provider) as never
  const methods = { mkdir: same('mkdir'), writeFile: same('writeFile'), stat: same('stat') }
  const close = () => storage.sqlite.close()
  return { ...methods, readFile: same('readFile'), readdir: same('readdir'), find, close }
}

const pathOf = (base: string, i: number) => `${base}/d${i % 100}/f${i}.txt`

/** What is measured, of one side. */
function casesOf(side: Side, files: number): readonly [label: string, sample: () => Promise<number>][] {
  let round = 0
  const each = async (work: (i: number) => unknown) => {
    for (let i = 0; i < files; i++) await work(i)
  }
  const make = async () => {
    const base = `/files${round++}`
    await side.mkdir(base)
    for (let i = 0; i < 100; i++) await side.mkdir(`${base}/d${i}`)
    return cpuOf(() => each((i) => side.writeFile(pathOf(base, i), content)))
  }
  const base = '/files0'
  const find = async () => {
    const count = await side.find(base, '5.txt')
    if (count !== files / 10) throw new Error(`found ${count} of ${files / 10} files`)
  }
  return [
    [`create ${files} files of 1 KB`, make],
    [`stat ${files} files`, () => cpuOf(() => each((i) => side.stat(pathOf(base, i))))],
    [`read ${files} files of 1 KB`, () => cpuOf(() => each((i) => side.readFile(pathOf(base, i))))],
    [`readdir, ${files} times`, () => cpuOf(() => each((i) => side.readdir(`${base}/d${i % 100}`)))],
    [`find one in ten of ${files} files, 10 times`, () => cpuOf(() => Promise.all(Array.from({ length: 10 }, find)))],
  ]
}

async function run({ quick, progress }: BenchContext): Promise<BenchRow[]> {
  const { path, remove } = temporaryFolder()
  const files = quick ? 100 : 2_000
  const rows: BenchRow[] = []
  const others = [
    [`agentfs-sdk ${peers['agentfs-sdk']}`, openAgent],
    [`dofs of @cloudflare/computer ${peers['@cloudflare/computer']}`, openDofs],
  ] as const
  try {
    for (const [at, [label, open]] of others.entries()) {
      const [ours, peer] = [await openOurs(join(path, `ours${at}`)), await open(join(path, 'peer'))]
      const [left, right] = [casesOf(ours, files), casesOf(peer, files)]
      for (const [i, [what, sample]] of left.entries()) {
        const told = (text: string) => progress(`${label}, ${what}: ${text}`)
        const pair = { ours: sample, peer: right[i]?.[1] ?? sample }
        const result = await alternate({ ...pair, pairs: quick ? 1 : 5, progress: told })
        rows.push({ name, case: `${what}, against ${label}`, unit: 'CPU-ms', ...result })
      }
      await ours.close()
      await peer.close()
    }
    return rows
  } finally {
    remove()
  }
}

/** Filesystems in SQLite. */
export const filesystemPeers: Bench = {
  name,
  about: 'our filesystem against agentfs-sdk and dofs, CPU',
  missing() {
    const absent = Object.keys(peers).some((one) => !existsSync(join(folder, 'node_modules', one)))
    if (!absent) return undefined
    const wanted = Object.entries(peers).map((one) => one.join('@'))
    return `install its peers first: npm install --prefix ${folder} ${wanted.join(' ')}`
  },
  run,
}
