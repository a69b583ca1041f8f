import { expect, test } from 'vitest'
import { encodeValue, formatDouble, type Protocol, ReplyWriter, RequestDecoder, splitInline } from './codec.ts'
import type { Value } from './value.ts'

const bytes = (text: string) => Buffer.from(text, 'latin1')

function decode(...chunks: string[]): { requests: string[][]; error: string | undefined } {
  const decoder = new RequestDecoder()
  const requests: string[][] = []
  for (const chunk of chunks) {
    decoder.push(bytes(chunk))
    for (let argv = decoder.next(); argv; argv = decoder.next()) requests.push(argv)
  }
  return { requests, error: decoder.error }
}

test('requests are read however they are cut', () => {
  const wire = '*3\r\n$3\r\nSET\r\n$5\r\nk\r\ney\r\n$0\r\n\r\nPING  hello\r\n*1\r\n$4\r\nQUIT\r\n'
  const whole = [['SET', 'k\r\ney', ''], ['PING', 'hello'], ['QUIT']]
  expect(decode(wire)).toEqual({ requests: whole, error: undefined })
  expect(decode(...wire)).toEqual({ requests: whole, error: undefined })
  for (let cut = 0; cut <= wire.length; cut++) {
    expect(decode(wire.slice(0, cut), wire.slice(cut)).requests).toEqual(whole)
  }
})

test('every byte value survives', () => {
  const all = Array.from({ length: 256 }, (_, i) => String.fromCharCode(i)).join('')
  expect(decode(`*1\r\n$256\r\n${all}\r\n`).requests).toEqual([[all]])
})

test('empty requests are passed over, as Redis does', () => {
  expect(decode('\r\n\r\n*0\r\n*-1\r\n   \r\nPING\n')).toEqual({ requests: [['PING']], error: undefined })
})

test.each([
  ['*a\r\n', 'Protocol error: invalid multibulk length'],
  ['*01\r\n', 'Protocol error: invalid multibulk length'],
  ['*1048577\r\n', 'Protocol error: invalid multibulk length'],
  ['*1\r\nx1\r\n', "Protocol error: expected '$', got 'x'"],
  ['*1\r\n$-1\r\n', 'Protocol error: invalid bulk length'],
  ['*1\r\n$ 1\r\n', 'Protocol error: invalid bulk length'],
  ['*1\r\n$16777217\r\n', 'Protocol error: invalid bulk length'],
  ['set "a\r\n', 'Protocol error: unbalanced quotes in request'],
  ['set "a"b\r\n', 'Protocol error: unbalanced quotes in request'],
  ['x'.repeat(65_537), 'Protocol error: too big inline request'],
  [`*${'1'.repeat(65_537)}`, 'Protocol error: too big mbulk count string'],
  [`*1\r\n$${'1'.repeat(65_537)}`, 'Protocol error: too big bulk count string'],
])('%# a broken request is reported after the good ones: %j', (wire, error) => {
  const good = 'PING\r\n'
  expect(decode(good + wire, good)).toEqual({ requests: [['PING']], error })
  expect(decode(...`${good}${wire}`, good)).toEqual({ requests: [['PING']], error })
})

test('one request may not hold more than its bound, however many arguments it is cut into', () => {
  const decoder = new RequestDecoder()
  decoder.push(bytes('*6\r\n'))
  const argument = Buffer.alloc(16 * 1024 * 1024 + 2, '\r\n')
  for (let i = 0; i < 4; i++) {
    decoder.push(bytes('$16777216\r\n'))
    decoder.push(argument)
    expect(decoder.next()).toBe(undefined)
    expect(decoder.error).toBe(undefined)
  }
  decoder.push(bytes('$1\r\n'))
  expect(decoder.next()).toBe(undefined)
  expect(decoder.error).toBe('Protocol error: invalid bulk length')
  expect(decoder.heldBytes).toBe(0)
})

test('strangers get stricter bounds until they are known', () => {
  const decoder = new RequestDecoder()
  decoder.authenticated = false
  decoder.push(bytes('*2\r\n$4\r\nAUTH\r\n$2\r\npw\r\n*11\r\n$4\r\n'))
  expect(decoder.next()).toEqual(['AUTH', 'pw'])
  decoder.authenticated = true
  expect(decoder.next()).toBe(undefined)
  expect(decoder.error).toBe(undefined)
  const stranger = new RequestDecoder()
  stranger.authenticated = false
  stranger.push(bytes('*11\r\n'))
  expect([stranger.next(), stranger.error]).toEqual([undefined, 'Protocol error: unauthenticated multibulk length'])
  const loud = new RequestDecoder()
  loud.authenticated = false
  loud.push(bytes('*1\r\n$16385\r\n'))
  expect([loud.next(), loud.error]).toEqual([undefined, 'Protocol error: unauthenticated bulk length'])
})

