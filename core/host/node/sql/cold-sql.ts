/** The cold part of a table as SQL: files read by DuckDB, columns by their field ids, deleted rows left out.
 *
 *  1. Files that need the same care are read together: one `read_parquet` for those whose columns are called the same
 *     and that have no deletes, and so on. DuckDB's own mapping by field id (`schema`) is not used: it hides how many
 *     rows there are from the optimizer, which then joins the wrong way round.
 *  2. A deleted row is found by one number, of the file's place in the list and the row's place in the file. */
import { assert, Failure } from '../../../errors.ts'
import { type DataFile, isVector } from '../../../tiering/iceberg/data-file.ts'
import type { ScanTask } from '../../../tiering/iceberg/scan.ts'
import type { Schema } from '../../../tiering/iceberg/schema.ts'
import { type Field, isPrimitive } from '../../../tiering/iceberg/types.ts'
import type { FoundColumn } from '../../../tiering/sql/tables.ts'
import { fileIdOf } from '../../../tiering/tier/plain.ts'
import { quoteName, quoteText } from './quote.ts'
import { duckType } from './types.ts'

/** What a file's columns are called, by field id. */
export type FileShape = ReadonlyMap<number, FileColumn>

/** A column of a file. */
export interface FileColumn {
  readonly name: string
  /** Ids and names of what is inside; empty for a primitive. */
  readonly inside: string
}

/** Rows that shards have deleted or changed since the snapshot. */
export interface HotDeletes {
  /** A table with the columns `file` and `pos`. */
  readonly table: string
  /** Ids of the files that it names. */
  readonly files: ReadonlySet<number>
}

/** What the SQL is made of. */
export interface ColdParts {
  readonly tasks: readonly ScanTask[]
  readonly schema: Schema
  readonly columns: readonly FoundColumn[]
  /** Where DuckDB finds a file. */
  localPath(file: DataFile): string
  /** What a file's columns are called; undefined: as in the schema. */
  shapeOf(file: DataFile): FileShape | undefined
  readonly hotDeletes?: HotDeletes | undefined
  /** Rows that deletion vectors delete: a table with the columns `file_path` and `pos`, and the paths that it names. */
  readonly vectors?: { readonly table: string; readonly files: ReadonlySet<string> } | undefined
}

/** Rows of a file at the most: the number of a row is the file's place times this plus its own. */
const rowsMax = 2 ** 40

interface Group {
  readonly shape: FileShape | undefined
  readonly isDirty: boolean
  readonly byValue: readonly DataFile[]
  readonly tasks: ScanTask[]
}

/** Write the select of a table's cold rows.
 *  @returns undefined when there are none
 *  @throws unsupported for files that cannot be read by the schema */
export function coldSql(parts: ColdParts): string | undefined {
  const groups = new Map<string, Group>()
  for (const task of parts.tasks) {
    checkFormat(task)
    const shape = parts.shapeOf(task.file)
    const byValue = task.deletes.filter(({ content }) => content === 'equality-deletes')
    const isDirty = task.deletes.length > byValue.length || isHotDirty(parts, task.file)
    const key = JSON.stringify([shape && [...shape], isDirty, byValue.map(({ path }) => path)])
    const group = groups.get(key)
    if (group === undefined) groups.set(key, { shape, isDirty, byValue, tasks: [task] })
    else group.tasks.push(task)
  }
  const selects = [...groups.values()].map((group) => groupSql(parts, group))
  return selects.length === 0 ? undefined : selects.join('\nunion all\n')
}

function checkFormat({ file, deletes }: ScanTask): void {
  for (const { path, format } of [file, ...deletes.filter((one) => !isVector(one))]) {
    if (format === 'PARQUET') continue
    throw new Failure('unsupported', `${path} is ${format}: only Parquet is read; rewrite the table's files`)
  }
}

function isHotDirty({ hotDeletes }: ColdParts, { path }: DataFile): boolean {
  const id = fileIdOf(path)
  return id !== undefined && hotDeletes?.files.has(id) === true
}

function groupSql(parts: ColdParts, group: Group): string {
  const { schema, columns } = parts
  const fields = new Map(schema.fields.map((field) => [field.name, field]))
  const selected = columns.map(({ name, type }) => {
    return `${columnSql(fields.get(name), group.shape, duckType(type))} as ${quoteName(name)}`
  })
  const paths = group.tasks.map(({ file }) => quoteText(parts.localPath(file))).join(', ')
  const tests = [
    ...(group.isDirty ? [`not exists (select 1 from (${positionsSql(parts, group)}) d where d.k = ${rowNumber})`] : []),
    ...byColumns(group.byValue).map((files) => valueTest(parts, group, files)),
  ]
  const where = tests.length === 0 ? '' : ` where ${tests.join(' and ')}`
  return `select ${selected.join(', ')} from read_parquet([${paths}]) f${where}`
}

const rowNumber = `f.file_index * ${rowsMax} + f.file_row_number`

