#!/usr/bin/env node
/** The `dotdo` command. */
import { runCli } from './cli/index.ts'

// Both are bundled into one folder, so that the thread's entry is found beside this file.
process.exitCode = await runCli(process.argv.slice(2), { threadEntry: new URL('./thread.js', import.meta.url) })
