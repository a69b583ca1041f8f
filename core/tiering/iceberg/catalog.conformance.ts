/** What every Catalog does, whoever keeps the tables: one list of cases, each on an empty catalog. Cases make no files,
 *  so that any catalog can be asked: snapshots name manifest lists that nobody reads. */
import type { Code } from '../../errors.ts'
import { Failure } from '../../errors.ts'
import { type Catalog, creationUpdates, type TableName } from './catalog.ts'
import type { Snapshot, TableMetadata } from './metadata.ts'
import { makeSpec, unpartitioned } from './partition.ts'
import { isRequirementConflict } from './requirement.ts'
import { makeSchema } from './schema.ts'
import type { CommitRequest, Requirement, Update } from './update.ts'

/** The `expect` of a test runner, as far as it is used. */
export type Expect = (value: unknown) => {
  toEqual(expected: unknown): void
  toMatchObject(expected: object): void
  toBe(expected: unknown): void
  not: { toEqual(expected: unknown): void }
}

/** A catalog to be tested, and another client of the same. */
export interface CatalogSubject {
  readonly catalog: Catalog
  readonly other: Catalog
  /** Now, as the catalog's clock has it. */
  nowMs(): number
}

/** One thing that holds. */
export interface CatalogCase {
  readonly name: string
  run(subject: CatalogSubject, expect: Expect): Promise<void>
}

const schema = makeSchema([
  { name: 'id', type: 'long', required: true },
  { name: 'ts', type: 'timestamp' },
  { name: 'tags', type: { type: 'list', 'element-id': 0, element: 'string', 'element-required': false } },
])
const table = (name: string, ...namespace: string[]): TableName => ({ namespace, name })

async function expectFailure(expect: Expect, code: Code, work: Promise<unknown>): Promise<Failure> {
  const error = await work.then(
    () => undefined,
    (thrown) => thrown,
  )
  expect(error instanceof Failure ? error.code : error).toBe(code)
  return error as Failure
}

async function expectConflict(expect: Expect, work: Promise<unknown>): Promise<void> {
  expect(isRequirementConflict(await expectFailure(expect, 'conflict', work))).toBe(true)
}

const setProperty = (key: string, value: string, ...requirements: Requirement[]): CommitRequest => ({
  requirements,
  updates: [{ action: 'set-properties', updates: { [key]: value } }],
})
const onUuid = ({ 'table-uuid': uuid }: TableMetadata): Requirement => ({ type: 'assert-table-uuid', uuid })

/** A commit of a snapshot on top of what is there. */
function snapshotCommit(metadata: TableMetadata, id: number | bigint, nowMs: number): CommitRequest {
  const parent = metadata['current-snapshot-id']
  const snapshot: Snapshot = {
    'snapshot-id': id,
    ...(parent !== undefined && { 'parent-snapshot-id': parent }),
    'sequence-number': metadata['last-sequence-number'] + 1,
    'timestamp-ms': Math.max(nowMs, metadata['last-updated-ms']),
    'manifest-list': `${metadata.location}/metadata/snap-${id}.avro`,
    summary: { operation: 'append', 'total-records': '0' },
    'schema-id': metadata['current-schema-id'],
  }
  const updates: Update[] = [
    { action: 'add-snapshot', snapshot },
    { action: 'set-snapshot-ref', 'ref-name': 'main', type: 'branch', 'snapshot-id': id },
  ]
  const onParent = { type: 'assert-ref-snapshot-id', ref: 'main', 'snapshot-id': parent ?? null } as const
  return { requirements: [onUuid(metadata), onParent], updates }
}

