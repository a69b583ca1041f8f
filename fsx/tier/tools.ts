/** What tiers work with, which a host brings, and how they ask a shard. */
import { ANY_EPOCH, type JobShard, unwrap } from '@dotdo/core/shard'
import type { ObjectStore } from '@dotdo/core/tiering'
import { FSX, type FsxAnswer, type FsxArgs, type FsxName } from '../program.ts'
import { FSX_SLOT } from '../tables.ts'

/** Compresses, and reads back: `Zstd` of the hosts. */
export interface Codec {
  compress(bytes: Uint8Array): Uint8Array
  decompress(bytes: Uint8Array, sizeBytes: number): Uint8Array
}

/** What a host brings. */
export interface TierTools {
  /** Where cold content goes. */
  readonly store: ObjectStore
  /** zstd. */
  readonly codec: Codec
  /** @returns 32 bytes */
  sha256(bytes: Uint8Array): Uint8Array
}

/** Ask the filesystem of a shard, from beside it.
 *  @throws Failure */
export async function ask<N extends FsxName>(shard: JobShard, name: N, args: FsxArgs<N>): Promise<FsxAnswer<N>> {
  const [reply] = await shard.submit([{ program: FSX, name, slot: FSX_SLOT, epoch: ANY_EPOCH, args }])
  return unwrap(reply) as FsxAnswer<N>
}

/** Write bytes as hexadecimal digits. */
export function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
