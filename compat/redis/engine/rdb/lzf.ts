/** LZF, the compression of strings in Redis' payloads: only the way back, as nothing needs to be compressed.
 *  @source redis lzf_d.c, for the format */
import { type Bin, fromBin, toBin } from '@dotdo/core/bytes'

/** The most that a byte can become: a reference of three bytes stands for 264. */
const EXPANSION_MAX = 90

/** Decompress.
 *  @param size of what comes out
 *  @returns undefined when that is not what comes out */
export function decompress(bytes: Bin, size: number): Bin | undefined {
  if (size > (bytes.length + 3) * EXPANSION_MAX) return undefined
  const input = fromBin(bytes)
  const output = new Uint8Array(size)
  let from = 0
  let to = 0
  while (from < input.length) {
    const control = input[from++] as number
    if (control < 32) {
      const end = from + control + 1
      if (end > input.length || to + control + 1 > size) return undefined
      output.set(input.subarray(from, end), to)
      to += control + 1
      from = end
      continue
    }
    let length = (control >> 5) + 2
    if (length === 9) length += input[from++] ?? 0
    const start = to - ((control & 31) << 8) - (input[from++] ?? 0) - 1
    if (from > input.length || start < 0 || to + length > size) return undefined
    // One by one: what is copied may be what was just written.
    for (let i = 0; i < length; i++) output[to++] = output[start + i] as number
  }
  return to === size ? toBin(output) : undefined
}
