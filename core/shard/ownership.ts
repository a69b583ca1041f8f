/** Which slots a shard owns, durably.
 *
 *  1. A call for a slot that is not owned is answered `moved`, with what is known of where it went.
 *  2. A call to the shard as a whole is answered only at the shard's own epoch; an older caller must look again, or a
 *     scatter could miss or double the rows of slots that moved meanwhile.
 *  3. While rows are here whose slots are not owned (they arrive, or were fenced and are not discarded yet), calls to
 *     the shard as a whole are refused at every epoch: no program need know of such rows.
 *  4. A fence is durable before the source is read for the last time; a slot is served again only after `activate`.
 *  5. Each step names its epoch and may be told again, also late: it is done once, and does nothing or is refused
 *     after. */
import { Failure } from '../errors.ts'
import { SLOT_COUNT } from '../limits.ts'
import type { MapDelta, SlotRange } from './map.ts'
import type { Call } from './program.ts'

/** Ownership as it is kept in the shard. */
export interface OwnershipData {
  epoch: number
  slots: SlotRange[]
  /** Runs that were fenced: where they went, and at which epoch. */
  gone: (readonly [from: number, to: number, shard: number, epoch: number])[]
  /** Slots that are about to arrive, and the epoch at which they will be served. */
  awaiting?: { readonly epoch: number; readonly slots: readonly SlotRange[] }
  /** Slots that were fenced and whose rows are still here, and the epoch of their fence. */
  leaving?: { readonly epoch: number; readonly slots: readonly SlotRange[] }
}

/** The slots of one shard. */
export class Ownership {
  private readonly owned = new Uint8Array(SLOT_COUNT)
  private data: OwnershipData | undefined

  constructor(data: OwnershipData | undefined) {
    this.data = data
    for (const [from, to] of data?.slots ?? []) this.owned.fill(1, from, to + 1)
  }

  /** The shard's epoch; 0 before it was assigned. */
  get epoch(): number {
    return this.data?.epoch ?? 0
  }

  /** Whether it was ever told what it owns. */
  get assigned(): boolean {
    return this.data !== undefined
  }

  /** @returns how many slots are owned */
  get size(): number {
    return (this.data?.slots ?? []).reduce((sum, [from, to]) => sum + to - from + 1, 0)
  }

  /** @returns why the call cannot be run here, or undefined when it can */
  refuse(call: Call): Failure | undefined {
    const { data } = this
    if (data === undefined) return new Failure('unassigned', 'this shard has not been told which slots it owns')
    if (call.slot < 0 ? this.complete(call.epoch, data) : this.serves(call)) return undefined
    const asked = call.slots ?? [call.slot]
    const isAsked = (from: number, to: number) => asked.some((slot) => slot >= from && slot <= to)
    const slots = data.gone.filter(([from, to]) => call.slot < 0 || isAsked(from, to))
    const delta: MapDelta = { epoch: data.epoch, slots }
    return new Failure('moved', `slot ${call.slot} is not served here at epoch ${data.epoch}`, delta)
  }

  private serves({ slot, slots }: Call): boolean {
    return slots === undefined ? this.owned[slot] === 1 : slots.every((one) => this.owned[one] === 1)
  }

  private complete(epoch: number, data: OwnershipData): boolean {
    return epoch >= data.epoch && data.awaiting === undefined && data.leaving === undefined
  }

  private owns(slots: readonly SlotRange[]): boolean {
    return slots.every(([from, to]) => !this.owned.subarray(from, to + 1).includes(0))
  }

  /** Take the first assignment; later ones change nothing.
   *  @returns what to keep, or undefined when nothing changed */
  assign(epoch: number, slots: readonly SlotRange[]): OwnershipData | undefined {
    if (this.data !== undefined) return undefined
    return { epoch, slots: [...slots], gone: [] }
  }

  /** Get ready to take slots at an epoch.
   *  @returns what to keep, or undefined when that is known
   *  @throws conflict when the epoch is not newer, when a slot is served here, or while another move is under way here
   *  */
  prepare(epoch: number, slots: readonly SlotRange[]): OwnershipData | undefined {
    const data = this.known()
    if (data.awaiting?.epoch === epoch) return undefined
    if (epoch <= data.epoch)
      throw new Failure('conflict', `preparing epoch ${epoch}, which is not newer than ${data.epoch}`)
    this.refuseSecond(data)
    if (slots.some(([from, to]) => this.owned.subarray(from, to + 1).includes(1))) {
      throw new Failure('conflict', 'slots that are served here cannot arrive')
    }
    return { ...data, awaiting: { epoch, slots } }
  }

