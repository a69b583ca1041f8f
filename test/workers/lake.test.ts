/** The lake of a Worker: Redis writes flow into Iceberg tables in R2, SQL sees both, what left comes back. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TierStatus } from '@dotdo/core/tiering/tier'
import { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Connected, startConnect, startWorkerd, type Workerd, type WorkerdOptions } from './workerd.ts'

let folder: string
let workerd: Workerd
const tunnels: Connected[] = []
const clients: Redis[] = []

async function start(options: Partial<WorkerdOptions> = {}): Promise<void> {
  workerd = await startWorkerd({ folder, ...options })
}

async function connect(): Promise<Redis> {
  const tunnel = await startConnect(workerd.url)
  tunnels.push(tunnel)
  const client = new Redis(tunnel.port, '127.0.0.1', { retryStrategy: null })
  client.on('error', () => undefined)
  clients.push(client)
  return client
}

async function disconnect(): Promise<void> {
  for (const client of clients.splice(0)) client.disconnect()
  for (const tunnel of tunnels.splice(0)) await tunnel.stop()
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dotdo-lake-'))
})

afterEach(async () => {
  await disconnect()
  await workerd.stop()
  rmSync(folder, { recursive: true })
})

async function ask<T>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await workerd.get(path, { method, ...(body !== undefined && { body: JSON.stringify(body) }) })
  const text = await response.text()
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}\n${workerd.output()}`)
  return JSON.parse(text) as T
}

interface Answer {
  readonly rows: unknown[][]
  readonly stats: { readonly files: number; readonly hotRows: number }
}

const sql = (text: string) => ask<Answer>('POST', '/sql', { sql: text })
const flush = () => ask<TierStatus>('POST', '/databases/default/tier/flush')
const tableOf = (status: TierStatus, name: string) => status.tables.find(({ table }) => table === name)

test('rows flow into the lake, SQL sees hot and cold as one, payloads leave and come back', async () => {
  await start({ bindings: { DOTDO_SHARDS: '2' } })
  const redis = await connect()
  const keys = Array.from({ length: 300 }, (_, i) => `key:${i}`)
  await Promise.all(keys.map((key, i) => redis.set(key, `value ${i} ${'x'.repeat(500)}`)))
  await ask('PUT', '/databases/default/tier/keys', { hotFor: '1ms', flushEvery: '1h' })
  const status = await flush()
  console.log(JSON.stringify(status, null, 1).slice(0, 3000))
  console.log(JSON.stringify(await sql('select count(*) from keys')))
  expect(tableOf(status, 'keys')).toMatchObject({ rows: 300 })
}, 60_000)
