/** Resume tokens: where a feed stands in every shard of a database, as one opaque word.
 *  base64url of `{ v, d, e, p }`: version, database, epoch drained, and a place per shard in order. A token is no
 *  secret and no proof; what it names is checked against the shards. */
import { fromBase64Url, toBase64Url } from '../bytes.ts'
import { Failure } from '../errors.ts'
import { FEED_TOKEN_CHARS_MAX, SHARD_COUNT_MAX } from '../limits.ts'
import type { Position } from '../shard/program.ts'

const version = 1

/** Where a feed stands. */
export interface Vector {
  readonly database: string
  /** Every shard has been drained of changes before this epoch that changes at this epoch may build on. */
  readonly epoch: number
  /** By shard. */
  readonly positions: readonly Position[]
}

/** A place as a token holds it; the epoch is left out when it is the token's. */
type Place = [incarnation: string, seq: number, epoch?: number]

/** Write a token.
 *  @cost a pass over all shards */
export function encodeToken({ database, epoch, positions }: Vector): string {
  const places = positions.map(({ incarnation, seq, epoch: at }): Place => {
    return at === epoch ? [incarnation, seq] : [incarnation, seq, at]
  })
  return toBase64Url(JSON.stringify({ v: version, d: database, e: epoch, p: places }))
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

function isPlace(value: unknown): value is Place {
  if (!Array.isArray(value) || value.length < 2 || value.length > 3) return false
  const [incarnation, seq, epoch] = value
  return /^[a-z0-9]{1,64}$/.test(String(incarnation)) && isCount(seq) && isCount(epoch ?? 0)
}

function refuse(why: string): Failure {
  return new Failure('invalid', `not a resume token: ${why}; send the token of an event as it came`)
}

/** Read a token.
 *  @param database the one it must be for
 *  @throws invalid when it is malformed, of another version or of another database */
export function decodeToken(token: string, database: string): Vector {
  if (token.length > FEED_TOKEN_CHARS_MAX) throw refuse(`longer than ${FEED_TOKEN_CHARS_MAX} chars`)
  if (!/^[A-Za-z0-9_-]+$/.test(token)) throw refuse('its characters are not base64url')
  const { v, d, e, p } = parse(token)
  if (v !== version) throw refuse(`its version is ${JSON.stringify(v)}, this server's is ${version}`)
  if (d !== database) throw refuse(`it is of database ${JSON.stringify(d)}, not ${JSON.stringify(database)}`)
  if (!isCount(e)) throw refuse('its epoch is no number')
  if (!Array.isArray(p) || p.length < 1 || p.length > SHARD_COUNT_MAX) throw refuse('it names no shards')
  const positions = p.map((place): Position => {
    if (!isPlace(place)) throw refuse(`${JSON.stringify(place)?.slice(0, 80)} is no place in a log`)
    const [incarnation, seq, epoch = e] = place
    return { incarnation, seq, epoch }
  })
  return { database, epoch: e, positions }
}

function parse(token: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(fromBase64Url(token))
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  } catch {
    // Told below, like JSON that is no object.
  }
  throw refuse('it does not hold what a token holds')
}
