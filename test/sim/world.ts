/** A simulated world: virtual time, one queue of events, and chance from a seed.
 *
 *  1. Nothing happens but by an event. Between two events every promise that can settle has settled, so that a seed
 *     always gives the same history.
 *  2. Time passes only from event to event.
 *  3. A process that has crashed gets none of the events it had asked for (`Life`). */
import { Failure } from '../../core/errors.ts'
import type { Clock } from '../../core/shard/clock.ts'
import { DiskPool } from './disk.ts'
import { Random } from './random.ts'

/** What was promised and did not hold. */
export class Violation extends Error {
  override readonly name = 'Violation'
}

/** State what a property promises.
 *  @throws Violation */
export function check(condition: unknown, message: () => string): asserts condition {
  if (!condition) throw new Violation(message())
}

interface Event {
  readonly atMs: number
  readonly order: number
  work: (() => void) | undefined
}

/** Events of one world: more than any run of a property needs. A run that reaches it goes round in circles. */
const eventsMax = 200_000

/** Let every promise that can settle do so: the microtasks are all run before the event loop's next turn. */
const settlePromises = () => new Promise<void>((resolve) => setImmediate(resolve))

/** What a world may be given. */
export interface WorldOptions {
  /** Takes the story of the run, line by line. */
  log?: ((line: string) => void) | undefined
  /** Where machines may take their disks from; its own when left out. */
  disks?: DiskPool | undefined
}

/** Time, events and chance of one seed. */
export class World {
  readonly random: Random
  readonly seed: number
  /** Milliseconds since 1970, with fractions. */
  nowMs = 1_700_000_000_000
  /** How many events have been run. */
  steps = 0
  private readonly heap: Event[] = []
  private order = 0
  private failure: unknown
  private readonly log: ((line: string) => void) | undefined

  /** Where machines may take their disks from. */
  readonly disks: DiskPool

  constructor(seed: number, stream: number, { log, disks }: WorldOptions = {}) {
    this.seed = seed
    this.random = new Random(seed, stream)
    this.log = log
    this.disks = disks ?? new DiskPool()
  }

  /** Tell the story, if anybody listens. */
  trace(who: string, what: () => string): void {
    this.log?.(`${(this.nowMs - 1_700_000_000_000).toFixed(2).padStart(9)} ${who.padEnd(10)} ${what()}`)
  }

  /** Run `work` in `delayMs`.
   *  @returns a function that calls it off */
  after(delayMs: number, work: () => void): () => void {
    const event: Event = { atMs: this.nowMs + Math.max(0, delayMs), order: this.order++, work }
    this.push(event)
    return () => {
      event.work = undefined
    }
  }

  /** Wait. */
  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.after(delayMs, resolve))
  }

  /** Do something until it does not fail with a Failure. */
  async retry<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await work()
      } catch (error) {
        if (!(error instanceof Failure)) throw error
        await this.sleep(10)
      }
    }
  }

  /** Stop the run: something that was promised did not hold. */
  fail(error: unknown): void {
    this.failure ??= error
  }

  /** Run until `main` is done.
   *  @throws what `main` throws or `fail` was told; Violation when nothing is left to happen, or things go on forever
   *  */
  async run(main: () => Promise<void>): Promise<void> {
    let done = false
    main()
      .catch((error) => this.fail(error))
      .finally(() => {
        done = true
      })
    await settlePromises()
    while (!done && this.failure === undefined) {
      const event = this.pop()
      if (event === undefined) throw new Violation('stuck: nothing is left to happen')
      if (event.work === undefined) continue
      this.nowMs = event.atMs
      if (++this.steps > eventsMax) throw new Violation(`no end after ${eventsMax} events`)
      event.work()
      await settlePromises()
    }
    if (this.failure !== undefined) throw this.failure
  }

  private push(event: Event): void {
    const { heap } = this
    let at = heap.length
    heap.push(event)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!before(event, heap[parent] as Event)) break
      heap[at] = heap[parent] as Event
      at = parent
    }
    heap[at] = event
  }

  private pop(): Event | undefined {
    const { heap } = this
    const top = heap[0]
    const last = heap.pop()
    if (top === undefined || last === undefined || heap.length === 0) return top
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1] as Event, heap[child] as Event)) child++
      if (!before(heap[child] as Event, last)) break
      heap[at] = heap[child] as Event
      at = child
    }
    heap[at] = last
    return top
  }
}

function before(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
}

/** One life of a process: from its start to its crash. */
export class Life {
  alive = true
  readonly world: World

  constructor(world: World) {
    this.world = world
  }

  /** The clock that this process sees. */
  clock(): Clock {
    const { world } = this
    return {
      nowMs: () => Math.floor(world.nowMs),
      random: () => world.random.bits48(),
      defer: (work) => void this.after(world.random.unit() * 2, work),
      after: (delayMs, work) => this.after(delayMs, work),
    }
  }

  private after(delayMs: number, work: () => void): () => void {
    return this.world.after(delayMs, () => {
      if (this.alive) work()
    })
  }

  /** Pass a promise on while the process lives; what it waits for after its death never comes. */
  bind<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      promise.then(
        (value) => this.alive && resolve(value),
        (error) => this.alive && reject(error),
      )
    })
  }
}
