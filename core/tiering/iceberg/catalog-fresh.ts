/** New tables as clients of a REST catalog ask for them: their ids are only to tell columns apart. */
import { Failure } from '../../errors.ts'
import type { NewTable } from './catalog.ts'
import { partitionIdBefore } from './partition.ts'
import { assignIds, indexFields, type Schema } from './schema.ts'

/** Give a new table's columns and partition fields ids of their own, from 1 and 1000 on, as Java's catalogs do: Spark
 *  counts from 0, and leaves the ids of partition fields out.
 *  @throws invalid for a spec, order or identifier of a column that is not there */
export function withFreshIds(table: NewTable): NewTable {
  const { schema, spec, sortOrder } = table
  const { fields } = assignIds(schema.fields, 0)
  const bare: Schema = { type: 'struct', 'schema-id': 0, fields }
  // Both are walked in the same order.
  const [before, after] = [schema, bare].map((one) => [...indexFields(one).keys()]) as [number[], number[]]
  const ids = new Map(before.map((id, at) => [id, after[at] as number]))
  const fresh = (id: number): number => {
    const found = ids.get(id)
    if (found === undefined) throw new Failure('invalid', `there is no column of id ${id}`)
    return found
  }
  const identifiers = (schema['identifier-field-ids'] ?? []).map(fresh)
  return {
    ...table,
    schema: identifiers.length > 0 ? { ...bare, 'identifier-field-ids': identifiers } : bare,
    ...(spec !== undefined && {
      spec: {
        'spec-id': 0,
        fields: spec.fields.map((field, at) => {
          return { ...field, 'source-id': fresh(field['source-id']), 'field-id': partitionIdBefore + 1 + at }
        }),
      },
    }),
    ...(sortOrder !== undefined && {
      sortOrder: {
        // 0 is the order of tables that have none.
        'order-id': sortOrder.fields.length === 0 ? 0 : 1,
        fields: sortOrder.fields.map((field) => ({ ...field, 'source-id': fresh(field['source-id']) })),
      },
    }),
  }
}