const namespaceCases: CatalogCase[] = [
  {
    name: 'namespaces are in namespaces, and are listed one level at a time',
    async run({ catalog, other }, expect) {
      await catalog.createNamespace(['a'], { owner: 'me' })
      await catalog.createNamespace(['b'])
      await catalog.createNamespace(['a', 'inner'])
      await catalog.createNamespace(['a', 'inner', 'most'])
      const sorted = async (parent?: string[]) => (await other.listNamespaces(parent)).map((one) => one.join()).sort()
      expect(await sorted()).toEqual(['a', 'b'])
      expect(await sorted(['a'])).toEqual(['a,inner'])
      expect(await sorted(['a', 'inner'])).toEqual(['a,inner,most'])
      expect(await sorted(['b'])).toEqual([])
      expect(await other.loadNamespace(['a'])).toMatchObject({ owner: 'me' })
    },
  },
  {
    name: 'names may hold anything',
    async run({ catalog, other }, expect) {
      const odd = ['b.c/d é', '100%', 'a+b&c=d?#', "it's 😀", '%1F', '%252F']
      await catalog.createNamespace(['n'])
      for (const name of odd) {
        await catalog.createNamespace(['n', name])
        await catalog.createTable(table(name, 'n', name), { schema })
        expect(await other.listTables(['n', name])).toEqual([table(name, 'n', name)])
        expect((await other.loadTable(table(name, 'n', name))).metadata.schemas.length).toBe(1)
      }
      expect((await other.listNamespaces(['n'])).map(([, name]) => name).sort()).toEqual([...odd].sort())
    },
  },
  {
    name: 'a namespace that is there is not made again, one that is not there is not found',
    async run({ catalog }, expect) {
      await catalog.createNamespace(['a'])
      await expectFailure(expect, 'exists', catalog.createNamespace(['a']))
      await expectFailure(expect, 'not_found', catalog.createNamespace(['x', 'y']))
      await expectFailure(expect, 'not_found', catalog.loadNamespace(['x']))
      await expectFailure(expect, 'not_found', catalog.listNamespaces(['x']))
      await expectFailure(expect, 'not_found', catalog.listTables(['x']))
      await expectFailure(expect, 'not_found', catalog.dropNamespace(['x']))
      await expectFailure(expect, 'not_found', catalog.updateNamespace(['x'], { set: { a: '1' } }))
    },
  },
  {
    name: 'properties of a namespace are set and removed',
    async run({ catalog, other }, expect) {
      await catalog.createNamespace(['a'], { one: '1', two: '2' })
      await catalog.updateNamespace(['a'], { set: { three: '3', one: '11' }, remove: ['two', 'none'] })
      const { one, two, three } = await other.loadNamespace(['a'])
      expect({ one, two, three }).toEqual({ one: '11', two: undefined, three: '3' })
    },
  },
  {
    name: 'only an empty namespace is dropped',
    async run({ catalog, other }, expect) {
      await catalog.createNamespace(['a'])
      await catalog.createNamespace(['a', 'b'])
      await expectFailure(expect, 'conflict', catalog.dropNamespace(['a']))
      await catalog.createTable(table('t', 'a', 'b'), { schema })
      await expectFailure(expect, 'conflict', catalog.dropNamespace(['a', 'b']))
      await catalog.dropTable(table('t', 'a', 'b'))
      await catalog.dropNamespace(['a', 'b'])
      await catalog.dropNamespace(['a'])
      expect(await other.listNamespaces()).toEqual([])
    },
  },
]

