/** What Redis commands do over time: expiry, transactions, atomicity, restarts. Replies are in the transcripts. */

import type { ChangesReply } from '@dotdo/core/shard'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { WatchMark } from './program.ts'
import { fields, keys } from './tables.ts'
import { TestRedis } from './testing.ts'

let redis: TestRedis
const run = (...argv: string[]) => redis.run(...argv)
const stored = (table: string) => redis.test.sql.raw(`select count(*) from ${table}`)[0]?.[0]

beforeEach(async () => {
  redis = await TestRedis.open()
})
afterEach(() => redis.close())

/** Let the shard do what it put off: groups follow each other until no timer is due. */
async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) {
    await new Promise((resolve) => setImmediate(resolve))
    redis.clock.advance(1)
  }
}

describe('expiry', () => {
  test('a key is alive through its last millisecond, and absent to every command after it', async () => {
    await run('SET', 's', 'v', 'PX', '1000')
    await run('HSET', 'h', 'f', 'v')
    await run('PEXPIRE', 'h', '1000')
    redis.clock.advance(1000)
    expect(await run('PTTL', 's')).toBe(0)
    expect(await run('GET', 's')).toBe('v')
    redis.clock.advance(1)
    expect(await run('GET', 's')).toBeNull()
    expect(await run('EXISTS', 's', 'h')).toBe(0)
    expect(await run('HGET', 'h', 'f')).toBeNull()
    expect(await run('TTL', 's')).toBe(-2)
    expect(await run('TYPE', 'h')).toEqual({ simple: 'none' })
    expect(await run('DEL', 's', 'h')).toBe(0)
    expect(await run('RENAME', 's', 't')).toEqual({ error: 'ERR no such key' })
    expect(await run('PERSIST', 's')).toBe(0)
    expect(await run('KEYS', '*')).toEqual([])
  })

  test('TTL rounds to the nearest second', async () => {
    await run('SET', 'a', '1', 'PX', '1499')
    expect(await run('TTL', 'a')).toBe(1)
    await run('SET', 'a', '1', 'PX', '1500')
    expect(await run('TTL', 'a')).toBe(2)
  })

  test('a write to an expired key starts afresh, whatever the type', async () => {
    for (const name of ['a', 'b', 'c', 'd']) {
      await run('HSET', name, 'f', 'v', 'g', 'w')
      await run('PEXPIRE', name, '10')
    }
    await run('SET', 'n', '41', 'PX', '10')
    redis.clock.advance(11)
    expect(
      await redis.group(
        ['HSET', 'a', 'x', '1'],
        ['HGETALL', 'a'],
        ['SET', 'b', 's'],
        ['GET', 'b'],
        ['HINCRBY', 'c', 'f', '1'],
        ['HLEN', 'c'],
        ['INCR', 'n'],
        ['TTL', 'n'],
        ['APPEND', 'd', 'x'],
      ),
    ).toEqual([1, { map: [['x', '1']] }, { simple: 'OK' }, 's', 1, 1, 1, -1, 1])
    await run('SET', 'b', 'x', 'PX', '10')
    await run('RENAME', 'a', 'b')
    expect(await run('HGETALL', 'b')).toEqual({ map: [['x', '1']] })
  })

  test('NX sees an expired key as absent, XX as not there', async () => {
    await run('SET', 'a', 'old', 'PX', '10')
    redis.clock.advance(11)
    expect(await run('SET', 'a', 'new', 'XX')).toBeNull()
    expect(await run('SET', 'a', 'new', 'NX', 'GET')).toBeNull()
    expect(await run('GET', 'a')).toBe('new')
  })

  const deletions = async () => {
    const { changes } = (await redis.test.system('changes', { after: 'start', limit: 5000 })) as ChangesReply
    return changes.filter(({ op }) => op === 'delete').length
  }

  test.each([false, true])('the sweep removes rows, with a change each (restarted before: %s)', async (restarted) => {
    await run('SET', 'stays', '1', 'PX', '5000')
    await run('HSET', 'h', 'f', 'v', 'g', 'w')
    await run('PEXPIRE', 'h', '500')
    for (let i = 0; i < 20; i++) await run('SET', `k${i}`, 'v', 'PX', '500')
    if (restarted) {
      await redis.reopen()
      expect([stored('redis_keys'), stored('redis_fields')]).toEqual([22, 2])
      await run('TTL', 'stays')
    }
    redis.clock.advance(501)
    await settle()
    expect(await deletions()).toBe(23)
    await redis.reopen()
    expect([stored('redis_keys'), stored('redis_fields')]).toEqual([1, 0])
  })

  test('the sweep is bounded, and comes back for the rest', async () => {
    await redis.group(...Array.from({ length: 1000 }, (_, i) => ['SET', `k${i}`, 'v', 'PX', '5']))
    redis.clock.advance(6)
    // The sweep comes last in a group: only the next one sees what it did.
    await run('EXISTS', 'k0')
    expect(await deletions()).toBe(256)
    await settle()
    expect(await deletions()).toBe(1000)
  })

  test('a later expiry, PERSIST or a new value saves a key from the sweep', async () => {
    for (const name of ['later', 'persisted', 'rewritten', 'gone']) await run('SET', name, 'v', 'PX', '100')
    await run('PEXPIRE', 'later', '5000')
    await run('PERSIST', 'persisted')
    await run('SET', 'rewritten', 'v')
    redis.clock.advance(101)
    await settle()
    expect(await run('EXISTS', 'later', 'persisted', 'rewritten', 'gone')).toBe(3)
    redis.clock.advance(5000)
    await settle()
    expect(await deletions()).toBe(2)
  })

  test.each([false, true])('goes on after a restart (kill: %s)', async (crash) => {
    await run('SET', 'a', 'v', 'PX', '1000')
    await run('SET', 'b', 'v')
    await redis.reopen(crash)
    expect(await run('PTTL', 'a')).toBe(1000)
    redis.clock.advance(1001)
    await settle()
    expect(await deletions()).toBe(1)
    expect(await run('EXISTS', 'a', 'b')).toBe(1)
  })
})

