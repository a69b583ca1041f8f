/** What clients of the Iceberg REST catalog send, checked before anything is done with it.
 *  Fields that are not known are kept: a snapshot, a schema or a spec of others may have more than we know of.
 *  @source the REST catalog's OpenAPI */
import { Failure } from '@dotdo/core/errors'
import { ICEBERG_REST_BODY_BYTES_MAX, ICEBERG_REST_DEPTH_MAX } from '@dotdo/core/limits'
import { parseJson } from '@dotdo/core/tiering/iceberg'
import type { Context } from 'hono'
import { z } from 'zod'
import { bodyText } from './body.ts'

const text = z.string().min(1)
const id = z.int()
const long = z.union([z.int(), z.bigint()])
const properties = z.record(z.string(), z.string())
const namespace = z.array(text).min(1)
const identifier = z.object({ namespace, name: text })

const type: z.ZodType = z.lazy(() => z.union([text, struct, list, map]))
const field = z.looseObject({ id, name: text, required: z.boolean(), type })
const struct = z.looseObject({ type: z.literal('struct'), fields: z.array(field) })
const list = z.looseObject({
  type: z.literal('list'),
  'element-id': id,
  element: type,
  'element-required': z.boolean(),
})
const map = z.looseObject({
  type: z.literal('map'),
  'key-id': id,
  key: type,
  'value-id': id,
  value: type,
  'value-required': z.boolean(),
})
const schema = struct.extend({ 'schema-id': id.default(0), 'identifier-field-ids': z.array(id).optional() })
const partitionField = z.looseObject({ 'source-id': id, 'field-id': id.optional(), name: text, transform: text })
const spec = z.looseObject({ 'spec-id': id.default(0), fields: z.array(partitionField) })
const sortField = z.looseObject({
  'source-id': id,
  transform: text,
  direction: z.enum(['asc', 'desc']),
  'null-order': z.enum(['nulls-first', 'nulls-last']),
})
const sortOrder = z.looseObject({ 'order-id': id.default(1), fields: z.array(sortField) })
const snapshot = z.looseObject({
  'snapshot-id': long,
  'parent-snapshot-id': long.optional(),
  'sequence-number': z.int(),
  'timestamp-ms': z.int(),
  'manifest-list': text,
  summary: z.looseObject({ operation: z.enum(['append', 'replace', 'overwrite', 'delete']) }).catchall(z.string()),
  'schema-id': id.optional(),
})
const statistics = z.looseObject({ 'snapshot-id': long, 'statistics-path': text })

const requirement = z.discriminatedUnion('type', [
  z.object({ type: z.literal('assert-create') }),
  z.object({ type: z.literal('assert-table-uuid'), uuid: text }),
  z.object({
    type: z.literal('assert-ref-snapshot-id'),
    ref: text,
    'snapshot-id': long
      .nullable()
      .optional()
      .transform((one) => one ?? null),
  }),
  z.object({ type: z.literal('assert-last-assigned-field-id'), 'last-assigned-field-id': id }),
  z.object({ type: z.literal('assert-current-schema-id'), 'current-schema-id': id }),
  z.object({ type: z.literal('assert-last-assigned-partition-id'), 'last-assigned-partition-id': id }),
  z.object({ type: z.literal('assert-default-spec-id'), 'default-spec-id': id }),
  z.object({ type: z.literal('assert-default-sort-order-id'), 'default-sort-order-id': id }),
])

const refFields = {
  type: z.enum(['branch', 'tag']),
  'snapshot-id': long,
  'min-snapshots-to-keep': z.int().optional(),
  'max-snapshot-age-ms': z.int().optional(),
  'max-ref-age-ms': z.int().optional(),
}
const action = <Name extends string, Shape extends z.ZodRawShape>(name: Name, shape: Shape) =>
  z.object({ action: z.literal(name), ...shape })

