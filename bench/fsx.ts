/** Bench `fsx`: our filesystem against node:fs, and against what SQLite takes for the same bytes; CPU time.
 *
 *  Goals (issue 5): 10,000 files of 1 KB by promises: create 0.2x of node:fs/promises (each file a commit, durability
 *  `normal`), in one batch 2x of the raw SQLite floor; stat and read 0.7x; readdir 2x and glob 3x of node:fs sync; a
 *  directory of 10,000 files is renamed in 1 ms;
 *  a fork takes 100 ms; 100 MB in pieces of 1 MB and of 64 KB: 0.8x of the floor's speed.
 *
 *  The floor is the same rows by prepared statements through the Sql port: for files, an insert of 1 KB a file in one
 *  transaction; for content, chunks of the piece's size in transactions of one piece. */

import nodeFs, { promises } from 'node:fs'
import { join } from 'node:path'
import { openSqlite } from '@dotdo/core/host/node'
import { fsx, type OpenedFileSystem } from '@dotdo/fsx'
import { temporaryFolder } from '../core/host/node/testing.ts'
import { alternate, type Bench, type BenchContext, type BenchRow } from './bench.ts'

const name = 'fsx'
type NodeSql = ReturnType<typeof openSqlite>

const content = Buffer.alloc(1024, 'x')

