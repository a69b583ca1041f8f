/** Writes objects until it is killed, and says which were acknowledged: a child of disk-objects.test.ts.
 *
 *    node scripts/run.mjs core/host/node/test-disk-writer.ts FOLDER FIRST */
import { openDiskObjects } from './disk-objects.ts'

/** The bytes of an object follow from its number, so that a half of one shows. */
export function contentOf(number: number): Uint8Array {
  return new TextEncoder().encode(`${number};`.repeat(50_000))
}

const [folder, first] = process.argv.slice(2)
if (process.argv[1]?.endsWith('test-disk-writer.ts') && folder !== undefined) {
  const store = await openDiskObjects(folder)
  const pointer = await store.get('pointer')
  let etag = pointer?.etag
  for (let number = Number(first); ; number++) {
    await store.put(`data/${number % 7}/${number}`, contentOf(number), { ifNoneMatch: '*' })
    await store.put(`data/over/${number % 3}`, contentOf(number))
    const condition = etag === undefined ? ({ ifNoneMatch: '*' } as const) : { ifMatch: etag }
    etag = (await store.put('pointer', contentOf(number), condition)).etag
    if (number % 2 === 0) await store.delete([`data/${(number - 6) % 7}/${number - 6}`])
    process.stdout.write(`${number}\n`)
  }
}
