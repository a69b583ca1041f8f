import { describe, expect, it } from 'vitest'
import { memoryObjects } from './memory.ts'
import { objectCases } from './objects.conformance.ts'

describe('objects in memory', () => {
  it.each(objectCases)('$name', ({ run }) => run(memoryObjects({ nowMs: () => Date.now() }), expect))
})
