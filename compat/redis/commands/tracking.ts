/** CLIENT TRACKING, CACHING and GETREDIR.
 *  @source networking.c clientTrackingCommand and tracking.c of Redis 7.2 */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { Answer, Session } from '../session.ts'
import type { TrackingState } from '../tracking.ts'
import { OK, type Value } from '../value.ts'
import { syntaxError } from './arguments.ts'
import { readInteger } from './connection.ts'

interface Options {
  broadcast: boolean
  opt: 'in' | 'out' | undefined
  redirect: number
  prefixes: Bin[]
}

function refuse(message: string): Failure {
  return new Failure('invalid', `ERR ${message}`)
}

function readRedirect({ server }: Session, options: Options, id: Bin): number {
  if (options.redirect !== 0) throw refuse('A client can only redirect to a single other client')
  const redirect = readInteger(id)
  if (!server.sessions.has(redirect)) throw refuse('The client ID you want redirect to does not exist')
  return redirect
}

function readOpt(options: Options, opt: 'in' | 'out'): 'in' | 'out' {
  if (options.opt !== undefined && options.opt !== opt) {
    throw refuse("You can't specify both OPTIN mode and OPTOUT mode")
  }
  return opt
}

function readOptions(session: Session, argv: readonly Bin[]): Options {
  const options: Options = { broadcast: false, opt: undefined, redirect: 0, prefixes: [] }
  for (let at = 3; at < argv.length; at++) {
    const word = (argv[at] as Bin).toLowerCase()
    const next = argv[at + 1]
    if (word === 'bcast') options.broadcast = true
    else if (word === 'optin') options.opt = readOpt(options, 'in')
    else if (word === 'optout') options.opt = readOpt(options, 'out')
    else if (word === 'noloop') {
      throw new Failure('unsupported', 'ERR NOLOOP is not supported: the log of changes does not say who wrote')
    } else if (word === 'redirect' && next !== undefined) {
      options.redirect = readRedirect(session, options, next)
      at++
    } else if (word === 'prefix' && next !== undefined) {
      options.prefixes.push(next)
      at++
    } else throw syntaxError()
  }
  return options
}

/** @throws invalid for options that do not go together, or not with what the client does already */
function check({ broadcast, opt, prefixes }: Options, now: TrackingState | undefined): void {
  const again = 'before disabling tracking for this client, and then re-enabling it with a different mode.'
  if (!broadcast && prefixes.length > 0) throw refuse('PREFIX option requires BCAST mode to be enabled')
  if (now !== undefined && now.broadcast !== broadcast) throw refuse(`You can't switch BCAST mode on/off ${again}`)
  if (broadcast && opt !== undefined) throw refuse('OPTIN and OPTOUT are not compatible with BCAST')
  if (now !== undefined && opt !== undefined && now.opt !== undefined && now.opt !== opt) {
    throw refuse(`You can't switch OPTIN/OPTOUT mode ${again}`)
  }
  for (const [i, prefix] of prefixes.entries()) {
    const overlaps = (other: Bin) => other.startsWith(prefix) || prefix.startsWith(other)
    const existing = now?.prefixes.find(overlaps)
    const provided = prefixes.slice(i + 1).find(overlaps)
    const other = existing === undefined ? `another provided prefix '${provided}'` : `an existing prefix '${existing}'`
    if (existing === undefined && provided === undefined) continue
    throw refuse(`Prefix '${prefix}' overlaps with ${other}. Prefixes for a single client must not overlap.`)
  }
}

/** CLIENT TRACKING on or off. */
export function tracking(session: Session, argv: readonly Bin[]): Answer {
  const { server, state } = session
  const wanted = (argv[2] as Bin).toLowerCase()
  if (wanted !== 'on' && wanted !== 'off') throw syntaxError()
  const options = readOptions(session, argv)
  if (wanted === 'off') {
    server.tracking.leave(session)
    return OK
  }
  const now = state.tracking
  check(options, now)
  const { broadcast, opt, redirect, prefixes } = options
  const next: TrackingState = {
    broadcast,
    opt,
    redirect,
    prefixes: [...new Set([...(now?.prefixes ?? []), ...prefixes])],
    caching: undefined,
    keys: now?.keys ?? new Set(),
    broken: false,
  }
  return server.tracking.begin(session, next).then(() => OK)
}

/** CLIENT CACHING yes or no. */
export function caching({ state }: Session, argv: readonly Bin[]): Value {
  const { tracking } = state
  if (tracking?.opt === undefined) {
    const when = 'called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled'
    throw refuse(`CLIENT CACHING can be ${when}`)
  }
  const wanted = (argv[2] as Bin).toLowerCase()
  if (wanted !== 'yes' && wanted !== 'no') throw syntaxError()
  const mode = wanted === 'yes' ? 'in' : 'out'
  if (tracking.opt !== mode) {
    const shown = `${wanted.toUpperCase()} is only valid when tracking is enabled in OPT${mode.toUpperCase()} mode.`
    throw refuse(`CLIENT CACHING ${shown}`)
  }
  tracking.caching = wanted
  return OK
}
