/** A write load on keys that are tiered, by a server that may die at any moment, and what must then be found.
 *
 *  1. Every write that changes something is one change of its key. What is known of a key is the list of its writes,
 *     and how many were acknowledged: after a crash, a beginning of the list that has at least those is there.
 *  2. Each writer has keys and a connection of its own, so that its keys see its writes in the order they were sent,
 *     and a reply to GET is known beforehand: payloads that have left come back in the order of the commands. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import type { Random } from '../sim/random.ts'
import { connect } from './load.ts'

const KEYS = 60
/** Batches that a writer sends before it waits. */
const WINDOW = 3

/** A key's value; null when it is not there. */
export type Value = string | null

/** A row of the table `changes`. */
export interface ChangeRow {
  readonly shard: number
  readonly seq: number
  readonly op: string
  readonly id: string
  readonly value: Value
}

/** A key, and what it was made to hold, one write after the other. */
class Known {
  readonly states: Value[] = []
  /** Writes that were acknowledged, from the first on. */
  acknowledged = 0

  get sent(): number {
    return this.states.length
  }

  /** @returns the value after so many writes */
  at(writes: number): Value {
    return writes === 0 ? null : (this.states[writes - 1] as Value)
  }

  /** @returns whether a value is that after some number of writes, both ends included */
  may(value: Value, from: number, to: number): boolean {
    for (let writes = from; writes <= to; writes++) if (this.at(writes) === value) return true
    return false
  }
}

/** What a reply must be, or what it acknowledges. */
type Expected = { readonly known: Known; readonly writes: number } | { readonly key: string; readonly value: Value }

/** A value that tells whose it is, of a size that follows from it. */
function contentOf(key: string, version: number): string {
  return `${key}:${version}:${'x'.repeat(version % 16 === 15 ? 9_000 : (version * 7919) % 300)}`
}

/** What every key may hold, as of a moment. */
export type Mark = ReadonlyMap<string, number>

/** The load of several writers. */
export class LakeLoad {
  readonly problems: string[] = []
  private readonly known = new Map<string, Known>()
  private readonly random: Random
  private readonly writers: number
  private running = false

  constructor(random: Random, { writers }: { writers: number }) {
    this.random = random
    this.writers = writers
    for (let writer = 0; writer < writers; writer++) {
      for (let key = 0; key < KEYS; key++) this.known.set(`w${writer}k${key}`, new Known())
    }
  }

  /** Write until the server is gone, or `stop` is called.
   *  @param acknowledged called after each batch that was answered whole */
  async run(port: number, acknowledged: () => void): Promise<void> {
    this.running = true
    const lanes = Array.from({ length: this.writers }, async (_, writer) => {
      const client = connect(port)
      const lane = async () => {
        while (this.running && (await this.batch(client, writer))) {
          acknowledged()
          await delay(this.random.below(30))
        }
        this.running = false
      }
      await Promise.all(Array.from({ length: WINDOW }, lane))
      client.disconnect()
    })
    await Promise.all(lanes)
  }

  /** Write no more batches. */
  stop(): void {
    this.running = false
  }

  /** Send one batch. @returns whether all of it was acknowledged */
  private async batch(client: Redis, writer: number): Promise<boolean> {
    const pipeline = client.pipeline()
    const size = this.random.between(1, 8)
    const expected = Array.from({ length: size }, () => this.add(pipeline, `w${writer}k${this.random.below(KEYS)}`))
    const replies = (await pipeline.exec()) ?? []
    let all = true
    for (const [index, one] of expected.entries()) {
      const [error, value] = replies[index] ?? [new Error('no reply')]
      if (error !== null) {
        all = false
        if (error.name === 'ReplyError') this.problems.push(`a command failed: ${error.message}`)
      } else if ('known' in one) one.known.acknowledged = Math.max(one.known.acknowledged, one.writes)
      else if (value !== one.value)
        this.problems.push(`${one.key} was read as ${shown(value)}; want ${shown(one.value)}`)
    }
    return all
  }

