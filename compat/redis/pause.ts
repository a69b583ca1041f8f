/** CLIENT PAUSE: requests that wait until it is over. A pause is for the clients of one database of the fabric.
 *  @source https://redis.io/docs/latest/commands/client-pause/ and networking.c of Redis 7.2 */
import type { Clock } from '@dotdo/core/shard'
import type { Row, Session } from './session.ts'

/** What is paused: requests that write or publish, or all. */
export type PauseMode = 'write' | 'all'

interface Pause {
  mode: PauseMode
  untilMs: number
  cancelTimer(): void
  readonly waiting: Set<() => void>
}

/** Commands of the connection that others would hear or see. */
const spreading = new Set(['publish', 'spublish'])

function writes(row: Row, { state }: Session): boolean {
  if (row.name === 'exec') return state.multi?.queue.some(({ row }) => row.mode === 'write') ?? false
  return row.mode === 'write' || spreading.has(row.name)
}

/** The pauses of one server. */
export class Pauses {
  private readonly clock: Pick<Clock, 'after' | 'nowMs'>
  private readonly byDatabase = new Map<string, Pause>()

  constructor(clock: Pick<Clock, 'after' | 'nowMs'>) {
    this.clock = clock
  }

  /** Begin a pause, or make one longer; one that is under way does not get shorter or milder. */
  begin(database: string, timeoutMs: number, mode: PauseMode): void {
    const known = this.byDatabase.get(database)
    known?.cancelTimer()
    const pause: Pause = {
      mode: known?.mode === 'all' ? 'all' : mode,
      untilMs: Math.max(known?.untilMs ?? 0, this.clock.nowMs() + timeoutMs),
      cancelTimer: () => undefined,
      waiting: known?.waiting ?? new Set(),
    }
    this.byDatabase.set(database, pause)
    this.startTimer(database, pause)
  }

  private startTimer(database: string, pause: Pause): void {
    // Clocks may wake early, from a wait that is too long for them.
    pause.cancelTimer = this.clock.after(Math.max(0, pause.untilMs - this.clock.nowMs()), () => {
      if (this.clock.nowMs() < pause.untilMs) this.startTimer(database, pause)
      else this.end(database)
    })
  }

  /** End a pause; those that wait go on in the order in which they came. */
  end(database: string): void {
    const pause = this.byDatabase.get(database)
    if (pause === undefined) return
    pause.cancelTimer()
    this.byDatabase.delete(database)
    for (const goOn of pause.waiting) goOn()
  }

  /** Whether a request has to wait. */
  concerns(session: Session, row: Row): boolean {
    if (this.byDatabase.size === 0) return false
    const pause = this.byDatabase.get(session.state.database)
    return pause !== undefined && (pause.mode === 'all' || writes(row, session))
  }

  /** Wait until the pause is over, or the client has gone. */
  over(session: Session): Promise<void> {
    const waiting = this.byDatabase.get(session.state.database)?.waiting
    if (waiting === undefined) return Promise.resolve()
    return new Promise((resolve) => {
      const goOn = () => {
        waiting.delete(goOn)
        session.parked = undefined
        resolve()
      }
      waiting.add(goOn)
      session.parked = { release: (why) => (why === 'end' ? goOn() : undefined) }
    })
  }
}
