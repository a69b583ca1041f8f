/** A filesystem in the memory of its shard, and one call's view of it.
 *
 *  1. Rows are the truth; memory holds inodes, names and paths used lately. What a call changes there is undone with
 *     it.
 *  2. A changed inode stays in memory until its group ends, and is written once, with its inline content (`flush`).
 *     Everything else is written at once. So SQL sees inodes as they were before the group, and nothing but this
 *     folder reads them.
 *  3. A time of last access waits for the next change, or for room in a group that writes anyhow.
 *  4. An inode number is never used twice: handles know files by it. */
import {
  FSX_CHUNK_BYTES,
  FSX_ENTRIES_CACHED_MAX,
  FSX_INODES_CACHED_MAX,
  FSX_INODES_MAX,
  FSX_INODES_RESERVED,
  FSX_TOUCHED_PER_GROUP,
} from '@dotdo/core/limits'
import type { SqlValue, Tx } from '@dotdo/core/shard'
import { refuse } from '../errors.ts'
import { FSX_SCHEMA_VERSION, type Inode, type InodeRow, inodes, type MetaRow, meta, ROOT_INO } from '../tables.ts'
import { S } from './mode.ts'
import { Recent } from './recent.ts'

/** A name as memory holds it. */
export interface Entry {
  readonly ino: number
  /** Type bits of the inode's mode. */
  readonly kind: number
}

/** The names of a directory that memory knows. */
export interface Directory {
  readonly names: Map<string, Entry>
  /** Whether those are all. */
  complete: boolean
}

/** What is used, and what may be. */
export interface Usage {
  bytes: number
  inodes: number
}

/** The memory of a filesystem. */
export class Volume {
  share = 1
  /** Inodes as their rows are. */
  readonly inodes = new Recent<number, Inode>(() => Math.max(1_000, FSX_INODES_CACHED_MAX * this.share))
  /** Inodes that differ from their rows. */
  readonly pinned = new Map<number, Inode>()
  /** Of those, the ones to be written when the group ends; the others were only read. */
  readonly dirty = new Set<number>()
  /** Inline content to be written with them. */
  readonly data = new Map<number, Uint8Array | null>()
  readonly directories = new Map<number, Directory>()
  /** Names in all of them. */
  entryCount = 0
  /** Directories from the root to the one of a path, itself included. */
  readonly paths = new Map<string, readonly number[]>()
  /** How many handles each inode has. */
  readonly handles = new Map<number, number>()
  /** When some orphan may go, in ms since 1970; 0 while nobody has looked. */
  orphansDueMs = 0
  nextIno = 0
  /** Numbers below this one are taken from the counter. */
  reservedIno = 0
  era = 0
  quotaBytes = Number.POSITIVE_INFINITY
  quotaInodes = Number.POSITIVE_INFINITY
  /** Known once somebody had to count. */
  usage: Usage | undefined

  /** Forget names and paths. */
  forgetNames(): void {
    this.directories.clear()
    this.paths.clear()
    this.entryCount = 0
  }

  /** Whether there is room for more names. */
  get isCrowded(): boolean {
    return this.entryCount > Math.max(1_000, FSX_ENTRIES_CACHED_MAX * this.share)
  }
}

/** One call's view of a filesystem. */
export interface Files {
  readonly tx: Tx
  readonly volume: Volume
  /** The time, in microseconds since 1970. */
  readonly nowUs: number
}

const memoryName = 'fsx'

/** Find the filesystem in a shard's memory.
 *  @returns undefined when nobody has used it since the shard was opened */
export function findVolume(memory: ReadonlyMap<string, unknown>): Volume | undefined {
  return memory.get(memoryName) as Volume | undefined
}

/** Open the filesystem of a shard, making its root the first time.
 *  @cost nothing when it is in memory; else two statements */
