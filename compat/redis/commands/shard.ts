/** The commands that run in the shards, by group of the documentation. */
import type { Command } from '../command.ts'
import { geoCommands } from './geo.ts'
import { hashCommands } from './hashes.ts'
import { keyCommands } from './keys.ts'
import { listCommands } from './lists.ts'
import { memoryKeyCommands } from './memory.ts'
import { scanCommands } from './scan.ts'
import { setCommands } from './sets.ts'
import { sortedSetAlgebraCommands } from './sorted-set-algebra.ts'
import { sortedSetCommands } from './sorted-sets.ts'
import { stringCommands } from './strings.ts'

/** Every command that runs in a shard. */
export const shardCommands: readonly Command[] = [
  ...stringCommands,
  ...keyCommands,
  ...hashCommands,
  ...listCommands,
  ...setCommands,
  ...sortedSetCommands,
  ...sortedSetAlgebraCommands,
  ...geoCommands,
  ...scanCommands,
  ...memoryKeyCommands,
]
