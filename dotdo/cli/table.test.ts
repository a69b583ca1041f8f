import { describe, expect, it } from 'vitest'
import { alignRows, cellWidth, cut, fit, narrow, printable, showBytes, showDuration } from './table.ts'

describe('widths', () => {
  it.each([
    ['', 0],
    ['abc', 3],
    ['žluť', 4],
    ['e\u0301', 1],
    ['日本', 4],
    ['🐎', 2],
    ['한', 2],
  ])('%j takes %i cells', (text, cells) => {
    expect(cellWidth(text)).toBe(cells)
  })

  it.each([
    ['abcdef', 4, 'abc…'],
    ['abcd', 4, 'abcd'],
    ['日本語', 4, '日…'],
    ['日本', 4, '日本'],
  ])('%j is cut to %i cells as %j', (text, cells, expected) => {
    expect(cut(text, cells)).toBe(expected)
  })

  it('are filled on either side', () => {
    expect([fit('ab', 4), fit('ab', 4, true), fit('日本語', 5)]).toEqual(['ab  ', '  ab', '日本…'])
  })

  it.each([
    [[5, 5], 20, 8, [5, 5]],
    [[30, 5], 20, 8, [15, 5]],
    [[30, 20, 4], 30, 8, [13, 13, 4]],
    [[30, 30], 15, 8, undefined],
    [[30, 3], 11, 8, [8, 3]],
    [[9, 9, 9], Number.POSITIVE_INFINITY, 8, [9, 9, 9]],
  ])('%j in %i cells', (widths, room, least, expected) => {
    expect(narrow(widths, room, least)).toEqual(expected)
  })
})

it('control characters do not reach the terminal', () => {
  expect(printable('a\nb\u001b[31mc\u0000\u202e\ttab')).toBe('a\\nb\\u001b[31mc\\u0000\\u202e\\ttab')
})

it('rows are aligned by what is seen', () => {
  const rows = [
    ['name', 'count'],
    ['日本', '1'],
    ['a', '1,000'],
  ]
  expect(alignRows(rows, { right: [false, true] })).toEqual(['  name  count', '  日本      1', '  a     1,000'])
})

it.each([
  [0, '0 bytes'],
  [1, '1 byte'],
  [999, '999 bytes'],
  [1_500, '1.5 KB'],
  [123_456_789, '123 MB'],
  [5e15, '5000 TB'],
])('%i bytes are %s', (bytes, text) => {
  expect(showBytes(bytes)).toBe(text)
})

it.each([
  [1_500, '1500 ms'],
  [2_500, '2 seconds'],
  [3 * 86_400_000, '3 days'],
])('%i ms are %s', (ms, text) => {
  expect(showDuration(ms)).toBe(text)
})
