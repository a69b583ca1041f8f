import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { temporaryFolder } from '../core/host/node/testing.ts'
import { runBoth, step } from './fuzz.testing.ts'
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

const RUNS = Number(process.env.DOTDO_FUZZ_RUNS ?? 150)

describe.each([false, true])('random operations (by promises: %s)', (later) => {
  it('do what they do to node:fs', { timeout: 600_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 60, size: 'max' }), async (steps) => {
        const folder = mkdtempSync(join(tmpdir(), 'dotdo-fuzz-'))
        await runBoth(fs, { folder, steps, later }, (ours, node, step) =>
          expect({ step, ours }).toEqual({ step, ours: node }),
        )
        expect(await fs.fsck()).toEqual([])
        expect(await fs.list('/')).toEqual(['tmp'])
      }),
      { numRuns: RUNS },
    )
  })
})
