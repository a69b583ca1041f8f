/** Applies updates to table metadata.
 *
 *  1. The result is checked like any table: a snapshot's number is above all before it, refs name snapshots that are
 *     there, defaults name specs, orders and schemas that are there and fit.
 *  2. A schema, spec or order that the table has already is not added again; its id is used.
 *  @source Iceberg Java, TableMetadata.Builder, for what the OpenAPI leaves open */
import { Failure } from '../../errors.ts'
import type { Long } from '../avro/binary.ts'
import { sameColumns } from './evolve.ts'
import {
  formatVersion,
  formatVersionMax,
  lastColumnId,
  type Snapshot,
  type SnapshotRef,
  type StatisticsFile,
  schemaOf,
  sortOrderOf,
  specOf,
  type TableMetadata,
} from './metadata.ts'
import { checkSortOrder, checkSpec, partitionIdBefore, sameFields, unsorted } from './partition.ts'
import { requirementFailed } from './requirement.ts'
import { checkSchema } from './schema.ts'
import type { Update } from './update.ts'

type Mutable = { -readonly [K in keyof TableMetadata]: TableMetadata[K] }

interface Draft {
  readonly table: Mutable
  readonly nowMs: number
  /** What -1 stands for. */
  lastSchemaId: number | undefined
  lastSpecId: number | undefined
  lastOrderId: number | undefined
  /** When the snapshots of these updates were made. */
  readonly added: Map<Long, number>
}

/** Snapshots may be a little older than the table says it is: clocks differ. */
const clockToleranceMs = 60_000

function empty(nowMs: number): Mutable {
  return {
    'format-version': formatVersion,
    'table-uuid': '',
    location: '',
    'last-sequence-number': 0,
    'last-updated-ms': nowMs,
    'last-column-id': 0,
    'current-schema-id': -1,
    schemas: [],
    'default-spec-id': -1,
    'partition-specs': [],
    'last-partition-id': partitionIdBefore,
    'default-sort-order-id': 0,
    'sort-orders': [unsorted],
    properties: {},
    refs: {},
    snapshots: [],
    'snapshot-log': [],
    'metadata-log': [],
  }
}

/** Apply updates in order.
 *  @param base undefined to create a table: the updates must then give it a uuid, location, schema and spec
 *  @param nowMs when the change is made
 *  @throws invalid for an update that cannot be applied, unsupported for one that is not known */
export function applyUpdates(
  base: TableMetadata | undefined,
  updates: readonly Update[],
  nowMs: number,
): TableMetadata {
  const table = base === undefined ? empty(nowMs) : { ...base }
  const draft: Draft = {
    table,
    nowMs,
    lastSchemaId: undefined,
    lastSpecId: undefined,
    lastOrderId: undefined,
    added: new Map(),
  }
  for (const update of updates) {
    const apply = actions[update.action] as ((draft: Draft, update: Update) => void) | undefined
    if (apply === undefined) throw new Failure('unsupported', `table update ${JSON.stringify(update.action)}`)
    apply(draft, update)
  }
  finish(draft, base)
  return table
}

function finish({ table, nowMs, added }: Draft, base: TableMetadata | undefined): void {
  for (const key of ['table-uuid', 'location'] as const) {
    if (table[key] === '') throw new Failure('invalid', `the table gets no ${key}`)
  }
  checkSpec(specOf(table), schemaOf(table))
  checkSortOrder(sortOrderOf(table), schemaOf(table))
  table['last-updated-ms'] = Math.max(base?.['last-updated-ms'] ?? 0, nowMs, ...added.values())
  const current = table.refs.main?.['snapshot-id']
  if (current === undefined) delete table['current-snapshot-id']
  else table['current-snapshot-id'] = current
  logSnapshot(table, base, current === undefined ? nowMs : (added.get(current) ?? nowMs))
}

/** Write down what is current since when. An entry whose snapshot is gone takes those before it along: a history with
 *  gaps would answer questions about the past wrongly. */
function logSnapshot(table: Mutable, base: TableMetadata | undefined, sinceMs: number): void {
  const current = table['current-snapshot-id']
  const there = new Set(table.snapshots.map((snapshot) => snapshot['snapshot-id']))
  const log = [...table['snapshot-log']]
  if (current !== undefined && current !== base?.['current-snapshot-id']) {
    const last = log.at(-1)?.['timestamp-ms'] ?? 0
    log.push({ 'snapshot-id': current, 'timestamp-ms': Math.max(last, sinceMs) })
  }
  const gone = log.findLastIndex((entry) => !there.has(entry['snapshot-id']))
  table['snapshot-log'] = current === undefined ? [] : log.slice(gone + 1)
}

