/** Streams beyond single replies: what is cold, what asks SQL for nothing, crashes, waiting, several shards. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Lake } from './cold.testing.ts'
import { packFields } from './engine/stream-fields.ts'
import { toId } from './engine/stream-ids.ts'
import { type EntryRow, entries } from './engine/stream-tables.ts'
import { openTestServer, type TestClient, type TestServer } from './test-server.ts'
import { TestRedis } from './testing.ts'
import { show } from './transcript.testing.ts'

const words = (line: string) => line.split(' ')

describe('with every entry in the lake', () => {
  let redis: TestRedis
  let lake: Lake
  beforeEach(async () => {
    lake = new Lake()
    redis = await TestRedis.open({}, lake)
    for (const id of ['1-1', '2-1', '3-1']) await redis.run('XADD', 's', id, 'field', `value of ${id}`)
    await redis.run('XGROUP', 'CREATE', 's', 'g', '0')
    await redis.run('XREADGROUP', 'GROUP', 'g', 'c', 'COUNT', '2', 'STREAMS', 's', '>')
    await redis.evictAll()
  })
  afterEach(() => redis.close())

  test.each([
    'XADD s 4-1 a 1',
    'XADD s MAXLEN 1 4-1 a 1',
    'XLEN s',
    'XDEL s 1-1 3-1',
    'XTRIM s MINID 3',
    'XSETID s 9-9',
    'XACK s g 1-1',
    'XPENDING s g - + 10',
    'XCLAIM s g d 0 1-1 JUSTID',
    'XAUTOCLAIM s g d 0 0 JUSTID',
    'XINFO GROUPS s',
    'XINFO CONSUMERS s g',
    'XREAD STREAMS s $',
    'XREAD STREAMS s 3-1',
    'XGROUP DESTROY s g',
    'DEL s',
  ])('%s fetches nothing', async (line) => {
    expect(await redis.run(...words(line))).not.toMatchObject({ error: expect.anything() })
    expect(lake.fetches).toEqual([])
  })

  test.each([
    ['XRANGE s - +', '1-1 2-1 3-1'],
    ['XRANGE s - + COUNT 1', '1-1'],
    ['XREVRANGE s + - COUNT 1', '3-1'],
    ['XREAD STREAMS s 1-1', '2-1 3-1'],
    ['XREADGROUP GROUP g c STREAMS s >', '3-1'],
    ['XREADGROUP GROUP g c STREAMS s 0', '1-1 2-1'],
    ['XCLAIM s g d 0 1-1 2-1', '1-1 2-1'],
    ['XAUTOCLAIM s g d 0 2', '2-1'],
    ['XINFO STREAM s FULL COUNT 2', '1-1 2-1'],
    ['COPY s copy', '1-1 2-1 3-1'],
  ])('%s fetches %s, at once', async (line, wanted) => {
    const reply = show(await redis.run(...words(line)))
    expect(lake.fetches.map((names) => names.sort())).toEqual([words(wanted)])
    if (!line.startsWith('COPY')) for (const id of words(wanted)) expect(reply).toContain(`value of ${id}`)
    // The delivery that was stopped and run again counts once.
    if (line.startsWith('XREADGROUP')) expect(await redis.run('XPENDING', 's', 'g', '-', '+', '1')).toHaveLength(1)
  })
})

describe('fields as people see them', () => {
  const shown = (words: string[]) => {
    const row: EntryRow = { slot: 1, db: 0, key: 'k', id: toId(1_800_000_000_000, 7), fields: packFields(words) }
    const columns = Object.fromEntries((entries.relation?.columns ?? []).map(({ name, value }) => [name, value(row)]))
    expect(entries.relation?.payload?.fromLake(columns)).toBe(row.fields)
    return columns
  }

  test('text is a JSON object', () => {
    expect(shown(['name', 'gr\xc3\xb6\xc3\x9fer', 'b', ''])).toMatchObject({
      id: '1800000000000-7',
      time: 1_800_000_000_000_000,
      fields: '{"name":"größer","b":""}',
      bytes: null,
    })
  })

  test.each([
    ['a field twice', ['a', '1', 'a', '2']],
    ['bytes', ['a', '\xff']],
    ['an order that objects do not keep', ['b', '1', '2', '1']],
    ['a name that objects have', ['__proto__', '1']],
    ['a long value', ['a', '1', 'a', 'x'.repeat(70_000)]],
  ])('%s is bytes', (_, fields) => {
    expect(shown(fields)).toMatchObject({ fields: null, bytes: expect.any(Uint8Array) })
  })
})

/** Count the statements on the tables of streams while something is done. */
async function countStatements(redis: TestRedis, work: () => Promise<void>): Promise<number> {
  const { sql } = redis.test
  const { all, raw } = sql
  let count = 0
  const note = (statement: string) => {
    if (/redis_(entries|groups|consumers|deliveries)/.test(statement)) count++
  }
  const counted: Pick<typeof sql, 'all' | 'raw'> = {
    all(statement, ...values) {
      note(statement)
      return all.call(sql, statement, ...values)
    },
    raw(statement, ...values) {
      note(statement)
      return raw.call(sql, statement, ...values)
    },
  }
  Object.assign(sql, counted)
  await work()
  Object.assign(sql, { all, raw })
  return count
}

