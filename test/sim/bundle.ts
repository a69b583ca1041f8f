/** The properties as a module of their own: code that ran through the test runner's own loader would take half as long
 *  again, and could not be mutated. */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { build, type Plugin } from 'esbuild'
import { root } from '../tidy/source.ts'
import type { PropertyName } from './run.ts'

/** Bundle run.ts with all that it runs.
 *  @param name of the file, unique among those that are made at once
 *  @returns its address, and the sources in it as paths from the root */
export async function bundleProperties(
  name: string,
  plugins: Plugin[] = [],
): Promise<{ url: string; inputs: string[] }> {
  const outfile = join(root, 'node_modules/.cache/dotdo/sim', `${name}-${process.pid}.mjs`)
  const result = await build({
    absWorkingDir: root,
    entryPoints: ['test/sim/run.ts'],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    packages: 'external',
    sourcemap: 'inline',
    plugins,
    logLevel: 'silent',
    metafile: true,
  })
  return { url: pathToFileURL(outfile).href, inputs: Object.keys(result.metafile.inputs) }
}

const entry = `
  const { parentPort, workerData } = require('node:worker_threads')
  const { url, property, from, to } = workerData
  import(url).then(async ({ runSeeds, describeFinding }) => {
    const finding = await runSeeds(property, from, to)
    parentPort.postMessage(finding === undefined ? 'held' : describeFinding(finding))
  })
`

/** Run a property on seeds, on a thread.
 *  @param url of the bundle
 *  @returns 'held', or what was found and how to see it again */
export function runOnThread(url: string, property: PropertyName, [from, to]: [number, number]): Promise<string> {
  const workerData = { url, property, from, to }
  const worker = new Worker(entry, { eval: true, workerData, execArgv: ['--enable-source-maps'] })
  return new Promise((resolve, reject) => {
    worker.on('message', resolve)
    worker.on('error', reject)
    worker.on('exit', (code) => reject(new Error(`the thread of ${property} ended with ${code} before its seeds did`)))
  })
}
