/** Lists over time: random commands against a real Redis, blocks that fill and empty, values that leave, restarts. */
import { openLake } from '@dotdo/core/host/node'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { temporaryFolder } from '../../core/host/node/testing.ts'
import { type BlockRow, blocks, ITEM_BYTES_MAX } from './engine/list-blocks.ts'
import { compareHistories, line, word } from './histories.testing.ts'
import Redis from './index.ts'
import { redisProgram } from './program.ts'
import { TestRedis } from './testing.ts'

const list = word('{k}a', '{k}b', '{k}c')
const large = (name: string) => name.repeat(ITEM_BYTES_MAX + 1)
const item = fc.oneof(
  { arbitrary: word('a', 'b', 'c', '', '\xff\x00', 'x'.repeat(ITEM_BYTES_MAX)), weight: 3 },
  { arbitrary: fc.nat(200).map(String), weight: 3 },
  { arbitrary: word(large('a'), large('b')), weight: 1 },
)
const index = fc.integer({ min: -300, max: 300 }).map(String)
const near = fc.integer({ min: -4, max: 4 }).map(String)
const count = fc.oneof(fc.nat(4), fc.nat(300)).map(String)
const side = word('LEFT', 'RIGHT')
const some = fc.array(item, { minLength: 1, maxLength: 4 })
/** Items by the hundred, so that lists have several blocks. */
const filled = fc.nat(200).map((from) => Array.from({ length: 200 }, (_, i) => `${(from + i) % 250}`))

const commands = fc.oneof(
  { arbitrary: line(word('LPUSH', 'RPUSH'), list, some), weight: 6 },
  { arbitrary: line(word('LPUSH', 'RPUSH'), list, filled), weight: 2 },
  { arbitrary: line(word('LPOP', 'RPOP'), list), weight: 4 },
  { arbitrary: line(word('LPOP', 'RPOP'), list, count), weight: 3 },
  line(word('LPUSHX', 'RPUSHX'), list, item),
  line('LRANGE', list, index, index),
  line('LRANGE', list, '0', '-1'),
  line('LINDEX', list, index),
  line('LLEN', list),
  line('LSET', list, index, item),
  line('LSET', list, near, item),
  line('LTRIM', list, index, index),
  line('LTRIM', list, near, near),
  line('LREM', list, near, item),
  line('LINSERT', list, word('BEFORE', 'AFTER'), item, item),
  line('LPOS', list, item, 'RANK', word('1', '-1', '2'), 'COUNT', '0'),
  line('LMOVE', list, list, side, side),
  line('LMPOP', '2', list, list, side, 'COUNT', fc.integer({ min: 1, max: 200 }).map(String)),
  line('COPY', list, list, 'REPLACE'),
  line('RENAME', list, list),
  line('SORT', list, 'ALPHA'),
  line('DEL', list),
  line('EXPIRETIME', list),
  line('EXPIREAT', list, word('33177117420', '1')),
)

compareHistories({
  commands,
  conditions: [
    { name: 'all in memory' },
    { name: 'next to nothing in memory', share: 0.0005, limits: { dirtyRows: 5, redoBytes: 3000, drainRows: 1 } },
    { name: 'every value in the lake after each command', isCold: true },
  ],
})

