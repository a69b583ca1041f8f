/** Every test project: Node, workerd (vitest.workers.config.ts) and, when DOTDO_SLOW is set, the slow suites. */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { defaultServerConditions } from 'vite'
import { defineConfig } from 'vitest/config'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
// Names such as @dotdo/core/errors resolve to the .ts sources (package.json, exports), so nothing need be built first.
const conditions = ['source', ...defaultServerConditions]
const alias = [{ find: /^fast-check$/, replacement: here('./test/properties.mjs') }]
const sources = { resolve: { conditions, alias }, ssr: { resolve: { conditions, externalConditions: conditions } } }
const elsewhere = ['**/node_modules/**', '**/dist/**', '**/*.workers.test.ts']
const slow = process.env.DOTDO_SLOW !== undefined

const node = {
  ...sources,
  test: {
    name: 'node',
    include: ['**/*.test.ts'],
    exclude: [...elsewhere, '**/*.slow.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
}

const crash = {
  ...sources,
  test: {
    name: 'slow',
    include: ['**/*.slow.test.ts'],
    exclude: elsewhere,
    testTimeout: 900_000,
    hookTimeout: 120_000,
    // These kill processes and count fsyncs: two at a time would disturb each other.
    fileParallelism: false,
  },
}

const workers = existsSync(here('core/host/workers/test-worker.ts')) ? ['./vitest.workers.config.ts'] : []

export default defineConfig({
  test: {
    projects: slow ? [crash] : [node, ...workers],
    // dotdo/dist for the tests that start processes and threads; a no-op when it is newer than the sources.
    globalSetup: ['./scripts/vitest-setup.mjs'],
    passWithNoTests: false,
    // vitest would leave one core to itself, which is half of a machine of two.
    maxWorkers: '100%',
  },
})
