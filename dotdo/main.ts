#!/usr/bin/env node
/** The `dotdo` command. */
import { runCli } from './cli/index.ts'

// `dotdo ... | head`: whoever reads has seen enough, which is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit(0)
})

// Both are bundled into one folder, so that the thread's entry is found beside this file.
process.exitCode = await runCli(process.argv.slice(2), { threadEntry: new URL('./thread.js', import.meta.url) })
