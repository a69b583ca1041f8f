/** The line that CLIENT LIST and the logs say of a connection. */
import { countSubscriptions } from '../pubsub.ts'
import type { Session } from '../session.ts'

/** @source networking.c catClientInfoString: one letter each, in this order */
function flagsOf(session: Session): string {
  const { state, parked } = session
  const flags: [boolean, string][] = [
    [session.server.monitors.has(session), 'O'],
    [countSubscriptions(session) > 0, 'P'],
    [state.multi !== undefined, 'x'],
    [parked !== undefined, 'b'],
    [state.tracking !== undefined, 't'],
    [state.tracking?.broken ?? false, 'R'],
    [state.tracking?.broadcast ?? false, 'B'],
    [state.noEvict, 'e'],
    [state.noTouch, 'T'],
  ]
  const letters = flags.map(([is, letter]) => (is ? letter : '')).join('')
  return letters === '' ? 'N' : letters
}

/** Describe a connection on one line, as CLIENT LIST does: only fields that are known here. */
export function describeClient(session: Session, nowMs: number): string {
  const { state, transport, queuedInputBytes } = session
  const { multi } = state
  const flags = flagsOf(session)
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
    ['sub', state.subscriptions?.channel.size ?? 0],
    ['psub', state.subscriptions?.pattern.size ?? 0],
    ['ssub', state.subscriptions?.shard.size ?? 0],
    ['multi', multi ? multi.queue.length : -1],
    ['qbuf', queuedInputBytes],
    ['multi-mem', multi?.sizeBytes ?? 0],
    ['omem', transport.queuedBytes()],
    ['cmd', state.lastCommand],
    ['user', state.user],
    ['redir', state.tracking?.redirect ?? -1],
    ['resp', state.protocol],
    ['lib-name', state.libraryName],
    ['lib-ver', state.libraryVersion],
    ['database', state.database],
  ]
  return fields.map(([name, value]) => `${name}=${value}`).join(' ')
}
