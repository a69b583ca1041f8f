import { describe, expect, it } from 'vitest'
import { pathOfKey } from '../../host/node/disk-path.ts'
import { applyUpdates } from './apply.ts'
import { creationUpdates } from './catalog.ts'
import { decodeSegment, encodeSegment } from './catalog-keys.ts'
import { readMetadata, type TableMetadata, writeMetadata } from './metadata.ts'
import { makeSpec, unpartitioned } from './partition.ts'
import { checkRequirements, isRequirementConflict } from './requirement.ts'
import { makeSchema } from './schema.ts'
import { TestLake } from './testing.ts'
import type { Requirement, Update } from './update.ts'

const schema = makeSchema([
  { name: 'id', type: 'long', required: true },
  { name: 'ts', type: 'timestamp' },
])
const uuid = 'f79c3e09-677c-4bbd-a479-3f349cb785e7'
const created = applyUpdates(undefined, creationUpdates({ schema, location: 'file:///lake/t' }, uuid), 1_000)
const snapshot = (id: number | bigint, sequence: number, ms: number) => ({
  'snapshot-id': id,
  'sequence-number': sequence,
  'timestamp-ms': ms,
  'manifest-list': `file:///lake/t/metadata/${id}.avro`,
  summary: { operation: 'append' as const },
})
const add = (id: number | bigint, sequence: number, ms: number): Update[] => [
  { action: 'add-snapshot', snapshot: snapshot(id, sequence, ms) },
  { action: 'set-snapshot-ref', 'ref-name': 'main', type: 'branch', 'snapshot-id': id },
]

describe('updates', () => {
  it('make a table', () => {
    expect(created).toMatchObject({
      'format-version': 2,
      'table-uuid': uuid,
      location: 'file:///lake/t',
      'last-column-id': 2,
      'current-schema-id': 0,
      'partition-specs': [unpartitioned],
      'default-spec-id': 0,
      'last-partition-id': 999,
      'sort-orders': [{ 'order-id': 0, fields: [] }],
      'default-sort-order-id': 0,
    })
    expect(readMetadata(writeMetadata(created))).toEqual(created)
  })

  it('add what is new and find what is there', () => {
    const more = { ...schema, fields: [...schema.fields, { id: 3, name: 'x', required: false, type: 'int' }] }
    const table = applyUpdates(
      created,
      [
        { action: 'add-schema', schema: more },
        { action: 'set-current-schema', 'schema-id': -1 },
      ],
      2_000,
    )
    expect([table['current-schema-id'], table['last-column-id'], table.schemas.length]).toEqual([1, 3, 2])
    const again = applyUpdates(
      table,
      [
        { action: 'add-schema', schema },
        { action: 'set-current-schema', 'schema-id': -1 },
      ],
      3_000,
    )
    expect([again['current-schema-id'], again.schemas.length, again['last-updated-ms']]).toEqual([0, 2, 3_000])
    // A REST client may leave the ids of partition fields to the catalog.
    const bare = { 'spec-id': 0, fields: [{ 'source-id': 2, name: 'ts_day', transform: 'day' }] }
    const divided = applyUpdates(
      table,
      [
        { action: 'add-spec', spec: bare as never },
        { action: 'set-default-spec', 'spec-id': -1 },
      ],
      4_000,
    )
    expect(divided['partition-specs'][1]).toEqual({ 'spec-id': 1, fields: [{ ...bare.fields[0], 'field-id': 1000 }] })
    expect(divided['last-partition-id']).toBe(1000)
    const { spec } = makeSpec([{ column: 'ts', transform: 'day' }], {
      schema,
      specs: divided['partition-specs'],
      lastPartitionId: 1000,
    })
    expect(spec['spec-id']).toBe(1)
  })

  it('keep ids of snapshots past 2^53, and write down what was current when', () => {
    const id = 3_051_729_675_574_597_004n
    const one = applyUpdates(created, add(id, 1, 5_000), 5_500)
    expect(one['last-updated-ms']).toBe(5_500)
    const text = writeMetadata(one)
    expect(text).toContain('"current-snapshot-id":3051729675574597004')
    expect(readMetadata(text)).toEqual(one)
    checkRequirements(one, [{ type: 'assert-ref-snapshot-id', ref: 'main', 'snapshot-id': id }])
    const two = applyUpdates(one, add(7, 2, 6_000), 6_000)
    expect(two['snapshot-log']).toEqual([
      { 'snapshot-id': id, 'timestamp-ms': 5_000 },
      { 'snapshot-id': 7, 'timestamp-ms': 6_000 },
    ])
    expect(applyUpdates(two, [{ action: 'remove-snapshots', 'snapshot-ids': [id] }], 7_000)['snapshot-log']).toEqual([
      { 'snapshot-id': 7, 'timestamp-ms': 6_000 },
    ])
    const none = applyUpdates(two, [{ action: 'remove-snapshot-ref', 'ref-name': 'main' }], 7_000)
    expect(none).not.toHaveProperty('current-snapshot-id')
    expect(none['snapshot-log']).toEqual([])
  })

  it.each([
    ['a number that does not rise', add(8, 0, 9_000)],
    ['a ref to nowhere', [{ action: 'set-snapshot-ref', 'ref-name': 'x', type: 'tag', 'snapshot-id': 404 }]],
    [
      'main as a tag',
      [add(8, 1, 9_000)[0], { action: 'set-snapshot-ref', 'ref-name': 'main', type: 'tag', 'snapshot-id': 8 }],
    ],
    ['a default that is not there', [{ action: 'set-default-spec', 'spec-id': 4 }]],
    ['-1 without an addition', [{ action: 'set-current-schema', 'schema-id': -1 }]],
    ['another uuid', [{ action: 'assign-uuid', uuid: 'f79c3e09-677c-4bbd-a479-000000000000' }]],
    ['an unknown update', [{ action: 'make-coffee' }]],
    ['format 4', [{ action: 'upgrade-format-version', 'format-version': 4 }]],
    ['the removal of what is current', [{ action: 'remove-schemas', 'schema-ids': [0] }]],
    ['a snapshot much older than the table', add(8, 1, -100_000)],
  ] as [string, Update[]][])('refuse %s', (_, updates) => {
    expect(() => applyUpdates(created, updates, 9_000)).toThrow()
  })

  it('set and remove properties and statistics', () => {
    const file = { 'snapshot-id': 1, 'statistics-path': 's' }
    const table = applyUpdates(
      created,
      [
        ...add(1, 1, 2_000),
        { action: 'set-properties', updates: { a: '1', b: '2' } },
        { action: 'remove-properties', removals: ['a'] },
        { action: 'set-statistics', statistics: file },
        { action: 'set-partition-statistics', 'partition-statistics': file },
      ],
      2_000,
    )
    expect([table.properties, table.statistics, table['partition-statistics']]).toEqual([{ b: '2' }, [file], [file]])
    const gone = applyUpdates(table, [{ action: 'remove-snapshots', 'snapshot-ids': [1] }], 3_000)
    expect([gone.statistics, gone['partition-statistics'], gone.refs]).toEqual([[], [], {}])
  })
})