describe('transactions', () => {
  const watch = async (...names: string[]) => {
    const position = (await redis.call('watch', {})) as WatchMark
    return names.map((key) => ({ key, db: redis.db, position }))
  }

  test('run in order, a failed command alone undone', async () => {
    await run('SET', 's', 'text')
    const reply = await redis.exec([
      ['INCR', 'n'],
      ['INCR', 's'],
      ['HSET', 'h', 'f', '1'],
      ['HGETALL', 'h'],
      ['HINCRBY', 'h', 'f', 'x'],
      ['FLUSHDB'],
      ['SET', 'after', '1'],
      ['DBSIZE'],
    ])
    expect(reply).toEqual([
      1,
      { error: 'ERR value is not an integer or out of range' },
      1,
      { map: [['f', '1']] },
      { error: 'ERR value is not an integer or out of range' },
      { simple: 'OK' },
      { simple: 'OK' },
      1,
    ])
    expect(await run('KEYS', '*')).toEqual(['after'])
  })

  test.each<[string, string[][]]>([
    ['a write', [['SET', 'k', '2']]],
    ['a removal', [['DEL', 'k']]],
    ['an expiry', [['EXPIRE', 'k', '100']]],
    ['a rename onto it', [['RENAME', 'other', 'k']]],
    ['FLUSHALL', [['FLUSHALL']]],
    ['FLUSHDB', [['FLUSHDB']]],
  ])('a watched key changed by %s stops the transaction', async (_, commands) => {
    await redis.group(['SET', 'k', '1'], ['SET', 'other', '1'])
    const watches = await watch('k')
    await redis.group(...commands)
    expect(await redis.exec([['SET', 'k', 'mine']], watches)).toEqual({ nilArray: true })
    expect(await run('GET', 'k')).not.toBe('mine')
  })

  test('a field of a watched hash counts, one of another key or database does not', async () => {
    await run('HSET', 'k', 'f', '1')
    let watches = await watch('k')
    await run('HSET', 'k', 'f', '2')
    expect(await redis.exec([['SET', 'done', '1']], watches)).toEqual({ nilArray: true })
    watches = await watch('k')
    await run('HSET', 'other', 'f', '2')
    redis.db = 1
    await run('HSET', 'k', 'f', '2')
    await run('FLUSHDB')
    redis.db = 0
    await run('GET', 'k')
    await run('HGETALL', 'k')
    expect(await redis.exec([['SET', 'done', '1']], watches)).toEqual([{ simple: 'OK' }])
  })

  test('a watched key that expires meanwhile stops the transaction', async () => {
    await run('SET', 'k', '1', 'PX', '100')
    const watches = await watch('k')
    redis.clock.advance(101)
    expect(await redis.exec([['SET', 'x', '1']], watches)).toEqual({ nilArray: true })
    expect(await redis.exec([['SET', 'x', '1']], await watch('k'))).toEqual([{ simple: 'OK' }])
  })

  test('a history that is gone counts as a change', async () => {
    const [mark] = await watch('k')
    const position = { ...mark?.position.position, incarnation: 'another' }
    const watches = [{ key: 'k', db: 0, position: { position, atMs: 0 } as WatchMark }]
    expect(await redis.exec([['SET', 'k', '1']], watches)).toEqual({ nilArray: true })
  })
})

