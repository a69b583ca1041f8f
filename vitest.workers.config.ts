/** Tests that run inside workerd: files named *.workers.test.ts, beside the main module core/host/workers/test-worker.ts. */
import { cloudflareTest } from '@cloudflare/vitest-pool-workers'
import { defineConfig } from 'vitest/config'

const conditions = ['source', 'workerd', 'worker', 'module', 'browser', 'development|production']

export default defineConfig({
  plugins: [
    cloudflareTest({
      main: './core/host/workers/test-worker.ts',
      miniflare: {
        // From 2026-08-04 on this date implies nodejs_compat; it must not be newer than the workerd of package.json.
        compatibilityDate: '2026-11-10',
        durableObjects: { SQL: { className: 'TestSql', useSQLite: true } },
        r2Buckets: ['BUCKET'],
      },
    }),
  ],
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    name: 'workers',
    include: ['**/*.workers.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
})
