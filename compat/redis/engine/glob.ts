/** Redis' glob patterns over bytes: `*` `?` `[a-c]` `[^x]` `\x`.
 *  @source redis 7.2 util.c stringmatchlen, its treatment of unclosed classes included */
import type { Bin } from '@dotdo/core/bytes'

const STAR = 42
const QUESTION = 63
const OPEN = 91
const CLOSE = 93
const BACKSLASH = 92
const CARET = 94
const DASH = 45

/** Where a class ends, and whether a byte is in it. */
interface ClassMatch {
  /** The index of its last char: `]`, or of the pattern when it is not closed. */
  end: number
  matched: boolean
}

/** Match a byte against the class whose first char after `[` is at `at`. */
function matchClass(pattern: Bin, at: number, byte: number): ClassMatch {
  const { length } = pattern
  const inverted = pattern.charCodeAt(at) === CARET
  let index = inverted ? at + 1 : at
  let matched = false
  for (;;) {
    if (index >= length) {
      index = length - 1
      break
    }
    const code = pattern.charCodeAt(index)
    if (code === BACKSLASH && length - index >= 2) {
      index++
      if (pattern.charCodeAt(index) === byte) matched = true
    } else if (code === CLOSE) break
    else if (length - index >= 3 && pattern.charCodeAt(index + 1) === DASH) {
      const other = pattern.charCodeAt(index + 2)
      if (byte >= Math.min(code, other) && byte <= Math.max(code, other)) matched = true
      index += 2
    } else if (code === byte) matched = true
    index++
  }
  return { end: index, matched: matched !== inverted }
}

/** Match one char of the pattern that is no star.
 *  @returns the index after what was matched, or -1 */
function matchOne(pattern: Bin, at: number, byte: number): number {
  const code = pattern.charCodeAt(at)
  if (code === QUESTION) return at + 1
  if (code === OPEN) {
    const { end, matched } = matchClass(pattern, at + 1, byte)
    return matched ? end + 1 : -1
  }
  const literal = code === BACKSLASH && pattern.length - at >= 2 ? at + 1 : at
  return pattern.charCodeAt(literal) === byte ? literal + 1 : -1
}

/** Tell whether bytes match a pattern as a whole.
 *  @cost the product of both lengths at worst: a star that failed is only ever tried again by the last star */
export function globMatches(pattern: Bin, text: Bin): boolean {
  let at = 0
  let index = 0
  let starAt = -1
  let starIndex = 0
  while (index < text.length) {
    if (at < pattern.length && pattern.charCodeAt(at) === STAR) {
      starAt = ++at
      starIndex = index
      continue
    }
    const next = at < pattern.length ? matchOne(pattern, at, text.charCodeAt(index)) : -1
    if (next >= 0) {
      at = next
      index++
    } else if (starAt >= 0) {
      at = starAt
      index = ++starIndex
    } else return false
  }
  while (at < pattern.length && pattern.charCodeAt(at) === STAR) at++
  return at >= pattern.length
}
