/** A store that misbehaves as stores of the network do, by a seeded source of chance: for the simulator and tests. */
import type { Clock } from '../../shard/clock.ts'
import { compareKeys } from './check.ts'
import { type Listing, type ListOptions, type ObjectHead, type ObjectStore, unavailable } from './port.ts'

/** A clock that stands until nothing else is left to do, and then goes to the next timer. */
export class ManualClock implements Clock {
  /** Every delay that was asked for, in order. */
  readonly delaysMs: number[] = []
  private now: number
  private timers: { atMs: number; order: number; work: () => void }[] = []
  private count = 0
  private readonly unit: () => number

  /** @param unit chance, from 0 to 1 (1 excluded) */
  constructor(unit: () => number, startMs = 1_700_000_000_000) {
    this.unit = unit
    this.now = startMs
  }

  nowMs(): number {
    return this.now
  }

  random(): number {
    return Math.floor(this.unit() * 2 ** 48)
  }

  defer(work: () => void): void {
    queueMicrotask(work)
  }

  after(delayMs: number, work: () => void): () => void {
    this.delaysMs.push(delayMs)
    const timer = { atMs: this.now + delayMs, order: this.count++, work }
    this.timers.push(timer)
    return () => {
      this.timers = this.timers.filter((one) => one !== timer)
    }
  }

  /** Let everything happen that needs no time. */
  turn(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve))
  }

  /** Go to the next timer. @returns false when there is none */
  async step(): Promise<boolean> {
    await this.turn()
    const [next] = this.timers.sort((a, b) => a.atMs - b.atMs || a.order - b.order)
    if (next === undefined) return false
    this.timers.shift()
    this.now = next.atMs
    next.work()
    await this.turn()
    return true
  }

  /** Let time pass until a promise settles.
   *  @throws Error when nothing is left that could settle it */
  async settle<T>(work: Promise<T>): Promise<T> {
    let isSettled = false
    const done = () => {
      isSettled = true
    }
    work.then(done, done)
    await this.turn()
    while (!isSettled) if (!(await this.step())) throw new Error('nothing is left to wait for')
    return work
  }
}

/** How often what goes wrong, each from 0 to 1; the sum is at most 1. */
export interface FaultRates {
  /** Answered with 503 before anything was done, and said so. */
  readonly refused?: number
  /** Answered with 429 and a Retry-After of a second. */
  readonly throttled?: number
  /** Answered with 500: nothing was done, but nobody says so. */
  readonly failed?: number
  /** Done, and the answer was lost. */
  readonly lost?: number
  /** The connection broke first; done later, while the caller is about something else. */
  readonly late?: number
  /** Done, and never answered. */
  readonly hung?: number
  /** Refused because another conditional write was under way (S3's 409), conditional writes only. */
  readonly contended?: number
}

/** How a store misbehaves. */
export interface FaultPlan {
  readonly clock: Clock
  /** Chance, from 0 to 1 (1 excluded), seeded. */
  readonly unit: () => number
  readonly rates?: FaultRates
  /** What happens to the first requests, one by one, before chance takes over. */
  readonly script?: readonly (keyof FaultRates | 'none')[]
  /** Every request takes up to so long; at once when left out. */
  readonly slowMs?: number
  /** Lists may show what was so long ago, though S3 and R2 promise better. */
  readonly staleMs?: number
}

/** A store that misbehaves, and can be told to stop. */
export interface FaultyStore extends ObjectStore {
  /** How often each fault struck. */
  readonly struck: Readonly<Record<keyof FaultRates | 'stale', number>>
  /** Behave from now on; what is under way stays so. */
  heal(): void
}

interface Past {
  readonly untilMs: number
  readonly before: ObjectHead | undefined
}

class FaultyObjects {
  readonly struck = { refused: 0, throttled: 0, failed: 0, lost: 0, late: 0, hung: 0, contended: 0, stale: 0 }
  private readonly store: ObjectStore
  private readonly plan: FaultPlan
  private readonly past = new Map<string, Past>()
  private healed = false
  private requests = 0

  constructor(store: ObjectStore, plan: FaultPlan) {
    this.store = store
    this.plan = plan
  }

  heal(): void {
    this.healed = true
  }

