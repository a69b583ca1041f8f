/** DUMP and RESTORE, against a real Redis both ways, over every form that payloads have, and over garbage. */
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { crc64 } from './engine/rdb/crc64.ts'
import { decode } from './engine/rdb/decode.ts'
import { encode, encodeLength, encodeString } from './engine/rdb/encode.ts'
import { readListpack, unsigned, writeListpack } from './engine/rdb/packed.ts'
import { seal, unseal } from './engine/rdb/payload.ts'
import { installedVersion, RealRedis } from './real-redis.testing.ts'
import { TestRedis } from './testing.ts'
import { type Reply, show } from './transcript.testing.ts'

let ours: TestRedis
let real: RealRedis | undefined
const version = installedVersion()
beforeAll(async () => {
  ours = await TestRedis.open()
  if (version !== undefined) real = await RealRedis.start()
})
afterAll(async () => {
  ours.close()
  await real?.stop()
})
beforeEach(async () => {
  await ours.run('FLUSHALL')
  await real?.run('FLUSHALL')
})

const range = (count: number, name = (i: number) => `${i}`) => Array.from({ length: count }, (_, i) => name(i))
const long = (i: number) => `${i}:${'word '.repeat(20)}`
const odd = ['', '-1', '007', '\x01\xff', '127', '128', '-4096', '4096', '32768', '-8388608', '2147483648', '1e3']
const huge = '9223372036854775807'

/** Commands that make the key `k`, in every form that Redis has for it. */
const made: { readonly [form: string]: readonly string[] } = {
  'string: empty': ['SET', 'k', ''],
  'string: 8 bits': ['SET', 'k', '-128'],
  'string: 16 bits': ['SET', 'k', '-32768'],
  'string: 32 bits': ['SET', 'k', '2147483647'],
  'string: 64 bits': ['SET', 'k', huge],
  'string: no integer': ['SET', 'k', '-0'],
  'string: compressed': ['SET', 'k', 'abcabcabc'.repeat(1000)],
  'string: 16 KB': ['SET', 'k', range(4000).join(' ')],
  'list: listpack': ['RPUSH', 'k', ...odd, huge],
  'list: quicklist': ['RPUSH', 'k', ...range(500, long)],
  'list: plain nodes': ['RPUSH', 'k', 'x'.repeat(9000), 'y', 'z'.repeat(70_000)],
  'set: intset of 16 bits': ['SADD', 'k', '1', '-5', '300'],
  'set: intset of 32 bits': ['SADD', 'k', '1', '-70000'],
  'set: intset of 64 bits': ['SADD', 'k', '1', '5000000000'],
  'set: hashtable': ['SADD', 'k', ...odd, ...range(200, long)],
  'set: small': ['SADD', 'k', 'a', 'b', '1'],
  'hash: listpack': ['HSET', 'k', ...odd.flatMap((each) => [each, each]), 'long', 'x'.repeat(63)],
  'hash: hashtable': ['HSET', 'k', ...range(300, long)],
  'zset: listpack': ['ZADD', 'k', '1', 'a', '-1.5', 'b', 'inf', 'c', '-inf', 'd', '3e300', 'e', '0.1', '7'],
  'zset: skiplist': ['ZADD', 'k', ...range(300).flatMap((i) => [`${Number(i) / 7}`, long(Number(i))])],
}

const reads: readonly (readonly string[])[] = [
  ['TYPE', 'k'],
  ['GET', 'k'],
  ['LRANGE', 'k', '0', '-1'],
  ['SORT', 'k', 'ALPHA'],
  ['SORT', 'k', 'BY', 'nosort', 'DESC', 'LIMIT', '0', '3'],
  ['HGETALL', 'k'],
  ['PTTL', 'k'],
]

