/** The engines that every shard of a dotdo server runs, in every host. One list, so that threads and Workers agree. */
import type { Program } from '@dotdo/core/shard'
import type { BesideLake } from '@dotdo/core/tiering'
import { fsxProgram } from '@dotdo/fsx/program'
import { fsxWork } from '@dotdo/fsx/tier'
import { redisProgram } from '@dotdo/redis/program'

/** Every engine. */
export const programs: readonly Program[] = [redisProgram, fsxProgram]

/** What they do beside their shards, where there is a lake: cold content of files leaves for it. */
export const besideWith =
  (sha256: (bytes: Uint8Array) => Uint8Array): BesideLake =>
  ({ store, zstd }) =>
    fsxWork({ store, codec: zstd, sha256 })
