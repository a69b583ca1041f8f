/** The engines that every shard of a dotdo server runs, in every host. One list, so that threads and Workers agree. */
import type { Program } from '@dotdo/core/shard'
// By path until compat/redis/package.json exports it.
import { redisProgram } from '../compat/redis/program.ts'

/** Every engine. */
export const programs: readonly Program[] = [redisProgram]
