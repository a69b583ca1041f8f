/** How long commands took: the slow log, latency events, and a histogram for each command.
 *
 *  1. A command's time is from when it was taken up to when its reply was ready to be written, the commit and the other
 *     commands of its batch included; to the millisecond, which is what the clock tells.
 *  2. Commands that wait for a key are not slow because they waited: they are in no list of slow ones.
 *  3. Everything here is bounded, and secrets in arguments are not kept. */
import type { Bin } from '@dotdo/core/bytes'
import { flagsOf } from './commands/traits.ts'
import type { Config } from './config.ts'
import type { Row, Session } from './session.ts'

/** A command that was taken up. */
export interface Taken {
  readonly row: Row
  readonly argv: readonly Bin[]
  readonly startedMs: number
}

/** A slow command. */
export interface SlowEntry {
  readonly id: number
  readonly atMs: number
  readonly durationMs: number
  readonly argv: readonly Bin[]
  readonly address: string
  readonly name: Bin
}

/** A sample of a latency event: the longest of its second. */
export interface LatencySample {
  readonly second: number
  durationMs: number
}

/** How often a command took how long. */
export interface Histogram {
  calls: number
  totalMs: number
  /** Counts by power of two: at i, those that took less than 2^i ms and at least half of it. */
  readonly counts: number[]
  /** Whether it may wait for a key: then its time says nothing, and only calls are counted. */
  readonly waits: boolean
}

/** Redis' own bounds of what is kept of an entry and of an event. */
const ARGUMENTS_MAX = 32
const ARGUMENT_BYTES_MAX = 128
const SAMPLES_MAX = 160

const REDACTED = '(redacted)'

/** Whether an argument is nobody's business. */
function isSecret({ name }: Row, argv: readonly Bin[], at: number): boolean {
  if (name === 'auth') return at > 0
  if (name === 'acl|setuser') return at > 1
  const isAuth = (word: Bin | undefined) => word !== undefined && /^auth$/i.test(word)
  return name === 'hello' && (isAuth(argv[at - 1]) || isAuth(argv[at - 2]))
}

function withoutSecrets(row: Row, argv: readonly Bin[]): readonly Bin[] {
  if (!/^(auth|acl\|setuser|hello)$/.test(row.name)) return argv
  return argv.map((argument, at) => (isSecret(row, argv, at) ? REDACTED : argument))
}

/** Behind a long queue every command is slow: most need no work. */
function shorten(argv: readonly Bin[]): readonly Bin[] {
  if (argv.length <= ARGUMENTS_MAX && argv.every(({ length }) => length <= ARGUMENT_BYTES_MAX)) return argv
  const shown = argv.length > ARGUMENTS_MAX ? argv.slice(0, ARGUMENTS_MAX - 1) : argv
  const cut = shown.map((argument) => {
    const more = argument.length - ARGUMENT_BYTES_MAX
    return more > 0 ? `${argument.slice(0, ARGUMENT_BYTES_MAX)}... (${more} more bytes)` : argument
  })
  if (shown.length < argv.length) cut.push(`... (${argv.length - shown.length} more arguments)`)
  return cut
}

/** What is known of how long commands took. */
export class Measured {
  /** Newest first. */
  slow: SlowEntry[] = []
  readonly events = new Map<string, LatencySample[]>()
  readonly histograms = new Map<string, Histogram>()
  private lastId = -1
  private readonly config: Config

  constructor(config: Config) {
    this.config = config
  }

  /** Count commands whose replies are ready. */
  finish(session: Session, commands: readonly Taken[], nowMs: number): void {
    const slowerMs = this.config.number('slowlog-log-slower-than') / 1000
    const eventMs = this.config.number('latency-monitor-threshold')
    for (const taken of commands) {
      const durationMs = Math.max(0, nowMs - taken.startedMs)
      this.count(taken.row, durationMs)
      const slow = slowerMs >= 0 && durationMs >= slowerMs
      const event = eventMs > 0 && durationMs >= eventMs
      if ((slow || event) && !flagsOf(taken.row).includes('blocking')) {
        if (slow) this.noteSlow(session, taken, durationMs)
        if (event) this.noteEvent(flagsOf(taken.row).includes('fast') ? 'fast-command' : 'command', durationMs, nowMs)
      }
    }
  }

  private count(row: Row, durationMs: number): void {
    const { name } = row
    let histogram = this.histograms.get(name)
    if (histogram === undefined) {
      histogram = { calls: 0, totalMs: 0, counts: [], waits: flagsOf(row).includes('blocking') }
      this.histograms.set(name, histogram)
    }
    histogram.calls += 1
    if (histogram.waits) return
    histogram.totalMs += durationMs
    const at = durationMs === 0 ? 0 : 32 - Math.clz32(durationMs)
    histogram.counts[at] = (histogram.counts[at] ?? 0) + 1
  }

  private noteSlow({ state }: Session, { row, argv, startedMs }: Taken, durationMs: number): void {
    this.lastId += 1
    const shown = shorten(withoutSecrets(row, argv))
    const { address, name } = state
    this.slow.unshift({ id: this.lastId, atMs: startedMs, durationMs, argv: shown, address, name })
    this.slow.length = Math.min(this.slow.length, this.config.number('slowlog-max-len'))
  }

  private noteEvent(event: string, durationMs: number, nowMs: number): void {
    const samples = this.events.get(event) ?? []
    this.events.set(event, samples)
    const second = Math.floor(nowMs / 1000)
    const last = samples.at(-1)
    if (last?.second === second) last.durationMs = Math.max(last.durationMs, durationMs)
    else samples.push({ second, durationMs })
    if (samples.length > SAMPLES_MAX) samples.shift()
  }

  /** Forget what CONFIG RESETSTAT makes forgotten. */
  reset(): void {
    this.histograms.clear()
  }
}
