/** Filesystems over HTTP at their edges: what is refused makes nothing, long copies, links, locks through links. */
import { fsx } from '@dotdo/fsx'
import { FSX_IS_THERE } from '@dotdo/fsx/program'
import { describe, expect, it } from 'vitest'
import { appForEach, ask, fabric, find, type Init, lock, names, put, status, text } from './fs.testing.ts'

appForEach()

describe('files over HTTP', () => {
  it('make no filesystem where they are refused', async () => {
    const xml = '<lockinfo xmlns="DAV:"><lockscope><exclusive/></lockscope><locktype><write/></locktype></lockinfo>'
    const name = 'n'.repeat(256)
    const refused: [status: number, path: string, init: Init][] = [
      [412, 'new/x', { method: 'PUT', body: 'x', headers: { 'If-Match': '*' } }],
      [412, 'new/x', { method: 'PUT', body: 'x', headers: { If: '(<opaquelocktoken:no>)' } }],
      [409, 'new/d/x', { method: 'PUT', body: 'x' }],
      [414, `new/${name}`, { method: 'PUT', body: 'x' }],
      [405, 'new/', { method: 'PUT', body: 'x' }],
      [400, 'new/x', { method: 'PUT', body: 'x', headers: { 'Content-Length': '2' } }],
      [409, 'new/d/e', { method: 'MKCOL' }],
      [415, 'new/', { method: 'MKCOL', body: 'x' }],
      [412, 'new/d', { method: 'MKCOL', headers: { 'If-Match': '"x"' } }],
      [409, 'new/d/x', { method: 'LOCK', body: xml }],
      [400, 'new/x', { method: 'LOCK', body: '<lockinfo xmlns="DAV:"/>' }],
      [412, 'new/x', { method: 'LOCK', headers: { If: '(<opaquelocktoken:no>)' } }],
    ]
    for (const [wanted, path, init] of refused)
      expect([wanted, path, init]).toEqual([await status(path, init), path, init])
    expect(await fabric.find('new')).toBeUndefined()
    expect(await status('new/x', { method: 'PUT', body: 'x', headers: { If: '(Not <DAV:no-lock>)' } })).toBe(201)
    expect(await text('new/x')).toBe('x')
  })

  it('are not there, nor made, in a database that has other data', async () => {
    const database = await fabric.database('other')
    const isThere = () => database.router.call({ program: 'fsx', name: FSX_IS_THERE, args: {} }, { slot: 0 })
    for (const method of ['GET', 'HEAD', 'DELETE', 'PROPFIND', 'UNLOCK', 'COPY']) {
      expect(await status('other/', { method })).toBe(404)
    }
    expect(await isThere()).toBe(false)
    expect(await status('other/', { method: 'MKCOL' })).toBe(201)
    expect(await isThere()).toBe(true)
    expect(await names('other/')).toEqual([])
  })

  it('are copied when they are long, too, and others wait for a piece of it only', async () => {
    const body = Buffer.alloc(9_000_000, 'long ')
    await put('a/long', body)
    await put('a/there', 'before')
    await ask('a/d', { method: 'MKCOL' })
    const copy = (from: string, to: string) => status(from, { method: 'COPY', headers: { Destination: `/fs/a/${to}` } })
    const seen: unknown[] = []
    const copying = copy('a/long', 'there').then((status) => seen.push(status))
    seen.push(await text('a/there'))
    await copying
    expect(seen).toEqual(['before', 204])
    expect(await copy('a/long', 'd/long')).toBe(201)
    expect(await copy('a/d', 'e')).toBe(201)
    for (const path of ['there', 'd/long', 'e/long']) {
      expect(Buffer.from(await (await ask(`a/${path}`)).arrayBuffer()).equals(body)).toBe(true)
    }
    expect(await status('a/long', { method: 'COPY', headers: { Destination: '/fs/a/x', 'If-Match': '"no"' } })).toBe(
      412,
    )
  })

  it('are moved onto another name of their own, and links are what they lead to', async () => {
    const fs = await fsx({ fabric, database: 'a' })
    const send = (method: string, from: string, to: string) =>
      status(from, { method, headers: { Destination: `/fs/a/${to}` } })
    await fs.write('/one', '1')
    await fs.promises.link('/one', '/two')
    expect(await send('MOVE', 'a/one', 'two')).toBe(204)
    expect([await names('a/'), await text('a/two')]).toEqual([['two'], '1'])
    await fs.promises.symlink('nowhere', '/dangling')
    expect(await send('COPY', 'a/two', 'dangling')).toBe(204)
    expect((await fs.promises.lstat('/dangling')).isFile()).toBe(true)
    expect(await fs.exists('/nowhere')).toBe(false)
    for (const method of ['MOVE', 'COPY']) {
      await fs.remove('/self')
      await fs.promises.symlink('self', '/self')
      expect([method, await send(method, 'a/two', 'self')]).toEqual([method, 204])
      await fs.copy('/self', '/two')
    }
    await fs.promises.symlink('round', '/round')
    expect(await status('a/round', { method: 'DELETE', headers: { 'If-None-Match': '*' } })).toBe(204)
    await fs.promises.symlink('round', '/round')
    expect(await status('a/round', { method: 'DELETE', headers: { If: '(Not <DAV:no-lock>)' } })).toBe(204)
    expect((await names('a/')).sort()).toEqual(['dangling', 'self', 'two'])
  })
})

