/** `like` and `ilike`: `%` is any text, `_` one character; no character escapes, as in DuckDB. */
import { lower } from './characters.ts'

const isHigh = (unit: number) => unit >= 0xd800 && unit <= 0xdbff
const isLow = (unit: number) => unit >= 0xdc00 && unit <= 0xdfff

/** Find where the character at a place ends. */
function after(text: string, at: number): number {
  return isHigh(text.charCodeAt(at)) && isLow(text.charCodeAt(at + 1)) ? at + 2 : at + 1
}

/** Match with one place to go back to: the last `%`. Never more than text times pattern. */
function matchWild(text: string, pattern: string): boolean {
  let [at, wanted, star, resume] = [0, 0, -1, 0]
  while (at < text.length) {
    const unit = pattern[wanted]
    if (unit === '%') {
      star = wanted++
      resume = at
    } else if (unit === '_') {
      at = after(text, at)
      wanted++
    } else if (unit !== undefined && unit === text[at]) {
      at++
      wanted++
    } else if (star >= 0) {
      resume = after(text, resume)
      at = resume
      wanted = star + 1
    } else return false
  }
  while (pattern[wanted] === '%') wanted++
  return wanted === pattern.length
}

/** Make the test of a pattern.
 *  @param isFolded whether case does not matter */
export function likeMatcher(pattern: string, isFolded: boolean): (text: string) => boolean {
  if (isFolded) {
    const matches = likeMatcher(lower(pattern), false)
    return (text) => matches(lower(text))
  }
  const parts = pattern.split('%')
  const isPlain = !pattern.includes('_')
  if (isPlain && parts.length === 1) return (text) => text === pattern
  const [first, second, third] = parts as [string, string, string | undefined]
  if (isPlain && parts.length === 2) {
    const length = first.length + second.length
    return (text) => text.length >= length && text.startsWith(first) && text.endsWith(second)
  }
  if (isPlain && parts.length === 3 && first === '' && third === '') return (text) => text.includes(second)
  return (text) => matchWild(text, pattern)
}

/** Find the text that every match begins with. */
export function likePrefix(pattern: string): string {
  const end = pattern.search(/[%_]/)
  return end < 0 ? pattern : pattern.slice(0, end)
}
