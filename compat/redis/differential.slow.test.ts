/** Random commands, against us and against a real Redis: every reply must be the same. */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { installedVersion, RealRedis } from './real-redis.testing.ts'
import { TestRedis } from './testing.ts'
import { type Reply, show } from './transcript.testing.ts'

const version = installedVersion()

const key = fc.constantFrom('a', 'b', 'c', '{t}1', '{t}2', '')
const field = fc.constantFrom('f', 'g', 'h', '')
const text = fc.oneof(
  fc.constantFrom('', '0', '1', '-1', '10', '3.5', 'abc', ' 1', '007', 'inf', 'nan', '1e3', 'f', 'NX', 'GET', '-0'),
  fc.constantFrom('9223372036854775807', '-9223372036854775808', '9007199254740993', '9223372036854775808'),
  fc.integer().map(String),
  fc.double({ noNaN: true, min: -1e9, max: 1e9 }).map(String),
  fc.string({ unit: 'binary-ascii', maxLength: 6 }),
)
const integer = fc.oneof(fc.integer({ min: -12, max: 12 }).map(String), text)
const bit = fc.constantFrom('0', '1')
const offset = fc.oneof(fc.nat(70).map(String), fc.constantFrom('-1', 'x', '#1', '4294967296'))
// Far away or long ago: the two clocks need not agree.
const time = fc.constantFrom('33177117420', '33177117421', '1', '0', '-1', 'x', '')
const setWord = fc.constantFrom('NX', 'XX', 'GET', 'KEEPTTL', 'EXAT', 'PXAT', 'PERSIST', 'foo')
const flag = fc.constantFrom('NX', 'XX', 'GT', 'LT', 'foo')
// Only what makes sense: since 7.2 a mistake is told although the key is absent, 7.0 answers 0.
const place = fc.integer({ min: -100, max: 100 }).map(String)
const unit = fc.constantFrom('BIT', 'BYTE')
const type = fc.constantFrom('u8', 'i8', 'u1', 'i5', 'i64', 'u63', 'u64', 'x')

const word = (name: string) => fc.constant(name)
/** A command: its words, each a name or a way to make one; a list of them is any number of these, in turn. */
type Part = string | fc.Arbitrary<string> | readonly fc.Arbitrary<string>[]
function command(...parts: Part[]): fc.Arbitrary<string[]> {
  const lists = parts.map((part): fc.Arbitrary<string[]> => {
    if (typeof part === 'string') return word(part).map((name) => [name])
    if (part instanceof fc.Arbitrary) return part.map((name) => [name])
    return fc.array(fc.tuple(...part), { maxLength: 3 }).map((groups) => groups.flat() as string[])
  })
  return fc.tuple(...lists).map((words) => words.flat())
}

