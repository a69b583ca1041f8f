/** Rows whose payload is in the lake alone: how a call says that it needs them, and how they are fetched.
 *
 *  1. A call that needs a cold row is stopped by a `ColdRows` and undone like a failed one (shard.ts); it is run again
 *     when the payload is back.
 *  2. What is being fetched is not fetched a second time, and all rows that one group asks for are fetched together. */
import { toBin } from '../bytes.ts'
import type { Row, Table } from './table.ts'

/** A row that is needed whole, by its primary key. */
export interface ColdRow {
  readonly table: Table
  readonly key: Row
}

/** Brings payloads back: by the time it settles, they stand in their rows (`tx.restore`).
 *  @throws Failure; the calls that wait for the rows then fail */
export type FetchCold = (cold: readonly ColdRow[]) => Promise<void>

/** Stops a call that needs rows whole which are cold. No failure: programs let it through. */
export class ColdRows {
  readonly rows: ColdRow[]
  constructor(rows: ColdRow[]) {
    this.rows = rows
  }
}

/** Whether a row's payload is in the lake alone. */
export function isCold(table: Table, row: Row): boolean {
  return table.relation?.payload?.isCold(row) ?? false
}

/** Name a cold row by the columns of its key. */
export function coldRow(table: Table, row: Row): ColdRow {
  const key: Row = {}
  for (const name of table.primaryKey) key[name] = row[name] as Row[string]
  return { table, key }
}

function idOf({ table, key }: ColdRow): string {
  const plain = table.primaryKey.map((name) => {
    const value = key[name]
    return value instanceof Uint8Array ? toBin(value) : value
  })
  return `${table.name} ${JSON.stringify(plain)}`
}

/** What is being fetched for one shard. */
export class ColdFetches {
  private readonly fetchCold: FetchCold
  private readonly underWay = new Map<string, Promise<void>>()
  private gathering: { readonly rows: ColdRow[]; readonly fetched: Promise<void> } | undefined

  constructor(fetchCold: FetchCold) {
    this.fetchCold = fetchCold
  }

  /** Wait until rows have been fetched, by this request or one before. */
  async fetch(rows: readonly ColdRow[]): Promise<void> {
    await Promise.all(new Set(rows.map((row) => this.fetchOne(row))))
  }

  private fetchOne(row: ColdRow): Promise<void> {
    const id = idOf(row)
    const known = this.underWay.get(id)
    if (known !== undefined) return known
    this.gathering ??= this.gather()
    const { rows, fetched } = this.gathering
    rows.push(row)
    this.underWay.set(id, fetched)
    return fetched
  }

  private gather(): { rows: ColdRow[]; fetched: Promise<void> } {
    const rows: ColdRow[] = []
    const run = async () => {
      // All jobs of the group that ran just now ask before this goes on.
      await Promise.resolve()
      this.gathering = undefined
      try {
        await this.fetchCold(rows)
      } finally {
        for (const row of rows) this.underWay.delete(idOf(row))
      }
    }
    return { rows, fetched: run() }
  }
}
