/** Objects in R2, inside workerd: the conformance list, and what the binding has of its own. */
import { env } from 'cloudflare:test'
import { describe, expect, it } from 'vitest'
import { bytesOf, expectFailure } from '../../tiering/objects/object-case.conformance.ts'
import { objectCases } from '../../tiering/objects/objects.conformance.ts'
import { conditionalUpload } from '../../tiering/objects/objects-multipart.conformance.ts'
import { r2Objects } from './r2-objects.ts'

/** Cases of one file share the bucket. */
async function emptyBucket() {
  const store = r2Objects(env.BUCKET)
  for (;;) {
    const { objects, next } = await store.list()
    await store.delete(objects.map(({ key }) => key))
    if (next === undefined) return store
  }
}

describe('objects in R2', () => {
  it.each(objectCases)('$name', async ({ name, run }) => {
    const store = await emptyBucket()
    if (name !== conditionalUpload) return run(store, expect)
    // The binding has no condition for completing an upload, so it must refuse one.
    const upload = await store.multipart('a')
    await upload.write(1, bytesOf('upload'))
    await expectFailure(expect, 'unsupported', () => upload.complete({ ifNoneMatch: '*' }))
    expect(await store.head('a')).toBeUndefined()
  })
})
