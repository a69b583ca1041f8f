/** A process that watches a filesystem, and says so: `ended` when it has nothing else to do, `heard` when it was told.
 *
 *    node scripts/run.mjs fsx/watch.testing.ts FOLDER OPTIONS ref|unref|'' write|'' */
import { fsx } from './index.ts'

const [data = '', options = '', then = '', write = ''] = process.argv.slice(2)
const fs = await fsx({ dotdo: { data, durability: 'normal' } })
const watcher = fs.watch('/', JSON.parse(options), () => {
  process.stdout.write('heard\n')
  watcher.close()
})
if (then === 'ref' || then === 'unref') watcher[then]()
// A timer that does not keep the process: if the watcher does not, nobody writes.
if (write !== '') setTimeout(() => void fs.promises.writeFile('/f', ''), 10).unref()
process.stdout.write('ended\n')