const tableCases: CatalogCase[] = [
  {
    name: 'a table is made as asked for, and read by others',
    async run({ catalog, other }, expect) {
      await catalog.createNamespace(['db'])
      const { spec } = makeSpec([{ column: 'ts', transform: 'day' }], { schema, specs: [], lastPartitionId: 999 })
      const sortOrder = { 'order-id': 1, fields: [sortField] }
      const options = { schema, spec, sortOrder, properties: { color: 'red' } }
      const made = await catalog.createTable(table('t', 'db'), options)
      const read = await other.loadTable(table('t', 'db'))
      expect(read).toEqual(made)
      const { metadata } = read
      expect(metadata.schemas[0]).toMatchObject({ fields: schema.fields })
      expect(metadata['partition-specs'].at(-1)?.fields).toEqual(spec.fields)
      expect(metadata['sort-orders'].at(-1)?.fields).toEqual([sortField])
      expect(metadata.properties).toMatchObject({ color: 'red' })
      expect(metadata.snapshots).toEqual([])
      expect(await other.listTables(['db'])).toEqual([table('t', 'db')])
    },
  },
  {
    name: 'a table that is there is not made again, one that is not there is not found',
    async run({ catalog }, expect) {
      await catalog.createNamespace(['db'])
      await catalog.createTable(table('t', 'db'), { schema })
      await expectFailure(expect, 'exists', catalog.createTable(table('t', 'db'), { schema }))
      await expectFailure(expect, 'exists', catalog.stageTable(table('t', 'db'), { schema }))
      await expectFailure(expect, 'not_found', catalog.createTable(table('t', 'x'), { schema }))
      await expectFailure(expect, 'not_found', catalog.stageTable(table('t', 'x'), { schema }))
      await expectFailure(expect, 'not_found', catalog.loadTable(table('u', 'db')))
      await expectFailure(expect, 'not_found', catalog.loadTable(table('t', 'x')))
      await expectFailure(expect, 'not_found', catalog.dropTable(table('u', 'db')))
      await expectFailure(expect, 'not_found', catalog.commitTable(table('u', 'db'), setProperty('a', '1')))
    },
  },
  {
    name: 'a staged table is made by its first commit, once',
    async run({ catalog, other }, expect) {
      await catalog.createNamespace(['db'])
      const staged = await catalog.stageTable(table('t', 'db'), { schema, properties: { a: '1' } })
      expect(await other.listTables(['db'])).toEqual([])
      const { location, properties, 'table-uuid': uuid } = staged
      const updates = creationUpdates({ schema, spec: unpartitioned, location, properties }, uuid)
      const create: CommitRequest = { requirements: [{ type: 'assert-create' }], updates }
      const { metadata } = await catalog.commitTable(table('t', 'db'), create)
      expect(metadata).toMatchObject({ 'table-uuid': uuid, location, properties: { a: '1' } })
      await expectConflict(expect, other.commitTable(table('t', 'db'), create))
    },
  },
  {
    name: 'a dropped table is gone, and its name is free',
    async run({ catalog, other }, expect) {
      await catalog.createNamespace(['db'])
      const first = await catalog.createTable(table('t', 'db'), { schema })
      await other.loadTable(table('t', 'db'))
      await catalog.dropTable(table('t', 'db'), { purge: true })
      await expectFailure(expect, 'not_found', other.loadTable(table('t', 'db')))
      expect(await other.listTables(['db'])).toEqual([])
      await catalog.createTable(table('t', 'db'), { schema })
      const second = await other.loadTable(table('t', 'db'))
      expect(second.metadata['table-uuid']).not.toEqual(first.metadata['table-uuid'])
    },
  },
  {
    name: 'a table is renamed, or the catalog says that it cannot',
    async run({ catalog, other }, expect) {
      await catalog.createNamespace(['db'])
      const { metadata } = await catalog.createTable(table('t', 'db'), { schema })
      const error = await catalog.renameTable(table('t', 'db'), table('u', 'db')).then(
        () => undefined,
        (thrown) => thrown,
      )
      const name = error === undefined ? 'u' : 't'
      if (error !== undefined) expect(error).toMatchObject({ code: 'unsupported' })
      expect(await other.listTables(['db'])).toEqual([table(name, 'db')])
      expect((await other.loadTable(table(name, 'db'))).metadata['table-uuid']).toBe(metadata['table-uuid'])
    },
  },
]

const sortField = { 'source-id': 1, transform: 'identity', direction: 'asc', 'null-order': 'nulls-first' } as const

