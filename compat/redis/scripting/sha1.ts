/** SHA-1 of bytes, without a promise: scripts are named by it.
 *  @source FIPS 180-4, 6.1 */
import { type Bin, fromBin } from '@dotdo/core/bytes'

const rotate = (word: number, by: number) => (word << by) | (word >>> (32 - by))

function padded(text: Bin): DataView {
  const size = Math.ceil((text.length + 9) / 64) * 64
  const bytes = new Uint8Array(size)
  bytes.set(fromBin(text))
  bytes[text.length] = 0x80
  const view = new DataView(bytes.buffer)
  view.setUint32(size - 8, Math.floor(text.length / 2 ** 29))
  view.setUint32(size - 4, text.length << 3)
  return view
}

/** Mix of a round: function and constant. */
function mix(round: number, b: number, c: number, d: number): number {
  if (round < 20) return (((b & c) | (~b & d)) + 0x5a827999) | 0
  if (round < 40) return ((b ^ c ^ d) + 0x6ed9eba1) | 0
  if (round < 60) return (((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc) | 0
  return ((b ^ c ^ d) + 0xca62c1d6) | 0
}

/** Compute the SHA-1 of a binary string, as 40 hexadecimal digits. */
export function sha1Hex(text: Bin): Bin {
  const view = padded(text)
  const state = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0]
  const words = new Int32Array(80)
  for (let block = 0; block < view.byteLength; block += 64) {
    for (let at = 0; at < 16; at++) words[at] = view.getInt32(block + at * 4)
    for (let at = 16; at < 80; at++) {
      const mixed = (words[at - 3] as number) ^ (words[at - 8] as number)
      words[at] = rotate(mixed ^ (words[at - 14] as number) ^ (words[at - 16] as number), 1)
    }
    let [a, b, c, d, e] = state as [number, number, number, number, number]
    for (let round = 0; round < 80; round++) {
      const next = (rotate(a, 5) + mix(round, b, c, d) + e + (words[round] as number)) | 0
      e = d
      d = c
      c = rotate(b, 30)
      b = a
      a = next
    }
    for (const [at, word] of [a, b, c, d, e].entries()) state[at] = ((state[at] as number) + word) | 0
  }
  return state.map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('')
}
