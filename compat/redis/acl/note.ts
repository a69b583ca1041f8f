/** Holds a session to the rules of its user, and notes denials in the log of the ACL. */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { describeClient } from '../commands/client-line.ts'
import type { Row, Session } from '../session.ts'
import { denialText } from './check.ts'
import type { Noted } from './log.ts'

/** Note a denial. */
export function noteDenial(session: Session, denial: Omit<Noted, 'client'>): void {
  const { server } = session
  const nowMs = server.clock.nowMs()
  const { reason, context, object, user } = denial
  const noted = { reason, context, object, user, client: describeClient(session, nowMs) }
  server.access.log.note(noted, nowMs, server.config.number('acllog-max-len'))
}

/** Hold the user of a session to the rules; a denial is noted.
 *  @throws forbidden */
export function holdToRules(session: Session, row: Row, argv: readonly Bin[]): void {
  const { state, server } = session
  const denial = server.access.denial(state.user, row, argv)
  if (denial === undefined) return
  noteDenial(session, { ...denial, context: state.multi ? 'multi' : 'toplevel', user: state.user })
  throw new Failure('forbidden', `NOPERM ${denialText(state.user, denial)}`)
}
