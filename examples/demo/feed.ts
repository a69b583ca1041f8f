/** Following the change feed over HTTP, across the deaths of its server.
 *
 *  Each line of `GET /changes` carries a token; after a break the feed goes on from the last one that was read. What is
 *  kept of it proves that this loses and repeats nothing: in every shard the changes are numbered from 1 without holes.
 *  */

/** A line of the feed, as far as the demo reads it. */
interface Line {
  change?: {
    collection: string
    documentId: string
    sequence: number
    source: { shard: number; incarnation: string }
  }
  token?: string
  error?: { code: string; message: string }
}

/** What was seen of one shard. */
export interface Lane {
  readonly incarnation: string
  /** The number of its newest change. */
  sequence: number
  /** The keys that were named, each once. */
  readonly keys: Set<string>
}

/** A consumer of the feed. */
export class Follower {
  /** Changes that were read. */
  events = 0
  /** Times the feed was taken up from a token. */
  resumed = 0
  /** How long it was being read. */
  readMs = 0
  readonly lanes = new Map<number, Lane>()
  readonly problems: string[] = []
  private readonly database: string
  private token: string | undefined
  private waiting: (() => void)[] = []

  constructor(database: string) {
    this.database = database
  }

  /** Read until the server is gone, or `stop` says so. */
  async run(port: number, stop: AbortSignal): Promise<void> {
    if (this.token !== undefined) this.resumed++
    const startMs = performance.now()
    const query = new URLSearchParams({ database: this.database, since: this.token ?? 'start' })
    try {
      const headers = { Accept: 'application/x-ndjson' }
      const response = await fetch(`http://127.0.0.1:${port}/changes?${query}`, { headers, signal: stop })
      if (!response.ok || response.body === null) throw new Error(`GET /changes: ${await response.text()}`)
      await this.read(response.body)
    } catch (error) {
      // fetch says `terminated` of a server that died, and AbortError when we were told to stop.
      const { name, message } = error as Error
      if (name !== 'AbortError' && !/terminated|fetch failed/.test(message)) this.problems.push(message)
    } finally {
      this.readMs += performance.now() - startMs
    }
  }

  private async read(body: ReadableStream<Uint8Array>): Promise<void> {
    let rest = ''
    const decoder = new TextDecoder()
    for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
      // A line that was cut off has not been seen, and its token is not kept: it comes again.
      rest = lines.pop() as string
      for (const line of lines) this.take(JSON.parse(line) as Line)
      for (const wake of this.waiting.splice(0)) wake()
    }
  }

  private take({ change, token, error }: Line): void {
    if (error !== undefined) this.problems.push(`the feed ended: ${error.code} ${error.message}`)
    if (change !== undefined) this.note(change)
    if (token !== undefined) this.token = token
  }

  private note({ collection, documentId, sequence, source }: NonNullable<Line['change']>): void {
    this.events++
    const { shard, incarnation } = source
    let lane = this.lanes.get(shard)
    if (lane === undefined) {
      lane = { incarnation, sequence: 0, keys: new Set() }
      this.lanes.set(shard, lane)
    }
    if (incarnation !== lane.incarnation) this.problems.push(`shard ${shard} has begun another history`)
    if (sequence !== lane.sequence + 1) {
      this.problems.push(`shard ${shard}: change ${sequence} came after ${lane.sequence}`)
    }
    lane.sequence = sequence
    if (collection === 'keys') lane.keys.add(documentId)
  }

  /** Wait until the feed has reached these positions.
   *  @param ends the number of each shard's newest change
   *  @returns false when it has not within `waitMs` */
  async reach(ends: readonly number[], waitMs: number): Promise<boolean> {
    let late = false
    const timer = setTimeout(() => {
      late = true
      for (const wake of this.waiting.splice(0)) wake()
    }, waitMs)
    const behind = () => ends.some((end, shard) => (this.lanes.get(shard)?.sequence ?? 0) < end)
    while (behind() && !late) await new Promise<void>((resolve) => this.waiting.push(resolve))
    clearTimeout(timer)
    return !behind()
  }
}
