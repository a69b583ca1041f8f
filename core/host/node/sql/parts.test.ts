/** The parts that need no tables: ranges of bytes, places in texts, names, what DuckDB is loaded by. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { importDuckDB } from './duckdb.ts'
import { quoteName, quoteText } from './quote.ts'
import { type Range, Ranges } from './ranges.ts'
import { StatementText } from './text.ts'

describe('DuckDB', () => {
  it('that is not installed is asked for by name', async () => {
    const missing = 'no-such-duckdb'
    await expect(importDuckDB(() => import(missing))).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringMatching(/npm install @duckdb\/node-api/),
    })
  })
})

describe('ranges', () => {
  const range = fc.tuple(fc.nat(60), fc.nat(20)).map(([start, size]): Range => ({ start, end: start + size }))
  const bytesOf = (ranges: readonly Range[]) => {
    return new Set(ranges.flatMap(({ start, end }) => Array.from({ length: end - start }, (_, at) => start + at)))
  }

  it('know what is there and what is missing', () => {
    fc.assert(
      fc.property(fc.array(range), fc.array(range), range, (there, wanted, one) => {
        const ranges = new Ranges(there)
        const known = bytesOf(there)
        expect(ranges.bytes).toBe(known.size)
        expect(ranges.overlap(one)).toBe([...bytesOf([one])].filter((byte) => known.has(byte)).length)
        const missing = ranges.missing(wanted, { gapBytes: 0, sizeMax: 7 })
        expect(bytesOf(missing)).toEqual(
          new Set([...bytesOf(wanted)].filter((byte) => !known.has(byte)).sort((a, b) => a - b)),
        )
        for (const { start, end } of missing) expect(end - start).toBeLessThanOrEqual(7)
        for (const part of missing) ranges.add(part)
        expect(ranges.missing(wanted, { gapBytes: 0, sizeMax: 100 })).toEqual([])
      }),
    )
  })

  it('that are near are fetched together', () => {
    const wanted = [
      { start: 0, end: 10 },
      { start: 15, end: 20 },
      { start: 40, end: 50 },
    ]
    expect(new Ranges().missing(wanted, { gapBytes: 5, sizeMax: 100 })).toEqual([
      { start: 0, end: 20 },
      { start: 40, end: 50 },
    ])
  })
})

describe('texts', () => {
  it('have places for people, whatever the characters are', () => {
    const text = new StatementText("select 'é😀',\n  x")
    const byte = Buffer.byteLength("select 'é😀',\n  ")
    expect(text.place(byte)).toEqual({ line: 2, column: 3 })
    expect(text.place(0)).toEqual({ line: 1, column: 1 })
    expect(text.place(Buffer.byteLength("select 'é"))).toEqual({ line: 1, column: 10 })
  })

  it('lead back from where they were replaced', () => {
    const text = new StatementText('aé bb cc')
    const { text: made, place } = text.apply([
      { start: 4, end: 6, text: 'longer' },
      { start: 0, end: 3, text: '' },
    ])
    expect(made).toBe(' longer cc')
    expect(place(0)).toEqual({ line: 1, column: 3 })
    expect(place(1)).toEqual({ line: 1, column: 4 })
    expect(place(5)).toEqual({ line: 1, column: 4 })
    expect(place(8)).toEqual({ line: 1, column: 7 })
  })

  it('are read word by word, past comments', () => {
    const text = new StatementText('-- a comment\n /* another */ EXPLAIN /**/ Analyze select')
    expect(text.words(2).map((word) => word.text)).toEqual(['explain', 'analyze'])
    expect(new StatementText('').words(2)).toEqual([])
  })
})

describe('names and texts', () => {
  it('are quoted', () => {
    expect(quoteName('a"b')).toBe('"a""b"')
    expect(quoteText("it's")).toBe("'it''s'")
  })
})
