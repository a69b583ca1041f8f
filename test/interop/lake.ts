/** Tables for other engines to read: written by our own writer through our own catalog, with what each snapshot
 *  holds. */

import type { ObjectStore } from '@dotdo/core/tiering'
import {
  type Catalog,
  type Change,
  type Committer,
  columnsInUse,
  commitChange,
  commitUpdates,
  compilePartition,
  type DataFile,
  dataFile,
  evolveSchema,
  fileCatalog,
  LakeFiles,
  makeSchema,
  makeSpec,
  type NewField,
  positionDeleteFile,
  positionDeleteRows,
  positionDeleteSchema,
  type Schema,
  type SchemaChange,
  type StructType,
  schemaOf,
  specOf,
  type TableMetadata,
  type TableName,
} from '@dotdo/core/tiering/iceberg'
import { createParquetWriter, type FileSummary, type RowInput } from '@dotdo/core/tiering/parquet'
import { nodeClock } from '../../core/host/node/clock.ts'
import { openZstd } from '../../core/host/node/zstd.ts'

/** A row by column, in the forms that the Parquet writer takes. */
export type Row = RowInput

/** A snapshot and its rows, in the names and order of ids that its schema has. */
export interface Past {
  readonly snapshotId: number
  readonly schema: Schema
  readonly rows: readonly Row[]
}

/** A table on its way. */
export class InteropTable {
  readonly name: TableName
  readonly committer: Committer
  /** Every snapshot that was committed, with what it holds. */
  readonly past: Past[] = []
  private count = 0
  /** What the table holds, and where. */
  private live: { readonly file: DataFile; readonly position: number; row: Row }[] = []

  constructor(committer: Committer, name: TableName) {
    this.committer = committer
    this.name = name
  }

  /** Read the table's state. */
  async load(): Promise<TableMetadata> {
    return (await this.committer.catalog.loadTable(this.name)).metadata
  }

  private async put(path: string, schema: StructType, rows: readonly Row[], bloom: string[]): Promise<FileSummary> {
    const parts: Uint8Array[] = []
    const sink = { write: (bytes: Uint8Array) => void parts.push(bytes) }
    const compressor = await openZstd()
    // As Java writes it; icebird knows columns that were renamed by it.
    const metadata = { 'iceberg.schema': JSON.stringify(schema) }
    const writer = createParquetWriter({ schema, sink, compressor, bloom, metadata })
    await writer.writeRows(rows)
    const summary = await writer.finish()
    await this.committer.files.write(path, new Uint8Array(Buffer.concat(parts)))
    return summary
  }

  private path(metadata: TableMetadata): string {
    return `${metadata.location}/data/part-${this.count++}.parquet`
  }

  /** Write data files, one for each partition of the rows. */
  private async write(rows: readonly Row[]): Promise<DataFile[]> {
    const metadata = await this.load()
    const [schema, spec] = [schemaOf(metadata), specOf(metadata)]
    const partitionOf = compilePartition(spec, schema)
    const groups = new Map<string, Row[]>()
    for (const row of rows) {
      const key = JSON.stringify(partitionOf(row as never), (_, value) =>
        typeof value === 'bigint' ? `${value}` : value,
      )
      groups.set(key, [...(groups.get(key) ?? []), row])
    }
    const files: DataFile[] = []
    for (const group of groups.values()) {
      const path = this.path(metadata)
      const summary = await this.put(path, schema, group, ['id'])
      const file = dataFile(summary, { path, spec, partition: partitionOf(group[0] as never) })
      files.push(file)
      this.live.push(...group.map((row, position) => ({ file, position, row })))
    }
    return files
  }

  private async commit(change: Change): Promise<void> {
    const { snapshot, table } = await commitChange(this.committer, this.name, change)
    const rows = this.live.map(({ row }) => row)
    this.past.push({ snapshotId: Number(snapshot['snapshot-id']), schema: schemaOf(table.metadata), rows })
  }

  /** Append rows. */
  async append(rows: readonly Row[]): Promise<void> {
    await this.commit({ addData: await this.write(rows) })
  }

  /** Delete rows by position, and append others in the same commit. */
  async replace(isGone: (row: Row) => boolean, rows: readonly Row[] = []): Promise<void> {
    const metadata = await this.load()
    const gone = this.live.filter(({ row }) => isGone(row))
    this.live = this.live.filter(({ row }) => !isGone(row))
    const byFile = new Map<DataFile, number[]>()
    for (const { file, position } of gone) byFile.set(file, [...(byFile.get(file) ?? []), position])
    const addDeletes: DataFile[] = []
    for (const [file, positions] of byFile) {
      const path = this.path(metadata)
      const byPath = new Map([[file.path, positions]])
      const summary = await this.put(path, positionDeleteSchema, [...positionDeleteRows(byPath)] as never, [])
      const place = { path, spec: specOf(metadata, file.specId), partition: file.partition }
      addDeletes.push(positionDeleteFile(summary, place, byPath.keys()))
    }
    const addData = rows.length > 0 ? await this.write(rows) : []
    await this.commit({ addData, addDeletes, baseSnapshotId: metadata['current-snapshot-id'] as number })
  }

