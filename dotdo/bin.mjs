#!/usr/bin/env node
/** The `dotdo` command as npm links it. It is no build product: npm links only what is there when it installs. */
import { existsSync } from 'node:fs'

const main = new URL('./dist/main.js', import.meta.url)
if (existsSync(main)) await import(main.href)
else {
  console.error('dotdo is not built yet: npm run build (npm start does it, too)')
  process.exitCode = 1
}
