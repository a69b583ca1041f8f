/** Filesystems over HTTP: files, conditions, trees, properties, locks. What WebDAV clients make of it: test/webdav. */
import { fsx } from '@dotdo/fsx'
import { describe, expect, it } from 'vitest'
import { appForEach, ask, bugs, etagOf, fabric, find, lock, names, open, put, status, text } from './fs.testing.ts'

appForEach()

async function inodesOf(fs: { promises: { statfs(path: string): Promise<{ files: number; ffree: number }> } }) {
  const { files, ffree } = await fs.promises.statfs('/')
  return files - ffree
}

/** A body that comes in pieces and may break off. */
function pieces(count: number, end: 'done' | 'error' = 'done', bytes = 700_000): ReadableStream<Uint8Array> {
  let sent = 0
  return new ReadableStream({
    pull(controller) {
      if (sent++ < count) controller.enqueue(new Uint8Array(bytes).fill(sent))
      else if (end === 'done') controller.close()
      else controller.error(new Error('gone'))
    },
  })
}

describe('files over HTTP', () => {
  it('are told of to those who watch', async () => {
    await put('a/')
    await ask('a/d/', { method: 'MKCOL' })
    const fs = await fsx({ fabric, database: 'a' })
    const changes = await fs.changes()
    const hear = async (what: string) => {
      for (;;) {
        const { value } = await changes.next()
        expect(value.path).toBe('/d/x.txt')
        if (value.kind === what) return
      }
    }
    // What comes in pieces changes before it has its name, and may be told of by then.
    for (const body of ['one', pieces(3)]) {
      await put('a/d/x.txt', body)
      await hear('added')
      await hear('changed')
    }
    await ask('a/d/x.txt', { method: 'DELETE' })
    await hear('removed')
    await fs.close()
  })

  it('are made, read, replaced and removed', async () => {
    expect(await status('a/x.txt')).toBe(404)
    expect((await put('a/x.txt', 'one')).status).toBe(201)
    expect((await put('a/x.txt', 'two')).status).toBe(204)
    const got = await ask('a/x.txt')
    expect(got.headers.get('Content-Type')).toContain('text/plain')
    expect(got.headers.get('Content-Length')).toBe('3')
    expect(await got.text()).toBe('two')
    expect(await status('a/x.txt', { method: 'DELETE' })).toBe(204)
    expect(await status('a/x.txt', { method: 'DELETE' })).toBe(404)
  })

  it('make no filesystem for those who only read', async () => {
    for (const method of ['GET', 'HEAD', 'DELETE', 'PROPFIND', 'UNLOCK']) {
      expect(await status('nobody/x', { method })).toBe(404)
    }
    expect(await fabric.find('nobody')).toBeUndefined()
    expect(await status('a/', { method: 'MKCOL' })).toBe(201)
    expect(await status('a/', { method: 'MKCOL' })).toBe(405)
    expect(await status('BAD NAME/x', { method: 'PUT', body: '' })).toBe(400)
  })

  it('are sent by range', async () => {
    await put('a/digits', '0123456789')
    for (const [range, part, told] of [
      ['bytes=2-4', '234', 'bytes 2-4/10'],
      ['bytes=7-', '789', 'bytes 7-9/10'],
      ['bytes=-2', '89', 'bytes 8-9/10'],
      ['bytes=8-99', '89', 'bytes 8-9/10'],
    ]) {
      const got = await ask('a/digits', { headers: { Range: range as string } })
      expect([got.status, await got.text(), got.headers.get('Content-Range')]).toEqual([206, part, told])
    }
    const past = await ask('a/digits', { headers: { Range: 'bytes=10-' } })
    expect([past.status, past.headers.get('Content-Range')]).toEqual([416, 'bytes */10'])
    expect(await text('a/digits', { Range: 'bytes=1-2,4-5' })).toBe('0123456789')
    expect(await text('a/digits', { Range: 'bytes=0-1', 'If-Range': '"other"' })).toBe('0123456789')
    expect(await text('a/digits', { Range: 'bytes=0-1', 'If-Range': await etagOf('a/digits') })).toBe('01')
  })

  it('may be large, and come and go in pieces', async () => {
    expect((await put('a/large', pieces(6))).status).toBe(201)
    const bytes = new Uint8Array(await (await ask('a/large')).arrayBuffer())
    expect([bytes.length, bytes[0], bytes.at(-1), bytes[700_000]]).toEqual([4_200_000, 1, 6, 2])
    const part = await ask('a/large', { headers: { Range: 'bytes=699999-2100000' } })
    const some = new Uint8Array(await part.arrayBuffer())
    expect([some.length, some[0], some[1], some.at(-1)]).toEqual([1_400_002, 1, 2, 4])
  })

  it('stay as they were while they are read, whoever replaces them', async () => {
    await put('a/large', pieces(6))
    const { body } = await ask('a/large')
    const reader = (body as ReadableStream<Uint8Array>).getReader()
    await reader.read()
    await put('a/large', 'short')
    let rest = 0
    for (let last: Uint8Array | undefined; ; rest += last.length) {
      const { done, value } = await reader.read()
      if (done) break
      last = value
    }
    expect(rest).toBe(4_200_000 - 1024 * 1024)
    expect(await text('a/large')).toBe('short')
  })

  it('are never half there: a body that breaks off leaves what was', async () => {
    await put('a/large', 'before')
    expect(await status('a/large', { method: 'PUT', body: pieces(5, 'error') })).toBeGreaterThanOrEqual(400)
    expect(await status('a/other', { method: 'PUT', body: pieces(5, 'error') })).toBeGreaterThanOrEqual(400)
    expect(await status('a/other', { method: 'PUT', body: 'abc', headers: { 'Content-Length': '9' } })).toBe(400)
    bugs.length = 0
    expect(await text('a/large')).toBe('before')
    expect(await names('a/')).toEqual(['large'])
    const fs = await fsx({ fabric, database: 'a' })
    // Of what had been written nothing is left: the root, and the file that was.
    expect(await inodesOf(fs)).toBe(2)
  })

  it('are written on conditions, which nobody comes between', async () => {
    const fresh = { 'If-None-Match': '*' }
    expect((await put('a/x', 'one', fresh)).status).toBe(201)
    expect((await put('a/x', 'two', fresh)).status).toBe(412)
    const etag = await etagOf('a/x')
    const all = await Promise.all(Array.from({ length: 8 }, (_, i) => put('a/x', `${i}`, { 'If-Match': etag })))
    expect(all.map((one) => one.status).sort()).toEqual([204, ...Array.from({ length: 7 }, () => 412)])
    expect((await put('a/y', pieces(3), { 'If-Match': '*' })).status).toBe(412)
    expect(await status('a/x', { method: 'DELETE', headers: { 'If-Match': etag } })).toBe(412)
    const old = new Date(0).toUTCString()
    expect((await put('a/x', 'z', { 'If-Unmodified-Since': old })).status).toBe(412)
  })

  it('are not sent again to those who have them', async () => {
    await put('a/x', 'one')
    const got = await ask('a/x')
    const [etag, modified] = ['ETag', 'Last-Modified'].map((name) => got.headers.get(name) as string)
    expect(await status('a/x', { headers: { 'If-None-Match': `"b", W/${etag}` } })).toBe(304)
    expect(await status('a/x', { headers: { 'If-Modified-Since': modified as string } })).toBe(304)
    expect(await status('a/x', { headers: { 'If-Match': '"other"' } })).toBe(412)
    await put('a/x', 'two')
    expect(await status('a/x', { headers: { 'If-None-Match': etag as string } })).toBe(200)
  })

  it('keep permissions, properties and their time when they are replaced', async () => {
    await put('a/x', 'one')
    const fs = await fsx({ fabric, database: 'a' })
    await fs.promises.chmod('/x', 0o600)
    await fs.xattrs.set('/x', 'user.k', 'v')
    expect((await put('a/x', 'two', { 'X-OC-Mtime': '1000000000.5' })).headers.get('X-OC-Mtime')).toBe('accepted')
    expect(String(await fs.xattrs.get('/x', 'user.k'))).toBe('v')
    const { mode, mtimeMs } = await fs.promises.stat('/x')
    expect([mode & 0o777, mtimeMs]).toEqual([0o600, 1_000_000_000_500])
  })

  it('are those of node:fs, links included', async () => {
    const fs = await fsx({ fabric, database: 'a' })
    await fs.write('/d/file', 'text')
    await fs.promises.symlink('d/file', '/link')
    await fs.promises.symlink('d', '/dir')
    await fs.promises.symlink('none', '/dead')
    expect(await text('a/link')).toBe('text')
    expect(await names('a/')).toEqual(['d', 'dir', 'link'])
    await put('a/link', 'through')
    expect(await fs.read('/d/file', 'utf8')).toBe('through')
    expect(await status('a/dir', { method: 'DELETE' })).toBe(204)
    expect(await fs.list('/d')).toEqual(['file'])
  })

  it('have any name that a file may have, and no other', async () => {
    for (const name of ['a b', 'é', '%', '#?&+;=', '<>"\'', '..x', '\n', '😀']) {
      const path = `a/${encodeURIComponent(name)}`
      expect([name, (await put(path, name)).status]).toEqual([name, 201])
      expect(await text(path)).toBe(name)
    }
    expect(await names('a/')).toHaveLength(8)
    for (const path of ['a/%2F', 'a/%00', 'a/%ff', 'a/%', 'a/x%2f..%2fy']) expect(await status(path)).toBe(400)
    expect(await status('a/../../changes/x', { method: 'PUT', body: '' })).not.toBe(201)
    expect((await put(`a/${'n'.repeat(256)}`)).status).toBe(414)
    expect((await put('a/no/such/directory')).status).toBe(409)
    expect((await put('a/d/')).status).toBe(405)
  })

  it('are bounded by the quota', async () => {
    const fs = await fsx({ fabric, database: 'a' })
    await fs.setQuota({ bytes: 1_000_000 })
    expect((await put('a/x', pieces(3))).status).toBe(507)
    expect(await names('a/')).toEqual([])
    expect((await fs.promises.statfs('/')).bfree).toBeGreaterThan(0)
  })

  it('cannot use our origin as pages of a browser, nor be changed from another', async () => {
    await put('a/page.html', '<script>fetch("/sql")</script>')
    const { headers } = await ask('a/page.html')
    expect([headers.get('Content-Security-Policy'), headers.get('X-Content-Type-Options')]).toEqual([
      'sandbox',
      'nosniff',
    ])
    for (const method of ['PUT', 'DELETE', 'MKCOL', 'PROPFIND', 'LOCK']) {
      expect(await status('a/page.html', { method, headers: { Origin: 'http://evil.example' } })).toBe(403)
    }
  })

  it('are there after a restart, and locks are too', async () => {
    await put('a/x', 'one')
    const lockBody =
      '<lockinfo xmlns="DAV:"><lockscope><exclusive/></lockscope><locktype><write/></locktype></lockinfo>'
    const locked = await ask('a/x', { method: 'LOCK', body: lockBody })
    const token = locked.headers.get('Lock-Token') as string
    await fabric.close()
    await open()
    expect(await text('a/x')).toBe('one')
    expect((await put('a/x', 'two')).status).toBe(423)
    expect((await put('a/x', 'two', { If: `(${token})` })).status).toBe(204)
  })
})

