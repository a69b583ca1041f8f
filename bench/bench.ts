/** The bench harness: what a bench is, pairs that alternate, and how results are shown and kept.
 *
 *  1. A bench compares with a floor or a peer measured in the same run: only ratios survive a noisy machine.
 *  2. Pairs alternate, and so does who begins, so that drift (heat, neighbours) meets both alike.
 *  3. Raw samples are kept in bench/results, unless the run is quick: a quick run proves that a bench still runs. */
import { mkdir, writeFile } from 'node:fs/promises'
import { arch, availableParallelism, cpus, platform } from 'node:os'
import { join } from 'node:path'

/** One line of a bench's result. */
export interface BenchRow {
  /** The bench. */
  readonly name: string
  /** What of it was measured. */
  readonly case: string
  /** Our figure: the median of its samples. */
  readonly ours: number
  /** The figure of the floor or peer that `case` names. */
  readonly peer: number
  /** ours / peer: the median of the pairs' ratios. */
  readonly ratio: number
  /** Quartiles of the pairs' ratios; both equal the ratio when the figure is counted, not timed. */
  readonly spread: readonly [low: number, high: number]
  readonly unit: string
  /** Raw samples, in the order of the pairs. */
  readonly samples?: Samples
}

/** Raw samples of both sides, in the order of the pairs. */
export interface Samples {
  readonly ours: readonly number[]
  readonly peer: readonly number[]
}

/** How a bench is run. */
export interface BenchContext {
  /** Tiny sizes: the bench is to be proved alive, not its figures. */
  readonly quick: boolean
  /** Tell what is going on. */
  progress(text: string): void
}

/** A bench, as bench/main.ts lists it. */
export interface Bench {
  readonly name: string
  /** One line: what is measured against what. */
  readonly about: string
  /** Say what must be installed first; undefined when nothing is missing. */
  missing?(): string | undefined
  run(context: BenchContext): Promise<BenchRow[]>
}

/** Take one sample; the figure is the caller's: a time, a rate, a size. */
export type Sample = () => number | Promise<number>

/** What alternating pairs tell. */
export type Comparison = Pick<BenchRow, 'ours' | 'peer' | 'ratio' | 'spread'> & { readonly samples: Samples }

/** Find a quantile, between neighbours in proportion.
 *  @param values at least one; in any order
 *  @param q 0 to 1 */
export function quantile(values: readonly number[], q: number): number {
  if (values.length === 0) throw new RangeError('quantile of no values')
  const sorted = [...values].sort((a, b) => a - b)
  const place = (sorted.length - 1) * q
  const low = sorted[Math.floor(place)] as number
  return low + ((sorted[Math.ceil(place)] as number) - low) * (place % 1)
}

/** Measure in alternating pairs: ours first, then the peer first, and so on, after one unmeasured pair.
 *  @returns medians of both sides, the median of the pairs' ratios (not the ratio of the medians) and its quartiles
 *  @throws RangeError for a sample that is not a positive number: a bench that measured nothing */
export async function alternate(options: {
  readonly ours: Sample
  readonly peer: Sample
  readonly pairs: number
  /** Unmeasured pairs before. Default 1. */
  readonly warmups?: number
  progress?(text: string): void
}): Promise<Comparison> {
  const { pairs, warmups = 1, progress } = options
  if (!(Number.isInteger(pairs) && pairs > 0)) throw new RangeError(`${pairs} pairs`)
  const ours: number[] = []
  const peer: number[] = []
  const take = async (name: 'ours' | 'peer', into: number[]) => {
    const value = await options[name]()
    if (!(value > 0 && value < Number.POSITIVE_INFINITY)) throw new RangeError(`${name}: a sample of ${value}`)
    into.push(value)
  }
  for (let pair = -warmups; pair < pairs; pair++) {
    progress?.(pair < 0 ? 'warming up' : `pair ${pair + 1} of ${pairs}`)
    const into = pair < 0 ? { ours: [], peer: [] } : { ours, peer }
    const first = pair % 2 === 0 ? 'ours' : 'peer'
    const second = first === 'ours' ? 'peer' : 'ours'
    await take(first, into[first])
    await take(second, into[second])
  }
  return compare(ours, peer)
}

/** Compare samples that were taken in alternating pairs.
 *  @param peer as many as `ours`, each the partner of the one at its place */
export function compare(ours: readonly number[], peer: readonly number[]): Comparison {
  const ratios = ours.map((value, i) => value / (peer[i] as number))
  return {
    ours: quantile(ours, 0.5),
    peer: quantile(peer, 0.5),
    ratio: quantile(ratios, 0.5),
    spread: [quantile(ratios, 0.25), quantile(ratios, 0.75)],
    samples: { ours, peer },
  }
}

/** Make a comparison of figures that are counted or computed, and so have no spread.
 *  @throws RangeError for a figure that is not a positive number: a bench that measured nothing */
export function exact(ours: number, peer: number): Comparison {
  if (!(ours > 0 && peer > 0 && ours + peer < Number.POSITIVE_INFINITY)) throw new RangeError(`${ours} against ${peer}`)
  const ratio = ours / peer
  return { ours, peer, ratio, spread: [ratio, ratio], samples: { ours: [ours], peer: [peer] } }
}

/** Write a figure with four digits, large ones in thousands groups. */
export function figure(value: number): string {
  if (Number.isInteger(value) || Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en-US')
  return value.toPrecision(4)
}

/** Write rows as a table for people. */
export function tableOf(rows: readonly BenchRow[]): string {
  const ratio = (value: number) => value.toFixed(value < 10 ? 3 : 1)
  const lines = rows.map((row) => [
    row.case,
    figure(row.ours),
    figure(row.peer),
    row.unit,
    ratio(row.ratio),
    `${ratio(row.spread[0])}-${ratio(row.spread[1])}`,
  ])
  const all = [['case', 'ours', 'peer', 'unit', 'ratio', 'quartiles'], ...lines]
  const widths = (all[0] as string[]).map((_, column) =>
    Math.max(...all.map((line) => (line[column] as string).length)),
  )
  const text = (column: number) => column === 0 || column === 3
  const cell = (value: string, column: number) =>
    text(column) ? value.padEnd(widths[column] as number) : value.padStart(widths[column] as number)
  return all.map((line) => line.map(cell).join('  ').trimEnd()).join('\n')
}

/** Write a row as the one-line object that `--json` prints: without raw samples. */
export function jsonOf(row: BenchRow): string {
  const { name, case: what, ours, peer, ratio, spread, unit } = row
  return JSON.stringify({ name, case: what, ours, peer, ratio, spread, unit })
}

/** Keep rows and raw samples in a file, with the machine they were taken on.
 *  @returns its path */
export async function keep(folder: string, rows: readonly BenchRow[], at: Date): Promise<string> {
  await mkdir(folder, { recursive: true })
  const name = rows[0]?.name ?? 'empty'
  const path = join(folder, `${name}-${at.toISOString().replaceAll(':', '').slice(0, 17)}Z.json`)
  const machine = {
    node: process.version,
    platform: `${platform()} ${arch()}`,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
  }
  await writeFile(path, `${JSON.stringify({ at: at.toISOString(), machine, rows }, undefined, 2)}\n`)
  return path
}
