/** Random commands, sent to us and to a real Redis: every reply must be the same. For tests only.
 *
 *  A type is a table of its commands, a line each: words, generators of words, and lists of generators that stand for
 *  any number of these. What a reply says in no order is compared in none. */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { installedVersion, RealRedis } from './real-redis.testing.ts'
import { TestRedis } from './testing.ts'
import { type Reply, show } from './transcript.testing.ts'

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

type Line = fc.Arbitrary<string[]> | { readonly arbitrary: fc.Arbitrary<string[]>; readonly weight: number }

/** A command that comes more often than others. */
function weighted(weight: number, arbitrary: fc.Arbitrary<string[]>): Line {
  return { arbitrary, weight }
}

const general: readonly Line[] = [
  weighted(3, command('SET', key, text, [setWord])),
  weighted(2, command('SET', key, text, fc.constantFrom('EXAT', 'PXAT'), time, [setWord])),
  weighted(4, command('HSET', key, field, text, [field, text])),
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
  command('BITFIELD_RO', key, 'GET', type, offset),
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
]

const oneOf = fc.constantFrom<string[]>
const keyOf = (name: string) => fc.oneof({ arbitrary: fc.constantFrom(name, `{t}${name}`), weight: 5 }, key)
const end = oneOf('LEFT', 'RIGHT')
const index = fc.integer({ min: -6, max: 6 }).map(String)
const count = fc.integer({ min: 0, max: 4 }).map(String)

const list = keyOf('l')
const lists: readonly Line[] = [
  weighted(4, command('RPUSH', list, text, [text])),
  weighted(3, command('LPUSH', list, text, [text])),
  command('LPUSHX', list, text),
  command('RPUSHX', list, text, [text]),
  command('LPOP', list),
  command('RPOP', list, count),
  command('LLEN', list),
  weighted(3, command('LRANGE', list, index, index)),
  command('LINDEX', list, index),
  command('LSET', list, index, text),
  weighted(2, command('LINSERT', list, oneOf('BEFORE', 'AFTER', 'x'), text, text)),
  command('LREM', list, index, text),
  command('LTRIM', list, index, index),
  command('LPOS', list, text, [oneOf('RANK', 'COUNT', 'MAXLEN'), index]),
  command('LMOVE', list, list, end, end),
  command('RPOPLPUSH', list, list),
  command('LMPOP', oneOf('1', '2', '0'), list, list, end, [word('COUNT'), count]),
]

const set = keyOf('s')
const sets: readonly Line[] = [
  weighted(5, command('SADD', set, text, [text])),
  command('SREM', set, text, [text]),
  command('SCARD', set),
  command('SISMEMBER', set, text),
  command('SMISMEMBER', set, text, [text]),
  weighted(2, command('SMEMBERS', set)),
  command('SMOVE', set, set, text),
  command('SINTER', set, [set]),
  command('SUNION', set, [set]),
  command('SDIFF', set, [set]),
  command('SINTERSTORE', set, set, [set]),
  command('SUNIONSTORE', set, set, [set]),
  command('SDIFFSTORE', set, set, [set]),
  command('SINTERCARD', '2', set, set, [word('LIMIT'), count]),
]

