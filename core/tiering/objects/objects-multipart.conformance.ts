/** What every ObjectStore does with objects in parts. */
import { OBJECT_PART_BYTES_MIN } from '../../limits.ts'
import { bytesOf, expectFailure, isSame, type ObjectCase, patterned } from './object-case.conformance.ts'
import { writeChunks } from './write.ts'

const partBytes = OBJECT_PART_BYTES_MIN

/** The name of the case that the R2 binding cannot pass. */
export const conditionalUpload = 'an upload completes under a condition, or not'

/** Cases of uploads. */
export const multipartCases: readonly ObjectCase[] = [
  {
    name: 'parts become one object in the order of their numbers, whatever order they come in',
    async run(store, expect) {
      const all = patterned(2 * partBytes + 1_000)
      const upload = await store.multipart('large', { partBytes, marker: 'mine' })
      await upload.write(3, all.subarray(2 * partBytes))
      await Promise.all([
        upload.write(2, all.subarray(partBytes, 2 * partBytes)),
        upload.write(1, all.subarray(0, partBytes)),
      ])
      expect(await store.head('large')).toBeUndefined()
      const { etag } = await upload.complete()
      const head = await store.head('large')
      expect(head).toMatchObject({ sizeBytes: all.length, etag })
      expect([undefined, 'mine']).toContain(head?.marker)
      expect(isSame((await store.get('large', { ifMatch: etag }))?.bytes, all)).toBe(true)
      const range = { start: partBytes - 10, end: partBytes + 10 }
      expect((await store.get('large', { range }))?.bytes).toEqual(all.slice(range.start, range.end))
      await upload.abort()
      expect((await store.head('large'))?.etag).toBe(etag)
    },
  },
  {
    name: 'a part sent again replaces itself',
    async run(store, expect) {
      const upload = await store.multipart('a', { partBytes })
      await upload.write(1, patterned(partBytes, 7))
      await upload.write(1, patterned(partBytes, 8))
      await upload.write(2, bytesOf('longer than it will be'))
      await upload.write(2, bytesOf('end'))
      await upload.complete()
      const body = await store.get('a')
      expect(body?.sizeBytes).toBe(partBytes + 3)
      expect(isSame(body?.bytes.subarray(0, partBytes), patterned(partBytes, 8))).toBe(true)
      expect(body?.bytes.subarray(partBytes)).toEqual(bytesOf('end'))
    },
  },
  {
    name: 'one small part is an object too',
    async run(store, expect) {
      const upload = await store.multipart('small')
      await upload.write(1, bytesOf('small'))
      await upload.complete()
      expect((await store.get('small'))?.bytes).toEqual(bytesOf('small'))
    },
  },
  {
    name: 'an aborted upload leaves nothing, and takes nothing more',
    async run(store, expect) {
      const upload = await store.multipart('gone', { partBytes })
      await upload.write(1, bytesOf('part'))
      await upload.abort()
      await upload.abort()
      await expectFailure(expect, 'not_found', () => upload.write(2, bytesOf('part')))
      await expectFailure(expect, 'not_found', () => upload.complete())
      expect((await store.list()).objects).toEqual([])
    },
  },
  {
    name: 'parts that do not make an object are refused',
    async run(store, expect) {
      await expectFailure(expect, 'invalid', () => store.multipart('a', { partBytes: 1_000 }))
      const upload = await store.multipart('a', { partBytes })
      await expectFailure(expect, 'invalid', () => upload.complete())
      await expectFailure(expect, 'invalid', () => upload.write(0, bytesOf('1')))
      await expectFailure(expect, 'invalid', () => upload.write(1, new Uint8Array(0)))
      await expectFailure(expect, 'invalid', () => upload.write(1, new Uint8Array(partBytes + 1)))
      await expectFailure(expect, 'limit', () => upload.write(10_001, bytesOf('1')))
      await upload.write(2, bytesOf('last'))
      await expectFailure(expect, 'invalid', () => upload.complete())
      await upload.write(1, bytesOf('too small for a first part'))
      await expectFailure(expect, 'invalid', () => upload.complete())
      await upload.write(1, new Uint8Array(partBytes))
      await upload.complete()
      expect((await store.head('a'))?.sizeBytes).toBe(partBytes + 4)
    },
  },
  {
    name: conditionalUpload,
    async run(store, expect) {
      const upload = await store.multipart('a')
      await upload.write(1, bytesOf('upload'))
      const { etag } = await store.put('a', bytesOf('put'))
      await expectFailure(expect, 'conflict', () => upload.complete({ ifNoneMatch: '*' }))
      await expectFailure(expect, 'conflict', () => upload.complete({ ifMatch: 'other' }))
      expect((await store.get('a'))?.bytes).toEqual(bytesOf('put'))
      await upload.complete({ ifMatch: etag })
      expect((await store.get('a'))?.bytes).toEqual(bytesOf('upload'))
      await expectFailure(expect, 'not_found', () => upload.complete())
    },
  },
  {
    name: 'chunks of any size are written as one object',
    async run(store, expect) {
      const all = patterned(2 * partBytes + 5)
      const cut = function* (sizeBytes: number) {
        for (let at = 0; at < all.length; at += sizeBytes) yield all.subarray(at, at + sizeBytes)
      }
      const small = await writeChunks(store, 'small', [bytesOf('a'), bytesOf('bc')], { ifNoneMatch: '*' })
      expect(small).toEqual({ etag: (await store.head('small'))?.etag, sizeBytes: 3 })
      expect((await writeChunks(store, 'none', [])).sizeBytes).toBe(0)
      const large = await writeChunks(store, 'large', cut(1_999_999), { partBytes })
      expect(large.sizeBytes).toBe(all.length)
      expect(isSame((await store.get('large', { ifMatch: large.etag }))?.bytes, all)).toBe(true)
      const exact = await writeChunks(store, 'exact', [all.subarray(0, 2 * partBytes)], { partBytes })
      expect(exact.sizeBytes).toBe(2 * partBytes)
      expect(isSame((await store.get('exact'))?.bytes, all.subarray(0, 2 * partBytes))).toBe(true)
    },
  },
  {
    name: 'chunks that fail leave no object',
    async run(store, expect) {
      const failing = function* () {
        yield new Uint8Array(2 * partBytes)
        throw new Error('out of chunks')
      }
      await expect(writeChunks(store, 'a', failing(), { partBytes })).rejects.toThrow('out of chunks')
      expect((await store.list()).objects).toEqual([])
    },
  },
]
