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

/** Expand a block of 16 words to 80. */
function expand(words: Int32Array): void {
  for (let at = 16; at < 80; at++) {
    const mixed = (words[at - 3] as number) ^ (words[at - 8] as number)
    words[at] = rotate(mixed ^ (words[at - 14] as number) ^ (words[at - 16] as number), 1)
  }
}

/** Work one block into the state. */
function compress(state: Int32Array, words: Int32Array): void {
  let a = state[0] as number
  let b = state[1] as number
  let c = state[2] as number
  let d = state[3] as number
  let e = state[4] as number
  for (let round = 0; round < 80; round++) {
    let mixed: number
    if (round < 20) mixed = ((b & c) | (~b & d)) + 0x5a827999
    else if (round < 40) mixed = (b ^ c ^ d) + 0x6ed9eba1
    else if (round < 60) mixed = ((b & c) | (b & d) | (c & d)) - 0x70e44324
    else mixed = (b ^ c ^ d) - 0x359d3e2a
    const next = (rotate(a, 5) + mixed + e + (words[round] as number)) | 0
    e = d
    d = c
    c = rotate(b, 30)
    b = a
    a = next
  }
  state[0] = (state[0] as number) + a
  state[1] = (state[1] as number) + b
  state[2] = (state[2] as number) + c
  state[3] = (state[3] as number) + d
  state[4] = (state[4] as number) + e
}

/** Compute the SHA-1 of a binary string, as 40 hexadecimal digits. */
export function sha1Hex(text: Bin): Bin {
  const view = padded(text)
  const state = new Int32Array([0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0])
  const words = new Int32Array(80)
  for (let block = 0; block < view.byteLength; block += 64) {
    for (let at = 0; at < 16; at++) words[at] = view.getInt32(block + at * 4)
    expand(words)
    compress(state, words)
  }
  return [...state].map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('')
}
