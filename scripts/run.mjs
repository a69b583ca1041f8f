/** Run a TypeScript program of this repository: bundle it with esbuild, then import it.
 *
 *    node scripts/run.mjs bench/main.ts redis --quick */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { bundle, root } from './bundle.mjs'

const [entry, ...rest] = process.argv.slice(2)
if (entry === undefined) {
  console.error('usage: node scripts/run.mjs FILE.ts [arguments]')
  process.exit(2)
}
const name = entry.replace(/\.ts$/, '').replaceAll(/[\\/]/g, '-')
const [path] = await bundle('node', { [name]: entry }, join(root, 'node_modules/.cache/dotdo'), '.mjs').catch(
  (error) => {
    console.error(error.message)
    process.exit(1)
  },
)
process.setSourceMapsEnabled(true)
process.argv = [process.argv[0], join(root, entry), ...(rest[0] === '--' ? rest.slice(1) : rest)]
await import(pathToFileURL(path).href)
