/** Tiers of served filesystems: content goes to the lake's store, by HTTP, over a restart. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { type NodeLake, nodeClock, openLake, sha256 } from '@dotdo/core/host/node'
import type { Hono } from 'hono'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { temporaryFolder } from '../../core/host/node/testing.ts'
import { noise } from '../../fsx/tiers.testing.ts'
import { besideWith, programs } from '../programs.ts'
import { createApp } from './app.ts'

let folder: ReturnType<typeof temporaryFolder>
let lake: NodeLake
let app: Hono

async function open(withLake = true): Promise<void> {
  const common = { data: folder.path, programs, durability: 'normal' } as const
  lake = await openLake({ ...common, ...(withLake ? { beside: besideWith(sha256) } : {}) })
  const { fabric } = lake
  app = createApp({ fabric, clock: nodeClock, version: '1.2.3', startedMs: 0, defaults: { partitioner: 'crc16' } })
}

beforeEach(async () => {
  folder = temporaryFolder()
  await open()
})
afterEach(async () => {
  await lake.close()
  folder.remove()
})

async function ask(path: string, method = 'GET', body?: string | Uint8Array) {
  const response = await app.request(`/fs/${path}`, { method, ...(body !== undefined && { body }) } as RequestInit)
  return { status: response.status, body: new Uint8Array(await response.arrayBuffer()) }
}

async function tiers(method = 'GET', body?: object): Promise<unknown> {
  const answer = await ask('a?tiers', method, body && JSON.stringify(body))
  return { status: answer.status, ...JSON.parse(new TextDecoder().decode(answer.body)) }
}

it('content leaves for the lake, and is served from there', async () => {
  const bytes = noise(500_000)
  await ask('a/file', 'PUT', bytes)
  expect(await tiers()).toMatchObject({ status: 200, policy: null, hotBytes: 500_000 })
  expect(await tiers('PUT', { olderThan: '0s', largerThan: '1kb' })).toMatchObject({
    policy: { olderThanMs: 0, largerThanBytes: 1024 },
  })
  expect(await tiers('POST')).toMatchObject({ status: 200, bytes: 500_000, objects: 1 })
  expect(readdirSync(join(folder.path, 'lake/_fsx/a'))).toHaveLength(1)
  await lake.close()
  await open()
  expect(await tiers()).toMatchObject({ hotBytes: 0, coldBytes: 500_000 })
  expect(Buffer.from((await ask('a/file')).body).equals(bytes)).toBe(true)
  expect(await tiers('DELETE')).toMatchObject({ policy: null })
})

it('what makes no sense is refused', async () => {
  expect(await tiers().catch(() => 'no JSON')).toMatchObject({ status: 404 })
  await ask('a/file', 'PUT', 'x')
  expect(await tiers('PUT', { olderThan: 'long' })).toMatchObject({ status: 400 })
  expect(await tiers('PUT', { olderThan: '1d', since: '1d' })).toMatchObject({ status: 400 })
  expect((await ask('a/file?tiers')).status).toBe(400)
  expect((await ask('a?tiers', 'MKCOL')).status).toBe(501)
  await lake.close()
  await open(false)
  expect((await ask('a?tiers', 'POST')).status).toBe(501)
  expect(existsSync(join(folder.path, 'lake/_fsx'))).toBe(false)
})