export function openFiles(tx: Tx): Files {
  const known = findVolume(tx.memory)
  const files = { tx, volume: known ?? new Volume(), nowUs: tx.nowMs * 1000 }
  if (known === undefined) loadVolume(files)
  files.volume.share = tx.share
  return files
}

function loadVolume({ tx, volume, nowUs }: Files): void {
  const known = new Map(tx.raw('select name, value from fs_meta').map(([name, value]) => [name, Number(value)]))
  tx.memory.set(memoryName, volume)
  tx.onUndo(() => tx.memory.delete(memoryName))
  if (known.size === 0) {
    writeMeta(tx, 'version', FSX_SCHEMA_VERSION)
    writeMeta(tx, 'chunk_bytes', FSX_CHUNK_BYTES)
    const times = { atime: nowUs, mtime: nowUs, ctime: nowUs, btime: nowUs, nanos: 0 }
    const top = { ino: ROOT_INO, mode: S.IFDIR | 0o755, nlink: 2, uid: 0, gid: 0, parent: ROOT_INO }
    tx.put(inodes, { ...top, size: 0, stored: 0, body: null, ...times, era: 0, link: null, data: null })
  }
  volume.nextIno = known.get('next_ino') ?? ROOT_INO + 1
  volume.reservedIno = volume.nextIno
  volume.era = known.get('era') ?? 0
  volume.quotaBytes = known.get('quota_bytes') ?? Number.POSITIVE_INFINITY
  volume.quotaInodes = known.get('quota_inodes') ?? Number.POSITIVE_INFINITY
}

/** Keep a number of the filesystem. */
export function writeMeta(tx: Tx, name: MetaRow['name'], value: number): void {
  tx.put(meta, { name, value })
}

/** Take a number for a new inode.
 *  @throws ENOSPC when all have been used */
export function takeIno({ tx, volume }: Files): number {
  const ino = volume.nextIno
  if (ino >= FSX_INODES_MAX) throw refuse('ENOSPC')
  if (ino >= volume.reservedIno) {
    const before = volume.reservedIno
    volume.reservedIno = ino + FSX_INODES_RESERVED
    tx.onUndo(() => {
      volume.reservedIno = before
      volume.nextIno = ino
    })
    writeMeta(tx, 'next_ino', volume.reservedIno)
  }
  volume.nextIno = ino + 1
  return ino
}

const columnNames = Object.keys(inodes.columns).filter((name) => name !== 'data') as (keyof Inode)[]
const selectInode = `select ${columnNames.join(', ')} from fs_inodes where ino = ?`
const selectData = 'select data from fs_inodes where ino = ?'
const updated = columnNames.filter((name) => name !== 'ino')
const updateInode = `update fs_inodes set ${updated.map((name) => `${name} = ?`).join(', ')} where ino = ?`
const updateWhole = updateInode.replace(' where', ', data = ? where')

/** Find an inode.
 *  @cost a statement when it is not in memory */
export function findInode({ tx, volume }: Files, ino: number): Inode | undefined {
  const changed = volume.pinned.size > 0 ? volume.pinned.get(ino) : undefined
  const known = changed ?? volume.inodes.get(ino)
  if (known !== undefined) return known
  const [row] = tx.raw(selectInode, ino)
  if (row === undefined) return undefined
  const inode = inodeOf(row)
  volume.inodes.set(ino, inode)
  return inode
}

function inodeOf(row: readonly SqlValue[]): Inode {
  const [ino, mode, nlink, uid, gid, size, stored, body, parent, atime, mtime, ctime, btime, nanos, era, link] =
    row as number[]
  const numbers = { ino, mode, nlink, uid, gid, size, stored, body, parent, atime, mtime, ctime, btime, nanos, era }
  return { ...numbers, link } as unknown as Inode
}

/** Find the inode that an entry names.
 *  @throws Error when there is none: the tables disagree */
