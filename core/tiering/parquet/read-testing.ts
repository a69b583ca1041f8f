/** For tests: random types with values, and how they come back; files kept in memory and opened again. */
import fc from 'fast-check'
import { normalizeValue } from '../iceberg/values.ts'
import { memoryObjects } from '../objects/memory.ts'
import type { Cell } from './read-assemble.ts'
import { type FileReader, openParquet, type ParquetReadContext } from './read-file.ts'
import { objectSource } from './read-source.ts'
import type { Field, FieldType, StructType } from './schema.ts'

/** A type, values of it as they are written, and what each is when it is read. */
export interface Typed {
  readonly type: FieldType
  readonly value: fc.Arbitrary<unknown>
  read(value: unknown): unknown
}

const few = <T>(value: fc.Arbitrary<T>) =>
  fc.oneof(value, fc.constantFrom(...fc.sample(value, { seed: 7, numRuns: 3 })))
const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const long = fc.oneof(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.maxSafeInteger())

function primitive(type: string, value: fc.Arbitrary<unknown>, read?: (value: unknown) => unknown): Typed {
  return { type, value, read: read ?? ((one) => normalizeValue(type, one)) }
}

function decimal(precision: number, scale: number): Typed {
  const max = 10n ** BigInt(precision) - 1n
  return primitive(`decimal(${precision},${scale})`, few(fc.bigInt({ min: -max, max })))
}

/** Primitive types with values, spread out and in few. */
export const primitives: readonly Typed[] = [
  primitive('boolean', fc.boolean()),
  primitive('int', fc.integer()),
  primitive('int', fc.integer({ min: 0, max: 20 })),
  primitive('date', few(fc.integer())),
  primitive('long', few(long)),
  primitive('long', fc.integer({ min: 0, max: 100 })),
  primitive('long', fc.integer({ min: 1_700_000_000_000_000, max: 1_700_000_900_000_000 })),
  primitive('time', fc.integer({ min: 0, max: 86_399_999_999 })),
  primitive('timestamp', few(long)),
  primitive('timestamptz', fc.maxSafeInteger()),
  primitive('float', few(fc.float()), (value) => Math.fround(value as number)),
  primitive('double', few(fc.double())),
  decimal(7, 2),
  decimal(17, 5),
  decimal(38, 10),
  primitive('string', few(fc.string({ unit: 'binary', maxLength: 40 }))),
  primitive('string', few(fc.string({ maxLength: 10 }))),
  primitive('binary', few(fc.uint8Array({ maxLength: 40 }))),
  primitive('fixed[5]', few(bytesOf(5))),
  primitive('uuid', few(bytesOf(16))),
]

const orNull = (value: unknown, read: (value: unknown) => unknown) => (value === null ? null : read(value))

function listOf(element: Typed, required: boolean): Typed {
  return {
    type: { type: 'list', 'element-id': 0, element: element.type, 'element-required': required },
    value: fc.array(required ? element.value : fc.option(element.value), { maxLength: 4 }),
    read: (value) => (value as unknown[]).map((one) => orNull(one, element.read)),
  }
}

function mapOf(value: Typed, required: boolean): Typed {
  const values = required ? value.value : fc.option(value.value)
  const entries = fc.uniqueArray(fc.tuple(fc.integer({ min: -9, max: 9 }), values), {
    selector: ([key]) => key,
    maxLength: 4,
  })
  return {
    type: { type: 'map', 'key-id': 0, key: 'int', 'value-id': 0, value: value.type, 'value-required': required },
    value: entries.map((pairs) => new Map(pairs)),
    read: (map) => new Map(Array.from(map as Map<number, unknown>, ([key, one]) => [key, orNull(one, value.read)])),
  }
}

/** Make a struct of types. */
export function structOf(fields: readonly (readonly [Typed, boolean])[]): Typed {
  const names = fields.map((_, at) => `f${at}`)
  const values = fields.map(([{ value }, required]) => (required ? value : fc.option(value)))
  return {
    type: {
      type: 'struct',
      fields: fields.map(([{ type }, required], at) => ({ id: 0, name: `f${at}`, required, type })),
    },
    value: fc.tuple(...values).map((tuple) => Object.fromEntries(names.map((name, at) => [name, tuple[at]]))),
    read: (value) =>
      Object.fromEntries(
        fields.map(([{ read }, _], at) => [`f${at}`, orNull((value as Record<string, unknown>)[`f${at}`], read)]),
      ),
  }
}

/** Types of every kind, nested to a depth of 3. */
export const anyType: fc.Arbitrary<Typed> = fc.letrec<{ any: Typed; nested: Typed; leaf: Typed }>((tie) => ({
  any: fc.oneof({ maxDepth: 3 }, tie('leaf'), tie('nested')),
  leaf: fc.constantFrom(...primitives),
  nested: fc.oneof(
    fc.tuple(tie('any'), fc.boolean()).map(([element, required]) => listOf(element, required)),
    fc.tuple(tie('any'), fc.boolean()).map(([value, required]) => mapOf(value, required)),
    fc.array(fc.tuple(tie('any'), fc.boolean()), { minLength: 1, maxLength: 3 }).map(structOf),
  ),
})).any

/** Give every part of a type an id of its own. */
export function numbered<T extends FieldType>(type: T): T {
  let id = 0
  const visit = (one: FieldType): FieldType => {
    if (typeof one === 'string') return one
    if (one.type === 'struct') return { ...one, fields: one.fields.map(visitField) }
    if (one.type === 'list') return { ...one, 'element-id': ++id, element: visit(one.element) }
    return { ...one, 'key-id': ++id, 'value-id': ++id, value: visit(one.value) }
  }
  const visitField = (field: Field): Field => ({ ...field, id: ++id, type: visit(field.type) })
  return visit(type) as T
}

/** Keep bytes as an object of a store in memory, and open them as a file.
 *  @param name by which a cache knows it */
export async function openBytes(
  bytes: Uint8Array,
  context: Partial<ParquetReadContext> = {},
  name = 'test.parquet',
): Promise<FileReader> {
  const store = memoryObjects({ nowMs: () => 0 })
  await store.put(name, bytes)
  return openParquet(objectSource(store, name), { codecs: {}, ...context })
}

/** Turn columns into rows. */
export function rowsOfColumns(schema: StructType, columns: readonly (readonly Cell[])[]): Record<string, Cell>[] {
  const rows = columns[0]?.length ?? 0
  return Array.from({ length: rows }, (_, at) =>
    Object.fromEntries(schema.fields.map(({ name }, index) => [name, columns[index]?.[at] as Cell])),
  )
}
