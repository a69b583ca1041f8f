import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { alternate, type BenchRow, exact, jsonOf, keep, quantile, tableOf } from './bench.ts'
import { benches, main } from './main.ts'

const row: BenchRow = { name: 'n', case: 'c', unit: 'ns', ...exact(30, 20) }

describe('every bench', () => {
  it.for(benches.map((bench) => [bench.name, bench] as const))(
    '%s runs at its tiny size',
    { timeout: 120_000 },
    async ([name, bench], { skip }) => {
      const missing = bench.missing?.()
      if (missing !== undefined) return skip(missing)
      const told: string[] = []
      const rows = await bench.run({ quick: true, progress: (text) => told.push(text) })
      expect(rows.length).toBeGreaterThan(0)
      expect(told.length).toBeGreaterThan(0)
      for (const one of rows) {
        expect(one).toMatchObject({ name, case: expect.stringMatching(/./), unit: expect.stringMatching(/./) })
        for (const value of [one.ours, one.peer, one.ratio, ...one.spread]) expect(Number.isFinite(value)).toBe(true)
        expect(one.spread[0]).toBeLessThanOrEqual(one.ratio)
        expect(one.spread[1]).toBeGreaterThanOrEqual(one.ratio)
        expect(one.samples?.ours.length).toBe(one.samples?.peer.length)
      }
      expect(new Set(rows.map((one) => one.case)).size).toBe(rows.length)
    },
  )

  it('has a name of its own', () => {
    expect(new Set(benches.map(({ name }) => name)).size).toBe(benches.length)
  })
})

describe('alternate', () => {
  it('takes turns in beginning, after the warm-up, and reports the median of the ratios of pairs', async () => {
    const order: string[] = []
    const take = (name: string, values: number[]) => () => {
      order.push(name)
      return values[order.filter((one) => one === name).length - 1] as number
    }
    const result = await alternate({
      ours: take('ours', [99, 10, 30, 200]),
      peer: take('peer', [1, 10, 10, 100]),
      pairs: 3,
    })
    expect(order).toEqual(['peer', 'ours', 'ours', 'peer', 'peer', 'ours', 'ours', 'peer'])
    expect(result).toEqual({
      ours: 30,
      peer: 10,
      ratio: 2,
      spread: [1.5, 2.5],
      samples: { ours: [10, 30, 200], peer: [10, 10, 100] },
    })
  })

  it('warms up as often as it is told', async () => {
    let calls = 0
    await alternate({ ours: () => ++calls, peer: () => 1, pairs: 2, warmups: 3 })
    expect(calls).toBe(5)
  })

  it('refuses samples that measured nothing', async () => {
    for (const value of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      await expect(alternate({ ours: () => value, peer: () => 1, pairs: 1 })).rejects.toThrow(RangeError)
    }
    await expect(alternate({ ours: () => 1, peer: () => 1, pairs: 0 })).rejects.toThrow(RangeError)
    for (const value of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) expect(() => exact(value, 1)).toThrow(RangeError)
  })
})

describe('results', () => {
  it('have quantiles between neighbours', () => {
    expect([0, 0.25, 0.5, 0.75, 1].map((q) => quantile([4, 1, 3, 2], q))).toEqual([1, 1.75, 2.5, 3.25, 4])
    expect(quantile([7], 0.3)).toBe(7)
    expect(() => quantile([], 0.5)).toThrow(RangeError)
  })

  it('print as a table and as an object a line without raw samples', () => {
    expect(tableOf([row])).toBe(
      'case  ours  peer  unit  ratio    quartiles\nc       30    20  ns    1.500  1.500-1.500',
    )
    expect(JSON.parse(jsonOf(row))).toEqual({
      name: 'n',
      case: 'c',
      ours: 30,
      peer: 20,
      ratio: 1.5,
      spread: [1.5, 1.5],
      unit: 'ns',
    })
  })

  it('are kept with their raw samples', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'dotdo-bench-'))
    const path = await keep(join(folder, 'results'), [row], new Date('2026-11-21T03:04:05.678Z'))
    expect(path).toBe(join(folder, 'results', 'n-2026-11-21T030405Z.json'))
    expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({ at: '2026-11-21T03:04:05.678Z', rows: [row] })
    await rm(folder, { recursive: true })
  })
})

describe('the command line', () => {
  const printed = async (...argv: string[]) => {
    const log = vi.spyOn(console, 'log').mockImplementation(() => {})
    try {
      await main(argv, join(tmpdir(), 'never-written'))
      return log.mock.calls.flat().join('\n')
    } finally {
      log.mockRestore()
    }
  }

  it('lists the benches without a name', async () => {
    const lines = (await printed()).split('\n')
    expect(lines.map((line) => line.split(' ')[0])).toEqual(benches.map(({ name }) => name))
  })

  it('runs the one named, as a table or as JSON', async () => {
    expect(await printed('routing', '--quick')).toMatch(/^routing: .*\n\ncase +ours/)
    const lines = (await printed('routing', '--quick', '--json')).split('\n').map((line) => JSON.parse(line))
    expect(Object.keys(lines[0])).toEqual(['name', 'case', 'ours', 'peer', 'ratio', 'spread', 'unit'])
  })
})
