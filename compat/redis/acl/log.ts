/** What was denied, newest first, as ACL LOG tells it.
 *  @source acl.c of Redis 7.2: addACLLogEntry; equal denials within a minute are one entry */
import type { Bin } from '@dotdo/core/bytes'
import type { Value } from '../value.ts'
import type { Denial } from './check.ts'

const GROUPING_MS = 60_000

/** A denial to be noted. */
export interface Noted {
  readonly reason: Denial['reason'] | 'auth'
  readonly context: 'toplevel' | 'multi' | 'lua'
  readonly object: Bin
  readonly user: Bin
  /** The client, as CLIENT LIST shows it. */
  readonly client: Bin
}

interface Entry extends Noted {
  readonly id: number
  count: number
  readonly createdMs: number
  updatedMs: number
  latestClient: Bin
}

/** The log. */
export class AclLog {
  private entries: Entry[] = []
  private lastId = -1

  /** Note a denial.
   *  @param max how many entries are kept */
  note(noted: Noted, nowMs: number, max: number): void {
    const { reason, context, object, user } = noted
    const at = this.entries.findIndex(
      (entry) =>
        entry.reason === reason &&
        entry.context === context &&
        entry.user === user &&
        entry.object === object &&
        nowMs - entry.updatedMs <= GROUPING_MS,
    )
    if (at >= 0) {
      const [entry] = this.entries.splice(at, 1) as [Entry]
      entry.count += 1
      entry.updatedMs = nowMs
      entry.latestClient = noted.client
      this.entries.unshift(entry)
    } else {
      this.lastId += 1
      const entry = { ...noted, id: this.lastId, count: 1, createdMs: nowMs, updatedMs: nowMs }
      this.entries.unshift({ ...entry, latestClient: noted.client })
    }
    this.entries.length = Math.min(this.entries.length, max)
  }

  /** Forget everything. */
  reset(): void {
    this.entries = []
  }

  /** Tell the newest entries. */
  list(count: number, nowMs: number): Value {
    return this.entries.slice(0, count).map((entry) => ({
      map: [
        ['count', entry.count],
        ['reason', entry.reason],
        ['context', entry.context],
        ['object', entry.object],
        ['username', entry.user],
        ['age-seconds', { double: (nowMs - entry.createdMs) / 1000 }],
        ['client-info', entry.latestClient],
        ['entry-id', entry.id],
        ['timestamp-created', entry.createdMs],
        ['timestamp-last-updated', entry.updatedMs],
      ],
    }))
  }
}
