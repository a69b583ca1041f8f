/** Iceberg of our own: tables, their metadata, catalogs and scan planning. docs/iceberg.md says how to use it. */
export { applyUpdates } from './apply.ts'
export { type Archived, type ArchiveOptions, archiveFiles } from './archive.ts'
export {
  type Catalog,
  creationUpdates,
  type LoadedTable,
  type Namespace,
  type NewTable,
  type PropertyChange,
  type TableCommit,
  type TableName,
} from './catalog.ts'
export { type FileCatalogOptions, fileCatalog } from './catalog-files.ts'
export { withFreshIds } from './catalog-fresh.ts'
export { type RestCatalogOptions, restCatalog } from './catalog-rest.ts'
export type { RestCredentials } from './catalog-rest-auth.ts'
export { type CheckOptions, checkMetadata, checkTable } from './check.ts'
export { type Committed, type Committer, commitChange, commitUpdates, findCommit } from './commit.ts'
export { type Compacted, type CompactOptions, type CompactProgress, compactTable } from './compact.ts'
export {
  type DataFile,
  dataFile,
  deletePathId,
  deletePositionId,
  type FileContent,
  type FilePlace,
  fileIdOf,
  fileKey,
  isVector,
  type ManifestEntry,
  type PositionDelete,
  positionDeleteFile,
  positionDeleteRows,
  positionDeleteSchema,
} from './data-file.ts'
export {
  type DeleteChange,
  type DeleteOptions,
  deletedPositions,
  writeDeletes,
} from './deletes.ts'
export { deletionVectorFile, readDeletionVector, type Vector } from './deletion-vector.ts'
export { type Evolved, evolveSchema, type SchemaChange } from './evolve.ts'
export { always, type BoundPredicate, bind, compileMatcher, type Predicate } from './expression.ts'
export { LakeFiles, type LakeOptions, type Mount } from './files.ts'
export {
  type AsOf,
  ancestorsOf,
  createRef,
  type ExpireOptions,
  expire,
  requireRef,
  rollback,
  snapshotAsOf,
} from './history.ts'
export { parseJson, stringifyJson } from './json.ts'
export {
  type Expired,
  expireSnapshots,
  findOrphans,
  type OrphanOptions,
  removeOldMetadata,
  removeOrphans,
} from './maintain.ts'
export {
  columnsInUse,
  columnTypes,
  readMetadata,
  type Snapshot,
  type SnapshotRef,
  schemaOf,
  sortOrderOf,
  specOf,
  type TableMetadata,
  writeMetadata,
} from './metadata.ts'
export {
  compilePartition,
  makeSortOrder,
  makeSpec,
  type Partition,
  type PartitionSpec,
  partitionPath,
  type SortOrder,
  unpartitioned,
  unsorted,
} from './partition.ts'
export {
  countDeletes,
  fieldsOf,
  type RowsRequest,
  readTable,
  readTasks,
  rowsAt,
  type TableBatch,
  type TableReadOptions,
  type TasksOptions,
} from './read.ts'
export { type LakeCodecs, unpackAvroSnappy } from './read-codecs.ts'
export { type ColumnMatcher, compileColumnMatcher } from './read-match.ts'
export {
  checkRequirements,
  isRequirementConflict,
  isStaleChange,
  requirementFailed,
  staleChange,
} from './requirement.ts'
export { planScan, type ScanOptions, type ScanPlan, type ScanTask } from './scan.ts'
export { findField, getField, makeSchema, type NewField, type Schema } from './schema.ts'
export { commitIdProperty } from './summary.ts'
export type { Field, IcebergType, ListType, MapType, StructType } from './types.ts'
export type { CommitRequest, Requirement, Update } from './update.ts'
export { compareValues, fromBinary, fromJson, toBinary, toJson, type Value } from './values.ts'
export type { Change } from './work.ts'
