import { statSync } from 'node:fs'
import { commitChange, type DataFile, makeSchema, planScan, schemaOf, unpartitioned } from '@dotdo/core/tiering/iceberg'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openDiskObjects } from '../../core/host/node/disk-objects.ts'
import { temporaryFolder } from '../../core/host/node/testing.ts'
import { nameMappingOf } from '../../core/tiering/parquet/read-schema.ts'
import { byId, formatDecimal, formatMicros } from './expected.ts'
import { InteropTable, openLake, type Past, typeRows, writeHistory, writeTypes } from './lake.ts'
import { readRows } from './read.ts'

const folder = temporaryFolder()
let lake: ReturnType<typeof openLake>
let duck: DuckDBConnection

beforeAll(async () => {
  lake = openLake(await openDiskObjects(folder.path), `file://${folder.path}`)
  await lake.catalog.createNamespace(['db'])
  duck = await (await DuckDBInstance.create(':memory:')).connect()
})
afterAll(() => {
  duck.closeSync()
  folder.remove()
})

async function query(sql: string): Promise<Record<string, unknown>[]> {
  const reader = await duck.runAndReadAll(sql)
  return reader.getRowObjectsJson() as Record<string, unknown>[]
}

const pathOf = (file: DataFile) => file.path.replace('file://', '')

describe('DuckDB, of our files', () => {
  it('reads every type, with the ids and logical types that Iceberg asks for', async () => {
    const { name } = await writeTypes(lake.committer)
    const { metadata } = await lake.catalog.loadTable(name)
    const { tasks } = await planScan(lake.committer.files, metadata)
    const path = pathOf((tasks[0] as (typeof tasks)[number]).file)
    const columns = await query(`select name, field_id, logical_type from parquet_schema('${path}') where field_id > 0`)
    const ids = new Map(columns.map((column) => [`${column.field_id}`, column]))
    for (const { id, name: column } of schemaOf(metadata).fields)
      expect(ids.get(`${id}`)).toMatchObject({ name: column })
    const logical = Object.fromEntries(columns.map((column) => [column.name, column.logical_type]))
    expect(logical).toMatchObject({
      d9: expect.stringMatching(/^DecimalType\(.*scale=2.*precision=9/),
      day: 'DateType()',
      tod: expect.stringMatching(/^TimeType\(.*MICROS/),
      ts: expect.stringMatching(/^TimestampType\(isAdjustedToUTC=0, .*MICROS/),
      tstz: expect.stringMatching(/^TimestampType\(isAdjustedToUTC=1, .*MICROS/),
      s: 'StringType()',
      u: 'UUIDType()',
    })
    const select = `b, i, l, f, d, d9::text d9, d18::text d18, d38::text d38, day::text "day", tod::text tod,
      strftime(ts, '%Y-%m-%d %H:%M:%S.%f') ts, strftime(tstz at time zone 'UTC', '%Y-%m-%d %H:%M:%S.%f') tstz,
      s, u::text u, hex(fx) fx, hex(bin) bin, tags, to_json(props)::text props, to_json(who)::text who,
      to_json(people)::text people`
    const rows = await query(`select id, ${select} from read_parquet('${path}') order by id`)
    const [first, second] = typeRows as [Record<string, never>, Record<string, never>]
    for (const [at, row] of [first, second].entries()) {
      expect(rows[at]).toMatchObject({
        b: row.b,
        i: row.i,
        l: `${row.l}`,
        f: row.f,
        d: row.d,
        d9: formatDecimal(row.d9 as never, 2),
        d18: formatDecimal(row.d18 as never, 6),
        d38: formatDecimal(row.d38 as never, 10),
        ts: formatMicros(row.ts as never),
        tstz: formatMicros(row.tstz as never),
        s: row.s,
        u: row.u,
        fx: Buffer.from(row.fx as never)
          .toString('hex')
          .toUpperCase(),
        bin: Buffer.from(row.bin as never)
          .toString('hex')
          .toUpperCase(),
        tags: row.tags,
      })
    }
    expect(rows[0]).toMatchObject({
      day: '2024-10-04',
      tod: '23:59:59.999999',
      props: '{"k":1,"none":null}',
      who: '{"name":"x","ages":[1,2]}',
      people: '[{"name":"p","age":1},null,{"name":null,"age":2}]',
    })
    expect(rows[1]).toMatchObject({ day: '1969-12-31', tod: '00:00:00', props: '{}', people: '[]' })
    expect(rows[2]).toEqual(
      Object.fromEntries([...Object.keys(rows[2] ?? {})].map((key) => [key, key === 'id' ? '3' : null])),
    )
  })

  it('finds keys by our bloom filters, and leaves out what is not there', async () => {
    const { name, past } = await writeHistory(lake.committer)
    const { metadata } = await lake.catalog.loadTable(name)
    const { tasks } = await planScan(lake.committer.files, metadata)
    const known = new Set((past.at(-1) as Past).rows.map(({ id }) => Number(id)))
    let excluded = 0
    for (const { file } of tasks) {
      const path = pathOf(file)
      for (const { id } of await query(`select id from read_parquet('${path}')`)) {
        const probe = `select bloom_filter_excludes x from parquet_bloom_probe('${path}', 'id', ${id})`
        expect(await query(probe)).toEqual([{ x: false }])
        known.delete(Number(id))
      }
      const [none] = await query(`select bloom_filter_excludes x from parquet_bloom_probe('${path}', 'id', 999999)`)
      excluded += Number(none?.x)
    }
    expect(known).toEqual(new Set())
    expect(excluded).toBe(tasks.length)
  })
})

describe('files of DuckDB in a table of ours', () => {
  it.each([false, true])('are read by name where they have no field ids (with ids: %s)', async (hasIds) => {
    const schema = makeSchema([
      { name: 'id', type: 'long' },
      { name: 'title', type: 'string' },
      { name: 'at', type: 'timestamptz' },
      { name: 'cost', type: 'decimal(12,2)' },
    ])
    const mapping = nameMappingOf(schema.fields).map((field) => {
      // The file calls it otherwise.
      return { 'field-id': field.id, names: field.names.includes('title') ? ['title', 'name'] : field.names }
    })
    const properties = { 'schema.name-mapping.default': JSON.stringify(mapping) }
    const table = new InteropTable(lake.committer, { namespace: ['db'], name: `duck${hasIds}` })
    const { metadata } = await lake.catalog.createTable(table.name, { schema, properties })
    await table.append([{ id: 0, title: 'ours', at: 0, cost: 1 }])
    const path = `${metadata.location}/data/duck.parquet`
    const ids = hasIds ? ', field_ids {"at": 3, cost: 4, id: 1, name: 2}' : ''
    await query(`copy (select i % 3 = 0 as extra, (i * 1.25)::decimal(12,2) as cost, 'row ' || i as name,
      i::bigint as id, to_timestamp(i) as at from range(1, 5) t(i))
      to '${path.replace('file://', '')}' (format parquet${ids})`)
    const file: DataFile = {
      content: 'data',
      path,
      format: 'PARQUET',
      specId: unpartitioned['spec-id'],
      partition: [],
      recordCount: 4,
      sizeBytes: statSync(path.replace('file://', '')).size,
    }
    await commitChange(lake.committer, table.name, { addData: [file] })
    const duckRows = [1, 2, 3, 4].map((i) => {
      return { id: i, title: `row ${i}`, at: i * 1_000_000, cost: BigInt(i * 125) }
    })
    const rows = await readRows(lake.committer.files, await table.load())
    expect(rows).toEqual(byId([{ id: 0, title: 'ours', at: 0, cost: 1n }, ...duckRows]))
  })
})
