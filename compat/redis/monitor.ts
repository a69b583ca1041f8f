/** MONITOR: every request of a database of the fabric, as text.
 *  @source https://redis.io/docs/latest/commands/monitor/ and replication.c replicationFeedMonitors of Redis 7.2 */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { Row, Session } from './session.ts'
import { OK } from './value.ts'

/** What administers is not shown, as in Redis. */
const hidden = /^(monitor|config|acl|debug|slowlog|latency|shutdown|client\|(kill|list|no-evict|pause|unpause|unblock))/

const escapes: { readonly [char: string]: string } = {
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\x07': '\\a',
  '\b': '\\b',
  '"': '\\"',
  '\\': '\\\\',
}

/** Show bytes as sdscatrepr does. */
function quoted(bin: Bin): string {
  const shown = bin.replace(/[^ -~]|["\\]/g, (char) => {
    return escapes[char] ?? `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`
  })
  return `"${shown}"`
}

/** Hide passwords, and who they belong to. */
function redacted(name: string, argv: readonly Bin[]): readonly Bin[] {
  if (name === 'auth') return argv.map((word, i) => (i === 0 ? word : '(redacted)'))
  const at = name === 'hello' ? argv.findIndex((word, i) => i > 1 && /^auth$/i.test(word)) : -1
  return at < 0 ? argv : argv.map((word, i) => (i === at + 1 || i === at + 2 ? '(redacted)' : word))
}

/** The sessions of one server that monitor others. */
export class Monitors {
  private readonly sessions = new Set<Session>()

  /** Whether a session monitors. */
  has(session: Session): boolean {
    return this.sessions.has(session)
  }

  /** Begin to show a session what others do. */
  add(session: Session): void {
    this.sessions.add(session)
  }

  /** Stop. */
  leave(session: Session): void {
    this.sessions.delete(session)
  }

  /** Show a request that is about to be run; EXEC shows what it holds before itself. */
  show(session: Session, row: Row, argv: readonly Bin[]): void {
    if (this.sessions.size === 0) return
    if (row.name === 'exec') {
      for (const queued of session.state.multi?.queue ?? []) this.line(session, queued.row, queued.argv)
    }
    this.line(session, row, argv)
  }

  private line(session: Session, { name }: Row, argv: readonly Bin[]): void {
    const { state, server } = session
    if (hidden.test(name)) return
    const nowMs = server.clock.nowMs()
    const time = `${Math.floor(nowMs / 1000)}.${String((nowMs % 1000) * 1000).padStart(6, '0')}`
    const simple = `${time} [${state.db} ${state.address}] ${redacted(name, argv).map(quoted).join(' ')}`
    // Tenants do not see each other.
    for (const monitor of this.sessions) {
      const isLeaving = monitor === session && name === 'reset'
      if (monitor.state.database === state.database && !isLeaving) monitor.push({ simple })
    }
  }
}

function monitor(session: Session) {
  const { server } = session
  if (server.alone) {
    throw new Failure('unsupported', 'ERR MONITOR is not supported here: every connection has a server of its own')
  }
  server.monitors.add(session)
  return OK
}

/** The row of MONITOR. */
export const monitorCommands: readonly Row[] = [
  {
    name: 'monitor',
    arity: 1,
    mode: 'session',
    since: '1.0.0',
    group: 'server',
    noMulti: true,
    summary: 'Shows the requests of the database as they come (not through a tunnel).',
    session: monitor,
  },
]
