/** Redis when values are in the lake: the same replies, and a fetch only where a value is needed. */
import { readdirSync, readFileSync } from 'node:fs'
import { textToBin } from '@dotdo/core/bytes'
import type { RelationValue } from '@dotdo/core/shard'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Lake } from './cold.testing.ts'
import { placeOf, probeKey } from './engine/keys.ts'
import { type FieldRow, fields, type KeyRow, keys } from './tables.ts'
import { TestRedis } from './testing.ts'
import { disagreements, parseTranscript } from './transcript.testing.ts'

let redis: TestRedis
let lake: Lake
beforeEach(async () => {
  lake = new Lake()
  redis = await TestRedis.open({}, lake)
})
afterEach(() => redis.close())

const folder = new URL('./transcripts/', import.meta.url)
const transcripts = readdirSync(folder).filter((name) => name.endsWith('.txt'))

test.each(transcripts)('%s, every value evicted after each command', async (name) => {
  const exchanges = parseTranscript(readFileSync(new URL(name, folder), 'utf8'))
  const ours = exchanges.filter(({ only }) => only !== 'redis')
  const run = async (argv: readonly string[]) => {
    const reply = await redis.run(...argv)
    await redis.evictAll()
    return reply
  }
  expect(await disagreements(ours, run)).toBe('')
})

describe('with every value in the lake', () => {
  beforeEach(async () => {
    await redis.run('MSET', 's', 'value', 'n', '10', 'f', '1.5', 'other', 'x')
    await redis.run('HSET', 'h', 'a', '1', 'b', 'two', 'c', '3')
    await redis.run('SET', 'expiring', 'x', 'EX', '100')
    await redis.evictAll()
  })

  test.each([
    'EXISTS s h none',
    'TTL expiring',
    'PTTL s',
    'TYPE s',
    'EXPIRE s 100',
    'PERSIST expiring',
    'DEL s h',
    'UNLINK n',
    'SET s new',
    'SET s new KEEPTTL',
    'SET s new NX',
    'SETNX s new',
    'SETEX s 10 new',
    'MSET s new n new',
    'MSETNX s new fresh new',
    'HSET h a new d new',
    'HSETNX h a new',
    'HDEL h a b',
    'HLEN h',
    'HKEYS h',
    'HEXISTS h a',
    'HSCAN h 0 NOVALUES',
    'HSCAN h 0 MATCH none*',
    'HRANDFIELD h',
    'HRANDFIELD h 2',
    'HRANDFIELD h -5',
    'SCAN 0',
    'KEYS *',
    'RANDOMKEY',
    'DBSIZE',
    'TOUCH s',
    'OBJECT REFCOUNT s',
    'RENAMENX s other',
    'MOVE none 1',
    'BITOP AND none none2 none3',
    'FLUSHALL',
  ])('%s fetches nothing', async (line) => {
    await redis.run(...line.split(' '))
    expect(lake.fetches).toEqual([])
  })

  test.each([
    ['GET s', 's'],
    ['GETRANGE s 0 1', 's'],
    ['STRLEN s', 's'],
    ['APPEND s x', 's'],
    ['INCR n', 'n'],
    ['INCRBYFLOAT f 1', 'f'],
    ['SETRANGE s 1 x', 's'],
    ['SETBIT s 1 1', 's'],
    ['GETBIT s 1', 's'],
    ['BITCOUNT s', 's'],
    ['BITPOS s 1', 's'],
    ['BITFIELD s GET u8 0', 's'],
    ['BITOP OR dest s n f', 's n f'],
    ['LCS s f', 's f'],
    ['GETSET s x', 's'],
    ['GETDEL s', 's'],
    ['GETEX s', 's'],
    ['SET s x GET', 's'],
    ['MGET s none n h f', 's n f'],
    ['OBJECT ENCODING s', 's'],
    ['COPY s copy', 's'],
    ['COPY h copy', 'a b c'],
    ['RENAME s renamed', 's'],
    ['RENAME h renamed', 'a b c'],
    ['MOVE s 1', 's'],
    ['HGET h a', 'a'],
    ['HMGET h a none c', 'a c'],
    ['HGETALL h', 'a b c'],
    ['HVALS h', 'a b c'],
    ['HSTRLEN h b', 'b'],
    ['HINCRBY h a 1', 'a'],
    ['HINCRBYFLOAT h c 1', 'c'],
    ['HSCAN h 0 MATCH [ab]', 'a b'],
    ['HRANDFIELD h 5 WITHVALUES', 'a b c'],
  ])('%s fetches %s, at once', async (line, wanted) => {
    const cold = await redis.run(...line.split(' '))
    expect(lake.fetches.map((names) => names.sort())).toEqual([wanted.split(' ').sort()])
    expect(cold).not.toMatchObject({ error: expect.anything() })
  })

  test('a transaction fetches all that its commands need at once, and writes once', async () => {
    const replies = await redis.exec([
      ['GET', 's'],
      ['INCR', 'n'],
      ['HGET', 'h', 'b'],
      ['GET', 'n'],
    ])
    expect(replies).toEqual(['value', 11, 'two', '11'])
    expect(lake.fetches).toEqual([['s', 'n', 'b']])
  })

  test('a WATCH sees no change in a value that leaves or comes back', async () => {
    const position = await redis.call('watch', null)
    await redis.run('GET', 's')
    await redis.evictAll()
    const watches = [{ key: 's', db: 0, position: position as never }]
    expect(await redis.exec([['GET', 's']], watches)).toEqual(['value'])
  })

  test('what survives a crash has its values', async () => {
    await redis.run('EXPIRE', 's', '1000')
    await redis.run('APPEND', 'other', 'y')
    await redis.reopen(true)
    expect(await redis.run('MGET', 's', 'n', 'other')).toEqual(['value', '10', 'xy'])
    expect(await redis.run('TTL', 's')).toBe(1000)
  })
})

