#!/usr/bin/env node
/** The `dotdo` command. */
import { constants } from 'node:os'
import { runCli } from './cli/index.ts'

// `dotdo ... | head`: whoever reads has seen enough. A shell is told what it would be of a program that SIGPIPE ends.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit(128 + constants.signals.SIGPIPE)
})

// Both are bundled into one folder, so that the thread's entry is found beside this file.
process.exitCode = await runCli(process.argv.slice(2), { threadEntry: new URL('./thread.js', import.meta.url) })
