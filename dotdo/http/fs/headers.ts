/** Headers of requests for files: conditions, Depth, Overwrite, Timeout.
 *  @source RFC 9110 section 13; RFC 4918 section 10 */
import { Failure } from '@dotdo/core/errors'
import { FSX_WEB_LOCK_SECONDS_MAX } from '@dotdo/core/limits'
import type { Check, Expectation, Term, TermList } from '@dotdo/fsx/web'
import type { Context } from 'hono'
import { type Target, targetOfHeader } from './target.ts'

/** Read a list of ETags.
 *  @param weak whether those that are weak count
 *  @returns what is between the quotes
 *  @throws invalid */
function etagsOf(header: string, weak: boolean): readonly string[] | '*' {
  if (header.trim() === '*') return '*'
  const found: string[] = []
  const rest = header.replace(/(W\/)?"([^"]*)"/g, (_, isWeak: string | undefined, tag: string) => {
    if (isWeak === undefined || weak) found.push(tag)
    return ''
  })
  if (/[^\s,]/.test(rest)) throw new Failure('invalid', `not a list of ETags: ${header.slice(0, 80)}`)
  return found
}

/** Read a date.
 *  @returns seconds since 1970; undefined for what is no date, which is as if it were not there */
export function secondsOf(header: string | undefined): number | undefined {
  const ms = header === undefined ? Number.NaN : Date.parse(header)
  return Number.isNaN(ms) ? undefined : Math.floor(ms / 1000)
}

/** Read the conditions of a request on the file it names.
 *  @throws invalid */
export function expectationOf({ req }: Context, path: string): Expectation {
  const [match, noneMatch] = [req.header('If-Match'), req.header('If-None-Match')]
  const unmodifiedSinceSeconds = secondsOf(req.header('If-Unmodified-Since'))
  return {
    path,
    ...(match !== undefined && { match: etagsOf(match, false) }),
    ...(noneMatch !== undefined && { noneMatch: etagsOf(noneMatch, true) }),
    ...(unmodifiedSinceSeconds !== undefined && { unmodifiedSinceSeconds }),
  }
}

const ifToken = /\s*(?:(\()|(\))|(Not)\b|<([^<>]*)>|\[((?:W\/)?"[^"]*")\])/iy

/** Read `If`: lists of conditions, and the locks that the client says it holds.
 *  @throws invalid */
export function conditionsOf(context: Context, target: Target): { lists: TermList[]; tokens: string[] } {
  const header = context.req.header('If') ?? ''
  const lists: TermList[] = []
  const tokens: string[] = []
  let { path } = target
  let terms: Term[] | undefined
  let not = false
  const wrong = () => new Failure('invalid', `If is not as RFC 4918 has it: ${header.slice(0, 200)}`)
  ifToken.lastIndex = 0
  for (let at = 0; header.slice(at).trim() !== ''; at = ifToken.lastIndex) {
    const [found, open, close, negates, url, etag] = ifToken.exec(header) ?? []
    if (found === undefined) throw wrong()
    if (open !== undefined) {
      if (terms !== undefined) throw wrong()
      terms = []
    } else if (close !== undefined) {
      if (terms === undefined || terms.length === 0 || not) throw wrong()
      lists.push({ path, terms })
      terms = undefined
    } else if (negates !== undefined) {
      if (terms === undefined || not) throw wrong()
      not = true
    } else if (terms === undefined) {
      if (url === undefined) throw wrong()
      path = targetOfHeader(context, url, target).path
    } else {
      if (url !== undefined) tokens.push(url)
      // A weak ETag never names the version that is meant: it holds the W, which ours have not.
      terms.push(url === undefined ? { not, etag: (etag as string).replace(/^"|"$/g, '') } : { not, token: url })
      not = false
    }
  }
  if (terms !== undefined || (lists.length === 0 && header.trim() !== '')) throw wrong()
  return { lists, tokens }
}

/** Read what must hold for a request that changes something.
 *  @param changes what it changes
 *  @throws invalid */
export function checkOf(context: Context, target: Target, changes: Check['changes']): Check {
  const { lists, tokens } = conditionsOf(context, target)
  return { tokens, lists, changes, expect: expectationOf(context, target.path) }
}

/** How far a request reaches. */
export type Depth = 0 | 1 | 'infinity'

/** Read `Depth`.
 *  @throws invalid for another than those allowed */
export function depthOf({ req }: Context, allowed: readonly Depth[], otherwise: Depth): Depth {
  const header = req.header('Depth')?.trim().toLowerCase()
  if (header === undefined) return otherwise
  const depth = allowed.find((one) => String(one) === header)
  if (depth === undefined) throw new Failure('invalid', `Depth: ${header.slice(0, 20)} is not ${allowed.join(' or ')}`)
  return depth
}

/** Read `Overwrite`.
 *  @throws invalid for another than T or F */
export function overwriteOf({ req }: Context): boolean {
  const header = req.header('Overwrite')?.trim().toUpperCase() ?? 'T'
  if (header !== 'T' && header !== 'F') throw new Failure('invalid', 'Overwrite is T or F')
  return header === 'T'
}

/** Read `Timeout`: the first wish that we can read, as far as we go.
 *  @returns milliseconds */
export function timeoutMsOf({ req }: Context): number {
  const wish = /Infinite|Second-(\d{1,10})/i.exec(req.header('Timeout') ?? '')
  const seconds = wish?.[1] === undefined ? FSX_WEB_LOCK_SECONDS_MAX : Number(wish[1])
  return Math.max(1, Math.min(seconds, FSX_WEB_LOCK_SECONDS_MAX)) * 1000
}
