/** A strict checker of tables: everything that the specification asks of metadata, manifest lists, manifests and files,
 *  whether readers rely on it or not.
 *  @source https://iceberg.apache.org/spec/ (v3) */
import { Failure } from '../../errors.ts'
import { readContainer } from '../avro/container.ts'
import type { LoadedTable } from './catalog.ts'
import { checkManifestListSchema, checkManifestSchema } from './check-avro.ts'
import { checkFile, type ReadRows } from './check-file.ts'
import { checkRowIds, checkRows } from './check-rows.ts'
import { type DataFile, fileKey, type ManifestEntry, ownBytes } from './data-file.ts'
import type { LakeFiles } from './files.ts'
import { parseJson } from './json.ts'
import { readManifest } from './manifest.ts'
import { type ManifestFile, readManifestList, summarize } from './manifest-list.ts'
import { columnTypes, type Snapshot, specOf, type TableMetadata } from './metadata.ts'
import { tupleTypes } from './partition.ts'
import { checkSchema, highestFieldId, type Schema } from './schema.ts'
import type { Field, StructType } from './types.ts'
import { compareValues, fromBinary } from './values.ts'

/** How deep to look. */
export interface CheckOptions {
  /** Reads Parquet files; left out, values are not looked at. */
  readonly readRows?: ReadRows
}

/** Check a table, with all its snapshots and files.
 *  @returns what is wrong, each with where; empty for a table that is right */
export async function checkTable(
  files: LakeFiles,
  { metadata }: Pick<LoadedTable, 'metadata'>,
  { readRows }: CheckOptions = {},
): Promise<string[]> {
  const problems = checkMetadata(metadata)
  const schema = everyColumn(metadata)
  const checked = new Map<string, readonly ManifestEntry[]>()
  const seenFiles = new Set<string>()
  for (const snapshot of metadata.snapshots) {
    const where = `snapshot ${snapshot['snapshot-id']}`
    const live: DataFile[] = []
    for (const manifest of await checkList(files, snapshot, problems)) {
      const key = `${manifest.path} ${manifest.firstRowId}`
      const entries = checked.get(key) ?? (await checkManifest(files, metadata, { manifest, problems }))
      checked.set(key, entries)
      live.push(...entries.filter(({ status }) => status !== 'deleted').map(({ file }) => file))
    }
    if (new Set(live.map(fileKey)).size < live.length) problems.push(`${where}: a file is listed twice`)
    problems.push(...checkRows(metadata, snapshot, live).map((problem) => `${where}: ${problem}`))
    problems.push(...checkTotals(snapshot, live).map((problem) => `${where}: ${problem}`))
    for (const file of live) {
      if (seenFiles.has(fileKey(file))) continue
      seenFiles.add(fileKey(file))
      const found = await checkFile(files, { file, schema, readRows })
      problems.push(...found.map((problem) => `${file.path}: ${problem}`))
    }
  }
  return problems
}

/** Every column that any schema has. */
function everyColumn({ schemas }: TableMetadata): StructType {
  const fields = new Map<number, Field>()
  for (const schema of schemas) for (const field of schema.fields) fields.set(field.id, field)
  return { type: 'struct', fields: [...fields.values()] }
}

/** Check what is in the metadata file itself. */
export function checkMetadata(table: TableMetadata): string[] {
  const problems: string[] = []
  const uuid = /^[\da-f]{8}-([\da-f]{4}-){3}[\da-f]{12}$/
  if (!uuid.test(table['table-uuid'])) problems.push(`table-uuid ${table['table-uuid']} is none`)
  for (const schema of table.schemas) problems.push(...checkOneSchema(schema, table))
  const current = table.schemas.filter((schema) => schema['schema-id'] === table['current-schema-id'])
  if (current.length !== 1) problems.push(`there are ${current.length} schemas of the current id`)
  return [...problems, ...checkSpecs(table), ...checkHistory(table), ...checkRowIds(table)]
}

function checkOneSchema(schema: Schema, table: TableMetadata): string[] {
  const problems: string[] = []
  const highest = highestFieldId(schema)
  if (highest > table['last-column-id']) problems.push(`last-column-id is below column ${highest}`)
  try {
    checkSchema(schema)
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    problems.push(`schema ${schema['schema-id']}: ${error.message}`)
  }
  return problems
}

