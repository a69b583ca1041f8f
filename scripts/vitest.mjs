/** Run vitest and close with one line, `123 passed, 0 failed`.
 *
 *    node scripts/vitest.mjs [arguments of vitest run]
 *
 *  With DOTDO_RESULTS=FOLDER and DOTDO_SUITE=NAME the counts are left there for scripts/tally.mjs to sum. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './bundle.mjs'
import { closingLine, tallyRun } from './tally.mjs'

const folder = process.env.DOTDO_RESULTS ?? join(root, 'node_modules/.cache/dotdo/results')
const suite = process.env.DOTDO_SUITE ?? `run-${process.pid}`
const report = join(folder, `${suite}.json`)
mkdirSync(folder, { recursive: true })
rmSync(report, { force: true })

const vitest = join(root, 'node_modules/vitest/vitest.mjs')
const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
const run = spawnSync(process.execPath, [vitest, 'run', ...reporters, ...process.argv.slice(2)], {
  cwd: root,
  stdio: 'inherit',
})
const counts = tallyRun(report, run.status ?? 1)
if (process.env.DOTDO_RESULTS) writeFileSync(join(folder, `${suite}.tally.json`), JSON.stringify(counts))
else rmSync(report, { force: true })
console.log(closingLine(counts))
process.exit(counts.failed > 0 ? 1 : 0)