/** Everything that can be read of the key `k`, as text; what has no order sorted. */
async function readKey(run: (...argv: string[]) => Promise<Reply>): Promise<string[]> {
  const found: string[] = []
  for (const argv of reads) {
    const reply = await run(...argv)
    if (argv.includes('nosort') && show(await run('TYPE', 'k')) === '+set') continue
    const shown = show(reply)
    // The pairs of a map have no order.
    const pairs = shown.startsWith('{') ? shown.match(/"(\\.|[^"\\])*" "(\\.|[^"\\])*"/g) : null
    found.push(`${argv.join(' ')}: ${pairs?.sort().join(' ') ?? shown}`)
  }
  return found
}

/** As text, not as numbers. */
const withScores = "return redis.call('zrange', KEYS[1], 0, -1, 'withscores')"

const runOurs = (...argv: string[]) => ours.run(...argv)

// Without a redis-server there is nothing to compare with.
describe.skipIf(version === undefined)(`DUMP and RESTORE against Redis ${version}`, () => {
  const server = () => real as RealRedis
  const runReal = (...argv: string[]) => server().run(...argv)

  test.each(Object.entries(made))('%s', async (form, argv) => {
    await runReal(...argv)
    const wanted = await readKey(runReal)
    const scores = form.startsWith('zset') && show(await runReal('EVAL', withScores, '1', 'k'))

    const theirs = (await runReal('DUMP', 'k')) as string
    expect(await ours.run('RESTORE', 'k', '0', theirs)).toEqual({ simple: 'OK' })
    expect(await readKey(runOurs)).toEqual(wanted)

    const payload = (await ours.run('DUMP', 'k')) as string
    await runReal('DEL', 'k')
    expect(await runReal('RESTORE', 'k', '0', payload)).toEqual({ simple: 'OK' })
    expect(await readKey(runReal)).toEqual(wanted)
    if (scores) expect(show(await runReal('EVAL', withScores, '1', 'k'))).toBe(scores)
  })
})

/** Commands that make the stream `k`, each of many entries. */
const streams: { readonly [form: string]: readonly string[] } = {
  'a stream of one listpack': [
    'XADD k 1-1 a 1 b 2',
    'XADD k 1-2 a 3 b x',
    'XADD k 5-0 other field',
    'XADD k 6-0 a -1 b 2',
  ],
  'a stream with deleted entries': ['XADD k 1-1 a 1', 'XADD k 2-1 a 2', 'XADD k 3-1 a 3', 'XDEL k 2-1', 'XDEL k 3-1'],
  'an empty stream': ['XGROUP CREATE k g $ MKSTREAM'],
  'a stream of many listpacks': range(250, (i) => `XADD k ${1000 + i}-0 field ${i}`),
  'a stream with groups': [
    ...range(5, (i) => `XADD k 1700000000000-${i + 1} n ${i}`),
    'XGROUP CREATE k g 0',
    'XGROUP CREATE k late $ ENTRIESREAD 3',
    'XREADGROUP GROUP g alice COUNT 2 STREAMS k >',
    'XREADGROUP GROUP g bob COUNT 2 STREAMS k >',
    'XACK k g 1700000000000-1',
    'XGROUP CREATECONSUMER k g carol',
  ],
}

