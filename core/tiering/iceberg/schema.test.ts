import { describe, expect, it } from 'vitest'
import { Failure } from '../../errors.ts'
import { evolveSchema, type SchemaChange } from './evolve.ts'
import {
  compilePartition,
  makeSortOrder,
  makeSpec,
  type PartitionSpec,
  partitionKey,
  partitionPath,
  tupleTypes,
  typesOf,
} from './partition.ts'
import { checkSchema, findField, getField, makeSchema, type Schema } from './schema.ts'
import type { StructType } from './types.ts'

const columns = [
  { name: 'id', type: 'long', required: true },
  { name: 'ts', type: 'timestamptz' },
  {
    name: 'place',
    type: {
      type: 'struct',
      fields: [
        { id: 0, name: 'city', required: false, type: 'string' },
        { id: 0, name: 'zip', required: false, type: 'int' },
      ],
    },
  },
  { name: 'tags', type: { type: 'list', 'element-id': 0, 'element-required': true, element: 'string' } },
  {
    name: 'more',
    type: { type: 'map', 'key-id': 0, key: 'string', 'value-id': 0, 'value-required': false, value: 'float' },
  },
] as const

const schema = makeSchema(columns, ['id'])
const lastColumnId = 10
const evolve = (...changes: SchemaChange[]) => evolveSchema({ schema, lastColumnId }, changes, [2])