const zset = keyOf('z')
const score = fc.oneof(fc.integer({ min: -5, max: 5 }).map(String), fc.constantFrom('inf', '-inf', '1.5', '1e300', 'x'))
const bound = fc.oneof(score, fc.constantFrom('(1', '(-2', '(1.5', '+inf'))
const lexical = fc.constantFrom('-', '+', '[a', '(a', '[', '[x', '(1', 'a')
const ranked = fc.constantFrom('a', 'b', 'c', 'd', '1', '')
const zaddWord = fc.constantFrom('NX', 'XX', 'GT', 'LT', 'CH')
const aggregate = oneOf('SUM', 'MIN', 'MAX')
// Where scores differ, what lies between two members is anything: Redis says so, and answers by how it walks.
const equal = fc.constantFrom('e', '{t}e')
const sortedSets: readonly Line[] = [
  weighted(2, command('ZADD', equal, '0', ranked, [word('0'), ranked])),
  weighted(6, command('ZADD', zset, score, ranked, [score, ranked])),
  weighted(2, command('ZADD', zset, [zaddWord], score, ranked)),
  command('ZADD', zset, 'INCR', score, ranked),
  command('ZINCRBY', zset, score, ranked),
  command('ZREM', zset, ranked, [ranked]),
  command('ZCARD', zset),
  command('ZSCORE', zset, ranked),
  command('ZMSCORE', zset, ranked, [ranked]),
  command('ZRANK', zset, ranked),
  command('ZREVRANK', zset, ranked),
  command('ZCOUNT', zset, bound, bound),
  command('ZLEXCOUNT', equal, lexical, lexical),
  weighted(3, command('ZRANGE', zset, index, index, [oneOf('REV', 'WITHSCORES')])),
  command('ZRANGE', zset, bound, bound, 'BYSCORE', [word('LIMIT'), index, index], [word('WITHSCORES')]),
  command('ZRANGE', equal, lexical, lexical, 'BYLEX', [oneOf('REV')]),
  command('ZREVRANGE', zset, index, index),
  command('ZRANGEBYSCORE', zset, bound, bound, [word('WITHSCORES')]),
  command('ZREVRANGEBYSCORE', zset, bound, bound, [word('LIMIT'), count, index]),
  command('ZRANGEBYLEX', equal, lexical, lexical),
  command('ZREVRANGEBYLEX', equal, lexical, lexical),
  command('ZPOPMIN', zset, [count]),
  command('ZPOPMAX', zset),
  command('ZMPOP', '2', zset, zset, oneOf('MIN', 'MAX'), [word('COUNT'), count]),
  command('ZREMRANGEBYRANK', zset, index, index),
  command('ZREMRANGEBYSCORE', zset, bound, bound),
  command('ZREMRANGEBYLEX', equal, lexical, lexical),
  command('ZRANGESTORE', zset, zset, index, index, [oneOf('REV', 'BYSCORE')]),
  command('ZUNION', '2', zset, zset, 'AGGREGATE', aggregate, 'WITHSCORES'),
  command('ZINTER', '2', zset, zset, 'WEIGHTS', score, score),
  command('ZDIFF', '2', zset, zset, 'WITHSCORES'),
  command('ZUNIONSTORE', zset, '2', zset, set, 'AGGREGATE', aggregate),
  command('ZINTERSTORE', zset, '2', zset, zset),
  command('ZDIFFSTORE', zset, '2', zset, zset),
  command('ZINTERCARD', '2', zset, zset),
]

const longitude = fc.constantFrom('13.361389', '15.087269', '0', '-0.5', '179.9', '-181', 'x')
const latitude = fc.constantFrom('38.115556', '37.502669', '0', '51.5', '-85', '86', 'x')
const unitOfLength = oneOf('m', 'km', 'ft', 'mi', 'x')
const distance = fc.constantFrom('0', '100', '200', '5000', '1e3', '-1', 'x')
const order = oneOf('ASC', 'DESC')
const place2 = [longitude, latitude] as const
// Keys of their own: what an infinite score is as a place is left to the compiler in Redis.
const places = fc.constantFrom('g', '{t}g')
const geo: readonly Line[] = [
  weighted(5, command('GEOADD', places, ...place2, ranked, [...place2, ranked])),
  command('GEOADD', places, [oneOf('NX', 'XX', 'CH')], ...place2, ranked),
  command('GEODIST', places, ranked, ranked, [unitOfLength]),
  command('GEOHASH', places, ranked, [ranked]),
  command('GEOPOS', places, ranked, [ranked]),
  command('GEOSEARCH', places, 'FROMLONLAT', ...place2, 'BYRADIUS', distance, unitOfLength, order, [
    oneOf('WITHDIST', 'WITHHASH', 'WITHCOORD', 'ANY'),
  ]),
  command('GEOSEARCH', places, 'FROMMEMBER', ranked, 'BYBOX', distance, distance, unitOfLength, order, 'COUNT', count),
  command('GEOSEARCHSTORE', places, places, 'FROMMEMBER', ranked, 'BYRADIUS', distance, 'km', [word('STOREDIST')]),
  command('GEORADIUS', places, ...place2, distance, unitOfLength, order, [oneOf('WITHDIST', 'WITHCOORD')]),
  command('GEORADIUSBYMEMBER_RO', places, ranked, distance, unitOfLength, order),
]

