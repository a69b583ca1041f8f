/** Bench `fsx-workers`: a filesystem in workerd, in a Durable Object, used from inside it.
 *
 *  Goals (issue 5): a file of 1 KB is created in 25 us of CPU, asked about in 35, read in 30; two rows are written for
 *  a file. CPU is that of the whole process, from /proc, less that of an empty request before or after, in turn. */
import { readFileSync } from 'node:fs'
import { temporaryFolder } from '../core/host/node/testing.ts'
import { bundleWorker, launch } from '../test/workers/workerd.ts'
import { type Bench, type BenchRow, compare, exact } from './bench.ts'
import { cpuSeconds, procMissing, TICKS } from './proc.ts'

const name = 'fsx-workers'
const FILES = 10_000
const FILES_QUICK = 200

const cases = [
  { path: '/create', label: 'create a file of 1 KB, each a transaction', goalUs: 25 },
  { path: '/batch', label: 'create a file of 1 KB, all in one transaction', goalUs: 25 },
  { path: '/stat', label: 'stat', goalUs: 35 },
  { path: '/read', label: 'read 1 KB', goalUs: 30 },
] as const

/** A filesystem in workerd. */
export const filesystemWorkers: Bench = {
  name,
  about: 'a filesystem in a Durable Object: CPU and rows written a file, against the goals',
  missing: procMissing,
  async run({ quick, progress }) {
    const folder = temporaryFolder()
    const files = quick ? FILES_QUICK : FILES
    const script = await bundleWorker('bench-fsx-workers', 'bench/fsx-workers-object.ts')
    const { miniflare, url, pid } = await launch({
      name: 'bench',
      modules: [{ type: 'ESModule', path: script, contents: readFileSync(script, 'utf8') }],
      compatibilityDate: '2026-04-20',
      compatibilityFlags: ['nodejs_compat'],
      durableObjects: { FILES: { className: 'Files', useSQLite: true } },
      durableObjectsPersist: folder.path,
    })
    const ask = async (path: string) => {
      const before = cpuSeconds(pid)
      const answer = await fetch(`${url}${path}?n=${files}`)
      const text = await answer.text()
      if (!answer.ok || !/^\d+$/.test(text)) throw new Error(`${path}: ${text}`)
      return { seconds: cpuSeconds(pid) - before, rows: Number(text) }
    }
    const rows: BenchRow[] = []
    try {
      for (const { path, label, goalUs } of cases) {
        const micros: number[] = []
        let written = 0
        const pairs = quick ? 1 : 5
        for (let pair = -1; pair < pairs; pair++) {
          progress(`${label}: ${pair < 0 ? 'warming up' : `pair ${pair + 1} of ${pairs}`}`)
          const emptyFirst = pair % 2 === 0 ? (await ask('/empty')).seconds : undefined
          const done = await ask(path)
          const seconds = done.seconds - (emptyFirst ?? (await ask('/empty')).seconds)
          written = done.rows
          // One tick at the least: a quick run may take less.
          if (pair >= 0) micros.push((Math.max(seconds, 1 / TICKS) * 1e6) / files)
        }
        const goals = micros.map(() => goalUs)
        rows.push({ name, case: `${label}, against ${goalUs} us`, unit: 'us', ...compare(micros, goals) })
        if (path === '/create' || path === '/batch') {
          rows.push({ name, case: `${label}: rows written, against 2`, unit: 'rows', ...exact(written / files, 2) })
        }
      }
      return rows
    } finally {
      await miniflare.dispose()
      folder.remove()
    }
  },
}