describe('requirements', () => {
  const holds = (table: TableMetadata | undefined, requirement: Requirement) => {
    try {
      checkRequirements(table, [requirement])
      return true
    } catch (error) {
      expect(isRequirementConflict(error)).toBe(true)
      return false
    }
  }
  it.each([
    [{ type: 'assert-table-uuid', uuid }, true],
    [{ type: 'assert-table-uuid', uuid: 'x' }, false],
    [{ type: 'assert-ref-snapshot-id', ref: 'main', 'snapshot-id': null }, true],
    [{ type: 'assert-ref-snapshot-id', ref: 'main', 'snapshot-id': 1 }, false],
    [{ type: 'assert-last-assigned-field-id', 'last-assigned-field-id': 2 }, true],
    [{ type: 'assert-last-assigned-field-id', 'last-assigned-field-id': 1 }, false],
    [{ type: 'assert-current-schema-id', 'current-schema-id': 0 }, true],
    [{ type: 'assert-last-assigned-partition-id', 'last-assigned-partition-id': 1000 }, false],
    [{ type: 'assert-default-spec-id', 'default-spec-id': 0 }, true],
    [{ type: 'assert-default-sort-order-id', 'default-sort-order-id': 1 }, false],
    [{ type: 'assert-create' }, false],
  ] as [Requirement, boolean][])('%o: %s', (requirement, isTrue) => {
    expect(holds(created, requirement)).toBe(isTrue)
    expect(holds(undefined, requirement)).toBe(requirement.type === 'assert-create')
  })
})