// Without a redis-server there is nothing to compare with.
describe.skipIf(version === undefined)('streams in payloads', () => {
  test.each(Object.entries(streams))('%s is read and written', async (_, lines) => {
    const server = real as RealRedis
    for (const line of lines) await server.run(...line.split(' '))
    const reads = [
      ['XRANGE', 'k', '-', '+'],
      ['XINFO', 'STREAM', 'k', 'FULL', 'COUNT', '0'],
    ]
    const shownNow = async () => {
      const replies = await Promise.all(reads.map((argv) => server.run(...argv)))
      // How Redis has them in its tree is not in the payload.
      return replies.map(show).map((text) => text.replace(/"radix-tree-\w+" :\d+ /g, ''))
    }
    const wanted = await shownNow()
    const dumped = decode(unseal((await server.run('DUMP', 'k')) as string))
    await server.run('DEL', 'k')
    expect(await server.run('RESTORE', 'k', '0', encode(dumped))).toEqual({ simple: 'OK' })
    expect(await shownNow()).toEqual(wanted)
  })

  test.each(Object.entries(streams))('%s goes there and back', async (_, lines) => {
    const server = real as RealRedis
    const reads = [
      ['XRANGE', 'k', '-', '+'],
      ['XREVRANGE', 'k', '+', '-', 'COUNT', '3'],
      ['XINFO', 'STREAM', 'k', 'FULL', 'COUNT', '0'],
      ['XPENDING', 'k', 'g', '-', '+', '10'],
      ['XREADGROUP', 'GROUP', 'g', 'bob', 'STREAMS', 'k', '0'],
      ['XREADGROUP', 'GROUP', 'g', 'bob', 'COUNT', '1', 'STREAMS', 'k', '>'],
      ['XADD', 'k', '18446744073709551615-1', 'last', 'one'],
      ['XINFO', 'GROUPS', 'k'],
    ]
    const times = /"(radix-tree-\w+|(active|seen)-(time)|idle|inactive)" :-?\d+ ?/g
    const readAll = async (run: (...argv: string[]) => Promise<Reply>) => {
      const found: string[] = []
      for (const argv of reads) {
        // Times go on, 7.2 tells more of them, and in history the idle time is the third of four.
        const shown = show(await run(...argv)).replace(times, '')
        found.push(argv[0] === 'XPENDING' ? shown.replace(/:\d+ (?=:\d+\])/g, '') : shown)
      }
      return found
    }
    for (const line of lines) await server.run(...line.split(' '))
    const theirs = (await server.run('DUMP', 'k')) as string
    const wanted = await readAll((...argv) => server.run(...argv))
    expect(await ours.run('RESTORE', 'k', '0', theirs)).toEqual({ simple: 'OK' })
    const payload = (await ours.run('DUMP', 'k')) as string
    expect(decode(unseal(payload))).toEqual(decode(unseal(theirs)))
    expect(await readAll(runOurs)).toEqual(wanted)
    await server.run('DEL', 'k')
    expect(await server.run('RESTORE', 'k', '0', payload)).toEqual({ simple: 'OK' })
    expect(await readAll((...argv) => server.run(...argv))).toEqual(wanted)
  })

  test('RESTORE over a stream leaves nothing of what was there', async () => {
    await ours.run('XADD', 'a', '1-1', 'f', 'v')
    const payload = (await ours.run('DUMP', 'a')) as string
    await ours.run('XADD', 'k', '5-1', 'g', 'w')
    await ours.run('XGROUP', 'CREATE', 'k', 'g', '0')
    await ours.run('XREADGROUP', 'GROUP', 'g', 'c', 'STREAMS', 'k', '>')
    await ours.run('RESTORE', 'k', '5000', payload, 'REPLACE')
    expect(await ours.run('XRANGE', 'k', '-', '+')).toEqual([['1-1', ['f', 'v']]])
    expect(await ours.run('XINFO', 'GROUPS', 'k')).toEqual([])
    expect(await ours.run('PTTL', 'k')).toBe(5000)
    expect(await ours.run('XADD', 'k', '1-*', 'f', 'v')).toBe('1-2')
  })
})

const ziplist = (...entries: readonly string[]) => {
  const body = entries.join('')
  const last = 10 + entries.slice(0, -1).join('').length
  return `${unsigned(body.length + 11, 4)}${unsigned(last, 4)}${unsigned(entries.length, 2)}${body}\xff`
}
const text = (value: string, previous: number) => String.fromCharCode(previous, value.length) + value
const coded = (type: number, packed: string) => String.fromCharCode(type) + encodeString(packed)

/** Integers of 16 and 24 bits. */
const wide = ['\x00\xc0\x00\x80', '\x04\xf0\x00\x00\x80']

