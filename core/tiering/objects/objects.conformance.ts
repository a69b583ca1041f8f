/** What every ObjectStore does, wherever it keeps its objects: one list of cases, each on an empty store. */
import { Failure } from '../../errors.ts'
import { bytesOf, expectFailure, type ObjectCase } from './object-case.conformance.ts'
import { concurrencyCases } from './objects-concurrency.conformance.ts'
import { listCases } from './objects-list.conformance.ts'
import { multipartCases } from './objects-multipart.conformance.ts'
import type { ObjectStore } from './port.ts'

const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes)
const readText = async (store: ObjectStore, key: string) => text((await store.get(key))?.bytes)

const basics: ObjectCase[] = [
  {
    name: 'what was put is what is got, with its size and etag',
    async run(store, expect) {
      const bytes = Uint8Array.from({ length: 1000 }, (_, i) => i % 256)
      const { etag } = await store.put('folder/object.bin', bytes)
      expect(etag).not.toBe('')
      const body = await store.get('folder/object.bin')
      expect(body).toEqual({ bytes, etag, sizeBytes: 1000 })
      expect(await store.head('folder/object.bin')).toMatchObject({ key: 'folder/object.bin', sizeBytes: 1000, etag })
    },
  },
  {
    name: 'a put sees the bytes as they were when it was called, when they change after it settled',
    async run(store, expect) {
      const bytes = bytesOf('before')
      await store.put('a', bytes)
      bytes.fill(0)
      const first = await store.get('a')
      first?.bytes.fill(1)
      expect(await readText(store, 'a')).toBe('before')
    },
  },
  {
    name: 'a free key has nothing',
    async run(store, expect) {
      expect(await store.get('nothing')).toBeUndefined()
      expect(await store.get('nothing', { range: { start: 0, end: 1 } })).toBeUndefined()
      expect(await store.head('nothing')).toBeUndefined()
      await store.delete(['nothing'])
    },
  },
  {
    name: 'an empty object is an object',
    async run(store, expect) {
      const { etag } = await store.put('empty', new Uint8Array(0))
      expect(await store.get('empty')).toEqual({ bytes: new Uint8Array(0), etag, sizeBytes: 0 })
      expect(await store.get('empty', { range: { suffix: 8 } })).toEqual({
        bytes: new Uint8Array(0),
        etag,
        sizeBytes: 0,
      })
      await expectFailure(expect, 'invalid', () => store.get('empty', { range: { start: 0, end: 1 } }))
    },
  },
  {
    name: 'an unconditional put replaces',
    async run(store, expect) {
      const first = await store.put('a', bytesOf('one'))
      const second = await store.put('a', bytesOf('other'))
      expect(second.etag).not.toBe(first.etag)
      expect(await readText(store, 'a')).toBe('other')
      expect((await store.head('a'))?.etag).toBe(second.etag)
    },
  },
  {
    name: 'the time of an object is that of its write',
    async run(store, expect) {
      await store.put('a', bytesOf('1'))
      const { modifiedMs } = (await store.head('a')) as { modifiedMs: number }
      expect(Math.abs(modifiedMs - Date.now())).toBeLessThan(60_000)
      expect((await store.list()).objects[0]?.modifiedMs).toBeGreaterThan(modifiedMs - 1_000)
    },
  },
  {
    name: 'deleted objects are gone, others stay',
    async run(store, expect) {
      for (const key of ['a', 'b/c', 'b/d']) await store.put(key, bytesOf(key))
      await store.delete(['a'])
      await store.delete(['b/c', 'not/there', 'a'])
      await store.delete([])
      expect((await store.list()).objects.map(({ key }) => key)).toEqual(['b/d'])
      expect(await store.get('a')).toBeUndefined()
      await store.put('a', bytesOf('again'))
      expect(await readText(store, 'a')).toBe('again')
    },
  },
  {
    name: 'a marker is kept with its write, or not at all',
    async run(store, expect) {
      await store.put('a', bytesOf('1'), { marker: 'mine-1' })
      expect([undefined, 'mine-1']).toContain((await store.head('a'))?.marker)
      await store.put('a', bytesOf('2'))
      expect((await store.head('a'))?.marker).not.toBe('mine-1')
    },
  },
]