describe('one shard', () => {
  let redis: TestRedis
  const run = (...argv: string[]) => redis.run(...argv)
  afterEach(() => redis.close())

  const rows = (table: string) => redis.test.sql.raw(`select count(*) from ${table}`)[0]?.[0]

  test('keeps 128 items a row, large ones in rows of their own, and nothing of what has gone', async () => {
    redis = await TestRedis.open()
    await run('RPUSH', 'l', ...Array.from({ length: 1000 }, (_, i) => `${i}`), large('a'), large('b'))
    await redis.reopen()
    expect([rows('redis_blocks'), rows('redis_items')]).toEqual([8, 2])
    await run('LPOP', 'l', '900')
    await run('RPOP', 'l')
    await redis.reopen()
    expect([rows('redis_blocks'), rows('redis_items')]).toEqual([1, 1])
    await run('LTRIM', 'l', '0', '9')
    await redis.reopen()
    expect([rows('redis_blocks'), rows('redis_items')]).toEqual([1, 0])
    await run('DEL', 'l')
    await redis.reopen()
    expect([rows('redis_blocks'), rows('redis_items'), rows('redis_keys')]).toEqual([0, 0, 0])
  })

  test('in steady state pushes, pops and ranges take no SQL of their own', async () => {
    redis = await TestRedis.open()
    await run('RPUSH', 'l', ...Array.from({ length: 2000 }, (_, i) => `${i}`))
    const { sql } = redis.test
    let statements = 0
    for (const name of ['all', 'raw', 'iterate'] as const) {
      const inner = sql[name].bind(sql) as (...args: unknown[]) => unknown
      Object.assign(sql, {
        [name](...args: unknown[]) {
          statements++
          return inner(...args)
        },
      })
    }
    for (const command of [
      ['LPUSH', 'l', 'x'],
      ['RPOP', 'l'],
      ['LMOVE', 'l', 'm', 'LEFT', 'RIGHT'],
      ['LRANGE', 'l', '100', '400'],
      ['LSET', 'l', '-7', 'y'],
      ['LINDEX', 'l', '-300'],
    ]) {
      statements = 0
      await redis.group(...Array.from({ length: 200 }, () => command))
      // A group's log takes a few.
      expect(statements, command.join(' ')).toBeLessThan(8)
    }
  })

  test('a thousand pushes to one list log its key once', async () => {
    redis = await TestRedis.open()
    await redis.group(...Array.from({ length: 1000 }, (_, i) => ['RPUSH', 'l', `${i}`]))
    const { changes } = (await redis.test.system('changes', { after: 'start', limit: 5000 })) as {
      changes: { collection: string }[]
    }
    expect(changes.filter(({ collection }) => collection === 'keys')).toHaveLength(1)
    expect(changes.filter(({ collection }) => collection === 'lists')).toHaveLength(1000)
  })

  test('MEMORY USAGE counts what the rows take', async () => {
    redis = await TestRedis.open()
    await run('RPUSH', 'l', ...Array.from({ length: 1000 }, () => '0123456789'))
    const bytes = (await run('MEMORY', 'USAGE', 'l', 'SAMPLES', '0')) as number
    expect(bytes).toBeGreaterThan(14_000)
    expect(bytes).toBeLessThan(16_000)
  })
})

test('a block comes back from the columns that people see of it', () => {
  const inBlock = ['', 'text', 'größer'.normalize(), '\xff\x00', '{"$binary":"eA=="}', 'x'.repeat(ITEM_BYTES_MAX)]
  const pieces = inBlock.map((text) => {
    const size = String.fromCharCode(text.length >> 8, text.length & 0xff)
    return `${size}${text}${size}`
  })
  const value = `${pieces.join('')}\xff\xff\xff\xff`
  const row: BlockRow = { slot: 1, db: 0, key: 'l', block: 0, first: 3, count: inBlock.length + 1, value }
  const { columns = [], payload } = blocks.relation ?? {}
  const seen = Object.fromEntries(columns.map((column) => [column.name, column.value(row)]))
  expect(JSON.parse(seen.items as string)).toHaveLength(row.count)
  expect(payload?.fromLake(seen)).toBe(value)
})

test('SQL shows the items of lists, hot and cold, and none that has gone; they come back from the lake', async () => {
  const folder = temporaryFolder()
  const rhythm = { pollMs: 3_600_000, commitEveryMs: 0, evictEveryMs: 0 }
  const lake = await openLake({ data: folder.path, programs: [redisProgram], durability: 'normal', rhythm })
  const redis = new Redis({ fabric: lake.fabric })
  await redis.rpush('l', 'gone', 'a', 'größer', Buffer.from([255]), large('x'), 'gone')
  await redis.lpop('l')
  await redis.rpop('l')
  for (const collection of ['lists', 'items']) await lake.tier?.setPolicy('default', collection, { maxHotRows: 0 })
  const check = async () => {
    expect([...(await lake.sql`select key, first, count, items from lists`)]).toEqual([
      { key: 'l', first: 1, count: 4, items: '["a","größer",{"$binary":"/w=="},null]' },
    ])
    expect([...(await lake.sql`select position, value from items`)]).toEqual([{ position: 4, value: large('x') }])
  }
  await check()
  for (let i = 0; i < 3; i++) await lake.tier?.flush('default')
  await check()
  expect(await redis.lrangeBuffer('l', 1, 2)).toEqual([Buffer.from('größer'), Buffer.from([255])])
  expect(await redis.rpop('l')).toBe(large('x'))
  await redis.quit()
  await lake.close()
  folder.remove()
})
