import { describe, expect, it } from 'vitest'
import { memoryObjects } from './memory.ts'
import { bytesOf } from './object-case.conformance.ts'
import { objectCases } from './objects.conformance.ts'
import { prefixed } from './prefixed.ts'

const memory = () => memoryObjects({ nowMs: () => Date.now() })

describe('a part of a store', () => {
  // The prefix is part of the 1024 bytes, so the longest key is a shorter one here.
  const cases = objectCases.filter(({ name }) => !name.startsWith('a key has at most 1024 bytes'))
  it.each(cases)('$name', ({ run }) => run(prefixed(memory(), 'lake/of/mine/'), expect))

  it('sees nothing of the rest', async () => {
    const whole = memory()
    for (const key of ['a', 'lake', 'lake/x', 'lakes/y', 'z']) await whole.put(key, bytesOf(key))
    const part = prefixed(whole, 'lake/')
    expect((await part.list()).objects.map(({ key }) => key)).toEqual(['x'])
    await part.put('new', bytesOf('1'))
    expect((await whole.head('lake/new'))?.key).toBe('lake/new')
  })

  it('is the whole where there is no prefix', () => {
    const whole = memory()
    expect(prefixed(whole, '')).toBe(whole)
  })
})