const ranges: ObjectCase[] = [
  {
    name: 'a range is what lies from its start up to its end',
    async run(store, expect) {
      await store.put('digits', bytesOf('0123456789'))
      const read = async (start: number, end: number) =>
        text((await store.get('digits', { range: { start, end } }))?.bytes)
      expect(await read(0, 1)).toBe('0')
      expect(await read(2, 5)).toBe('234')
      expect(await read(9, 10)).toBe('9')
      expect(await read(0, 10)).toBe('0123456789')
      expect(await read(7, 1_000)).toBe('789')
      expect((await store.get('digits', { range: { start: 2, end: 5 } }))?.sizeBytes).toBe(10)
    },
  },
  {
    name: 'a suffix is the end, or all of a smaller object',
    async run(store, expect) {
      await store.put('digits', bytesOf('0123456789'))
      const read = async (suffix: number) => text((await store.get('digits', { range: { suffix } }))?.bytes)
      expect(await read(1)).toBe('9')
      expect(await read(8)).toBe('23456789')
      expect(await read(10)).toBe('0123456789')
      expect(await read(5_000)).toBe('0123456789')
      expect((await store.get('digits', { range: { suffix: 3 } }))?.sizeBytes).toBe(10)
    },
  },
  {
    name: 'a range past the end, empty or backwards is refused',
    async run(store, expect) {
      await store.put('digits', bytesOf('0123456789'))
      const bad = [
        { start: 10, end: 11 },
        { start: 3, end: 3 },
        { start: 3, end: 2 },
        { start: -1, end: 2 },
        { suffix: 0 },
      ]
      for (const range of [...bad, { start: 0.5, end: 2 }, { suffix: Number.NaN }]) {
        await expectFailure(expect, 'invalid', () => store.get('digits', { range }))
      }
    },
  },
  {
    name: 'a read of one write of a key is refused when it has been replaced',
    async run(store, expect) {
      const { etag } = await store.put('a', bytesOf('one'))
      expect(text((await store.get('a', { ifMatch: etag }))?.bytes)).toBe('one')
      expect(text((await store.get('a', { ifMatch: etag, range: { start: 1, end: 2 } }))?.bytes)).toBe('n')
      await store.put('a', bytesOf('other'))
      await expectFailure(expect, 'conflict', () => store.get('a', { ifMatch: etag }))
      await expectFailure(expect, 'conflict', () => store.get('a', { ifMatch: etag, range: { start: 1, end: 2 } }))
    },
  },
]

const conditions: ObjectCase[] = [
  {
    name: 'ifNoneMatch writes a free key, and never one that is taken',
    async run(store, expect) {
      const { etag } = await store.put('a', bytesOf('first'), { ifNoneMatch: '*' })
      await expectFailure(expect, 'conflict', () => store.put('a', bytesOf('second'), { ifNoneMatch: '*' }))
      expect(await store.get('a')).toEqual({ bytes: bytesOf('first'), etag, sizeBytes: 5 })
      await store.delete(['a'])
      await store.put('a', bytesOf('third'), { ifNoneMatch: '*' })
      expect(await readText(store, 'a')).toBe('third')
    },
  },
  {
    name: 'ifMatch writes over the object of its etag, and never over another',
    async run(store, expect) {
      const first = await store.put('a', bytesOf('first'))
      const second = await store.put('a', bytesOf('second'), { ifMatch: first.etag })
      await expectFailure(expect, 'conflict', () => store.put('a', bytesOf('third'), { ifMatch: first.etag }))
      expect(await store.get('a')).toEqual({ bytes: bytesOf('second'), etag: second.etag, sizeBytes: 6 })
    },
  },
  {
    name: 'ifMatch never writes a free key',
    async run(store, expect) {
      const { etag } = await store.put('a', bytesOf('first'))
      await store.delete(['a'])
      await expectFailure(expect, 'conflict', () => store.put('a', bytesOf('second'), { ifMatch: etag }))
      await expectFailure(expect, 'conflict', () => store.put('b', bytesOf('second'), { ifMatch: etag }))
      expect((await store.list()).objects).toEqual([])
    },
  },
  {
    name: 'conditions that cannot hold or be told are refused',
    async run(store, expect) {
      const put = (options: object) => () => store.put('a', bytesOf('1'), options)
      await expectFailure(expect, 'invalid', put({ ifNoneMatch: '*', ifMatch: 'x' }))
      await expectFailure(expect, 'invalid', put({ ifNoneMatch: 'x' }))
      for (const ifMatch of ['', 'a"b', 'a\nb']) await expectFailure(expect, 'invalid', put({ ifMatch }))
      await expectFailure(expect, 'invalid', put({ marker: 'a b' }))
      expect(await store.head('a')).toBeUndefined()
    },
  },
]