describe('storage', () => {
  test('numbered databases are apart, also in FLUSHDB, SCAN and RANDOMKEY', async () => {
    await run('SET', 'a', 'zero')
    redis.db = 3
    expect(await run('RANDOMKEY')).toBeNull()
    await run('SET', 'a', 'three')
    await run('HSET', 'h', 'f', 'v')
    expect(await run('SCAN', '0', 'TYPE', 'string')).toEqual(['0', ['a']])
    expect(await redis.call('keyspace', {})).toEqual([
      { db: 0, keys: 1, expires: 0 },
      { db: 3, keys: 2, expires: 0 },
    ])
    await run('FLUSHDB')
    expect(await run('DBSIZE')).toBe(0)
    redis.db = 0
    expect(await run('GET', 'a')).toBe('zero')
  })

  test.each([false, true])('everything is there after a restart (kill: %s)', async (crash) => {
    await run('SET', 'bytes\xff', '\x00\xfe')
    await run('HSET', 'h', 'f\xff', '\x80')
    await run('SET', 'gone', '1')
    await run('DEL', 'gone')
    await redis.reopen(crash)
    expect(await run('GET', 'bytes\xff')).toBe('\x00\xfe')
    expect(await run('HGETALL', 'h')).toEqual({ map: [['f\xff', '\x80']] })
    expect(await run('DBSIZE')).toBe(2)
  })

  test('a command that fails leaves nothing behind', async () => {
    const large = 'x'.repeat(2_000_000)
    await run('HSET', 'h', 'f', '1')
    for (const argv of [
      ['HSET', 'h', 'f', '2', 'g', large],
      ['MSET', 'h', 'text', large, 'a key must fit a row'],
      ['SET', large, 'x'],
      ['SETRANGE', 'new', `${2 ** 29}`, 'x'],
    ]) {
      expect(await run(...argv)).toEqual({ error: expect.stringContaining('exceeds maximum allowed size') })
    }
    expect(await run('HGETALL', 'h')).toEqual({ map: [['f', '1']] })
    expect(await run('KEYS', '*')).toEqual(['h'])
  })

  test('the largest value that fits is kept', async () => {
    const large = 'x'.repeat(1_999_000)
    expect(await run('SET', 'large', large)).toEqual({ simple: 'OK' })
    await redis.reopen(true)
    expect(await run('STRLEN', 'large')).toBe(large.length)
  })

  test('more keys and fields than memory holds', async () => {
    redis.close()
    redis = await TestRedis.open({ cachedRows: 16, dirtyRows: 8, redoBytes: 500 })
    for (let i = 0; i < 60; i++) {
      await redis.group(['SET', `k${i}`, `${i}`], ['HSET', 'h', `f${i}`, `${i}`], ['HSET', 'h', 'f0', `${i}`])
    }
    expect(await run('HLEN', 'h')).toBe(60)
    expect(await run('HGET', 'h', 'f0')).toBe('59')
    expect(await run('GET', 'k7')).toBe('7')
    expect(await run('DEL', 'h', 'h', 'k7')).toBe(2)
    expect(await run('DBSIZE')).toBe(59)
    expect(await run('HGETALL', 'h')).toEqual({ map: [] })
  })
})

describe('what people see', () => {
  test('names are unambiguous', () => {
    expect(keys.documentId({ db: 0, key: 'user:1' })).toBe('user:1')
    expect(keys.documentId({ db: 2, key: 'a/b' })).toBe('2/a%2Fb')
    expect(keys.documentId({ db: 0, key: '100%\xff' })).toBe('100%25%FF')
    expect(fields.documentId({ db: 0, key: 'h', field: 'f' })).toBe('h/f')
    expect(fields.documentId({ db: 1, key: 'h', field: '\xc3\xa9' })).toBe('1/h/é')
  })

  test('documents hold text as text and bytes as base64', () => {
    const none = { head: null, tail: null, meta: null }
    const row = { slot: 1, db: 0, hash: 1, key: 'k', size: 0, expires: null, ...none }
    expect(keys.document({ ...row, type: 'string', value: '\xff' })).toEqual({
      db: 0,
      key: 'k',
      type: 'string',
      value: { $binary: '/w==' },
      expires: null,
    })
    expect(keys.document({ ...row, type: 'hash', value: null, size: 2 })).toMatchObject({ type: 'hash', size: 2 })
  })
})
