/** Replies as JSON. Its own writer, as integers may be longer than JavaScript's and stay what they are. */
import { type Bin, fromBin } from '@dotdo/core/bytes'
import type { Value } from './value.ts'

// With ignoreBOM a byte order mark is kept: it is part of the bytes.
const lossy = new TextDecoder('utf-8', { ignoreBOM: true })

/** Read bytes as text; what is not UTF-8 becomes U+FFFD. */
export function showText(bin: Bin): string {
  for (let at = 0; at < bin.length; at++) if (bin.charCodeAt(at) >= 0x80) return lossy.decode(fromBin(bin))
  return bin
}

/** Whether a reply is an error. */
export function isErrorReply(reply: Value): reply is { readonly error: Bin } {
  return typeof reply === 'object' && reply !== null && 'error' in reply
}

function write(value: Value, text: (bin: Bin) => string): string {
  if (value === null) return 'null'
  if (typeof value === 'number') return String(value)
  if (typeof value === 'string') return text(value)
  if ('int64' in value) return value.int64
  if ('simple' in value) return text(value.simple)
  if ('error' in value) return text(value.error)
  return `[${(value as readonly Value[]).map((item) => write(item, text)).join(',')}]`
}

/** Write a reply of RESP2 as JSON.
 *  @param base64 whether strings are encoded; the reply OK never is, and within arrays every string is */
export function writeJson(value: Value, base64: boolean): string {
  if (!base64) return write(value, (bin) => JSON.stringify(showText(bin)))
  if (typeof value === 'object' && value !== null && 'simple' in value && value.simple === 'OK') return '"OK"'
  return write(value, (bin) => `"${btoa(bin)}"`)
}
