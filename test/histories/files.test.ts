/** Files that many clients use at once: in this process, and over HTTP with the shards on threads. Whatever each saw
 *  must have come about one operation after the other, file by file. */
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { temporaryFolder } from '../../core/host/node/testing.ts'
import { fsx } from '../../fsx/index.ts'
import { codeOf } from '../../fsx/testing.ts'
import { startServer } from '../crash/server.ts'
import { Random } from '../sim/random.ts'
import { type Done, isLinearizable } from './check.ts'

/** How a client uses a file. */
interface Client {
  write(path: string, value: string): Promise<unknown>
  /** @returns whether there was none */
  make(path: string, value: string): Promise<boolean>
  append?(path: string, value: string): Promise<unknown>
  read(path: string): Promise<string | null>
  /** @returns whether there was one */
  remove(path: string): Promise<boolean>
}

const kinds = ['write', 'make', 'append', 'read', 'read', 'remove'] as const

/** Have clients do things to files.
 *  @returns the history of each file */
async function play(clients: readonly Client[], files: number, each: number): Promise<Map<string, Done[]>> {
  const histories = new Map<string, Done[]>()
  const random = new Random(20261130)
  // Every value is another one, so that who reads it shows whose it is; some do not fit into a row.
  const textOf = (client: number, i: number) => `${client}.${i};`.repeat(random.below(8) === 0 ? 20_000 : 1)
  const act = async (client: Client, who: number, i: number): Promise<void> => {
    const path = `/shared/${random.below(files)}`
    const kind = kinds[random.below(kinds.length)] as Done['kind']
    if (kind === 'append' && client.append === undefined) return
    const value = textOf(who, i)
    const askedAt = performance.now()
    const seen: Partial<Done> = { kind }
    if (kind === 'read') Object.assign(seen, { found: await client.read(path) })
    else if (kind === 'remove') Object.assign(seen, { ok: await client.remove(path) })
    else if (kind === 'make') Object.assign(seen, { value, ok: await client.make(path, value) })
    else Object.assign(seen, { value }, await client[kind]?.(path, value))
    const done = { ...seen, askedAt, knownAt: performance.now() } as Done
    histories.set(path, [...(histories.get(path) ?? []), done])
  }
  await Promise.all(
    clients.map(async (client, who) => {
      for (let i = 0; i < each; i++) await act(client, who, i)
    }),
  )
  return histories
}

function expectLinearizable(histories: ReadonlyMap<string, readonly Done[]>, operations: number): void {
  let count = 0
  for (const [path, history] of histories) {
    count += history.length
    expect([path, isLinearizable(history)]).toEqual([path, true])
  }
  expect(count).toBe(operations)
}

let folder: ReturnType<typeof temporaryFolder>
beforeEach(() => {
  folder = temporaryFolder()
})
afterEach(() => folder.remove())

describe('files that many use at once', () => {
  it('in this process, by 100 clients', async () => {
    const fs = await fsx({ dotdo: { data: folder.path, durability: 'normal' } })
    await fs.mkdir('/shared')
    const client: Client = {
      write: (path, value) => fs.write(path, value),
      make: async (path, value) => (await codeOf(fs.promises.writeFile(path, value, { flag: 'wx' }))) === 'done',
      append: (path, value) => fs.promises.appendFile(path, value),
      read: (path) => fs.read(path, 'utf8').catch(() => null),
      remove: async (path) => (await codeOf(fs.promises.unlink(path))) === 'done',
    }
    expectLinearizable(await play(Array(100).fill(client), 40, 10), 1_000)
    expect(await fs.fsck()).toEqual([])
    await fs.close()
  })

  it('over HTTP, by 100 clients, with shards on threads; kept over a kill', async () => {
    const options = { data: join(folder.path, 'data'), durability: 'normal', threads: 2 } as const
    const server = await startServer(options)
    const at = (path: string) => `http://127.0.0.1:${server.httpPort}/fs/many${path}`
    const ask = async (path: string, init: RequestInit, ...statuses: number[]) => {
      const answer = await fetch(at(path), init)
      expect(statuses).toContain(answer.status)
      return answer
    }
    await ask('/', { method: 'MKCOL' }, 201)
    await ask('/shared', { method: 'MKCOL' }, 201)
    const client: Client = {
      write: async (path, value) => void (await ask(path, { method: 'PUT', body: value }, 201, 204)),
      async make(path, value) {
        const headers = { 'if-none-match': '*' }
        return (await ask(path, { method: 'PUT', body: value, headers }, 201, 412)).status === 201
      },
      async read(path) {
        const answer = await ask(path, {}, 200, 404)
        return answer.status === 200 ? answer.text() : null
      },
      remove: async (path) => (await ask(path, { method: 'DELETE' }, 204, 404)).status === 204,
    }
    const histories = await play(Array(100).fill(client), 40, 8)
    expectLinearizable(histories, [...histories.values()].flat().length)
    const last = await Promise.all([...histories.keys()].map(async (path) => [path, await client.read(path)] as const))
    await server.kill()
    const again = await startServer(options)
    for (const [path, value] of last) {
      const answer = await fetch(`http://127.0.0.1:${again.httpPort}/fs/many${path}`)
      expect(answer.status === 200 ? await answer.text() : null).toBe(value)
    }
    await again.stop()
  })
})

describe('the check', () => {
  const op = (askedAt: number, knownAt: number, kind: Done['kind'], rest: Partial<Done> = {}): Done => {
    return { askedAt, knownAt, kind, ...rest }
  }

  it('takes what overlapped in any order', () => {
    const [a, b] = [op(0, 10, 'write', { value: 'a' }), op(1, 9, 'write', { value: 'b' })]
    for (const found of ['a', 'b']) expect(isLinearizable([a, b, op(11, 12, 'read', { found })])).toBe(true)
    expect(isLinearizable([a, b, op(2, 3, 'read', { found: null }), op(11, 12, 'read', { found: 'a' })])).toBe(true)
  })

  it('finds reads of what is over, lost appends and files made twice', () => {
    const [a, b] = [op(0, 1, 'write', { value: 'a' }), op(2, 3, 'write', { value: 'b' })]
    expect(isLinearizable([a, b, op(4, 5, 'read', { found: 'a' })])).toBe(false)
    expect(isLinearizable([a, op(2, 5, 'append', { value: 'b' }), op(6, 7, 'read', { found: 'a' })])).toBe(false)
    const makes = [op(0, 5, 'make', { value: 'a', ok: true }), op(0, 5, 'make', { value: 'b', ok: true })]
    expect(isLinearizable(makes)).toBe(false)
    // Two readers saw two writes in two orders.
    const writes = [op(0, 20, 'write', { value: 'a' }), op(0, 20, 'write', { value: 'b' })]
    const reads = ['a', 'b', 'a'].map((found, i) => op(2 * i + 1, 2 * i + 2, 'read', { found }))
    expect(isLinearizable([...writes, ...reads])).toBe(false)
  })
})
