/** SHA-256 of bytes, at once and without the platform: passwords are checked in the turn that they came in.
 *  @source FIPS 180-4 */
import type { Bin } from '@dotdo/core/bytes'

/** The first bits of the fractional part of the `root`-th root of a number. */
function fraction(value: number): number {
  return Math.floor((value - Math.floor(value)) * 2 ** 32)
}

function primes(count: number): number[] {
  const found: number[] = []
  for (let n = 2; found.length < count; n++) if (found.every((prime) => n % prime !== 0)) found.push(n)
  return found
}

const constants = Uint32Array.from(primes(64), (prime) => fraction(Math.cbrt(prime)))
const initial = Uint32Array.from(primes(8), (prime) => fraction(Math.sqrt(prime)))

const turn = (word: number, by: number): number => (word >>> by) | (word << (32 - by))

/** The message with its end mark and length, in words. */
function padded(message: Bin): Uint32Array {
  const words = new Uint32Array((((message.length + 8) >> 6) + 1) * 16)
  for (let i = 0; i < message.length; i++) {
    words[i >> 2] = (words[i >> 2] as number) | (message.charCodeAt(i) << (24 - (i % 4) * 8))
  }
  const { length } = message
  words[length >> 2] = (words[length >> 2] as number) | (0x80 << (24 - (length % 4) * 8))
  words[words.length - 2] = Math.floor((length * 8) / 2 ** 32)
  words[words.length - 1] = length * 8
  return words
}

function schedule(words: Uint32Array, block: number): Uint32Array {
  const w = new Uint32Array(64)
  w.set(words.subarray(block, block + 16))
  for (let i = 16; i < 64; i++) {
    const a = w[i - 15] as number
    const b = w[i - 2] as number
    const s0 = turn(a, 7) ^ turn(a, 18) ^ (a >>> 3)
    const s1 = turn(b, 17) ^ turn(b, 19) ^ (b >>> 10)
    w[i] = (w[i - 16] as number) + s0 + (w[i - 7] as number) + s1
  }
  return w
}

function compress(state: Uint32Array, w: Uint32Array): void {
  let [a, b, c, d, e, f, g, h] = state as unknown as [number, number, number, number, number, number, number, number]
  for (let i = 0; i < 64; i++) {
    const choice = (e & f) ^ (~e & g)
    const majority = (a & b) ^ (a & c) ^ (b & c)
    const sum1 = turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)
    const sum0 = turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)
    const first = (h + sum1 + choice + (constants[i] as number) + (w[i] as number)) | 0
    h = g
    g = f
    f = e
    e = (d + first) | 0
    d = c
    c = b
    b = a
    a = (first + sum0 + majority) | 0
  }
  for (const [i, word] of [a, b, c, d, e, f, g, h].entries()) state[i] = (state[i] as number) + word
}

/** Hash bytes.
 *  @returns 64 hexadecimal digits in lower case */
export function sha256(message: Bin): string {
  const state = initial.slice()
  const words = padded(message)
  for (let block = 0; block < words.length; block += 16) compress(state, schedule(words, block))
  return [...state].map((word) => word.toString(16).padStart(8, '0')).join('')
}

/** Compare two hashes without telling by time where they differ. */
export function sameHash(left: string, right: string): boolean {
  let difference = left.length ^ right.length
  for (let i = 0; i < 64; i++) difference |= left.charCodeAt(i) ^ right.charCodeAt(i)
  return difference === 0
}
