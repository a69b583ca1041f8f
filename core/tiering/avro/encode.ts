/** Encoders made from a schema out of plain closures: code made from text is refused in workerd.
 *
 *  What each type takes: null: null or undefined; boolean; int, float, double: a number; long: a number within 2^53 or
 *  a bigint; bytes, fixed: a Uint8Array; string, enum: a string; array: an array; map: a Map by string; record: an
 *  object.
 *  A union is written when it is null and one other type, which is all that Iceberg has. */
import type { AvroOutput, Long } from './binary.ts'
import { corrupt } from './binary.ts'
import { type AvroComplex, type AvroPrimitive, type AvroSchema, fullName, isPrimitive } from './schema.ts'

/** Appends one value. Throws `invalid` for a value that the type cannot hold. */
export type Encoder = (output: AvroOutput, value: unknown) => void

interface Scope {
  /** Declared types by full name. */
  readonly declared: Map<string, Encoder>
  readonly namespace: string
  /** Where we are, for messages. */
  readonly path: string
}

const refuse = (path: string, value: unknown, type: string) => {
  const shown =
    typeof value === 'object' && value !== null ? `a ${value.constructor?.name}` : `${typeof value} ${value}`
  return corrupt(`${path}: ${shown} is no ${type}`)
}

/** Make the encoder of a schema.
 *  @throws invalid for a schema that is wrong, or has a union of something else than null and one type */
export function compileEncoder(schema: AvroSchema): Encoder {
  return compile(schema, { declared: new Map(), namespace: '', path: 'value' })
}

function compile(schema: AvroSchema, scope: Scope): Encoder {
  if (typeof schema === 'string') return byName(schema, scope)
  if (Array.isArray(schema)) return union(schema, scope)
  const complex = schema as AvroComplex
  switch (complex.type) {
    case 'record':
      return record(complex, scope)
    case 'array':
      return array(complex, scope)
    case 'map':
      return map(complex, scope)
    case 'fixed':
      return declare(complex, scope, fixed(complex.size ?? 0, scope.path))
    case 'enum':
      return declare(complex, scope, enumeration(complex.symbols ?? [], scope.path))
    default:
      return compile(complex.type, scope)
  }
}

function declare(schema: AvroComplex, scope: Scope, encoder: Encoder): Encoder {
  scope.declared.set(fullName(schema, scope.namespace).name, encoder)
  return encoder
}

function byName(name: string, { declared, namespace, path }: Scope): Encoder {
  if (isPrimitive(name)) return primitive(name, path)
  const found = declared.get(name) ?? declared.get(`${namespace}.${name}`)
  if (found === undefined) throw corrupt(`${path}: no type ${name}`)
  return found
}

function primitive(name: AvroPrimitive, path: string): Encoder {
  switch (name) {
    case 'null':
      return (_, value) => {
        if (value !== null && value !== undefined) throw refuse(path, value, name)
      }
    case 'boolean':
      return (output, value) => {
        if (typeof value !== 'boolean') throw refuse(path, value, name)
        output.byte(value ? 1 : 0)
      }
    case 'int':
      return (output, value) => {
        if (typeof value !== 'number' || (value | 0) !== value) throw refuse(path, value, name)
        output.long(value)
      }
    case 'long':
      return (output, value) => {
        if (typeof value !== 'bigint' && !Number.isSafeInteger(value)) throw refuse(path, value, name)
        output.long(value as Long)
      }
    case 'float':
    case 'double':
      return (output, value) => {
        if (typeof value !== 'number') throw refuse(path, value, name)
        output[name](value)
      }
    case 'bytes':
      return (output, value) => {
        if (!(value instanceof Uint8Array)) throw refuse(path, value, name)
        output.sized(value)
      }
    case 'string':
      return (output, value) => {
        if (typeof value !== 'string' || !value.isWellFormed()) throw refuse(path, value, name)
        output.text(value)
      }
  }
}

function fixed(size: number, path: string): Encoder {
  return (output, value) => {
    if (!(value instanceof Uint8Array) || value.length !== size) throw refuse(path, value, `fixed of ${size} bytes`)
    output.raw(value)
  }
}

function enumeration(symbols: readonly string[], path: string): Encoder {
  return (output, value) => {
    const index = symbols.indexOf(value as string)
    if (index < 0) throw refuse(path, value, `one of ${symbols.join(', ')}`)
    output.long(index)
  }
}

function union(branches: readonly AvroSchema[], scope: Scope): Encoder {
  const at = branches.indexOf('null')
  if (branches.length !== 2 || at < 0) throw corrupt(`${scope.path}: only a union of null and one type is written`)
  const other = compile(branches[1 - at] as AvroSchema, scope)
  return (output, value) => {
    if (value === null || value === undefined) return output.long(at)
    output.long(1 - at)
    other(output, value)
  }
}

function record(schema: AvroComplex, scope: Scope): Encoder {
  const { name, namespace } = fullName(schema, scope.namespace)
  const fields: (readonly [name: string, encode: Encoder])[] = []
  const encoder: Encoder = (output, value) => {
    if (typeof value !== 'object' || value === null) throw refuse(scope.path, value, `record ${name}`)
    for (const [field, encode] of fields) encode(output, (value as Record<string, unknown>)[field])
  }
  // Declared before its fields are looked at: a record may hold itself.
  scope.declared.set(name, encoder)
  for (const field of schema.fields ?? []) {
    const inner = { ...scope, namespace, path: `${scope.path}.${field.name}` }
    fields.push([field.name, compile(field.type, inner)])
  }
  return encoder
}

function array(schema: AvroComplex, scope: Scope): Encoder {
  if (schema.items === undefined) throw corrupt(`${scope.path}: an array without items`)
  const item = compile(schema.items, { ...scope, path: `${scope.path}[]` })
  return (output, value) => {
    if (!Array.isArray(value)) throw refuse(scope.path, value, 'array')
    if (value.length > 0) output.long(value.length)
    for (const one of value) item(output, one)
    output.long(0)
  }
}

function map(schema: AvroComplex, scope: Scope): Encoder {
  if (schema.values === undefined) throw corrupt(`${scope.path}: a map without values`)
  const encode = compile(schema.values, { ...scope, path: `${scope.path}{}` })
  return (output, value) => {
    if (!(value instanceof Map)) throw refuse(scope.path, value, 'Map')
    if (value.size > 0) output.long(value.size)
    for (const [key, one] of value) {
      output.text(key)
      encode(output, one)
    }
    output.long(0)
  }
}
