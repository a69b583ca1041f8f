/** Random schemas and rows, written by our writer, read back with every way of leaving rows out. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type BoundPredicate, bind, compileMatcher, type Predicate } from '../iceberg/expression.ts'
import { compileColumnMatcher } from '../iceberg/read-match.ts'
import type { Schema } from '../iceberg/schema.ts'
import { type ColumnBatch, positionOf, readColumns } from './read.ts'
import type { Cell } from './read-assemble.ts'
import type { FileReader } from './read-file.ts'
import { anyType, numbered, openBytes, primitives, rowsOfColumns, structOf, type Typed } from './read-testing.ts'
import type { RowInput } from './shred.ts'
import { writeRows } from './testing.ts'

type Row = Record<string, unknown>

interface Case {
  readonly row: Typed
  readonly rows: readonly Row[]
  readonly pageRows: number
  readonly rowGroupRows: number
}

const casesOf = (type: fc.Arbitrary<Typed>): fc.Arbitrary<Case> =>
  fc.array(fc.tuple(type, fc.boolean()), { minLength: 1, maxLength: 4 }).chain((fields) => {
    const row = structOf(fields)
    const count = fc.oneof(fc.integer({ min: 0, max: 40 }), fc.constantFrom(1, 2, 300))
    const value = row.value as fc.Arbitrary<Row>
    return fc.record({
      row: fc.constant(row),
      rows: count.chain((length) => fc.array(value, { minLength: length, maxLength: length })),
      pageRows: fc.integer({ min: 1, max: 50 }),
      rowGroupRows: fc.integer({ min: 1, max: 120 }),
    })
  })

async function open({ row, rows, pageRows, rowGroupRows }: Case) {
  const schema: Schema = { ...numbered(row.type as Schema), 'schema-id': 0 }
  const bloom = schema.fields.flatMap(({ name, type }) => (typeof type === 'string' ? [name] : []))
  const { bytes } = await writeRows(schema, rows as RowInput[], { pageRows, rowGroupRows, bloom })
  return { schema, file: await openBytes(bytes) }
}

interface Found {
  readonly positions: number[]
  readonly rows: Record<string, Cell>[]
}

async function gather(
  file: FileReader,
  schema: Schema,
  options: Partial<Parameters<typeof readColumns>[1]>,
): Promise<Found> {
  const found: Found = { positions: [], rows: [] }
  for await (const batch of readColumns(file, { fields: schema.fields, ...options })) {
    const { columns, rows }: ColumnBatch = batch
    for (const column of columns) expect(column.length).toBe(rows)
    for (let at = 0; at < rows; at++) found.positions.push(positionOf(batch, at))
    found.rows.push(...rowsOfColumns(schema, columns))
  }
  return found
}

test('whatever is written is read', async () => {
  await fc.assert(
    fc.asyncProperty(casesOf(anyType), fc.integer({ min: 1, max: 5000 }), async (one, batchBytes) => {
      const { schema, file } = await open(one)
      const expected = one.rows.map((row) => one.row.read(row))
      for (const options of [{}, { batchBytes }]) {
        const { rows, positions } = await gather(file, schema, options)
        expect(rows).toEqual(expected)
        expect(positions).toEqual(expected.map((_, at) => at))
      }
    }),
    { numRuns: 150 },
  )
})

test('any rows, by their positions, and any columns', async () => {
  await fc.assert(
    fc.asyncProperty(casesOf(anyType), fc.array(fc.boolean(), { minLength: 1, maxLength: 20 }), async (one, coins) => {
      const { schema, file } = await open(one)
      let tossed = 0
      const toss = () => coins[tossed++ % coins.length]
      const positions = one.rows.map((_, at) => at).filter(() => toss() && toss())
      const fields = schema.fields.filter(toss)
      const found = await gather(file, { ...schema, fields }, { fields, positions })
      const expected = one.rows.map((row) => one.row.read(row) as Row)
      const pick = (row: Row) => Object.fromEntries(fields.map(({ name }) => [name, row[name]]))
      expect(found.positions).toEqual(positions)
      if (fields.length > 0) expect(found.rows).toEqual(positions.map((at) => pick(expected[at] as Row)))
    }),
    { numRuns: 100 },
  )
})

const comparisons = ['eq', 'not-eq', 'lt', 'lt-eq', 'gt', 'gt-eq'] as const

/** Predicates about values that are in the rows, and about others. */
function predicateOf({ row, rows }: Case): fc.Arbitrary<Predicate> {
  const fields = row.type as Schema
  const leaf = fc.integer({ min: 0, max: fields.fields.length - 1 }).chain((at): fc.Arbitrary<Predicate> => {
    const { name: column, type } = fields.fields[at] as { name: string; type: string }
    const there = rows.map((one) => one[column]).filter((value) => value !== null && !Number.isNaN(value))
    const known = there.length > 0 ? fc.constantFrom(...there) : fc.constant(undefined)
    const value = known.map((one) => (one instanceof Uint8Array && type === 'uuid' ? uuidText(one) : one))
    const nothing = fc.constantFrom<Predicate>({ op: 'is-null', column }, { op: 'not-null', column })
    if (there.length === 0) return nothing
    const some = fc.array(value, { minLength: 1, maxLength: 3 })
    const tests: fc.Arbitrary<Predicate>[] = [
      nothing,
      fc.record({ op: fc.constantFrom(...comparisons), column: fc.constant(column), value }),
      fc.record({ op: fc.constantFrom('in' as const, 'not-in' as const), column: fc.constant(column), values: some }),
    ]
    if (type === 'float' || type === 'double') {
      tests.push(fc.constantFrom<Predicate>({ op: 'is-nan', column }, { op: 'not-nan', column }))
    }
    if (type === 'string') {
      // By characters: half of one is no text, and a filter for it could look for another start for ever.
      const starts = value.map((text) => [...(text as string)].slice(0, 2).join(''))
      tests.push(starts.map((text): Predicate => ({ op: 'starts-with', column, value: text })))
      tests.push(starts.map((text): Predicate => ({ op: 'not-starts-with', column, value: text })))
    }
    return fc.oneof(...tests)
  })
  const args = fc.array(leaf, { minLength: 1, maxLength: 3 })
  const joined = fc.record({ op: fc.constantFrom('and' as const, 'or' as const), args })
  return fc.oneof(
    leaf,
    joined,
    joined.map((arg): Predicate => ({ op: 'not', arg })),
  )
}

