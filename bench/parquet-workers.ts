/** Bench `parquet-workers`: the Parquet writer in workerd, fed from Durable Object storage, 20,000 rows a row group.
 *
 *  Goal (issue 3): 350,000 rows a CPU second. CPU is that of the whole process, from /proc, less that of an empty
 *  request made before or after, in turn. The bytes go nowhere. */
import { readFileSync } from 'node:fs'
import { temporaryFolder } from '../core/host/node/testing.ts'
import { bundleWorker, launch } from '../test/workers/workerd.ts'
import { type Bench, type BenchRow, compare } from './bench.ts'
import { cpuSeconds, procMissing, TICKS } from './proc.ts'

const name = 'parquet-workers'
const ROWS = 500_000
const ROWS_QUICK = 5_000
const GOAL_ROWS_PER_SECOND = 350_000
/** The Parquet writer in workerd. */
export const parquetWorkers: Bench = {
  name,
  about: 'the Parquet writer in workerd, from a Durable Object: rows a CPU second against the goal of 350,000',
  missing: procMissing,
  async run({ quick, progress }) {
    const folder = temporaryFolder()
    const rows = quick ? ROWS_QUICK : ROWS
    const script = await bundleWorker('bench-parquet-workers', 'bench/parquet-workers-object.ts')
    const { miniflare, url, pid } = await launch({
      name: 'bench',
      modules: [{ type: 'ESModule', path: script, contents: readFileSync(script, 'utf8') }],
      compatibilityDate: '2026-04-20',
      compatibilityFlags: ['nodejs_compat'],
      durableObjects: { EVENTS: { className: 'Events', useSQLite: true } },
      durableObjectsPersist: folder.path,
    })
    const cpuOf = async (path: string) => {
      const before = cpuSeconds(pid)
      const answer = await fetch(`${url}${path}`)
      const text = await answer.text()
      if (!answer.ok || (path === '/write' && !(Number(text) > 0))) throw new Error(`${path}: ${text}`)
      return cpuSeconds(pid) - before
    }
    try {
      progress(`making ${rows} rows`)
      await cpuOf(`/fill?rows=${rows}`)
      const rates: number[] = []
      const pairs = quick ? 1 : 7
      for (let pair = -1; pair < pairs; pair++) {
        progress(pair < 0 ? 'warming up' : `pair ${pair + 1} of ${pairs}`)
        const emptyFirst = pair % 2 === 0 ? await cpuOf('/empty') : undefined
        const writing = await cpuOf('/write')
        const seconds = writing - (emptyFirst ?? (await cpuOf('/empty')))
        // One tick at the least: a quick run may take less.
        if (pair >= 0) rates.push(rows / Math.max(seconds, 1 / TICKS))
      }
      const row: BenchRow = {
        name,
        case: `rows a CPU second, against the goal of ${GOAL_ROWS_PER_SECOND}`,
        unit: 'rows/s',
        ...compare(
          rates,
          rates.map(() => GOAL_ROWS_PER_SECOND),
        ),
      }
      return [row]
    } finally {
      await miniflare.dispose()
      folder.remove()
    }
  },
}
