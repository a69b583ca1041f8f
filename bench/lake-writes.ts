/** Bench `lake-writes`: writes to a shard at full speed while its changes are written to the lake beside it, in the
 *  same thread, against the same writes alone.
 *
 *  Goal (issue 3): at least 0.7 times the rate, at most twice the p99. Sixteen callers put one row after the other; a
 *  flush of a backlog runs from the first call to the last. Alone, they write for as long as the flush before took:
 *  so they always come second, to a table that has grown. Wall times: neighbours on the machine meet both sides. */
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { openSqlite } from '@dotdo/core/host/node'
import { temporaryFolder } from '../core/host/node/testing.ts'
import type { PolicyOptions } from '../core/tiering/tier/port.ts'
import { type Bench, type BenchContext, type BenchRow, compare, quantile } from './bench.ts'
import { type BenchLake, collection, database, forgetLake, openBenchLake, readEvents } from './lake-data.ts'
import { fillEvents } from './parquet-data.ts'

const name = 'lake-writes'
const CALLERS = 16
const KEPT_LOG_BYTES = 2 ** 33

/** What callers saw. */
interface Load {
  readonly rate: number
  readonly p99Ms: number
}

/** Write at full speed until something has ended. */
async function writeUntil(bench: BenchLake, label: string, end: Promise<unknown>): Promise<Load> {
  let done = false
  end.finally(() => {
    done = true
  })
  const data = JSON.stringify({ user: 'user-1', note: 'x'.repeat(100) })
  const latencies: number[] = []
  const call = async (caller: number) => {
    for (let at = 0; !done; at++) {
      const began = performance.now()
      await bench.put([{ id: `${label}-${caller}-${at}`, data, amount: at }])
      latencies.push(performance.now() - began)
    }
  }
  const began = performance.now()
  await Promise.all(Array.from({ length: CALLERS }, (_, caller) => call(caller)))
  await end
  const seconds = (performance.now() - began) / 1000
  return { rate: latencies.length / seconds, p99Ms: quantile(latencies, 0.99) }
}

/** Write beside a flush, and then alone for as long. */
async function pairOf(backlog: string, label: string): Promise<{ beside: Load; alone: Load }> {
  const place = temporaryFolder()
  // Of its own, as it grows by what is written.
  const data = join(place.path, 'data')
  cpSync(backlog, data, { recursive: true })
  forgetLake(data)
  const bench = await openBenchLake({ data, place: join(place.path, 'lake'), logBytes: KEPT_LOG_BYTES })
  try {
    // The first writes are slower, whoever makes them.
    await writeUntil(bench, `${label}-first`, new Promise((resolve) => setTimeout(resolve, 300)))
    const began = performance.now()
    const beside = await writeUntil(bench, `${label}-beside`, bench.lake.flush(database))
    const ms = performance.now() - began
    const alone = await writeUntil(bench, `${label}-alone`, new Promise((resolve) => setTimeout(resolve, ms)))
    return { beside, alone }
  } finally {
    await bench.close()
    place.remove()
  }
}

/** What is measured of one kind of table. */
async function measure(
  { quick, progress }: BenchContext,
  { what, rows, count, policy }: { what: string; rows: number; count: number; policy: PolicyOptions },
): Promise<BenchRow[]> {
  const { path: folder, remove } = temporaryFolder()
  try {
    const data = join(folder, 'data')
    const source = openSqlite(join(folder, 'events.sqlite'), { durability: 'normal' })
    fillEvents(source, rows)
    source.close()
    const first = await openBenchLake({ data, place: join(folder, 'none'), logBytes: KEPT_LOG_BYTES })
    await first.lake.setPolicy(database, collection, policy)
    await first.lake.flush(database)
    for (const some of readEvents(join(folder, 'events.sqlite'))) await first.put(some)
    await first.close()
    const pairs: Awaited<ReturnType<typeof pairOf>>[] = []
    // The first pair only warms up.
    for (let pair = quick ? 1 : 0; pair <= count; pair++) {
      progress(`${what}: pair ${pair} of ${count}`)
      const one = await pairOf(data, `${pair}`)
      if (pair > 0) pairs.push(one)
    }
    const of = (field: keyof Load) =>
      compare(
        pairs.map(({ beside }) => beside[field]),
        pairs.map(({ alone }) => alone[field]),
      )
    return [
      { name, case: `writes a second beside a flush of ${what}, against alone`, unit: 'rows/s', ...of('rate') },
      { name, case: `p99 of a write beside a flush of ${what}, against alone`, unit: 'ms', ...of('p99Ms') },
    ]
  } finally {
    remove()
  }
}

/** Writes while tiering runs. */
export const lakeWrites: Bench = {
  name,
  about: 'writes to a shard while its changes flow into the lake: rate and p99 against writes alone',
  async run(context) {
    const { quick } = context
    const changes = { what: 'changes', rows: quick ? 2_000 : 200_000, count: quick ? 1 : 5, policy: { mirror: false } }
    const found = await measure(context, changes)
    // A mirror runs after the writers for a quarter of a minute and more, however few rows there were.
    if (quick) return found
    const mirror = { what: 'a mirror', rows: 30_000, count: 1, policy: { changes: false } }
    return [...found, ...(await measure(context, mirror))]
  },
}
