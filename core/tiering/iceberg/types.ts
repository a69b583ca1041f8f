/** Iceberg's types in their JSON form, and which may become which.
 *  @source https://iceberg.apache.org/spec/ (v2), "Schemas and Data Types" and appendix C */
import { Failure } from '../../errors.ts'

/** A type: a primitive's text, such as `long` or `decimal(9,2)`, or a nested type. */
export type IcebergType = string | StructType | ListType | MapType

/** A field of a struct, or a column of a table. */
export interface Field {
  readonly id: number
  readonly name: string
  readonly required: boolean
  readonly type: IcebergType
  readonly doc?: string
  /** v3: the value of rows written before the field was added. */
  readonly 'initial-default'?: unknown
  /** v3: the value of rows that leave the field out. */
  readonly 'write-default'?: unknown
}

/** A struct. */
export interface StructType {
  readonly type: 'struct'
  readonly fields: readonly Field[]
}

/** A list. */
export interface ListType {
  readonly type: 'list'
  readonly 'element-id': number
  readonly 'element-required': boolean
  readonly element: IcebergType
}

/** A map. */
export interface MapType {
  readonly type: 'map'
  readonly 'key-id': number
  readonly key: IcebergType
  readonly 'value-id': number
  readonly 'value-required': boolean
  readonly value: IcebergType
}

/** A primitive type without its parameters. */
export type Kind =
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

/** A primitive type, taken apart. */
export interface Primitive {
  readonly kind: Kind
  /** Digits of a decimal, else 0. */
  readonly precision: number
  /** Digits of a decimal after its point, else 0. */
  readonly scale: number
  /** Bytes of a fixed or a uuid, else 0. */
  readonly length: number
}

const plainKinds: readonly string[] = [
  'boolean',
  'int',
  'long',
  'float',
  'double',
  'date',
  'time',
  'timestamp',
  'timestamptz',
  'string',
  'binary',
] satisfies Kind[]

const laterTypes = /^(unknown|variant|timestamp_ns|timestamptz_ns|geometry\b.*|geography\b.*)$/
const parsed = new Map<string, Primitive>()

/** Take a primitive type apart.
 *  @throws unsupported for a type of format v3, invalid for what is no type */
export function parsePrimitive(type: string): Primitive {
  const known = parsed.get(type)
  if (known !== undefined) return known
  const primitive = parse(type)
  parsed.set(type, primitive)
  return primitive
}

function parse(type: string): Primitive {
  const none = { precision: 0, scale: 0, length: 0 }
  if (plainKinds.includes(type)) return { kind: type as Kind, ...none }
  if (type === 'uuid') return { kind: 'uuid', ...none, length: 16 }
  const fixed = /^fixed\[\s*(\d+)\s*\]$/.exec(type)
  if (fixed !== null && Number(fixed[1]) <= 0x7fffffff) return { kind: 'fixed', ...none, length: Number(fixed[1]) }
  const decimal = /^decimal\(\s*(\d+)\s*,\s*(\d+)\s*\)$/.exec(type)
  if (decimal !== null) {
    const [precision, scale] = [Number(decimal[1]), Number(decimal[2])]
    if (precision >= 1 && precision <= 38 && scale <= precision) return { kind: 'decimal', ...none, precision, scale }
  }
  if (laterTypes.test(type)) throw new Failure('unsupported', `type ${type} is of Iceberg format v3`)
  throw new Failure('invalid', `no Iceberg type ${JSON.stringify(type)}`)
}

/** Whether a type is a primitive's text. */
export function isPrimitive(type: IcebergType): type is string {
  return typeof type === 'string'
}

/** Bytes that every unscaled decimal of so many digits fits into, in two's complement. */
export function decimalBytes(precision: number): number {
  return Math.ceil((precision * Math.log2(10) + 1) / 8)
}

/** Whether values of one primitive type may be read as another: what a column may be widened to.
 *  @source the specification, "Schema Evolution", valid type promotions of v2 */
export function canPromote(from: string, to: string): boolean {
  const [a, b] = [parsePrimitive(from), parsePrimitive(to)]
  if (a.kind === 'int' && b.kind === 'long') return true
  if (a.kind === 'float' && b.kind === 'double') return true
  if (a.kind !== b.kind) return false
  if (a.kind === 'decimal') return a.scale === b.scale && a.precision <= b.precision
  return a.length === b.length
}

/** Whether two types are the same, ids included. */
export function sameType(a: IcebergType, b: IcebergType): boolean {
  if (isPrimitive(a) || isPrimitive(b)) {
    if (!isPrimitive(a) || !isPrimitive(b)) return false
    const [x, y] = [parsePrimitive(a), parsePrimitive(b)]
    return x.kind === y.kind && x.precision === y.precision && x.scale === y.scale && x.length === y.length
  }
  if (a.type !== b.type) return false
  if (a.type === 'struct' && b.type === 'struct') return sameFields(a.fields, b.fields)
  const [x, y] = [childrenOf(a), childrenOf(b)]
  return sameFields(x, y)
}

function sameFields(a: readonly Field[], b: readonly Field[]): boolean {
  return a.length === b.length && a.every((field, at) => sameField(field, b[at] as Field))
}

function sameField(a: Field, b: Field): boolean {
  if (a.id !== b.id || a.name !== b.name || a.required !== b.required || a.doc !== b.doc) return false
  const defaults = (field: Field) => JSON.stringify([field['initial-default'], field['write-default']])
  return sameType(a.type, b.type) && defaults(a) === defaults(b)
}

/** List the fields inside a type: of a struct its own, of a list `element`, of a map `key` and `value`. */
export function childrenOf(type: IcebergType): readonly Field[] {
  if (isPrimitive(type)) return []
  if (type.type === 'struct') return type.fields
  if (type.type === 'list') {
    return [{ id: type['element-id'], name: 'element', required: type['element-required'], type: type.element }]
  }
  if (type.type !== 'map') throw new Failure('invalid', `no Iceberg type ${JSON.stringify(type)}`)
  return [
    { id: type['key-id'], name: 'key', required: true, type: type.key },
    { id: type['value-id'], name: 'value', required: type['value-required'], type: type.value },
  ]
}

/** Make a type like another with other fields inside: the counterpart of `childrenOf`. */
export function withChildren(type: IcebergType, children: readonly Field[]): IcebergType {
  if (isPrimitive(type)) return type
  if (type.type === 'struct') return { type: 'struct', fields: children }
  const [first, second] = children as readonly [Field, Field | undefined]
  if (type.type === 'list') {
    return { type: 'list', 'element-id': first.id, 'element-required': first.required, element: first.type }
  }
  const value = second as Field
  return {
    type: 'map',
    'key-id': first.id,
    key: first.type,
    'value-id': value.id,
    'value-required': value.required,
    value: value.type,
  }
}