  private add(pipeline: ReturnType<Redis['pipeline']>, key: string): Expected {
    const known = this.known.get(key) as Known
    const value = known.at(known.sent)
    const dice = this.random.unit()
    if (dice < 0.3) {
      pipeline.get(key)
      return { key, value }
    }
    if (dice < 0.42 && value !== null) {
      pipeline.del(key)
      known.states.push(null)
    } else if (dice < 0.6) {
      const more = `+${known.sent}`
      pipeline.append(key, more)
      known.states.push((value ?? '') + more)
    } else {
      const content = contentOf(key, known.sent)
      pipeline.set(key, content)
      known.states.push(content)
    }
    return { known, writes: known.sent }
  }

  /** @returns what is acknowledged now */
  mark(): Mark {
    return new Map([...this.known].map(([key, { acknowledged }]) => [key, acknowledged]))
  }

  /** Hold rows that were read while writes went on against what they may be.
   *  @param since what was acknowledged before they were asked for */
  checkRows(rows: readonly (readonly [key: string, value: string])[], since: Mark, what: string): void {
    const found = new Map(rows)
    if (found.size < rows.length) this.problems.push(`${what}: ${rows.length - found.size} keys come twice`)
    for (const [key, known] of this.known) {
      const value = found.get(key) ?? null
      if (!known.may(value, since.get(key) as number, known.sent)) {
        const want = `want that after ${since.get(key)} to ${known.sent} writes, such as ${shown(known.at(known.sent))}`
        this.problems.push(`${what}: ${key} is ${shown(value)}; ${want}`)
      }
    }
    for (const key of found.keys()) if (!this.known.has(key)) this.problems.push(`${what}: ${key} was never written`)
  }

  /** Take the changes for what has happened: every write once, in order, all that were acknowledged. What was sent and
   *  is not there will never be.
   *  @param rows by shard and seq */
  settle(rows: readonly ChangeRow[]): void {
    const last = new Map<number, number>()
    const done = new Map<string, number>()
    for (const { shard, seq, op, id, value } of rows) {
      const before = last.get(shard) ?? 0
      if (seq !== before + 1) this.problems.push(`changes of shard ${shard} go from seq ${before} to ${seq}`)
      last.set(shard, seq)
      const writes = (done.get(id) ?? 0) + 1
      done.set(id, writes)
      const known = this.known.get(id)
      const want = known !== undefined && writes <= known.sent ? known.at(writes) : undefined
      if (want !== value || (op === 'delete') !== (want === null)) {
        const place = `change ${writes} of ${id} (shard ${shard}, seq ${seq})`
        this.problems.push(`${place} is ${op} ${shown(value)}; want ${shown(want)}`)
      }
    }
    for (const [key, known] of this.known) {
      const writes = done.get(key) ?? 0
      if (writes < known.acknowledged) {
        this.problems.push(`${key} has ${writes} changes, and ${known.acknowledged} writes were acknowledged`)
      }
      known.states.length = Math.min(known.sent, writes)
      known.acknowledged = known.sent
    }
  }

  /** Read every key over Redis, those that have left too. */
  async checkKeys(port: number): Promise<void> {
    const client = connect(port)
    const names = [...this.known.keys()]
    const values = await Promise.all(names.map((key) => client.get(key)))
    for (const [index, key] of names.entries()) {
      const known = this.known.get(key) as Known
      const [value, want] = [values[index] as Value, known.at(known.sent)]
      if (value !== want) this.problems.push(`Redis has ${key} as ${shown(value)}; want ${shown(want)}`)
    }
    client.disconnect()
  }

  /** @returns how many writes there were */
  get writes(): number {
    return [...this.known.values()].reduce((sum, { sent }) => sum + sent, 0)
  }
}

/** Show a value without its filling. */
function shown(value: unknown): string {
  return typeof value === 'string' ? `${JSON.stringify(value.replace(/x{9,}/g, '...'))} (${value.length})` : `${value}`
}
