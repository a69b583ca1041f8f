/** From calls to shards and back: one submit a shard, `moved` handled here.
 *
 *  1. A Plan gathers calls; `run` sends each shard its calls in the order they were planned, and settles every reply.
 *  2. `moved` updates the map and the call is sent again, in order among its like; after MOVED_RETRIES_MAX times the
 *     reply is `unavailable`. A call that met no answer is never sent again: it may have happened.
 *  3. A shard that was never told what it owns is told, once, from the map. */
import { Failure, fromWire, toFailure } from '../errors.ts'
import { MOVED_RETRIES_MAX } from '../limits.ts'
import type { Clock } from './clock.ts'
import type { MapDelta, ShardMap } from './map.ts'
import type { Call } from './program.ts'
import { SYSTEM, type SystemCalls } from './system.ts'

/** A way to one shard: in this thread, in another, or over a network. */
export interface ShardClient {
  /** Run calls in order, in one group unless some of them need rows that are cold.
   *  @returns a reply a call; a failed call's is a Failure or, from a wire, a WireFailure
   *  @throws Failure when the group as a whole failed or no answer came */
  submit(calls: readonly Call[]): Promise<unknown[]>
  /** Run calls at once; only where the shard lives in this thread. As `Shard.runNow`. */
  runNow?(calls: readonly Call[]): unknown[]
  /** Wait until the shard has committed something after a seq, or `waitMs` has passed. */
  awaitChange(afterSeq: number, waitMs: number): Promise<void>
  /** Run a job beside the shard, where it is; the host has those that it was given.
   *  @param args and the answer are plain data
   *  @throws unsupported when there is no such job; unavailable when no answer came; what the job throws */
  job(name: string, args: unknown): Promise<unknown>
}

/** A call as a dialect plans it; the router adds slot and epoch. */
export interface PlannedCall {
  program: string
  name: string
  args: unknown
}

/** A place for a reply. */
export interface Pending {
  /** The answer, or a Failure; undefined until the plan has run. */
  reply: unknown
}

interface Item extends Pending {
  readonly call: Call
  /** The shard it must go to, or -1 to go by slot. */
  readonly shard: number
  /** The scatter it belongs to: all of its calls are answered at one epoch, or all are sent again. */
  readonly scatter: Scatter | undefined
}

interface Scatter {
  readonly call: PlannedCall
  readonly items: Item[]
}

/** What a router needs of its surroundings. */
export interface RouterOptions {
  map: ShardMap
  /** The way to a shard of the database, by index. */
  client(index: number): ShardClient
  /** Read the map again from where it is kept. */
  refresh(): Promise<void>
  clock: Clock
}

/** Routes the calls of one database. */
export class Router {
  readonly map: ShardMap
  private readonly options: RouterOptions

  constructor(options: RouterOptions) {
    this.map = options.map
    this.options = options
  }

  /** Begin to gather calls. */
  plan(): Plan {
    return new Plan(this)
  }

  /** Send one call to the shard that owns a slot, or with `shard` to that one.
   *  @throws Failure when that is its reply */
  async call(call: PlannedCall, to: { slot: number } | { shard: number }): Promise<unknown> {
    const plan = this.plan()
    const pending = 'slot' in to ? plan.one(to.slot, call) : plan.shard(to.shard, call)
    await plan.run()
    return unwrap(pending.reply)
  }

  /** The way to one shard, for followers. */
  client(index: number): ShardClient {
    return this.options.client(index)
  }

  /** Send one round of items; replies that ask for another try stay undefined.
   *  @returns those items, in order */
  async dispatch(items: readonly Item[]): Promise<Item[]> {
    const groups = new Map<number, Item[]>()
    for (const item of items) {
      const index = this.indexOf(item)
      if (index === undefined) {
        item.reply = new Failure('cross_shard', 'the keys live on different shards')
        continue
      }
      item.call.epoch = this.map.epoch
      const group = groups.get(index)
      if (group === undefined) groups.set(index, [item])
      else group.push(item)
    }
    if (groups.size === 1) {
      const [[index, group]] = groups as unknown as [[number, Item[]]]
      await this.send(index, group)
    } else await Promise.all([...groups].map(([index, group]) => this.send(index, group)))
    return items.some(wantsRetry) ? items.filter(wantsRetry) : []
  }

  /** @returns the shard an item must go to now, or undefined when its slots are on several */
  private indexOf({ shard, call }: Item): number | undefined {
    if (shard >= 0) return shard
    const index = this.map.shardOf(call.slot)
    const apart = call.slots?.some((slot) => this.map.shardOf(slot) !== index)
    return apart ? undefined : index
  }