describe('in steady state', () => {
  let redis: TestRedis
  beforeEach(async () => {
    redis = await TestRedis.open()
    for (let i = 1; i <= 100; i++) await redis.run('XADD', 's', `${i}-1`, 'a', '1')
    await redis.run('XGROUP', 'CREATE', 's', 'g', '$')
    await redis.run('XADD', 's', '101-1', 'a', '1')
    await redis.run('XREADGROUP', 'GROUP', 'g', 'c', 'STREAMS', 's', '>')
  })
  afterEach(() => redis.close())

  test('adding, trimming, reading what is new, and acknowledging ask SQL for nothing', async () => {
    const count = await countStatements(redis, async () => {
      for (let i = 102; i <= 200; i++) {
        await redis.run('XADD', 's', 'MAXLEN', '100', `${i}-1`, 'a', `${i}`)
        expect(show(await redis.run('XREAD', 'STREAMS', 's', `${i - 1}-1`))).toContain(`"${i}"`)
        expect(show(await redis.run('XREADGROUP', 'GROUP', 'g', 'c', 'STREAMS', 's', '>'))).toContain(`"${i}"`)
        expect(await redis.run('XACK', 's', 'g', `${i}-1`)).toBe(1)
      }
    })
    expect(count).toBe(0)
    expect(await redis.run('XLEN', 's')).toBe(100)
    expect(show(await redis.run('XRANGE', 's', '-', '+', 'COUNT', '1'))).toBe('[["101-1" ["a" "1"]]]')
  })

  test('what memory does not know, few statements find', async () => {
    await redis.reopen()
    const count = await countStatements(redis, async () => {
      for (let i = 102; i <= 200; i++) await redis.run('XADD', 's', 'MAXLEN', '101', `${i}-1`, 'a', '1')
    })
    // One that reads the first ids; each entry that goes is looked up.
    expect(count).toBeGreaterThan(90)
    expect(count).toBeLessThan(110)
    expect(await redis.run('XLEN', 's')).toBe(101)
  })

  test('what was undone is not remembered', async () => {
    const commands = [
      ['XADD', 's', '102-1', 'a', '1'],
      ['XADD', 's', '102-1', 'a', '1'],
      ['XADD', 's', 'MAXLEN', '1', '103-1', 'a', '1'],
    ]
    expect(show(await redis.exec(commands))).toContain('equal or smaller')
    expect(show(await redis.run('XRANGE', 's', '-', '+'))).toBe('[["103-1" ["a" "1"]]]')
  })
})

