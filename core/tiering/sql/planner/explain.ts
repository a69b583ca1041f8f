/** Saying how a query would be run: no data is read for it. */

import { showCondition } from '../condition.ts'
import type { FoundTable } from '../tables.ts'
import { conditionsOf, forShards } from './conditions-of.ts'
import type { Query, SourcePlan } from './plan.ts'
import { partialPlanOf } from './run.ts'
import { planCold, type ScanContext } from './scan.ts'

/** Finds the tables of a query. */
type Find = (database: string, table: string) => FoundTable

/** Write a plan, a line a step, what is inside a step indented. */
export async function explain(query: Query, context: ScanContext, find: Find): Promise<string[]> {
  const lines: string[] = []
  const { grouping, order, limit, offset, joins, first, filter, having, isDistinct } = query
  const cut = Number.isFinite(limit) ? `, the first ${offset + limit}` : ''
  if (isDistinct) lines.push('distinct')
  if (order.length > 0) lines.push(`sort by ${order.length} of ${query.outputs.length} columns${cut}`)
  else if (cut !== '') lines.push(`take rows${cut}`)
  if (having !== undefined) lines.push('filter groups')
  const partial = partialPlanOf(query)
  if (grouping !== undefined) {
    const where = partial.grouping === undefined ? 'here' : 'in shards and by file, merged here'
    lines.push(`group by ${grouping.by.length} keys, ${grouping.aggregates.length} aggregates, ${where}`)
  } else if (partial.top !== undefined) lines.push(`first ${partial.top.limit} rows of each shard, merged here`)
  if (filter !== undefined) lines.push('filter what was joined')
  for (const { kind, right, leftKeys } of joins) {
    lines.push(`${kind} join of ${leftKeys.length} keys, held in memory:`)
    lines.push(...indented(await explainSource(right, context, find)))
  }
  if (first === undefined) lines.push('one row without a table')
  else lines.push(...(await explainSource(first, context, find)))
  return lines
}

const indented = (lines: readonly string[]) => lines.map((line) => `  ${line}`)

async function explainSource(source: SourcePlan, context: ScanContext, find: Find): Promise<string[]> {
  const { origin, alias, columns, used } = source
  if (origin.kind === 'query') return [`subquery ${alias}:`, ...indented(await explain(origin.query, context, find))]
  const found = find(origin.database, origin.table)
  const names = used.map((at) => columns[at]?.name ?? '').join(', ')
  const conditions = conditionsOf(source.filter, columns)
  const lines = [`scan ${found.database}.${found.table}: columns ${names === '' ? 'none' : names}`]
  if (found.hot !== 'none' && context.asOf === undefined) {
    const { map } = await context.tables.database(found.database)
    const told = found.hot === 'rows' ? forShards(conditions, columns) : []
    lines.push(`  hot: ${map.count} shards${shown(told)}`)
  }
  const plan = await planCold(context, found.metadata, conditions)
  if (plan !== undefined) {
    const { files, bytes } = plan.whole
    const read = `${plan.tasks.length} of ${files} files, ${plan.bytes} of ${bytes} bytes`
    const snapshot = plan.snapshot?.['snapshot-id']
    lines.push(`  cold: ${read}, snapshot ${snapshot ?? 'none'}${shown(conditions)}`)
  }
  return lines
}

function shown(conditions: Parameters<typeof forShards>[0]): string {
  return conditions.length === 0 ? '' : `, where ${conditions.map(showCondition).join(' and ')}`
}