describe('schemas', () => {
  it('give ids level by level', () => {
    const ids = [
      'id',
      'ts',
      'place',
      'tags',
      'more',
      'place.city',
      'place.zip',
      'tags.element',
      'more.key',
      'more.value',
    ]
    expect(ids.map((name) => getField(schema, name).field.id)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    expect(schema['identifier-field-ids']).toEqual([1])
    checkSchema(schema)
  })

  it('never give an id twice, also when a column of the same name comes back', () => {
    const { schema: once, lastColumnId: last } = evolve({ drop: 'tags' }, { add: { name: 'tags', type: 'string' } })
    expect(getField(once, 'tags').field.id).toBe(11)
    expect(last).toBe(11)
    const twice = evolveSchema({ schema: once, lastColumnId: last }, [
      { drop: 'tags' },
      { add: { name: 'tags', type: 'int' } },
    ])
    expect(getField(twice.schema, 'tags').field.id).toBe(12)
  })

  it('change nested columns by their full name, ids kept', () => {
    const { schema: changed } = evolve(
      { rename: 'place.zip', to: 'code' },
      { widen: 'place.code', type: 'long' },
      { add: { name: 'land', type: 'string' }, parent: 'place' },
      { move: 'place.land' },
      { widen: 'more.value', type: 'double' },
      { optional: 'tags.element' },
      { rename: 'ts', to: 'at' },
      { move: 'id', after: 'at' },
    )
    const place = getField(changed, 'place').field.type as StructType
    expect(place.fields.map(({ id, name, type }) => [id, name, type])).toEqual([
      [11, 'land', 'string'],
      [6, 'city', 'string'],
      [7, 'code', 'long'],
    ])
    expect(getField(changed, 'more.value').field.type).toBe('double')
    expect(getField(changed, 'tags.element').field.required).toBe(false)
    expect(changed.fields.slice(0, 2).map(({ id, name }) => [id, name])).toEqual([
      [2, 'at'],
      [1, 'id'],
    ])
    expect(findField(schema, 'place.code')).toBeUndefined()
  })

  it.each([
    ['a required column', { add: { name: 'x', type: 'int', required: true } }],
    ['a column that is there', { add: { name: 'id', type: 'int' } }],
    ['a column in no struct', { add: { name: 'x', type: 'int' }, parent: 'tags' }],
    ['to drop a source of partitions', { drop: 'ts' }],
    ['to drop an identifier', { drop: 'id' }],
    ['to drop part of a list', { drop: 'tags.element' }],
    ['to narrow', { widen: 'id', type: 'int' }],
    ['to widen a struct', { widen: 'place', type: 'long' }],
    ['a key that is null', { optional: 'more.key' }],
    ['an identifier that is null', { optional: 'id' }],
    ['a name that is taken', { rename: 'ts', to: 'id' }],
    ['a column that is not there', { rename: 'nope', to: 'x' }],
    ['a move between structs', { move: 'place.city', after: 'id' }],
    ['no type', { add: { name: 'x', type: 'number' } }],
    ['types of v3', { add: { name: 'x', type: 'timestamp_ns' } }],
  ] as [string, SchemaChange][])('refuse %s', (_, change) => {
    expect(() => evolve(change)).toThrow(Failure)
  })
})

describe('partition specs', () => {
  const context = { schema, specs: [] as PartitionSpec[], lastPartitionId: 999 }
  const first = makeSpec(
    [
      { column: 'ts', transform: 'day' },
      { column: 'place.city', transform: 'truncate[2]' },
    ],
    context,
  )

  it('number their fields from 1000, and keep an id while the field stays the same', () => {
    expect(first.spec.fields.map((field) => [field['field-id'], field.name])).toEqual([
      [1000, 'ts_day'],
      [1001, 'place_city_trunc'],
    ])
    const later = { schema, specs: [first.spec], lastPartitionId: first.lastPartitionId }
    const second = makeSpec(
      [
        { column: 'id', transform: 'bucket[8]' },
        { column: 'ts', transform: 'day' },
      ],
      later,
    )
    expect(second.spec['spec-id']).toBe(1)
    expect(second.spec.fields.map((field) => field['field-id'])).toEqual([1002, 1000])
    expect(
      makeSpec(
        [
          { column: 'ts', transform: 'day' },
          { column: 'place.city', transform: 'truncate[2]' },
        ],
        later,
      ).spec,
    ).toBe(first.spec)
  })

  it('find the partition of a row', () => {
    const partitionOf = compilePartition(first.spec, schema)
    const partition = partitionOf({ id: 1, ts: 1_510_871_468_000_001, place: { city: 'Zürich' } })
    expect(partition).toEqual([17_486, 'Zü'])
    expect(partitionPath(first.spec, typesOf([schema]), partition)).toBe('ts_day=2017-11-16/place_city_trunc=Z%C3%BC')
    expect(partitionOf({ id: 1, ts: null, place: null })).toEqual([null, null])
    const types = tupleTypes(first.spec, typesOf([schema]))
    expect(types).toEqual(['date', 'string'])
    expect(partitionKey(types, partition)).not.toBe(partitionKey(types, [17_486, null]))
    expect(partitionKey(['double'], [0])).not.toBe(partitionKey(['double'], [-0]))
  })

  it('refuse columns and transforms that cannot divide', () => {
    for (const field of [
      { column: 'tags.element', transform: 'identity' },
      { column: 'ts', transform: 'zorder' },
      { column: 'id', transform: 'day' },
      { column: 'ts', transform: 'day', name: 'id' },
      { column: 'nope', transform: 'identity' },
    ]) {
      expect(() => makeSpec([field], context)).toThrow(Failure)
    }
  })

  it('know the type of a column that is gone', () => {
    const { schema: without } = evolveSchema({ schema, lastColumnId }, [{ drop: 'place' }])
    expect(tupleTypes(first.spec, typesOf([schema, without as Schema], without))).toEqual(['date', 'string'])
  })
})

describe('sort orders', () => {
  it('are made by name and found again', () => {
    const order = makeSortOrder(
      [
        { column: 'ts', direction: 'desc' },
        { column: 'id', transform: 'bucket[4]' },
      ],
      schema,
    )
    expect(order).toEqual({
      'order-id': 1,
      fields: [
        { transform: 'identity', 'source-id': 2, direction: 'desc', 'null-order': 'nulls-last' },
        { transform: 'bucket[4]', 'source-id': 1, direction: 'asc', 'null-order': 'nulls-first' },
      ],
    })
    expect(
      makeSortOrder(
        [
          { column: 'ts', direction: 'desc' },
          { column: 'id', transform: 'bucket[4]' },
        ],
        schema,
        [order],
      ),
    ).toBe(order)
    expect(makeSortOrder([], schema)['order-id']).toBe(0)
  })
})
