/** What a volume sees of its layers, as tables for queries: the topmost row of each key, but for what is gone. */
import { entries, inodes, LAYER_INOS } from '../tables.ts'
import type { Files, Volume } from './volume.ts'

const columnsOf = (table: { readonly columns: object }, without: readonly string[]) =>
  Object.keys(table.columns)
    .filter((name) => !without.includes(name))
    .join(', ')
const inodeColumns = columnsOf(inodes, ['ino', 'data'])
const entryColumns = columnsOf(entries, ['parent', 'name'])

/** Rows of a table with a key that begins with the number of an inode, where it lies in one of some layers. */
function rowsOf(volume: Volume, column: string): string {
  const ranges = volume.chain.map(({ base }) => `${column} between ${base} and ${base + LAYER_INOS - 1}`)
  // A long list of ranges is a slow query; the layers are a quotient all the same.
  const listed = volume.chain.map(({ layer }) => layer).join(', ')
  return ranges.length < 8 ? ranges.join(' or ') : `${column} / ${LAYER_INOS} in (${listed})`
}

/** Inodes that a volume sees, as a table `inodes` for `with`: all columns but `data`, of which it has `inline`, the
 *  length. */
export function inodesOf(volume: Volume): string {
  if (volume.chain.length === 1) {
    return `inodes as (select ino - ${volume.base} as ino, ${inodeColumns}, length(data) as inline from fs_inodes
      where ${rowsOf(volume, 'ino')})`
  }
  return `inodes as materialized (select number as ino, ${inodeColumns}, inline from (select ino % ${LAYER_INOS}
    as number, max(ino) as top, ${inodeColumns}, length(data) as inline from fs_inodes
    where ${rowsOf(volume, 'ino')} group by 1) where mode <> 0)`
}

/** Names that a volume sees, as a table `entries` for `with`. */
export function entriesOf(volume: Volume): string {
  if (volume.chain.length === 1) {
    return `entries as (select parent - ${volume.base} as parent, name, ${entryColumns} from fs_entries
      where ${rowsOf(volume, 'parent')})`
  }
  return `entries as materialized (select number as parent, name, ${entryColumns} from (select
    parent % ${LAYER_INOS} as number, name, max(parent) as top, ${entryColumns} from fs_entries
    where ${rowsOf(volume, 'parent')} group by 1, 2) where ino <> 0)`
}

/** Find all names of an inode.
 *  @cost a look at every name */
export function inodeNames({ tx, volume }: Files, ino: number): { parent: number; name: string }[] {
  const rows = tx.raw(`with ${entriesOf(volume)} select parent, name from entries where ino = ?`, ino)
  return rows.map(([parent, name]) => ({ parent: Number(parent), name: String(name) }))
}