  /** Change the schema, and the rows as it does. */
  async evolve(changes: readonly SchemaChange[], alter: (row: Record<string, unknown>) => Row): Promise<void> {
    await commitUpdates(this.committer, this.name, (table) => {
      const from = { schema: schemaOf(table), lastColumnId: table['last-column-id'] }
      const evolved = evolveSchema(from, changes, columnsInUse(table))
      return {
        requirements: [{ type: 'assert-current-schema-id', 'current-schema-id': table['current-schema-id'] }],
        updates: [
          { action: 'add-schema', schema: evolved.schema, 'last-column-id': evolved.lastColumnId },
          { action: 'set-current-schema', 'schema-id': -1 },
        ],
      }
    })
    for (const one of this.live) one.row = alter({ ...one.row })
  }

  /** Divide what comes from now on otherwise. */
  async divide(fields: Parameters<typeof makeSpec>[0]): Promise<void> {
    await commitUpdates(this.committer, this.name, (table) => {
      const [schema, specs] = [schemaOf(table), table['partition-specs']]
      const { spec } = makeSpec(fields, { schema, specs, lastPartitionId: table['last-partition-id'] })
      return {
        requirements: [{ type: 'assert-default-spec-id', 'default-spec-id': table['default-spec-id'] }],
        updates: [
          { action: 'add-spec', spec },
          { action: 'set-default-spec', 'spec-id': -1 },
        ],
      }
    })
  }

  /** Write everything anew, without what was deleted. */
  async rewrite(): Promise<void> {
    const { 'current-snapshot-id': base } = await this.load()
    const rows = this.live.map(({ row }) => row)
    this.live = []
    const addData = await this.write(rows)
    await this.commit({ addData, removeData: 'all', baseSnapshotId: base as number })
  }
}

/** Open a lake in a store. */
export function openLake(store: ObjectStore, root: string): { catalog: Catalog; committer: Committer } {
  const files = new LakeFiles({ store, root, chance: nodeClock })
  const catalog = fileCatalog({ files, clock: nodeClock })
  return { catalog, committer: { catalog, files, clock: nodeClock } }
}

const at = (day: number, second: number) => 1_763_000_000_000_000 + day * 86_400_000_000 + second * 1_000_000
const namespace = ['db']

/** Make a table with a history: appends, deletes by position, an evolved schema, another spec, a rewrite. */
export async function writeHistory(committer: Committer): Promise<InteropTable> {
  const schema = makeSchema([
    { name: 'id', type: 'long', required: true },
    { name: 'ns', type: 'string' },
    { name: 'at', type: 'timestamptz' },
    { name: 'n', type: 'int' },
    { name: 'price', type: 'decimal(9,2)' },
    { name: 'gone', type: 'string' },
    { name: 'who', type: structOf({ name: 'name', type: 'string' }, { name: 'age', type: 'int' }) },
  ])
  const day = [
    { column: 'ns', transform: 'identity' },
    { column: 'at', transform: 'day' },
  ]
  const { spec } = makeSpec(day, { schema, specs: [], lastPartitionId: 999 })
  const table = new InteropTable(committer, { namespace, name: 'history' })
  await committer.catalog.createTable(table.name, { schema, spec })
  const row = (id: number): Row => ({
    id,
    ns: id % 7 === 0 ? null : id % 3 === 0 ? 'Ünï cødé/%' : 'plain',
    at: at(id % 2, id),
    n: id % 5 === 0 ? null : id * 1000,
    price: id * 101,
    gone: `g${id}`,
    who: id % 4 === 0 ? null : { name: `name ${id}`, age: id % 6 === 0 ? null : id },
  })
  const rows = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => row(from + i))
  await table.append(rows(1, 40))
  await table.append(rows(41, 60))
  await table.replace(({ id }) => (id as number) % 10 === 3)
  await table.replace(({ id }) => (id as number) % 10 === 4, rows(100, 105))
  await table.evolve(
    [
      { rename: 'n', to: 'amount' },
      { widen: 'amount', type: 'long' },
      { widen: 'price', type: 'decimal(18,2)' },
      { drop: 'gone' },
      { add: { name: 'note', type: 'string' } },
      { add: { name: 'email', type: 'string' }, parent: 'who' },
    ],
    ({ n, gone: _, who, ...rest }) => {
      return { ...rest, amount: n, note: null, who: who === null ? null : { ...(who as object), email: null } }
    },
  )
  const newer = (id: number): Row => {
    const { n: _, gone: __, ...rest } = row(id)
    const who = { name: 'new', age: 1, email: `${id}@x.test` }
    return { ...rest, amount: 3_000_000_000 + id, price: 12_345_678_901_234n, note: `note ${id}`, who }
  }
  await table.append([200, 201, 202, 203].map(newer))
  await table.replace(({ id }) => [1, 41, 100, 201].includes(id as number), [204].map(newer))
  await table.divide([{ column: 'id', transform: 'bucket[4]' }])
  await table.append([300, 301, 302, 303, 304, 305].map(newer))
  await table.replace(({ id }) => [2, 300].includes(id as number))
  await table.rewrite()
  await table.append([400].map(newer))
  return table
}