const stream = keyOf('x')
const streamId = fc.oneof(
  { arbitrary: fc.tuple(fc.nat(5), fc.nat(3)).map(([ms, seq]) => `${ms}-${seq}`), weight: 5 },
  fc.constantFrom('3', '2-*', '18446744073709551615-1', 'x', '', '-', '+', '(1-1', '$'),
)
// Groups and all options have a session of their own: streams.differential.test.ts.
const streams: readonly Line[] = [
  weighted(5, command('XADD', stream, streamId, field, text, [field, text])),
  command('XADD', stream, oneOf('MAXLEN', 'MINID'), [oneOf('=', '~')], count, streamId, field, text),
  command('XLEN', stream),
  weighted(2, command('XRANGE', stream, streamId, streamId, [word('COUNT'), count])),
  command('XREVRANGE', stream, streamId, streamId),
  command('XDEL', stream, streamId, [streamId]),
  command('XTRIM', stream, oneOf('MAXLEN', 'MINID'), count),
]

const counter = keyOf('p')
const logs: readonly Line[] = [
  weighted(4, command('PFADD', counter, text, [text])),
  command('PFADD', counter),
  weighted(2, command('PFCOUNT', counter, [counter])),
  command('PFMERGE', counter, counter, [counter]),
]

const any = fc.oneof(list, set, zset, stream, counter, key)
const anyType: readonly Line[] = [
  command('TYPE', any),
  command('COPY', any, any, [word('REPLACE')]),
  command('RENAME', any, any),
  command('DEL', any),
  command('EXISTS', any, [any]),
  command('TOUCH', any, [any]),
  command('OBJECT', 'REFCOUNT', any).filter(([, , name]) => name?.includes('z') === true),
  command('EXPIREAT', any, time, [flag]),
  command('PERSIST', any),
  // As text only into a list: else Redis compares as the C library does, which stops at a zero byte.
  command('SORT', any, [oneOf('ASC', 'DESC')], [word('ALPHA')], 'STORE', list),
  command('SORT', list, [oneOf('ASC', 'DESC')], [word('LIMIT'), index, index]),
  command('SORT', list, 'BY', oneOf('nosort', '*', 'h*->f'), [word('GET'), oneOf('#', '*', '*->f')]),
  command('RESTORE', any, oneOf('0', '-1', 'x'), 'garbage', [oneOf('REPLACE', 'ABSTTL', 'x')]),
]

/** A session's commands. */
const commands = fc.oneof(...general, ...lists, ...sets, ...sortedSets, ...geo, ...streams, ...logs, ...anyType)

/** Commands whose replies have no order. */
const unordered = ['KEYS', 'HKEYS', 'HVALS', 'SMEMBERS', 'SINTER', 'SUNION', 'SDIFF']

/** Show a reply with what has no order sorted. */
function normal(name: string, reply: Reply): string {
  if (reply === null || typeof reply !== 'object') return show(reply)
  const sorted = (items: readonly Reply[]) => items.map(show).sort().join(' ')
  if (!Array.isArray(reply)) {
    if ('map' in reply) return sorted(reply.map as never)
    return 'set' in reply ? sorted(reply.set as never) : show(reply)
  }
  if (name === 'HSCAN') {
    const found = reply[1] as string[]
    return sorted(found.flatMap((item, i) => (i % 2 === 0 ? [[item, found[i + 1] as string]] : [])))
  }
  return unordered.includes(name) ? sorted(reply) : show(reply)
}

/** Send random sessions to both; the first difference is shrunk, and shown with the session that leads to it.
 *  @param real undefined to hold only that no command is a bug */
async function compareSessions(
  ours: TestRedis,
  real: RealRedis | undefined,
  options: { readonly sessions: number; readonly length: number },
): Promise<void> {
  const property = fc.asyncProperty(
    fc.array(commands, { minLength: 1, maxLength: options.length }),
    async (session) => {
      await ours.run('FLUSHALL')
      await real?.run('FLUSHALL')
      for (const [at, argv] of session.entries()) {
        const reply = normal(argv[0] as string, await ours.run(...argv))
        expect(reply).not.toContain('ERR internal')
        if (real === undefined) continue
        const wanted = normal(argv[0] as string, await real.run(...argv))
        if (reply === wanted) continue
        const history = session.slice(0, at + 1).map((words) => words.map((each) => JSON.stringify(each)).join(' '))
        expect(reply, history.join('\n')).toBe(wanted)
      }
    },
  )
  await fc.assert(property, { numRuns: options.sessions })
}

/** Make the suite that compares so many sessions. Without a redis-server it holds only that no command is a bug. */
export function describeSessions(options: { readonly sessions: number; readonly length: number }): void {
  const version = installedVersion()
  const title = version === undefined ? 'no redis-server is installed' : `Redis ${version}`
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

    test('have the same replies', () => compareSessions(ours, real, options))
  })
}
