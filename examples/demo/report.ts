/** What the demo shows while it works, and at the end. */
import { SingleBar } from 'cli-progress'

/** Tells people what is going on; silent where only the result is wanted. */
export interface Teller {
  say(text: string): void
  /** Begin a bar. */
  bar(label: string, total: number, from: number): { update(value: number): void; stop(): void }
}

/** Nobody is told. */
export const silent: Teller = { say: () => {}, bar: () => ({ update: () => {}, stop: () => {} }) }

/** Write for a terminal, with a bar that moves, or for a file, with a line now and then. */
export function tellerOf(out: { isTTY?: boolean; write(text: string): unknown }): Teller {
  const say = (text: string) => void out.write(`${text}\n`)
  return {
    say,
    bar(label, total, from) {
      if (out.isTTY) {
        const format = `  ${label} {bar} {percentage}% | {value} of {total} rows | {duration_formatted}`
        const bar = new SingleBar({ format, hideCursor: true })
        bar.start(total, from)
        return { update: (value) => bar.update(value), stop: () => bar.stop() }
      }
      let told = Math.floor((5 * from) / total)
      const update = (value: number) => {
        const fifth = Math.floor((5 * value) / total)
        if (fifth > told) say(`  ${label}: ${value} of ${total} rows`)
        told = Math.max(told, fifth)
      }
      return { update, stop: () => {} }
    },
  }
}

/** What the demo found out. */
export interface Result {
  /** Whether nothing was lost, doubled or otherwise wrong. */
  readonly ok: boolean
  readonly problems: readonly string[]
  readonly dataset: { readonly name: string; readonly flights: number; readonly airports: number }
  readonly load: {
    readonly rows: number
    readonly seconds: number
    readonly rowsPerSecond: number
    readonly killedAtRow: number
    /** Rows that the crash left in doubt: found written, and not. */
    readonly doubted: { readonly written: number; readonly lost: number }
  }
  readonly recovery: {
    /** From the start of the new process until everything listened. */
    readonly startMs: number
    /** From there until the first read of every shard was answered. */
    readonly firstReadMs: number
  }
  readonly feed: { readonly events: number; readonly resumed: number; readonly seconds: number }
  readonly check: { readonly client: string; readonly commands: Record<string, number>; readonly keys: number }
  readonly shards: readonly {
    readonly index: number
    readonly keys: number
    readonly changes: number
    readonly bytes: number
  }[]
}

const whole = (value: number) => Math.round(value).toLocaleString('en-US')

function chart(shards: Result['shards']): string[] {
  const most = Math.max(...shards.map(({ keys }) => keys))
  return shards.map(({ index, keys, changes, bytes }) => {
    const bar = '█'.repeat(Math.round((40 * keys) / most)).padEnd(40)
    return `  shard ${index} ${bar} ${whole(keys)} keys, ${whole(changes)} changes, ${whole(bytes / 1024)} KB`
  })
}

/** Write the result for people. */
export function summary({ ok, problems, load, recovery, feed, check, shards }: Result): string {
  const { doubted } = load
  const told = Object.entries(check.commands).map(([command, times]) => `${whole(times)} ${command}`)
  return [
    '',
    `Load      ${whole(load.rows)} rows in ${load.seconds.toFixed(1)} s: ${whole(load.rowsPerSecond)} rows/s`,
    `Crash     kill -9 at row ${whole(load.killedAtRow)}; of ${doubted.written + doubted.lost} rows in doubt ` +
      `${doubted.written} were written, ${doubted.lost} were sent again`,
    `Recovery  listening after ${whole(recovery.startMs)} ms, every shard read ${whole(recovery.firstReadMs)} ms later`,
    `Feed      ${whole(feed.events)} changes, ${whole(feed.events / feed.seconds)} a second, ` +
      `resumed ${feed.resumed} time(s)${ok ? ': no gap and no repeat in any shard' : ''}`,
    `Check     ${check.client}: ${told.join(', ')}; ${whole(check.keys)} keys`,
    'Spread',
    ...chart(shards),
    '',
    ok ? 'Nothing was lost, nothing was doubled.' : `SOMETHING IS WRONG:\n  ${problems.join('\n  ')}`,
  ].join('\n')
}
