/** Applies deletes while a table is read: by position, by vector and by value. Delete files are read once a plan.
 *
 *  1. A delete by value deletes every row whose named columns are equal to its own; null is equal to null.
 *  @source https://iceberg.apache.org/spec/ (v3), "Delete Formats" */
import { Failure } from '../../errors.ts'
import { type ColumnBatch, type ColumnsOptions, readColumns } from '../parquet/read.ts'
import type { Cell } from '../parquet/read-assemble.ts'
import { openParquet, type ParquetReadContext } from '../parquet/read-file.ts'
import { type NameMapping, parseNameMapping } from '../parquet/read-schema.ts'
import { objectSource } from '../parquet/read-source.ts'
import { type DataFile, isVector, ownBytes, positionDeleteSchema } from './data-file.ts'
import { deletedPositions } from './deletes.ts'
import type { LakeFiles } from './files.ts'
import { schemaOf, type TableMetadata } from './metadata.ts'
import type { ScanTask } from './scan.ts'
import { indexFields, type Placed } from './schema.ts'
import type { Field } from './types.ts'
import type { Value } from './values.ts'

/** Get the names that files without field ids have for the table's columns. */
export function nameMappingOfTable({ properties }: TableMetadata): NameMapping | undefined {
  const text = properties['schema.name-mapping.default']
  return text === undefined ? undefined : parseNameMapping(text)
}

/** Read columns of a file of a table.
 *  @throws unsupported for files that are no Parquet, or encrypted */
export async function* readFile(
  files: LakeFiles,
  { path, format, keyMetadata }: Pick<DataFile, 'path' | 'format' | 'keyMetadata'>,
  options: ColumnsOptions & { readonly context: ParquetReadContext },
): AsyncGenerator<ColumnBatch> {
  if (format !== 'PARQUET') {
    const way = "write them as Parquet with the table's writer (Spark: rewrite_data_files)"
    throw new Failure('unsupported', `${path}: ${format} files are not read; ${way}`)
  }
  if (keyMetadata !== undefined) throw new Failure('unsupported', `${path} is encrypted; only plain files are read`)
  const { store, key } = files.placeOf(path)
  const reader = await openParquet(objectSource(store, key, path), options.context)
  yield* readColumns(reader, options)
}

/** A test of rows by value: those that it is true for are deleted. */
export interface EqualityTest {
  readonly fields: readonly Field[]
  /** @param columns in the order of `fields` */
  isDeleted(columns: readonly (readonly Cell[])[], at: number): boolean
}

type Positions = ReadonlyMap<string, readonly number[]>

/** Reads the deletes of one plan. */
export class DeleteReader {
  private readonly files: LakeFiles
  private readonly table: TableMetadata
  private readonly context: ParquetReadContext
  private readonly positions = new Map<string, Promise<Positions>>()
  private readonly keys = new Map<string, Promise<ReadonlySet<string>>>()

  constructor(files: LakeFiles, table: TableMetadata, context: ParquetReadContext) {
    this.files = files
    this.table = table
    this.context = context
  }

  /** Find the rows of a task's file that are deleted by their positions, ascending. */
  async positionsOf({ file, deletes }: ScanTask): Promise<ArrayLike<number> & Iterable<number>> {
    const { counts, codecs } = this.context
    const vector = deletes.find(isVector)
    if (vector !== undefined && counts !== undefined) {
      counts.requests++
      counts.bytesRead += ownBytes(vector)
    }
    for (const one of vector === undefined ? deletes : []) {
      if (one.content !== 'position-deletes' || this.positions.has(one.path)) continue
      this.positions.set(one.path, this.readPositions(one))
    }
    return deletedPositions(this.files, file, { deletes, codecs, cache: this.positions })
  }

  private async readPositions(file: DataFile): Promise<Positions> {
    const found = new Map<string, number[]>()
    const options = { fields: positionDeleteSchema.fields, context: this.context }
    for await (const { columns, rows } of readFile(this.files, file, options)) {
      const [paths, positions] = columns as [readonly string[], readonly number[]]
      for (let at = 0; at < rows; at++) {
        const path = paths[at] as string
        const known = found.get(path)
        if (known === undefined) found.set(path, [positions[at] as number])
        else known.push(positions[at] as number)
      }
    }
    return found
  }

  /** Make the tests of the deletes by value that apply to a task. */
  async equalityOf({ deletes }: ScanTask): Promise<EqualityTest[]> {
    const byValue = deletes.filter(({ content }) => content === 'equality-deletes')
    return Promise.all(byValue.map((file) => this.equalityTest(file)))
  }

  private async equalityTest(file: DataFile): Promise<EqualityTest> {
    const placed = (file.equalityIds ?? []).map((id) => this.placedOf(id, file))
    if (placed.length === 0) throw new Failure('invalid', `${file.path} deletes by value and names no columns`)
    const fields = [...new Map(placed.map((one) => [topOf(one).id, topOf(one)])).values()]
    const keyOf = compileKey(placed, fields)
    const known = this.keys.get(file.path)
    const reading = known ?? this.readKeys(file, fields, keyOf)
    if (known === undefined) this.keys.set(file.path, reading)
    const keys = await reading
    return { fields, isDeleted: (columns, at) => keys.has(keyOf(columns, at)) }
  }

  /** Find a column, which may be gone from the newest schema. */
  private placedOf(id: number, { path }: DataFile): Placed {
    const { schemas } = this.table
    for (const schema of [schemaOf(this.table), ...schemas.toReversed()]) {
      const placed = indexFields(schema).get(id)
      if (placed !== undefined && !placed.isRepeated && typeof placed.field.type === 'string') return placed
    }
    throw new Failure('invalid', `${path} deletes by column ${id}, which the table never had as a single value`)
  }

  private async readKeys(file: DataFile, fields: readonly Field[], keyOf: KeyOf): Promise<ReadonlySet<string>> {
    const keys = new Set<string>()
    const options = { fields, nameMapping: nameMappingOfTable(this.table), context: this.context }
    for await (const { columns, rows } of readFile(this.files, file, options)) {
      for (let at = 0; at < rows; at++) keys.add(keyOf(columns, at))
    }
    return keys
  }
}

type KeyOf = (columns: readonly (readonly Cell[])[], at: number) => string

const topOf = ({ parents, field }: Placed): Field => parents[0] ?? field

/** Make the function that writes the named values of a row as text; equal rows have equal texts. */
function compileKey(placed: readonly Placed[], fields: readonly Field[]): KeyOf {
  const parts = placed.map((one) => ({
    index: fields.findIndex(({ id }) => id === topOf(one).id),
    path: one.path.slice(1),
  }))
  return (columns, at) => {
    let key = ''
    for (const { index, path } of parts) {
      let value = (columns[index] as readonly Cell[])[at] as Cell
      for (const name of path) value = value === null ? null : ((value as Record<string, Cell>)[name] ?? null)
      key += keyPart(value as Value | null)
    }
    return key
  }
}

function keyPart(value: Value | null): string {
  if (value === null) return 'n;'
  const text = value instanceof Uint8Array ? value.join() : `${value}`
  // With its length in front, no text can look like two values.
  return `${text.length}:${text}`
}
