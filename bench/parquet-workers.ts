/** Bench `parquet-workers`: the Parquet writer inside workerd, fed from Durable Object storage, 20,000 rows a row group.
 *
 *  Goal (issue 3): 350,000 rows a CPU second. CPU is that of the whole process, from /proc, less that of an empty
 *  request made before or after, in turn. The bytes go nowhere. */
import { existsSync, readFileSync } from 'node:fs'
import { temporaryFolder } from '../core/host/node/testing.ts'
import { bundleWorker, launch } from '../test/workers/workerd.ts'
import { type Bench, type BenchRow, compare } from './bench.ts'

const name = 'parquet-workers'
const ROWS = 500_000
const ROWS_QUICK = 5_000
const GOAL_ROWS_PER_SECOND = 350_000
/** Ticks of /proc/PID/stat in a second, on every Linux that Node runs on. */
const TICKS = 100

/** CPU seconds that a process has used. */
function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // The name before it may have spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS
}

/** The Parquet writer in workerd. */
export const parquetWorkers: Bench = {
  name,
  about: 'the Parquet writer in workerd, from a Durable Object: rows a CPU second against the goal of 350,000',
  missing: () => (existsSync('/proc/self/stat') ? undefined : 'CPU times are read from /proc, which is not there'),
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
