/** What the columns of files are called, where that may differ from the table's schema of now. */
import type { DuckDBConnection } from '@duckdb/node-api'
import { Failure } from '../../../errors.ts'
import { SQL_SHAPES_KNOWN_MAX } from '../../../limits.ts'
import type { DataFile } from '../../../tiering/iceberg/data-file.ts'
import type { FileColumn, FileShape } from './cold-sql.ts'
import { rowsOf } from './duckdb.ts'
import { quoteText } from './quote.ts'

/** A line of `parquet_schema`: an element of a file's schema, parents before their children. */
interface Element {
  readonly name: string
  readonly id: number | undefined
  readonly children: number
  readonly kind: string
}

/** Remembers files' shapes: files never change. */
export class FileShapes {
  /** By path, the one used last at the end. */
  private readonly known = new Map<string, FileShape>()

  /** Find the shapes of files.
   *  @param connection may read them
   *  @throws unsupported for a file without field ids */
  async load(
    connection: DuckDBConnection,
    files: readonly { readonly file: DataFile; readonly local: string }[],
  ): Promise<ReadonlyMap<string, FileShape>> {
    const found = new Map<string, FileShape>()
    const unknown = files.filter(({ file }) => !this.known.has(file.path))
    if (unknown.length > 0) await this.read(connection, unknown)
    for (const { file } of files) {
      const shape = this.known.get(file.path)
      if (shape === undefined) continue
      this.known.delete(file.path)
      this.known.set(file.path, shape)
      found.set(file.path, shape)
    }
    for (const oldest of this.known.keys()) {
      if (this.known.size <= SQL_SHAPES_KNOWN_MAX) break
      this.known.delete(oldest)
    }
    return found
  }

  private async read(
    connection: DuckDBConnection,
    files: readonly { readonly file: DataFile; readonly local: string }[],
  ): Promise<void> {
    const list = files.map(({ local }) => quoteText(local)).join(', ')
    const columns = "file_name, name, field_id, coalesce(num_children, 0), coalesce(converted_type, logical_type, '')"
    const rows = await rowsOf(connection, `select ${columns} from parquet_schema([${list}])`)
    const byFile = new Map<string, Element[]>()
    for (const [local, name, id, children, kind] of rows) {
      const element = {
        name: String(name),
        id: id === null ? undefined : Number(id),
        children: Number(children),
        kind: String(kind),
      }
      const known = byFile.get(String(local))
      if (known === undefined) byFile.set(String(local), [element])
      else known.push(element)
    }
    for (const { file, local } of files) this.known.set(file.path, shapeOf(file.path, byFile.get(local) ?? []))
  }
}

function shapeOf(path: string, elements: readonly Element[]): FileShape {
  const shape = new Map<number, FileColumn>()
  let at = 1
  while (at < elements.length) {
    const column = elements[at] as Element
    const { inside, next } = insideAt(elements, at)
    if (column.id === undefined) {
      const way = 'its columns cannot be told apart after the schema has changed; rewrite it'
      throw new Failure('unsupported', `${path} has no field ids: ${way}`)
    }
    shape.set(column.id, { name: column.name, inside })
    at = next
  }
  return shape
}

/** Describe what is inside an element, in the form of `insideOf`. */
function insideAt(elements: readonly Element[], at: number): { inside: string; next: number } {
  const { children, kind } = elements[at] as Element
  if (children === 0) return { inside: '', next: at + 1 }
  const isMap = kind.startsWith('MAP')
  // Lists and maps have a group between them and what they hold.
  const isList = kind.startsWith('LIST')
  const count = isMap || isList ? (elements[at + 1] as Element).children : children
  const parts: string[] = []
  let next = at + (isMap || isList ? 2 : 1)
  for (let child = 0; child < count; child++) {
    const { name, id } = elements[next] as Element
    const inner = insideAt(elements, next)
    parts.push(isMap || isList ? `${id}${inner.inside}` : `${id} ${name}${inner.inside}`)
    next = inner.next
  }
  return { inside: `${isList ? 'list' : isMap ? 'map' : ''}<${parts.join(',')}>`, next }
}