const highest = (ids: readonly number[]) => ids.reduce((most, id) => Math.max(most, id), -1)

function lastAdded(id: number, last: number | undefined, what: string): number {
  if (id !== -1) return id
  if (last === undefined) throw new Failure('invalid', `-1 names the ${what} added last, and none was`)
  return last
}

const without = (statistics: readonly StatisticsFile[] | undefined, ids: readonly Long[]) =>
  (statistics ?? []).filter((one) => !ids.includes(one['snapshot-id']))

/** @source the specification, "Snapshot Row IDs" */
function takeRowIds(table: Mutable, snapshot: Snapshot): void {
  const { 'snapshot-id': id, 'first-row-id': first, 'added-rows': added } = snapshot
  if (first === undefined || added === undefined || Number(added) < 0) {
    throw new Failure('invalid', `snapshot ${id} has no first-row-id and added-rows, as tables of format v3 need them`)
  }
  const next = table['next-row-id'] ?? 0
  if (Number(first) < next) throw requirementFailed(`snapshot ${id} gives row ids from ${first}; ${next} is the next`)
  table['next-row-id'] = Math.max(next, Number(first) + Number(added))
}

type Actions = { readonly [A in Update['action']]: (draft: Draft, update: Extract<Update, { action: A }>) => void }

const actions: Actions = {
  'assign-uuid'({ table }, { uuid }) {
    if (table['table-uuid'] !== '' && table['table-uuid'] !== uuid) {
      throw new Failure('invalid', `the table is ${table['table-uuid']} and cannot become ${uuid}`)
    }
    table['table-uuid'] = uuid
  },
  'upgrade-format-version'({ table }, { 'format-version': version }) {
    if (!(version >= formatVersion && version <= formatVersionMax)) {
      throw new Failure('unsupported', `Iceberg format version ${version}; 2 and 3 are written`)
    }
    if (version < table['format-version']) throw new Failure('invalid', `format version ${version} is a step back`)
    table['format-version'] = version
    if (version >= 3) table['next-row-id'] ??= 0
  },
  'add-schema'(draft, { schema, 'last-column-id': last = 0 }) {
    const { table } = draft
    checkSchema(schema)
    const same = table.schemas.find((one) => sameColumns(one, schema))
    const id = same?.['schema-id'] ?? highest(table.schemas.map((one) => one['schema-id'])) + 1
    if (same === undefined) table.schemas = [...table.schemas, { ...schema, 'schema-id': id }]
    table['last-column-id'] = Math.max(lastColumnId(table, schema), last)
    draft.lastSchemaId = id
  },
  'set-current-schema'({ table, lastSchemaId }, { 'schema-id': id }) {
    table['current-schema-id'] = schemaOf(table, lastAdded(id, lastSchemaId, 'schema'))['schema-id']
  },
  'add-spec'(draft, { spec }) {
    const { table } = draft
    let last = table['last-partition-id']
    // The REST protocol lets clients leave the ids of new fields to the catalog.
    const fields = spec.fields.map((field) => ({ ...field, 'field-id': field['field-id'] ?? ++last }))
    const same = table['partition-specs'].find((one) => sameFields(one.fields, fields))
    const id = same?.['spec-id'] ?? highest(table['partition-specs'].map((one) => one['spec-id'])) + 1
    if (same === undefined) {
      checkSpec({ 'spec-id': id, fields }, schemaOf(table))
      table['partition-specs'] = [...table['partition-specs'], { 'spec-id': id, fields }]
    }
    table['last-partition-id'] = Math.max(last, ...fields.map((field) => field['field-id']))
    draft.lastSpecId = id
  },
  'set-default-spec'({ table, lastSpecId }, { 'spec-id': id }) {
    table['default-spec-id'] = specOf(table, lastAdded(id, lastSpecId, 'spec'))['spec-id']
  },
  'add-sort-order'(draft, { 'sort-order': order }) {
    const { table } = draft
    const fields = JSON.stringify(order.fields)
    const same = table['sort-orders'].find((one) => JSON.stringify(one.fields) === fields)
    const next = Math.max(0, highest(table['sort-orders'].map((one) => one['order-id']))) + 1
    const id = same?.['order-id'] ?? (order.fields.length === 0 ? 0 : next)
    checkSortOrder(order, schemaOf(table))
    if (same === undefined) table['sort-orders'] = [...table['sort-orders'], { ...order, 'order-id': id }]
    draft.lastOrderId = id
  },
  'set-default-sort-order'({ table, lastOrderId }, { 'sort-order-id': id }) {
    table['default-sort-order-id'] = sortOrderOf(table, lastAdded(id, lastOrderId, 'sort order'))['order-id']
  },
  'add-snapshot'({ table, added }, { snapshot }) {
    const { 'snapshot-id': id, 'sequence-number': sequence, 'timestamp-ms': madeMs } = snapshot
    if (table.snapshots.some((one) => one['snapshot-id'] === id))
      throw new Failure('invalid', `snapshot ${id} is there`)
    // Another branch was committed to first: made again, the snapshot gets a higher one.
    if (!(sequence > table['last-sequence-number'])) {
      const last = table['last-sequence-number']
      throw requirementFailed(`snapshot ${id} has sequence number ${sequence}; it must be above ${last}`)
    }
    if (madeMs < table['last-updated-ms'] - clockToleranceMs) {
      throw new Failure('invalid', `snapshot ${id} is older than the table, by ${table['last-updated-ms'] - madeMs} ms`)
    }
    if (table['format-version'] >= 3) takeRowIds(table, snapshot)
    table.snapshots = [...table.snapshots, snapshot]
    table['last-sequence-number'] = sequence
    added.set(id, madeMs)
  },
  'set-snapshot-ref'({ table }, { action: _, 'ref-name': name, ...ref }) {
    const id = ref['snapshot-id']
    if (!table.snapshots.some((one) => one['snapshot-id'] === id)) {
      throw new Failure('invalid', `${name} cannot be set: there is no snapshot ${id}`)
    }
    if (name === 'main' && ref.type !== 'branch') throw new Failure('invalid', 'main is a branch, not a tag')
    table.refs = { ...table.refs, [name]: ref satisfies SnapshotRef }
  },
  'remove-snapshots'({ table }, { 'snapshot-ids': ids }) {
    const gone = new Set(ids)
    table.snapshots = table.snapshots.filter((one) => !gone.has(one['snapshot-id']))
    const refs = Object.entries(table.refs).filter(([, ref]) => !gone.has(ref['snapshot-id']))
    table.refs = Object.fromEntries(refs)
    if (table.statistics) table.statistics = without(table.statistics, ids)
    const partitions = table['partition-statistics']
    if (partitions) table['partition-statistics'] = without(partitions, ids)
  },
  'remove-snapshot-ref'({ table }, { 'ref-name': name }) {
    const { [name]: _, ...refs } = table.refs
    table.refs = refs
  },
  'set-location'({ table }, { location }) {
    table.location = location.replace(/\/+$/, '')
  },
  'set-properties'({ table }, { updates }) {
    table.properties = { ...table.properties, ...updates }
  },
  'remove-properties'({ table }, { removals }) {
    const kept = Object.entries(table.properties).filter(([key]) => !removals.includes(key))
    table.properties = Object.fromEntries(kept)
  },
  'set-statistics'({ table }, { statistics }) {
    table.statistics = [...without(table.statistics, [statistics['snapshot-id']]), statistics]
  },
  'remove-statistics'({ table }, { 'snapshot-id': id }) {
    table.statistics = without(table.statistics, [id])
  },
  'set-partition-statistics'({ table }, { 'partition-statistics': statistics }) {
    const kept = without(table['partition-statistics'], [statistics['snapshot-id']])
    table['partition-statistics'] = [...kept, statistics]
  },
  'remove-partition-statistics'({ table }, { 'snapshot-id': id }) {
    table['partition-statistics'] = without(table['partition-statistics'], [id])
  },
  'remove-partition-specs'({ table }, { 'spec-ids': ids }) {
    if (ids.includes(table['default-spec-id'])) throw new Failure('invalid', 'the default spec cannot be removed')
    table['partition-specs'] = table['partition-specs'].filter((spec) => !ids.includes(spec['spec-id']))
  },
  'remove-schemas'({ table }, { 'schema-ids': ids }) {
    if (ids.includes(table['current-schema-id'])) throw new Failure('invalid', 'the current schema cannot be removed')
    table.schemas = table.schemas.filter((schema) => !ids.includes(schema['schema-id']))
  },
}
