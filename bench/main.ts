/** `npm run bench`: list the benches, or run some.
 *
 *    npm run bench -- NAME... [--json] [--quick] */
import { dirname, join } from 'node:path'
import { Command } from 'commander'
import { type Bench, jsonOf, keep, tableOf } from './bench.ts'
import { bullmq } from './bullmq.ts'
import { coldOpen } from './cold-open.ts'
import { filesystem } from './fsx.ts'
import { filesystemForks } from './fsx-fork.ts'
import { filesystemMany } from './fsx-many.ts'
import { filesystemPeers } from './fsx-peers.ts'
import { filesystemWorkers } from './fsx-workers.ts'
import { groupCommit } from './group-commit.ts'
import { lakeCommits } from './lake-commits.ts'
import { lakeFlush } from './lake-flush.ts'
import { lakeWrites } from './lake-writes.ts'
import { logOverhead } from './log-overhead.ts'
import { parquet } from './parquet.ts'
import { parquetReading } from './parquet-read.ts'
import { parquetWorkers } from './parquet-workers.ts'
import { redis } from './redis.ts'
import { redisInProcess } from './redis-in-process.ts'
import { routing } from './routing.ts'
import { sql } from './sql.ts'
import { workersFlush } from './workers-flush.ts'

/** Every bench, in the order they are listed. Add yours here. */
export const benches: readonly Bench[] = [
  routing,
  groupCommit,
  logOverhead,
  redis,
  redisInProcess,
  bullmq,
  coldOpen,
  parquet,
  parquetReading,
  parquetWorkers,
  lakeCommits,
  lakeFlush,
  lakeWrites,
  sql,
  workersFlush,
  filesystem,
  filesystemPeers,
  filesystemWorkers,
  filesystemMany,
  filesystemForks,
]

interface Flags {
  json?: boolean
  quick?: boolean
}

/** Show progress on stderr: one line that is written over on a terminal, nothing but the benches' names elsewhere. */
function progressOf(name: string): { show(text: string): void; end(): void } {
  const { stderr } = process
  if (!stderr.isTTY) {
    stderr.write(`${name} ...\n`)
    return { show: () => {}, end: () => {} }
  }
  const write = (text: string) => stderr.write(`\r\x1b[2K${text.slice(0, (stderr.columns ?? 80) - 1)}`)
  return { show: (text) => write(`${name}: ${text}`), end: () => write('') }
}

async function runOne(bench: Bench, flags: Flags, folder: string): Promise<void> {
  const missing = bench.missing?.()
  if (missing !== undefined) throw new Error(`bench ${bench.name}: ${missing}`)
  const { quick = false, json = false } = flags
  const { show, end } = progressOf(bench.name)
  const rows = await bench.run({ quick, progress: show }).finally(end)
  console.log(json ? rows.map(jsonOf).join('\n') : `${bench.name}: ${bench.about}\n\n${tableOf(rows)}\n`)
  if (!quick) process.stderr.write(`raw samples in ${await keep(folder, rows, new Date())}\n`)
}

/** Run the command line.
 *  @param argv the arguments after the program's name
 *  @param folder where raw samples are kept */
export async function main(argv: readonly string[], folder: string): Promise<void> {
  const names = benches.map(({ name }) => name)
  const command = new Command('bench')
    .description('Measure ratios to a floor or a peer, in alternating pairs. Without a name, lists the benches.')
    .argument('[names...]', `which: ${names.join(', ')}, or all`)
    .option('--json', 'print one object a line instead of a table')
    .option('--quick', 'tiny sizes: shows that a bench runs, its figures say nothing')
    .action(async (wanted: string[], flags: Flags) => {
      const unknown = wanted.filter((name) => name !== 'all' && !names.includes(name))
      if (unknown.length > 0) command.error(`no bench ${unknown.join(', ')}; there are ${names.join(', ')}, all`)
      const width = Math.max(...names.map((name) => name.length))
      if (wanted.length === 0) for (const { name, about } of benches) console.log(`${name.padEnd(width)}  ${about}`)
      for (const bench of benches) {
        if (wanted.includes('all') || wanted.includes(bench.name)) await runOne(bench, flags, folder)
      }
    })
  await command.parseAsync(argv, { from: 'user' })
}

// Imported by its test, this file runs nothing; started (scripts/run.mjs names the source in argv), it does.
const started = process.argv[1] ?? ''
if (started.endsWith(join('bench', 'main.ts'))) {
  await main(process.argv.slice(2), join(dirname(started), 'results'))
}
