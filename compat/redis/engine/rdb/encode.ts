/** From a key's value to the bytes of a payload: the plainest form that every Redis since 7.0 reads.
 *  @source redis 7.0 rdb.c rdbSaveObject */
import type { Bin } from '@dotdo/core/bytes'
import type { Dumped, DumpedField } from './dumped.ts'
import { unsigned } from './packed.ts'
import { seal } from './payload.ts'

/** The format of Redis 7.0. */
const VERSION = 10
/** The one of Redis 7.4, for hashes whose fields expire. */
const VERSION_WITH_TIMES = 12

const view = new DataView(new ArrayBuffer(8))

function bigEndian(value: bigint, size: number): Bin {
  let text = ''
  for (let i = size - 1; i >= 0; i--) text += String.fromCharCode(Number((value >> BigInt(8 * i)) & 255n))
  return text
}

/** Write a length. */
export function encodeLength(length: number | bigint): Bin {
  if (length < 64) return String.fromCharCode(Number(length))
  if (length < 16_384) return String.fromCharCode(64 | (Number(length) >> 8), Number(length) & 255)
  if (length < 2 ** 32) return `\x80${bigEndian(BigInt(length), 4)}`
  return `\x81${bigEndian(BigInt(length), 8)}`
}

/** Write a string; integers of 32 bits as such. */
export function encodeString(text: Bin): Bin {
  if (text.length <= 11 && /^(0|-?[1-9]\d*)$/.test(text)) {
    const value = Number(text)
    for (const [size, first] of [
      [1, '\xc0'],
      [2, '\xc1'],
      [4, '\xc2'],
    ] as const) {
      const bound = 2 ** (size * 8 - 1)
      if (value >= -bound && value < bound) return first + unsigned(value < 0 ? value + bound * 2 : value, size)
    }
  }
  return encodeLength(text.length) + text
}

function encodeDouble(value: number): Bin {
  view.setFloat64(0, value, true)
  let text = ''
  for (let i = 0; i < 8; i++) text += String.fromCharCode(view.getUint8(i))
  return text
}

function many<T>(type: number, found: readonly T[], encodeOne: (each: T) => Bin): Bin {
  return String.fromCharCode(type) + encodeLength(found.length) + found.map(encodeOne).join('')
}

function encodeHash(fields: readonly DumpedField[]): Bin {
  const times = fields.flatMap(({ expires }) => (expires === null ? [] : [expires]))
  if (times.length === 0) {
    return seal(
      many(4, fields, ({ field, value }) => encodeString(field) + encodeString(value)),
      VERSION,
    )
  }
  const first = times.reduce((least, time) => Math.min(least, time))
  const encodeField = ({ field, value, expires }: DumpedField) =>
    encodeLength(expires === null ? 0 : expires - first + 1) + encodeString(field) + encodeString(value)
  const body = many(24, fields, encodeField)
  return seal(body.slice(0, 1) + unsigned(first, 8) + body.slice(1), VERSION_WITH_TIMES)
}

/** Write the payload of a key's value. */
export function encode(dumped: Exclude<Dumped, { type: 'stream' }>): Bin {
  switch (dumped.type) {
    case 'string':
      return seal(`\0${encodeString(dumped.value)}`, VERSION)
    case 'list':
      return seal(many(1, dumped.items, encodeString), VERSION)
    case 'set':
      return seal(many(2, dumped.members, encodeString), VERSION)
    case 'hash':
      return encodeHash(dumped.fields)
    case 'zset':
      return seal(
        many(5, dumped.scores, ([member, score]) => encodeString(member) + encodeDouble(score)),
        VERSION,
      )
  }
}
