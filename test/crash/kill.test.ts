/** kill -9 in short: a round on three of the setups, and proof that the check would notice what it looks for. The fifty
 *  rounds are in kill.slow.test.ts. */
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { temporaryFolder } from '../../core/host/node/testing.ts'
import { Random } from '../sim/random.ts'
import { killRounds, type Setup } from './kill.ts'
import { connect, Load } from './load.ts'
import { startServer } from './server.ts'

let folder: ReturnType<typeof temporaryFolder>
beforeEach(() => {
  folder = temporaryFolder()
})
afterEach(() => folder.remove())

const short: readonly Setup[] = [
  { durability: 'full', shards: 1, threads: 0 },
  { durability: 'full', shards: 4, threads: 2 },
  { durability: 'normal', shards: 4, threads: 0 },
]

describe('kill -9', () => {
  it.each(short)('keeps what was acknowledged: $durability, $shards shards, $threads threads', async (setup) => {
    const seed = Date.now() % 2 ** 31
    const { problems, batches } = await killRounds(join(folder.path, 'data'), setup, { rounds: 1, seed })
    expect(problems).toEqual([])
    expect(batches).toBeGreaterThan(0)
  })

  it('would be noticed if it lost, invented or halved something', async () => {
    const server = await startServer({ data: join(folder.path, 'data'), http: false })
    const load = new Load(new Random(1), { writers: 1, tagged: false })
    let batches = 0
    let kill = () => {}
    const killed = new Promise<void>((resolve) => (kill = resolve))
    const running = load.run(server.redisPort, () => {
      if (++batches === 100) kill()
    })
    await killed
    await server.kill()
    await running
    const again = await startServer({ data: join(folder.path, 'data'), http: false })
    const client = connect(again.redisPort)
    expect(await load.check(again.redisPort)).toEqual([])

    await client.del('w0:string:0')
    await client.incr('w0:counter:1')
    await client.incr('w0:tx:2:count')
    const [field] = await client.hkeys('w0:hash:3')
    await client.hdel('w0:hash:3', field as string)
    const problems = (await load.check(again.redisPort)).join('\n')
    expect(problems).toMatch(/^w0:string:0 is at version 0; want \d+/m)
    expect(problems).toMatch(/^w0:counter:1 is at version \d+; want \d+/m)
    expect(problems).toMatch(/^w0:hash:3 f\d+ is at version 0; want \d+/m)
    expect(problems).toMatch(/^w0:tx:2:first: half a transaction/m)
    expect(problems.split('\n')).toHaveLength(4)
    client.disconnect()
    await again.stop()
  })
})