  private async send(index: number, items: readonly Item[]): Promise<void> {
    let replies: unknown[]
    try {
      replies = await this.options.client(index).submit(items.map((item) => item.call))
    } catch (error) {
      const failure = toFailure(error)
      for (const item of items) item.reply = failure
      return
    }
    for (let i = 0; i < items.length; i++) {
      const reply = replies[i]
      ;(items[i] as Item).reply = typeof reply === 'object' && reply !== null ? fromWire(reply) : reply
    }
  }

  /** Make ready for another try: assign shards that were never told, learn from `moved`, or wait and read the map. */
  async recover(items: readonly Item[], attempt: number): Promise<void> {
    let learnt = false
    const unassigned = new Set<number>()
    for (const item of items) {
      const failure = item.reply as Failure
      if (failure.code === 'moved') learnt = this.map.apply(failure.detail as MapDelta) || learnt
      else unassigned.add(item.shard >= 0 ? item.shard : this.map.shardOf(item.call.slot))
    }
    if (unassigned.size > 0) {
      await Promise.all([...unassigned].map((index) => this.assign(index)))
      return
    }
    // What a shard says of slots is enough to send calls for slots again; a scatter needs the whole map.
    if (learnt && items.every((item) => item.call.slot >= 0)) return
    await new Promise<void>((resolve) => this.options.clock.after(Math.min(5 * 2 ** attempt, 200), resolve))
    await this.options.refresh()
  }

  private async assign(index: number): Promise<void> {
    const args: SystemCalls['assign'] = { epoch: this.map.epoch, slots: this.map.slotsOf(index) }
    const call: Call = { program: SYSTEM, name: 'assign', slot: -1, epoch: this.map.epoch, args }
    // Its failure shows in the retried calls: they meet `unassigned` again.
    await this.options
      .client(index)
      .submit([call])
      .catch(() => undefined)
  }
}

function wantsRetry({ reply }: Item): boolean {
  return reply instanceof Failure && (reply.code === 'moved' || reply.code === 'unassigned')
}

/** Turn the reply of a ShardClient into a value.
 *  @throws Failure when it is one, or is one from a wire */
export function unwrap(reply: unknown): unknown {
  const value = fromWire(reply)
  if (value instanceof Failure) throw value
  return value
}

/** Calls gathered to be run together. */
export class Plan {
  private items: Item[] = []
  private readonly router: Router

  constructor(router: Router) {
    this.router = router
  }

  /** Plan a call to the shard that owns `slot`. */
  one(slot: number, { program, name, args }: PlannedCall): Pending {
    const item: Item = {
      call: { program, name, slot, epoch: 0, args },
      shard: -1,
      scatter: undefined,
      reply: undefined,
    }
    this.items.push(item)
    return item
  }

  /** Plan a call whose keys are in several slots; its reply is `cross_shard` unless one shard owns all of them.
   *  @param slots at least one */
  together(slots: readonly number[], { program, name, args }: PlannedCall): Pending {
    const slot = slots[0] as number
    const item: Item = {
      call: { program, name, slot, slots, epoch: 0, args },
      shard: -1,
      scatter: undefined,
      reply: undefined,
    }
    this.items.push(item)
    return item
  }

  /** Plan a call to one shard as a whole. */
  shard(index: number, { program, name, args }: PlannedCall): Pending {
    const item: Item = {
      call: { program, name, slot: -1, epoch: 0, args },
      shard: index,
      scatter: undefined,
      reply: undefined,
    }
    this.items.push(item)
    return item
  }

  /** Plan a call to every shard, answered at one epoch by all of them.
   *  @returns a list that `run` fills: one reply a shard, by index */
  all(call: PlannedCall): Pending[] {
    const scatter: Scatter = { call, items: [] }
    this.items.push(...this.spread(scatter))
    return scatter.items
  }

  private spread(scatter: Scatter): Item[] {
    const { program, name, args } = scatter.call
    scatter.items.length = 0
    for (let shard = 0; shard < this.router.map.count; shard++) {
      scatter.items.push({ call: { program, name, slot: -1, epoch: 0, args }, shard, scatter, reply: undefined })
    }
    return scatter.items
  }

  /** Run what was planned. Never rejects: every Pending has its reply afterwards. */
  async run(): Promise<void> {
    let items = this.items
    this.items = []
    for (let attempt = 0; items.length > 0; attempt++) {
      let again = await this.router.dispatch(items)
      if (again.length === 0) return
      if (attempt >= MOVED_RETRIES_MAX) {
        for (const item of again) item.reply = new Failure('unavailable', `no shard serves slot ${item.call.slot} yet`)
        return
      }
      try {
        await this.router.recover(again, attempt)
      } catch (error) {
        for (const item of again) item.reply = toFailure(error)
        return
      }
      const scatters = new Set(again.map((item) => item.scatter))
      again = again.filter((item) => item.scatter === undefined)
      for (const scatter of scatters) if (scatter !== undefined) again.push(...this.spread(scatter))
      items = again
    }
  }
}
