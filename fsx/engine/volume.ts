/** A filesystem in the memory of its shard, and one call's view of it.
 *
 *  1. Rows are the truth; memory holds inodes, names and paths used lately. What a call changes there is undone with
 *     it.
 *  2. A changed inode stays in memory until its group ends, and is written once, with its inline content (`flush`).
 *     Everything else is written at once. So SQL sees inodes as they were before the group, and nothing but this
 *     folder reads them.
 *  3. A time of last access waits for the next change, or for room in a group that writes anyhow.
 *  4. An inode number is never used twice: handles know files by it.
 *  5. A shard holds a volume for each filesystem and snapshot that is used: `main`, forks, and views of snapshots. Each
 *     sees a chain of layers (layers.ts); memory knows inodes by their numbers, whatever layer their rows are in. */
import { Failure } from '@dotdo/core/errors'
import {
  FSX_CHUNK_BYTES,
  FSX_ENTRIES_CACHED_MAX,
  FSX_GONE_DIRECTORIES_MAX,
  FSX_INODES_CACHED_MAX,
  FSX_INODES_MAX,
  FSX_INODES_RESERVED,
  FSX_PLACES_CACHED_MAX,
  FSX_TOUCHED_MAX,
  FSX_TOUCHED_PER_GROUP,
  FSX_VOLUMES_CACHED_MAX,
} from '@dotdo/core/limits'
import type { SqlValue, Tx } from '@dotdo/core/shard'
import { refuse } from '../errors.ts'
import {
  FSX_SCHEMA_VERSION,
  heads,
  type Inode,
  type InodeRow,
  inodes,
  LAYER_INOS,
  type LayerRow,
  layers,
  type MetaRow,
  meta,
  ROOT_INO,
  type SnapshotRow,
} from '../tables.ts'
import type { LockWait } from './file-locks.ts'
import { S } from './mode.ts'
import type { Part } from './part.ts'
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

/** Where a name is. */
export interface NamePlace {
  readonly parent: number
  readonly name: string
}

/** What is used, and what may be. */
export interface Usage {
  bytes: number
  inodes: number
}

/** A layer as a volume sees it. */
export interface Layer {
  readonly layer: number
  /** What its keys are past the numbers in them. */
  readonly base: number
  /** Inodes and bodies from this number on were made here or above. */
  readonly first: number
}

/** Where new numbers come from, for all filesystems of a shard. */
export interface Numbers {
  nextIno: number
  /** Numbers below this one are taken from the counter. */
  reservedIno: number
  /** Whether the filesystem is still arriving from another shard (borrowing.ts). */
  readonly isArriving: boolean
}

/** Which filesystem of the shard, and which state of it: without either, the main one as it is. */
export interface View {
  readonly fork?: string
  /** A snapshot's number or name: what is seen cannot be changed. */
  readonly snapshot?: number | string
}

/** The name of the filesystem that is no fork. */
export const MAIN = 'main'
/** What a filesystem sees that was never shared. */
export const bottom: readonly Layer[] = [{ layer: 0, base: 0, first: 0 }]

/** The memory of a filesystem. */
export class Volume {
  /** Whose it is: `main`, or the fork's name. */
  readonly head: string
  /** The snapshot that it shows; undefined for a filesystem as it is. */
  readonly snapshot: number | undefined
  readonly numbers: Numbers
  /** Its layers, the topmost first: changes go there. */
  chain = bottom
  share = 1

  constructor(head: string, numbers: Numbers, snapshot?: number) {
    this.head = head
    this.numbers = numbers
    this.snapshot = snapshot
  }

  /** Whether it has a past, or is one, and cannot be changed. */
  get isReadOnly(): boolean {
    return this.snapshot !== undefined
  }

  /** What the keys of its own rows are past the numbers in them. */
  get base(): number {
    return this.top.base
  }

  /** Numbers from this one on were made in its own layer. */
  get first(): number {
    return this.top.first
  }

