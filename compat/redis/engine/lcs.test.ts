import fc from 'fast-check'
import { expect, test } from 'vitest'
import { longestCommonSubsequence } from './lcs.ts'

const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 9 })

/** Every subsequence of a short text. */
function subsequences(of: string): Set<string> {
  let found = new Set([''])
  for (const char of of) found = new Set([...found, ...[...found].map((before) => before + char)])
  return found
}

test('no common subsequence is longer, and the matches spell it', () => {
  fc.assert(
    fc.property(text, text, (left, right) => {
      const { text: common, matches } = longestCommonSubsequence(left, right)
      const [ours, theirs] = [subsequences(left), subsequences(right)]
      const longest = Math.max(...[...ours].filter((each) => theirs.has(each)).map((each) => each.length))
      expect(common.length).toBe(longest)
      const spelt = (side: 'left' | 'right', of: string) =>
        matches
          .map((match) => of.slice(match[side][0], match[side][1] + 1))
          .reverse()
          .join('')
      expect(spelt('left', left)).toBe(common)
      expect(spelt('right', right)).toBe(common)
    }),
  )
})

test('a table of more than 64 MB is refused', () => {
  expect(() => longestCommonSubsequence('a'.repeat(5000), 'a'.repeat(5000))).toThrow('Insufficient memory')
})
