/** Filesystems over HTTP in a Worker: each in a Durable Object. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startWorkerd, type Workerd } from './workerd.ts'

const folder = mkdtempSync(join(tmpdir(), 'dotdo-worker-fs-'))
let workerd: Workerd

const start = () => startWorkerd({ folder: join(folder, 'data'), bindings: { DOTDO_PASSWORD: 'sesame' } })
const authorized = { Authorization: 'Bearer sesame' }
const ask = (
  path: string,
  method = 'GET',
  { headers = {}, body }: { headers?: object; body?: string | Uint8Array } = {},
) => {
  const more = body === undefined ? {} : { body }
  return workerd.get(`/fs/${path}`, { method, headers: { ...authorized, ...headers }, ...more } as RequestInit)
}

beforeAll(async () => {
  workerd = await start()
})

afterAll(async () => {
  await workerd.stop()
  rmSync(folder, { recursive: true })
})

test('files come and go, by range too, and outlive a kill', async () => {
  expect((await workerd.get('/fs/a/x')).status).toBe(401)
  expect((await ask('a/x')).status).toBe(404)
  const large = new Uint8Array(3_500_000).map((_, i) => i % 251)
  expect((await ask('a/large', 'PUT', { body: large })).status).toBe(201)
  expect((await ask('a/d', 'MKCOL')).status).toBe(201)
  expect((await ask('a/d/x', 'PUT', { body: 'one', headers: { 'If-None-Match': '*' } })).status).toBe(201)
  expect((await ask('a/d/x', 'PUT', { body: 'two', headers: { 'If-None-Match': '*' } })).status).toBe(412)
  await workerd.kill()
  workerd = await start()
  const got = await ask('a/large')
  expect(got.headers.get('Content-Length')).toBe('3500000')
  expect(Buffer.from(await got.arrayBuffer()).equals(Buffer.from(large))).toBe(true)
  const part = await ask('a/large', 'GET', { headers: { Range: 'bytes=1000000-1000003' } })
  expect([part.status, [...new Uint8Array(await part.arrayBuffer())]]).toEqual([206, [16, 17, 18, 19]])
  expect(await (await ask('a/d/x')).text()).toBe('one')
})

test('WebDAV works as in Node: properties, trees, locks', async () => {
  await ask('b/', 'MKCOL')
  await ask('b/d', 'MKCOL')
  await ask('b/d/x', 'PUT', { body: '1' })
  const listed = await ask('b/', 'PROPFIND', { headers: { Depth: 'infinity' } })
  expect([listed.status, (await listed.text()).match(/<D:href>[^<]*/g)]).toEqual([
    207,
    ['<D:href>/fs/b/', '<D:href>/fs/b/d/', '<D:href>/fs/b/d/x'],
  ])
  expect((await ask('b/d', 'COPY', { headers: { Destination: '/fs/b/e' } })).status).toBe(201)
  expect((await ask('b/d', 'MOVE', { headers: { Destination: '/fs/b/e' } })).status).toBe(204)
  const body = '<lockinfo xmlns="DAV:"><lockscope><exclusive/></lockscope><locktype><write/></locktype></lockinfo>'
  const token = (await ask('b/e', 'LOCK', { body })).headers.get('Lock-Token') as string
  expect((await ask('b/e/x', 'PUT', { body: '2' })).status).toBe(423)
  expect((await ask('b/e/x', 'PUT', { body: '2', headers: { If: `</fs/b/e> (${token})` } })).status).toBe(204)
  expect((await ask('b/e', 'UNLOCK', { headers: { 'Lock-Token': token } })).status).toBe(204)
  expect((await ask('b/e', 'DELETE')).status).toBe(204)
  expect(await (await ask('b/')).json()).toEqual({ path: '/', entries: [], next: null })
})