const uuidText = (bytes: Uint8Array) =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0'))
    .join('')
    .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')

const withPredicate = casesOf(fc.constantFrom(...primitives)).chain((one) =>
  fc.tuple(fc.constant(one), predicateOf(one)),
)

test('what is left out does not meet the predicate, and a filter is exact', async () => {
  let pruned = 0
  await fc.assert(
    fc.asyncProperty(withPredicate, async ([one, predicate]) => {
      const { schema, file } = await open(one)
      const where: BoundPredicate = bind(predicate, schema)
      const matches = compileMatcher(where, schema)
      const expected = one.rows.flatMap((row, at) => (matches(row) ? [at] : []))
      const all = await gather(file, schema, { where })
      expect(expected.filter((at) => !all.positions.includes(at))).toEqual([])
      pruned += file.counts.groupsPruned + file.counts.pagesPruned
      const exact = await gather(file, schema, { where, filter: compileColumnMatcher(where, schema) })
      expect(exact.positions).toEqual(expected)
      expect(exact.rows).toEqual(expected.map((at) => one.row.read(one.rows[at])))
      const limit = Math.ceil(expected.length / 2)
      const some = await gather(file, schema, { where, filter: compileColumnMatcher(where, schema), limit })
      expect(some.positions).toEqual(expected.slice(0, limit))
    }),
    { numRuns: 300 },
  )
  expect(pruned).toBeGreaterThan(300)
})