describe('directories over HTTP', () => {
  it('are listed as JSON, a page at a time', async () => {
    await ask('a/', { method: 'MKCOL' })
    for (const name of ['c', 'a', 'b']) await put(`a/${name}`, name)
    await ask('a/d', { method: 'MKCOL' })
    const page = (await (await ask('a/?limit=2')).json()) as { next: string; entries: object[] }
    expect(page.next).toBe('b')
    expect(page.entries[0]).toMatchObject({ name: 'a', type: 'file', size: 1, mode: '0644' })
    expect(await (await ask('a/?limit=2&after=b')).json()).toMatchObject({
      next: null,
      entries: [{ name: 'c' }, { name: 'd', type: 'directory' }],
    })
    expect(await status('a/?limit=x')).toBe(400)
    expect(await (await ask('a/c?stat')).json()).toMatchObject({ path: '/c', nlink: 1, uid: 0 })
  })

  it('are copied and moved with all that is in them, also over others', async () => {
    const fs = await fsx({ fabric, database: 'a' })
    await fs.writeAll(
      await Promise.all(Array.from({ length: 300 }, async (_, i) => [`/f${i}`, String(i)] as [string, string])),
    )
    await fs.mkdir('/many')
    for (let i = 0; i < 300; i++) await fs.promises.rename(`/f${i}`, `/many/f${i}`)
    const to = (path: string, more = {}) => ({ Destination: `/fs/a/${path}`, ...more })
    expect(await status('a/many', { method: 'COPY', headers: to('copy') })).toBe(201)
    expect(await names('a/copy')).toHaveLength(300)
    expect(await text('a/copy/f7')).toBe('7')
    expect(await status('a/many', { method: 'COPY', headers: to('copy', { Overwrite: 'F' }) })).toBe(412)
    await put('a/copy/extra')
    expect(await status('a/many', { method: 'MOVE', headers: to('copy') })).toBe(204)
    expect(await names('a/copy')).toHaveLength(300)
    expect(await status('a/many')).toBe(404)
    for (const path of ['copy', 'copy/inside']) {
      expect(await status('a/copy', { method: 'MOVE', headers: to(path) })).toBe(403)
    }
    expect(await status('a/copy/f1', { method: 'COPY', headers: to('copy') })).toBe(403)
    expect(await status('a/copy', { method: 'MOVE', headers: { Destination: '/fs/b/copy' } })).toBe(502)
    expect(await status('a/copy', { method: 'MOVE', headers: { Destination: 'http://b.example/fs/a/x' } })).toBe(502)
    expect(await status('a/', { method: 'DELETE' })).toBe(403)
  })

  it('replace a tree of more files than one transaction removes', async () => {
    const fs = await fsx({ fabric, database: 'a' })
    await fs.mkdir('/big')
    await fs.mkdir('/small')
    await fs.writeAll(Array.from({ length: 1500 }, (_, i) => [`/big/f${i}`, ''] as const))
    expect(await status('a/small', { method: 'MOVE', headers: { Destination: '/fs/a/big' } })).toBe(204)
    expect(await names('a/')).toEqual(['big'])
    expect(await names('a/big')).toEqual([])
  })
})

