import { spawnSync } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { root } from './tidy/source.ts'

interface Outcome {
  readonly exitCode: number | null
  readonly lastLine: string | undefined
}

const folder = () => mkdtempSync(join(tmpdir(), 'dotdo-tally-'))

/** Run scripts/tally.mjs over counts, as .ci/run does at its end. */
function tallyFolder(counts: readonly object[]): Outcome {
  const path = folder()
  for (const [index, one] of counts.entries()) writeFileSync(join(path, `${index}.tally.json`), JSON.stringify(one))
  const run = spawnSync(process.execPath, [join(root, 'scripts/tally.mjs'), path], { encoding: 'utf8' })
  return { exitCode: run.status, lastLine: run.stdout.trimEnd().split('\n').at(-1) }
}

/** Run scripts/vitest.mjs over one test file of the given text. */
function runVitest(text: string): Outcome {
  const path = folder()
  writeFileSync(join(path, 'a.test.mjs'), text)
  const options = ['--root', path, '--globals']
  const run = spawnSync(process.execPath, [join(root, 'scripts/vitest.mjs'), ...options], {
    encoding: 'utf8',
    env: { ...process.env, DOTDO_RESULTS: path, DOTDO_SUITE: 'one' },
  })
  return { exitCode: run.status, lastLine: run.stdout.trimEnd().split('\n').at(-1) }
}

describe('scripts/tally.mjs', () => {
  it('sums every suite in its last line', () => {
    const counts = [
      { passed: 3, failed: 0, skipped: 1 },
      { passed: 4, failed: 0, skipped: 0 },
    ]
    expect(tallyFolder(counts)).toEqual({ exitCode: 0, lastLine: '7 passed, 0 failed' })
  })

  it('fails when one failed, and when nothing ran', () => {
    expect(tallyFolder([{ passed: 3, failed: 2, skipped: 0 }])).toEqual({ exitCode: 1, lastLine: '3 passed, 2 failed' })
    expect(tallyFolder([])).toEqual({ exitCode: 1, lastLine: '0 passed, 0 failed' })
  })
})

describe('scripts/vitest.mjs', () => {
  it('counts what passed and what failed', () => {
    expect(runVitest("it('a', () => {})\nit('b', () => {})")).toEqual({ exitCode: 0, lastLine: '2 passed, 0 failed' })
    const failing = "it('a', () => {})\nit('b', () => { throw new Error('b') })"
    expect(runVitest(failing)).toEqual({ exitCode: 1, lastLine: '1 passed, 1 failed' })
  })

  it('counts a file that cannot be loaded, and an error outside of the tests', () => {
    const broken = "it('a', () => {})\nimport './missing.mjs'"
    expect(runVitest(broken)).toEqual({ exitCode: 1, lastLine: '0 passed, 1 failed' })
    const late =
      "it('a', async () => { Promise.reject(new Error('late')); await new Promise((go) => setImmediate(go)) })"
    expect(runVitest(late)).toEqual({ exitCode: 1, lastLine: '1 passed, 1 failed' })
  })
})
