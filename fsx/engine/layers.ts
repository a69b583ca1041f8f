/** Layers: what snapshots and forks are made of.
 *
 *  1. A layer that anything stands on, or that a snapshot shows, never changes again. Each filesystem has one of its
 *     own on top, which takes what is written.
 *  2. A snapshot, and a fork, put a new layer on top: nothing is copied, whatever there is.
 *  3. A layer that nobody shows and only one stands on is merged with that one; one that nobody stands on goes. */
import { FSX_LAYERS_DEEP_MAX, FSX_LAYERS_MAX } from '@dotdo/core/limits'
import type { Tx } from '@dotdo/core/shard'
import { refuse } from '../errors.ts'
import {
  type EntryRow,
  entries,
  heads,
  type InodeRow,
  inodes,
  LAYER_INOS,
  type LayerRow,
  layers,
  orphans,
  type XattrRow,
  xattrs,
} from '../tables.ts'
import { quietly } from './changes.ts'
import { dropChunks, mergeLayers } from './merge.ts'
import { type Files, findVolumes, flush, MAIN, readChain, type Volume, writeInode } from './volume.ts'

/** Write down what a filesystem that was never shared does without. */
export function declareHead({ tx, volume }: Files): void {
  if (tx.find(layers, { layer: 0 }) === undefined) tx.put(layers, { layer: 0, parent: null, first: 0 })
  if (tx.find(heads, { name: volume.head }) !== undefined) return
  tx.put(heads, { name: volume.head, layer: 0, quota_bytes: null, quota_inodes: null, made: tx.nowMs })
}

/** Write everything that waits in memory, of all filesystems of the shard.
 *  @cost as many statements as there are inodes that wait */
export function settle({ tx, nowUs }: Files): void {
  for (const volume of findVolumes(tx.memory)?.known.values() ?? []) {
    const files = { tx, volume, nowUs }
    flush(files)
    if (!volume.isReadOnly) for (const ino of [...volume.pinned.keys()]) writeInode(files, ino)
  }
}

/** Put an empty layer on top of one.
 *  @returns its number
 *  @throws ENOSPC when there are too many */
export function addLayer({ tx, volume: { numbers } }: Files, parent: number): number {
  if (readChain(tx, parent).length >= FSX_LAYERS_DEEP_MAX) throw refuse('ENOSPC')
  const layer = Number(tx.raw('select max(layer) from fs_layers')[0]?.[0]) + 1
  if (layer > FSX_LAYERS_MAX) throw refuse('ENOSPC')
  tx.put(layers, { layer, parent, first: numbers.nextIno })
  return layer
}

/** Let no more be changed of what a filesystem sees: from here on its changes go to a layer of their own.
 *  @returns the layer that is whole now */
export function freeze(files: Files): number {
  const { tx, volume } = files
  declareHead(files)
  settle(files)
  const frozen = (volume.chain[0] as { layer: number }).layer
  const layer = addLayer(files, frozen)
  moveHead(files, layer)
  // Files that are open without a name are the business of whoever has them open.
  const statement = 'select ino, until from fs_orphans where ino between ? and ?'
  for (const [key, until] of tx.raw(statement, frozen * LAYER_INOS, (frozen + 1) * LAYER_INOS - 1)) {
    tx.put(orphans, { ino: (Number(key) % LAYER_INOS) + layer * LAYER_INOS, until: Number(until) })
  }
  return frozen
}

/** Let a filesystem's changes go to another layer. */
export function moveHead({ tx, volume }: Files, layer: number): void {
  const head = tx.find(heads, { name: volume.head })
  if (head === undefined) throw refuse('ENOENT')
  tx.put(heads, { ...head, layer })
  setChain(tx, volume, readChain(tx, layer))
}

function setChain(tx: Tx, volume: Volume, chain: Volume['chain']): void {
  const before = volume.chain
  volume.chain = chain
  tx.onUndo(() => {
    volume.chain = before
  })
}

/** A layer may be shown no more: let go of it, if so, and of those below it. */
export function tidyLayer(files: Files, layer: number): void {
  settle(files)
  quietly(files, () => tidy(files, layer))
}

function tidy(files: Files, layer: number): void {
  const { tx } = files
  const row = tx.find(layers, { layer })
  if (row === undefined) return
  const shown = 'select 1 from fs_heads where layer = ? union all select 1 from fs_snapshots where layer = ? limit 1'
  if (tx.raw(shown, layer, layer).length > 0) return
  const above = tx.raw('select layer from fs_layers where parent = ? limit 2', layer)
  if (above.length > 1) return
  if (above.length === 1) merge(files, row, Number(above[0]?.[0]))
  else {
    dropLayer(files, row)
    if (row.parent !== null) tidy(files, row.parent)
  }
}

function dropLayer({ tx }: Files, { layer, first }: LayerRow): void {
  const range = [layer * LAYER_INOS, (layer + 1) * LAYER_INOS - 1] as const
  const owned = 'select body from fs_inodes where ino between ? and ? and body >= ?'
  for (const [body] of tx.raw(owned, ...range, first)) dropChunks(tx, Number(body))
  for (const row of tx.write('delete from fs_inodes where ino between ? and ? returning ino', ...range)) {
    tx.record(inodes, 'delete', row as InodeRow)
  }
  for (const row of tx.write('delete from fs_entries where parent between ? and ? returning parent, name', ...range)) {
    tx.record(entries, 'delete', row as EntryRow)
  }
  for (const row of tx.write('delete from fs_xattrs where ino between ? and ? returning ino, name', ...range)) {
    tx.record(xattrs, 'delete', row as XattrRow)
  }
  tx.write('delete from fs_orphans where ino between ? and ?', ...range)
  tx.remove(layers, { layer })
}

function merge(files: Files, below: LayerRow, above: number): void {
  const { tx } = files
  mergeLayers(tx, below, above)
  for (const volume of findVolumes(tx.memory)?.known.values() ?? []) {
    // Numbers of layers and bodies are others now.
    volume.inodes.clear()
    const shown = volume.snapshot === undefined ? tx.find(heads, { name: volume.head })?.layer : layerOf(tx, volume)
    if (shown !== undefined) setChain(tx, volume, readChain(tx, shown))
  }
}

function layerOf(tx: Tx, { snapshot }: Volume): number | undefined {
  const layer = tx.raw('select layer from fs_snapshots where id = ?', snapshot as number)[0]?.[0]
  return layer === undefined ? undefined : Number(layer)
}

/** Forget a filesystem, or a view of a snapshot, in memory. */
export function forgetVolumes({ tx }: Files, matches: (volume: Volume) => boolean): void {
  const known = findVolumes(tx.memory)?.known ?? new Map<string, Volume>()
  for (const [key, volume] of known) {
    if (!matches(volume)) continue
    known.delete(key)
    tx.onUndo(() => known.set(key, volume))
  }
}

/** Whether a name may be that of a fork or a snapshot. */
export function checkLabel(name: string): void {
  if (typeof name !== 'string' || !/^[^/#\0][^/\0]{0,254}$/.test(name) || name === MAIN) throw refuse('EINVAL')
}