describe('properties', () => {
  it('may be asked for by so many names', async () => {
    await fsx({ fabric, database: 'a' })
    const names = Array.from({ length: 257 }, (_, i) => `<x${i}/>`).join('')
    const body = `<propfind xmlns="DAV:"><prop xmlns="">${names}</prop></propfind>`
    expect((await find('a/', '0', body.replace('<prop xmlns="">', '<prop>'))).status).toBe(413)
  })

  it('are told of everything below, if that is not too much', async () => {
    const fs = await fsx({ fabric, database: 'a' })
    await fs.write('/d/e/f', 'text')
    const told = await (await find('a/', 'infinity')).text()
    expect(told.match(/<D:href>[^<]*/g)).toEqual(
      ['/fs/a/', '/fs/a/d/', '/fs/a/d/e/', '/fs/a/d/e/f'].map((x) => `<D:href>${x}`),
    )
    await fs.mkdir('/many')
    await fs.writeAll(Array.from({ length: 10_001 }, (_, i) => [`/many/${i}`, ''] as const))
    const refused = await find('a/', 'infinity')
    expect([refused.status, await refused.text()]).toEqual([403, expect.stringContaining('propfind-finite-depth')])
    const listed = await (await find('a/many', '1')).text()
    expect(listed.match(/<D:response>/g)).toHaveLength(10_002)
  })

  it('are kept as they were set, and go with a copy', async () => {
    await put('a/x')
    const body =
      '<propertyupdate xmlns="DAV:" xmlns:q="urn:q"><set><prop>' +
      '<q:p a="1">v&lt;<q:in/></q:p></prop></set></propertyupdate>'
    expect(await status('a/x', { method: 'PROPPATCH', body })).toBe(207)
    await ask('a/x', { method: 'COPY', headers: { Destination: '/fs/a/y' } })
    const asked = '<propfind xmlns="DAV:" xmlns:q="urn:q"><prop><q:p/><q:none/><quota-used-bytes/></prop></propfind>'
    const told = await (await find('a/y', '0', asked)).text()
    expect(told).toContain('<q:p a="1" xmlns:q="urn:q">v&lt;<q:in/></q:p>')
    expect(told).toContain('<D:prop><x:none xmlns:x="urn:q"/><D:quota-used-bytes/></D:prop><D:status>HTTP/1.1 404')
  })

  it('are set all or none, and not those that follow from the file', async () => {
    await put('a/x')
    const body =
      '<propertyupdate xmlns="DAV:"><set><prop><own xmlns="u">1</own><getetag>2</getetag></prop></set></propertyupdate>'
    const told = await (await ask('a/x', { method: 'PROPPATCH', body })).text()
    expect(told).toMatch(/own.*424 Failed Dependency.*getetag.*403 Forbidden/s)
    expect(await (await find('a/x', '0')).text()).not.toContain('own')
  })

  it.each([
    ['no XML', '<propfind'],
    ['another element', '<other xmlns="DAV:"/>'],
    ['an undeclared prefix', '<propfind xmlns="DAV:"><prop><q:p/></prop></propfind>'],
    ['an entity', '<!DOCTYPE a [<!ENTITY e "x">]><propfind xmlns="DAV:"><prop>&e;</prop></propfind>'],
    ['too much nesting', `<propfind xmlns="DAV:">${'<a>'.repeat(5000)}${'</a>'.repeat(5000)}</propfind>`],
  ])('are refused %s', async (_, body) => {
    await put('a/x')
    expect((await find('a/x', '0', body)).status).toBe(400)
  })

  it('are refused more XML than is held', async () => {
    await put('a/x')
    expect((await find('a/x', '0', ' '.repeat(300_000))).status).toBe(413)
    expect((await find('a/x', '2')).status).toBe(400)
  })
})