test('what was acknowledged survives a crash, groups and all', async () => {
  const redis = await TestRedis.open({ dirtyRows: 20, redoBytes: 2000 })
  for (let i = 1; i <= 50; i++) await redis.run('XADD', 's', `${i}-1`, 'a', `${i}`)
  await redis.run('XGROUP', 'CREATE', 's', 'g', '0')
  await redis.run('XREADGROUP', 'GROUP', 'g', 'c', 'COUNT', '20', 'STREAMS', 's', '>')
  await redis.run('XACK', 's', 'g', '1-1', '2-1')
  await redis.run('XDEL', 's', '1-1', '50-1')
  const questions = ['XRANGE s - +', 'XPENDING s g', 'XPENDING s g - + 100', 'XINFO STREAM s FULL COUNT 0'].map(words)
  const before = []
  for (const argv of questions) before.push(await redis.run(...argv))
  await redis.reopen(true)
  for (const [i, argv] of questions.entries()) expect(await redis.run(...argv)).toEqual(before[i])
  expect(show(await redis.run('XADD', 's', '50-1', 'a', '1'))).toContain('equal or smaller')
  expect(await redis.run('XADD', 's', '50-*', 'a', '1')).toBe('50-2')
  redis.close()
})

test('a stream whose time has come is a new one', async () => {
  const redis = await TestRedis.open()
  await redis.run('XADD', 's', '5-1', 'a', '1')
  await redis.run('XGROUP', 'CREATE', 's', 'g', '0')
  await redis.run('PEXPIRE', 's', '10')
  redis.clock.advance(20)
  expect(await redis.run('XADD', 's', '1-1', 'a', '1')).toBe('1-1')
  expect(show(await redis.run('XRANGE', 's', '-', '+'))).toBe('[["1-1" ["a" "1"]]]')
  expect(await redis.run('XINFO', 'GROUPS', 's')).toEqual([])
  expect(await redis.run('XADD', 's', '*', 'a', '1')).toBe(`${redis.clock.nowMs()}-0`)
  redis.close()
})

test('acknowledging touches no WATCH; adding does', async () => {
  const redis = await TestRedis.open()
  await redis.run('XADD', 's', '1-1', 'a', '1')
  await redis.run('XGROUP', 'CREATE', 's', 'g', '0')
  const position = (await redis.call('watch', null)) as never
  const watches = [{ key: 's', db: 0, position }]
  await redis.run('XREADGROUP', 'GROUP', 'g', 'c', 'STREAMS', 's', '>')
  await redis.run('XACK', 's', 'g', '1-1')
  expect(await redis.exec([['XLEN', 's']], watches)).toEqual([1])
  await redis.run('XADD', 's', '2-1', 'a', '1')
  expect(await redis.exec([['XLEN', 's']], watches)).toEqual({ nilArray: true })
  redis.close()
})

