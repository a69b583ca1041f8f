/** The engines that every shard of a dotdo server runs, in every host. One list, so that threads and Workers agree. */
import type { Program } from '@dotdo/core/shard'
import { fsxProgram } from '@dotdo/fsx/program'
import { redisProgram } from '@dotdo/redis/program'

/** Every engine. */
export const programs: readonly Program[] = [redisProgram, fsxProgram]
