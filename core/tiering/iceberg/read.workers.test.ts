/** Tables are read inside workerd: from R2, pages of zstd, deletes applied. */
import { env } from 'cloudflare:test'
import { expect, test } from 'vitest'
import { workersLakeCodecs } from '../../host/workers/lake-codecs.ts'
import { r2Objects } from '../../host/workers/r2-objects.ts'
import { workersZstd } from '../../host/workers/zstd.ts'
import { ParquetCache } from '../parquet/read-cache.ts'
import { readCounts } from '../parquet/read-source.ts'
import { createParquetWriter } from '../parquet/writer.ts'
import { dataFile } from './data-file.ts'
import { schemaOf, specOf } from './metadata.ts'
import { readTable, rowsAt } from './read.ts'
import { makeSchema } from './schema.ts'
import { TestLake } from './testing.ts'

const schema = makeSchema([
  { name: 'id', type: 'long', required: true },
  { name: 'name', type: 'string' },
])

test('a table in R2 is read, pruned, with its deletes, and by positions', async () => {
  const lake = new TestLake(r2Objects(env.BUCKET))
  await lake.create({ schema })
  const table = await lake.load()
  const path = `${table.location}/data/zstd.parquet`
  const parts: Uint8Array[] = []
  const sink = { write: (bytes: Uint8Array) => void parts.push(bytes) }
  const rows = Array.from({ length: 20_000 }, (_, id) => ({ id, name: `name-${(id * 7919) % 20_000} é` }))
  const writer = createParquetWriter({
    schema: schemaOf(table),
    sink,
    compressor: workersZstd,
    rowGroupRows: 5_000,
    pageRows: 500,
    bloom: ['name'],
  })
  await writer.writeRows(rows)
  const summary = await writer.finish()
  await lake.files.writeParts(path, parts)
  const file = dataFile(summary, { path, spec: specOf(table), partition: [] })
  await lake.commit({ addData: [file] })
  await lake.delete([file, [0, 19_999]])
  const counts = readCounts()
  const options = { codecs: workersLakeCodecs.parquet, cache: new ParquetCache(4_000_000), counts }
  const read = async (where?: Parameters<typeof readTable>[2]['where']) => {
    const found: unknown[] = []
    for await (const { columns } of readTable(lake.files, await lake.load(), { ...options, where }))
      found.push(...(columns[0] ?? []))
    return found
  }
  expect(await read()).toEqual(rows.slice(1, -1).map(({ id }) => id))
  expect(counts.groupsPruned).toBe(0)
  expect(await read({ op: 'eq', column: 'name', value: rows[7_000]?.name })).toEqual([7_000])
  expect(await read({ op: 'lt', column: 'id', value: 5 })).toEqual([1, 2, 3, 4])
  expect(counts.groupsPruned).toBeGreaterThanOrEqual(5)
  const [names] = await rowsAt(lake.files, table, { path, positions: [12_345, 0], columns: ['name'] }, options)
  expect(names).toEqual([rows[12_345]?.name, rows[0]?.name])
})
