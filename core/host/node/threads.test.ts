import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { coldCall } from '../../shard/cold.testing.ts'
import { openFabric } from './index.ts'
import { temporaryFolder } from './testing.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const built = join(root, 'node_modules/.cache/dotdo/threads-test')
let folder: ReturnType<typeof temporaryFolder>

beforeAll(() => {
  folder = temporaryFolder()
  mkdirSync(built, { recursive: true })
  // A thread that runs the core's test program, and one more call that ends the thread.
  const source = join(built, 'entry.ts')
  const from = (path: string) => JSON.stringify(join(root, path))
  writeFileSync(
    source,
    `import { catalogProgram } from ${from('core/shard/catalog.ts')}
     import { testProgram } from ${from('core/shard/testing.ts')}
     import { serveThread } from ${from('core/host/node/threads.ts')}
     import { coldProgram, fetchFromLake } from ${from('core/shard/cold.testing.ts')}
     import { Failure } from ${from('core/errors.ts')}
     const jobs = [{
       name: 'tell',
       async run({ database, index, submit }, args) {
         if (args === 'fail') throw new Failure('conflict', 'asked to fail', { why: args })
         return { database, index, args, replies: await submit([]) }
       },
     }]
     const run = (tx, call) => {
       if (call.name === 'die') process.exit(1)
       return testProgram.run(tx, call)
     }
     serveThread([catalogProgram, { ...testProgram, run }, coldProgram], { jobs, fetchCold: fetchFromLake })`,
  )
  const bundle = `import('${pathToFileURL(join(root, 'scripts/bundle.mjs')).href}').then(({ bundle }) =>
    bundle('node', { entry: ${JSON.stringify(source)} }, ${JSON.stringify(built)}))`
  execFileSync(process.execPath, ['--input-type=module', '-e', bundle], { cwd: root })
})
afterAll(() => folder.remove())

test('work beside shards on threads', async () => {
  const threadEntry = pathToFileURL(join(built, 'entry.js'))
  const data = join(folder.path, 'work')
  const fabric = await openFabric({ data, programs: [], durability: 'normal', threads: 2, threadEntry })
  const { router, client } = await fabric.database('x')
  expect(await client(0).job('tell', [1])).toEqual({ database: 'x', index: 0, args: [1], replies: [] })
  await expect(client(0).job('tell', 'fail')).rejects.toMatchObject({ code: 'conflict', detail: { why: 'fail' } })
  await expect(client(0).job('none', null)).rejects.toMatchObject({ code: 'unsupported' })
  const cold = (name: string) => router.call(coldCall(name), { slot: 1 })
  await cold('write')
  await cold('evict')
  expect(await cold('read')).toBe('text')
  await fabric.close()
})

test('shards on threads: calls, failures, bugs, counts, and a thread that dies is replaced', async () => {
  const bugs: unknown[] = []
  const fabric = await openFabric({
    data: folder.path,
    programs: [],
    durability: 'normal',
    defaults: { count: 8 },
    threads: 2,
    threadEntry: pathToFileURL(join(built, 'entry.js')),
    onBug: (error) => bugs.push(error),
  })
  const { router } = await fabric.database('x')
  const call = (name: string, slot: number, args = {}) =>
    router.call({ program: 'test', name, args: { slot, key: 'k', ...args } }, { slot })
  const slots = Array.from({ length: 8 }, (_, shard) => shard * 2048)
  expect(await Promise.all(slots.map((slot) => call('add', slot)))).toEqual(slots.map(() => 1))
  await expect(call('add', 0, { fail: true })).rejects.toMatchObject({ code: 'invalid', message: 'asked to fail' })
  await expect(call('bug', 0)).rejects.toMatchObject({ code: 'internal' })
  const stats = await fabric.stats()
  expect(stats).toHaveLength(2)
  expect(stats.reduce((sum, { openShards }) => sum + openShards, 0)).toBe(9)
  expect(Math.min(...stats.map(({ calls, groups }) => Math.min(calls, groups)))).toBeGreaterThan(0)
  expect(stats.reduce((sum, { changes }) => sum + changes, 0)).toBe(9)
  await expect(call('die', 0)).rejects.toMatchObject({ code: 'unavailable' })
  expect(await Promise.all(slots.map((slot) => call('add', slot)))).toEqual(slots.map(() => 2))
  expect(bugs.map(String)).toEqual([
    expect.stringContaining('a bug'),
    expect.stringContaining('a shard thread has ended'),
  ])
  await fabric.close()
})
