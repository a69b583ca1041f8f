/** The server's HTTP, as far as the lake demo asks it. */
import type { SqlStats } from '@dotdo/core/tiering/sql'
import type { PolicyOptions, TierStatus } from '@dotdo/core/tiering/tier'

/** A result of SQL. */
export interface SqlReply {
  readonly rows: readonly (readonly (string | number | null)[])[]
  readonly stats: SqlStats
}

/** Asks one database of one server. */
export class Api {
  private readonly base: string
  private readonly database: string

  constructor(port: number, database: string) {
    this.base = `http://127.0.0.1:${port}`
    this.database = database
  }

  private async ask<T>(method: string, path: string, body?: unknown): Promise<T> {
    const init = { method, ...(body !== undefined && { body: JSON.stringify(body) }) }
    const headers = { 'Content-Type': 'application/json' }
    const response = await fetch(`${this.base}${path}`, { ...init, headers })
    const answer = (await response.json()) as T & { error?: { message: string } }
    if (!response.ok || answer.error !== undefined) {
      throw new Error(`${method} ${path}: ${response.status} ${answer.error?.message}`)
    }
    return answer
  }

  /** Make the database. */
  create(shards: number): Promise<unknown> {
    return this.ask('PUT', `/databases/${this.database}`, { shards })
  }

  /** Ask or change the database's tiering: a path below `tier`. */
  tier(path = '', method = 'GET', body?: unknown): Promise<TierStatus> {
    return this.ask(method, `/databases/${this.database}/tier${path}`, body)
  }

  /** Set a collection's policy. */
  setPolicy(collection: string, policy: PolicyOptions): Promise<TierStatus> {
    return this.tier(`/${collection}`, 'PUT', policy)
  }

  /** Run SQL. */
  sql(sql: string, more: { asOf?: unknown; params?: readonly (string | number)[] } = {}): Promise<SqlReply> {
    return this.ask('POST', '/sql', { sql, database: this.database, ...more })
  }
}
