/** Where the lake's files are read from: this disk, or a cache of what is needed of them. */
import { mkdirSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { fileCatalog } from '../../../tiering/iceberg/catalog-files.ts'
import { commitChange } from '../../../tiering/iceberg/commit.ts'
import { LakeFiles } from '../../../tiering/iceberg/files.ts'
import { TestLake } from '../../../tiering/iceberg/testing.ts'
import { counted } from '../../../tiering/objects/counted.ts'
import { memoryObjects } from '../../../tiering/objects/memory.ts'
import { openDiskObjects } from '../disk-objects.ts'
import { ColdRig, coldRig, endAll, endings, folder, row, schema, span } from './cold-testing.ts'
import type { SqlEngineOptions } from './engine.ts'

afterEach(endAll)

describe('files of a store elsewhere', () => {
  /** A table with one large file and a small one. */
  async function large(more: Partial<SqlEngineOptions> = {}) {
    const store = counted(memoryObjects(new TestLake().clock))
    const rig = await coldRig(more, new TestLake(store))
    const noise = (id: number) =>
      `${Math.imul(id + 1, 0x9e3779b1) >>> 0}-${Math.imul(id + 7, 0x85ebca6b) >>> 0}`.repeat(4)
    const file = await rig.lake.append(Array.from({ length: 60_000 }, (_, id) => row(id, noise(id))))
    await rig.lake.append(span(60_000, 60_010))
    expect(file.sizeBytes).toBeGreaterThan(4 * 1024 * 1024)
    return { rig, store, file }
  }

  it('are fetched once: of large ones the columns that are read', async () => {
    const cacheFolder = folder()
    const { rig, store, file } = await large({ cacheFolder })
    const sum = 'select sum(id), count(*) from events'
    const first = await rig.run(sum)
    expect(first.rows).toEqual([[(60_010 * 60_009) / 2, 60_010]])
    expect(first.stats.bytesRead).toBeLessThan(file.sizeBytes / 3)
    expect(first.stats.bytesCached).toBe(0)
    const gets = store.counts.get
    const again = await rig.run(sum)
    expect(again.rows).toEqual(first.rows)
    expect(again.stats.bytesRead).toBe(0)
    expect(again.stats.bytesCached).toBeGreaterThan(0)
    const more = await rig.run('select max(ns), sum(x) from events')
    expect(more.stats.bytesRead).toBeGreaterThan(file.sizeBytes / 3)
    expect(await rig.rows('select count(*) from events where ns is not null and x >= 0 and ts is not null')).toEqual([
      [60_010],
    ])
    expect((await rig.run('select * from events where id = 5')).stats.bytesRead).toBe(0)
    expect(store.counts.get).toBeGreaterThan(gets)
  })

  it('are kept within a bound, but for those in use', async () => {
    const cacheFolder = folder()
    const { rig } = await large({ cacheFolder, cacheBytes: 1024 * 1024 })
    const files = join(cacheFolder, 'files')
    const result = await rig.sql.query({ text: 'select * from events', database: 'db' })
    const taken = result.batches[Symbol.asyncIterator]()
    await taken.next()
    expect(readdirSync(files)).toHaveLength(2)
    await result.close()
    const bytes = readdirSync(files).reduce((sum, name) => sum + statSync(join(files, name)).blocks * 512, 0)
    expect(bytes).toBeLessThanOrEqual(1024 * 1024)
    expect(await rig.rows('select count(*), max(ns) is not null from events')).toEqual([[60_010, true]])
  })

  it('outlive the engine when they are whole', async () => {
    const cacheFolder = folder()
    const store = counted(memoryObjects(new TestLake().clock))
    const rig = await coldRig({ cacheFolder }, new TestLake(store))
    await rig.lake.append(span(0, 100))
    expect((await rig.run('select count(id) from events where x >= 0')).stats.bytesRead).toBeGreaterThan(0)
    await rig.sql.close()
    const next = await ColdRig.open(rig.lake, { cacheFolder })
    const { rows, stats } = await next.run('select count(id) from events where x >= 0')
    expect(rows).toEqual([[100]])
    expect(stats.bytesRead).toBe(0)
    expect(stats.bytesCached).toBeGreaterThan(0)
  })

  it('that are gone, or damaged, are told of', async () => {
    const rig = await coldRig()
    const file = await rig.lake.append(span(0, 10))
    await rig.lake.store.put(rig.lake.files.keyOf(file.path), new Uint8Array(10))
    await expect(rig.rows('select * from events')).rejects.toMatchObject({ code: 'storage' })
    await rig.lake.store.delete([rig.lake.files.keyOf(file.path)])
    await expect(rig.rows('select * from events')).rejects.toMatchObject({ code: 'unavailable', message: /is gone/ })
  })
})

describe('files on this disk', () => {
  it('are read where they are', async () => {
    const path = join(folder(), "it's a lake")
    mkdirSync(path)
    const clock = new TestLake().clock
    const store = await openDiskObjects(path, { durability: 'normal' })
    endings.push(() => store.close())
    const files = new LakeFiles({ store, root: `file://${path}`, chance: clock })
    const lake = new TestLake(store)
    Object.assign(lake, { files, catalog: fileCatalog({ files, clock }) })
    Object.assign(lake, { committer: { catalog: lake.catalog, files, clock } })
    await lake.create({ schema })
    const file = await lake.dataFile(span(0, 100))
    await commitChange(lake.committer, lake.name, { addData: [file] }, 'one')
    const cacheFolder = folder()
    const rig = await ColdRig.open(lake, { cacheFolder })
    const { rows, stats } = await rig.run('select sum(id) from events')
    expect(rows).toEqual([[4950]])
    expect(stats.bytesRead).toBe(file.columnSizes?.get(1))
    expect(readdirSync(join(cacheFolder, 'files'))).toEqual([])
    const plan = await rig.rows('explain select sum(id) from events where x > 1')
    expect(plan.flat().join('\n')).toMatch(/READ_PARQUET/)
  })
})