function checkSpecs(table: TableMetadata): string[] {
  const problems: string[] = []
  const specs = table['partition-specs']
  if (!specs.some((spec) => spec['spec-id'] === table['default-spec-id'])) problems.push('there is no default spec')
  if (!table['sort-orders'].some((order) => order['order-id'] === table['default-sort-order-id'])) {
    problems.push('there is no default sort order')
  }
  const meanings = new Map<number, string>()
  for (const { fields } of specs) {
    for (const { 'field-id': id, 'source-id': source, transform } of fields) {
      const meaning = `${transform} of ${source}`
      if ((meanings.get(id) ?? meaning) !== meaning) problems.push(`partition field ${id} means two things`)
      meanings.set(id, meaning)
      if (id < 1000 || id > table['last-partition-id']) problems.push(`partition field ${id} is out of its range`)
    }
  }
  return problems
}

function checkHistory(table: TableMetadata): string[] {
  const problems: string[] = []
  const ids = new Set(table.snapshots.map((snapshot) => snapshot['snapshot-id']))
  if (ids.size < table.snapshots.length) problems.push('a snapshot is there twice')
  for (const [name, ref] of Object.entries(table.refs)) {
    if (!ids.has(ref['snapshot-id'])) problems.push(`${name} names a snapshot that is not there`)
  }
  if (table.refs.main?.['snapshot-id'] !== table['current-snapshot-id'])
    problems.push('main is not the current snapshot')
  const log = table['snapshot-log']
  if (table['current-snapshot-id'] !== log.at(-1)?.['snapshot-id']) problems.push('the log ends with another snapshot')
  if (log.some((entry) => !ids.has(entry['snapshot-id']))) problems.push('the log names a snapshot that is not there')
  const rises = (times: readonly number[]) => times.every((time, at) => at === 0 || time >= (times[at - 1] as number))
  if (!rises(log.map((entry) => entry['timestamp-ms']))) problems.push('the log goes back in time')
  const sequences = table.snapshots.map((snapshot) => snapshot['sequence-number'])
  if (new Set(sequences).size < sequences.length || !rises(sequences)) problems.push('sequence numbers do not rise')
  if (Math.max(0, ...sequences) > table['last-sequence-number']) problems.push('last-sequence-number is too low')
  if (table.snapshots.some((snapshot) => snapshot.summary.operation === undefined)) problems.push('a summary is empty')
  return problems
}

async function checkList(files: LakeFiles, snapshot: Snapshot, problems: string[]): Promise<ManifestFile[]> {
  const path = snapshot['manifest-list']
  const bytes = await files.read(path)
  const { schema, metadata } = readContainer(bytes)
  const version = metadata['format-version'] ?? ''
  problems.push(...checkManifestListSchema(schema, Number(version)).map((problem) => `${path}: ${problem}`))
  const firstRowId = snapshot['first-row-id']
  const expected = {
    'snapshot-id': `${snapshot['snapshot-id']}`,
    'parent-snapshot-id': `${snapshot['parent-snapshot-id'] ?? null}`,
    'sequence-number': `${snapshot['sequence-number']}`,
    'format-version': firstRowId === undefined ? '2' : '3',
    ...(firstRowId !== undefined && { 'first-row-id': `${firstRowId}` }),
  }
  problems.push(...checkHeader(metadata, expected).map((problem) => `${path}: ${problem}`))
  const manifests = readManifestList(bytes)
  for (const { sequenceNumber, minSequenceNumber, path: manifest } of manifests) {
    if ((sequenceNumber ?? 0) > snapshot['sequence-number']) problems.push(`${manifest} is newer than its snapshot`)
    if ((minSequenceNumber ?? 0) > (sequenceNumber ?? 0))
      problems.push(`${manifest}: its minimum is above its own number`)
  }
  return manifests
}

function checkHeader(
  header: { readonly [key: string]: string },
  expected: { readonly [key: string]: string },
): string[] {
  return Object.entries(expected)
    .filter(([key, value]) => header[key] !== value)
    .map(([key, value]) => `header ${key} is ${header[key]}, not ${value}`)
}

interface ManifestCheck {
  readonly manifest: ManifestFile
  readonly problems: string[]
}