/** CPU milliseconds of this process: what waiting for the disk takes is not in it. */
export async function cpuOf(work: () => unknown): Promise<number> {
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

type Api = Pick<typeof promises, 'mkdir' | 'writeFile' | 'stat' | 'readFile' | 'readdir'>

/** One side: promises, in a folder. */
interface Side {
  readonly api: Api
  readonly base: string
}

/** The two sides and the floor, on folders that go away. */
interface Ground {
  readonly fs: OpenedFileSystem
  readonly folder: string
  readonly sql: NodeSql
  readonly files: number
  readonly bytes: number
}

const pathOf = (base: string, i: number) => `${base}/d${i % 100}/f${i}`

async function each(files: number, work: (i: number) => Promise<unknown>): Promise<void> {
  for (let i = 0; i < files; i++) await work(i)
}

async function create({ api, base }: Side, files: number): Promise<number> {
  await api.mkdir(base)
  for (let i = 0; i < 100; i++) await api.mkdir(`${base}/d${i}`)
  return cpuOf(() => each(files, (i) => api.writeFile(pathOf(base, i), content)))
}

type Run = Pick<Parameters<typeof alternate>[0], 'ours' | 'peer'>

/** What is measured, in order: later ones use the files of earlier ones. */
function cases(ground: Ground): (Run & { case: string; unit: string })[] {
  const { fs, folder, files } = ground
  const ours = { api: fs.promises as unknown as Api, base: '/files' }
  const node = { api: promises, base: join(folder, 'files') }
  let round = 0
  const next = (side: Side) => create({ ...side, base: `${side.base}${round++}` }, files)
  const both = (work: (side: Side) => unknown): Run => ({
    ours: () => cpuOf(() => work({ ...ours, base: `${ours.base}` })),
    peer: () => cpuOf(() => work(node)),
  })
  const label = `${files} files of 1 KB`
  return [
    { case: `create ${label} by promises`, unit: 'CPU-ms', ours: () => next(ours), peer: () => next(node) },
    {
      case: `stat ${label} by promises`,
      unit: 'CPU-ms',
      ...both(({ api, base }) => each(files, (i) => api.stat(pathOf(base, i)))),
    },
    {
      case: `read ${label} by promises`,
      unit: 'CPU-ms',
      ...both(({ api, base }) => each(files, (i) => api.readFile(pathOf(base, i)))),
    },
    {
      case: `readdir of ${files} names, against node:fs sync`,
      unit: 'CPU-ms',
      ours: () => cpuOf(() => fs.promises.readdir('/wide')),
      peer: () => cpuOf(() => nodeFs.readdirSync(join(folder, 'wide'))),
    },
    {
      case: `find one in ten of ${label}, against node:fs sync`,
      unit: 'CPU-ms',
      ours: () => cpuOf(() => fs.glob('files/**/*5')),
      peer: () =>
        cpuOf(() => nodeFs.readdirSync(node.base, { recursive: true }).filter((path) => /5$/.test(String(path)))),
    },
    ...floors(ground),
  ]
}

/** Comparisons with what SQLite takes. */
function floors({ fs, folder, sql, files, bytes }: Ground): ReturnType<typeof cases> {
  let round = 0
  const batch = async () => {
    const base = `/batch${round++}`
    await fs.mkdir(base)
    return cpuOf(() => fs.writeAll(Array.from({ length: files }, (_, i) => [`${base}/f${i}`, content] as const)))
  }
  const inserts = () =>
    cpuOf(() =>
      sql.transact(() => {
        for (let i = 0; i < files; i++) sql.raw('insert into floor (data) values (?)', content)
      }),
    )
  const rename = async () => {
    const to = `/wide${round++}`
    const took = await cpuOf(async () => {
      await fs.promises.rename('/wide', to)
      await fs.promises.rename(to, '/wide')
    })
    return took / 2
  }
  const renameNode = () => {
    const [from, to] = [join(folder, 'wide'), join(folder, 'moved')]
    return cpuOf(async () => {
      await promises.rename(from, to)
      await promises.rename(to, from)
    })
  }
  // Both end with a filesystem that can be written to without changing the first.
  const fork = () => cpuOf(() => fs.fork(`fork${round++}`))
  const copyNode = () => {
    const to = join(folder, `copy${round++}`)
    return cpuOf(() => promises.cp(join(folder, 'files'), to, { recursive: true }))
  }
  const pieces = [1 << 20, 1 << 16].flatMap((size) => sequential({ fs, sql, bytes, size }))
  return [
    {
      case: `create ${files} files of 1 KB in one batch, against the floor`,
      unit: 'CPU-ms',
      ours: batch,
      peer: inserts,
    },
    { case: `rename a directory of ${files} files, there and back`, unit: 'CPU-ms', ours: rename, peer: renameNode },
    { case: `fork ${files} files, against a copy by node:fs`, unit: 'CPU-ms', ours: fork, peer: copyNode },
    ...pieces,
  ]
}

interface Sequence extends Pick<Ground, 'fs' | 'sql' | 'bytes'> {
  readonly size: number
}

function sequential({ fs, sql, bytes, size }: Sequence): ReturnType<typeof cases> {
  const piece = Buffer.alloc(size, 'content ')
  const count = Math.ceil(bytes / size)
  const path = `/large${size}`
  const chunk = 1 << 16
  const write = () =>
    cpuOf(async () => {
      const handle = await fs.promises.open(path, 'w')
      for (let i = 0; i < count; i++) await handle.write(piece)
      await handle.close()
    })
  const floorWrite = () =>
    cpuOf(() => {
      sql.raw('delete from floor')
      for (let i = 0; i < count; i++) {
        sql.transact(() => {
          for (let at = 0; at < size; at += chunk) {
            sql.raw('insert into floor (data) values (?)', piece.subarray(at, at + chunk))
          }
        })
      }
    })
  const read = () =>
    cpuOf(async () => {
      const handle = await fs.promises.open(path, 'r')
      const buffer = Buffer.alloc(size)
      for (let i = 0; i < count; i++) await handle.read(buffer, 0, size, null)
      await handle.close()
    })
  const floorRead = () =>
    cpuOf(() => {
      const [[first]] = sql.raw('select min(id) from floor') as [[number]]
      for (let at = 0; at < bytes / chunk; at += size / chunk) {
        sql.raw('select data from floor where id between ? and ?', first + at, first + at + size / chunk - 1)
      }
    })
  const label = `${Math.round(bytes / 1e6)} MB in pieces of ${size / 1024} KB, against the floor`
  return [
    { case: `write ${label}`, unit: 'CPU-ms', ours: write, peer: floorWrite },
    { case: `read ${label}`, unit: 'CPU-ms', ours: read, peer: floorRead },
  ]
}

async function prepare({ fs, folder, files }: Ground): Promise<void> {
  await create({ api: fs.promises as unknown as Api, base: '/files' }, files)
  await create({ api: promises, base: join(folder, 'files') }, files)
  await fs.mkdir('/wide')
  await fs.writeAll(Array.from({ length: files }, (_, i) => [`/wide/f${i}`, ''] as const))
  nodeFs.mkdirSync(join(folder, 'wide'))
  for (let i = 0; i < files; i++) nodeFs.writeFileSync(join(folder, `wide/f${i}`), '')
}

async function run({ quick, progress }: BenchContext): Promise<BenchRow[]> {
  const { path: folder, remove } = temporaryFolder()
  const fs = await fsx({ dotdo: { data: join(folder, 'data'), durability: 'normal' } })
  const sql = openSqlite(join(folder, 'floor.sqlite'), { durability: 'normal' })
  sql.raw('create table floor (id integer primary key, data blob) strict')
  const ground: Ground = { fs, folder, sql, files: quick ? 100 : 10_000, bytes: quick ? 1 << 20 : 100 << 20 }
  const rows: BenchRow[] = []
  try {
    progress('preparing files')
    await prepare(ground)
    for (const { case: what, unit, ours, peer } of cases(ground)) {
      const told = (text: string) => progress(`${what}: ${text}`)
      const result = await alternate({ ours, peer, pairs: quick ? 1 : 5, progress: told })
      rows.push({ name, case: what, unit, ...result })
    }
    return rows
  } finally {
    await fs.close()
    sql.close()
    remove()
  }
}

/** The filesystem. */
export const filesystem: Bench = { name, about: 'our filesystem against node:fs and the floor of SQLite, CPU', run }