const commitCases: CatalogCase[] = [
  {
    name: 'commits follow each other, whoever makes them',
    async run({ catalog, other, nowMs }, expect) {
      const name = table('t', 'db')
      await catalog.createNamespace(['db'])
      let { metadata } = await catalog.createTable(name, { schema })
      for (const [at, one] of [catalog, other, catalog, other].entries()) {
        const committed = await one.commitTable(name, snapshotCommit(metadata, 100 + at, nowMs()))
        metadata = committed.metadata
        expect(metadata['current-snapshot-id']).toBe(100 + at)
        for (const reader of [catalog, other]) expect(await reader.loadTable(name)).toEqual(committed)
      }
      expect(metadata.snapshots.map((snapshot) => snapshot['snapshot-id'])).toEqual([100, 101, 102, 103])
    },
  },
  {
    name: 'a requirement that does not hold is a conflict, and nothing changes',
    async run({ catalog, other, nowMs }, expect) {
      const name = table('t', 'db')
      await catalog.createNamespace(['db'])
      const { metadata } = await catalog.createTable(name, { schema })
      await other.commitTable(name, snapshotCommit(metadata, 7, nowMs()))
      await expectConflict(expect, catalog.commitTable(name, snapshotCommit(metadata, 8, nowMs())))
      const wrong: Requirement[] = [
        { type: 'assert-table-uuid', uuid: '00000000-0000-4000-8000-000000000000' },
        { type: 'assert-last-assigned-field-id', 'last-assigned-field-id': 99 },
        { type: 'assert-current-schema-id', 'current-schema-id': 9 },
        { type: 'assert-create' },
      ]
      for (const one of wrong) await expectConflict(expect, catalog.commitTable(name, setProperty('a', '1', one)))
      const { metadata: now } = await catalog.loadTable(name)
      expect(now.properties.a).toBe(undefined)
      expect(now['current-snapshot-id']).toBe(7)
    },
  },
  {
    name: 'ids of snapshots past 2^53 stay exact',
    async run({ catalog, other, nowMs }, expect) {
      const name = table('t', 'db')
      const id = 3_051_729_675_574_597_004n
      await catalog.createNamespace(['db'])
      const { metadata } = await catalog.createTable(name, { schema })
      await catalog.commitTable(name, snapshotCommit(metadata, id, nowMs()))
      const { metadata: read } = await other.loadTable(name)
      expect(read['current-snapshot-id']).toBe(id)
      const next = await other.commitTable(name, snapshotCommit(read, id + 1n, nowMs()))
      expect(next.metadata.snapshots.at(-1)?.['parent-snapshot-id']).toBe(id)
    },
  },
  {
    name: 'an update that makes no sense is refused',
    async run({ catalog }, expect) {
      const name = table('t', 'db')
      await catalog.createNamespace(['db'])
      await catalog.createTable(name, { schema })
      const update: Update = { action: 'set-default-spec', 'spec-id': 44 }
      const error = await catalog.commitTable(name, { requirements: [], updates: [update] }).catch((thrown) => thrown)
      expect(['invalid', 'not_found'].includes((error as Failure).code)).toBe(true)
    },
  },
]

const together: CatalogCase[] = [
  {
    name: 'several tables change together, or none does',
    async run({ catalog, other, nowMs }, expect) {
      await catalog.createNamespace(['db'])
      const names = ['a', 'b', 'c'].map((name) => table(name, 'db'))
      const made: TableMetadata[] = []
      for (const name of names) made.push((await catalog.createTable(name, { schema })).metadata)
      const requests = names.map((one, at) => {
        return { table: one, request: snapshotCommit(made[at] as TableMetadata, 50 + at, nowMs()) }
      })
      const last = names.at(-1) as TableName
      const current = async () => {
        const all = await Promise.all(names.map((one) => other.loadTable(one)))
        return all.map(({ metadata }) => metadata['current-snapshot-id'])
      }
      await other.commitTable(last, snapshotCommit(made[2] as TableMetadata, 9, nowMs()))
      await expectConflict(expect, catalog.commitTables(requests))
      expect(await current()).toEqual([undefined, undefined, 9])
      await catalog.commitTables(requests.slice(0, 2))
      expect(await current()).toEqual([50, 51, 9])
      // Tables go on from there like any other.
      const { metadata } = await other.loadTable(names[0] as TableName)
      await catalog.commitTable(names[0] as TableName, snapshotCommit(metadata, 60, nowMs()))
      expect(await current()).toEqual([60, 51, 9])
    },
  },
  {
    name: 'a commit of one table, or of none, is a commit too',
    async run({ catalog, other, nowMs }, expect) {
      await catalog.createNamespace(['db'])
      const name = table('t', 'db')
      const { metadata } = await catalog.createTable(name, { schema })
      await catalog.commitTables([])
      await catalog.commitTables([{ table: name, request: snapshotCommit(metadata, 5, nowMs()) }])
      expect((await other.loadTable(name)).metadata['current-snapshot-id']).toBe(5)
    },
  },
  {
    name: 'a table is named once in a commit of several',
    async run({ catalog }, expect) {
      await catalog.createNamespace(['db'])
      const name = table('t', 'db')
      await catalog.createTable(name, { schema })
      const twice = ['1', '2'].map((value) => ({ table: name, request: setProperty('a', value) }))
      await expectFailure(expect, 'invalid', catalog.commitTables(twice))
      expect((await catalog.loadTable(name)).metadata.properties.a).toBe(undefined)
    },
  },
]

/** Everything a catalog does. */
export const catalogCases: readonly CatalogCase[] = [...namespaceCases, ...tableCases, ...commitCases, ...together]
