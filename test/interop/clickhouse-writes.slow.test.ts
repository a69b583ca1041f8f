import { readFileSync, realpathSync } from 'node:fs'
import { s3Objects } from '@dotdo/core/tiering'
import { checkMetadata, LakeFiles, makeSchema, readMetadata } from '@dotdo/core/tiering/iceberg'
import { Hono } from 'hono'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { nodeClock } from '../../core/host/node/clock.ts'
import { openDiskObjects } from '../../core/host/node/disk-objects.ts'
import { temporaryFolder } from '../../core/host/node/testing.ts'
import { icebergRoutes } from '../../dotdo/http/iceberg.ts'
import { listenHttp } from '../../dotdo/serve/http.ts'
import { startTestS3 } from '../s3/server.ts'
import { ClickHouse, hasClickHouse } from './clickhouse.ts'
import { InteropTable, openLake } from './lake.ts'
import { readRows } from './read.ts'

// chdb has 543 MB: .ci/run installs it, and names its folder in DOTDO_CHDB; `npm test` goes without.
describe.skipIf(!hasClickHouse())('tables that ClickHouse writes', () => {
  const folder = temporaryFolder()
  // Its metadata has paths as the system resolves them.
  const path = realpathSync(folder.path)
  let clickHouse: ClickHouse
  beforeAll(async () => {
    clickHouse = await ClickHouse.open(path)
    await clickHouse.run('set allow_experimental_insert_into_iceberg = 1, allow_database_iceberg = 1')
  })
  afterAll(async () => {
    await clickHouse.close()
    folder.remove()
  })

  it('are read by us: types, partitions, deletes by position, an added column, ids past 2^53', async () => {
    await clickHouse.run(`create table t (id Int64, s Nullable(String), day Nullable(Date32), x Nullable(Float64),
      ts Nullable(DateTime64(6)), i Nullable(Int32)) engine = IcebergLocal('${path}/t/')
      partition by (icebergBucket(4, id))`)
    const at = '2024-01-02 03:04:05.678901'
    await clickHouse.run(`insert into t values (1, 'ä', '2024-01-02', 1.5, '${at}', -7),
      (2, null, null, null, null, null), (3, '', '1969-12-31', -0.5, '1969-12-31 23:59:59.999999', 2147483647)`)
    await clickHouse.run('alter table t delete where id = 2')
    await clickHouse.run('alter table t add column z Nullable(Int64)')
    await clickHouse.run(`insert into t (id, z) values (4, 9007199254740993)`)
    const files = new LakeFiles({ store: await openDiskObjects(path), root: path, chance: nodeClock })
    const table = readMetadata(readFileSync(`${path}/t/metadata/v5.metadata.json`, 'utf8'))
    const nothing = { s: null, day: null, x: null, ts: null, i: null }
    const micros = 1_704_164_645_678_901
    expect(await readRows(files, table)).toEqual([
      { id: 1, s: 'ä', day: 19_724, x: 1.5, ts: micros, i: -7, z: null },
      { id: 3, s: '', day: -1, x: -0.5, ts: -1, i: 2_147_483_647, z: null },
      { id: 4, ...nothing, z: 9_007_199_254_740_993n },
    ])
    const [first] = table.snapshots
    const past = await readRows(files, table, { snapshotId: first?.['snapshot-id'] as bigint })
    expect(past.map(({ id }) => id)).toEqual([1, 2, 3])
  })

  it('through our REST catalog are tables like ours, and we go on with them', async () => {
    const s3 = await startTestS3({ region: 'us-east-1' })
    const { url: endpoint, bucketName: bucket, credentials } = s3
    const store = s3Objects({ endpoint, bucket, ...credentials, fetch, clock: nodeClock })
    const { catalog, committer } = openLake(store, `s3://${bucket}`)
    const bugs: unknown[] = []
    const onBug = (bug: unknown) => void bugs.push(bug)
    const rest = await listenHttp(new Hono().route('/iceberg', icebergRoutes({ catalog, onBug })), {
      host: '127.0.0.1',
      port: 0,
    })
    await catalog.createNamespace(['db'])
    const table = new InteropTable(committer, { namespace: ['db'], name: 'both' })
    const schema = makeSchema([
      { name: 'id', type: 'long', required: true },
      { name: 's', type: 'string' },
    ])
    await catalog.createTable(table.name, { schema })
    await table.append([{ id: 1, s: 'ours' }])
    const { accessKeyId, secretAccessKey } = credentials
    await clickHouse.run(`create database shared
      engine = DataLakeCatalog('http://127.0.0.1:${rest.port}/iceberg/v1', '${accessKeyId}', '${secretAccessKey}')
      settings catalog_type = 'rest', warehouse = 'lake', storage_endpoint = '${endpoint}/${bucket}'`)
    await clickHouse.run("insert into shared.`db.both` values (2, 'theirs')")
    await table.append([{ id: 3, s: 'ours again' }])
    const metadata = await table.load()
    expect(await readRows(committer.files, metadata)).toEqual([
      { id: 1, s: 'ours' },
      { id: 2, s: 'theirs' },
      { id: 3, s: 'ours again' },
    ])
    expect(checkMetadata(metadata)).toEqual([])
    expect(metadata.snapshots.length).toBe(3)
    const rows = await clickHouse.rows('select id from shared.`db.both` order by id')
    expect(rows).toEqual([{ id: '1' }, { id: '2' }, { id: '3' }])
    expect(bugs).toEqual([])
    await rest.close()
    await s3.close()
  })
})
