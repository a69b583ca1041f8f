import { expect, it } from 'vitest'
import { root } from '../../test/crash/server.ts'
import { readDataset } from '../demo/dataset.ts'
import { tellerOf } from '../demo/report.ts'
import { pageOf, svgChart, terminalChart } from './chart.ts'
import { Model, stepsOf } from './flights.ts'
import { runLakeDemo } from './main.ts'
import { summary } from './report.ts'

it('writes, tiers, asks, compacts, travels in time, is killed, and every answer is right', async () => {
  const told: string[] = []
  const result = await runLakeDemo({ quick: true, teller: tellerOf({ write: (text) => told.push(text) }) })
  expect(result.problems).toEqual([])
  // Two answers before and after each of 6 commits, one of changes, two after compaction, two for each past commit, two
  // after the kill, and 50 keys.
  expect(result).toMatchObject({ ok: true, commits: 6, checks: 4 * 6 + 1 + 2 + 2 * 6 + 2 + 50 })
  expect(result.written).toBeGreaterThan(2_000)
  expect(result.compaction.filesAfter).toBeLessThan(result.compaction.filesBefore)
  expect(result.samples.at(-1)).toMatchObject({ written: result.written, event: 'restarted' })
  // The newest 500 payloads of each shard, 100 bytes each or so, and no more.
  expect(result.samples.at(-1)?.hotBytes).toBeLessThan(4 * 500 * 150)
  expect(summary(result).join('\n')).toContain('All 91 answers are the model')
  expect(told.join('')).toContain('kill -9')
}, 120_000)

it('has steps that correct and cancel what earlier ones wrote', () => {
  const steps = stepsOf(readDataset(root, true), 6)
  const model = new Model()
  for (const step of steps) model.apply(step)
  const written = new Set<string>()
  const repeated = steps.flatMap(({ sets, deletes }) => {
    const again = [...sets.map(([key]) => key), ...deletes].filter((key) => written.has(key))
    for (const [key] of sets) written.add(key)
    return again
  })
  expect(repeated.length).toBeGreaterThan(200)
  expect(model.totals().flights).toBe(written.size - steps.reduce((sum, { deletes }) => sum + deletes.length, 0))
})

const samples = [
  { written: 0, hotBytes: 0, coldBytes: 0, files: 0 },
  { written: 100, hotBytes: 8_000, coldBytes: 4_000, files: 4 },
  { written: 200, hotBytes: 2_000, coldBytes: 2_000_000, files: 8, event: 'compacted & <done>' },
]

it('draws on a terminal', () => {
  expect(terminalChart(samples)).toEqual([
    '  hot: payloads in SQLite',
    '  │ █ │ 8 KB at most',
    '  │ █ │',
    '  │ █ │',
    '  │ ██│ 2 KB at the end',
    '  cold: Parquet in the lake',
    '  │  █│ 2.0 MB at most',
    '  │  █│',
    '  │  █│',
    '  │  █│ 2.0 MB at the end',
    '  files of the tables',
    '  │  █│ 8 files at most',
    '  │  █│',
    '  │ ██│',
    '  │ ██│ 8 files at the end',
    '  └──▲┘ rows written; ▲ compacted & <done>',
  ])
})

it('draws on a page, where names are only text', () => {
  const page = pageOf(samples, 'a <b>', ['1 < 2'])
  expect(page).toContain(svgChart(samples))
  expect(page).toContain('compacted &#38; &#60;done&#62;')
  expect(page).toContain('<pre>1 &#60; 2</pre>')
  expect(page).not.toContain('NaN')
})
