/** What a table has of a shard that has been restored: all of it goes when the shard is written anew. */

import { deletedPositions } from '../iceberg/deletes.ts'
import type { LakeFiles } from '../iceberg/files.ts'
import { schemaOf, type TableMetadata } from '../iceberg/metadata.ts'
import { planScan } from '../iceberg/scan.ts'
import { readColumns } from '../parquet/read.ts'
import { openParquet } from '../parquet/read-file.ts'
import type { ParquetCodecs } from '../parquet/read-page.ts'
import { objectSource } from '../parquet/read-source.ts'

/** Find the rows of a shard in a mirror.
 *  @param found takes them: positions by the path of the file
 *  @cost the column `_shard` of every file that may have rows of it */
export async function rowsOfShard(
  { files, codecs }: { readonly files: LakeFiles; readonly codecs: ParquetCodecs },
  metadata: TableMetadata,
  { shard, paths: found }: { readonly shard: number; readonly paths: Map<string, Set<number>> },
): Promise<void> {
  const field = schemaOf(metadata).fields.find(({ name }) => name === '_shard')
  // The table of changes is appended to, whatever happens.
  if (field === undefined) return
  const { tasks } = await planScan(files, metadata, { where: { op: 'eq', column: '_shard', value: shard } })
  const cache = new Map()
  for (const { file, deletes } of tasks) {
    const gone = new Set(await deletedPositions(files, file, { deletes, codecs, cache }))
    const { store, key } = files.placeOf(file.path)
    const reader = await openParquet(objectSource(store, key, file.path), { codecs })
    const positions = found.get(file.path) ?? new Set()
    for await (const { rows, firstRow, positions: places, columns } of readColumns(reader, { fields: [field] })) {
      for (let at = 0; at < rows; at++) {
        const pos = places?.[at] ?? firstRow + at
        if (Number(columns[0]?.[at]) === shard && !gone.has(pos)) positions.add(pos)
      }
    }
    if (positions.size > 0) found.set(file.path, positions)
  }
}
