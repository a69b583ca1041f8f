/** What Linux tells of a process. */
import { existsSync, readFileSync } from 'node:fs'

/** Ticks of /proc/PID/stat in a second, on every Linux that Node runs on. */
export const TICKS = 100

/** Say what a bench that reads /proc lacks. */
export function procMissing(): string | undefined {
  return existsSync('/proc/self/stat') ? undefined : 'figures are read from /proc, which is not there'
}

/** Tell how many CPU seconds a process has used. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // The name before it may have spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS
}
