/** Reads tables as our own engines do: plan, columns by field id or name mapping, deletes by position. */

import {
  type AsOf,
  type LakeFiles,
  planScan,
  schemaOf,
  snapshotAsOf,
  type TableMetadata,
} from '@dotdo/core/tiering/iceberg'
import { openZstd } from '../../core/host/node/zstd.ts'
import { deletedPositions } from '../../core/tiering/iceberg/deletes.ts'
import { readColumns } from '../../core/tiering/parquet/read.ts'
import { openParquet } from '../../core/tiering/parquet/read-file.ts'
import { parseNameMapping } from '../../core/tiering/parquet/read-schema.ts'
import { objectSource } from '../../core/tiering/parquet/read-source.ts'
import { byId } from './expected.ts'
import type { Row } from './lake.ts'

/** Read a table's rows in the order of `id`. */
export async function readRows(files: LakeFiles, table: TableMetadata, asOf?: AsOf): Promise<Row[]> {
  const zstd = await openZstd()
  const codecs = { ZSTD: zstd.decompress.bind(zstd) }
  const snapshot = asOf === undefined ? undefined : snapshotAsOf(table, asOf)
  const { fields } = schemaOf(table, snapshot?.['schema-id'])
  const mapping = table.properties['schema.name-mapping.default']
  const nameMapping = mapping === undefined ? undefined : parseNameMapping(mapping)
  const plan = await planScan(files, table, asOf === undefined ? {} : { asOf })
  const rows: Row[] = []
  for (const { file, deletes } of plan.tasks) {
    const gone = new Set(await deletedPositions(files, file, { deletes, codecs }))
    const { store, key } = files.placeOf(file.path)
    const reader = await openParquet(objectSource(store, key, file.path), { codecs })
    for await (const batch of readColumns(reader, { fields, nameMapping })) {
      for (let at = 0; at < batch.rows; at++) {
        if (gone.has(batch.positions?.[at] ?? batch.firstRow + at)) continue
        rows.push(Object.fromEntries(fields.map(({ name }, index) => [name, batch.columns[index]?.[at]])))
      }
    }
  }
  return byId(rows)
}
