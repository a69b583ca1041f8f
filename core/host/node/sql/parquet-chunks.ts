/** Where the columns of a Parquet file lie. */
import { parquetMetadata } from 'hyparquet'
import { Failure } from '../../../errors.ts'
import type { Range } from './ranges.ts'

/** The bytes of a column in a row group. */
export interface Chunk extends Range {
  /** Name of the column at the top that it belongs to. */
  readonly column: string
}

/** Read where chunks are.
 *  @param end the file's end from its footer on
 *  @throws storage when it is damaged */
export function chunksOf(end: Uint8Array, path: string): Chunk[] {
  try {
    const { row_groups } = parquetMetadata(end.slice().buffer)
    return row_groups.flatMap(({ columns }) =>
      columns.map(({ meta_data }) => {
        if (meta_data === undefined) throw new Error('a chunk without metadata')
        const { path_in_schema, dictionary_page_offset, data_page_offset, total_compressed_size } = meta_data
        // Some writers give 0 for a dictionary that is not there.
        const dictionary = Number(dictionary_page_offset ?? 0)
        const data = Number(data_page_offset)
        const start = dictionary > 0 ? Math.min(dictionary, data) : data
        return { column: path_in_schema[0] as string, start, end: start + Number(total_compressed_size) }
      }),
    )
  } catch (error) {
    throw new Failure('storage', `the footer of ${path} cannot be read: ${(error as Error).message}`, undefined, error)
  }
}