async function checkManifest(
  files: LakeFiles,
  table: TableMetadata,
  { manifest, problems }: ManifestCheck,
): Promise<ManifestEntry[]> {
  const bytes = await files.read(manifest.path)
  const say = (found: readonly string[]) => problems.push(...found.map((problem) => `${manifest.path}: ${problem}`))
  if (bytes.length !== manifest.sizeBytes) say([`has ${bytes.length} bytes, its list says ${manifest.sizeBytes}`])
  const { schema, metadata } = readContainer(bytes)
  const version = Number(metadata['format-version'])
  if (!(version >= 2 && version <= table['format-version'])) say([`is of format ${metadata['format-version']}`])
  say(checkManifestSchema(schema, version))
  const spec = specOf(table, manifest.specId)
  const tableSchema = table.schemas.find((one) => `${one['schema-id']}` === metadata['schema-id'])
  say(
    checkHeader(metadata, {
      'partition-spec': JSON.stringify(spec.fields),
      'partition-spec-id': `${manifest.specId}`,
      content: manifest.content,
    }),
  )
  const written = JSON.stringify(parseJson(metadata.schema ?? 'null'))
  if (tableSchema !== undefined && written !== JSON.stringify(tableSchema)) say(["header schema is not the table's"])
  const typeOf = columnTypes(table)
  const entries = readManifest(bytes, manifest, { specs: table['partition-specs'], typeOf })
  say(checkEntries(manifest, entries))
  say(checkSummaries(manifest, entries, tupleTypes(spec, typeOf)))
  return entries
}

function checkEntries(manifest: ManifestFile, entries: readonly ManifestEntry[]): string[] {
  const problems: string[] = []
  const count = (wanted: ManifestEntry['status']) => entries.filter(({ status }) => status === wanted)
  const rows = (found: readonly ManifestEntry[]) => found.reduce((sum, { file }) => sum + file.recordCount, 0)
  const [added, existing, deleted] = [count('added'), count('existing'), count('deleted')]
  const counts: [string, number, number][] = [
    ['added files', manifest.addedFiles, added.length],
    ['existing files', manifest.existingFiles, existing.length],
    ['deleted files', manifest.deletedFiles, deleted.length],
    ['added rows', manifest.addedRows, rows(added)],
    ['existing rows', manifest.existingRows, rows(existing)],
    ['deleted rows', manifest.deletedRows, rows(deleted)],
  ]
  for (const [what, said, found] of counts) {
    if (said !== found) problems.push(`has ${found} ${what}, its list says ${said}`)
  }
  const live = [...added, ...existing].map(({ sequenceNumber }) => sequenceNumber ?? 0)
  if (live.length > 0 && Math.min(...live) !== manifest.minSequenceNumber) {
    problems.push(`its lowest sequence number is ${Math.min(...live)}, its list says ${manifest.minSequenceNumber}`)
  }
  for (const { file, fileSequenceNumber } of entries) {
    if ((file.content === 'data') !== (manifest.content === 'data')) problems.push(`${file.path} holds ${file.content}`)
    if (fileSequenceNumber === undefined) problems.push(`${file.path} has no file sequence number`)
  }
  return problems
}

function checkSummaries(manifest: ManifestFile, entries: readonly ManifestEntry[], types: readonly string[]): string[] {
  const summaries = manifest.partitions ?? []
  if (summaries.length !== types.length)
    return [`has ${summaries.length} partition summaries for ${types.length} fields`]
  return types.flatMap((type, at) => {
    const said = summaries[at]
    const real = summarize(
      type,
      entries.map(({ file }) => file.partition[at] ?? null),
    )
    const isBeyond = (bound: Uint8Array | undefined, value: Uint8Array | undefined, sign: number) => {
      if (value === undefined) return false
      return bound === undefined || compareValues(fromBinary(type, bound), fromBinary(type, value)) * sign > 0
    }
    const isWrong = isBeyond(said?.lower, real.lower, 1) || isBeyond(said?.upper, real.upper, -1)
    const hasHidden = (real.containsNull && !said?.containsNull) || (real.containsNan && said?.containsNan === false)
    return isWrong || hasHidden ? [`the summary of partition field ${at} does not hold its values`] : []
  })
}

function checkTotals({ summary }: Snapshot, live: readonly DataFile[]): string[] {
  const of = (content: DataFile['content']) => live.filter((file) => file.content === content)
  const rows = (found: readonly DataFile[]) => found.reduce((sum, { recordCount }) => sum + recordCount, 0)
  const data = of('data')
  const totals: Record<string, number> = {
    'total-records': rows(data),
    'total-data-files': data.length,
    'total-delete-files': live.length - data.length,
    'total-position-deletes': rows(of('position-deletes')),
    'total-equality-deletes': rows(of('equality-deletes')),
    'total-files-size': live.reduce((sum, file) => sum + ownBytes(file), 0),
  }
  return Object.entries(totals)
    .filter(([key, total]) => summary[key] !== `${total}`)
    .map(([key, total]) => `${key} is ${summary[key]}, not ${total}`)
}
