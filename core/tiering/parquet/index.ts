/** Parquet: a writer of our own, the same in Node and workerd. Reading is hyparquet's. */
export type { ColumnInput } from './column.ts'
export type { FeedColumn } from './feed-column.ts'
export { feedSql, type SqlFed, type SqlFeed } from './feed-sql.ts'
export type { Encoding } from './metadata.ts'
export type { Field, FieldType, ListType, MapType, Primitive, StructType } from './schema.ts'
export type { RowInput } from './shred.ts'
export type { FileSummary } from './summary.ts'
export { createParquetWriter, ParquetWriter, type ParquetWriterOptions, type Sink } from './writer.ts'