  private sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.plan.clock.after(delayMs, resolve))
  }

  private draw(isConditional: boolean): keyof FaultRates | undefined {
    if (this.healed) return undefined
    const scripted = this.plan.script?.[this.requests++]
    if (scripted !== undefined) return scripted === 'none' ? undefined : scripted
    let chance = this.plan.unit()
    for (const [fault, rate] of Object.entries(this.plan.rates ?? {}) as [keyof FaultRates, number][]) {
      if (chance < rate) return fault === 'contended' && !isConditional ? undefined : fault
      chance -= rate
    }
    return undefined
  }

  async strike<T>(work: () => Promise<T>, isConditional = false): Promise<T> {
    const { slowMs = 0, unit } = this.plan
    if (slowMs > 0 && !this.healed) await this.sleep(unit() * slowMs)
    const fault = this.draw(isConditional)
    if (fault === undefined) return work()
    this.struck[fault]++
    if (fault === 'refused') throw unavailable('503 SlowDown', { outcome: 'none', status: 503 })
    if (fault === 'throttled') throw unavailable('429', { outcome: 'none', status: 429, retryAfterMs: 1_000 })
    if (fault === 'failed') throw unavailable('500 InternalError', { outcome: 'unknown', status: 500 })
    if (fault === 'contended') {
      throw unavailable('409 ConditionalRequestConflict', { outcome: 'none', status: 409 })
    }
    const lost = unavailable('the connection was lost', { outcome: 'unknown' })
    if (fault === 'late') {
      void this.sleep(unit() * (slowMs + 1_000)).then(() => work().catch(() => {}))
      throw lost
    }
    await work().catch(() => {})
    if (fault === 'hung') return new Promise<T>(() => {})
    throw lost
  }

  /** Keep what a list may go on showing for a while. */
  async remember(keys: readonly string[]): Promise<void> {
    const { staleMs = 0, clock } = this.plan
    if (staleMs === 0 || this.healed) return
    for (const key of keys) {
      const known = this.past.get(key)
      if (known !== undefined && known.untilMs > clock.nowMs()) continue
      this.past.set(key, { untilMs: clock.nowMs() + staleMs, before: await this.store.head(key) })
    }
  }

  async list(options: ListOptions = {}): Promise<Listing> {
    const page = await this.store.list(options)
    const { staleMs = 0, unit, clock } = this.plan
    if (staleMs === 0 || this.healed || options.delimiter !== undefined || unit() < 0.5) return page
    const { prefix = '', after = '' } = options
    const objects = new Map(page.objects.map((object) => [object.key, object]))
    const last = page.next === undefined ? undefined : page.objects.at(-1)?.key
    for (const [key, { untilMs, before }] of this.past) {
      if (untilMs <= clock.nowMs()) {
        this.past.delete(key)
        continue
      }
      const isHere = key.startsWith(prefix) && compareKeys(key, after) > 0
      if (!isHere || options.cursor !== undefined || (last !== undefined && compareKeys(key, last) > 0)) continue
      this.struck.stale++
      if (before === undefined) objects.delete(key)
      else objects.set(key, before)
    }
    return { ...page, objects: [...objects.values()].sort((a, b) => compareKeys(a.key, b.key)) }
  }
}

/** Make a store misbehave by a plan. Wrap it in `withRetries` to see it endured. */
export function faulty(store: ObjectStore, plan: FaultPlan): FaultyStore {
  const faults = new FaultyObjects(store, plan)
  const { struck } = faults
  return {
    struck,
    heal: () => faults.heal(),
    get: (key, options) => faults.strike(() => store.get(key, options)),
    head: (key, options) => faults.strike(() => store.head(key, options)),
    list: (options) => faults.strike(() => faults.list(options)),
    async put(key, bytes, options = {}) {
      await faults.remember([key])
      const isConditional = options.ifMatch !== undefined || options.ifNoneMatch !== undefined
      const copy = bytes.slice()
      return faults.strike(() => store.put(key, copy, options), isConditional)
    },
    async delete(keys, options) {
      await faults.remember(keys)
      return faults.strike(() => store.delete(keys, options))
    },
    async multipart(key, options) {
      const upload = await faults.strike(() => store.multipart(key, options))
      return {
        write(number, bytes, part) {
          const copy = bytes.slice()
          return faults.strike(() => upload.write(number, copy, part))
        },
        async complete(condition = {}) {
          await faults.remember([key])
          const isConditional = condition.ifMatch !== undefined || condition.ifNoneMatch !== undefined
          return faults.strike(() => upload.complete(condition), isConditional)
        },
        abort: (cancel) => faults.strike(() => upload.abort(cancel)),
      }
    },
  }
}
