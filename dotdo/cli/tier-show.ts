/** A database's tiering, as `dotdo tier` shows it. */
import type { PolicyOptions, TableStatus, TierStatus } from '@dotdo/core/tiering/tier'
import { alignRows, showBytes, showDuration, showNumber } from './table.ts'

const bounds = ['hotFor', 'maxHotRows', 'maxHotBytes', 'flushEvery', 'flushBytes'] as const

function policyText(policy: PolicyOptions): string {
  const { mirror = true, changes = true, cold } = policy
  const kept = [mirror ? 'newest rows' : [], changes ? 'every change' : []].flat().join(' and ') || 'nothing'
  const set = bounds.flatMap((name) => (policy[name] === undefined ? [] : `${name} ${policy[name]}`))
  if (cold !== undefined) set.push(`to ${cold.store} after ${cold.after}`)
  return [kept, ...set].join(', ')
}

/** Sum up what is known of a table's shards. */
function shardsText({ shards }: TableStatus, nowMs: number): string[] {
  const lag = shards.reduce((sum, shard) => sum + shard.lagChanges, 0)
  const oldest = shards.flatMap(({ oldestMs }) => (oldestMs === undefined ? [] : [oldestMs]))
  const hotRows = shards.reduce((sum, shard) => sum + shard.hotRows, 0)
  const hotBytes = shards.reduce((sum, shard) => sum + shard.hotBytes, 0)
  const coldRows = shards.reduce((sum, shard) => sum + shard.coldRows, 0)
  const since = oldest.length === 0 ? '' : `, for ${showDuration(Math.max(0, nowMs - Math.min(...oldest)))}`
  return [
    lag === 0 ? 'none' : `${showNumber(lag)} changes${since}`,
    `${showNumber(hotRows)} (${showBytes(hotBytes)})`,
    showNumber(coldRows),
  ]
}

function tableRow(table: TableStatus, nowMs: number): string[] {
  const { committedMs, dataFiles, deleteFiles, rows, bytes } = table
  return [
    table.table,
    showNumber(rows),
    deleteFiles === 0 ? showNumber(dataFiles) : `${showNumber(dataFiles)} + ${showNumber(deleteFiles)} of deletes`,
    showBytes(bytes),
    committedMs === undefined ? 'never' : `${showDuration(Math.max(0, nowMs - committedMs))} ago`,
    ...shardsText(table, nowMs),
  ]
}

/** Show a database's tiering to people. */
export function showTier(status: TierStatus, nowMs: number): string {
  const { database, state, failure, policies, tables } = status
  const why = failure === undefined ? '' : `: ${failure}`
  const lines = [`tiering of ${database} is ${state}${why}`, '']
  const named = Object.entries(policies)
  if (named.length === 0) {
    lines.push('No collection has a policy; `dotdo tier set` gives it one.')
    return lines.join('\n')
  }
  lines.push(...alignRows([['collection', 'policy'], ...named.map(([name, policy]) => [name, policyText(policy)])]), '')
  if (tables.length === 0) {
    lines.push('Nothing is in the lake yet.')
    return lines.join('\n')
  }
  const head = ['table', 'rows', 'files', 'size', 'committed', 'not yet there', 'hot payloads', 'cold payloads']
  const right = [false, true, true, true]
  lines.push(...alignRows([head, ...tables.map((table) => tableRow(table, nowMs))], { right }))
  return lines.join('\n')
}
