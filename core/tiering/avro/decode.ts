/** Decoders made from the writer's schema out of plain closures. What each type gives is what encode.ts takes; null is
 *  null. Logical types are not looked at: a date is an int, a decimal its bytes. */
import { type AvroInput, corrupt } from './binary.ts'
import {
  type AvroComplex,
  type AvroField,
  type AvroPrimitive,
  type AvroSchema,
  fullName,
  isPrimitive,
} from './schema.ts'

/** Reads one value. Throws `invalid` when the bytes are not one. */
export type Decoder = (input: AvroInput) => unknown

/** Says what a field is called in the objects that are read: names differ between writers, ids do not. */
export type NameOf = (field: AvroField) => string

interface Scope {
  readonly declared: Map<string, Decoder>
  readonly namespace: string
  readonly nameOf: NameOf
  readonly depth: number
}

/** Items without bytes (nulls, empty records) that one block may claim: they cost the writer nothing, and us memory. */
export const emptyItemsMax = 65_536
/** Records within records: deeper ones are no table's, and would exhaust the stack. */
const depthMax = 200

/** Make the decoder of a schema.
 *  @throws invalid for a schema that is wrong */
export function compileDecoder(schema: AvroSchema, nameOf: NameOf = ({ name }) => name): Decoder {
  return compile(schema, { declared: new Map(), namespace: '', nameOf, depth: 0 })
}

function compile(schema: AvroSchema, above: Scope): Decoder {
  const scope = { ...above, depth: above.depth + 1 }
  if (scope.depth > depthMax) throw corrupt(`the schema is nested more than ${depthMax} deep`)
  if (typeof schema === 'string') return byName(schema, scope)
  if (Array.isArray(schema)) return union(schema, scope)
  if (typeof schema !== 'object' || schema === null) throw corrupt(`${schema} is no schema`)
  const complex = schema as AvroComplex
  switch (complex.type) {
    case 'record':
      return record(complex, scope)
    case 'array':
      return array(complex, scope)
    case 'map':
      return map(complex, scope)
    case 'fixed':
      return declare(complex, scope, fixed(complex.size))
    case 'enum':
      return declare(complex, scope, enumeration(complex.symbols ?? []))
    default:
      return compile(complex.type, scope)
  }
}

function declare(schema: AvroComplex, scope: Scope, decoder: Decoder): Decoder {
  scope.declared.set(fullName(schema, scope.namespace).name, decoder)
  return decoder
}

function byName(name: string, { declared, namespace }: Scope): Decoder {
  if (isPrimitive(name)) return primitiveDecoders[name]
  const found = declared.get(name) ?? declared.get(`${namespace}.${name}`)
  if (found === undefined) throw corrupt(`no type ${name}`)
  return found
}

const primitiveDecoders: Record<AvroPrimitive, Decoder> = {
  null: () => null,
  boolean: (input) => input.byte() !== 0,
  int: (input) => input.integer(),
  long: (input) => input.long(),
  float: (input) => input.float(),
  double: (input) => input.double(),
  bytes: (input) => input.sized(),
  string: (input) => input.text(),
}

function fixed(size: unknown): Decoder {
  if (typeof size !== 'number' || !Number.isInteger(size) || size < 0) throw corrupt(`a fixed of ${size} bytes`)
  return (input) => input.raw(size)
}

function enumeration(symbols: readonly string[]): Decoder {
  return (input) => {
    const symbol = symbols[input.integer()]
    if (symbol === undefined) throw corrupt(`none of the symbols ${symbols.join(', ')}`)
    return symbol
  }
}

function union(branches: readonly AvroSchema[], scope: Scope): Decoder {
  const decoders = branches.map((branch) => compile(branch, scope))
  return (input) => {
    const index = input.integer()
    const decode = decoders[index]
    if (decode === undefined) throw corrupt(`a union has no branch ${index}`)
    return decode(input)
  }
}

function record(schema: AvroComplex, scope: Scope): Decoder {
  const { name, namespace } = fullName(schema, scope.namespace)
  const fields: (readonly [name: string, decode: Decoder])[] = []
  const decoder: Decoder = (input) => {
    if (++input.depth > depthMax) throw corrupt(`record ${name} is nested more than ${depthMax} deep`)
    const result: Record<string, unknown> = {}
    for (const [field, decode] of fields) result[field] = decode(input)
    input.depth--
    return result
  }
  scope.declared.set(name, decoder)
  if (!Array.isArray(schema.fields)) throw corrupt(`record ${name} has no fields`)
  for (const field of schema.fields as readonly AvroField[]) {
    fields.push([scope.nameOf(field), compile(field.type, { ...scope, namespace })])
  }
  return decoder
}

/** Read the blocks of an array or a map.
 *  @source the specification, "Arrays": a negative count is followed by the block's size in bytes */
function blocks(input: AvroInput, item: () => void): void {
  for (;;) {
    let count = input.integer()
    if (count === 0) return
    if (count < 0) {
      count = -count
      input.integer()
    }
    if (count > input.left + emptyItemsMax) throw corrupt(`a block of ${count} items in ${input.left} bytes`)
    for (; count > 0; count--) item()
  }
}

function array(schema: AvroComplex, scope: Scope): Decoder {
  if (schema.items === undefined) throw corrupt('an array without items')
  const decode = compile(schema.items, scope)
  return (input) => {
    const items: unknown[] = []
    blocks(input, () => items.push(decode(input)))
    return items
  }
}

function map(schema: AvroComplex, scope: Scope): Decoder {
  if (schema.values === undefined) throw corrupt('a map without values')
  const decode = compile(schema.values, scope)
  return (input) => {
    const entries = new Map<string, unknown>()
    blocks(input, () => entries.set(input.text(), decode(input)))
    return entries
  }
}
