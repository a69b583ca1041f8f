import { type ObjectStore, s3Objects } from '@dotdo/core/tiering'
import { schemaOf } from '@dotdo/core/tiering/iceberg'
import { Hono } from 'hono'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { nodeClock } from '../../core/host/node/clock.ts'
import { openDiskObjects } from '../../core/host/node/disk-objects.ts'
import { temporaryFolder } from '../../core/host/node/testing.ts'
import { requirePassword } from '../../dotdo/http/credentials.ts'
import { icebergRoutes } from '../../dotdo/http/iceberg.ts'
import { listenHttp } from '../../dotdo/serve/http.ts'
import { startTestS3, type TestS3 } from '../s3/server.ts'
import { ClickHouse, hasClickHouse } from './clickhouse.ts'
import { byId, clickHouseRow, selectAll } from './expected.ts'
import { type InteropTable, openLake, type Past, writeHistory, writeTypes } from './lake.ts'

/** What predicates look at. */
interface Known {
  readonly id: number
  readonly ns: string | null
  readonly at: number
  readonly amount: number | null
}

interface Tables {
  readonly history: InteropTable
  readonly types: InteropTable
}

async function writeAll(store: ObjectStore, root: string): Promise<Tables & ReturnType<typeof openLake>> {
  const lake = openLake(store, root)
  await lake.catalog.createNamespace(['db'])
  return { ...lake, history: await writeHistory(lake.committer), types: await writeTypes(lake.committer) }
}

const rowsOf = ({ schema, rows }: Past) => byId(rows).map((row) => clickHouseRow(schema, row))

/** Compare what ClickHouse reads with what was written, at every snapshot and with predicates that prune. */
function compare(
  tables: () => Tables,
  clickHouse: () => ClickHouse,
  from: (table: InteropTable) => string,
  options: readonly string[] = [],
): void {
  it('has the rows of every snapshot', async () => {
    const { history } = tables()
    expect(history.past.length).toBe(10)
    for (const past of history.past) {
      const travel = `iceberg_snapshot_id = ${past.snapshotId}`
      expect(await clickHouse().rows(selectAll(past.schema, from(history)), travel, ...options)).toEqual(rowsOf(past))
    }
  })

  it('has the rows of now, every one a predicate asks for among them', async () => {
    const { history } = tables()
    const last = history.past.at(-1) as Past
    const select = selectAll(schemaOf(await history.load()), from(history))
    const all = await clickHouse().rows(select, ...options)
    expect(all).toEqual(rowsOf(last))
    const idsWhere = async (where: string) => {
      const rows = await clickHouse().rows(`select id from ${from(history)} where ${where} order by id`, ...options)
      return rows.map(({ id }) => Number(id))
    }
    const known = byId(last.rows) as unknown as readonly Known[]
    const ids = (test: (row: Known) => boolean) => known.filter(test).map(({ id }) => id)
    expect(await idsWhere('id = 42')).toEqual(ids(({ id }) => id === 42))
    expect(await idsWhere('id between 20 and 30')).toEqual(ids(({ id }) => id >= 20 && id <= 30))
    expect(await idsWhere("ns = 'Ünï cødé/%'")).toEqual(ids(({ ns }) => ns === 'Ünï cødé/%'))
    expect(await idsWhere('ns is null')).toEqual(ids(({ ns }) => ns === null))
    expect(await idsWhere('amount > 3000000000')).toEqual(ids(({ amount }) => (amount ?? 0) > 3_000_000_000))
    const noon = 1_763_035_200_000_000
    expect(await idsWhere("at < '2025-11-13 12:00:00'")).toEqual(ids(({ at }) => at < noon))
    const [counted] = await clickHouse().rows(`select count() as n, sum(id) as s from ${from(history)}`, ...options)
    const sum = known.reduce((total, { id }) => total + id, 0)
    expect(counted).toEqual({ n: `${known.length}`, s: `${sum}` })
  })

  it('has every type of format v2, values at the edges among them', async () => {
    const { types } = tables()
    const [past] = types.past as [Past]
    expect(await clickHouse().rows(selectAll(past.schema, from(types)), ...options)).toEqual(rowsOf(past))
  })
}

// chdb has 543 MB: .ci/run installs it, and names its folder in DOTDO_CHDB; `npm test` goes without.
describe.skipIf(!hasClickHouse())('ClickHouse', () => {
  const folder = temporaryFolder()
  let clickHouse: ClickHouse
  beforeAll(async () => {
    clickHouse = await ClickHouse.open(folder.path)
  })
  afterAll(async () => {
    await clickHouse.close()
    folder.remove()
  })

  describe('reading our tables as local files', () => {
    let tables: Tables
    beforeAll(async () => {
      tables = await writeAll(await openDiskObjects(`${folder.path}/lake`), `file://${folder.path}/lake`)
    })
    const from = ({ name }: InteropTable) => `icebergLocal('lake/db@/${name.name}')`
    compare(
      () => tables,
      () => clickHouse,
      from,
    )
  })

  describe('with an S3 server', () => {
    let s3: TestS3
    let tables: Awaited<ReturnType<typeof writeAll>>
    let rest: Awaited<ReturnType<typeof listenHttp>>
    beforeAll(async () => {
      s3 = await startTestS3({ region: 'us-east-1' })
      const { url: endpoint, bucketName: bucket, credentials } = s3
      const store = s3Objects({ endpoint, bucket, ...credentials, fetch, clock: nodeClock })
      tables = await writeAll(store, `s3://${bucket}`)
      const app = new Hono()
      app.use(requirePassword((_, password) => password === 'secret'))
      app.route('/iceberg', icebergRoutes({ catalog: tables.catalog }))
      rest = await listenHttp(app, { host: '127.0.0.1', port: 0 })
      const { accessKeyId, secretAccessKey } = credentials
      await clickHouse.run('set allow_database_iceberg = 1')
      await clickHouse.run(`create database lake
        engine = DataLakeCatalog('http://127.0.0.1:${rest.port}/iceberg/v1', '${accessKeyId}', '${secretAccessKey}')
        settings catalog_type = 'rest', warehouse = 'lake', storage_endpoint = '${endpoint}/${bucket}',
          auth_header = 'Authorization: Bearer secret'`)
    })
    afterAll(async () => {
      await rest.close()
      await s3.close()
    })

    describe('reading our tables by their address', () => {
      const from = ({ name }: InteropTable) => {
        const { accessKeyId, secretAccessKey } = s3.credentials
        return `icebergS3('${s3.url}/${s3.bucketName}/db@/${name.name}/', '${accessKeyId}', '${secretAccessKey}')`
      }
      compare(
        () => tables,
        () => clickHouse,
        from,
      )
    })

    describe('attached to our REST catalog', () => {
      it('finds the tables', async () => {
        const rows = await clickHouse.rows(
          "select name from system.tables where database = 'lake' order by name",
          'show_data_lake_catalogs_in_system_tables = 1',
        )
        expect(rows.map(({ name }) => name)).toEqual(['db.history', 'db.types'])
      })
      compare(
        () => tables,
        () => clickHouse,
        ({ name }) => `lake.\`db.${name.name}\``,
      )
    })
  })
})
