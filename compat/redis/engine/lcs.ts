/** The longest common subsequence of two strings (LCS). */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'

/** Cells of the table of lengths: 64 MB of them. */
const CELLS_MAX = 2 ** 24

/** A stretch that both strings have: inclusive ranges in each. */
export interface Match {
  readonly left: readonly [number, number]
  readonly right: readonly [number, number]
  readonly length: number
}

/** What was found: the subsequence, and its matches from the end to the start, as Redis lists them. */
export interface CommonSubsequence {
  readonly text: Bin
  readonly matches: readonly Match[]
}

/** Fill the table: cell (i, j) is the length for the first i and j bytes. */
function lengths(left: Bin, right: Bin, width: number): Uint32Array {
  const table = new Uint32Array((left.length + 1) * width)
  for (let i = 1; i <= left.length; i++) {
    const byte = left.charCodeAt(i - 1)
    const row = i * width
    for (let j = 1; j <= right.length; j++) {
      const up = table[row - width + j] as number
      const before = table[row + j - 1] as number
      if (byte === right.charCodeAt(j - 1)) table[row + j] = (table[row - width + j - 1] as number) + 1
      else table[row + j] = Math.max(up, before)
    }
  }
  return table
}

/** Find the longest common subsequence.
 *  @throws limit when the table would be larger than 64 MB
 *  @source redis 7.2 t_string.c lcsCommand: the same choice among equally long ones
 *  @cost the product of both lengths */
export function longestCommonSubsequence(left: Bin, right: Bin): CommonSubsequence {
  const width = right.length + 1
  if ((left.length + 1) * width > CELLS_MAX) {
    throw new Failure('limit', 'ERR Insufficient memory, transient memory for LCS exceeds 64 MB')
  }
  const table = lengths(left, right, width)
  const bytes: string[] = []
  const matches: Match[] = []
  let length = 0
  let i = left.length
  let j = right.length
  const close = () => {
    if (length > 0) matches.push({ left: [i, i + length - 1], right: [j, j + length - 1], length })
    length = 0
  }
  while (i > 0 && j > 0) {
    if (left.charCodeAt(i - 1) === right.charCodeAt(j - 1)) {
      bytes.push(left.charAt(i - 1))
      i--
      j--
      length++
      continue
    }
    close()
    if ((table[(i - 1) * width + j] as number) > (table[i * width + j - 1] as number)) i--
    else j--
  }
  close()
  return { text: bytes.reverse().join(''), matches }
}