test('inline quoting follows sdssplitargs', () => {
  expect(splitInline(String.raw`set  "a b\x41\n\"" 'c\'d\n' e"f g"`)).toEqual(['set', 'a bA\n"', "c'd\\n", 'ef g'])
  expect(splitInline('  ')).toEqual([])
  expect(splitInline("'open")).toBe(undefined)
  expect(splitInline('"half\\')).toBe(undefined)
})

test.each<[Value, string, string]>([
  ['a\0\xff', '$3\r\na\0\xff\r\n', '$3\r\na\0\xff\r\n'],
  [-7, ':-7\r\n', ':-7\r\n'],
  [null, '$-1\r\n', '_\r\n'],
  [{ nilArray: true }, '*-1\r\n', '_\r\n'],
  [{ simple: 'OK' }, '+OK\r\n', '+OK\r\n'],
  [{ error: 'ERR a\r\nb' }, '-ERR a  b\r\n', '-ERR a  b\r\n'],
  [{ int64: '9223372036854775807' }, ':9223372036854775807\r\n', ':9223372036854775807\r\n'],
  [{ double: 1.5 }, '$3\r\n1.5\r\n', ',1.5\r\n'],
  [{ double: Number.NEGATIVE_INFINITY }, '$4\r\n-inf\r\n', ',-inf\r\n'],
  [{ bool: true }, ':1\r\n', '#t\r\n'],
  [{ bool: false }, ':0\r\n', '#f\r\n'],
  [{ big: '12345678901234567890' }, '$20\r\n12345678901234567890\r\n', '(12345678901234567890\r\n'],
  [{ verbatim: 'hi', format: 'txt' }, '$2\r\nhi\r\n', '=6\r\ntxt:hi\r\n'],
  [['a', [1, null]], '*2\r\n$1\r\na\r\n*2\r\n:1\r\n$-1\r\n', '*2\r\n$1\r\na\r\n*2\r\n:1\r\n_\r\n'],
  [{ map: [['a', 1]] }, '*2\r\n$1\r\na\r\n:1\r\n', '%1\r\n$1\r\na\r\n:1\r\n'],
  [
    {
      pairs: [
        ['a', 1],
        ['b', 2],
      ],
    },
    '*4\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n:2\r\n',
    '*2\r\n*2\r\n$1\r\na\r\n:1\r\n*2\r\n$1\r\nb\r\n:2\r\n',
  ],
  [{ set: ['a'] }, '*1\r\n$1\r\na\r\n', '~1\r\n$1\r\na\r\n'],
  [{ push: ['a'] }, '*1\r\n$1\r\na\r\n', '>1\r\n$1\r\na\r\n'],
])('%j is written as each protocol has it', (value, two, three) => {
  expect(encodeValue(value, 2)).toBe(two)
  expect(encodeValue(value, 3)).toBe(three)
})

test.each([
  [0.1, '0.1'],
  [-0, '-0'],
  [3, '3'],
  [-1234567.25, '-1234567.25'],
  [1e21, '1e+21'],
  [1.5e300, '1.5e+300'],
  [1e-7, '1e-7'],
  [0.000123, '0.000123'],
  [1.5e-9, '1.5e-9'],
  [2 ** 53, '9007199254740992'],
  [Number.NaN, 'nan'],
])('the double %d is written %s', (value, text) => {
  expect(formatDouble(value)).toBe(text)
})

test('a reply larger than its bound is refused, not built', () => {
  const block = 'x'.repeat(1024 * 1024)
  expect(() =>
    encodeValue(
      Array.from({ length: 200 }, () => block),
      3,
    ),
  ).toThrow(/reply is larger than/)
})

test('replies leave together, in order', () => {
  const writer = new ReplyWriter()
  expect(writer.take()).toEqual([])
  const protocol: Protocol = 2
  let expected = ''
  for (let i = 0; i < 50; i++) {
    const encoded = encodeValue(String(i).repeat(10_000), protocol)
    expected += encoded
    writer.add(encoded)
  }
  expect(writer.length).toBe(expected.length)
  expect(Buffer.concat(writer.take()).toString('latin1')).toBe(expected)
  expect(writer.length).toBe(0)
  writer.add('+OK\r\n')
  expect(writer.take().map((part) => Buffer.from(part).toString('latin1'))).toEqual(['+OK\r\n'])
})

test('a list is what its items are, one by one, however many and large they are', () => {
  const texts = (count: number, size: number) => Array.from({ length: count }, (_, i) => `${i}`.padEnd(size, '\xff'))
  for (const items of [
    texts(7, 3),
    texts(8, 0),
    texts(200, 3),
    texts(200, 1023),
    [...texts(20, 3), ...texts(5, 1024), ...texts(5, 3)],
    [...texts(20, 3), null, 7, ['a', 'b'], ...texts(20, 3)],
    [null, ...texts(20, 3)],
  ]) {
    const each = items.map((item) => encodeValue(item, 3)).join('')
    expect(encodeValue(items, 3)).toBe(`*${items.length}\r\n${each}`)
  }
})
