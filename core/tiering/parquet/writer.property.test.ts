/** Random schemas and rows, written in random ways, read back by hyparquet: every value must be what it was. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Field, FieldType, StructType } from './schema.ts'
import { readMetadata, readRows, writeRows } from './testing.ts'

/** A type with values of it, and what hyparquet is to read for each. */
interface Typed {
  readonly type: FieldType
  readonly value: fc.Arbitrary<unknown>
  readonly read: (value: unknown) => unknown
}

const same = (value: unknown) => value
const long = fc.oneof(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.maxSafeInteger())
const toBigInt = (value: unknown) => BigInt(value as number)
const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const text = fc.string({ unit: 'binary', maxLength: 40 })
const few = <T>(value: fc.Arbitrary<T>) =>
  fc.oneof(value, fc.constantFrom(...fc.sample(value, { seed: 7, numRuns: 3 })))
const decimal = (precision: number, scale: number): Typed => ({
  type: `decimal(${precision}, ${scale})`,
  value: fc.bigInt({ min: -(10n ** BigInt(precision) - 1n), max: 10n ** BigInt(precision) - 1n }),
  read: (value) => Number(value) * 10 ** -scale,
})

const primitives: readonly Typed[] = [
  { type: 'boolean', value: fc.boolean(), read: same },
  { type: 'int', value: fc.integer(), read: same },
  { type: 'date', value: fc.integer(), read: same },
  { type: 'long', value: few(long), read: toBigInt },
  { type: 'long', value: fc.integer({ min: 0, max: 100 }), read: toBigInt },
  { type: 'time', value: fc.integer({ min: 0, max: 86_399_999_999 }), read: toBigInt },
  { type: 'timestamp', value: few(long), read: toBigInt },
  { type: 'timestamptz', value: fc.maxSafeInteger(), read: toBigInt },
  { type: 'float', value: fc.float(), read: (value) => Math.fround(value as number) },
  { type: 'double', value: few(fc.double()), read: same },
  decimal(7, 2),
  decimal(17, 5),
  decimal(38, 10),
  { type: 'string', value: few(text), read: same },
  { type: 'binary', value: few(fc.uint8Array({ maxLength: 40 })), read: same },
  { type: 'fixed[5]', value: few(bytesOf(5)), read: same },
  { type: 'uuid', value: bytesOf(16), read: same },
]

const nullOr = (value: unknown, read: (value: unknown) => unknown) => (value === null ? null : read(value))

function listOf(element: Typed, required: boolean): Typed {
  return {
    type: { type: 'list', 'element-id': 0, element: element.type, 'element-required': required },
    value: fc.array(required ? element.value : fc.option(element.value), { maxLength: 4 }),
    read: (value) => (value as unknown[]).map((one) => nullOr(one, element.read)),
  }
}

function mapOf(value: Typed, required: boolean): Typed {
  const values = required ? value.value : fc.option(value.value)
  const entries = fc.uniqueArray(fc.tuple(fc.string({ maxLength: 5 }), values), {
    selector: ([key]) => key,
    maxLength: 4,
  })
  return {
    type: { type: 'map', 'key-id': 0, key: 'string', 'value-id': 0, value: value.type, 'value-required': required },
    value: entries.map((pairs) => new Map(pairs)),
    read: (map) => {
      const plain: Record<string, unknown> = {}
      for (const [key, one] of map as Map<string, unknown>) {
        Object.defineProperty(plain, key, { value: nullOr(one, value.read), enumerable: true, configurable: true })
      }
      return plain
    },
  }
}

function structOf(fields: readonly (readonly [Typed, boolean])[]): Typed {
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
        fields.map(([{ read }], at) => [`f${at}`, nullOr((value as Record<string, unknown>)[`f${at}`], read)]),
      ),
  }
}

const typed: fc.Arbitrary<Typed> = fc.letrec<{ any: Typed; nested: Typed; leaf: Typed }>((tie) => ({
  any: fc.oneof({ maxDepth: 3 }, tie('leaf'), tie('nested')),
  leaf: fc.constantFrom(...primitives),
  nested: fc.oneof(
    fc.tuple(tie('any'), fc.boolean()).map(([element, required]) => listOf(element, required)),
    fc.tuple(tie('any'), fc.boolean()).map(([value, required]) => mapOf(value, required)),
    fc.array(fc.tuple(tie('any'), fc.boolean()), { minLength: 1, maxLength: 3 }).map(structOf),
  ),
})).any

/** Give every part of a type an id of its own. */
function numbered(type: FieldType, next: () => number): FieldType {
  if (typeof type === 'string') return type
  if (type.type === 'struct') return { ...type, fields: type.fields.map((field) => numberedField(field, next)) }
  if (type.type === 'list') return { ...type, 'element-id': next(), element: numbered(type.element, next) }
  return { ...type, 'key-id': next(), 'value-id': next(), value: numbered(type.value, next) }
}

const numberedField = (field: Field, next: () => number): Field => ({
  ...field,
  id: next(),
  type: numbered(field.type, next),
})

/** What hyparquet leaves out or calls undefined is null. */
function tidy(value: unknown): unknown {
  if (value === null || value === undefined) return null
  if (value instanceof Uint8Array) return [...value]
  if (Array.isArray(value)) return value.map(tidy)
  if (ArrayBuffer.isView(value)) return [...(value as unknown as Iterable<unknown>)].map(tidy)
  if (typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, tidy(one)]))
  return value
}

const files = fc.array(fc.tuple(typed, fc.boolean()), { minLength: 1, maxLength: 5 }).chain((fields) => {
  const row = structOf(fields)
  const count = fc.oneof(fc.integer({ min: 0, max: 40 }), fc.constantFrom(0, 1, 2, 300))
  return fc.record({
    fields: fc.constant(fields),
    rows: count.chain((length) => fc.array(row.value, { minLength: length, maxLength: length })),
    pageRows: fc.integer({ min: 1, max: 50 }),
    rowGroupRows: fc.integer({ min: 1, max: 120 }),
  })
})

test('whatever is written is read', async () => {
  await fc.assert(
    fc.asyncProperty(files, async ({ fields, rows, pageRows, rowGroupRows }) => {
      const row = structOf(fields)
      let id = 0
      const schema = numbered(row.type, () => ++id) as StructType
      const { bytes, summary } = await writeRows(schema, rows as Record<string, unknown>[], { pageRows, rowGroupRows })
      expect(summary.rows).toBe(rows.length)
      expect(summary.sizeBytes).toBe(bytes.length)
      const metadata = await readMetadata(bytes)
      expect(Number(metadata.num_rows)).toBe(rows.length)
      expect(metadata.row_groups.length).toBe(Math.ceil(rows.length / rowGroupRows))
      const found = await readRows(bytes)
      expect(found.map(tidy)).toEqual(rows.map((one) => tidy(row.read(one))))
    }),
    { numRuns: 150 },
  )
})
