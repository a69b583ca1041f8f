/** Merging a layer with the only one on top of it: the rows of the upper one come into the lower one.
 *
 *  1. Costs what the upper layer has; of what is in the lower one, only what was changed is looked at.
 *  2. Content that was changed in the upper layer comes over the lower one's, chunk by chunk. */
import { FSX_CHUNK_BYTES, FSX_CHUNKS_MAX } from '@dotdo/core/limits'
import type { Tx } from '@dotdo/core/shard'
import {
  bodies,
  type ChunkRow,
  chunks,
  type EntryRow,
  entries,
  type InodeRow,
  inodes,
  LAYER_INOS,
  type LayerRow,
  layers,
  type XattrRow,
  xattrs,
} from '../tables.ts'
import { cutChunk } from './bodies.ts'

interface Merging {
  readonly tx: Tx
  readonly below: LayerRow
  /** What is added to a key of the upper layer. */
  readonly shift: number
  /** Keys of the upper layer. */
  readonly range: readonly [from: number, to: number]
}

/** Merge a layer that nobody shows with the only one on top of it. Memory must have nothing to write. */
export function mergeLayers(tx: Tx, below: LayerRow, above: number): void {
  const range = [above * LAYER_INOS, (above + 1) * LAYER_INOS - 1] as const
  const merging: Merging = { tx, below, shift: (below.layer - above) * LAYER_INOS, range }
  mergeEntries(merging)
  mergeXattrs(merging)
  for (const [ino] of tx.raw('select ino from fs_inodes where ino between ? and ?', ...range)) {
    mergeInode(merging, Number(ino))
  }
  const own = [below.layer * LAYER_INOS, (below.layer + 1) * LAYER_INOS - 1] as const
  tx.write('delete from fs_orphans where ino between ? and ?', ...own)
  tx.write('update fs_orphans set ino = ino + ? where ino between ? and ?', merging.shift, ...range)
  for (const table of ['fs_heads', 'fs_snapshots']) {
    tx.write(`update ${table} set layer = ? where layer = ?`, below.layer, above)
  }
  tx.write('update fs_layers set parent = ? where parent = ?', below.layer, above)
  tx.remove(layers, { layer: above })
}

function mergeEntries({ tx, below, shift, range }: Merging): void {
  for (const row of tx.all('select * from fs_entries where parent between ? and ?', ...range) as EntryRow[]) {
    const parent = row.parent + shift
    tx.remove(entries, row)
    // Below the lowest layer there is nothing to hide.
    if (row.ino === 0 && below.parent === null) tx.remove(entries, { parent, name: row.name })
    else tx.put(entries, { ...row, parent })
  }
}

function mergeXattrs({ tx, below, shift, range }: Merging): void {
  const rows = tx.all('select * from fs_xattrs where ino between ? and ? order by ino', ...range) as XattrRow[]
  let last = -1
  for (const row of rows) {
    const ino = row.ino + shift
    if (ino !== last) {
      for (const { name } of tx.all('select name from fs_xattrs where ino = ?', ino)) {
        tx.remove(xattrs, { ino, name: String(name) })
      }
    }
    last = ino
    tx.remove(xattrs, row)
    if (row.name !== '' || below.parent !== null) tx.put(xattrs, { ...row, ino })
  }
}

function mergeInode({ tx, below, shift }: Merging, key: number): void {
  const row = tx.find(inodes, { ino: key }) as InodeRow
  const old = tx.find(inodes, { ino: key + shift })
  const body = old === undefined ? row.body : mergeBody({ tx, below }, { old: old.body, body: row.body, key })
  tx.remove(inodes, { ino: key })
  if (row.mode !== 0 || (key % LAYER_INOS < below.first && below.parent !== null)) {
    tx.put(inodes, { ...row, ino: key + shift, body })
  } else tx.remove(inodes, { ino: key + shift })
  if (row.mode === 0) removeXattrs(tx, key + shift)
}

function removeXattrs(tx: Tx, ino: number): void {
  for (const { name } of tx.all('select name from fs_xattrs where ino = ?', ino)) {
    tx.remove(xattrs, { ino, name: String(name) })
  }
}

/** @returns the body that has the content of both from now on */
function mergeBody(
  { tx, below }: Pick<Merging, 'tx' | 'below'>,
  { old, body, key }: { old: number | null; body: number | null; key: number },
): number | null {
  if (old === null || old === body || old < below.first) return body
  const stand = body === null ? undefined : tx.find(bodies, { body })
  if (stand === undefined || stand.base !== old) {
    dropChunks(tx, old)
    return body
  }
  cutChunks(tx, old, stand.bytes)
  const from = stand.body * FSX_CHUNKS_MAX
  const ids = tx.raw('select id from fs_chunks where id between ? and ?', from, from + FSX_CHUNKS_MAX - 1)
  for (const [id] of ids) {
    const row = tx.find(chunks, { id: Number(id) }) as ChunkRow
    tx.put(chunks, { ...row, id: row.id - from + old * FSX_CHUNKS_MAX })
    tx.remove(chunks, { id: Number(id) })
  }
  tx.remove(bodies, stand)
  tx.write('update fs_bodies set base = ? where base = ?', old, stand.body)
  renameBody(tx, { ino: key % LAYER_INOS, from: stand.body, to: old })
  return old
}

/** Layers further up may have the inode with the same content. */
function renameBody(tx: Tx, { ino, from, to }: { ino: number; from: number; to: number }): void {
  const keys = `select layer * ${LAYER_INOS} + ? from fs_layers`
  for (const [key] of tx.raw(`select ino from fs_inodes where ino in (${keys}) and body = ?`, ino, from)) {
    const row = tx.find(inodes, { ino: Number(key) }) as InodeRow
    tx.put(inodes, { ...row, body: to })
  }
}

/** Cut off what is seen of a body no more. */
function cutChunks(tx: Tx, body: number, bytes: number): void {
  const kept = Math.ceil(bytes / FSX_CHUNK_BYTES)
  const from = body * FSX_CHUNKS_MAX
  const ids = 'select id from fs_chunks where id between ? and ?'
  for (const [id] of tx.raw(ids, from + kept, from + FSX_CHUNKS_MAX - 1)) tx.remove(chunks, { id: Number(id) })
  const tail = bytes % FSX_CHUNK_BYTES
  const last = tail === 0 ? undefined : tx.find(chunks, { id: from + kept - 1 })
  const cut = last && cutChunk(last, tail)
  if (cut !== undefined) tx.put(chunks, cut)
  const below = tx.find(bodies, { body })
  if (below !== undefined && below.bytes > bytes) tx.put(bodies, { ...below, bytes })
}

/** Remove a body. */
export function dropChunks(tx: Tx, body: number): void {
  const from = body * FSX_CHUNKS_MAX
  const statement = 'delete from fs_chunks where id between ? and ? returning id'
  for (const { id } of tx.write(statement, from, from + FSX_CHUNKS_MAX - 1)) {
    tx.record(chunks, 'delete', { id } as ChunkRow)
  }
  tx.remove(bodies, { body })
}