describe('metadata of others', () => {
  it('of format v1 is read as v2', () => {
    const v1 = {
      'format-version': 1,
      'table-uuid': uuid,
      location: 's3://b/t',
      'last-updated-ms': 1,
      'last-column-id': 2,
      schema: { type: 'struct', fields: schema.fields },
      'partition-spec': [{ 'source-id': 2, name: 'ts_day', transform: 'day' }],
      'current-snapshot-id': 3_051_729_675_574_597_004n,
      snapshots: [{ 'snapshot-id': 3_051_729_675_574_597_004n, 'timestamp-ms': 1, 'manifest-list': 's3://b/t/m.avro' }],
      extra: { kept: true },
    }
    const table = readMetadata(writeMetadata(v1 as never))
    expect(table.schemas[0]).toEqual(schema)
    expect(table['partition-specs'][0]?.fields[0]?.['field-id']).toBe(1000)
    expect(table.refs.main?.['snapshot-id']).toBe(3_051_729_675_574_597_004n)
    expect(table.snapshots[0]?.['sequence-number']).toBe(0)
    expect(table.extra).toEqual({ kept: true })
  })

  it('of a newer format, and what is none, is refused', () => {
    expect(() => readMetadata('{"format-version":4}')).toThrow('format version 4')
    expect(() => readMetadata('{"format-version":2}')).toThrow('no table-uuid')
    expect(() => readMetadata('nope')).toThrow('not JSON')
  })
})

describe('the catalog on an object store', () => {
  it('keeps namespaces in namespaces, and tables in them', async () => {
    const { catalog } = new TestLake()
    await catalog.createNamespace(['a'], { owner: 'me' })
    await catalog.createNamespace(['a', 'b.c/d é'])
    await catalog.createTable({ namespace: ['a'], name: 't.x' }, { schema })
    await catalog.createTable({ namespace: ['a', 'b.c/d é'], name: 'u' }, { schema })
    expect(await catalog.listNamespaces()).toEqual([['a']])
    expect(await catalog.listNamespaces(['a'])).toEqual([['a', 'b.c/d é']])
    expect(await catalog.loadNamespace(['a'])).toEqual({ owner: 'me' })
    expect(await catalog.listTables(['a'])).toEqual([{ namespace: ['a'], name: 't.x' }])
    await expect(catalog.createNamespace(['a'])).rejects.toMatchObject({ code: 'exists' })
    await expect(catalog.createNamespace(['x', 'y'])).rejects.toMatchObject({ code: 'not_found' })
    await expect(catalog.createTable({ namespace: ['x'], name: 't' }, { schema })).rejects.toMatchObject({
      code: 'not_found',
    })
    await expect(catalog.createTable({ namespace: ['a'], name: 't.x' }, { schema })).rejects.toMatchObject({
      code: 'exists',
    })
    await expect(catalog.dropNamespace(['a'])).rejects.toMatchObject({ code: 'conflict' })
    await catalog.dropTable({ namespace: ['a', 'b.c/d é'], name: 'u' }, { purge: true })
    await catalog.dropNamespace(['a', 'b.c/d é'])
    expect(await catalog.listNamespaces(['a'])).toEqual([])
    for (const name of ['a.b', 'ß@%/', '😀', 'Upper', '@ab', 'con', 'console']) {
      expect(decodeSegment(encodeSegment(name))).toBe(name)
      expect(pathOfKey(`${encodeSegment(name)}@/${encodeSegment(name)}/v1.json`).slice(0, 2)).toEqual([
        `${encodeSegment(name)}@`,
        encodeSegment(name),
      ])
    }
  })

  it('forgets a dropped table, also where it was seen before', async () => {
    const lake = new TestLake()
    await lake.create({ schema })
    await lake.append([{ id: 1, ts: 0 }])
    const other = new TestLake(lake.store, 2)
    expect((await other.load())['last-sequence-number']).toBe(1)
    await lake.catalog.dropTable(lake.name)
    await expect(other.load()).rejects.toMatchObject({ code: 'not_found' })
    await lake.catalog.createTable(lake.name, { schema })
    expect((await other.load())['last-sequence-number']).toBe(0)
    // A table of as many versions in the place of the one that was seen is another table.
    await lake.append([{ id: 1, ts: 0 }])
    const { 'table-uuid': uuidNow } = await other.load()
    await lake.catalog.dropTable(lake.name)
    await lake.catalog.createTable(lake.name, { schema })
    await lake.append([{ id: 2, ts: 0 }])
    expect((await other.load())['table-uuid']).not.toBe(uuidNow)
  })

  it('refuses what folders cannot do', async () => {
    const lake = new TestLake()
    await lake.create({ schema })
    const moved = { requirements: [], updates: [{ action: 'set-location', location: 'x' }] } as const
    await expect(lake.catalog.commitTable(lake.name, moved)).rejects.toMatchObject({ code: 'unsupported' })
    await expect(
      lake.catalog.createTable({ namespace: ['db'], name: 'z' }, { schema, location: 's3://z' }),
    ).rejects.toMatchObject({ code: 'unsupported' })
    expect(() => lake.files.keyOf('s3://elsewhere/x')).toThrow('not under')
  })
})
