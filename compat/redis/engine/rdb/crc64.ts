/** CRC-64 as Redis ends its payloads with it.
 *  @source redis crc64.c: polynomial 0xad93d23594c935a9 (Jones), reflected, begins with 0, ends as it is */
import type { Bin } from '@dotdo/core/bytes'

/** The polynomial with its bits turned round, in halves. */
const HIGH = 0x95ac9329
const LOW = 0xac4bc9b5

const tableHigh = new Int32Array(256)
const tableLow = new Int32Array(256)
for (let byte = 0; byte < 256; byte++) {
  let high = 0
  let low = byte
  for (let bit = 0; bit < 8; bit++) {
    const odd = low & 1
    low = (low >>> 1) | (high << 31)
    high >>>= 1
    if (odd === 1) {
      high ^= HIGH
      low ^= LOW
    }
  }
  tableHigh[byte] = high
  tableLow[byte] = low
}

/** Sum up bytes.
 *  @param length how many of them, from the first
 *  @returns eight bytes, the lowest first */
export function crc64(bytes: Bin, length = bytes.length): Bin {
  let high = 0
  let low = 0
  for (let i = 0; i < length; i++) {
    const at = (low ^ bytes.charCodeAt(i)) & 255
    low = ((low >>> 8) | (high << 24)) ^ (tableLow[at] as number)
    high = (high >>> 8) ^ (tableHigh[at] as number)
  }
  let sum = ''
  for (let shift = 0; shift < 32; shift += 8) sum += String.fromCharCode((low >>> shift) & 255)
  for (let shift = 0; shift < 32; shift += 8) sum += String.fromCharCode((high >>> shift) & 255)
  return sum
}
