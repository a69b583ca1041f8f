/** Snapshots and forks: a filesystem's past, and others that begin where it is. See layers.ts for how. */
import type { Tx } from '@dotdo/core/shard'
import { refuse } from '../errors.ts'
import { type HeadRow, heads, LAYER_INOS, type SnapshotRow, snapshots as snapshotTable } from '../tables.ts'
import { noteRestored } from './changes.ts'
import { forgetHead } from './file-locks.ts'
import { addLayer, checkLabel, declareHead, forgetVolumes, freeze, moveHead, settle, tidyLayer } from './layers.ts'
import { destroy } from './making.ts'
import { type Credential, checkRoot } from './mode.ts'
import { type Files, findInode, findSnapshot, MAIN, openFiles, writeMeta } from './volume.ts'

/** A snapshot, as people see it. */
export interface Snapshot {
  readonly id: number
  readonly name: string
  /** When it was taken, in ms since 1970. */
  readonly takenMs: number
}

/** A fork, as people see it. */
export interface Fork {
  readonly name: string
  /** When it was made, in ms since 1970. */
  readonly madeMs: number
}

const seen = ({ id, name, taken }: SnapshotRow): Snapshot => ({ id, name, takenMs: taken })

/** Keep the filesystem as it is.
 *  @param name by default its number
 *  @throws EEXIST when one has the name
 *  @cost some rows, whatever the filesystem holds; what waits in memory is written */
export function snapshot(files: Files, { name }: { name?: string }, who: Credential): Snapshot {
  checkRoot(who)
  const { tx, volume } = files
  if (name !== undefined) checkLabel(name)
  const isTaken = (label: string) =>
    tx.raw('select 1 from fs_snapshots where head = ? and name = ?', volume.head, label).length > 0
  if (name !== undefined && isTaken(name)) throw refuse('EEXIST')
  let id = Number(tx.raw("select value from fs_meta where name = 'next_snapshot'")[0]?.[0] ?? 1)
  // Somebody may have called another one by a number.
  while (name === undefined && isTaken(String(id))) id++
  writeMeta(tx, 'next_snapshot', id + 1)
  const row = { id, head: volume.head, name: name ?? String(id), layer: freeze(files), taken: tx.nowMs }
  tx.put(snapshotTable, row)
  return seen(row)
}

/** List the snapshots that are kept, in the order in which they were taken. */
export function snapshots({ tx, volume }: Files, _: null): Snapshot[] {
  const rows = tx.all('select * from fs_snapshots where head = ? order by id', volume.head)
  return (rows as SnapshotRow[]).map(seen)
}

/** Keep a snapshot no more.
 *  @throws ENOENT; EBUSY while a file of it is open
 *  @cost what was changed between it and the next, or all that only it has */
export function removeSnapshot(files: Files, { which }: { which: number | string }, who: Credential): null {
  checkRoot(who)
  const { tx, volume } = files
  const { id, layer } = findSnapshot(tx, volume.head, which)
  forget(files, (other) => other.snapshot === id)
  tx.remove(snapshotTable, { id })
  tidyLayer(files, layer)
  return null
}

/** Forget volumes, unless files of them are open.
 *  @throws EBUSY */
function forget(files: Files, matches: Parameters<typeof forgetVolumes>[1]): void {
  forgetVolumes(files, (volume) => {
    if (!matches(volume)) return false
    if (volume.handles.size > 0) throw refuse('EBUSY')
    return true
  })
}

/** Make the filesystem what it was when a snapshot was taken; what was done since is gone, snapshots are not.
 *  @throws ENOENT; EBUSY while a file is open
 *  @cost as many rows as have been changed since the last snapshot */
export function restore(files: Files, { which }: { which: number | string }, who: Credential): null {
  checkRoot(who)
  const { tx, volume } = files
  const { layer } = findSnapshot(tx, volume.head, which)
  if (volume.handles.size > 0) throw refuse('EBUSY')
  settle(files)
  const { layer: old } = tx.find(heads, { name: volume.head }) as HeadRow
  const next = addLayer(files, layer)
  moveHead(files, next)
  // Whatever it knows is of the future.
  volume.forget()
  tx.onUndo(() => volume.forget())
  dropOrphans(files, layer)
  noteRestored(files, next)
  tidyLayer(files, old)
  return null
}

const openHead = (tx: Tx, head: string): Files => openFiles(tx, head === MAIN ? {} : { fork: head })

/** Files that were open without a name when a layer was whole: here nobody has them open. */
function dropOrphans(files: Files, layer: number): void {
  const range = [layer * LAYER_INOS, (layer + 1) * LAYER_INOS - 1] as const
  for (const [key] of files.tx.raw('select ino from fs_orphans where ino between ? and ?', ...range)) {
    const inode = findInode(files, Number(key) % LAYER_INOS)
    if (inode !== undefined && inode.nlink === 0) destroy(files, inode)
  }
}

/** Make a filesystem that begins as this one is, or as it was when a snapshot was taken.
 *  @throws EEXIST when a fork has the name; EINVAL for a name that cannot be one
 *  @cost some rows, whatever the filesystem holds; what waits in memory is written */
export function fork(files: Files, { name }: { name: string }, who: Credential): Fork {
  checkRoot(who)
  checkLabel(name)
  return makeFork(files, name)
}

/** Make a fork, of whatever name.
 *  @throws EEXIST */
export function makeFork(files: Files, name: string): Fork {
  const { tx, volume } = files
  if (tx.find(heads, { name }) !== undefined) throw refuse('EEXIST')
  declareHead(files)
  const from = volume.isReadOnly ? (volume.chain[0] as { layer: number }).layer : freeze(files)
  const row: HeadRow = { name, layer: addLayer(files, from), quota_bytes: null, quota_inodes: null, made: tx.nowMs }
  tx.put(heads, row)
  const made = openHead(tx, name)
  dropOrphans(made, from)
  return { name, madeMs: row.made }
}

/** List the forks of the shard. */
export function forks({ tx }: Files, _: null): Fork[] {
  const rows = tx.all(
    'select * from fs_heads where name <> ? and name not like ? order by made, name',
    MAIN,
    '#%',
  ) as HeadRow[]
  return rows.map(({ name, made }) => ({ name, madeMs: made }))
}

/** Remove a fork, and its snapshots; forks of it stay.
 *  @throws ENOENT; EBUSY while a file of it is open
 *  @cost as many rows as only it has */
export function removeFork(files: Files, { name }: { name: string }, who: Credential): null {
  checkRoot(who)
  const { tx } = files
  const row = name === MAIN ? undefined : tx.find(heads, { name })
  if (row === undefined) throw refuse('ENOENT')
  settle(files)
  forget(files, ({ head }) => head === name)
  const taken = tx.all('select * from fs_snapshots where head = ?', name) as SnapshotRow[]
  for (const { id } of taken) tx.remove(snapshotTable, { id })
  tx.remove(heads, { name })
  forgetHead(files, name)
  tidyLayer(files, row.layer)
  // Layers of others may have been merged: only those that are still there are looked at.
  for (const { layer } of taken) tidyLayer(files, layer)
  return null
}
