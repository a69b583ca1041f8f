/** What a filesystem stores; SCHEMA.md explains each column and the rules that rows keep to.
 *
 *  1. All of it lives in one slot, so no row says which.
 *  2. Times are microseconds since 1970, whole numbers within 2^53; `nanos` has the rest of all four.
 *  3. Content: up to FSX_INLINE_BYTES_MAX in the inode's row, as its last column; else in chunks, whose rows are found
 *     by `body * 2^22 + index`. A chunk that is not there is a hole. `body` is not the inode, so that inodes can share
 *     one, and one body can stand on another.
 *  4. Rows are in layers: numbers of inodes in keys (`ino`, `parent`) are `layer * 2^31 + ino`. A filesystem, its
 *     snapshots and its forks each see a chain of layers: the topmost row of each key. Without any, all is in 0. */
import { internalTable, table } from '@dotdo/core/shard'

/** The slot that a filesystem lives in. */
export const FSX_SLOT = 0
/** The version of the schema, as SCHEMA.md describes it. */
export const FSX_SCHEMA_VERSION = 3
/** The number of the root directory. */
export const ROOT_INO = 1

/** What the number of a layer is multiplied with in keys: inode numbers are below. */
export const LAYER_INOS = 2 ** 31
/** What the number of an object is multiplied with in those of its pieces. */
export const OBJECT_PIECES = 2 ** 16

/** An inode, but for its content. */
export type Inode = {
  ino: number
  /** Type and permissions, as st_mode. */
  mode: number
  nlink: number
  uid: number
  gid: number
  size: number
  /** Bytes of content that are stored: holes and the room of short chunks excluded. */
  stored: number
  /** Whose chunks the content is in; null when it stands in `data`. */
  body: number | null
  /** Of a directory, the one it is in (the root's is itself). Of others, one that had a name of it last; null when that
   *  was before version 3. */
  parent: number | null
  atime: number
  mtime: number
  ctime: number
  btime: number
  /** Nanoseconds past the microsecond (0 to 999): atime + 1000 * mtime + 1000^2 * ctime + 1000^3 * btime. */
  nanos: number
  /** How many snapshots had been taken when the row was written. */
  era: number
  /** The target of a symbolic link; null for others. */
  link: string | null
}

/** An inode's row. */
export type InodeRow = Inode & {
  /** Content that is not in chunks; null for none. */
  data: Uint8Array | null
}

/** A name in a directory. */
export type EntryRow = {
  parent: number
  name: string
  ino: number
  /** Type bits of the inode's mode, so that listing needs no look at it. */
  kind: number
  era: number
}

/** A piece of a file's content. */
export type ChunkRow = {
  id: number
  /** Of a cold one, where its content is; null for others. */
  piece: number | null
  /** Of a cold one, how many bytes of the piece are seen. */
  bytes: number | null
  /** Empty when it is cold. */
  data: Uint8Array
}

/** An extended attribute. */
export type XattrRow = {
  ino: number
  name: string
  value: Uint8Array
}

/** A file without a name that was open when it lost the last one. */
export type OrphanRow = {
  ino: number
  /** When it may go, in ms since 1970, unless the shard knows that it is still open. */
  until: number
}

/** A number that belongs to the filesystem as a whole. */
export type MetaRow = {
  name:
    | 'version'
    | 'chunk_bytes'
    | 'next_ino'
    | 'next_snapshot'
    | 'quota_bytes'
    | 'quota_inodes'
    | 'era'
    | 'shard'
    | 'shards'
    | 'next_object'
    | 'arriving'
    | 'tier_older_ms'
    | 'tier_larger_bytes'
    | 'tier_keep_ms'
  value: number
}

const timeOf = ({ mtime }: Inode) => mtime

/** @returns what people see of a number in a key; the layer only where there is one */
function numbersOf(key: number): { ino: number; layer?: number } {
  return key < LAYER_INOS ? { ino: key } : { ino: key % LAYER_INOS, layer: Math.floor(key / LAYER_INOS) }
}

