/** A write load on a server that may die at any moment, and what must then be found on it.
 *
 *  1. Every write carries a version. What is known of a key is the newest version that was acknowledged and the newest
 *     that was sent: after a crash the key holds one of those or one between.
 *  2. Each writer has keys and a connection of its own, so that its keys see its writes in the order they were sent.
 *  3. A transaction writes the same version to all its keys, so that one which was half applied shows. */
import { Redis } from 'ioredis'
import type { Random } from '../sim/random.ts'

const KEYS = 40
const FIELDS = 12
const GROUPS = 4
/** Batches that a writer sends before it waits. */
const WINDOW = 3

/** What is known of one key, or of one field of a hash. */
interface Known {
  /** The newest version that was acknowledged; 0 for none. */
  acknowledged: number
  /** The newest version that was sent. */
  sent: number
}

/** One write of a batch, to be marked when it is acknowledged. */
interface Write {
  readonly known: Known
  readonly version: number
  /** The place of the reply that acknowledges it: of a transaction, EXEC's. */
  readonly at: number
}

type Pipeline = ReturnType<Redis['pipeline']>

/** A value that tells its version, of a size that follows from it: small as a rule, large enough at times that the redo
 *  fills up and the shard is killed while it writes rows to their tables too. */
function contentOf(version: number): string {
  return `${version}:${'x'.repeat(version % 8 === 7 ? 60_000 : (version * 7919) % 700)}`
}

/** Read the version of a stored value.
 *  @returns 0 for an absent one, NaN for one that nobody wrote */
function versionOf(value: string | null | undefined): number {
  if (value === null || value === undefined) return 0
  const version = Number.parseInt(value, 10)
  return value === contentOf(version) ? version : Number.NaN
}

/** Open a connection that gives up when the server is gone, and does not ask again. */
export function connect(port: number): Redis {
  const client = new Redis(port, '127.0.0.1', {
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    enableAutoPipelining: false,
  })
  // Every command that was under way is told too.
  client.on('error', () => {})
  return client
}

/** One connection's writes. */
class Writer {
  readonly problems: string[] = []
  private readonly name: string
  private readonly random: Random
  /** Whether a transaction's keys must share a slot. */
  private readonly tagged: boolean
  private readonly known = new Map<string, Known>()

  constructor(name: string, random: Random, tagged: boolean) {
    this.name = name
    this.random = random
    this.tagged = tagged
  }

  private of(id: string): Known {
    let known = this.known.get(id)
    if (known === undefined) {
      known = { acknowledged: 0, sent: 0 }
      this.known.set(id, known)
    }
    return known
  }

  private key(kind: string, index: number): string {
    return `${this.name}:${kind}:${index}`
  }

  /** The keys of a transaction: a string, another, a hash and a counter. */
  private group(index: number): readonly [string, string, string, string] {
    const base = this.tagged ? `{${this.name}:tx:${index}}` : `${this.name}:tx:${index}`
    return [`${base}:first`, `${base}:second`, `${base}:hash`, `${base}:count`]
  }

  /** Add writes of the next version of a key to a batch. */
  private add(pipeline: Pipeline, id: string, write: (version: number) => unknown): Write {
    const known = this.of(id)
    const version = ++known.sent
    write(version)
    return { known, version, at: pipeline.length - 1 }
  }

  private addSingle(pipeline: Pipeline): Write {
    const kind = this.random.pick(['string', 'counter', 'hash'] as const)
    const key = this.key(kind, this.random.below(KEYS))
    if (kind === 'string') return this.add(pipeline, key, (version) => pipeline.set(key, contentOf(version)))
    if (kind === 'counter') return this.add(pipeline, key, () => pipeline.incr(key))
    const field = `f${this.random.below(FIELDS)}`
    return this.add(pipeline, `${key} ${field}`, (version) => pipeline.hset(key, field, contentOf(version)))
  }

  private addTransaction(pipeline: Pipeline): Write {
    const [first, second, hash, count] = this.group(this.random.below(GROUPS))
    return this.add(pipeline, first, (version) => {
      const value = contentOf(version)
      pipeline.call('multi')
      pipeline.set(first, value).hset(hash, 'x', value, 'y', value).incr(count).set(second, value)
      pipeline.call('exec')
    })
  }

