import { memoryObjects } from '@dotdo/core/tiering'
import { makeSchema, stringifyJson } from '@dotdo/core/tiering/iceberg'
import { icebergCreate, icebergRead } from 'icebird'
import { expect, it } from 'vitest'
import { nodeClock } from '../../core/host/node/clock.ts'
import { withFetch } from '../../core/tiering/iceberg/testing.ts'
import { byId } from './expected.ts'
import { InteropTable, openLake, type Past, type Row, writeHistory } from './lake.ts'
import { readRows } from './read.ts'

const root = 'http://lake.test/bucket'

/** What icebird shows: integers of 64 bits as text here, decimals and times as it makes them. */
function shown(schema: Past['schema'], row: Row): Record<string, unknown> {
  const entries = schema.fields.map(({ name, type }) => {
    const value = row[name] ?? null
    if (value === null || name === 'who') return [name, value]
    if (type === 'long') return [name, `${value}`]
    if (type === 'timestamptz') return [name, new Date(Number(value) / 1000).toISOString()]
    return [name, `${type}`.startsWith('decimal') ? Number(value) * 10 ** -2 : value]
  })
  return Object.fromEntries(entries)
}

const longOf = (value: unknown) => (value === null || value === undefined ? null : `${value}`)
const asJson = (rows: unknown) =>
  JSON.parse(JSON.stringify(rows, (_, one) => (typeof one === 'bigint' ? `${one}` : one)))

it('icebird reads our table at every snapshot', async () => {
  const { catalog, committer } = openLake(memoryObjects(nodeClock), root)
  await catalog.createNamespace(['db'])
  const { name, past } = await writeHistory(committer)
  const { metadata } = await catalog.loadTable(name)
  for (const { snapshotId, schema, rows } of past) {
    const at = { 'current-snapshot-id': snapshotId, 'current-schema-id': schema['schema-id'] }
    const read = await withFetch(committer.files, () => {
      return icebergRead({ tableUrl: metadata.location, metadata: { ...JSON.parse(stringifyJson(metadata)), ...at } })
    })
    const wanted = byId(rows).map((row) => shown(schema, row))
    // It leaves columns out that a file has not, does not widen, and knows fields of structs by the names in files.
    const flat = byId(read).map((row) => {
      const columns = schema.fields.map(({ name, type }) => [name, type === 'long' ? longOf(row[name]) : row[name]])
      return { ...asJson(Object.fromEntries(columns.map(([name, value]) => [name, value ?? null]))), who: undefined }
    })
    expect(flat).toEqual(wanted.map((row) => ({ ...row, who: undefined })))
    const ours = await readRows(committer.files, metadata, { snapshotId })
    const decimal = (row: Row) => ({ ...row, price: BigInt(row.price as number) })
    expect(ours).toEqual(byId(rows).map(decimal))
  }
})

it('a table that icebird makes is one of ours', async () => {
  const { catalog, committer } = openLake(memoryObjects(nodeClock), root)
  await catalog.createNamespace(['db'])
  const written: Promise<void>[] = []
  const writerFactory = (url: string) => {
    const parts: Uint8Array[] = []
    const finish = () => void written.push(committer.files.write(url, new Uint8Array(Buffer.concat(parts))))
    return { appendBytes: (bytes: Uint8Array) => void parts.push(bytes), finish }
  }
  const schema = makeSchema([{ name: 'id', type: 'long' }])
  await icebergCreate({ tableUrl: `${root}/db@/made`, writerFactory, schema } as never)
  await Promise.all(written)
  const table = new InteropTable(committer, { namespace: ['db'], name: 'made' })
  expect(await catalog.listTables(['db'])).toEqual([table.name])
  await table.append([{ id: 1 }])
  expect(await readRows(committer.files, await table.load())).toEqual([{ id: 1 }])
})
