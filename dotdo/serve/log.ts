/** Structured logs: JSON lines, or on a terminal the same lines made readable. Node only. */
import { type DestinationStream, type Logger, pino } from 'pino'
import type { LogLevel } from './settings.ts'

const levelNames: Record<number, string> = pino.levels.labels

/** Show one JSON line of pino's to a person: time, level, message, then the rest as name=value. */
export function readable(line: string): string {
  const { time, level, msg, err, ...rest } = JSON.parse(line) as Record<string, unknown>
  const clock = new Date(Number(time)).toTimeString().slice(0, 8)
  const pairs = Object.entries(rest).map(([name, value]) => `${name}=${JSON.stringify(value)}`)
  const stack = (err as { stack?: string } | undefined)?.stack
  const shown = [clock, levelNames[Number(level)] ?? String(level), msg, ...pairs].filter((part) => part !== undefined)
  return `${shown.join(' ')}\n${stack === undefined ? '' : `${stack}\n`}`
}

/** Make the log of a server, to standard output.
 *  @param options.pretty for people, not for machines */
export function createLog({ level, pretty }: { level: LogLevel; pretty: boolean }): Logger {
  // Written at once: the last line before a crash is the one that is wanted.
  const output = pino.destination({ fd: 1, sync: true })
  const destination: DestinationStream = pretty ? { write: (line) => void output.write(readable(line)) } : output
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.epochTime }, destination)
}
