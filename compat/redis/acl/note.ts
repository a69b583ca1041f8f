/** Notes denials of a session in the log of the ACL. */
import { describeClient } from '../commands/client-line.ts'
import type { Session } from '../session.ts'
import type { Noted } from './log.ts'

/** Note a denial. */
export function noteDenial(session: Session, denial: Omit<Noted, 'client'>): void {
  const { server } = session
  const nowMs = server.clock.nowMs()
  const { reason, context, object, user } = denial
  const noted = { reason, context, object, user, client: describeClient(session, nowMs) }
  server.access.log.note(noted, nowMs, server.config.number('acllog-max-len'))
}
