/** Ids that say where they live: 26 characters of Crockford base32 that sort by time and embed their slot.
 *
 *  1. 128 bits: 48 of milliseconds since 1970, 14 of slot, 18 of counter, 48 random. The first character is at most 7.
 *  2. Of one source, the ids of one slot increase strictly, also when the clock stands still or steps back.
 *  3. Only the canonical form (upper case, no I, L, O, U) is an id; other text has no slot in it. */
import type { Bin } from '../bytes.ts'
import { assert } from '../errors.ts'
import { SLOT_COUNT } from '../limits.ts'

const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const idLength = 26
const counterSize = 2 ** 18
const invalidDigit = 32
const digits = new Uint8Array(256).fill(invalidDigit)
for (let digit = 0; digit < 32; digit++) digits[alphabet.charCodeAt(digit)] = digit

/** The parts of an id. */
export interface IdParts {
  readonly ms: number
  readonly slot: number
  readonly counter: number
  readonly random: number
}

/** Makes ids; one source for a process or a shard. */
export interface IdSource {
  /** Make the next id.
   *  @param slot where the record shall live; without it, slots are taken in turn (round-robin) */
  next(slot?: number): Bin
}

/** Write `value` (below 2^50) as `size` base32 digits. */
function encode(value: number, size: number): string {
  // Twice 25 bits, so that the digits come from integer operations.
  let high = Math.floor(value / 2 ** 25)
  let low = value % 2 ** 25
  let text = ''
  for (let left = size; left > 0; left--) {
    const lower = left > size - 5
    text = alphabet[(lower ? low : high) & 31] + text
    if (lower) low >>>= 5
    else high >>>= 5
  }
  return text
}

function decode(id: Bin, start: number, size: number): number {
  let value = 0
  for (let at = start; at < start + size; at++) value = value * 32 + (digits[id.charCodeAt(at)] as number)
  return value
}

/** Say whether text is an id of ours. */
export function isId(text: Bin): boolean {
  if (text.length !== idLength || text.charCodeAt(0) > 0x37) return false
  for (let at = 0; at < idLength; at++) {
    const code = text.charCodeAt(at)
    if (code > 255 || digits[code] === invalidDigit) return false
  }
  return true
}

/** Read the slot out of an id.
 *  @returns the slot, or undefined when the text is not an id of ours */
export function slotOfId(id: Bin): number | undefined {
  return isId(id) ? decode(id, 10, 3) >> 1 : undefined
}

/** Write an id from its parts. */
export function encodeId(parts: IdParts): Bin {
  const { ms, slot, counter, random } = parts
  assert(ms >= 0 && ms < 2 ** 48 && slot >= 0 && slot < SLOT_COUNT && counter < counterSize, 'id parts in range')
  assert(random >= 0 && random < 2 ** 48, 'a random number below 2^48')
  const high = (slot * counterSize + counter) * 256 + Math.floor(random / 2 ** 40)
  return encode(ms, 10) + encode(high, 8) + encode(random % 2 ** 40, 8)
}

/** Read an id's parts.
 *  @returns undefined when the text is not an id of ours */
export function decodeId(id: Bin): IdParts | undefined {
  if (!isId(id)) return undefined
  const high = decode(id, 10, 8)
  const placed = Math.floor(high / 256)
  return {
    ms: decode(id, 0, 10),
    slot: Math.floor(placed / counterSize),
    counter: placed % counterSize,
    random: (high % 256) * 2 ** 40 + decode(id, 18, 8),
  }
}

/** Find the slot of the n-th record written in turn: the 14 bits of `turn` reversed.
 *  Neighbouring turns then fall on shards far apart, and any 2^k turns from a multiple of 2^k on fall one into each
 *  of 2^k equal parts of the slots, so that shards fill evenly whatever their number (van der Corput sequence). */
export function slotOfTurn(turn: number): number {
  let slot = 0
  for (let bit = 0; bit < 14; bit++) slot |= ((turn >>> bit) & 1) << (13 - bit)
  return slot
}

/** Make a source of ids.
 *  @param options.nowMs milliseconds since 1970
 *  @param options.random a random integer below 2^48; the first turn is drawn from it, so that many sources spread */
export function createIdSource(options: { nowMs(): number; random(): number }): IdSource {
  let lastMs = 0
  let counter = 0
  let turn = options.random() % SLOT_COUNT
  return {
    next(slot) {
      const nowMs = options.nowMs()
      if (nowMs > lastMs) {
        lastMs = nowMs
        counter = 0
      } else if (++counter === counterSize) {
        // A quarter of a million in one millisecond: borrow the next one rather than break the order.
        lastMs++
        counter = 0
      }
      const place = slot ?? slotOfTurn(turn++ % SLOT_COUNT)
      return encodeId({ ms: lastMs, slot: place, counter, random: options.random() })
    },
  }
}
