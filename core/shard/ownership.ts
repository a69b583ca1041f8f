/** Which slots a shard owns, durably.
 *
 *  1. A call for a slot that is not owned is answered `moved`, with what is known of where it went.
 *  2. A call to the shard as a whole is answered only at the shard's own epoch; an older caller must look again, or a
 *     scatter could miss or double the rows of slots that moved meanwhile.
 *  3. A shard that prepares to take slots refuses calls at the coming epoch until it has activated them.
 *  4. A fence is durable before the source is read for the last time; a slot is served again only after `activate`. */
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
  /** The epoch at which slots are about to arrive. */
  awaiting?: number
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
    return this.owned.reduce((sum, one) => sum + one, 0)
  }

  /** @returns why the call cannot be run here, or undefined when it can */
  refuse(call: Call): Failure | undefined {
    const { data } = this
    if (data === undefined) return new Failure('unassigned', 'this shard has not been told which slots it owns')
    if (call.slot >= 0 ? this.owned[call.slot] === 1 : this.complete(call.epoch, data)) return undefined
    const slots = data.gone
      .filter(([from, to]) => call.slot < 0 || (call.slot >= from && call.slot <= to))
      .map(([from, to, shard]) => [from, to, shard] as [number, number, number])
    const delta: MapDelta = { epoch: data.epoch, slots }
    return new Failure('moved', `slot ${call.slot} is not served here at epoch ${data.epoch}`, delta)
  }

  private complete(epoch: number, data: OwnershipData): boolean {
    return epoch >= data.epoch && (data.awaiting === undefined || epoch < data.awaiting)
  }

  /** Get ready to take slots at an epoch.
   *  @returns what to keep
   *  @throws conflict when the epoch is not newer */
  prepare(epoch: number): OwnershipData {
    const data = this.data ?? { epoch: 0, slots: [], gone: [] }
    if (epoch <= data.epoch)
      throw new Failure('conflict', `preparing epoch ${epoch}, which is not newer than ${data.epoch}`)
    return { ...data, awaiting: epoch }
  }

  /** Take the first assignment; later ones change nothing.
   *  @returns what to keep, or undefined when nothing changed */
  assign(epoch: number, slots: readonly SlotRange[]): OwnershipData | undefined {
    if (this.data !== undefined) return undefined
    return { epoch, slots: [...slots], gone: [] }
  }

  /** Stop serving slots, for good.
   *  @returns what to keep
   *  @throws conflict when a slot is not owned here, or the epoch is not newer */
  fence(epoch: number, slots: readonly SlotRange[], to: number): OwnershipData {
    const data = this.data ?? { epoch: 0, slots: [], gone: [] }
    if (epoch <= data.epoch) throw new Failure('conflict', `a fence at epoch ${epoch} is not newer than ${data.epoch}`)
    const left = this.owned.slice()
    for (const [from, end] of slots) {
      if (left.subarray(from, end + 1).includes(0)) {
        throw new Failure('conflict', `slots ${from} to ${end} are not all owned here`)
      }
      left.fill(0, from, end + 1)
    }
    const gone = [...data.gone, ...slots.map(([from, end]) => [from, end, to, epoch] as const)]
    return { epoch, slots: runsOf(left), gone }
  }

  /** Start serving slots that were copied here.
   *  @returns what to keep
   *  @throws conflict when the epoch is older than the shard's */
  activate(epoch: number, slots: readonly SlotRange[]): OwnershipData {
    const data = this.data ?? { epoch: 0, slots: [], gone: [] }
    if (epoch < data.epoch) throw new Failure('conflict', `activation at epoch ${epoch} is older than ${data.epoch}`)
    const left = this.owned.slice()
    for (const [from, to] of slots) left.fill(1, from, to + 1)
    const back = ([from, to]: readonly [number, number, ...unknown[]]) => slots.some(([a, b]) => from >= a && to <= b)
    return { epoch, slots: runsOf(left), gone: data.gone.filter((run) => !back(run)) }
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
