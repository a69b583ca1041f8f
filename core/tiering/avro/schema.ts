/** Avro schemas as JSON: what a container file's header holds.
 *
 *  1. Attributes that Avro does not know (`field-id`, `element-id`, `adjust-to-utc` and the like) are part of the
 *     object and are written as they stand: Iceberg finds columns by them.
 *  2. A named type is declared where it is met first; later it is only named.
 *  @source https://avro.apache.org/docs/1.11.1/specification/ (schema declaration) */
import { Failure } from '../../errors.ts'

/** An Avro type: a primitive's or declared type's name, a union, or an object. */
export type AvroSchema = string | readonly AvroSchema[] | AvroComplex

/** A type as an object. */
export interface AvroComplex {
  readonly type: AvroSchema
  readonly name?: string
  readonly namespace?: string
  readonly fields?: readonly AvroField[]
  readonly items?: AvroSchema
  readonly values?: AvroSchema
  readonly size?: number
  readonly symbols?: readonly string[]
  readonly logicalType?: string
  readonly [attribute: string]: unknown
}

/** A field of a record. */
export interface AvroField {
  readonly name: string
  readonly type: AvroSchema
  readonly 'field-id'?: number
  readonly [attribute: string]: unknown
}

/** The types that need no declaration. */
export const primitives = ['null', 'boolean', 'int', 'long', 'float', 'double', 'bytes', 'string'] as const

/** A primitive type's name. */
export type AvroPrimitive = (typeof primitives)[number]

/** Whether a name is a primitive type's. */
export function isPrimitive(name: string): name is AvroPrimitive {
  return (primitives as readonly string[]).includes(name)
}

/** Work out a named type's full name.
 *  @returns the name with its namespace in front, and the namespace for what is inside */
export function fullName(schema: AvroComplex, within: string): { readonly name: string; readonly namespace: string } {
  const { name } = schema
  if (typeof name !== 'string' || name === '') throw new Failure('invalid', `Avro: a ${schema.type} without a name`)
  if (name.includes('.')) return { name, namespace: name.slice(0, name.lastIndexOf('.')) }
  const namespace = schema.namespace ?? within
  return { name: namespace === '' ? name : `${namespace}.${name}`, namespace }
}