describe('what a link leads to', () => {
  it('is not lost when the link is copied or moved over it', async () => {
    const fs = await fsx({ fabric, database: 'a' })
    await fs.write('/dir/precious', 'here')
    await fs.write('/target', 'here too')
    await fs.promises.symlink('/dir', '/lnkdir')
    await fs.promises.symlink('/dir/precious', '/lnk')
    await fs.promises.symlink('/target', '/lnk2')
    const refused: [string, string, string][] = [
      ['COPY', 'lnkdir', 'dir'],
      ['COPY', 'lnk', 'dir'],
      ['MOVE', 'lnk2', 'target'],
      ['MOVE', 'lnk', 'dir'],
      ['COPY', 'lnkdir', 'dir/inside'],
    ]
    for (const [method, from, to] of refused) {
      const answer = await status(`a/${from}`, { method, headers: { Destination: `/fs/a/${to}` } })
      expect([method, from, to, answer]).toEqual([method, from, to, 403])
    }
    expect(await fs.read('/dir/precious', 'utf8')).toBe('here')
    expect(await fs.read('/target', 'utf8')).toBe('here too')
    expect(await fs.list('/dir')).toEqual(['precious'])
    // A long file takes a link's place as a short one does.
    await fs.write('/long', Buffer.alloc(5_000_000, 'x'))
    for (const leads of ['dir', 'nowhere', 'round']) {
      await fs.promises.symlink(leads, '/round')
      expect(await status('a/long', { method: 'COPY', headers: { Destination: '/fs/a/round' } })).toBe(204)
      expect((await fs.promises.lstat('/round')).size).toBe(5_000_000)
      await fs.remove('/round')
    }
  })
})

describe('locks', () => {
  it('are not got around through links', async () => {
    const fs = await fsx({ fabric, database: 'a' })
    await fs.write('/d/x', '1')
    await fs.promises.symlink('d', '/way')
    await fs.promises.symlink('d/x', '/file')
    const [, token] = await lock('a/d/x')
    for (const path of ['way/x', 'file']) {
      expect((await put(`a/${path}`, '2')).status).toBe(423)
      expect(await lock(`a/${path}`)).toEqual([423, ''])
      expect(await (await find(`a/${path}`, '0')).text()).toContain('<D:lockroot><D:href>/fs/a/d/x</D:href>')
      expect((await put(`a/${path}`, '2', { If: `(${token})` })).status).toBe(204)
    }
    expect(await status('a/way/x', { method: 'DELETE' })).toBe(423)
    expect(await status('a/way', { method: 'MOVE', headers: { Destination: '/fs/a/y' } })).toBe(423)
    expect(await status('a/way/x', { method: 'UNLOCK', headers: { 'Lock-Token': token } })).toBe(204)
    // And one that was taken through a link holds for the file.
    const [, other] = await lock('a/way/x')
    expect((await put('a/d/x', '3')).status).toBe(423)
    const moved = { Destination: '/fs/a/y', If: `(${other})` }
    expect(await status('a/way/x', { method: 'MOVE', headers: moved })).toBe(201)
    expect((await put('a/d/x', '4')).status).toBe(201)
  })
})
