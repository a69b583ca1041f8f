/** A filesystem over several shards: each is a filesystem of its own, with a part of the names in the root.
 *
 *  1. A name in the root, and all that is below it, is on one shard, by a hash of the name. The root itself is on all.
 *  2. A path that leads to what another shard has is answered with the path to ask that one for (part.ts), since
 *     links may lead anywhere. One that leads back to the root is to be asked for as `/`.
 *  3. The shards know nothing of each other: what needs two of them at once is EXDEV. */
import { FSX_SPREAD_MAX } from '@dotdo/core/limits'
import { refuse } from '../errors.ts'
import { ROOT_INO } from '../tables.ts'
import { type Credential, checkRoot } from './mode.ts'
import { isEmpty } from './names.ts'
import type { Part } from './part.ts'
import { pathOf } from './realpath.ts'
import { type Files, writeMeta } from './volume.ts'
import { walk } from './walk.ts'

/** Tell which of several shards this is; null when the filesystem is whole. */
export function readPart(files: Files, _: null): Part | null {
  return files.volume.part ?? null
}

/** Say which of several shards this is, for ever.
 *  @throws EPERM; EINVAL for too many; EBUSY when it is another, or has content of its own */
export function becomePart(
  files: Files,
  { shard, shards, asks = false }: Part & { readonly asks?: boolean },
  who: Credential,
): null {
  checkRoot(who)
  const { tx, volume } = files
  if (!(shards >= 2 && shards <= FSX_SPREAD_MAX && shard >= 0 && shard < shards)) throw refuse('EINVAL')
  const { part } = volume
  const isShared = tx.raw('select 1 from fs_layers limit 1').length > 0
  if (part === undefined && (isShared || !isEmpty(files, ROOT_INO))) throw refuse('EBUSY')
  if (part !== undefined && (part.shard !== shard || part.shards !== shards)) throw refuse('EBUSY')
  if (asks) return null
  writeMeta(tx, 'shard', shard)
  writeMeta(tx, 'shards', shards)
  volume.part = { shard, shards }
  tx.onUndo(() => {
    volume.part = part
  })
  return null
}

/** Find where a name is, or would be.
 *  @returns its path without links, but for the name itself; `.` at the end for a path that ends in dots
 *  @throws as `walk` */
export function locate(files: Files, { path }: { path: string }, who: Credential): string {
  const place = walk(files, path, { who, follow: 'never', anyName: true })
  const above = pathOf(files, place.chain)
  if (place.dots === 'root') return '/'
  return `${above === '/' ? '' : above}/${place.dots === undefined ? place.name : '.'}${place.slash ? '/' : ''}`
}
