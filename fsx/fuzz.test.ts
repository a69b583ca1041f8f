import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { temporaryFolder } from '../core/host/node/testing.ts'
import { runBoth, type Step, step, stepOfSomebody } from './fuzz.testing.ts'
import { fsx, type OpenedFileSystem } from './index.ts'

const data = temporaryFolder()
let fs: OpenedFileSystem
beforeAll(async () => {
  fs = await fsx({ dotdo: { data: data.path, durability: 'normal' } })
})
afterAll(async () => {
  await fs.close()
  data.remove()
})

/** Sequences of up to 60 operations; `npm run fuzz` runs so many that they are a million operations. */
const RUNS = Number(process.env.DOTDO_FUZZ_RUNS ?? 150)
const timeout = 600_000 + RUNS * 300
let operations = 0
afterAll(() => {
  if (process.env.DOTDO_FUZZ_RUNS !== undefined) console.log(`${operations} operations compared with node:fs`)
})

async function compare(steps: readonly Step[], later: boolean, before?: () => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'dotdo-fuzz-'))
  const same = (ours: unknown, node: unknown, step?: Step) => expect({ step, ours }).toEqual({ step, ours: node })
  operations += steps.length
  await runBoth(fs, { folder, steps, later, ...(before && { before }) }, same)
  expect(await fs.fsck()).toEqual([])
  expect(await fs.list('/')).toEqual(['tmp'])
}

const sequence = (one: fc.Arbitrary<Step>) => fc.array(one, { minLength: 1, maxLength: 60, size: 'max' })

describe('random operations do what they do to node:fs', () => {
  it.each([false, true])('(by promises: %s)', { timeout }, async (later) => {
    await fc.assert(
      fc.asyncProperty(sequence(step), (steps) => compare(steps, later)),
      { numRuns: RUNS },
    )
  })

  it('while snapshots and forks are taken and removed', { timeout }, async () => {
    let count = 0
    const before = async () => {
      count++
      // Every few steps another one, so that there are layers of each age; old ones go in an order of their own.
      if (count % 3 === 0) await fs.snapshot()
      const { length, [count % 4]: some } = await fs.snapshots.list()
      if (count % 5 === 0) await fs.fork(`fork${count}`)
      if (count % 5 === 2 && count > 5) await fs.forks.remove(`fork${count - 2}`)
      if (length > 4 && some !== undefined) await fs.snapshots.remove(some)
    }
    await fc.assert(
      fc.asyncProperty(sequence(step), (steps) => compare(steps, false, before)),
      { numRuns: Math.ceil(RUNS / 3) },
    )
  })

  it('by root and by others', { timeout }, async ({ skip }) => {
    if (process.getuid?.() !== 0) return skip('only root can be somebody else')
    await fc.assert(
      fc.asyncProperty(sequence(stepOfSomebody), (steps) => compare(steps, false)),
      { numRuns: RUNS },
    )
  })
})
