/** Names in directories: entries, in memory and in their table. */
import { FSX_ENTRIES_CACHED_MAX } from '@dotdo/core/limits'
import { type EntryRow, entries } from '../tables.ts'
import { type Directory, type Entry, type Files, keysOf } from './volume.ts'

/** Begin to know a directory's names.
 *  @param complete whether there are none yet */
export function knowDirectory({ tx, volume }: Files, ino: number, complete: boolean): Directory {
  if (volume.isCrowded) volume.forgetNames()
  const directory: Directory = { names: new Map(), complete }
  volume.directories.set(ino, directory)
  if (complete) {
    tx.onUndo(() => {
      if (volume.directories.delete(ino)) volume.entryCount -= directory.names.size
    })
  }
  return directory
}

function remember({ volume }: Files, directory: Directory, name: string, entry: Entry): void {
  if (!directory.names.has(name)) volume.entryCount++
  directory.names.set(name, entry)
}

/** Look a name up.
 *  @cost a statement when memory does not know */
export function lookUp(files: Files, parent: number, name: string): Entry | undefined {
  const known = files.volume.directories.get(parent)
  const entry = known?.names.get(name)
  if (entry !== undefined || known?.complete) return entry
  const row = topEntry(files, keysOf(files.volume, parent), name)
  if (row === undefined) return undefined
  const found = { ino: Number(row[0]), kind: Number(row[1]) }
  remember(files, known ?? knowDirectory(files, parent, false), name, found)
  return found
}

/** Find the topmost row of a name.
 *  @param keys of the directory, in the layers that are looked into
 *  @returns inode and kind; undefined when nothing has the name there, or it was taken away */
function topEntry({ tx }: Files, keys: readonly number[], name: string) {
  const [row] =
    keys.length === 1
      ? tx.raw('select ino, kind from fs_entries where parent = ? and name = ?', keys[0] as number, name)
      : tx.raw(selectTop, JSON.stringify(keys), name)
  return row?.[0] === 0 ? undefined : row
}

const selectTop = `select ino, kind from fs_entries where parent in (select value from json_each(?)) and name = ?
  order by parent desc limit 1`
const selectNames = `select name, ino, kind from fs_entries where parent in (select value from json_each(?))
  order by parent`

/** Put a name into a directory, in place of what had it. */
export function addName(files: Files, parent: number, name: string, { ino, kind }: Entry): void {
  const { tx, volume } = files
  tx.put(entries, { parent: volume.base + parent, name, ino, kind, era: volume.era })
  if (volume.isCrowded) volume.forgetNames()
  const directory = volume.directories.get(parent)
  if (directory === undefined) return
  const before = directory.names.get(name)
  remember(files, directory, name, { ino, kind })
  tx.onUndo(() => putBack(files, parent, name, before))
}

/** Take a name out of a directory. */
export function removeName(files: Files, parent: number, name: string): void {
  const { tx, volume } = files
  const [key = 0, ...below] = keysOf(volume, parent)
  // A name that layers below have is hidden: there is no inode 0.
  if (below.length > 0 && topEntry(files, below, name) !== undefined) {
    tx.put(entries, { parent: key, name, ino: 0, kind: 0, era: volume.era })
  } else {
    tx.write('delete from fs_entries where parent = ? and name = ?', key, name)
    tx.record(entries, 'delete', { parent: key, name } as EntryRow)
  }
  const directory = volume.directories.get(parent)
  const before = directory?.names.get(name)
  if (directory === undefined || before === undefined) return
  directory.names.delete(name)
  volume.entryCount--
  tx.onUndo(() => putBack(files, parent, name, before))
}

function putBack(files: Files, parent: number, name: string, before: Entry | undefined): void {
  const directory = files.volume.directories.get(parent)
  if (directory === undefined) return
  if (before !== undefined) return remember(files, directory, name, before)
  if (directory.names.delete(name)) files.volume.entryCount--
}

/** Forget a directory that is no more. */
export function forgetDirectory({ tx, volume }: Files, ino: number): void {
  const known = volume.directories.get(ino)
  if (known === undefined) return
  volume.directories.delete(ino)
  volume.entryCount -= known.names.size
  tx.onUndo(() => {
    volume.entryCount += known.names.size
    volume.directories.set(ino, known)
  })
}

/** Whether a directory has no names. */
export function isEmpty(files: Files, ino: number): boolean {
  const { tx, volume } = files
  const known = volume.directories.get(ino)
  if (known?.complete) return known.names.size === 0
  const keys = keysOf(volume, ino)
  if (keys.length > 1) return listNames(files, ino).size === 0
  return tx.raw('select 1 from fs_entries where parent = ? limit 1', keys[0] as number).length === 0
}

/** List a directory.
 *  @returns names to entries, borrowed */
export function listNames(files: Files, ino: number): ReadonlyMap<string, Entry> {
  const { tx, volume } = files
  const known = volume.directories.get(ino)
  if (known?.complete) return known.names
  const names = new Map<string, Entry>()
  const keys = keysOf(volume, ino)
  const rows =
    keys.length === 1
      ? tx.raw('select name, ino, kind from fs_entries where parent = ?', keys[0] as number)
      : tx.raw(selectNames, JSON.stringify(keys))
  for (const [name, child, kind] of rows) {
    if (child === 0) names.delete(String(name))
    else names.set(String(name), { ino: Number(child), kind: Number(kind) })
  }
  // Of a directory larger than memory may be, nothing is kept.
  if (names.size > (FSX_ENTRIES_CACHED_MAX * volume.share) / 2) return names
  if (known !== undefined) volume.entryCount -= known.names.size
  if (volume.isCrowded) volume.forgetNames()
  volume.directories.set(ino, { names, complete: true })
  volume.entryCount += names.size
  return names
}
