/** The data of the demo: flights and airports of the npm package vega-datasets, and the Redis keys they become.
 *
 *      {ATL}:flight:17    hash     one flight, by origin and number
 *      {ATL}:departures   string   how many flights left
 *      {ATL}:delay        string   their delays together, in minutes
 *      airport:ATL        string   name and place of an airport
 *
 *  The origin is a hash tag: a flight and the counters of its origin share a slot, so one transaction writes them.
 *
 *  @source https://github.com/vega/vega-datasets: flights of US carriers in 2001 (RITA, Bureau of Transportation
 *  Statistics), airports of the USA; package licence BSD-3-Clause */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A row of flights-20k.json, with its number. */
export interface Flight {
  readonly number: number
  readonly date: string
  readonly delay: number
  readonly distance: number
  readonly origin: string
  readonly destination: string
}

/** An airport: its code, and what is stored of it. */
export interface Airport {
  readonly code: string
  readonly text: string
}

/** Everything that is loaded. */
export interface Dataset {
  readonly name: string
  readonly flights: readonly Flight[]
  readonly airports: readonly Airport[]
}

/** Split a line of CSV; quotes keep commas together, as in `"Tarrytown, NY"`. */
function splitCsv(line: string): string[] {
  return [...line.matchAll(/(?:^|,)(?:"([^"]*)"|([^,]*))/g)].map(([, quoted, plain]) => quoted ?? plain ?? '')
}

/** Read the dataset.
 *  @param root the repository
 *  @param quick a tenth of it */
export function readDataset(root: string, quick: boolean): Dataset {
  const read = (name: string) => readFileSync(join(root, 'node_modules/vega-datasets/data', name), 'utf8')
  const name = quick ? 'flights-2k.json' : 'flights-20k.json'
  const rows = JSON.parse(read(name)) as Omit<Flight, 'number'>[]
  const flights = rows.map((row, number): Flight => ({ number, ...row }))
  const lines = read('airports.csv').trim().split(/\r?\n/).slice(1)
  const airports = lines.map((line): Airport => {
    const [code = '', airport, city, state] = splitCsv(line)
    return { code, text: `${airport}, ${city}, ${state}` }
  })
  return { name, flights, airports: quick ? airports.slice(0, 300) : airports }
}

/** The key of a flight. */
export const flightKey = ({ origin, number }: Flight): string => `{${origin}}:flight:${number}`
/** The key that counts an airport's flights. */
export const departuresKey = (origin: string): string => `{${origin}}:departures`
/** The key that sums up their delays. */
export const delayKey = (origin: string): string => `{${origin}}:delay`
/** The key of an airport. */
export const airportKey = (code: string): string => `airport:${code}`

/** What is stored of a flight: its fields as Redis holds them. */
export function flightFields({ date, delay, distance, destination }: Flight): Record<string, string> {
  return { date, delay: String(delay), distance: String(distance), destination }
}

/** What every key must hold in the end. */
export interface Expected {
  readonly hashes: ReadonlyMap<string, Record<string, string>>
  readonly strings: ReadonlyMap<string, string>
}

/** Work out what a whole load must leave behind. */
export function expectedOf({ flights, airports }: Dataset): Expected {
  const hashes = new Map(flights.map((flight) => [flightKey(flight), flightFields(flight)]))
  const strings = new Map(airports.map(({ code, text }) => [airportKey(code), text]))
  const add = (key: string, by: number) => strings.set(key, String(Number(strings.get(key) ?? 0) + by))
  for (const { origin, delay } of flights) {
    add(departuresKey(origin), 1)
    add(delayKey(origin), delay)
  }
  return { hashes, strings }
}