/** Forms of older servers, and of newer ones than what is installed. */
const forms: readonly (readonly [string, string, string[]])[] = [
  ['list', '\x01\x02\x01a\xc0\x05', ['a', '5']],
  ['list of a ziplist', coded(10, ziplist(text('ab', 0), '\x04\xf3', '\x02\xfe\x80')), ['ab', '2', '-128']],
  [
    'list of ziplists',
    `${coded(14, '').slice(0, 1)}\x02${[[text('a', 0)], wide].map((list) => encodeString(ziplist(...list))).join('')}`,
    ['a', '-32768', '-8388608'],
  ],
  [
    'ziplist with 32 and 64 bits',
    coded(10, ziplist('\x00\xd0\xff\xff\xff\xff', '\x06\xe0\xff\xff\xff\xff\xff\xff\xff\x7f')),
    ['-1', huge],
  ],
  ['hash of a zipmap', coded(9, '\x01\x01f\x03\x02val\x00\x00\xff'), ['f', 'val']],
  ['hash of a ziplist', coded(13, ziplist(text('f', 0), text('v', 3))), ['f', 'v']],
  ['zset of a ziplist', coded(12, ziplist(text('m', 0), text('1.5', 3))), ['m']],
  ['zset of text', '\x03\x03\x01a\x031.5\x01b\xff\x01c\xfe', ['b', 'a', 'c']],
]
const newer: readonly (readonly [string, string, string[]])[] = [
  ['set of a listpack', coded(20, writeListpack(['a', 5n, 'x'.repeat(200)])), ['5', 'a', 'x'.repeat(200)]],
]

async function restoredElements(body: string, run: typeof runOurs): Promise<Reply> {
  expect(await run('RESTORE', 'k', '0', seal(body, 9))).toEqual({ simple: 'OK' })
  const { simple } = (await run('TYPE', 'k')) as { simple: string }
  if (simple === 'hash') return [...((await run('HKEYS', 'k')) as string[]), ...((await run('HVALS', 'k')) as string[])]
  return await run('SORT', 'k', ...(simple === 'set' ? ['ALPHA'] : ['BY', 'nosort']))
}

