import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openFabric } from '@dotdo/core/host/node'
import * as real from '@upstash/redis'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Redis as IORedis } from '../client.ts'
import { redisProgram } from '../program.ts'
import * as ours from './upstash.ts'
import { Redis, type RedisConfig } from './upstash.ts'

let folder: string
const clients: Redis[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dotdo-upstash-'))
})

afterEach(async () => {
  for (const one of clients.splice(0)) await one.close()
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true })
})

function client(config: RedisConfig = { dotdo: folder }): Redis {
  const made = new Redis(config)
  clients.push(made)
  return made
}

test('it is the client of Upstash: the same class and exports', () => {
  expect(client()).toBeInstanceOf(real.Redis)
  expect(Object.keys(ours).sort()).toEqual(Object.keys(real).sort())
})

test('values of every kind, errors and scans go through', async () => {
  const redis = client()
  expect(await redis.set('user', { name: 'Zoë' }, { ex: 100 })).toBe('OK')
  expect(await redis.get<{ name: string }>('user')).toEqual({ name: 'Zoë' })
  expect(await redis.ttl('user')).toBe(100)
  expect(await redis.get('none')).toBe(null)
  expect(await redis.hset('h', { a: 1, b: 'two' })).toBe(2)
  expect(await redis.hgetall('h')).toEqual({ a: 1, b: 'two' })
  expect(await redis.mget('user', 'none')).toEqual([{ name: 'Zoë' }, null])
  expect(await redis.scan(0, { match: 'u*' })).toEqual(['0', ['user']])
  expect(await redis.set('large', 'x'.repeat(500_000))).toBe('OK')
  expect(await redis.strlen('large')).toBe(500_000)
  await expect(redis.incr('h')).rejects.toThrow(/WRONGTYPE/)
})

test('pipelines, transactions, and pipelines of its own accord', async () => {
  const redis = client()
  expect(await redis.pipeline().set('p', 1).incr('p').exec()).toEqual(['OK', 2])
  expect(await redis.multi().incr('p').incr('p').exec()).toEqual([3, 4])
  await expect(
    redis
      .multi()
      .incr('p')
      .exec()
      .then(() => redis.multi().json.get('p').exec()),
  ).rejects.toThrow()
  const before = (redis as unknown as { pipelineCounter: number }).pipelineCounter
  const counted = await Promise.all(Array.from({ length: 50 }, () => redis.incr('n')))
  expect(counted).toEqual(Array.from({ length: 50 }, (_, i) => i + 1))
  expect((redis as unknown as { pipelineCounter: number }).pipelineCounter).toBe(before + 1)
})

test('options of the real client hold', async () => {
  const redis = client({ dotdo: folder, automaticDeserialization: false, enableAutoPipelining: false })
  await redis.set('n', 5)
  expect(await redis.get('n')).toBe('5')
  await expect(redis.hget('n', 'f')).rejects.toThrow(/^WRONGTYPE.*, command was: \["hget","n","f"\]$/)
  await expect(redis.hget('n', 'f')).rejects.toBeInstanceOf(real.errors.UpstashError)
})

test('the folder is shared with other clients of the process, and let go by close', async () => {
  const redis = client()
  await redis.set('shared', 'value')
  const other = new IORedis({ dotdo: folder })
  expect(await other.get('shared')).toBe('value')
  const ended = new Promise((resolve) => other.once('end', resolve))
  await Promise.all([ended, other.quit()])
  await redis.close()
  const fabric = await openFabric({ data: folder, programs: [redisProgram] })
  await expect(redis.get('shared')).rejects.toThrow(/open/)
  await fabric.close()
  expect(await redis.get('shared')).toBe('value')
})

test('a fabric, a database of it, and a dotdo: URL name places', async () => {
  const fabric = await openFabric({ data: folder, programs: [redisProgram], durability: 'normal' })
  const named = client({ fabric, database: 'agent-42' })
  await named.set('k', 'named')
  expect(await client({ fabric }).get('k')).toBe(null)
  await named.close()
  await fabric.close()
  expect(await client({ url: `dotdo:${folder}?database=agent-42` }).get('k')).toBe('named')
})

test('the environment says where the data is', async () => {
  vi.stubEnv('DOTDO_DATA', join(folder, 'from-environment'))
  vi.stubEnv('UPSTASH_REDIS_REST_URL', '')
  const local = Redis.fromEnv({ automaticDeserialization: false })
  clients.push(local)
  await local.set('a', 1)
  expect(await client({}).get('a')).toBe(1)
  expect(await local.get('a')).toBe('1')
  vi.stubEnv('UPSTASH_REDIS_REST_URL', 'http://127.0.0.1:1')
  vi.stubEnv('UPSTASH_REDIS_REST_TOKEN', 'x')
  await expect(Redis.fromEnv({ retry: false }).get('a')).rejects.toThrow(/fetch failed/)
})

test('what contradicts itself is refused', () => {
  const address = { url: 'http://127.0.0.1:1', token: 'x' }
  expect(() => new Redis({ ...address, dotdo: folder })).toThrow(/both an address and a place/)
  expect(() => new Redis({ ...address, database: 'x' })).toThrow(/the option database goes with data in this process/)
  expect(() => new Redis({ token: 'x' })).toThrow(/no url that it is for/)
  expect(() => new Redis({ url: `dotdo:${folder}?db=2` })).toThrow(/names db/)
  expect(() => new Redis({ url: 'dotdo:x', dotdo: folder })).toThrow(/both a dotdo: URL and a place/)
})

test('a requester of the user is left alone', async () => {
  const redis = new Redis({ request: async <T>() => ({ result: 'mine' as T }) })
  expect(await redis.get('a')).toBe('mine')
})