const keys: ObjectCase[] = [
  {
    name: 'keys of every sort are kept apart',
    async run(store, expect) {
      const odd = [
        'a',
        'A',
        'a/b',
        'a.b/c',
        'a+b',
        'a b',
        'a%20b',
        'a%2Fb',
        'CON',
        'nul.txt',
        'a.',
        '.hidden',
        '...',
        '~',
      ]
      const signs = [
        "it's",
        '(a)*!',
        'a&b=c?d#e',
        'a:b;c,d@e',
        'back\\slash',
        '"quoted" <tag>',
        'é',
        'e\u0301',
        '日本/𝄞',
        '=',
      ]
      const all = [...odd, ...signs, 'day=2026-01-01/part-0.parquet', 'x'.repeat(200)]
      for (const key of all) await store.put(key, bytesOf(`of ${key}`))
      for (const key of all) expect(await readText(store, key)).toBe(`of ${key}`)
      const listed = (await store.list()).objects.map(({ key }) => key)
      expect(new Set(listed)).toEqual(new Set(all))
      expect(listed.length).toBe(all.length)
      await store.delete(all)
      expect((await store.list()).objects).toEqual([])
    },
  },
  {
    name: 'keys that could lead elsewhere are refused before anything is done',
    async run(store, expect) {
      const bad = [
        '',
        '/',
        '/a',
        'a/',
        'a//b',
        '.',
        '..',
        '../a',
        'a/../b',
        'a/./b',
        'a\u0000',
        'a\nb',
        '\u007f',
        '\ud800',
      ]
      for (const key of bad) {
        await expectFailure(expect, 'invalid', () => store.put(key, bytesOf('1')))
        await expectFailure(expect, 'invalid', () => store.get(key))
        await expectFailure(expect, 'invalid', () => store.head(key))
        await expectFailure(expect, 'invalid', () => store.multipart(key))
      }
      await store.put('good', bytesOf('1'))
      await expectFailure(expect, 'invalid', () => store.delete(['good', '../bad']))
      expect(await store.head('good')).toBeDefined()
    },
  },
  {
    name: 'a key has at most 1024 bytes of UTF-8',
    async run(store, expect) {
      const longest = Array.from({ length: 8 }, (_, i) => `${i}`.repeat(127)).join('/')
      await store.put(`${longest}9`, bytesOf('longest'))
      expect(await readText(store, `${longest}9`)).toBe('longest')
      expect((await store.list({ prefix: longest })).objects.map(({ key }) => key)).toEqual([`${longest}9`])
      await expectFailure(expect, 'limit', () => store.put(`${longest}90`, bytesOf('1')))
      await expectFailure(expect, 'limit', () => store.get(`${'é/'.repeat(341)}éé`))
    },
  },
]

const failures: ObjectCase[] = [
  {
    name: 'failures say whether trying again can help',
    async run(store, expect) {
      await store.put('a', bytesOf('1'))
      const failure = await store.put('a', bytesOf('2'), { ifNoneMatch: '*' }).catch((error: unknown) => error)
      expect(failure).toBeInstanceOf(Failure)
      expect((failure as Failure).message).toContain('a')
    },
  },
]

/** Every case; those that a store cannot do are named by the test that runs them, with the reason. */
export const objectCases: readonly ObjectCase[] = [
  ...basics,
  ...ranges,
  ...conditions,
  ...keys,
  ...failures,
  ...listCases,
  ...multipartCases,
  ...concurrencyCases,
]
