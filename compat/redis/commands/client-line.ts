/** The line that CLIENT LIST and the logs say of a connection. */
import type { Session } from '../session.ts'

/** Describe a connection on one line, as CLIENT LIST does: only fields that are known here. */
export function describeClient({ state, transport, queuedInputBytes }: Session, nowMs: number): string {
  const { multi } = state
  const flags = `${multi ? 'x' : ''}${state.noEvict ? 'e' : ''}${state.noTouch ? 'T' : ''}` || 'N'
  const seconds = (sinceMs: number) => Math.max(0, Math.floor((nowMs - sinceMs) / 1000))
  const fields: [string, string | number][] = [
    ['id', state.id],
    ['addr', state.address],
    ['laddr', state.localAddress],
    ['name', state.name],
    ['age', seconds(state.createdMs)],
    ['idle', seconds(state.activeMs)],
    ['flags', flags],
    ['db', state.db],
    ['sub', 0],
    ['psub', 0],
    ['ssub', 0],
    ['multi', multi ? multi.queue.length : -1],
    ['qbuf', queuedInputBytes],
    ['multi-mem', multi?.sizeBytes ?? 0],
    ['omem', transport.queuedBytes()],
    ['cmd', state.lastCommand],
    ['user', state.user],
    ['redir', -1],
    ['resp', state.protocol],
    ['lib-name', state.libraryName],
    ['lib-ver', state.libraryVersion],
    ['database', state.database],
  ]
  return fields.map(([name, value]) => `${name}=${value}`).join(' ')
}
