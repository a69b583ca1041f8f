/** A server whose cold rows are in one lake is started with another, or with none: it says so and ends. Nothing is lost
 *  by it, and with the right lake all goes on. */
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { temporaryFolder } from '../core/host/node/testing.ts'
import { connect } from './crash/load.ts'
import { type ServerProcess, startServer } from './crash/server.ts'

let folder: ReturnType<typeof temporaryFolder>
let server: ServerProcess | undefined
const path = (name: string) => join(folder.path, name)

beforeEach(() => {
  folder = temporaryFolder()
})
afterEach(async () => {
  await server?.kill()
  folder.remove()
})

async function start(...args: string[]): Promise<ServerProcess> {
  server = await startServer({ data: path('data'), durability: 'normal', args })
  return server
}

async function ask(method: string, route: string, body: object = {}): Promise<unknown> {
  const headers = { 'Content-Type': 'application/json' }
  const init = { method, headers, body: JSON.stringify(body) }
  return (await fetch(`http://127.0.0.1:${server?.httpPort}${route}`, init)).json()
}

/** Have payloads leave. */
async function tier(): Promise<void> {
  const client = connect((server as ServerProcess).redisPort)
  await client.mset('a', '1', 'b', '2')
  client.disconnect()
  await ask('PUT', '/databases/default/tier/keys', { maxHotRows: 0 })
  await expect
    .poll(() => ask('POST', '/databases/default/tier/flush'), { timeout: 20_000 })
    .toMatchObject({ tables: expect.arrayContaining([expect.objectContaining({ shards: [cold(2)] })]) })
}

const cold = (coldRows: number) => expect.objectContaining({ table: 'keys', coldRows })

async function read(): Promise<unknown[]> {
  const client = connect((server as ServerProcess).redisPort)
  const values = await client.mget('a', 'b')
  client.disconnect()
  const { rows } = (await ask('POST', '/sql', { sql: 'select key, value from keys order by key' })) as { rows: unknown }
  const { rows: changes } = (await ask('POST', '/sql', { sql: 'select id, op, seq from changes order by seq' })) as {
    rows: unknown
  }
  return [values, rows, changes]
}

const everything = [
  ['1', '2'],
  [
    ['a', '1'],
    ['b', '2'],
  ],
  [
    ['a', 'put', 1],
    ['b', 'put', 2],
  ],
]

describe('rows that are in a lake', () => {
  it('are missed when there is another, or none, and found again with their own', async () => {
    await start()
    await tier()
    await server?.stop()
    const said = (now: string) => `rows of database default are in the lake ${path('data/lake')}, and ${now}`
    await expect(start('--lake', path('other'))).rejects.toThrow(
      said(`now it is ${path('other')}: start with that lake`),
    )
    await expect(start('--lake', 'off')).rejects.toThrow(said('there is none now'))
    await expect(start('--catalog', 'http://127.0.0.1:1')).rejects.toThrow(
      'its tables in the catalog http://127.0.0.1:1',
    )
    await start()
    expect(await read()).toEqual(everything)
  })

  it('may go to another lake once they are back', async () => {
    await start()
    await tier()
    await ask('DELETE', '/databases/default/tier/keys')
    await server?.stop()
    await start('--lake', path('other'))
    expect((await read()).slice(0, 2)).toEqual(everything.slice(0, 2))
    await tier()
    await server?.stop()
    await expect(start()).rejects.toThrow(`are in the lake ${path('other')}, and now it is ${path('data/lake')}`)
    await start('--lake', `${path('other')}/`)
    expect((await read()).slice(0, 2)).toEqual(everything.slice(0, 2))
  })

  it('are not given up when the lake was emptied: it is said, and they are there when it is back', async () => {
    await start()
    await tier()
    await server?.stop()
    cpSync(path('data/lake'), path('kept'), { recursive: true, preserveTimestamps: true })
    rmSync(path('data/lake'), { recursive: true })
    await start()
    const client = connect((server as ServerProcess).redisPort)
    await client.set('c', '3')
    client.disconnect()
    const refused = {
      error: { message: expect.stringMatching(/^payloads of keys of shard 0 are in files of the lake/) },
    }
    expect(await ask('POST', '/databases/default/tier/flush')).toMatchObject(refused)
    expect(await ask('POST', '/sql', { sql: 'select key, value from keys' })).toMatchObject({ error: {} })
    await server?.stop()
    rmSync(path('data/lake'), { recursive: true })
    cpSync(path('kept'), path('data/lake'), { recursive: true, preserveTimestamps: true })
    await start()
    const [values, rows] = await read()
    expect([values, rows]).toEqual([everything[0], [...(everything[1] as unknown[]), ['c', '3']]])
  })
})
