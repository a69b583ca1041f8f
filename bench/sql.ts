/** Bench `sql`: aggregates over cold rows, and over hot and cold rows together, against DuckDB on files.
 *
 *  Goals (issue 3): over 10 M cold rows at most 1.3 times DuckDB's time on the same files; over 1 M hot and 10 M cold
 *  at most 1.6 times DuckDB's time on files of all 11 M.
 *
 *  The lake is on this disk; both sides have as many threads. Hot rows are fetched from their shards by the first query
 *  and kept in DuckDB: the repeated query asks every shard what is newer. */
import { nodeClock, openSqlEngine } from '@dotdo/core/host/node'
import type { DuckDBConnection } from '@duckdb/node-api'
import { quoteText } from '../core/host/node/sql/quote.ts'
import { temporaryFolder } from '../core/host/node/testing.ts'
import type { SqlEngine } from '../core/tiering/sql/port.ts'
import { alternate, type Bench, type BenchRow, exact } from './bench.ts'
import { benchPrograms, openSqlData, type SqlData } from './sql-data.ts'

const name = 'sql'
const HOT_ROWS = 1_000_000
const COPIES = 9
const THREADS = 2

const aggregate = (from: string) =>
  `select ns, type, count(*) as n, sum(amount) as total from ${from} group by ns, type order by ns, type`

/** Milliseconds that a query takes, to its last row. */
async function timeOf(engine: SqlEngine, from: string): Promise<{ ms: number; rows: number; hot: number }> {
  const started = performance.now()
  const result = await engine.query({ text: aggregate(from), database: 'bench' })
  let rows = 0
  for await (const batch of result.batches) for (const row of batch) rows += Number(row[2])
  return { ms: performance.now() - started, rows, hot: result.stats().hotRows }
}

/** The same of DuckDB on files. */
async function peerTime(connection: DuckDBConnection, paths: readonly string[]): Promise<{ ms: number; rows: number }> {
  const started = performance.now()
  const files = `read_parquet([${paths.map(quoteText).join(', ')}])`
  const rows = (await connection.runAndReadAll(aggregate(files))).getRows()
  return { ms: performance.now() - started, rows: rows.reduce((sum, row) => sum + Number(row[2]), 0) }
}

/** What the cases share. */
interface Setting {
  readonly data: SqlData
  readonly engine: SqlEngine
  readonly peer: DuckDBConnection
  readonly pairs: number
  readonly hotRows: number
  progress(text: string): void
}

function check(is: number, right: number): void {
  if (is !== right) throw new Error(`${is} rows were counted, not ${right}`)
}

async function measureCold({ data, engine, peer, pairs, hotRows, progress }: Setting): Promise<BenchRow[]> {
  const paths = await data.paths()
  const total = hotRows * (COPIES + 1)
  check((await timeOf(engine, 'events')).rows, total)
  check((await peerTime(peer, paths)).rows, total)
  const compared = await alternate({
    ours: async () => (await timeOf(engine, 'events')).ms,
    peer: async () => (await peerTime(peer, paths)).ms,
    pairs,
    progress: (text) => progress(`cold: ${text}`),
  })
  return [
    {
      name,
      case: `aggregate of ${millions(total)} cold rows, against DuckDB on the same files`,
      unit: 'ms',
      ...compared,
    },
  ]
}

const millions = (rows: number) => (rows >= 1e6 ? `${rows / 1e6} M` : `${rows}`)

async function measureHot({ data, engine, peer, pairs, hotRows, progress }: Setting): Promise<BenchRow[]> {
  const cold = await data.paths()
  // As many rows of the same kind as there are hot ones.
  const paths = [...cold, ...cold.slice(0, cold.length / (COPIES + 1))]
  progress('putting hot rows')
  await data.put(hotRows)
  const total = hotRows * (COPIES + 2)
  progress('the first query')
  const first = await timeOf(engine, 'events')
  check(first.rows, total)
  check(first.hot, hotRows)
  const plain = await peerTime(peer, paths)
  check(plain.rows, total)
  const of = `${millions(hotRows)} hot and ${millions(hotRows * (COPIES + 1))} cold rows`
  const compared = await alternate({
    ours: async () => (await timeOf(engine, 'events')).ms,
    peer: async () => (await peerTime(peer, paths)).ms,
    pairs,
    progress: (text) => progress(`hot: ${text}`),
  })
  const news = Math.max(1, Math.floor(hotRows / 100))
  const alone = await alternate({
    async ours() {
      await data.put(news)
      return (await timeOf(engine, 'events')).ms
    },
    peer: async () => (await peerTime(peer, paths)).ms,
    pairs,
    progress: (text) => progress(`hot and new: ${text}`),
  })
  return [
    { name, case: `aggregate of ${of}, repeated, against DuckDB on files of all`, unit: 'ms', ...compared },
    { name, case: `the same with ${news} new rows since the last query`, unit: 'ms', ...alone },
    { name, case: 'the first of them, which fetches the hot rows', unit: 'ms', ...exact(first.ms, plain.ms) },
  ]
}

/** SQL over hot and cold. */
export const sql: Bench = {
  name,
  about: 'aggregates over cold rows, and over hot and cold, against DuckDB on files of all of them',
  async run({ quick, progress }) {
    const { path: folder, remove } = temporaryFolder()
    const hotRows = quick ? 2_000 : HOT_ROWS
    const api = await import('@duckdb/node-api')
    const instance = await api.DuckDBInstance.create(':memory:', { threads: `${THREADS}` })
    const peer = await instance.connect()
    const data = await openSqlData(folder, 2)
    const programs = benchPrograms
    const engine = openSqlEngine({ fabric: data.fabric, programs, lake: data.lake, threads: THREADS, clock: nodeClock })
    try {
      progress(`making ${hotRows} rows`)
      await data.put(hotRows)
      progress('tiering them')
      await data.tier()
      await data.copyFiles(COPIES)
      const setting = { data, engine, peer, pairs: quick ? 1 : 7, hotRows, progress }
      return [...(await measureCold(setting)), ...(await measureHot(setting))]
    } finally {
      await engine.close()
      await data.close()
      peer.closeSync()
      instance.closeSync()
      remove()
    }
  },
}