const update = z.discriminatedUnion('action', [
  action('assign-uuid', { uuid: text }),
  action('upgrade-format-version', { 'format-version': id }),
  action('add-schema', { schema, 'last-column-id': id.optional() }),
  action('set-current-schema', { 'schema-id': id }),
  action('add-spec', { spec }),
  action('set-default-spec', { 'spec-id': id }),
  action('add-sort-order', { 'sort-order': sortOrder }),
  action('set-default-sort-order', { 'sort-order-id': id }),
  action('add-snapshot', { snapshot }),
  action('set-snapshot-ref', { 'ref-name': text, ...refFields }),
  action('remove-snapshots', { 'snapshot-ids': z.array(long) }),
  action('remove-snapshot-ref', { 'ref-name': text }),
  action('set-location', { location: text }),
  action('set-properties', { updates: properties }),
  action('remove-properties', { removals: z.array(z.string()) }),
  action('set-statistics', { statistics }),
  action('remove-statistics', { 'snapshot-id': long }),
  action('set-partition-statistics', { 'partition-statistics': statistics }),
  action('remove-partition-statistics', { 'snapshot-id': long }),
  action('remove-partition-specs', { 'spec-ids': z.array(id) }),
  action('remove-schemas', { 'schema-ids': z.array(id) }),
])

const change = { requirements: z.array(requirement).default([]), updates: z.array(update) }

/** Bodies by what they are for. */
export const bodies = {
  createNamespace: z.object({ namespace, properties: properties.default({}) }),
  updateNamespace: z.object({ updates: properties.default({}), removals: z.array(z.string()).default([]) }),
  createTable: z.object({
    name: text,
    location: text.nullish(),
    schema,
    'partition-spec': spec.nullish(),
    'write-order': sortOrder.nullish(),
    'stage-create': z.boolean().nullish(),
    properties: properties.nullish(),
  }),
  commitTable: z.object({ identifier: identifier.optional(), ...change }),
  commitTables: z.object({ 'table-changes': z.array(z.object({ identifier, ...change })).min(1) }),
  renameTable: z.object({ source: identifier, destination: identifier }),
  registerTable: z.object({ name: text, 'metadata-location': text }),
  reportMetrics: z.looseObject({ 'report-type': text }),
}

/** The query of a list. */
export const pageQuery = z.object({
  parent: z.string().optional(),
  pageToken: z.string().optional(),
  pageSize: z.coerce.number().int().min(1).optional(),
})

/** Read a body.
 *  @throws invalid, naming the field; limit for one that is too large, which is not read on */
export async function readBody<T>(schemaOf: z.ZodType<T>, context: Context): Promise<T> {
  const text = await bodyText(context, ICEBERG_REST_BODY_BYTES_MAX)
  if (depthOf(text) > ICEBERG_REST_DEPTH_MAX) {
    throw new Failure('invalid', `body: it is nested deeper than ${ICEBERG_REST_DEPTH_MAX}`)
  }
  return checked(schemaOf, parseJson(text), 'body')
}

/** Tell how deep JSON is nested, without reading it: that may take more stack than there is. */
function depthOf(json: string): number {
  let depth = 0
  let most = 0
  let isText = false
  for (let at = 0; at < json.length; at++) {
    const char = json[at]
    if (char === '"') isText = !isText
    else if (isText) at += char === '\\' ? 1 : 0
    else if (char === '[' || char === '{') most = Math.max(most, ++depth)
    else if (char === ']' || char === '}') depth--
  }
  return most
}

/** Check data from outside.
 *  @throws invalid, naming the field */
export function checked<T>(schemaOf: z.ZodType<T>, data: unknown, what: string): T {
  const { data: good, error } = schemaOf.safeParse(data)
  if (error === undefined) return good
  const said = error.issues.map(({ path, message }) => (path.length > 0 ? `${path.join('.')}: ${message}` : message))
  throw new Failure('invalid', `${what}: ${said.join('; ').slice(0, 1_000)}`)
}
