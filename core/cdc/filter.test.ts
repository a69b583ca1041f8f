import { describe, expect, test } from 'vitest'
import { FEED_COLLECTIONS_MAX, FEED_PATTERN_CHARS_MAX } from '../limits.ts'
import type { ChangeRecord } from '../shard/system.ts'
import type { Operation } from './event.ts'
import { compileFilter, compileGlob, type Filter } from './filter.ts'

describe('a pattern', () => {
  test.each([
    ['user:1', ['user:1'], ['user:12', 'auser:1', '']],
    ['user:*', ['user:', 'user:1', 'user:\n'], ['use', 'xuser:1']],
    ['*:1', [':1', 'a:1', 'a:1:1'], ['a:12']],
    ['a*b*c', ['abc', 'aXbYc', 'abbcc', 'abcbc'], ['ab', 'acb', 'abcd']],
    ['?', ['a', 'é', '😀'], ['', 'ab']],
    ['a?c*', ['abc', 'abcd'], ['ac']],
    ['\\*\\?\\\\', ['*?\\'], ['abc']],
    ['**', ['', 'x'], []],
    ['a.c[x]', ['a.c[x]'], ['abcx']],
  ])('%s', (pattern, hits, misses) => {
    const matches = compileGlob(pattern)
    expect(hits.filter((text) => !matches(text))).toEqual([])
    expect(misses.filter(matches)).toEqual([])
  })

  test('takes no exponential time', () => {
    expect(compileGlob(`${'*a'.repeat(400)}b`)('a'.repeat(2_000))).toBe(false)
  })

  test.each(['', 'a\\', 'a'.repeat(FEED_PATTERN_CHARS_MAX + 1)])('that is none is refused: %.10s', (pattern) => {
    expect(() => compileGlob(pattern)).toThrow(expect.objectContaining({ code: 'invalid' }))
  })
})

const record: ChangeRecord = { seq: 1, epoch: 1, atMs: 0, collection: 'c', op: 'put', slot: 3, documentId: 'user:1' }
const keeps = (filter: Filter, change: Partial<ChangeRecord> = {}) => compileFilter(filter)({ ...record, ...change })

describe('a filter', () => {
  test('keeps everything when it asks for nothing, but rows that left the shard', () => {
    expect(keeps({})).toBe(true)
    expect(keeps({}, { op: 'truncate', slot: -1 })).toBe(true)
    expect(keeps({}, { op: 'truncate', slot: 3 })).toBe(false)
  })

  test('keeps documents whose id matches, and truncates, which may have removed one', () => {
    expect(keeps({ documentId: 'user:*' })).toBe(true)
    expect(keeps({ documentId: 'order:*' })).toBe(false)
    expect(keeps({ documentId: 'order:*' }, { op: 'truncate', slot: -1, documentId: '' })).toBe(true)
  })

  test('keeps operations; put stands for insert and update too', () => {
    const of = (operations: Operation[]) => [
      keeps({ operations }),
      keeps({ operations }, { before: null }),
      keeps({ operations }, { before: {} }),
      keeps({ operations }, { op: 'delete' }),
      keeps({ operations }, { op: 'truncate', slot: -1 }),
    ]
    expect(of(['put'])).toEqual([true, true, true, false, false])
    expect(of(['insert'])).toEqual([false, true, false, false, false])
    expect(of(['update', 'delete'])).toEqual([false, false, true, true, false])
    expect(of(['truncate'])).toEqual([false, false, false, false, true])
  })

  test.each([
    ['an operation that does not exist', { operations: ['replace' as Operation] }],
    ['no operations', { operations: [] }],
    ['no collections', { collections: [] }],
    ['a collection without a name', { collections: ['a', ''] }],
    ['too many collections', { collections: Array.from({ length: FEED_COLLECTIONS_MAX + 1 }, () => 'a') }],
  ])('with %s is refused', (_, filter) => {
    expect(() => compileFilter(filter)).toThrow(expect.objectContaining({ code: 'invalid' }))
  })
})