/** Inodes. Rowid is the number, so that a row is found at once and new ones are appended. */
export const inodes = table<InodeRow>({
  name: 'fs_inodes',
  collection: 'inodes',
  slot: FSX_SLOT,
  columns: {
    ino: 'integer',
    mode: 'integer',
    nlink: 'integer',
    uid: 'integer',
    gid: 'integer',
    size: 'integer',
    stored: 'integer',
    body: 'integer?',
    parent: 'integer?',
    atime: 'integer',
    mtime: 'integer',
    ctime: 'integer',
    btime: 'integer',
    nanos: 'integer',
    era: 'integer',
    link: 'text?',
    data: 'blob?',
  },
  primaryKey: ['ino'],
  document: ({ ino, mode, nlink, uid, gid, size, mtime, link }) => {
    return { ...numbersOf(ino), mode, nlink, uid, gid, size, mtime, ...(link !== null && { link }) }
  },
  documentId: ({ ino }) => String(ino),
  relation: {
    columns: [
      { name: 'ino', type: 'long', required: true, value: ({ ino }) => ino },
      { name: 'mode', type: 'int', required: true, value: ({ mode }) => mode },
      { name: 'nlink', type: 'int', required: true, value: ({ nlink }) => nlink },
      { name: 'uid', type: 'long', required: true, value: ({ uid }) => uid },
      { name: 'gid', type: 'long', required: true, value: ({ gid }) => gid },
      { name: 'size', type: 'long', required: true, value: ({ size }) => size },
      { name: 'modified', type: 'timestamptz', required: true, value: timeOf },
      { name: 'link', type: 'string', value: ({ link }) => link },
    ],
  },
})

/** Names: (directory, name) to inode. */
export const entries = table<EntryRow>({
  name: 'fs_entries',
  collection: 'entries',
  slot: FSX_SLOT,
  columns: { parent: 'integer', name: 'text', ino: 'integer', kind: 'integer', era: 'integer' },
  primaryKey: ['parent', 'name'],
  withoutRowid: true,
  document: ({ parent, name, ino, kind }) => ({ parent, name, ino, kind }),
  documentId: ({ parent, name }) => `${parent}/${name}`,
  relation: {
    columns: [
      { name: 'parent', type: 'long', required: true, value: ({ parent }) => parent },
      { name: 'name', type: 'string', required: true, value: ({ name }) => name },
      { name: 'ino', type: 'long', required: true, value: ({ ino }) => ino },
    ],
  },
})

/** Pieces of content. */
export const chunks = table<ChunkRow>({
  name: 'fs_chunks',
  collection: 'chunks',
  slot: FSX_SLOT,
  columns: { id: 'integer', piece: 'integer?', bytes: 'integer?', data: 'blob' },
  primaryKey: ['id'],
  indexes: { piece: '(piece) where piece is not null' },
  document: ({ id, bytes, data }) => ({ id, bytes: bytes ?? data.length }),
  documentId: ({ id }) => String(id),
})

/** Extended attributes. */
export const xattrs = table<XattrRow>({
  name: 'fs_xattrs',
  collection: 'xattrs',
  slot: FSX_SLOT,
  columns: { ino: 'integer', name: 'text', value: 'blob' },
  primaryKey: ['ino', 'name'],
  document: ({ ino, name, value }) => ({ ino, name, bytes: value.length }),
  documentId: ({ ino, name }) => `${ino}/${name}`,
})

/** Files without a name that were open when they lost the last one. */
export const orphans = internalTable<OrphanRow>({
  name: 'fs_orphans',
  slot: FSX_SLOT,
  columns: { ino: 'integer', until: 'integer' },
  primaryKey: ['ino'],
})

/** Numbers of the filesystem as a whole. */
export const meta = internalTable<MetaRow>({
  name: 'fs_meta',
  slot: FSX_SLOT,
  columns: { name: 'text', value: 'integer' },
  primaryKey: ['name'],
  withoutRowid: true,
})

/** A layer of rows. */
export type LayerRow = {
  layer: number
  /** The layer below; null at the bottom. */
  parent: number | null
  /** Inodes and bodies from this number on were made in this layer or above it. */
  first: number
}

