/** Loading through ioredis, so that it can be taken up again after the server died.
 *
 *  1. A flight and its origin's counters are written in one MULTI: both are there, or neither.
 *  2. After a crash, rows that were sent and not acknowledged are in doubt. The flight's key tells whether its
 *     transaction took place, and so tells it of the counters too: nothing is lost, nothing is counted twice.
 *  3. Airports are plain MSETs, which can be sent again without a question. */
import { Redis } from 'ioredis'
import {
  type Airport,
  airportKey,
  type Dataset,
  delayKey,
  departuresKey,
  type Flight,
  flightFields,
  flightKey,
} from './dataset.ts'

const CONNECTIONS = 4
const FLIGHTS_PER_PIPELINE = 100
const AIRPORTS_PER_MSET = 100

/** Connect to a database by name; a lost connection stays lost, and says so to every command under way. */
export async function connect(port: number, database: string): Promise<Redis> {
  const options = { retryStrategy: () => null, maxRetriesPerRequest: 0, lazyConnect: true }
  const client = new Redis(port, '127.0.0.1', options)
  client.on('error', () => {})
  await client.connect()
  // ioredis takes numbers only as its option `db`; the server takes names too.
  await client.call('SELECT', database)
  return client
}

/** A load under way, across the deaths of its server. */
export class Loader {
  /** Rows that were acknowledged: flights and airports. */
  acknowledged = 0
  /** Rows that a crash left in doubt: those found written, and those that were not and are sent again. */
  readonly doubted = { written: 0, lost: 0 }
  readonly total: number
  private flights: Flight[]
  private airports: Airport[]
  private inDoubt: Flight[] = []
  private readonly database: string

  constructor(dataset: Dataset, database: string) {
    this.database = database
    this.flights = [...dataset.flights].reverse()
    this.airports = [...dataset.airports].reverse()
    this.total = dataset.flights.length + dataset.airports.length
  }

  /** Load until everything is acknowledged, or the server is gone.
   *  @param onProgress called whenever `acknowledged` has grown
   *  @returns whether it is done */
  async run(port: number, onProgress: () => void): Promise<boolean> {
    const connecting = Array.from({ length: CONNECTIONS }, () => connect(port, this.database))
    const clients = await Promise.all(connecting)
    try {
      await this.resolveDoubts(clients[0] as Redis)
      onProgress()
      await Promise.all(clients.map((client) => this.loadOn(client, onProgress)))
    } finally {
      for (const client of clients) client.disconnect()
    }
    return this.acknowledged === this.total
  }

  /** Ask for the rows in doubt; those that are not there wait again. */
  private async resolveDoubts(client: Redis): Promise<void> {
    const { inDoubt, doubted } = this
    this.inDoubt = []
    const pipeline = client.pipeline()
    for (const flight of inDoubt) pipeline.exists(flightKey(flight))
    const replies = (await pipeline.exec()) ?? []
    for (const [i, flight] of inDoubt.entries()) {
      const [error, found] = replies[i] ?? [new Error('no reply')]
      if (error !== null) throw error
      if (found === 1) {
        doubted.written++
        this.acknowledged++
      } else {
        doubted.lost++
        this.flights.push(flight)
      }
    }
  }

  private async loadOn(client: Redis, onProgress: () => void): Promise<void> {
    for (;;) {
      const airports = this.airports.splice(-AIRPORTS_PER_MSET)
      const flights = airports.length > 0 ? [] : this.flights.splice(-FLIGHTS_PER_PIPELINE)
      if (airports.length + flights.length === 0) return
      const done = airports.length > 0 ? await this.sendAirports(client, airports) : await this.send(client, flights)
      onProgress()
      if (!done) return
    }
  }

  /** @returns whether they were acknowledged; when not, they wait again */
  private async sendAirports(client: Redis, airports: Airport[]): Promise<boolean> {
    try {
      await client.mset(airports.flatMap(({ code, text }) => [airportKey(code), text]))
    } catch (error) {
      this.airports.push(...airports)
      return refuseReplyError(error as Error)
    }
    this.acknowledged += airports.length
    return true
  }

  /** @returns whether all were acknowledged; those that were not are in doubt */
  private async send(client: Redis, flights: readonly Flight[]): Promise<boolean> {
    const pipeline = client.pipeline()
    for (const flight of flights) {
      const { origin, delay } = flight
      pipeline.call('multi')
      pipeline.hset(flightKey(flight), flightFields(flight))
      pipeline.incr(departuresKey(origin))
      pipeline.incrby(delayKey(origin), delay)
      pipeline.call('exec')
    }
    const replies = (await pipeline.exec()) ?? []
    const repliesEach = 5
    let whole = true
    for (const [i, flight] of flights.entries()) {
      const [error, results] = replies[(i + 1) * repliesEach - 1] ?? [new Error('no reply')]
      const failed = error ?? (results as unknown[]).find((result) => result instanceof Error)
      if (failed === undefined || failed === null) this.acknowledged++
      else {
        this.inDoubt.push(flight)
        whole = refuseReplyError(failed as Error)
      }
    }
    return whole
  }
}

/** An answer that says no is a failure of the demo; a connection that broke is what it is about.
 *  @returns false
 *  @throws the error, when the server answered it */
function refuseReplyError(error: Error): false {
  if (error.name === 'ReplyError') throw error
  return false
}
