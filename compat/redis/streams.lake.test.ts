/** Streams in a real lake: what SQL shows of them, and fields that leave and come back. */
import { openLake } from '@dotdo/core/host/node'
import { expect, test } from 'vitest'
import { temporaryFolder } from '../../core/host/node/testing.ts'
import Redis from './index.ts'
import { redisProgram } from './program.ts'

test('SQL shows streams and their groups, hot and cold; cold fields come back', async () => {
  const folder = temporaryFolder()
  const rhythm = { pollMs: 3_600_000, commitEveryMs: 0, evictEveryMs: 0 }
  const lake = await openLake({ data: folder.path, programs: [redisProgram], durability: 'normal', rhythm })
  const redis = new Redis({ fabric: lake.fabric })
  await redis.xadd('s', '18446744073709551615-1', 'name', 'größer', 'n', '1')
  await redis.xadd('t', '1800000000000-9007199254740993', 'raw', Buffer.from([255, 0]))
  await redis.xgroup('CREATE', 's', 'g', '0')
  const given = [['s', [['18446744073709551615-1', ['name', 'größer', 'n', '1']]]]]
  expect(await redis.xreadgroup('GROUP', 'g', 'c', 'STREAMS', 's', '>')).toEqual(given)
  await lake.tier?.setPolicy('default', 'entries', { maxHotRows: 0 })
  const check = async () => {
    expect([...(await lake.sql`select key, id, fields, bytes is null as plain from entries order by key`)]).toEqual([
      { key: 's', id: '18446744073709551615-1', fields: '{"name":"größer","n":"1"}', plain: true },
      { key: 't', id: '1800000000000-9007199254740993', fields: null, plain: false },
    ])
    const pending = await lake.sql`select group_name, id, consumer, count from deliveries`
    expect([...pending]).toEqual([{ group_name: 'g', id: '18446744073709551615-1', consumer: 'c', count: 1 }])
  }
  await check()
  for (let i = 0; i < 3; i++) await lake.tier?.flush('default')
  await check()
  expect(await redis.xrangeBuffer('t', '-', '+')).toEqual([
    [Buffer.from('1800000000000-9007199254740993'), [Buffer.from('raw'), Buffer.from([255, 0])]],
  ])
  expect(await redis.xrange('s', '-', '+')).toEqual(given[0]?.[1])
  await redis.quit()
  await lake.close()
  folder.remove()
})
