/** How a statement would be run, for people. */
import { SQL_EXPLAINED_FILES_MAX } from '../../../limits.ts'
import { showCondition } from '../../../tiering/sql/condition.ts'
import type { HotTable } from './hot-table.ts'
import { isReadHot, type ResolvedTable } from './views.ts'

const figure = (count: number, of: string) => `${count.toLocaleString('en-US')} ${of}${count === 1 ? '' : 's'}`

/** Write what would be read of a table.
 *  @param shards how many the database has
 *  @param kept what is kept of its shards from earlier queries */
export function explainTable(
  table: ResolvedTable,
  { shards, kept }: { shards: number; kept: HotTable['state'] | undefined },
): string[] {
  const { found, conditions, needed, columns } = table
  const read =
    needed.length === columns.length ? 'all columns' : needed.map(({ name }) => name).join(', ') || 'no columns'
  return [
    `${found.database}.${found.table}: ${read}`,
    ...conditions.map((condition) => `  where ${showCondition(condition)}`),
    ...explainCold(table),
    ...explainHot(table, { shards, kept }),
  ]
}

function explainCold({ plan, found }: ResolvedTable): string[] {
  if (found.metadata === undefined || plan === undefined) return ['  cold: not in the lake']
  const { snapshot, counts, whole, tasks, bytes } = plan
  if (snapshot === undefined) return ['  cold: no snapshot yet']
  const deletes = new Set(tasks.flatMap((task) => task.deletes.map(({ path }) => path)))
  const { manifests, manifestsPruned, filesPruned } = counts
  const inManifests = whole.files - counts.files
  const sizes = `${figure(bytes, 'byte')} of ${whole.bytes.toLocaleString('en-US')}`
  const unread = `${figure(inManifests, 'file')} in ${manifestsPruned} of ${figure(manifests, 'manifest')}`
  const lines = [
    `  cold: snapshot ${snapshot['snapshot-id']} of ${new Date(snapshot['timestamp-ms']).toISOString()}`,
    `    reads ${figure(tasks.length, 'file')} of ${whole.files}, ${sizes}`,
    `    left out by the partitions of manifests: ${unread}`,
    `    left out by partitions and bounds of files: ${figure(filesPruned, 'file')}`,
  ]
  if (deletes.size > 0) lines.push(`    deletes in ${figure(deletes.size, 'file')}`)
  for (const { file, deletes: own } of tasks.slice(0, SQL_EXPLAINED_FILES_MAX)) {
    const name = file.path.split('/').at(-1)
    const gone = own.length === 0 ? '' : `, with deletes`
    lines.push(`    ${name}: ${figure(file.recordCount, 'row')}, ${figure(file.sizeBytes, 'byte')}${gone}`)
  }
  const more = tasks.length - SQL_EXPLAINED_FILES_MAX
  return more > 0 ? [...lines, `    and ${figure(more, 'file')} more`] : lines
}

function explainHot(
  table: ResolvedTable,
  { shards, kept }: { shards: number; kept: HotTable['state'] | undefined },
): string[] {
  if (table.found.hot === 'none') return ['  hot: shards have nothing of it']
  if (!isReadHot(table)) return ['  hot: left out, as the past is in the lake alone']
  const standing = [...table.positions].map(([shard, { seq }]) => `${shard} past ${seq.toLocaleString('en-US')}`)
  const known =
    kept === undefined
      ? 'none is kept yet'
      : `${figure(kept.rows, 'row')} kept from before, ${figure(kept.bytes, 'byte')}`
  const past =
    standing.length === 0 ? 'all their rows' : `shard ${standing.slice(0, SQL_EXPLAINED_FILES_MAX).join(', ')}`
  return [`  hot: ${figure(shards, 'shard')}, ${past}; ${known}`]
}