  /** Send one batch.
   *  @returns whether all of it was acknowledged; when the connection broke, its beginning may have been */
  private async batch(client: Redis): Promise<boolean> {
    const pipeline = client.pipeline()
    const writes: Write[] = []
    const size = this.random.chance(0.3) ? 1 : this.random.between(2, 40)
    for (let i = 0; i < size; i++) {
      writes.push(this.random.chance(0.2) ? this.addTransaction(pipeline) : this.addSingle(pipeline))
    }
    const replies = (await pipeline.exec()) ?? []
    for (const { known, version, at } of writes) {
      if (replies[at]?.[0] === null) known.acknowledged = Math.max(known.acknowledged, version)
    }
    const errors = replies.flatMap(([error]) => (error === null ? [] : [error]))
    for (const { name, message } of errors) if (name === 'ReplyError') this.problems.push(`${this.name}: ${message}`)
    return errors.length === 0
  }

  /** Write until the connection breaks.
   *  @param acknowledged called after each batch that was answered whole */
  async run(client: Redis, acknowledged: () => void): Promise<void> {
    let open = true
    const lane = async () => {
      while (open) {
        if (await this.batch(client)) acknowledged()
        else open = false
      }
    }
    await Promise.all(Array.from({ length: WINDOW }, lane))
  }

  /** Compare what is stored with what is known, and take it for granted from then on. */
  async check(client: Redis): Promise<void> {
    await this.checkSingles(client)
    for (let index = 0; index < GROUPS; index++) await this.checkTransaction(client, index)
  }

  private settle(id: string, found: number): void {
    const known = this.of(id)
    if (!(found >= known.acknowledged && found <= known.sent)) {
      const between = `want ${known.acknowledged} (acknowledged) to ${known.sent} (sent)`
      this.problems.push(`${id} is at version ${found}; ${between}`)
    }
    known.acknowledged = known.sent = found
  }

  private async checkSingles(client: Redis): Promise<void> {
    for (let index = 0; index < KEYS; index++) {
      const [string, counter, hash] = ['string', 'counter', 'hash'].map((kind) => this.key(kind, index)) as [
        string,
        string,
        string,
      ]
      this.settle(string, versionOf(await client.get(string)))
      this.settle(counter, Number((await client.get(counter)) ?? 0))
      const stored = await client.hgetall(hash)
      for (let i = 0; i < FIELDS; i++) this.settle(`${hash} f${i}`, versionOf(stored[`f${i}`]))
      const counted = await client.hlen(hash)
      const fields = Object.keys(stored).length
      if (counted !== fields) this.problems.push(`${hash} has ${fields} fields and says ${counted}`)
    }
  }

  private async checkTransaction(client: Redis, index: number): Promise<void> {
    const [first, second, hash, count] = this.group(index)
    const { x, y } = await client.hgetall(hash)
    const strings = [await client.get(first), await client.get(second), x, y].map(versionOf)
    const versions = [...strings, Number((await client.get(count)) ?? 0)]
    if (new Set(versions).size > 1) this.problems.push(`${first}: half a transaction: versions ${versions}`)
    this.settle(first, versions[0] as number)
  }
}

/** The load of several writers. */
export class Load {
  private readonly writers: readonly Writer[]

  /** @param random its seed decides what is written, not when
   *  @param tagged whether a transaction's keys must share a slot, as they must with several shards */
  constructor(random: Random, { writers, tagged }: { writers: number; tagged: boolean }) {
    this.writers = Array.from({ length: writers }, (_, i) => new Writer(`w${i}`, random, tagged))
  }

  /** Write until the server is gone.
   *  @param acknowledged called after each batch that was answered whole */
  async run(port: number, acknowledged: () => void): Promise<void> {
    const clients = this.writers.map(() => connect(port))
    await Promise.all(this.writers.map((writer, i) => writer.run(clients[i] as Redis, acknowledged)))
    for (const client of clients) client.disconnect()
  }

  /** Look at everything that was ever written.
   *  @returns what is wrong with it */
  async check(port: number): Promise<string[]> {
    const client = connect(port)
    for (const writer of this.writers) await writer.check(client)
    client.disconnect()
    return this.writers.flatMap(({ problems }) => problems.splice(0))
  }
}
