import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { relocator } from './relocation.ts'

it('a relocation counts the rows that were left out before', () => {
  fc.assert(
    fc.property(fc.nat(100), fc.uniqueArray(fc.nat(60)), (offset, gone) => {
      const without = gone.toSorted((a, b) => a - b)
      const { place, to } = relocator({ from: 1, to: 2, offset, without })
      expect(to).toBe(2)
      let next = offset
      for (let pos = 0; pos <= 61; pos++) expect(place(pos)).toBe(without.includes(pos) ? undefined : next++)
    }),
  )
})
