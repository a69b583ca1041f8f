/** What every ObjectStore lists. */
import { bytesOf, expectFailure, type ObjectCase } from './object-case.conformance.ts'
import type { Listing, ListOptions, ObjectStore } from './port.ts'

async function fill(store: ObjectStore, keys: readonly string[]): Promise<void> {
  await Promise.all(keys.map((key) => store.put(key, bytesOf(key))))
}

/** Follow the cursors to the end. */
async function listAll(store: ObjectStore, options: ListOptions): Promise<{ keys: string[]; pages: Listing[] }> {
  const pages: Listing[] = []
  for (let cursor: string | undefined; ; ) {
    const page = await store.list({ ...options, ...(cursor !== undefined && { cursor }) })
    pages.push(page)
    cursor = page.next
    if (cursor === undefined || pages.length > 100) break
  }
  const keys = pages.flatMap(({ objects, prefixes }) => [...objects.map(({ key }) => key), ...prefixes])
  return { keys, pages }
}

const keysOf = async (store: ObjectStore, options: ListOptions) =>
  (await store.list(options)).objects.map(({ key }) => key)

/** Cases of lists. */
export const listCases: readonly ObjectCase[] = [
  {
    name: 'an empty store lists nothing',
    async run(store, expect) {
      expect(await store.list()).toEqual({ objects: [], prefixes: [] })
      expect(await store.list({ prefix: 'a/', delimiter: '/' })).toEqual({ objects: [], prefixes: [] })
    },
  },
  {
    name: 'a list has sizes and etags, in the order of the bytes of keys',
    async run(store, expect) {
      // U+FF61 comes before U+1D11E as UTF-8, and after its surrogates as UTF-16.
      const keys = ['a', 'a b', 'a!', 'a-b', 'a.b', 'a/a', 'a/b/c', 'a/z', 'a0', 'aa', 'b', '｡', '𝄞']
      await fill(store, [...keys].reverse())
      const { objects, next } = await store.list()
      expect(objects.map(({ key }) => key)).toEqual(['a', 'a b', 'a!', ...keys.slice(3)])
      expect(next).toBeUndefined()
      for (const { key, sizeBytes, etag } of objects) {
        expect(await store.head(key)).toMatchObject({ sizeBytes, etag })
        expect(sizeBytes).toBe(bytesOf(key).length)
      }
    },
  },
  {
    name: 'a prefix is any beginning, not only a folder',
    async run(store, expect) {
      await fill(store, ['data/a', 'data/ab', 'data/b/c', 'database', 'date'])
      expect(await keysOf(store, { prefix: 'data/' })).toEqual(['data/a', 'data/ab', 'data/b/c'])
      expect(await keysOf(store, { prefix: 'data/a' })).toEqual(['data/a', 'data/ab'])
      expect(await keysOf(store, { prefix: 'dat' })).toHaveLength(5)
      expect(await keysOf(store, { prefix: 'data/b' })).toEqual(['data/b/c'])
      expect(await keysOf(store, { prefix: 'x' })).toEqual([])
    },
  },
  {
    name: 'a list begins after a key, be it there or not',
    async run(store, expect) {
      await fill(store, ['a', 'b', 'b/1', 'b/2', 'c'])
      expect(await keysOf(store, { after: 'b' })).toEqual(['b/1', 'b/2', 'c'])
      expect(await keysOf(store, { after: 'b/15' })).toEqual(['b/2', 'c'])
      expect(await keysOf(store, { after: 'b/2' })).toEqual(['c'])
      expect(await keysOf(store, { prefix: 'b/', after: 'a' })).toEqual(['b/1', 'b/2'])
      expect(await keysOf(store, { prefix: 'b/', after: 'b/1' })).toEqual(['b/2'])
      expect(await keysOf(store, { after: 'z' })).toEqual([])
    },
  },
  {
    name: 'pages follow each other without a gap or a double, also when objects go and come between them',
    async run(store, expect) {
      const keys = Array.from({ length: 25 }, (_, i) => `k/${String(i).padStart(2, '0')}`)
      await fill(store, keys)
      const { keys: all, pages } = await listAll(store, { prefix: 'k/', limit: 7 })
      expect(all).toEqual(keys)
      expect(pages.map(({ objects }) => objects.length)).toEqual([7, 7, 7, 4])
      const first = await store.list({ prefix: 'k/', limit: 7 })
      await store.delete(['k/06', 'k/08'])
      await store.put('k/075', bytesOf('new'))
      const second = await store.list({
        prefix: 'k/',
        limit: 3,
        ...(first.next !== undefined && { cursor: first.next }),
      })
      expect(second.objects.map(({ key }) => key)).toEqual(['k/07', 'k/075', 'k/09'])
    },
  },
  {
    name: 'a page that is exactly full is the last when nothing follows',
    async run(store, expect) {
      await fill(store, ['a', 'b', 'c'])
      expect((await store.list({ limit: 3 })).next).toBeUndefined()
      expect((await store.list({ limit: 2 })).next).toBeDefined()
    },
  },
  {
    name: 'a delimiter gathers folders',
    async run(store, expect) {
      await fill(store, ['t/a/1', 't/a/2', 't/b', 't/c/d/1', 't/c.txt', 'u'])
      const { objects, prefixes } = await store.list({ prefix: 't/', delimiter: '/' })
      expect(objects.map(({ key }) => key)).toEqual(['t/b', 't/c.txt'])
      expect(prefixes).toEqual(['t/a/', 't/c/'])
      expect((await store.list({ delimiter: '/' })).prefixes).toEqual(['t/'])
      await store.delete(['t/a/1', 't/a/2'])
      expect((await store.list({ prefix: 't/', delimiter: '/' })).prefixes).toEqual(['t/c/'])
    },
  },
  {
    name: 'folders count for the limit, and come once over all pages',
    async run(store, expect) {
      const keys = ['a', 'b/1', 'b/2', 'b/3', 'c', 'd/1', 'd/2', 'e/1', 'f']
      await fill(store, keys)
      const { keys: all, pages } = await listAll(store, { delimiter: '/', limit: 2 })
      expect([...all].sort()).toEqual(['a', 'b/', 'c', 'd/', 'e/', 'f'])
      expect(all.length).toBe(6)
      expect(pages.every(({ objects, prefixes }) => objects.length + prefixes.length <= 2)).toBe(true)
    },
  },
  {
    name: 'what no page can be is refused',
    async run(store, expect) {
      for (const limit of [0, -1, 1_001, 1.5]) await expectFailure(expect, 'invalid', () => store.list({ limit }))
      await expectFailure(expect, 'invalid', () => store.list({ delimiter: '-' as '/' }))
      await expectFailure(expect, 'invalid', () => store.list({ prefix: 'a\u0000' }))
    },
  },
  {
    name: 'a thousand and some objects are deleted and listed in batches',
    async run(store, expect) {
      const keys = Array.from({ length: 1_050 }, (_, i) => `many/${String(i).padStart(4, '0')}`)
      for (let i = 0; i < keys.length; i += 50) await fill(store, keys.slice(i, i + 50))
      const { keys: all, pages } = await listAll(store, {})
      expect(all).toEqual(keys)
      expect(pages.length).toBe(2)
      await store.delete(keys)
      expect((await store.list()).objects).toEqual([])
    },
  },
]
