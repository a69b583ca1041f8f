/** What DUMP gives and RESTORE takes: the type, the value, the version of the format, and a checksum. */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { crc64 } from './crc64.ts'
import { unsigned } from './packed.ts'
import { Reader } from './reader.ts'

/** The newest version that is read: that of Redis 7.4. */
const VERSION_MAX = 12
const FOOTER_BYTES = 10

/** End a payload.
 *  @param body the type and the value
 *  @param version the oldest that knows what is in it */
export function seal(body: Bin, version: number): Bin {
  const payload = body + unsigned(version, 2)
  return payload + crc64(payload)
}

/** Check how a payload ends.
 *  @returns a reader of what comes before
 *  @throws invalid in Redis' words */
export function unseal(payload: Bin): Reader {
  const end = payload.length - FOOTER_BYTES
  const version = end < 0 ? Infinity : payload.charCodeAt(end) + payload.charCodeAt(end + 1) * 256
  if (version > VERSION_MAX || crc64(payload, end + 2) !== payload.slice(end + 2)) {
    throw new Failure('invalid', 'ERR DUMP payload version or checksum are wrong')
  }
  return new Reader(payload, end)
}
