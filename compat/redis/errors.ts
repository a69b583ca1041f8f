/** Failures in the words of Redis: the total table from codes to error replies.
 *
 *  1. Failures of this dialect begin with their error word; to those of the core it is added here.
 *  2. Clients act on that word. TRYAGAIN is sent again by cluster clients on their own, so it stands only where nothing
 *     has happened. */
import { type Bin, textToBin } from '@dotdo/core/bytes'
import { type Code, Failure, toFailure } from '@dotdo/core/errors'
import type { Value } from './value.ts'

/** The reply when keys that must live together do not. */
export const CROSSSLOT = "CROSSSLOT Keys in request don't hash to the same slot"

const words = new RegExp(
  '^(ERR|WRONGTYPE|WRONGPASS|NOAUTH|NOPERM|NOPROTO|EXECABORT|CROSSSLOT|TRYAGAIN|UNAVAILABLE|MISCONF|BUSYKEY|' +
    'NOGROUP|BUSYGROUP|INVALIDOBJ|TESTFAILED|NOSCRIPT|NOTBUSY) ',
)

/** Messages that begin with an error word keep it. */
function worded(word: string): (message: string) => string {
  return (message) => (words.test(message) ? message : `${word} ${message}`)
}

const table: Record<Code, (message: string) => string> = {
  invalid: worded('ERR'),
  not_found: worded('ERR'),
  exists: worded('ERR'),
  type_mismatch: () => 'WRONGTYPE Operation against a key holding the wrong kind of value',
  limit: worded('ERR'),
  unsupported: worded('ERR'),
  cross_shard: () => CROSSSLOT,
  conflict: worded('TRYAGAIN'),
  moved: worded('TRYAGAIN'),
  unassigned: worded('TRYAGAIN'),
  out_of_range: worded('ERR'),
  unauthenticated: () => 'NOAUTH Authentication required.',
  forbidden: worded('NOPERM'),
  // Not TRYAGAIN: the write may have happened, and doing it twice is for the application to decide.
  unavailable: worded('UNAVAILABLE'),
  storage: worded('MISCONF'),
  internal: (message) => `ERR internal error: ${message}`,
}

/** Say a failure as an error reply's text. */
export function errorText(failure: Failure): Bin {
  const text = table[failure.code](failure.message)
  // Most messages quote arguments as the bytes they came in; only text of our own can hold more.
  return /[^\0-\xff]/.test(text) ? textToBin(text) : text
}

/** Turn anything thrown into an error reply. */
export function errorReply(error: unknown): { readonly error: Bin } {
  return { error: errorText(toFailure(error)) }
}

/** Turn what a shard answered into a reply. */
export function replyOf(answer: unknown): Value {
  return answer instanceof Failure ? errorReply(answer) : (answer as Value)
}