describe('over connections', () => {
  const open: TestServer[] = []
  afterEach(async () => {
    const bugs = open.flatMap(({ bugs }) => bugs)
    await Promise.all(open.splice(0).map((server) => server.close()))
    expect(bugs).toEqual([])
  })
  async function start(shards = 1): Promise<[TestClient, TestClient, TestClient]> {
    const server = await openTestServer({ shards })
    open.push(server)
    return [server.connect(), server.connect(), server.connect()]
  }
  async function until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => setImmediate(resolve))
  }
  async function park(client: TestClient, line: string): Promise<void> {
    client.send(`${line}\r\n`)
    await until(() => client.session.parked !== undefined)
  }
  async function read(client: TestClient): Promise<string> {
    await until(() => client.received !== '')
    const { received } = client
    client.received = ''
    return received.replaceAll('\r\n', ' ').trim()
  }
  const entry = '*2 $1 s *1 *2 $3 1-1 *2 $1 a $1 1'

  test('XREAD waits for what comes after it, and all who wait get it', async () => {
    const [one, two, other] = await start()
    await other.ask('XADD s 0-1 a 0')
    await park(one, 'XREAD BLOCK 0 STREAMS none s $ $')
    await park(two, 'XREAD BLOCK 0 STREAMS s 0-1')
    await other.ask('XADD s 1-1 a 1', 'XADD s 1-2 a 2', 'XTRIM s MAXLEN 0', 'XADD s MINID 1-1 1-3 a 3')
    expect(await read(one)).toContain('$1 a $1 3')
    expect(await read(two)).toContain('$1 a $1 3')
    expect(await one.ask('XREAD BLOCK 1 STREAMS s $')).toBe('*-1\r\n')
  })

  test('XREADGROUP waits in line: each entry is given to one', async () => {
    const [one, two, other] = await start()
    await other.ask('XGROUP CREATE s g $ MKSTREAM')
    await park(one, 'XREADGROUP GROUP g first BLOCK 0 COUNT 1 STREAMS s >')
    expect(await other.ask('XINFO CONSUMERS s g')).toContain('first')
    await park(two, 'XREADGROUP GROUP g second BLOCK 0 COUNT 1 STREAMS s >')
    await other.ask('XADD s 1-1 a 1')
    expect(await read(one)).toBe(`*1 ${entry}`)
    expect(two.session.parked).toBeDefined()
    await other.ask('XADD s 1-2 a 2')
    expect(await read(two)).toContain('1-2')
    expect(await other.ask('XPENDING s g')).toContain('second')
  })

  test.each([
    ['XGROUP DESTROY s g', '-NOGROUP '],
    ['DEL s', '-NOGROUP '],
    ['SET s x', '-WRONGTYPE '],
  ])('%s ends the wait for its group', async (line, error) => {
    const [one, , other] = await start()
    await other.ask('XGROUP CREATE s g $ MKSTREAM')
    await park(one, 'XREADGROUP GROUP g c BLOCK 0 STREAMS s >')
    await other.ask(line)
    expect(await read(one)).toContain(error)
  })

  test('nothing waits in MULTI', async () => {
    const [one] = await start()
    await one.ask('XGROUP CREATE s g $ MKSTREAM')
    const lines = ['MULTI', 'XREAD BLOCK 0 STREAMS s $', 'XREADGROUP GROUP g c BLOCK 0 STREAMS s >', 'EXEC']
    expect(await one.ask(...lines)).toBe('+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n*-1\r\n*-1\r\n')
  })

  test('RESP3 has maps', async () => {
    const [one] = await start()
    await one.ask('HELLO 3', 'XADD s 1-1 a 1')
    one.send('XREAD STREAMS s 0\r\n')
    expect(await read(one)).toBe(`%1 ${entry.slice(3)}`)
  })

  test('XREAD gathers what lives apart, in the order of the request', async () => {
    const [one] = await start(3)
    const keys = Array.from({ length: 8 }, (_, i) => `k${i}`)
    await one.ask(...keys.map((key, i) => `XADD ${key} ${i + 1}-1 a ${i}`))
    one.send(`XREAD COUNT 1 STREAMS ${keys.join(' ')} k3 ${keys.map((_, i) => (i === 5 ? '$' : '0')).join(' ')} 0\r\n`)
    const found = [...(await read(one)).matchAll(/\$2 (k\d)/g)].map(([, key]) => key)
    expect(found).toEqual(['k0', 'k1', 'k2', 'k3', 'k4', 'k6', 'k7', 'k3'])
    expect(await one.ask(`XREAD STREAMS ${keys.join(' ')} ${keys.map(() => '$').join(' ')}`)).toBe('*-1\r\n')
    expect(await one.ask('XREAD BLOCK 1 STREAMS k0 k1 k2 $ $ $')).toMatch(/^-CROSSSLOT/)
    expect(await one.ask('XREADGROUP GROUP g c STREAMS k0 k1 k2 > > >')).toMatch(/^-CROSSSLOT/)
  })
})