function structOf(...fields: NewField[]): StructType {
  return { type: 'struct', fields: fields.map((field) => ({ id: 0, required: false, ...field })) }
}

const listOf = (element: StructType | string, isRequired = false) =>
  ({ type: 'list', 'element-id': 0, element, 'element-required': isRequired }) as const

/** Every type of format v2, with values at the edges, and nulls. */
export async function writeTypes(committer: Committer): Promise<InteropTable> {
  const map = {
    type: 'map',
    'key-id': 0,
    key: 'string',
    'value-id': 0,
    value: 'long',
    'value-required': false,
  } as const
  const schema = makeSchema([
    { name: 'id', type: 'long', required: true },
    { name: 'b', type: 'boolean' },
    { name: 'i', type: 'int' },
    { name: 'l', type: 'long' },
    { name: 'f', type: 'float' },
    { name: 'd', type: 'double' },
    { name: 'd9', type: 'decimal(9,2)' },
    { name: 'd18', type: 'decimal(18,6)' },
    { name: 'd38', type: 'decimal(38,10)' },
    { name: 'day', type: 'date' },
    { name: 'tod', type: 'time' },
    { name: 'ts', type: 'timestamp' },
    { name: 'tstz', type: 'timestamptz' },
    { name: 's', type: 'string' },
    { name: 'u', type: 'uuid' },
    { name: 'fx', type: 'fixed[4]' },
    { name: 'bin', type: 'binary' },
    { name: 'tags', type: listOf('string') },
    { name: 'props', type: map },
    { name: 'who', type: structOf({ name: 'name', type: 'string' }, { name: 'ages', type: listOf('int', true) }) },
    { name: 'people', type: listOf(structOf({ name: 'name', type: 'string' }, { name: 'age', type: 'int' })) },
  ])
  const table = new InteropTable(committer, { namespace, name: 'types' })
  await committer.catalog.createTable(table.name, { schema })
  await table.append(typeRows)
  return table
}

/** The rows of `types`. */
export const typeRows: readonly Row[] = [
  {
    id: 1,
    b: true,
    i: 2_147_483_647,
    l: 9_223_372_036_854_775_807n,
    f: 1.5,
    d: 0.1,
    d9: 999_999_999,
    d18: -123_456_789_012_345_678n,
    d38: 99_999_999_999_999_999_999_999_999_999_999_999_999n,
    day: 20_000,
    tod: 86_399_999_999,
    ts: 1_763_000_000_123_456,
    tstz: 1_763_000_000_654_321,
    s: 'Grüße 😀 \u0000 end',
    u: 'f79c3e09-677c-4bbd-a479-3f349cb785e7',
    fx: Uint8Array.from([0, 1, 254, 255]),
    bin: Uint8Array.from([255, 0, 128]),
    tags: ['a', null, ''],
    props: new Map<string, number | null>([
      ['k', 1],
      ['none', null],
    ]),
    who: { name: 'x', ages: [1, 2] },
    people: [{ name: 'p', age: 1 }, null, { name: null, age: 2 }],
  },
  {
    id: 2,
    b: false,
    i: -2_147_483_648,
    l: -9_223_372_036_854_775_808n,
    f: -0.25,
    d: -1e300,
    d9: -1,
    d18: 1,
    d38: -1n,
    day: -1,
    tod: 0,
    ts: -1,
    tstz: -86_400_000_001,
    s: '',
    u: '00000000-0000-4000-8000-000000000001',
    fx: Uint8Array.from([9, 9, 9, 9]),
    bin: new Uint8Array(0),
    tags: [],
    props: new Map(),
    who: { name: null, ages: [] },
    people: [],
  },
  { id: 3 },
]
