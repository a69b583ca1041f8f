/** What the lake demo writes, step by step: flights of vega-datasets as they happen, corrections of earlier ones, and
 *  cancellations; and the model that says what every query must answer.
 *
 *      {ATL}:flight:17   string   one flight as JSON
 *
 *  A flight whose delay is corrected is written again and one that is cancelled is deleted, often long after the lake
 *  has taken it: so updates and deletes of cold rows are in the demo, not only appends. */
import type { Redis } from 'ioredis'
import { type Dataset, type Flight, flightKey } from '../demo/dataset.ts'

/** What one step does. */
export interface Step {
  readonly sets: readonly (readonly [key: string, text: string])[]
  readonly deletes: readonly string[]
}

/** What holds at some moment. */
export interface Totals {
  readonly flights: number
  /** The sum of all delays, in minutes. */
  readonly delay: number
  /** Airports with the most flights: code, flights and delay of each, most flights first, then by code. */
  readonly busiest: readonly (readonly [origin: string, flights: number, delay: number])[]
}

const textOf = ({ number, date, delay, distance, origin, destination }: Flight) => {
  return JSON.stringify({ number, date, delay, distance, origin, destination })
}

/** Every so many flights one is corrected, and one is cancelled, in the step after theirs. */
const correctEvery = 7
const cancelEvery = 50
/** And some from the very first step in each later one, so that old files change too. */
const oldPerStep = 5

/** Cut a dataset into steps. */
export function stepsOf({ flights }: Dataset, count: number): Step[] {
  const size = Math.ceil(flights.length / count)
  const parts = Array.from({ length: count }, (_, step) => flights.slice(step * size, (step + 1) * size))
  return parts.map((part, step) => {
    const before = parts[step - 1] ?? []
    const old = (parts[0] ?? []).slice(oldPerStep * step, oldPerStep * (step + 1))
    const isCancelled = ({ number }: Flight) => number % cancelEvery === 0
    const later = step === 0 ? [] : [...before.filter(({ number }) => number % correctEvery === 0), ...old]
    const corrected = later.filter((flight) => !isCancelled(flight))
    const sets = [...part, ...corrected.map((flight) => ({ ...flight, delay: flight.delay + 10 * step }))]
    return {
      sets: sets.map((flight) => [flightKey(flight), textOf(flight)] as const),
      deletes: before.filter(isCancelled).map(flightKey),
    }
  })
}

/** Holds what was written, to say what is right. */
export class Model {
  private readonly flights = new Map<string, { origin: string; delay: number }>()

  /** Take a step over. */
  apply({ sets, deletes }: Step): void {
    for (const [key, text] of sets) this.flights.set(key, JSON.parse(text) as { origin: string; delay: number })
    for (const key of deletes) this.flights.delete(key)
  }

  /** Sum up. */
  totals(): Totals {
    const byOrigin = new Map<string, [flights: number, delay: number]>()
    let all = 0
    for (const { origin, delay } of this.flights.values()) {
      const [flights, sum] = byOrigin.get(origin) ?? [0, 0]
      byOrigin.set(origin, [flights + 1, sum + delay])
      all += delay
    }
    const busiest = [...byOrigin].map(([origin, [flights, delay]]) => [origin, flights, delay] as const)
    busiest.sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1))
    return { flights: this.flights.size, delay: all, busiest: busiest.slice(0, 5) }
  }

  /** Name a key that is there, and what it holds. */
  sample(index: number): readonly [key: string, flight: { origin: string; delay: number }] {
    const all = [...this.flights]
    return all[index % all.length] as [string, { origin: string; delay: number }]
  }
}

/** Write a step through Redis.
 *  @returns how many commands were acknowledged */
export async function writeStep(client: Redis, { sets, deletes }: Step): Promise<number> {
  const commands = [...sets.map(([key, text]) => ['set', key, text]), ...deletes.map((key) => ['del', key])]
  for (let at = 0; at < commands.length; at += 500) {
    const replies = (await client.pipeline(commands.slice(at, at + 500)).exec()) ?? []
    for (const [error] of replies) if (error !== null) throw error
  }
  return commands.length
}