const commands = fc.oneof(
  { arbitrary: command('SET', key, text, [setWord]), weight: 3 },
  { arbitrary: command('SET', key, text, fc.constantFrom('EXAT', 'PXAT'), time, [setWord]), weight: 2 },
  { arbitrary: command('HSET', key, field, text, [field, text]), weight: 4 },
  command('GET', key),
  command('GETSET', key, text),
  command('GETDEL', key),
  command('GETEX', key, fc.constantFrom('EXAT', 'PXAT', 'PERSIST'), [time]),
  command('APPEND', key, text),
  command('STRLEN', key),
  command('GETRANGE', key, integer, integer),
  command('SETRANGE', key, integer, text).filter(([, , at]) => !/\d{6}/.test(at as string)),
  command('SETNX', key, text),
  command('MSET', key, text, [key, text]),
  command('MSETNX', key, text, [key, text]),
  command('MGET', key, [key]),
  command('INCR', key),
  command('DECR', key),
  command('INCRBY', key, integer),
  command('DECRBY', key, integer),
  command('INCRBYFLOAT', key, text),
  command('LCS', key, key, [fc.constantFrom('LEN', 'IDX', 'WITHMATCHLEN', 'MINMATCHLEN', '2')]),
  command('SETBIT', key, offset, fc.constantFrom('0', '1', '2', 'x')),
  command('GETBIT', key, offset),
  command('BITCOUNT', key),
  command('BITCOUNT', key, place, place, unit),
  command('BITPOS', key, bit, place),
  command('BITPOS', key, bit, place, place, unit),
  command('BITOP', fc.constantFrom('AND', 'OR', 'XOR', 'NOT'), key, key, [key]),
  command('BITFIELD', key, [fc.constantFrom('GET'), type, offset]),
  // Redis' own sum overflows for the smallest number: it saturates an i8 at 127, where -128 is right and ours.
  command('BITFIELD', key, 'OVERFLOW', fc.constantFrom('SAT', 'WRAP', 'FAIL'), 'SET', type, offset, text).filter(
    (words) => !words.includes('-9223372036854775808'),
  ),
  command('BITFIELD', key, 'OVERFLOW', fc.constantFrom('SAT', 'WRAP', 'FAIL'), 'INCRBY', type, offset, text),
  command('DEL', key, [key]),
  command('EXISTS', key, [key]),
  command('TYPE', key),
  command('RENAME', key, key),
  command('RENAMENX', key, key),
  command('COPY', key, key, [fc.constantFrom('REPLACE', 'DB', '1', '0')]),
  command('MOVE', key, fc.constantFrom('0', '1', '16', 'x')),
  command('EXPIREAT', key, time, [flag]),
  command('PEXPIREAT', key, time, [flag]),
  command('PERSIST', key),
  command('EXPIRETIME', key),
  command('PEXPIRETIME', key),
  command('KEYS', fc.constantFrom('*', 'a', '?', '[a-b]', '{t}*', '')),
  command('HSETNX', key, field, text),
  command('HGET', key, field),
  command('HMGET', key, field, [field]),
  command('HGETALL', key),
  command('HKEYS', key),
  command('HVALS', key),
  command('HLEN', key),
  command('HSTRLEN', key, field),
  command('HEXISTS', key, field),
  command('HDEL', key, field, [field]),
  command('HINCRBY', key, field, integer),
  command('HINCRBYFLOAT', key, field, text),
  command('HSCAN', key, fc.constantFrom('0', 'x'), [fc.constantFrom('MATCH', 'COUNT', 'f', '3')]),
)

/** Show a reply with what has no order sorted. */
function normal(name: string, reply: Reply): string {
  if (reply === null || typeof reply !== 'object') return show(reply)
  const sorted = (items: readonly Reply[]) => items.map(show).sort().join(' ')
  if (!Array.isArray(reply)) return 'map' in reply ? sorted(reply.map as never) : show(reply)
  if (name === 'HSCAN') {
    const found = reply[1] as string[]
    return sorted(found.flatMap((item, i) => (i % 2 === 0 ? [[item, found[i + 1] as string]] : [])))
  }
  return ['KEYS', 'HKEYS', 'HVALS'].includes(name) ? sorted(reply) : show(reply)
}

const title = version === undefined ? 'no redis-server is installed: only that no command is a bug' : `Redis ${version}`
describe(`random commands: ${title}`, () => {
  let ours: TestRedis
  let real: RealRedis | undefined
  beforeAll(async () => {
    ours = await TestRedis.open({ dirtyRows: 20, cachedRows: 10, redoBytes: 2000 })
    if (version !== undefined) real = await RealRedis.start()
  })
  afterAll(async () => {
    ours.close()
    await real?.stop()
  })

  test('have the same replies', async () => {
    const property = fc.asyncProperty(fc.array(commands, { minLength: 1, maxLength: 60 }), async (session) => {
      await ours.run('FLUSHALL')
      await real?.run('FLUSHALL')
      for (const [at, argv] of session.entries()) {
        const reply = normal(argv[0] as string, await ours.run(...argv))
        expect(reply).not.toContain('ERR internal')
        if (real === undefined) continue
        const wanted = normal(argv[0] as string, await real.run(...argv))
        if (reply !== wanted) {
          const history = session.slice(0, at + 1).map((words) => words.map((each) => JSON.stringify(each)).join(' '))
          expect(reply, history.join('\n')).toBe(wanted)
        }
      }
    })
    await fc.assert(property, { numRuns: Number(process.env.DOTDO_DIFFERENTIAL_RUNS ?? 2000) })
  })
})
