/** Strings larger than a row: the same replies as of small ones, and only the chunks that are needed. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Lake } from './cold.testing.ts'
import { CHUNK_BYTES, WHOLE_BYTES_MAX } from './engine/chunks.ts'
import { TestRedis } from './testing.ts'

let redis: TestRedis
let lake: Lake
const run = (...argv: string[]) => redis.run(...argv)
const MB = 1024 * 1024

beforeEach(async () => {
  lake = new Lake()
  redis = await TestRedis.open({}, lake)
})
afterEach(() => redis.close())

async function chunkCount(): Promise<unknown> {
  await redis.reopen()
  return redis.test.sql.raw('select count(*) from redis_chunks')[0]?.[0]
}

/** Text in which every place looks different. */
function textOf(length: number): string {
  let text = ''
  for (let i = 0; text.length < length; i++) text += `${i},`
  return text.slice(0, length)
}

const large = textOf(WHOLE_BYTES_MAX + 100_000)

describe('a string of more than a row', () => {
  test('is what was set, part by part too, and is gone with its chunks', async () => {
    expect(await run('SET', 's', large)).toEqual({ simple: 'OK' })
    expect(await run('GET', 's')).toBe(large)
    expect(await run('STRLEN', 's')).toBe(large.length)
    expect(await run('OBJECT', 'ENCODING', 's')).toBe('raw')
    const [from, to] = [CHUNK_BYTES - 5, CHUNK_BYTES * 2 + 5]
    expect(await run('GETRANGE', 's', `${from}`, `${to}`)).toBe(large.slice(from, to + 1))
    expect(await run('GETRANGE', 's', '-5', '-1')).toBe(large.slice(-5))
    expect(await run('GETRANGE', 's', '5', '2')).toBe('')
    expect(await run('GETRANGE', 's', `${large.length}`, '-1')).toBe('')
    expect(await run('MGET', 's', 'none', 's')).toEqual([large, null, large])
    expect(await run('APPEND', 's', 'end')).toBe(large.length + 3)
    expect(await run('SETRANGE', 's', `${from}`, 'BORDERLINE')).toBe(large.length + 3)
    const now = `${large.slice(0, from)}BORDERLINE${large.slice(from + 10)}end`
    expect(await run('GETSET', 's', 'small')).toBe(now)
    expect(await run('GET', 's')).toBe('small')
    expect(await chunkCount()).toBe(0)
  })

  test.each([
    ['DEL', 's'],
    ['SET', 's', 'small'],
    ['GETDEL', 's'],
    ['PEXPIREAT', 's', '1'],
    ['RESTORE', 's', '0', '\x00\xc0\x0a\x0a\x00n\x9fWE\x0e\xaec\xbb', 'REPLACE'],
    ['MSET', 's', 'small', 't', 'x'],
    ['BITOP', 'NOT', 's', 'small'],
    ['FLUSHALL'],
  ])('%s leaves no chunk of it', async (...argv) => {
    await run('SET', 'small', 'x')
    await run('SET', 's', large)
    expect(await run(...argv)).not.toMatchObject({ error: expect.anything() })
    expect(await chunkCount()).toBe(0)
  })

  test('is copied, renamed, dumped and restored', async () => {
    await run('SET', 's', large, 'EX', '100')
    expect(await run('COPY', 's', 'copy')).toBe(1)
    expect(await run('RENAME', 's', 'renamed')).toEqual({ simple: 'OK' })
    expect(await run('TTL', 'copy')).toBe(100)
    await run('RESTORE', 'restored', '0', (await run('DUMP', 'copy')) as string)
    expect(await run('MGET', 's', 'copy', 'renamed', 'restored')).toEqual([null, large, large, large])
    redis.clock.advance(100_001)
    expect(await run('EXISTS', 'copy', 'renamed')).toBe(0)
    expect(await run('APPEND', 'copy', 'x')).toBe(1)
    expect(await run('SETBIT', 'renamed', '7', '1')).toBe(0)
    expect(await run('GET', 'renamed')).toBe('\x01')
  })

  test('grows out of its row and keeps when it expires', async () => {
    await run('SET', 's', 'abc', 'EX', '100')
    expect(await run('APPEND', 's', large)).toBe(large.length + 3)
    expect(await run('GET', 's')).toBe(`abc${large}`)
    expect(await run('TTL', 's')).toBe(100)
    await redis.reopen(true)
    expect(await run('GETRANGE', 's', '0', '5')).toBe(`abc${large.slice(0, 3)}`)
  })

  test('fetches only the chunks that a command touches, when they are cold', async () => {
    await run('SET', 's', large)
    await redis.evictAll()
    await run('STRLEN', 's')
    await run('EXPIRE', 's', '10')
    expect(lake.fetches).toEqual([])
    expect(await run('GETRANGE', 's', '0', '3')).toBe(large.slice(0, 4))
    expect(await run('GETBIT', 's', '7')).toBe(large.charCodeAt(0) & 1)
    expect(lake.fetches).toEqual([['s']])
    expect(await run('GET', 's')).toBe(large)
    expect(lake.fetches.map((names) => names.length)).toEqual([1, Math.ceil(large.length / CHUNK_BYTES) - 1])
  })
})

describe('up to 512 MB', () => {
  const last = 512 * MB - 1

  test('a bit far away takes one row', async () => {
    expect(await run('SETBIT', 's', `${last * 8 + 7}`, '1')).toBe(0)
    expect(await run('STRLEN', 's')).toBe(512 * MB)
    expect(await run('GETBIT', 's', `${last * 8 + 7}`)).toBe(1)
    expect(await run('GETBIT', 's', '4000000000')).toBe(0)
    expect(await run('GETRANGE', 's', '-2', '-1')).toBe('\0\x01')
    expect(await run('BITFIELD', 's', 'INCRBY', 'u8', `#${last}`, '5', 'GET', 'u16', `${last * 8 - 8}`)).toEqual([6, 6])
    expect(await run('BITFIELD', 's', 'SET', 'i64', '1000000000', '-7', 'GET', 'i64', '1000000000')).toEqual([0, -7])
    // 64 ones of -7 less two, and two of 6.
    expect(await run('BITCOUNT', 's', '100000000', '-1')).toBe(64)
    expect(await run('BITCOUNT', 's', '-8', '-1', 'BIT')).toBe(2)
    expect(await chunkCount()).toBe(2)
    expect(await run('GET', 's')).toMatchObject({ error: expect.stringContaining('too large to be read at once') })
  })

  test('what would be longer is refused, and changes nothing', async () => {
    const refused = { error: 'ERR string exceeds maximum allowed size (proto-max-bulk-len)' }
    expect(await run('SETRANGE', 's', `${last}`, 'ab')).toEqual(refused)
    expect(await run('EXISTS', 's')).toBe(0)
    expect(await run('SETRANGE', 's', `${last}`, 'a')).toBe(512 * MB)
    expect(await run('APPEND', 's', 'a')).toEqual(refused)
    expect(await run('STRLEN', 's')).toBe(512 * MB)
  })
})
