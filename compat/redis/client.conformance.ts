/** What an ioredis client does wherever its data is: in this process, behind a port, or through a tunnel. */
import type { Redis, RedisOptions } from 'ioredis'
import { ReplyError } from 'ioredis'
import type { ExpectStatic } from 'vitest'

/** Options of every client; how replies are shaped is left to what is typed. */
export type ClientOptions = Omit<RedisOptions, 'replyMapping'>

/** An empty place for the data of one case. */
export interface ClientPlace {
  /** Make a client of the place. */
  client(options?: ClientOptions): Redis
  /** Make a client of a database with so many shards. */
  sharded(count: number): Promise<Redis>
}

/** One thing every client does. */
export interface ClientCase {
  readonly name: string
  run(place: ClientPlace, expect: ExpectStatic): Promise<void>
}

/** Every case; each wants an empty place. */
export const clientCases: readonly ClientCase[] = [
  {
    name: 'strings, hashes, numbers, buffers and errors go through',
    async run(place, expect) {
      const redis = place.client()
      expect(await redis.set('greeting', 'grüß dich')).toBe('OK')
      expect(await redis.get('greeting')).toBe('grüß dich')
      const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
      await redis.set('bytes', bytes)
      expect(await redis.getBuffer('bytes')).toEqual(bytes)
      expect(await redis.hset('h', { a: 1, b: 'two' })).toBe(2)
      expect(await redis.hgetall('h')).toEqual({ a: '1', b: 'two' })
      expect(await redis.get('none')).toBe(null)
      expect(await redis.incrby('n', 41)).toBe(41)
      await expect(redis.incr('h')).rejects.toThrow(/^WRONGTYPE/)
      await expect(redis.incr('greeting')).rejects.toBeInstanceOf(ReplyError)
      expect(await redis.mget('n', 'none')).toEqual(['41', null])
    },
  },
  {
    name: 'pipelines, MULTI and WATCH',
    async run(place, expect) {
      const redis = place.client()
      const replies = await redis.pipeline().set('a', 1).incr('a').hget('a', 'x').exec()
      expect(replies?.map(([error, reply]) => error?.message ?? reply)).toEqual([
        'OK',
        2,
        'WRONGTYPE Operation against a key holding the wrong kind of value',
      ])
      expect(await redis.multi().set('b', 1).incrby('b', 2).get('b').exec()).toEqual([
        [null, 'OK'],
        [null, 3],
        [null, '3'],
      ])
      const other = place.client()
      await redis.watch('b')
      await other.set('b', 9)
      expect(await redis.multi().incr('b').exec()).toBe(null)
      expect(await redis.get('b')).toBe('9')
    },
  },
  {
    name: '1000 commands at once are answered in order',
    async run(place, expect) {
      const redis = place.client()
      const replies = await Promise.all(Array.from({ length: 1_000 }, () => redis.incr('counter')))
      expect(replies).toEqual(Array.from({ length: 1_000 }, (_, i) => i + 1))
    },
  },
  {
    name: 'large values go both ways whole, many at once',
    async run(place, expect) {
      const redis = place.client()
      const large = Buffer.alloc(1_500_000, 'dotdo')
      await redis.set('large', large)
      const read = await Promise.all(Array.from({ length: 12 }, () => redis.getBuffer('large')))
      expect(read.filter((one) => one?.equals(large))).toHaveLength(12)
      expect(await redis.strlen('large')).toBe(1_500_000)
    },
  },
  {
    name: 'streams of SCAN meet every key once, over several shards',
    async run(place, expect) {
      const redis = await place.sharded(3)
      const keys = Array.from({ length: 200 }, (_, i) => `scan:${i}`)
      await redis.mset(...keys.flatMap((key) => [key, '1']))
      const found: string[] = []
      for await (const page of redis.scanStream({ match: 'scan:*', count: 25 })) found.push(...(page as string[]))
      expect(found.sort()).toEqual([...keys].sort())
    },
  },
  {
    name: 'RESP2 works as RESP3 does',
    async run(place, expect) {
      for (const protocol of [2, 3] as const) {
        const redis = place.client({ protocol, connectionName: `speaks-${protocol}` })
        await redis.hset('h', 'f', 'v')
        expect(await redis.hgetall('h')).toEqual({ f: 'v' })
        expect(await redis.client('GETNAME')).toBe(`speaks-${protocol}`)
        expect(await redis.call('hello')).toContain(protocol)
      }
    },
  },
  {
    name: 'numbered and named databases, and key prefixes',
    async run(place, expect) {
      const [zero, two, agent] = [place.client(), place.client({ db: 2 }), place.client({ keyPrefix: 'p:' })]
      await agent.call('SELECT', 'agent-42')
      await Promise.all([zero.set('k', 'zero'), two.set('k', 'two'), agent.set('k', 'agent')])
      expect(await Promise.all([zero.get('k'), two.get('k'), agent.get('k')])).toEqual(['zero', 'two', 'agent'])
      const named = place.client()
      await named.call('SELECT', 'agent-42')
      expect(await named.get('p:k')).toBe('agent')
      expect(await named.get('k')).toBe(null)
    },
  },
  {
    name: 'expiry, by the second and by the millisecond',
    async run(place, expect) {
      const redis = place.client()
      await redis.set('brief', 1, 'PX', 1)
      await redis.set('long', 1, 'EX', 100)
      while ((await redis.exists('brief')) === 1) await redis.ping()
      expect(await redis.ttl('long')).toBeGreaterThan(90)
      expect(await redis.ttl('brief')).toBe(-2)
    },
  },
  {
    name: 'a client reconnects after its connection was closed',
    async run(place, expect) {
      const redis = place.client({ retryStrategy: () => 1 })
      await redis.client('SETNAME', 'doomed')
      const id = await redis.client('ID')
      // Its own connection: through a tunnel, none knows another.
      expect(await redis.call('CLIENT', 'KILL', 'ID', id, 'SKIPME', 'no')).toBe(1)
      expect(await redis.set('after', 1)).toBe('OK')
      expect(await redis.client('GETNAME')).not.toBe('doomed')
    },
  },
  {
    name: 'QUIT is answered, and closes',
    async run(place, expect) {
      const redis = place.client()
      const ended = new Promise((resolve) => redis.once('end', resolve))
      const replies = await Promise.all([redis.set('last', 'words'), redis.quit()])
      expect(replies).toEqual(['OK', 'OK'])
      await ended
      expect(await place.client().get('last')).toBe('words')
    },
  },
]
