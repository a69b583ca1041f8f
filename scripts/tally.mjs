/** Count what vitest's JSON reports say.
 *
 *    node scripts/tally.mjs FOLDER     sum every report in it; the last line is `123 passed, 0 failed` */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/** Count one report. A file that failed outside of its tests (an import that throws) counts as one failure.
 *  @returns { passed, failed, skipped } */
export function tally(report) {
  const broken = report.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.every((test) => test.status !== 'failed'),
  )
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + broken.length,
    skipped: report.numPendingTests + (report.numTodoTests ?? 0),
  }
}

/** Count the report of a run that ended with `exitCode`. A run that wrote none, or that ended badly although its tests
 *  passed (an unhandled rejection), is one failure. */
export function tallyRun(path, exitCode) {
  const counted = existsSync(path)
    ? tally(JSON.parse(readFileSync(path, 'utf8')))
    : { passed: 0, failed: 0, skipped: 0 }
  if (counted.failed === 0 && (exitCode !== 0 || !existsSync(path))) counted.failed = 1
  return counted
}

/** Sum counts. */
export function sum(counts) {
  const total = { passed: 0, failed: 0, skipped: 0 }
  for (const one of counts) for (const name of Object.keys(total)) total[name] += one[name]
  return total
}

/** Show counts the way CI reads them. */
export function closingLine({ passed, failed }) {
  return `${passed} passed, ${failed} failed`
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const folder = process.argv[2]
  const files = readdirSync(folder).filter((name) => name.endsWith('.tally.json'))
  const total = sum(files.map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8'))))
  if (total.skipped > 0) console.log(`${total.skipped} skipped`)
  console.log(closingLine(total))
  process.exit(total.failed > 0 || total.passed === 0 ? 1 : 0)
}