function columnSql(field: Field | undefined, shape: FileShape | undefined, type: string): string {
  if (field === undefined) return `null::${type}`
  const inFile = shape === undefined ? { name: field.name } : shape.get(field.id)
  if (inFile !== undefined) {
    if (!isPrimitive(field.type)) checkInside(field, shape?.get(field.id))
    return `f.${quoteName(inFile.name)}::${type}`
  }
  const value = field['initial-default']
  if (value === undefined || value === null) return `null::${type}`
  if (!isPrimitive(field.type) || typeof value === 'object') {
    throw new Failure('unsupported', `column ${field.name} has a default of a nested type; rewrite the table's files`)
  }
  return `${quoteText(String(value))}::${type}`
}

/** Nested columns are read by name, so these must be the ones of now. */
function checkInside(field: Field, inFile: FileColumn | undefined): void {
  if (inFile === undefined || inFile.inside === insideOf(field)) return
  const way = 'compact the table, so that its files have the schema of now'
  throw new Failure('unsupported', `column ${field.name} was changed inside since some files were written: ${way}`)
}

/** Write ids and names of the structs inside a column, as `FileColumn.inside` has them. */
export function insideOf(field: Field): string {
  const { type } = field
  if (isPrimitive(type)) return ''
  if (type.type === 'list') return `list<${type['element-id']}${insideOf({ ...field, type: type.element })}>`
  if (type.type === 'map') {
    const [key, value] = [type.key, type.value].map((one) => insideOf({ ...field, type: one }))
    return `map<${type['key-id']}${key},${type['value-id']}${value}>`
  }
  return `<${type.fields.map((one) => `${one.id} ${one.name}${insideOf(one)}`).join(',')}>`
}

/** The numbers of deleted rows of a group's files. */
function positionsSql(parts: ColdParts, { tasks }: Group): string {
  const byId: string[] = []
  const byPath: string[] = []
  const files = new Map<string, string>()
  for (const [at, { file, deletes }] of tasks.entries()) {
    const id = fileIdOf(file.path)
    if (isHotDirty(parts, file)) byId.push(`(${id}, ${at})`)
    byPath.push(`(${quoteText(file.path)}, ${at})`)
    for (const one of deletes) {
      if (one.content === 'position-deletes' && !isVector(one)) files.set(one.path, quoteText(parts.localPath(one)))
    }
  }
  const number = `m.i * ${rowsMax}`
  const selects: string[] = []
  if (byId.length > 0) {
    const { table } = parts.hotDeletes as HotDeletes
    selects.push(
      `select ${number} + d.pos as k from ${table} d join (values ${byId.join(', ')}) m(id, i) on d.file = m.id`,
    )
  }
  const joinByPath = `join (values ${byPath.join(', ')}) m(path, i) on p.file_path = m.path`
  if (files.size > 0) {
    selects.push(`select ${number} + p.pos as k from read_parquet([${[...files.values()].join(', ')}]) p ${joinByPath}`)
  }
  const { vectors } = parts
  if (vectors !== undefined && tasks.some(({ file }) => vectors.files.has(file.path))) {
    selects.push(`select ${number} + p.pos as k from ${vectors.table} p ${joinByPath}`)
  }
  assert(selects.length > 0, 'a file with deletes has some')
  return selects.join(' union all ')
}

/** Gather delete files that compare the same columns. */
function byColumns(files: readonly DataFile[]): DataFile[][] {
  const groups = new Map<string, DataFile[]>()
  for (const file of files) {
    const key = `${file.equalityIds}`
    groups.set(key, [...(groups.get(key) ?? []), file])
  }
  return [...groups.values()]
}

/** The test that no deleted row has the values of this one; null is as good a value as any. */
function valueTest(parts: ColdParts, group: Group, files: readonly DataFile[]): string {
  const ids = files[0]?.equalityIds ?? []
  if (ids.length === 0) throw new Failure('unsupported', `${files[0]?.path} says not by which columns it deletes`)
  const deleted = files.map((file) => {
    const shape = parts.shapeOf(file)
    const columns = ids.map((id, at) => `${quoteName(nameIn(parts, shape, id, file.path))} as c${at}`)
    return `select ${columns.join(', ')} from read_parquet([${quoteText(parts.localPath(file))}])`
  })
  const tests = ids.map((id, at) => {
    const name = group.shape === undefined ? nameIn(parts, undefined, id, '') : group.shape.get(id)?.name
    // A file from before the column was added has null in every row.
    return `e.c${at} is not distinct from ${name === undefined ? 'null' : `f.${quoteName(name)}`}`
  })
  return `not exists (select 1 from (${deleted.join(' union all ')}) e where ${tests.join(' and ')})`
}

function nameIn({ schema }: ColdParts, shape: FileShape | undefined, id: number, path: string): string {
  const name = shape === undefined ? schema.fields.find((field) => field.id === id)?.name : shape.get(id)?.name
  if (name !== undefined) return name
  throw new Failure('unsupported', `${path} deletes by column ${id}, which is not at the top of the table's rows`)
}