/** A filesystem of the shard: `main`, or a fork. */
export type HeadRow = {
  name: string
  /** The layer that its changes go to. */
  layer: number
  quota_bytes: number | null
  quota_inodes: number | null
  /** When it was made, in ms since 1970. */
  made: number
}

/** A snapshot of a filesystem. */
export type SnapshotRow = {
  id: number
  /** Whose it is. */
  head: string
  name: string
  layer: number
  /** When it was taken, in ms since 1970. */
  taken: number
}

/** A body that shows another through where it has no chunk of its own. */
export type BodyRow = {
  body: number
  base: number
  /** How many bytes of the other show through. */
  bytes: number
}

/** Layers; none while nothing has been shared. */
export const layers = internalTable<LayerRow>({
  name: 'fs_layers',
  slot: FSX_SLOT,
  columns: { layer: 'integer', parent: 'integer?', first: 'integer' },
  primaryKey: ['layer'],
})

/** Filesystems of the shard; none while nothing has been shared. */
export const heads = internalTable<HeadRow>({
  name: 'fs_heads',
  slot: FSX_SLOT,
  columns: { name: 'text', layer: 'integer', quota_bytes: 'integer?', quota_inodes: 'integer?', made: 'integer' },
  primaryKey: ['name'],
})

/** Snapshots that are kept. */
export const snapshots = internalTable<SnapshotRow>({
  name: 'fs_snapshots',
  slot: FSX_SLOT,
  columns: { id: 'integer', head: 'text', name: 'text', layer: 'integer', taken: 'integer' },
  primaryKey: ['id'],
})

/** Bodies that stand on others. */
export const bodies = internalTable<BodyRow>({
  name: 'fs_bodies',
  slot: FSX_SLOT,
  columns: { body: 'integer', base: 'integer', bytes: 'integer' },
  primaryKey: ['body'],
  indexes: { fs_bodies_base: '(base)' },
})

/** Content that is in an object of the store. */
export type PieceRow = {
  /** `object * 2^16 + index` */
  piece: number
  /** The sha256 of the content. */
  hash: Uint8Array
  /** Where it begins in the object. */
  at: number
  /** Bytes in the object: fewer than `bytes` are a zstd frame. */
  stored: number
  bytes: number
}

/** An object of the store. */
export type ObjectRow = {
  object: number
  key: string
  bytes: number
  /** Only of a live one there are pieces. */
  state: 'writing' | 'live' | 'deleting'
  /** Since when, in ms since 1970, no chunk has a piece of it, as was found; null while some do. */
  dead: number | null
  /** The database that it is borrowed from; null for what is this filesystem's own. */
  lender: string | null
}

/** An object that another filesystem refers to. */
export type LoanRow = {
  object: number
  /** The database of the other one. */
  borrower: string
}

/** Pieces of content in the store. */
export const pieces = internalTable<PieceRow>({
  name: 'fs_pieces',
  slot: FSX_SLOT,
  columns: { piece: 'integer', hash: 'blob', at: 'integer', stored: 'integer', bytes: 'integer' },
  primaryKey: ['piece'],
  indexes: { hash: '(hash)' },
})

/** Objects in the store. */
export const objects = internalTable<ObjectRow>({
  name: 'fs_objects',
  slot: FSX_SLOT,
  columns: { object: 'integer', key: 'text', bytes: 'integer', state: 'text', dead: 'integer?', lender: 'text?' },
  primaryKey: ['object'],
})

/** What is lent. */
export const loans = internalTable<LoanRow>({
  name: 'fs_loans',
  slot: FSX_SLOT,
  columns: { object: 'integer', borrower: 'text' },
  primaryKey: ['object', 'borrower'],
  withoutRowid: true,
})

/** Everything that a filesystem stores. */
export const fsxTables = [
  inodes,
  entries,
  chunks,
  xattrs,
  orphans,
  meta,
  layers,
  heads,
  snapshots,
  bodies,
  pieces,
  objects,
  loans,
]
