import { describe, expect, test } from 'vitest'
import { fromBase64Url, toBase64Url } from '../bytes.ts'
import { FEED_TOKEN_CHARS_MAX } from '../limits.ts'
import { decodeToken, encodeToken, type Vector } from './token.ts'

const vector: Vector = {
  database: 'default',
  epoch: 3,
  positions: [
    { incarnation: 'abc123', epoch: 3, seq: 17 },
    { incarnation: 'zz', epoch: 1, seq: 0 },
    { incarnation: 'q', epoch: 0, seq: 2 ** 53 - 1 },
  ],
}

describe('a token', () => {
  test('holds every place', () => {
    expect(decodeToken(encodeToken(vector), 'default')).toEqual(vector)
  })

  test('is one word of characters that need no escape in a URL or header', () => {
    expect(encodeToken(vector)).toMatch(/^[A-Za-z0-9_-]+$/)
    expect(JSON.parse(fromBase64Url(encodeToken(vector)))).toEqual({
      v: 1,
      d: 'default',
      e: 3,
      p: [
        ['abc123', 17],
        ['zz', 0, 1],
        ['q', 2 ** 53 - 1, 0],
      ],
    })
  })

  test('of 1000 shards is not too long', () => {
    const positions = Array.from({ length: 1000 }, (_, i) => ({
      incarnation: (2 ** 48 - 1 - i).toString(36),
      epoch: 4_000_000_000,
      seq: 2 ** 50 + i,
    }))
    const token = encodeToken({ database: 'd'.repeat(63), epoch: 1, positions })
    expect(token.length).toBeLessThan(FEED_TOKEN_CHARS_MAX)
    expect(decodeToken(token, 'd'.repeat(63)).positions).toEqual(positions)
  })
})

describe('what is no token is refused', () => {
  const good = { v: 1, d: 'default', e: 1, p: [['abc', 1]] }
  const token = (change: object) => toBase64Url(JSON.stringify({ ...good, ...change }))
  test.each([
    ['empty', ''],
    ['not base64url', 'ab+/'],
    ['not JSON', toBase64Url('hello')],
    ['no object', toBase64Url('null')],
    ['another version', token({ v: 2 })],
    ['another database', token({ d: 'other' })],
    ['no epoch', token({ e: -1 })],
    ['no places', token({ p: [] })],
    ['places that are no list', token({ p: 'abc' })],
    ['a place without seq', token({ p: [['abc']] })],
    ['a fraction', token({ p: [['abc', 1.5]] })],
    ['a negative seq', token({ p: [['abc', -1]] })],
    ['a seq past 2^53', token({ p: [['abc', 2 ** 53]] })],
    ['an odd incarnation', token({ p: [['a b', 1]] })],
    ['an odd epoch', token({ p: [['abc', 1, 'x']] })],
    ['too many places', token({ p: Array.from({ length: 1001 }, () => ['a', 1]) })],
    ['too long', 'a'.repeat(FEED_TOKEN_CHARS_MAX + 1)],
  ])('%s', (_, text) => {
    expect(() => decodeToken(text, 'default')).toThrow(expect.objectContaining({ code: 'invalid' }))
  })

  test('while the one they were made from is read', () => {
    expect(decodeToken(token({}), 'default').positions).toEqual([{ incarnation: 'abc', seq: 1, epoch: 1 }])
  })
})