describe('locks', () => {
  it('keep others out: of the file, of its name, of all below', async () => {
    await ask('a/', { method: 'MKCOL' })
    await ask('a/d', { method: 'MKCOL' })
    const [made, token] = await lock('a/d')
    expect(made).toBe(200)
    expect((await put('a/d/x', '1')).status).toBe(423)
    expect(await (await put('a/d/x', '1')).text()).toContain('<D:lock-token-submitted><D:href>/fs/a/d</D:href>')
    expect((await put('a/d/x', '1', { If: `</fs/a/d> (${token})` })).status).toBe(201)
    expect(await status('a/d', { method: 'DELETE' })).toBe(423)
    expect(await lock('a/d/x')).toEqual([423, ''])
    expect(await status('a/', { method: 'PROPPATCH', body: '<propertyupdate xmlns="DAV:"/>' })).toBe(207)
    expect(await status('a/d', { method: 'UNLOCK', headers: { 'Lock-Token': '<opaquelocktoken:no>' } })).toBe(409)
    expect(await status('a/d', { method: 'UNLOCK', headers: { 'Lock-Token': token } })).toBe(204)
    expect((await put('a/d/x', '2')).status).toBe(204)
  })

  it('are shared, if all of them are', async () => {
    await put('a/x')
    const [, one] = await lock('a/x', {}, 'shared')
    expect((await lock('a/x', {}, 'shared'))[0]).toBe(200)
    expect((await lock('a/x'))[0]).toBe(423)
    expect((await put('a/x', '1')).status).toBe(423)
    expect((await put('a/x', '1', { If: `(${one})` })).status).toBe(204)
  })

  it('make an empty file where there is none, and last as long as was asked', async () => {
    const [made, token] = await lock('a/new', { Timeout: 'Second-1' })
    expect(made).toBe(201)
    expect(await text('a/new')).toBe('')
    const renewed = await ask('a/new', { method: 'LOCK', headers: { If: `(${token})`, Timeout: 'Infinite' } })
    expect(await renewed.text()).toContain('<D:timeout>Second-3600</D:timeout>')
    await ask('a/new', { method: 'LOCK', headers: { If: `(${token})`, Timeout: 'Second-1' } })
    await expect.poll(async () => (await put('a/new', 'x')).status, { timeout: 5_000 }).toBe(204)
  })

  it('do not go with a file that is moved, nor stay where one is gone', async () => {
    await put('a/x')
    const [, token] = await lock('a/x')
    const headers = { Destination: '/fs/a/y', If: `</fs/a/x> (${token})` }
    expect(await status('a/x', { method: 'MOVE', headers })).toBe(201)
    expect((await put('a/y', '1')).status).toBe(204)
    expect((await put('a/x', '1')).status).toBe(201)
  })

  it('are one of the conditions of If', async () => {
    await put('a/x', '1')
    const etag = await etagOf('a/x')
    const write = async (If: string) => (await put('a/x', '1', { If })).status
    expect(await write(`(["no"])`)).toBe(412)
    expect(await write(`(Not ["no"] [${etag}])`)).toBe(204)
    expect(await write('(<opaquelocktoken:no>)')).toBe(412)
    expect(await write('(<opaquelocktoken:no>) (Not <DAV:no-lock>)')).toBe(204)
    expect(await write('</fs/a/none> (Not <DAV:no-lock>)')).toBe(204)
    for (const wrong of ['(', 'x', '()', '(Not)', '<a>']) expect([wrong, await write(wrong)]).toEqual([wrong, 400])
  })
})

describe('other methods', () => {
  it('are told which there are', async () => {
    const options = await ask('a/', { method: 'OPTIONS' })
    expect([options.status, options.headers.get('DAV')]).toEqual([200, '1, 2'])
    expect(options.headers.get('Allow')).toContain('PROPPATCH')
    expect(await status('a/', { method: 'POST' })).toBe(405)
    expect(await status('a/x', { method: 'MKCOL', body: 'x' })).toBe(415)
    expect(await status('')).toBe(404)
  })
})
