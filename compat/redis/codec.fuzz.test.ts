import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RequestDecoder } from './codec.ts'

interface Outcome {
  requests: string[][]
  error: string | undefined
}

function decode(chunks: Uint8Array[]): Outcome {
  const decoder = new RequestDecoder()
  const requests: string[][] = []
  for (const chunk of chunks) {
    decoder.push(chunk)
    for (let argv = decoder.next(); argv; argv = decoder.next()) requests.push(argv)
    expect(decoder.heldBytes).toBeLessThanOrEqual(chunks.reduce((sum, part) => sum + part.length, 0))
  }
  return { requests, error: decoder.error }
}

/** Cut bytes at the places given, each chunk in memory of its own. */
function cut(wire: Buffer, places: number[]): Uint8Array[] {
  const at = [...new Set(places.map((place) => place % (wire.length + 1)))].sort((a, b) => a - b)
  const ends = [...at, wire.length]
  return ends.map((end, i) => Uint8Array.from(wire.subarray(i === 0 ? 0 : ends[i - 1], end)))
}

const argument = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('latin1'))
const request = fc.array(argument, { minLength: 1, maxLength: 6 })
const multibulk = (argv: string[]) => `*${argv.length}\r\n${argv.map((a) => `$${a.length}\r\n${a}\r\n`).join('')}`
const places = fc.array(fc.nat(), { maxLength: 30 })

test('what is encoded is decoded, however it is cut', () => {
  fc.assert(
    fc.property(fc.array(request, { maxLength: 8 }), places, (requests, cuts) => {
      const wire = Buffer.from(requests.map(multibulk).join(''), 'latin1')
      expect(decode(cut(wire, cuts))).toEqual({ requests, error: undefined })
    }),
    { numRuns: 500 },
  )
})

test('garbage gives the same requests and the same protocol error, however it is cut', () => {
  const piece = fc.oneof(
    request.map(multibulk),
    fc.constantFrom('*', '$', '\r', '\n', '\r\n', '*3\r\n', '$5\r\n', '*-1\r\n', '$-1\r\n', '"', "'", '\\x', '\0', ' '),
    fc.constantFrom('*99999999999\r\n', '$16777217\r\n', '*1048576\r\n', 'GET a\r\n', 'SET "a b" \'c\'\r\n', ':1\r\n'),
    argument,
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), places, (pieces, cuts) => {
      const wire = Buffer.from(pieces.join(''), 'latin1')
      const whole = decode([wire])
      expect(decode(cut(wire, cuts))).toEqual(whole)
      if (whole.error !== undefined) expect(whole.error).toMatch(/^Protocol error: /)
    }),
    { numRuns: 2_000 },
  )
})

test('one flipped byte in good requests is read or refused, never thrown', () => {
  fc.assert(
    fc.property(
      fc.array(request, { minLength: 1, maxLength: 5 }),
      fc.nat(),
      fc.nat(255),
      places,
      (sent, at, to, cuts) => {
        const wire = Buffer.from(sent.map(multibulk).join(''), 'latin1')
        wire[at % wire.length] = to
        const whole = decode([wire])
        expect(decode(cut(wire, cuts))).toEqual(whole)
        expect(whole.requests.every((argv) => argv.length > 0)).toBe(true)
      },
    ),
    { numRuns: 1_000 },
  )
})

test('a large argument in small pieces is moved a bounded number of times', () => {
  const size = 4 * 1024 * 1024
  const piece = new Uint8Array(1024).fill(120)
  const decoder = new RequestDecoder()
  decoder.push(Buffer.from(`*2\r\n$3\r\nGET\r\n$${size}\r\n`))
  let copied = 0
  const original = Uint8Array.prototype.set
  Uint8Array.prototype.set = function set(this: Uint8Array, source: ArrayLike<number>, offset?: number) {
    copied += source.length
    return original.call(this, source, offset)
  }
  try {
    for (let sent = 0; sent < size; sent += piece.length) {
      decoder.push(piece)
      expect(decoder.next()).toBe(undefined)
    }
    decoder.push(Buffer.from('\r\n'))
  } finally {
    Uint8Array.prototype.set = original
  }
  expect(decoder.next()?.[1]?.length).toBe(size)
  expect(copied).toBeLessThan(4 * size)
})
