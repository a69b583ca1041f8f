/** The HTTP app over filesystems, asked in the process. For tests only. */
import { type NodeFabric, nodeClock, openFabric } from '@dotdo/core/host/node'
import { fsx } from '@dotdo/fsx'
import type { Hono } from 'hono'
import { afterEach, beforeEach, expect } from 'vitest'
import { temporaryFolder } from '../../core/host/node/testing.ts'
import { programs } from '../programs.ts'
import { createApp } from './app.ts'

let folder: ReturnType<typeof temporaryFolder>
/** The fabric of the test that runs. */
export let fabric: NodeFabric
/** The app of the test that runs. */
export let app: Hono
/** What the app has told of bugs. */
export let bugs: unknown[]

/** Open the folder of the test, again. */
export async function open(): Promise<void> {
  fabric = await openFabric({ data: folder.path, programs, durability: 'normal' })
  bugs = []
  const defaults = { partitioner: 'crc16', count: 2 } as const
  const onBug = (error: unknown) => void bugs.push(error)
  app = createApp({ fabric, clock: nodeClock, version: '1.2.3', startedMs: 0, defaults, onBug })
}

/** Give each test an app over an empty folder; the filesystem `a` must keep to the rules. */
export function appForEach(): void {
  beforeEach(async () => {
    folder = temporaryFolder()
    await open()
  })

  afterEach(async () => {
    const fs = await fsx({ fabric, database: 'a' })
    expect(await fs.fsck()).toEqual([])
    expect(bugs).toEqual([])
    await fabric.close()
    folder.remove()
  })
}

/** What is asked. */
export type Init = { method?: string; body?: string | Uint8Array | ReadableStream; headers?: Record<string, string> }

/** Ask about `/fs/...`. */
export async function ask(path: string, { body, ...init }: Init = {}): Promise<Response> {
  const more = body instanceof ReadableStream ? { duplex: 'half' } : {}
  return app.request(`/fs/${path}`, { ...init, ...more, ...(body !== undefined && { body }) } as RequestInit)
}

/** Ask, for the status. */
export const status = async (path: string, init?: Init) => (await ask(path, init)).status
/** Read a file as text. */
export const text = async (path: string, headers = {}) => (await ask(path, { headers })).text()
/** Write a file. */
export const put = (path: string, body: Init['body'] = '', headers = {}) => ask(path, { method: 'PUT', body, headers })
/** Tell the ETag of a file. */
export const etagOf = async (path: string) => (await ask(path, { method: 'HEAD' })).headers.get('ETag') as string
/** List a directory. */
export const names = async (path: string) => {
  const { entries } = (await (await ask(path)).json()) as { entries: { name: string }[] }
  return entries.map(({ name }) => name)
}

/** PROPFIND. */
export const find = (path: string, depth: string, body = '') =>
  ask(path, { method: 'PROPFIND', headers: { Depth: depth }, ...(body && { body }) })

const lockinfo = (scope: string) =>
  `<lockinfo xmlns="DAV:"><lockscope><${scope}/></lockscope><locktype><write/></locktype>` +
  '<owner>me &amp; you</owner></lockinfo>'

/** LOCK.
 *  @returns status and token */
export async function lock(path: string, headers = {}, scope = 'exclusive'): Promise<[number, string]> {
  const response = await ask(path, { method: 'LOCK', body: lockinfo(scope), headers })
  return [response.status, response.headers.get('Lock-Token') ?? '']
}