  /** Stop serving slots, for good.
   *  @returns what to keep, or undefined when they are fenced
   *  @throws conflict when a slot is not owned here, when the epoch is not newer, or while another move is under way
   *  here */
  fence(epoch: number, slots: readonly SlotRange[], to: number): OwnershipData | undefined {
    const data = this.known()
    const isGone = ([from, end]: SlotRange) =>
      data.gone.some((run) => run[0] === from && run[1] === end && run[2] === to && run[3] === epoch)
    if (slots.every(isGone)) return undefined
    const another = data.leaving !== undefined && data.leaving.epoch === epoch
    if (epoch <= data.epoch && !another)
      throw new Failure('conflict', `a fence at epoch ${epoch} is not newer than ${data.epoch}`)
    if (!another) this.refuseSecond(data)
    if (!this.owns(slots)) throw new Failure('conflict', `slots ${slots.join(' ')} are not all owned here`)
    const left = this.owned.slice()
    for (const [from, end] of slots) left.fill(0, from, end + 1)
    const gone = [...data.gone, ...slots.map(([from, end]) => [from, end, to, epoch] as const)]
    const leaving = { epoch, slots: [...(data.leaving?.slots ?? []), ...slots] }
    return { epoch, slots: runsOf(left), gone, leaving }
  }

  /** Check that rows may be stored for slots that are about to arrive at an epoch.
   *  @throws conflict when that is not what is awaited: the rows come late */
  admit(epoch: number, slots: Iterable<number>): void {
    const { awaiting } = this.known()
    if (awaiting?.epoch !== epoch) throw new Failure('conflict', `no rows are awaited for epoch ${epoch}`)
    for (const slot of slots) {
      if (awaiting.slots.some(([from, to]) => slot >= from && slot <= to)) continue
      throw new Failure('conflict', `slot ${slot} is not awaited for epoch ${epoch}`)
    }
  }

  /** Start serving the slots that were awaited.
   *  @returns what to keep, or undefined when they are served
   *  @throws conflict when none are awaited for that epoch */
  activate(epoch: number): OwnershipData | undefined {
    const { awaiting, ...data } = this.known()
    if (awaiting === undefined && epoch === data.epoch) return undefined
    if (awaiting?.epoch !== epoch) throw new Failure('conflict', `no slots are awaited for epoch ${epoch}`)
    const left = this.owned.slice()
    for (const [from, to] of awaiting.slots) left.fill(1, from, to + 1)
    const back = ([from, to]: readonly [number, number, ...unknown[]]) =>
      awaiting.slots.some(([a, b]) => from >= a && to <= b)
    return { ...data, epoch, slots: runsOf(left), gone: data.gone.filter((run) => !back(run)) }
  }

  /** Forget that rows of fenced slots are here; the caller removes them.
   *  @returns what to keep, or undefined when they are not here: then there is nothing to remove */
  discard(epoch: number, slots: readonly SlotRange[]): OwnershipData | undefined {
    const { leaving, ...data } = this.known()
    if (leaving?.epoch !== epoch) return undefined
    const left = new Uint8Array(SLOT_COUNT)
    for (const [from, to] of leaving.slots) left.fill(1, from, to + 1)
    if (!slots.every(([from, to]) => !left.subarray(from, to + 1).includes(0))) return undefined
    for (const [from, to] of slots) left.fill(0, from, to + 1)
    const rest = runsOf(left)
    return rest.length === 0 ? data : { ...data, leaving: { epoch, slots: rest } }
  }

  private known(): OwnershipData {
    // A move knows the map it starts from, and assigns first: else slots that stay would never be assigned.
    if (this.data === undefined) throw new Failure('unassigned', 'this shard has not been told which slots it owns')
    return this.data
  }

  private refuseSecond({ awaiting, leaving }: OwnershipData): void {
    const under = awaiting ?? leaving
    if (under === undefined) return
    throw new Failure('conflict', `the move of epoch ${under.epoch} is under way here; finish it first`)
  }
}

function runsOf(owned: Uint8Array): SlotRange[] {
  const runs: SlotRange[] = []
  for (let slot = 0; slot < owned.length; slot++) {
    if (owned[slot] !== 1) continue
    const from = slot
    while (owned[slot + 1] === 1) slot++
    runs.push([from, slot])
  }
  return runs
}
