/** What a Worker's shards promise: acknowledged is kept, groups share a sync, alarms wake who was put out of memory. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openSqlite } from '@dotdo/core/host/node'
import { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { countSyncs, failSyncs, straceWorks } from './strace.ts'
import { type Connected, startConnect, startWorkerd, type Workerd } from './workerd.ts'

/** Calls a shard's object from another Worker, as gateways do: so many requests at once, a row each. */
const burst = `export default {
  async fetch(request, env) {
    const count = Number(new URL(request.url).searchParams.get('count'))
    const stub = env.SHARDS.get(env.SHARDS.idFromName('burst/0'))
    const call = (program, name, args) => ({ program, name, slot: -1, epoch: 1, args })
    await stub.submit([call('shard', 'assign', { epoch: 1, slots: [[0, 16383]] })])
    const set = (i) => stub.submit([call('redis', 'set', { argv: ['SET', 'key:' + i, 'value'], db: 0 })])
    const answers = await Promise.all(Array.from({ length: count }, (_, i) => set(i)))
    return Response.json(answers.flatMap((answer) => answer.replies))
  },
}`

let folder: string
let workerd: Workerd
let tunnel: Connected | undefined
let client: Redis | undefined

async function start(beside?: string): Promise<void> {
  workerd = await startWorkerd({ folder, ...(beside !== undefined && { beside }) })
}

async function connect(): Promise<Redis> {
  tunnel = await startConnect(workerd.url)
  client = new Redis(tunnel.port, '127.0.0.1', { retryStrategy: null })
  return client
}

async function disconnect(): Promise<void> {
  client?.disconnect()
  await tunnel?.stop()
  client = tunnel = undefined
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dotdo-durable-'))
})

afterEach(async () => {
  await disconnect()
  await workerd.stop()
  rmSync(folder, { recursive: true })
})

test('what was acknowledged is there after kill -9, for a second client', async () => {
  await start()
  const first = await connect()
  await first.hset('h', { a: 1, b: 'two' })
  const writes = Array.from({ length: 500 }, (_, i) => first.set(`key:${i}`, i))
  expect(new Set(await Promise.all(writes))).toEqual(new Set(['OK']))
  await first.multi().incr('n').incr('n').exec()
  await workerd.kill()
  await disconnect()
  await start()
  const second = await connect()
  expect(await second.hgetall('h')).toEqual({ a: '1', b: 'two' })
  const keys = Array.from({ length: 500 }, (_, i) => `key:${i}`)
  expect(await second.mget(...keys)).toEqual(keys.map((_, i) => String(i)))
  expect(await second.get('n')).toBe('2')
  expect(await second.incr('n')).toBe(3)
})

const strace = straceWorks()

// Where strace is not installed, or may not attach, nothing can count what another process syncs.
describe.skipIf(!strace)('syncs of workerd', () => {
  test('512 writes at once cost 4 syncs at most, and are all there after kill -9', async () => {
    await start(burst)
    await workerd.beside('/?count=0')
    const syncs = await countSyncs(workerd.pid, async () => {
      const replies = JSON.parse(await workerd.beside('/?count=512')) as unknown[]
      expect(replies).toEqual(Array.from({ length: 512 }, () => ({ simple: 'OK' })))
    })
    expect(syncs).toBeGreaterThanOrEqual(1)
    expect(syncs).toBeLessThanOrEqual(4)
    await workerd.kill()
    expect(committedChanges()).toBe(512)
    await start()
  })

  test('reads cost none', async () => {
    await start()
    const redis = await connect()
    await redis.set('a', 1)
    expect(await countSyncs(workerd.pid, () => redis.get('a'))).toBe(0)
  })

  test('a write whose sync fails is an error to its client, and the shard goes on', async () => {
    await start()
    const redis = await connect()
    await redis.set('before', 1)
    await failSyncs(workerd.pid, async () => {
      await expect(redis.set('during', 1)).rejects.toThrow(/^UNAVAILABLE .*disk I\/O error/)
    })
    expect(await redis.get('before')).toBe('1')
    expect(await redis.set('after', 1)).toBe('OK')
    await disconnect()
    expect(await (await connect()).get('after')).toBe('1')
  })
})

/** Read from outside how many changes the one object of the class has committed. */
function committedChanges(): number {
  const objects = join(folder, 'dotdo-ShardObject')
  const name = readdirSync(objects).find((file) => /^[0-9a-f]{64}\.sqlite$/.test(file))
  const sql = openSqlite(join(objects, name as string), { readonly: true })
  const last = sql.raw('select max(last) from dotdo_log')[0]?.[0]
  sql.close()
  return Number(last)
}

test('a key expires by alarm in an object that nobody calls', async () => {
  await start()
  const redis = await connect()
  await redis.set('brief', 1, 'PX', 1_500)
  await workerd.kill()
  await disconnect()
  const before = committedChanges()
  await start()
  // The first look at the health opens the catalog only; the shard is woken by nothing but its alarm.
  expect((await workerd.get('/health')).status).toBe(200)
  while (committedChanges() === before) await new Promise((resolve) => setTimeout(resolve, 50))
  const feed = await workerd.get('/changes?since=start&follow=false')
  const changes = (await feed.text())
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).change?.operation)
  expect(changes.filter((operation) => operation !== undefined)).toEqual(['put', 'delete'])
})
