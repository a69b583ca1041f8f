import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { Failure } from '@dotdo/core/errors'
import { pino } from 'pino'
import { Registry } from 'prom-client'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { temporaryFolder } from '../../core/host/node/testing.ts'
import { checkPassword } from './credentials.ts'
import { readable } from './log.ts'
import { addCounter, addGauge, type Sample } from './metrics.ts'
import { removeReadyFile, writeReadyFile } from './ready-file.ts'
import { startServer } from './serve.ts'
import { flagSource, settle } from './settings.ts'

let folder: ReturnType<typeof temporaryFolder>
beforeEach(() => {
  folder = temporaryFolder()
})
afterEach(() => folder.remove())

describe('a server in this process', () => {
  const threadEntry = new URL('../dist/thread.js', import.meta.url)
  const start = (flags: Record<string, string>) => {
    const values = { redis: '0', http: '0', data: join(folder.path, 'data'), ...flags }
    return startServer(settle([flagSource(values)]), { version: '1', log: pino({ level: 'silent' }), threadEntry })
  }

  it('counts in its metrics what goes through its ports', async () => {
    const server = await start({})
    const url = `http://127.0.0.1:${server.ports.get('http')}`
    const text = await (await fetch(`${url}/metrics`)).text()
    expect(text).toMatch(/^process_cpu_seconds_total /m)
    expect(text).toMatch(/^dotdo_connections\{listener="http"\} 1$/m)
    expect(text).toMatch(/^dotdo_connections\{listener="redis"\} 0$/m)
    expect(text).toMatch(/^dotdo_redis_commands_total 0$/m)
    expect(text).toMatch(/^dotdo_bugs_total 0$/m)
    await server.close()
  })

  it('counts commands by name, and what the shards do', async () => {
    const server = await start({})
    const client = createConnection(server.ports.get('redis') as number, '127.0.0.1')
    client.write('SET a 1\r\nSET b 1\r\nGET a\r\n')
    await once(client, 'data')
    const url = `http://127.0.0.1:${server.ports.get('http')}`
    const text = await (await fetch(`${url}/metrics`)).text()
    client.destroy()
    expect(text).toMatch(/^dotdo_redis_commands_by_name_total\{command="set"\} 2$/m)
    expect(text).toMatch(/^dotdo_shards_open\{thread="0"\} 2$/m)
    expect(text).toMatch(/^dotdo_shard_groups_total\{thread="0"\} [1-9]/m)
    expect(text).toMatch(/^dotdo_shard_calls_total\{thread="0"\} [1-9]/m)
    // Two keys, and the database's row in the catalog.
    expect(text).toMatch(/^dotdo_shard_changes_total\{thread="0"\} 3$/m)
    expect(text).toMatch(/^dotdo_shard_failed_groups_total\{thread="0"\} 0$/m)
    await server.close()
  })

  it('gives up what it took when it cannot start, so that the next one can', async () => {
    mkdirSync(join(folder.path, 'ready.json'))
    const readyFile = join(folder.path, 'none', 'ready.json')
    await expect(start({ readyFile })).rejects.toMatchObject({ code: 'storage' })
    const server = await start({})
    const { port } = server.ready.redis as { port: number }
    await expect(start({ data: join(folder.path, 'other'), redis: String(port) })).rejects.toThrow('is taken')
    await expect(start({})).rejects.toThrow('is in use')
    await server.close()
    await (await start({ data: join(folder.path, 'other') })).close()
  })
})

describe('the ready file', () => {
  it('is written whole, and removed', () => {
    const path = join(folder.path, 'ready.json')
    writeReadyFile(path, { pid: 1 })
    writeReadyFile(path, { pid: 2 })
    expect(readFileSync(path, 'utf8')).toBe('{"pid":2}\n')
    expect(readdirSync(folder.path)).toEqual(['ready.json'])
    removeReadyFile(path)
    removeReadyFile(path)
    expect(existsSync(path)).toBe(false)
  })

  it('leaves nothing behind when it cannot be written', () => {
    const path = join(folder.path, 'ready.json')
    mkdirSync(path)
    expect(() => writeReadyFile(path, {})).toThrow(Failure)
    expect(readdirSync(folder.path)).toEqual(['ready.json'])
  })
})

describe('a password', () => {
  it('is right for the user default alone', () => {
    const check = checkPassword('sésame')
    expect(check('default', 'sésame')).toBe(true)
    expect(check('other', 'sésame')).toBe(false)
    for (const wrong of ['', 'sesame', 'sésam', 'sésames', 'SÉSAME']) expect(check('default', wrong)).toBe(false)
  })
})

describe('a line of the log', () => {
  const line = (level: 'info' | 'error', ...said: [object, string]) => {
    let text = ''
    const write = (one: string) => {
      text += one
    }
    pino({ base: null }, { write })[level](...said)
    return readable(text)
  }

  it('is readable on a terminal', () => {
    expect(line('info', { signal: 'SIGTERM', ports: [1] }, 'stopping')).toMatch(
      /^\d\d:\d\d:\d\d info stopping signal="SIGTERM" ports=\[1\]\n$/,
    )
  })

  it('shows the stack of an error', () => {
    expect(line('error', { err: new TypeError('no') }, 'a bug')).toMatch(/ error a bug\nTypeError: no\n {4}at /)
  })
})

describe('metrics', () => {
  it('are read when they are asked for', async () => {
    const registry = new Registry()
    let samples: Sample[] = [[{ kind: 'a' }, 1]]
    addGauge(registry, { name: 'g', help: 'G.', labelNames: ['kind'], read: () => samples })
    addCounter(registry, { name: 'c', help: 'C.', labelNames: ['kind'], read: () => samples })
    expect(await registry.metrics()).toContain('g{kind="a"} 1\n')
    samples = [
      [{ kind: 'a' }, 3],
      [{ kind: 'b' }, 2],
    ]
    const text = await registry.metrics()
    expect(text).toContain('g{kind="a"} 3\ng{kind="b"} 2\n')
    expect(text).toContain('c{kind="a"} 3\nc{kind="b"} 2\n')
  })
})
