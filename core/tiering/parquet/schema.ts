/** From an Iceberg schema to Parquet's: which leaves there are, how each is stored, and its levels.
 *
 *  1. The schema is Iceberg's own JSON form, so that a table's schema is passed as it stands.
 *  2. Every element carries its field id; lists and maps have the three-level form.
 *  3. A leaf's definition level says how much of its path is there, its repetition level which list goes on.
 *  @source https://iceberg.apache.org/spec/ (v2), appendix A: Parquet
 *  @source https://github.com/apache/parquet-format/blob/master/LogicalTypes.md */
import { Failure } from '../../errors.ts'
import { bool, type Fields, i32, struct, type Thrift, text } from './thrift.ts'

/** A type of a field; primitives by their name in the specification, such as `long` or `decimal(9,2)`. */
export type FieldType = string | StructType | ListType | MapType

/** A field of a struct. */
export interface Field {
  readonly id: number
  readonly name: string
  readonly required: boolean
  readonly type: FieldType
}

/** A struct, or a table's schema. */
export interface StructType {
  readonly type: 'struct'
  readonly fields: readonly Field[]
}

/** A list. */
export interface ListType {
  readonly type: 'list'
  readonly 'element-id': number
  readonly 'element-required': boolean
  readonly element: FieldType
}

/** A map; its keys are always there. */
export interface MapType {
  readonly type: 'map'
  readonly 'key-id': number
  readonly key: FieldType
  readonly 'value-id': number
  readonly 'value-required': boolean
  readonly value: FieldType
}

/** A primitive type's name without its parameters. */
export type Primitive =
  | 'boolean'
  | 'int'
  | 'long'
  | 'float'
  | 'double'
  | 'decimal'
  | 'date'
  | 'time'
  | 'timestamp'
  | 'timestamptz'
  | 'string'
  | 'uuid'
  | 'fixed'
  | 'binary'

/** How values are stored: Parquet's physical types, of which `int96` is deprecated. */
export type Storage = 'boolean' | 'int32' | 'int64' | 'float' | 'double' | 'bytes' | 'fixed'

/** Parquet's numbers for the physical types. */
export const physicalTypes: { readonly [S in Storage]: number } = {
  boolean: 0,
  int32: 1,
  int64: 2,
  float: 4,
  double: 5,
  bytes: 6,
  fixed: 7,
}

/** A column of the file. */
export interface Leaf {
  readonly id: number
  /** Names from the root to here, those that Parquet puts between included. */
  readonly path: readonly string[]
  /** Names of the schema, joined by dots: what options and messages call it. */
  readonly name: string
  readonly primitive: Primitive
  readonly storage: Storage
  /** Bytes of a `fixed` value, else 0. */
  readonly width: number
  /** Digits of a decimal, else 0. */
  readonly precision: number
  readonly maxDefinition: number
  readonly maxRepetition: number
  /** Its place among the leaves. */
  readonly index: number
}

/** A place of the schema, as rows are taken apart along it. */
export type Node = { readonly name: string; readonly required: boolean; readonly definition: number } & (
  | { readonly kind: 'leaf'; readonly leaf: Leaf }
  | { readonly kind: 'struct'; readonly fields: readonly (readonly [name: string, node: Node])[] }
  | { readonly kind: 'list'; readonly repetition: number; readonly element: Node }
  | { readonly kind: 'map'; readonly repetition: number; readonly key: Node; readonly value: Node }
)

/** A schema ready to write by. */
export interface CompiledSchema {
  /** The table's fields, in order. */
  readonly fields: readonly (readonly [name: string, node: Node])[]
  readonly leaves: readonly Leaf[]
  /** The footer's SchemaElements. */
  readonly elements: readonly Thrift[]
}

interface Shape {
  readonly storage: Storage
  readonly width?: number
  readonly precision?: number
  readonly converted?: number
  readonly scale?: number
  readonly logical?: Thrift
}

const micros = struct([2, struct()])
const logicalTime = (id: number, utc: boolean) => struct([id, struct([1, bool(utc)], [2, micros])])
const shapes: { readonly [name: string]: Shape } = {
  boolean: { storage: 'boolean' },
  int: { storage: 'int32' },
  long: { storage: 'int64' },
  float: { storage: 'float' },
  double: { storage: 'double' },
  date: { storage: 'int32', converted: 6, logical: struct([6, struct()]) },
  time: { storage: 'int64', converted: 8, logical: logicalTime(7, false) },
  // Local timestamps carry the old annotation too, as LogicalTypes.md asks.
  timestamp: { storage: 'int64', converted: 10, logical: logicalTime(8, false) },
  timestamptz: { storage: 'int64', converted: 10, logical: logicalTime(8, true) },
  string: { storage: 'bytes', converted: 0, logical: struct([1, struct()]) },
  uuid: { storage: 'fixed', width: 16, logical: struct([14, struct()]) },
  binary: { storage: 'bytes' },
}

const wrong = (name: string, type: string) =>
  new Failure('invalid', `field ${name}: no Iceberg v2 type ${JSON.stringify(type)}`)

/** Bytes that every decimal of so many digits fits into, in two's complement. */
export function decimalBytes(precision: number): number {
  return Math.ceil((precision * Math.log2(10) + 1) / 8)
}

