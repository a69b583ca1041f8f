/** What is done beside shards in Node, without threads (threads.test.ts has those). */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Failure } from '../../errors.ts'
import { coldCall, coldProgram, fetchFromLake } from '../../shard/cold.testing.ts'
import type { ShardWork } from '../../shard/job.ts'
import { unwrap } from '../../shard/router.ts'
import { SYSTEM } from '../../shard/system.ts'
import { testProgram } from '../../shard/testing.ts'
import { type NodeFabric, type NodeFabricOptions, openFabric } from './index.ts'
import { temporaryFolder } from './testing.ts'

let folder: ReturnType<typeof temporaryFolder>
let fabric: NodeFabric
let bugs: unknown[]
beforeEach(() => {
  folder = temporaryFolder()
  bugs = []
})
afterEach(async () => {
  await fabric.close()
  folder.remove()
})

async function open(options: Partial<NodeFabricOptions>): Promise<NodeFabric> {
  fabric = await openFabric({
    data: folder.path,
    programs: [testProgram, coldProgram],
    durability: 'normal',
    defaults: { count: 2 },
    onBug: (error) => bugs.push(error),
    ...options,
  })
  return fabric
}

const status = { program: SYSTEM, name: 'status', slot: -1, epoch: 1, args: null }

test('a job runs with its shard, and tells its answer or its failure', async () => {
  const jobs: ShardWork['jobs'] = [
    {
      name: 'tell',
      async run({ database, index, submit }, args) {
        const [reply] = await submit([status])
        return { database, index, args, slots: (reply as { slots: number }).slots }
      },
    },
    {
      name: 'fail',
      async run(_, args) {
        throw args === 'bug' ? new TypeError('a bug') : new Failure('conflict', 'asked to fail', { why: args })
      },
    },
  ]
  await open({ jobs })
  const database = await fabric.database('x')
  await database.router.call({ program: 'test', name: 'add', args: { slot: 9_000, key: 'k' } }, { slot: 9_000 })
  expect(await database.client(1).job('tell', [1])).toEqual({ database: 'x', index: 1, args: [1], slots: 8_192 })
  await expect(database.client(1).job('fail', 'so')).rejects.toMatchObject({ code: 'conflict', detail: { why: 'so' } })
  await expect(database.client(1).job('none', null)).rejects.toMatchObject({ code: 'unsupported' })
  await expect(database.client(1).job('fail', 'bug')).rejects.toMatchObject({ code: 'internal', message: 'a bug' })
  expect(bugs).toMatchObject([{ message: 'a bug' }])
})

test('a shard stays open while a job runs beside it', async () => {
  let running = () => {}
  const started = new Promise<void>((resolve) => {
    running = resolve
  })
  let finish = () => {}
  const finished = new Promise<void>((resolve) => {
    finish = resolve
  })
  const wait: NonNullable<ShardWork['jobs']>[number] = {
    name: 'wait',
    async run({ submit }) {
      running()
      await finished
      return submit([status])
    },
  }
  await open({ openMax: 1, jobs: [wait] })
  const clients = await Promise.all(
    Array.from({ length: 4 }, async (_, i) => (await fabric.database(`db${i}`)).client(0)),
  )
  const openShards = async () => (await fabric.stats())[0]?.openShards
  const job = clients[0]?.job('wait', null)
  await started
  for (const client of clients) await client.submit([status])
  // The one that is used now, and the one of the job.
  expect(await openShards()).toBe(2)
  finish()
  expect(await job).toMatchObject([{ slots: 0 }])
  await clients[1]?.submit([status])
  await clients[2]?.submit([status])
  expect(await openShards()).toBe(1)
})

test('cold rows are fetched, by the shard they are of', async () => {
  const asked: unknown[] = []
  await open({
    fetchCold(shard, cold) {
      asked.push([shard.database, shard.index, cold.map(({ table, key }) => [table.collection, key.name])])
      return fetchFromLake(shard, cold)
    },
  })
  const { router } = await fabric.database('x')
  const call = (name: string) => router.call(coldCall(name), { slot: 1 })
  await call('write')
  await call('evict')
  expect(await call('read')).toBe('text')
  expect(asked).toEqual([['x', 0, [['scrolls', 'a']]]])
})

test('with threads, work is given where the shards are', async () => {
  await open({})
  const threaded = { threads: 1, threadEntry: new URL('file:///none'), data: `${folder.path}/other` }
  const options = { ...threaded, programs: [], jobs: [] }
  await expect(openFabric(options)).rejects.toMatchObject({ code: 'invalid' })
})

test('the shards of a database, each by itself', async () => {
  await open({})
  await expect(fabric.shards('x')).rejects.toMatchObject({ code: 'not_found' })
  await fabric.create('x', { count: 3 })
  const clients = await fabric.shards('x')
  const replies = await Promise.all(clients.map((client) => client.submit([status])))
  expect(replies.map(([reply]) => unwrap(reply))).toMatchObject([{ slots: 0 }, { slots: 0 }, { slots: 0 }])
})