describe('RESTORE', () => {
  test.each([...forms, ...newer])('%s', async (_, body, elements) => {
    expect(await restoredElements(body, runOurs)).toEqual(elements)
  })

  // Without a redis-server there is nothing to compare with.
  test.skipIf(version === undefined).each([...forms])('%s, by Redis', async (_, body, elements) => {
    expect(await restoredElements(body, (...argv) => (real as RealRedis).run(...argv))).toEqual(elements)
  })

  test('a hash keeps when its fields expire, in both forms of Redis 7.4', async () => {
    await ours.run('HSET', 'h', 'a', '1', 'b', '2', 'c', '3')
    await ours.run('HPEXPIREAT', 'h', '33177117420123', 'FIELDS', '1', 'a')
    await ours.run('HPEXPIREAT', 'h', '33177117421000', 'FIELDS', '1', 'b')
    const payload = (await ours.run('DUMP', 'h')) as string
    await ours.run('RESTORE', 'copy', '0', payload)
    expect(await ours.run('HPEXPIRETIME', 'copy', 'FIELDS', '3', 'a', 'b', 'c')).toEqual([
      33177117420123, 33177117421000, -1,
    ])
    const packed = writeListpack(['a', '1', 33177117420123n, 'b', 2n, 0n, 'gone', 3n, 1n])
    await ours.run('RESTORE', 'k', '0', seal(`\x19${unsigned(1, 4)}${unsigned(0, 4)}${encodeString(packed)}`, 12))
    expect(await ours.run('HGETALL', 'k')).toEqual({
      map: expect.arrayContaining([
        ['a', '1'],
        ['b', '2'],
      ]),
    })
    expect(await ours.run('HLEN', 'k')).toBe(2)
    expect(await ours.run('HPEXPIRETIME', 'k', 'FIELDS', '2', 'a', 'b')).toEqual([33177117420123, -1])
  })

  test('a time that has come leaves nothing, and one to come is kept', async () => {
    await ours.run('RPUSH', 'l', 'a')
    const payload = (await ours.run('DUMP', 'l')) as string
    expect(await ours.run('RESTORE', 'l', '1', payload, 'ABSTTL', 'REPLACE')).toEqual({ simple: 'OK' })
    expect(await ours.run('EXISTS', 'l')).toBe(0)
    await ours.run('RESTORE', 'l', '5000', payload)
    expect(await ours.run('PTTL', 'l')).toBe(5000)
    await ours.run('RESTORE', 'l', '33177117420123', payload, 'ABSTTL', 'REPLACE')
    expect(await ours.run('PEXPIRETIME', 'l')).toBe(33177117420123)
  })

  const good = { error: 'ERR Bad data format' }

  test('garbage is refused, with whatever checksum, and never a bug', async () => {
    const bodies: string[] = [...forms, ...newer].map(([, body]) => body)
    for (const argv of Object.values(made)) {
      if (real === undefined || argv.join(' ').length > 2000) continue
      await real.run('DEL', 'k')
      await real.run(...argv)
      bodies.push(((await real.run('DUMP', 'k')) as string).slice(0, -10))
    }
    for (const lines of Object.values(streams).filter(({ length }) => length < 50)) {
      await ours.run('FLUSHALL')
      for (const line of lines) await ours.run(...line.split(' '))
      bodies.push(((await ours.run('DUMP', 'k')) as string).slice(0, -10))
    }
    const mutation = fc.record({ at: fc.nat(), byte: fc.nat(255), cut: fc.option(fc.nat(), { freq: 6 }) })
    const garbled = fc
      .tuple(fc.constantFrom(...bodies), fc.array(mutation, { minLength: 1, maxLength: 3 }))
      .map(([body, mutations]) => {
        let bytes = body
        for (const { at, byte, cut } of mutations) {
          const place = at % (bytes.length + 1)
          bytes = bytes.slice(0, place) + String.fromCharCode(byte) + bytes.slice(place + 1)
          if (cut !== null) bytes = bytes.slice(0, cut % (bytes.length + 1))
        }
        return bytes
      })
    const junk = fc.oneof({ arbitrary: garbled, weight: 9 }, fc.string({ unit: 'binary-ascii', maxLength: 40 }))
    const property = fc.asyncProperty(junk, async (body) => {
      const reply = await ours.run('RESTORE', 'k', '0', seal(body, 10), 'REPLACE')
      if (show(reply) !== '+OK') expect(show(reply)).toMatch(/^-ERR Bad data format/)
      else expect(show(await ours.run('DUMP', 'k'))).not.toMatch(/^-/)
    })
    await fc.assert(property, { numRuns: Number(process.env.DOTDO_RESTORE_RUNS ?? 1000) })
  })

  test.each([
    ['an empty list', '\x01\x00'],
    ['a member twice', '\x02\x02\x01a\x01a'],
    ['a module', '\x07\x00'],
    ['no type of this world', '\x63\x00'],
    ['bytes left over', '\x00\x01aa'],
    ['a score that is no number', '\x03\x01\x01a\xfd'],
    ['a bomb', `\x00\xc3${encodeLength(3)}${encodeLength(500_000_000)}abc`],
    ['a count beyond its bytes', `\x02${encodeLength(2 ** 31)}\x01a`],
    ['64 bits of length', '\x00\x81\xff\xff\xff\xff\xff\xff\xff\xffa'],
  ])('%s is refused', async (_, body) => {
    expect(await ours.run('RESTORE', 'k', '0', seal(body, 10))).toEqual(good)
  })
})

describe('forms', () => {
  test('the checksum is that of Redis', () => {
    const hex = [...crc64('123456789')].map((char) => char.charCodeAt(0).toString(16).padStart(2, '0'))
    expect(hex.reverse().join('')).toBe('e9c6d914c4b8d9ca')
  })

  test('a listpack comes back as it was written', () => {
    const entries = fc.array(
      fc.oneof(
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        fc.integer().map(BigInt),
        fc.string(),
        fc.nat(5000).map((n) => 'x'.repeat(n)),
      ),
      { maxLength: 20 },
    )
    fc.assert(
      fc.property(entries, (list) => {
        expect(readListpack(writeListpack(list))).toEqual(list.map(String))
      }),
    )
  })
})
