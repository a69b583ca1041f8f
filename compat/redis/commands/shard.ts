/** The commands that run in the shards, by group of the documentation. */
import type { Command } from '../command.ts'
import { dumpCommands } from './dump.ts'
import { geoCommands } from './geo.ts'
import { hashCommands } from './hashes.ts'
import { keyCommands } from './keys.ts'
import { listCommands } from './lists.ts'
import { memoryKeyCommands } from './memory.ts'
import { popCommands } from './pops.ts'
import { scanCommands } from './scan.ts'
import { setCommands } from './sets.ts'
import { sortCommands } from './sort.ts'
import { sortedSetAlgebraCommands } from './sorted-set-algebra.ts'
import { sortedSetCommands } from './sorted-sets.ts'
import { streamGroupCommands } from './stream-groups.ts'
import { streamInfoCommands } from './stream-info.ts'
import { streamCommands } from './streams.ts'
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
  ...streamCommands,
  ...streamGroupCommands,
  ...streamInfoCommands,
  ...scanCommands,
  ...popCommands,
  ...sortCommands,
  ...dumpCommands,
  ...memoryKeyCommands,
]