describe('relations', () => {
  const shown = <R extends Record<string, never>>(
    columns: readonly { name: string; value(row: R): RelationValue }[] | undefined,
    row: unknown,
  ) => Object.fromEntries((columns ?? []).map(({ name, value }) => [name, value(row as R)]))
  const key = (value: string | null, more: Partial<KeyRow> = {}): KeyRow => {
    return {
      ...probeKey(0, 'k'),
      type: 'string',
      value,
      size: 0,
      expires: null,
      head: null,
      tail: null,
      meta: null,
      ...more,
    }
  }
  const texts = ['', 'plain', textToBin('größer 𝕏'), 'a\0b', '\xef\xbb\xbfmarked']

  test.each(texts)('text %j is text, and comes back from it', (value) => {
    const row = shown(keys.relation?.columns as never, key(value))
    expect(row).toMatchObject({ key: 'k', type: 'string', bytes: null, size: 0, expires: null, db: 0 })
    expect(textToBin(row.value as string)).toBe(value)
    expect(keys.relation?.payload?.fromLake(row)).toBe(value)
  })

  test.each(['\xff', 'caf\xe9', '\xc3', '\xed\xa0\x80'])('bytes %j are bytes, and come back from them', (value) => {
    const field: FieldRow = { slot: 1, db: 2, key: '\xfe/', hash: placeOf('%'), field: '%', value, expires: null }
    const row = shown(fields.relation?.columns as never, field)
    expect(row).toMatchObject({ db: 2, key: '%FE%2F', field: '%', value: null })
    expect(fields.relation?.payload?.fromLake(row)).toBe(value)
  })

  test('a hash has a size and no value, and is never cold; times are in microseconds, as far as these go', () => {
    const hash = key(null, { type: 'hash', size: 3, expires: 1_800_000_000_123 })
    const expected = { type: 'hash', value: null, bytes: null, size: 3, expires: 1_800_000_000_123_000 }
    expect(shown(keys.relation?.columns as never, hash)).toMatchObject(expected)
    expect(keys.relation?.payload?.isCold(hash)).toBe(false)
    expect(keys.relation?.payload?.isCold(key(null))).toBe(true)
    const late = shown(keys.relation?.columns as never, key('x', { expires: Number.MAX_SAFE_INTEGER }))
    expect(late.expires).toBe(Number.MAX_SAFE_INTEGER)
  })
})
