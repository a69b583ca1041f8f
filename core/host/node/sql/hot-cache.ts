/** The hot tables of an engine: each is kept from query to query while there is room. */
import type { DuckDBInstance } from '@duckdb/node-api'
import type { Clock } from '../../../shard/clock.ts'
import type { DuckDBApi } from './duckdb.ts'
import { type HotColumn, HotTable } from './hot-table.ts'

/** A hot table that one query has to itself, until it is released. */
export interface HeldTable {
  readonly table: HotTable
  /** Give it back, or drop it: what queries have begun to read stays with them. */
  release(options?: { readonly drop?: boolean }): Promise<void>
}

interface Entry {
  readonly table: HotTable
  /** The last one that has it, or waits for it. */
  turn: Promise<void>
  users: number
  /** Whether the next query should fill it, whatever it asks. */
  isWanted: boolean
  close(): void
}

/** What the cache is made of. */
export interface HotCacheOptions {
  readonly api: DuckDBApi
  readonly instance: DuckDBInstance
  readonly clock: Pick<Clock, 'random'>
  /** Bytes of rows that are kept between queries. */
  readonly bytesMax: number
}

/** Hot tables by name. */
export class HotCache {
  private readonly options: HotCacheOptions
  /** The one used last at the end. */
  private readonly entries = new Map<string, Entry>()

  constructor(options: HotCacheOptions) {
    this.options = options
  }

  private async make(): Promise<{ table: HotTable; close(): void }> {
    const { api, instance, clock } = this.options
    const connection = await instance.connect()
    const name = `${clock.random().toString(36)}_${clock.random().toString(36)}`
    return { table: new HotTable(api, connection, name), close: () => connection.closeSync() }
  }

  /** Take a table that is kept under a name, when nobody else has it. */
  async take(name: string): Promise<HeldTable> {
    const entry = this.entries.get(name) ?? (await this.add(name))
    this.entries.delete(name)
    this.entries.set(name, entry)
    entry.users++
    const before = entry.turn
    let leave = () => {}
    entry.turn = new Promise((resolve) => {
      leave = resolve
    })
    await before
    return {
      table: entry.table,
      release: async ({ drop = false } = {}) => {
        entry.users--
        try {
          if (drop || entry.table.bytes > this.options.bytesMax) await entry.table.drop()
          await this.trim()
        } finally {
          leave()
        }
      },
    }
  }

  private async add(name: string): Promise<Entry> {
    const made = await this.make()
    const known = this.entries.get(name)
    if (known !== undefined) {
      made.close()
      return known
    }
    const entry: Entry = { ...made, turn: Promise.resolve(), users: 0, isWanted: false }
    this.entries.set(name, entry)
    return entry
  }

  /** Make a table for one query alone. */
  async alone(): Promise<HeldTable> {
    const { table, close } = await this.make()
    return {
      table,
      release: async () => {
        await table.drop().finally(close)
      },
    }
  }

  /** Whether the kept table answers a query with less than fetching what it asks for alone. */
  prefers(name: string, columns: readonly HotColumn[]): boolean {
    const entry = this.entries.get(name)
    return entry !== undefined && (entry.isWanted || (entry.table.isFilled && entry.table.has(columns)))
  }

  /** Have the next query fill a table. */
  async want(name: string): Promise<void> {
    const entry = this.entries.get(name) ?? (await this.add(name))
    entry.isWanted = true
  }

  /** Tell what is kept under a name. */
  state(name: string): HotTable['state'] | undefined {
    const table = this.entries.get(name)?.table
    return table?.isFilled ? table.state : undefined
  }

  /** Let go of everything. */
  close(): void {
    for (const entry of this.entries.values()) entry.close()
    this.entries.clear()
  }

  /** Drop the tables used longest ago until the rest fits. */
  private async trim(): Promise<void> {
    let bytes = 0
    for (const { table } of this.entries.values()) bytes += table.bytes
    for (const [name, entry] of this.entries) {
      if (bytes <= this.options.bytesMax) return
      if (entry.users > 0) continue
      this.entries.delete(name)
      bytes -= entry.table.bytes
      await entry.table.drop()
      entry.close()
    }
  }
}
