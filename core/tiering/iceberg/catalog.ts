/** The catalog port, in the model of the REST catalog: our own on an object store, and any REST catalog, are used
 * alike.
 *  @source https://github.com/apache/iceberg/blob/main/open-api/rest-catalog-open-api.yaml */
import { formatVersion, type TableMetadata } from './metadata.ts'
import { type PartitionSpec, type SortOrder, unpartitioned, unsorted } from './partition.ts'
import type { Schema } from './schema.ts'
import type { CommitRequest, Update } from './update.ts'

/** The parts of a namespace's name. */
export type Namespace = readonly string[]

/** A table's name. */
export interface TableName {
  readonly namespace: Namespace
  readonly name: string
}

/** A table as the catalog knows it. */
export interface LoadedTable {
  readonly metadata: TableMetadata
  /** Where the metadata file is. */
  readonly metadataLocation: string
}

/** A table to be made. */
export interface NewTable {
  readonly schema: Schema
  readonly spec?: PartitionSpec
  readonly sortOrder?: SortOrder
  /** Chosen by the catalog when left out. */
  readonly location?: string
  readonly properties?: { readonly [key: string]: string }
  /** 2 when left out; 3 has deletion vectors and row ids, which not every reader knows. */
  readonly formatVersion?: number
}

/** What is done to a namespace's properties. */
export interface PropertyChange {
  readonly set?: { readonly [key: string]: string }
  readonly remove?: readonly string[]
}

/** One table's part of a commit of several. */
export interface TableCommit {
  readonly table: TableName
  readonly request: CommitRequest
}

/** Names tables, and makes their changes one after the other. */
export interface Catalog {
  /** Make a namespace. @throws exists, not_found for a parent that is not there */
  createNamespace(namespace: Namespace, properties?: { readonly [key: string]: string }): Promise<void>
  /** List the namespaces directly inside one, or the outermost. @throws not_found */
  listNamespaces(parent?: Namespace): Promise<Namespace[]>
  /** Read a namespace's properties. @throws not_found */
  loadNamespace(namespace: Namespace): Promise<{ readonly [key: string]: string }>
  /** Change a namespace's properties: remove some, then set others. @throws not_found */
  updateNamespace(namespace: Namespace, change: PropertyChange): Promise<void>
  /** Remove an empty namespace. @throws not_found, conflict when it is not empty */
  dropNamespace(namespace: Namespace): Promise<void>
  /** List the tables of a namespace. @throws not_found */
  listTables(namespace: Namespace): Promise<TableName[]>
  /** Make an empty table. @throws exists, not_found for the namespace */
  createTable(table: TableName, options: NewTable): Promise<LoadedTable>
  /** Say how a table would begin, and make nothing. What it says, as updates with the requirement `assert-create`,
   *  makes the table by `commitTable`. @throws exists, not_found for the namespace */
  stageTable(table: TableName, options: NewTable): Promise<TableMetadata>
  /** Read a table's newest state. @throws not_found */
  loadTable(table: TableName): Promise<LoadedTable>
  /** Change a table.
   *  @throws conflict (`requirement`) when a requirement does not hold; unavailable when the outcome is not known: then
   *  look whether the change is there before trying again */
  commitTable(table: TableName, request: CommitRequest): Promise<LoadedTable>
  /** Change several tables: all or none, at one moment.
   *  @throws what `commitTable` throws; unsupported where the catalog cannot, or for a table that is to be made */
  commitTables(requests: readonly TableCommit[]): Promise<void>
  /** Give a table another name. @throws not_found, exists, unsupported where the catalog cannot */
  renameTable(from: TableName, to: TableName): Promise<void>
  /** Forget a table, and delete its files when `purge` is set. @throws not_found */
  dropTable(table: TableName, options?: { readonly purge?: boolean }): Promise<void>
}

/** Write a table's name for people. */
export function formatTableName({ namespace, name }: TableName): string {
  return [...namespace, name].join('.')
}

/** Say by updates how a table begins. */
export function creationUpdates(
  table: NewTable & { readonly location: string },
  uuid: string,
  lastColumnId?: number,
): Update[] {
  const { schema, spec = unpartitioned, sortOrder = unsorted, location, properties = {} } = table
  const { formatVersion: version = formatVersion } = table
  const updates: Update[] = [
    { action: 'assign-uuid', uuid },
    { action: 'upgrade-format-version', 'format-version': version },
    { action: 'add-schema', schema, ...(lastColumnId !== undefined && { 'last-column-id': lastColumnId }) },
    { action: 'set-current-schema', 'schema-id': -1 },
    { action: 'add-spec', spec },
    { action: 'set-default-spec', 'spec-id': -1 },
    { action: 'add-sort-order', 'sort-order': sortOrder },
    { action: 'set-default-sort-order', 'sort-order-id': -1 },
    { action: 'set-location', location },
  ]
  return Object.keys(properties).length > 0 ? [...updates, { action: 'set-properties', updates: properties }] : updates
}
