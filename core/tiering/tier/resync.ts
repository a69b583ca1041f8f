/** What a table has of a shard that has been restored: all of it goes when the shard is written anew. */
import type { LakeFiles } from '../iceberg/files.ts'
import { schemaOf, type TableMetadata } from '../iceberg/metadata.ts'
import { readTable } from '../iceberg/read.ts'
import type { ParquetCodecs } from '../parquet/read-page.ts'

/** Find the rows of a shard in a mirror.
 *  @param found takes them: positions by the path of the file
 *  @cost the column `_shard` of every file that may have rows of it */
export async function rowsOfShard(
  { files, codecs }: { readonly files: LakeFiles; readonly codecs: ParquetCodecs },
  metadata: TableMetadata,
  { shard, paths: found }: { readonly shard: number; readonly paths: Map<string, Set<number>> },
): Promise<void> {
  // The table of changes is appended to, whatever happens.
  if (!schemaOf(metadata).fields.some(({ name }) => name === '_shard')) return
  const where = { op: 'eq', column: '_shard', value: shard } as const
  for await (const { file, rows, firstRow, positions } of readTable(files, metadata, { where, columns: [], codecs })) {
    const known = found.get(file.path) ?? new Set()
    for (let at = 0; at < rows; at++) known.add(positions?.[at] ?? firstRow + at)
    found.set(file.path, known)
  }
}