export function getInode(files: Files, ino: number): Inode {
  const inode = findInode(files, ino)
  if (inode === undefined) throw new Error(`a name leads to inode ${ino}, which is not there`)
  return inode
}

/** Read the inline content of an inode.
 *  @returns borrowed bytes, or null for none */
export function readData({ tx, volume }: Files, ino: number): Uint8Array | null {
  const changed = volume.data.get(ino)
  if (changed !== undefined) return changed
  return (tx.raw(selectData, ino)[0]?.[0] ?? null) as Uint8Array | null
}

/** Store a new inode.
 *  @param data its content; borrowed */
export function addInode({ tx, volume }: Files, inode: Inode, data: Uint8Array | null): void {
  const { ino } = inode
  tx.put(inodes, { ...inode, data }, true)
  volume.inodes.set(ino, inode)
  tx.onUndo(() => volume.inodes.delete(ino))
}

/** Change an inode; its row is written when the group ends.
 *  @param data its inline content, when that changes; owned by the filesystem from here on */
export function setInode({ tx, volume }: Files, inode: Inode, data?: Uint8Array | null): void {
  const { ino } = inode
  const { pinned, dirty } = volume
  const before = pinned.get(ino)
  const wasDirty = dirty.has(ino)
  const dataBefore = volume.data.get(ino)
  pinned.set(ino, inode)
  dirty.add(ino)
  if (data !== undefined) volume.data.set(ino, data)
  tx.onUndo(() => {
    restore(pinned, ino, before)
    restore(volume.data, ino, dataBefore)
    if (!wasDirty) dirty.delete(ino)
  })
}

/** Note a time of last access, to be written at some time. */
export function touchInode({ volume }: Files, inode: Inode): void {
  volume.pinned.set(inode.ino, inode)
}

/** Forget an inode and delete its row. */
export function dropInode({ tx, volume }: Files, ino: number): void {
  const { pinned, dirty } = volume
  const before = pinned.get(ino)
  const wasDirty = dirty.delete(ino)
  const dataBefore = volume.data.get(ino)
  pinned.delete(ino)
  volume.data.delete(ino)
  volume.inodes.delete(ino)
  tx.write('delete from fs_inodes where ino = ?', ino)
  tx.record(inodes, 'delete', { ino } as InodeRow)
  tx.onUndo(() => {
    restore(pinned, ino, before)
    restore(volume.data, ino, dataBefore)
    if (wasDirty) dirty.add(ino)
  })
}

function restore<V>(map: Map<number, V>, ino: number, before: V | undefined): void {
  if (before === undefined) map.delete(ino)
  else map.set(ino, before)
}

/** Write the inodes that the group has changed, and some of those that were read. */
export function flush(files: Files): void {
  const { volume } = files
  const { dirty, pinned } = volume
  if (dirty.size === 0) return
  for (const ino of dirty) writeInode(files, ino)
  let budget = FSX_TOUCHED_PER_GROUP
  for (const ino of pinned.keys()) {
    if (budget-- === 0) return
    writeInode(files, ino)
  }
}

/** Write an inode that differs from its row. */
export function writeInode({ tx, volume }: Files, ino: number): void {
  const inode = volume.pinned.get(ino) as Inode
  const data = volume.data.get(ino)
  const values: SqlValue[] = []
  for (let i = 0; i < updated.length; i++) values.push(inode[updated[i] as keyof Inode])
  if (data === undefined) tx.write(updateInode, ...values, ino)
  else tx.write(updateWhole, ...values, data, ino)
  tx.record(inodes, 'put', inode as InodeRow)
  const wasDirty = volume.dirty.delete(ino)
  volume.pinned.delete(ino)
  volume.data.delete(ino)
  volume.inodes.set(ino, inode)
  tx.onUndo(() => {
    volume.inodes.delete(ino)
    volume.pinned.set(ino, inode)
    if (data !== undefined) volume.data.set(ino, data)
    if (wasDirty) volume.dirty.add(ino)
  })
}
