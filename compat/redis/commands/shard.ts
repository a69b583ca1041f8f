/** The commands that run in the shards, by group of the documentation. */
import type { Command } from '../command.ts'
import { hashCommands } from './hashes.ts'
import { keyCommands } from './keys.ts'
import { listCommands } from './lists.ts'
import { scanCommands } from './scan.ts'
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
  ...streamCommands,
  ...streamGroupCommands,
  ...streamInfoCommands,
  ...scanCommands,
]