  private get top(): Layer {
    return this.chain[0] as Layer
  }

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
  /** Directories that were removed lately: what was in them is told of after they are gone. */
  readonly gone = new Recent<number, { readonly name: string; readonly inode: Inode }>(() => FSX_GONE_DIRECTORIES_MAX)
  /** A name that each inode had when somebody was told of it; it may have another one now. */
  readonly places = new Recent<number, NamePlace>(() => FSX_PLACES_CACHED_MAX)
  /** How many handles each inode has. */
  readonly handles = new Map<number, number>()
  /** Open files that wait for locks, by owner. */
  readonly lockWaits = new Map<string, LockWait>()
  /** When some orphan may go, in ms since 1970; 0 while nobody has looked. */
  orphansDueMs = 0
  era = 0
  quotaBytes = Number.POSITIVE_INFINITY
  quotaInodes = Number.POSITIVE_INFINITY
  /** Which of several shards it is; undefined when it is whole. */
  part: Part | undefined
  /** Known once somebody had to count. */
  usage: Usage | undefined

  /** Forget what rows say; nothing may wait to be written. */
  forget(): void {
    this.forgetNames()
    this.inodes.clear()
    this.usage = undefined
    this.orphansDueMs = 0
  }

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

/** What a shard's memory has of its filesystems. */
export interface Volumes {
  readonly numbers: Numbers
  /** By view, as `viewKey` has it. */
  readonly known: Map<string, Volume>
}

/** Find the filesystems in a shard's memory.
 *  @returns undefined when nobody has used one since the shard was opened */
export function findVolumes(memory: ReadonlyMap<string, unknown>): Volumes | undefined {
  return memory.get(memoryName) as Volumes | undefined
}

const viewKey = ({ fork = MAIN, snapshot }: View) =>
  snapshot === undefined ? fork : `${fork}/${typeof snapshot === 'number' ? '#' : ''}${snapshot}`

/** Open a filesystem of a shard, making the root of the main one the first time.
 *  @throws ENOENT when there is no such fork or snapshot
 *  @cost nothing when it is in memory; else some statements */
export function openFiles(tx: Tx, view: View = {}): Files {
  const volumes = findVolumes(tx.memory) ?? loadVolumes(tx)
  const key = view.fork === undefined && view.snapshot === undefined ? MAIN : viewKey(view)
  const volume = volumes.known.get(key) ?? loadVolume(tx, volumes, view)
  volume.share = tx.share / volumes.known.size
  return { tx, volume, nowUs: tx.nowMs * 1000 }
}

function loadVolumes(tx: Tx): Volumes {
  const known = new Map(tx.raw('select name, value from fs_meta').map(([name, value]) => [name, Number(value)]))
  const version = known.get('version')
  if (version !== undefined && version > FSX_SCHEMA_VERSION) {
    throw new Failure('unsupported', `the filesystem is of version ${version}, this program of ${FSX_SCHEMA_VERSION}`)
  }
  // Versions 2 and 3 added tables, columns and a hint, and mean nothing else by the rows of those before.
  if (version !== FSX_SCHEMA_VERSION) writeMeta(tx, 'version', FSX_SCHEMA_VERSION)
  if (version === undefined) {
    writeMeta(tx, 'chunk_bytes', FSX_CHUNK_BYTES)
    const nowUs = tx.nowMs * 1000
    const times = { atime: nowUs, mtime: nowUs, ctime: nowUs, btime: nowUs, nanos: 0 }
    const top = { ino: ROOT_INO, mode: S.IFDIR | 0o755, nlink: 2, uid: 0, gid: 0, parent: ROOT_INO }
    tx.put(inodes, { ...top, size: 0, stored: 0, body: null, ...times, era: 0, link: null, data: null })
  }
  const nextIno = known.get('next_ino') ?? ROOT_INO + 1
  const volumes: Volumes = {
    numbers: { nextIno, reservedIno: nextIno, isArriving: known.has('arriving') },
    known: new Map(),
  }
  tx.memory.set(memoryName, volumes)
  tx.onUndo(() => tx.memory.delete(memoryName))
  return volumes
}

function loadVolume(tx: Tx, { known, numbers }: Volumes, view: View): Volume {
  const { fork = MAIN, snapshot } = view
  const head = tx.find(heads, { name: fork })
  if (head === undefined && fork !== MAIN) throw refuse('ENOENT')
  const taken = snapshot === undefined ? undefined : findSnapshot(tx, fork, snapshot)
  const volume = new Volume(fork, numbers, taken?.id)
  const layer = taken?.layer ?? head?.layer
  if (layer !== undefined) volume.chain = readChain(tx, layer)
  const metaOf = (name: string) => tx.raw('select value from fs_meta where name = ?', name)[0]?.[0] ?? null
  const bytes = fork === MAIN ? metaOf('quota_bytes') : (head?.quota_bytes ?? null)
  const count = fork === MAIN ? metaOf('quota_inodes') : (head?.quota_inodes ?? null)
  volume.quotaBytes = Number(bytes ?? Number.POSITIVE_INFINITY)
  volume.quotaInodes = Number(count ?? Number.POSITIVE_INFINITY)
  if (fork === MAIN && metaOf('shards') !== null) {
    volume.part = { shard: Number(metaOf('shard')), shards: Number(metaOf('shards')) }
  }
  known.set(viewKey(view), volume)
  tx.onUndo(() => known.delete(viewKey(view)))
  return volume
}

/** Forget everything: rows have come from elsewhere. */
export function forgetAll(tx: Tx): void {
  const volumes = findVolumes(tx.memory)
  tx.memory.delete(memoryName)
  tx.onUndo(() => tx.memory.set(memoryName, volumes))
}

/** Make room in memory before a call: whatever nobody has open, and has nothing to write, can be read again. */
export function forgetIdle(tx: Tx): void {
  const known = findVolumes(tx.memory)?.known
  if (known === undefined || known.size < FSX_VOLUMES_CACHED_MAX) return
  for (const [key, { handles, dirty }] of known) if (handles.size === 0 && dirty.size === 0) known.delete(key)
}

/** Find a snapshot of a filesystem by number or name.
 *  @throws ENOENT */
export function findSnapshot(tx: Tx, head: string, snapshot: number | string): SnapshotRow {
  const column = typeof snapshot === 'number' ? 'id' : 'name'
  const [row] = tx.all(`select * from fs_snapshots where head = ? and ${column} = ?`, head, snapshot)
  if (row === undefined) throw refuse('ENOENT')
  return row as SnapshotRow
}

/** Read a layer and those below it, the topmost first. */
export function readChain(tx: Tx, layer: number): readonly Layer[] {
  const chain: Layer[] = []
  for (let next: number | null = layer; next !== null; ) {
    const row: LayerRow | undefined = tx.find(layers, { layer: next })
    if (row === undefined) throw new Error(`layer ${next} is not there`)
    chain.push({ layer: next, base: next * LAYER_INOS, first: row.first })
    next = row.parent
  }
  return chain
}

/** Tell where rows of an inode can be.
 *  @returns keys, the topmost first: of layers below the one that it was made in there are none */
export function keysOf({ chain }: Volume, ino: number): number[] {
  const keys: number[] = []
  for (const { base, first } of chain) {
    keys.push(base + ino)
    if (ino >= first) break
  }
  return keys
}

/** Keep a number of the filesystem. */
export function writeMeta(tx: Tx, name: MetaRow['name'], value: number): void {
  tx.put(meta, { name, value })
}

/** Take a number for a new inode.
 *  @throws ENOSPC when all have been used */
export function takeIno({ tx, volume: { numbers } }: Files): number {
  const ino = numbers.nextIno
  if (ino >= FSX_INODES_MAX) throw refuse('ENOSPC')
  if (ino >= numbers.reservedIno) {
    const before = numbers.reservedIno
    numbers.reservedIno = ino + FSX_INODES_RESERVED
    tx.onUndo(() => {
      numbers.reservedIno = before
      numbers.nextIno = ino
    })
    writeMeta(tx, 'next_ino', numbers.reservedIno)
  }
  numbers.nextIno = ino + 1
  return ino
}

const columnNames = Object.keys(inodes.columns).filter((name) => name !== 'data') as (keyof Inode)[]
const selectInode = `select ${columnNames.join(', ')} from fs_inodes where ino = ?`
const selectData = 'select data from fs_inodes where ino = ?'
const inLayers = 'where ino in (select value from json_each(?)) order by ino desc limit 1'
const selectLayered = selectInode.replace('where ino = ?', inLayers)
const selectDataLayered = selectData.replace('where ino = ?', inLayers)

/** @returns the topmost row of an inode */
function topRow({ tx, volume }: Files, ino: number, single: string, layered: string): SqlValue[] | undefined {
  const keys = keysOf(volume, ino)
  if (keys.length === 1) return tx.raw(single, keys[0] as number)[0]
  return tx.raw(layered, JSON.stringify(keys))[0]
}
const updated = columnNames.filter((name) => name !== 'ino')
const updateInode = `update fs_inodes set ${updated.map((name) => `${name} = ?`).join(', ')} where ino = ?`
const updateWhole = updateInode.replace(' where', ', data = ? where')

/** Find an inode.
 *  @cost a statement when it is not in memory */
export function findInode(files: Files, ino: number): Inode | undefined {
  const { volume } = files
  const changed = volume.pinned.size > 0 ? volume.pinned.get(ino) : undefined
  const known = changed ?? volume.inodes.get(ino)
  if (known !== undefined) return known
  const row = topRow(files, ino, selectInode, selectLayered)
  // One that is gone hides those below it.
  if (row === undefined || row[1] === 0) return undefined
  const inode = inodeOf(row, ino)
  volume.inodes.set(ino, inode)
  return inode
}

function inodeOf(row: readonly SqlValue[], ino: number): Inode {
  const [, mode, nlink, uid, gid, size, stored, body, parent, atime, mtime, ctime, btime, nanos, era, link] =
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
export function readData(files: Files, ino: number): Uint8Array | null {
  const changed = files.volume.data.get(ino)
  if (changed !== undefined) return changed
  return (topRow(files, ino, selectData, selectDataLayered)?.[0] ?? null) as Uint8Array | null
}

/** Store a new inode.
 *  @param data its content; borrowed */
export function addInode({ tx, volume }: Files, inode: Inode, data: Uint8Array | null): void {
  const { ino } = inode
  tx.put(inodes, { ...inode, ino: volume.base + ino, data }, true)
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
  const { pinned } = volume
  if (pinned.size < FSX_TOUCHED_MAX || pinned.has(inode.ino)) pinned.set(inode.ino, inode)
}

const noTimes = { atime: 0, mtime: 0, ctime: 0, btime: 0, nanos: 0 }
/** The row of an inode that layers below have, and this one has no more. */
const gone = {
  ...{ mode: 0, nlink: 0, uid: 0, gid: 0, size: 0, stored: 0, body: null, parent: null, ...noTimes },
  ...{ era: 0, link: null, data: null },
}

/** Forget an inode and delete its row, or hide those below. */
export function dropInode({ tx, volume }: Files, ino: number): void {
  const { pinned, dirty } = volume
  const before = pinned.get(ino)
  const wasDirty = dirty.delete(ino)
  const dataBefore = volume.data.get(ino)
  pinned.delete(ino)
  volume.data.delete(ino)
  volume.inodes.delete(ino)
  const key = volume.base + ino
  if (ino >= volume.first) {
    tx.write('delete from fs_inodes where ino = ?', key)
    tx.record(inodes, 'delete', { ino: key } as InodeRow)
  } else tx.put(inodes, { ...gone, ino: key })
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
export function writeInode(files: Files, ino: number): void {
  const { tx, volume } = files
  const inode = volume.pinned.get(ino) as Inode
  const data = volume.data.get(ino)
  const key = volume.base + ino
  if (ino >= volume.first) {
    const values: SqlValue[] = []
    for (let i = 0; i < updated.length; i++) values.push(inode[updated[i] as keyof Inode])
    if (data === undefined) tx.write(updateInode, ...values, key)
    else tx.write(updateWhole, ...values, data, key)
    tx.record(inodes, 'put', (key === ino ? inode : { ...inode, ino: key }) as InodeRow)
  } else tx.put(inodes, { ...inode, ino: key, data: data === undefined ? readData(files, ino) : data })
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
