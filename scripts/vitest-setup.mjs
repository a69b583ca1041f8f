/** Before the tests: bring dist up to date, for those that start processes, threads or the Worker. */
import { buildAll } from './build.mjs'

/** Called by vitest once a run. A broken build is told, not thrown: most tests run from the sources, and `npm test`
 *  has built before. */
export async function setup() {
  try {
    await buildAll()
  } catch (error) {
    console.error(`dist is out of date, the build failed:\n${error.message}`)
  }
}
