import fc from 'fast-check'
import { expect, test } from 'vitest'
import { globMatches } from './glob.ts'

/** Redis' own algorithm, recursive as it is written there: slow on many stars, and plainly right.
 *  @source redis 7.2 util.c stringmatchlen */
function reference(pattern: string, text: string): boolean {
  const head = pattern[0]
  if (head === undefined) return text === ''
  if (head === '*') {
    for (let at = 0; at <= text.length; at++) if (reference(pattern.slice(1), text.slice(at))) return true
    return false
  }
  const char = text[0]
  if (char === undefined) return false
  if (head === '?') return reference(pattern.slice(1), text.slice(1))
  if (head === '[') return referenceClass(pattern, text)
  const literal = head === '\\' && pattern.length >= 2 ? 1 : 0
  return pattern[literal] === char && reference(pattern.slice(literal + 1), text.slice(1))
}

function referenceClass(pattern: string, text: string): boolean {
  const char = text[0] as string
  let at = 1
  const not = pattern[at] === '^'
  if (not) at++
  let matched = false
  for (; ; at++) {
    if (pattern[at] === '\\' && at + 1 < pattern.length) {
      at++
      if (pattern[at] === char) matched = true
    } else if (pattern[at] === ']') break
    else if (at >= pattern.length) {
      at--
      break
    } else if (pattern[at + 1] === '-' && at + 2 < pattern.length) {
      const [low, high] = [pattern[at] as string, pattern[at + 2] as string].sort() as [string, string]
      at += 2
      if (char >= low && char <= high) matched = true
    } else if (pattern[at] === char) matched = true
  }
  return matched !== not && reference(pattern.slice(at + 1), text.slice(1))
}

const text = (chars: string) => fc.string({ unit: fc.constantFrom(...chars), maxLength: 7 })

test('matches as Redis does', () => {
  fc.assert(
    fc.property(text('ab*?[]^-\\'), text('ab-]\\'), (pattern, subject) => {
      expect(globMatches(pattern, subject)).toBe(reference(pattern, subject))
    }),
    { numRuns: 5000 },
  )
})

test('works on bytes', () => {
  expect(globMatches('[\x80-\xff]?', '\xe9\x00')).toBe(true)
  expect(globMatches('[\x80-\xff]?', 'e\x00')).toBe(false)
})

test('many stars take no exponential time', () => {
  expect(globMatches(`${'a*'.repeat(50)}b`, 'a'.repeat(5000))).toBe(false)
})