function shapeOf(name: string, type: string): Shape & { readonly primitive: Primitive } {
  if (Object.hasOwn(shapes, type)) return { ...(shapes[type] as Shape), primitive: type as Primitive }
  const fixed = /^fixed\[\s*(\d+)\s*\]$/.exec(type)
  if (fixed !== null) {
    const width = Number(fixed[1])
    if (width < 1 || width > 1_000_000) throw wrong(name, type)
    return { storage: 'fixed', width, primitive: 'fixed' }
  }
  const decimal = /^decimal\(\s*(\d+)\s*,\s*(\d+)\s*\)$/.exec(type)
  if (decimal === null) throw wrong(name, type)
  const [precision, scale] = [Number(decimal[1]), Number(decimal[2])]
  if (precision < 1 || precision > 38 || scale > precision) throw wrong(name, type)
  const storage = precision <= 9 ? 'int32' : precision <= 18 ? 'int64' : 'fixed'
  const width = storage === 'fixed' ? decimalBytes(precision) : 0
  const logical = struct([5, struct([1, i32(scale)], [2, i32(precision)])])
  return { storage, width, precision, scale, converted: 5, logical, primitive: 'decimal' }
}

/** Where in the schema a field stands. */
interface Place {
  readonly path: readonly string[]
  readonly name: string
  readonly definition: number
  readonly repetition: number
}

const required = 0
const optional = 1
const repeated = 2

/** Compiles one schema: elements and leaves gather in the order of the file's schema. */
class SchemaCompiler {
  readonly leaves: Leaf[] = []
  readonly elements: Thrift[] = []
  private readonly ids = new Set<number>()

  group(name: string, repetition: number, children: number, more: Fields = []): void {
    this.elements.push(struct([3, i32(repetition)], [4, text(name)], [5, i32(children)], ...more))
  }

  visit(field: Field, above: Place): Node {
    const { id, name, type } = field
    const place: Place = {
      path: [...above.path, name],
      name: above.name === '' ? name : `${above.name}.${name}`,
      definition: above.definition + (field.required ? 0 : 1),
      repetition: above.repetition,
    }
    if (!Number.isInteger(id) || this.ids.has(id)) {
      throw new Failure('invalid', `field ${place.name}: its id ${id} is taken`)
    }
    this.ids.add(id)
    const base = { name: place.name, required: field.required, definition: place.definition }
    if (typeof type === 'string') return { ...base, kind: 'leaf', leaf: this.addLeaf(field, type, place) }
    const repetition = field.required ? required : optional
    if (type.type === 'struct') {
      this.group(name, repetition, type.fields.length, [[9, i32(id)]])
      return { ...base, kind: 'struct', fields: this.visitFields(type, place) }
    }
    if (type.type === 'list') {
      this.annotated(field, repetition, { converted: 3, logical: struct([3, struct()]) })
      this.group('list', repeated, 1)
      const inner = { name: 'element', required: type['element-required'], type: type.element }
      const element = this.visit({ id: type['element-id'], ...inner }, inside(place, 'list'))
      return { ...base, kind: 'list', repetition: place.repetition + 1, element }
    }
    if (type.type !== 'map') throw wrong(place.name, JSON.stringify(type))
    this.annotated(field, repetition, { converted: 1, logical: struct([2, struct()]) })
    this.group('key_value', repeated, 2)
    const within = inside(place, 'key_value')
    const key = this.visit({ id: type['key-id'], name: 'key', required: true, type: type.key }, within)
    const valueField = { id: type['value-id'], name: 'value', required: type['value-required'], type: type.value }
    return { ...base, kind: 'map', repetition: within.repetition, key, value: this.visit(valueField, within) }
  }

  /** The outer group of a list or map, which says what it is. */
  private annotated(field: Field, repetition: number, as: { converted: number; logical: Thrift }): void {
    this.group(field.name, repetition, 1, [
      [6, i32(as.converted)],
      [9, i32(field.id)],
      [10, as.logical],
    ])
  }

  visitFields({ fields }: StructType, place: Place): (readonly [string, Node])[] {
    const where = place.name === '' ? 'a schema' : `struct ${place.name}`
    if (fields.length === 0) throw new Failure('invalid', `${where} has no fields: Parquet cannot hold it`)
    const twice = fields.find(({ name }, at) => fields.some((other, before) => before < at && other.name === name))
    if (twice !== undefined) throw new Failure('invalid', `${where} has two fields ${twice.name}`)
    return fields.map((field) => [field.name, this.visit(field, place)] as const)
  }

  private addLeaf(field: Field, type: string, place: Place): Leaf {
    const { storage, width = 0, precision = 0, converted, scale, logical, primitive } = shapeOf(place.name, type)
    this.elements.push(
      struct(
        [1, i32(physicalTypes[storage])],
        [2, width > 0 ? i32(width) : undefined],
        [3, i32(field.required ? required : optional)],
        [4, text(field.name)],
        [6, converted === undefined ? undefined : i32(converted)],
        [7, scale === undefined ? undefined : i32(scale)],
        [8, precision > 0 ? i32(precision) : undefined],
        [9, i32(field.id)],
        [10, logical],
      ),
    )
    const { path, name, definition: maxDefinition, repetition: maxRepetition } = place
    const index = this.leaves.length
    const leaf = { id: field.id, path, name, primitive, storage, width, precision, maxDefinition, maxRepetition, index }
    this.leaves.push(leaf)
    return leaf
  }
}

/** Step into the repeated group of a list or map. */
function inside(place: Place, step: string): Place {
  const { path, name, definition, repetition } = place
  return { path: [...path, step], name, definition: definition + 1, repetition: repetition + 1 }
}

/** Compile a schema.
 *  @throws invalid for a type that Iceberg v2 has not, two fields of one name or id, or a struct without fields */
export function compileSchema(schema: StructType): CompiledSchema {
  const compiler = new SchemaCompiler()
  const { leaves, elements } = compiler
  elements.push(struct([4, text('table')], [5, i32(schema.fields.length)]))
  const fields = compiler.visitFields(schema, { path: [], name: '', definition: 0, repetition: 0 })
  return { fields, leaves, elements }
}
