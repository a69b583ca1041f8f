/** RESP2 and RESP3 without any input or output: bytes in, commands out; replies in, bytes out.
 *
 *  1. Requests may arrive cut anywhere. What was read is never read again: a bulk of n bytes in pieces costs O(n).
 *  2. A decoder holds at most one unfinished request besides the chunk it was given last, within core/limits.ts.
 *  3. A broken request is reported once, after the good ones before it, and nothing is read after it.
 *
 *  @source https://redis.io/docs/latest/develop/reference/protocol-spec/ and networking.c of Redis 7.2 */
import { type Bin, ByteWriter, fromBin, toBin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import {
  REDIS_ARGUMENTS_MAX,
  REDIS_BULK_BYTES_MAX,
  REDIS_INLINE_BYTES_MAX,
  REDIS_REPLY_BYTES_MAX,
  REDIS_REQUEST_BYTES_MAX,
} from '@dotdo/core/limits'
import type { Value } from './value.ts'

/** A version of the protocol: 2 until the client says HELLO 3. */
export type Protocol = 2 | 3

const CR = 13
const LF = 10
const STAR = 42
const DOLLAR = 36
const char = String.fromCharCode

/** Read bytes as a binary string of its own: a slice of the chunk's text would keep the whole chunk alive. */
function readBin(bytes: Uint8Array, start: number, length: number): Bin {
  if (length > 4 || length === 2) return toBin(bytes, start, start + length)
  if (length === 0) return ''
  // Command names and small numbers: three times faster than the native call.
  const first = bytes[start] as number
  if (length === 1) return char(first)
  const second = bytes[start + 1] as number
  const third = bytes[start + 2] as number
  return length === 3 ? char(first, second, third) : char(first, second, third, bytes[start + 3] as number)
}

/** Read a decimal as Redis' string2ll does: no plus, no leading zeros, no spaces; NaN when it is none. */
function readDecimal(bytes: Uint8Array, start: number, end: number): number {
  let at = bytes[start] === 45 && end - start > 1 ? start + 1 : start
  const negative = at > start
  const first = bytes[at] as number
  if (at === end || end - at > 15 || first < 48 || first > 57) return Number.NaN
  if (first === 48) return end - at === 1 && !negative ? 0 : Number.NaN
  let value = 0
  for (; at < end; at++) {
    const digit = (bytes[at] as number) - 48
    if (digit < 0 || digit > 9) return Number.NaN
    value = value * 10 + digit
  }
  return negative ? -value : value
}

const escapes: Record<string, string> = { n: '\n', r: '\r', t: '\t', b: '\b', a: '\x07' }
const isSpace = (text: string, at: number) => /[ \t\n\v\f\r]/.test(text.charAt(at))
const endsWord = (text: string, at: number) => /[ \t\n\r]/.test(text.charAt(at))

/** Read one quoted part of an inline command.
 *  @param start just after the opening quote
 *  @returns what it says and where it ends (after the closing quote), or undefined when it is not closed properly */
function readQuoted(line: Bin, start: number, quote: string): { text: Bin; end: number } | undefined {
  let text = ''
  let at = start
  while (at < line.length) {
    const next = line.charAt(at)
    if (next === quote) {
      const end = at + 1
      return end < line.length && !isSpace(line, end) ? undefined : { text, end }
    }
    if (next !== '\\' || at + 1 >= line.length) {
      text += next
      at += 1
    } else if (quote === "'") {
      text += line.charAt(at + 1) === "'" ? "'" : next
      at += line.charAt(at + 1) === "'" ? 2 : 1
    } else {
      const hex = /^x[0-9a-fA-F]{2}/.exec(line.slice(at + 1, at + 4))?.[0]
      const escaped = line.charAt(at + 1)
      text += hex ? char(Number.parseInt(hex.slice(1), 16)) : (escapes[escaped] ?? escaped)
      at += hex ? 4 : 2
    }
  }
  return undefined
}

/** Split an inline command into its arguments, quotes and escapes as Redis' sdssplitargs reads them.
 *  @returns the arguments, none for a blank line, or undefined when quotes are not balanced */
export function splitInline(text: Bin): Bin[] | undefined {
  const line = text.split('\0', 1)[0] as string
  const argv: Bin[] = []
  let at = 0
  for (;;) {
    while (at < line.length && isSpace(line, at)) at += 1
    if (at >= line.length) return argv
    let argument = ''
    while (at < line.length && !endsWord(line, at)) {
      const next = line.charAt(at)
      if (next === '"' || next === "'") {
        const quoted = readQuoted(line, at + 1, next)
        if (quoted === undefined) return undefined
        argument += quoted.text
        at = quoted.end
        break
      }
      argument += next
      at += 1
    }
    argv.push(argument)
  }
}

/** Reads requests from chunks of any split: `push` a chunk, then `next` until it has no more. */
export class RequestDecoder {
  /** What is wrong with the client's bytes, in Redis' words; nothing is read any more. */
  error: string | undefined = undefined
  /** Whether the stricter bounds for strangers are off. */
  authenticated = true
  private buffer: Uint8Array = new Uint8Array(0)
  /** Whether `buffer` is ours to write to; else it is the caller's chunk. */
  private owned = false
  private position = 0
  private end = 0
  /** How many bytes after `position` are known to hold no end of line. */
  private searched = 0
  private argv: Bin[] | undefined = undefined
  private argumentsLeft = 0
  private bulkLength = -1
  private requestBytes = 0

  /** Take a chunk.
   *  @param chunk given away: it is read in place and must not change any more */
  push(chunk: Uint8Array): void {
    if (this.error !== undefined) return
    const rest = this.end - this.position
    if (rest === 0) {
      this.buffer = chunk
      this.owned = false
      this.position = 0
      this.end = chunk.length
      return
    }
    const needed = rest + chunk.length
    if (!this.owned || this.position + needed > this.buffer.length) {
      // Doubling keeps the copying linear; half full is soon enough to reuse the front.
      const reuse = this.owned && needed * 2 <= this.buffer.length
      const target = reuse ? this.buffer : new Uint8Array(Math.max(needed * 2, 1024))
      target.set(this.buffer.subarray(this.position, this.end))
      this.buffer = target
      this.owned = true
      this.position = 0
    }
    this.buffer.set(chunk, this.position + rest)
    this.end = this.position + needed
  }

  /** Read the next request.
   *  @returns its arguments (at least one), or undefined when the bytes end first or are broken (`error`) */
  next(): Bin[] | undefined {
    while (this.position < this.end && this.error === undefined) {
      if (this.argv !== undefined) return this.readArguments(this.argv)
      if (this.buffer[this.position] !== STAR) {
        const argv = this.readInline()
        if (argv === undefined || argv.length > 0) return argv
      } else if (!this.readCount()) return undefined
    }
    return undefined
  }

  /** How many bytes are held back, waiting for the rest of a request. */
  get heldBytes(): number {
    return this.end - this.position
  }

  private fail(what: string): undefined {
    this.error = `Protocol error: ${what}`
    this.buffer = new Uint8Array(0)
    this.argv = undefined
    this.position = 0
    this.end = 0
    return undefined
  }

  private advance(to: number): void {
    this.position = to
    this.searched = 0
  }

  /** Find the CR of a line `<type><decimal>\r\n` that has arrived whole. */
  private findLine(tooBig: string): number | undefined {
    const { buffer, end } = this
    let at = this.position + this.searched
    while (at < end && buffer[at] !== CR) at += 1
    this.searched = at - this.position
    if (this.searched > REDIS_INLINE_BYTES_MAX) return this.fail(tooBig)
    return at + 1 < end ? at : undefined
  }

  /** Read `*<count>`. @returns whether to read on */
  private readCount(): boolean {
    const line = this.findLine('too big mbulk count string')
    if (line === undefined) return false
    const count = readDecimal(this.buffer, this.position + 1, line)
    if (!(count <= REDIS_ARGUMENTS_MAX)) this.fail('invalid multibulk length')
    else if (count > 10 && !this.authenticated) this.fail('unauthenticated multibulk length')
    if (this.error !== undefined) return false
    this.advance(line + 2)
    if (count <= 0) return true
    this.argv = []
    this.argumentsLeft = count
    this.bulkLength = -1
    this.requestBytes = 0
    return true
  }

  /** Read `$<length>`. @returns whether to read on */
  private readLength(): boolean {
    const line = this.findLine('too big bulk count string')
    if (line === undefined) return false
    const type = this.buffer[this.position] as number
    if (type !== DOLLAR) {
      this.fail(`expected '$', got '${char(type)}'`)
      return false
    }
    const length = readDecimal(this.buffer, this.position + 1, line)
    this.requestBytes += length
    if (!(length >= 0 && length <= REDIS_BULK_BYTES_MAX && this.requestBytes <= REDIS_REQUEST_BYTES_MAX)) {
      this.fail('invalid bulk length')
    } else if (length > 16_384 && !this.authenticated) this.fail('unauthenticated bulk length')
    if (this.error !== undefined) return false
    this.advance(line + 2)
    this.bulkLength = length
    return true
  }

  private readArguments(argv: Bin[]): Bin[] | undefined {
    while (this.argumentsLeft > 0) {
      if (this.bulkLength < 0 && !this.readLength()) return undefined
      const stop = this.position + this.bulkLength + 2
      if (stop > this.end) return undefined
      argv.push(readBin(this.buffer, this.position, this.bulkLength))
      this.advance(stop)
      this.bulkLength = -1
      this.argumentsLeft -= 1
    }
    this.argv = undefined
    return argv
  }

  private readInline(): Bin[] | undefined {
    const from = this.position + this.searched
    const found = this.buffer.subarray(from, this.end).indexOf(LF)
    this.searched = (found < 0 ? this.end : from + found) - this.position
    if (this.searched > REDIS_INLINE_BYTES_MAX) return this.fail('too big inline request')
    if (found < 0) return undefined
    const line = from + found
    const argv = splitInline(toBin(this.buffer, this.position, line).replace(/\r$/, ''))
    if (argv === undefined) return this.fail('unbalanced quotes in request')
    this.advance(line + 1)
    return argv
  }
}

/** Write a double as Redis does: whole numbers plainly, others in the fewest digits that read back the same.
 *  @source util.c (d2string) and fpconv_dtoa.c of Redis 7.2 */
export function formatDouble(value: number): string {
  if (Number.isNaN(value)) return 'nan'
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf'
  if (value === 0) return Object.is(value, -0) ? '-0' : '0'
  if (Number.isInteger(value) && Math.abs(value) < 2 ** 52) return `${value}`
  const [mantissa = '', exponentText = '0'] = Math.abs(value).toExponential().split('e')
  const digits = mantissa.replace('.', '')
  const exponent = Number(exponentText)
  const scale = exponent - digits.length + 1
  return (value < 0 ? '-' : '') + layDigits(digits, exponent, scale)
}

function layDigits(digits: string, exponent: number, scale: number): string {
  const size = Math.abs(exponent)
  if (scale >= 0 && size < digits.length + 7) return digits + '0'.repeat(scale)
  if (scale < 0 && (scale > -7 || size < 4)) {
    const whole = digits.length + scale
    return whole <= 0 ? `0.${'0'.repeat(-whole)}${digits}` : `${digits.slice(0, whole)}.${digits.slice(whole)}`
  }
  const fraction = digits.length > 1 ? `.${digits.slice(1)}` : ''
  return `${digits.charAt(0)}${fraction}e${exponent < 0 ? '-' : '+'}${size}`
}

/** Line ends inside a status or an error would end it early: Redis writes spaces for them. */
function oneLine(text: string): string {
  return /[\r\n]/.test(text) ? text.replace(/[\r\n]/g, ' ') : text
}

/** Lists of so many items have their texts put together in bytes. */
const TEXTS_MIN = 8
const SCRATCH_BYTES = 64 * 1024

/** What stands before short texts: put together once, as a list has many. */
const bulkHeads = Array.from({ length: 1024 }, (_, size) => `$${size}\r\n`)

const bulk = (text: Bin) => `${bulkHeads[text.length] ?? `$${text.length}\r\n`}${text}\r\n`

/** Past half a gigabyte V8 has no strings, and no client wants the reply. */
function checkSize(text: Bin): void {
  if (text.length <= REDIS_REPLY_BYTES_MAX) return
  throw new Failure('limit', `the reply is larger than ${REDIS_REPLY_BYTES_MAX} bytes; ask for less at a time`)
}

/** Where the texts of a list are put together: joined as strings, each part would be an object of its own. */
const scratch = new ByteWriter(2 * SCRATCH_BYTES)

/** Encode what a list begins with, as far as it is short texts.
 *  @returns how many items that was */
function encodeTexts(head: Bin, items: readonly Value[]): { text: Bin; done: number } {
  scratch.truncate(0)
  scratch.chars(head)
  let done = 0
  for (; done < items.length && scratch.length < SCRATCH_BYTES; done++) {
    const item = items[done]
    const bulkHead = typeof item === 'string' ? bulkHeads[item.length] : undefined
    if (bulkHead === undefined) break
    scratch.chars(bulkHead)
    scratch.chars(item as Bin)
    scratch.chars('\r\n')
  }
  return { text: toBin(scratch.view()), done }
}

function encodeList(sign: string, items: readonly Value[], protocol: Protocol): Bin {
  const head = `${sign}${items.length}\r\n`
  let { text, done } = items.length < TEXTS_MIN ? { text: head, done: 0 } : encodeTexts(head, items)
  for (; done < items.length; done++) {
    text += encodeValue(items[done] as Value, protocol)
    checkSize(text)
  }
  return text
}

function encodeMap(entries: readonly (readonly [Value, Value])[], protocol: Protocol): Bin {
  let text = protocol === 3 ? `%${entries.length}\r\n` : `*${entries.length * 2}\r\n`
  for (const [name, value] of entries) {
    text += encodeValue(name, protocol) + encodeValue(value, protocol)
    checkSize(text)
  }
  return text
}

/** Pairs that stand in an order: flat as RESP2 has them, arrays of two in RESP3. */
function encodePairs(pairs: readonly (readonly [Value, Value])[], protocol: Protocol): Bin {
  return encodeList('*', protocol === 3 ? pairs : pairs.flat(), protocol)
}

type Tagged = Exclude<Value, null | number | Bin | readonly Value[]>

function encodeTagged(value: Tagged, protocol: Protocol): Bin {
  const three = protocol === 3
  if ('simple' in value) return `+${oneLine(value.simple)}\r\n`
  if ('error' in value) return `-${oneLine(value.error)}\r\n`
  if ('int64' in value) return `:${value.int64}\r\n`
  if ('map' in value) return encodeMap(value.map, protocol)
  if ('pairs' in value) return encodePairs(value.pairs, protocol)
  if ('keyed' in value) return three ? encodeMap(value.keyed, protocol) : encodeList('*', value.keyed, protocol)
  if ('set' in value) return encodeList(three ? '~' : '*', value.set, protocol)
  if ('push' in value) return encodeList(three ? '>' : '*', value.push, protocol)
  if ('nilArray' in value) return three ? '_\r\n' : '*-1\r\n'
  if ('double' in value) {
    const text = value.text ?? formatDouble(value.double)
    return three ? `,${text}\r\n` : bulk(text)
  }
  if ('bool' in value) return three ? `#${value.bool ? 't' : 'f'}\r\n` : `:${value.bool ? 1 : 0}\r\n`
  if ('big' in value) return three ? `(${value.big}\r\n` : bulk(value.big)
  const { verbatim, format } = value
  return three ? `=${verbatim.length + 4}\r\n${format}:${verbatim}\r\n` : bulk(verbatim)
}

/** Encode one reply as a binary string, in the words of the client's protocol.
 *  @throws limit when it is larger than REDIS_REPLY_BYTES_MAX */
export function encodeValue(value: Value, protocol: Protocol): Bin {
  if (typeof value === 'string') return bulk(value)
  if (typeof value === 'number') {
    // Not `assert`: its message would be put together for every integer.
    if (!Number.isSafeInteger(value)) throw new Error(`a reply is the integer ${value}`)
    return `:${value}\r\n`
  }
  if (value === null) return protocol === 3 ? '_\r\n' : '$-1\r\n'
  if (Array.isArray(value)) return encodeList('*', value, protocol)
  return encodeTagged(value as Tagged, protocol)
}

/** Gathers encoded replies, so that those of one chunk leave in one write. */
export class ReplyWriter {
  private text: Bin = ''
  private parts: Uint8Array[] = []
  private size = 0

  /** Append a reply that `encodeValue` made. */
  add(encoded: Bin): void {
    this.text += encoded
    // A longer rope would only cost memory twice; what is cut here is joined by the transport.
    if (this.text.length > 262_144) this.cut()
  }

  /** How many bytes wait to be taken. */
  get length(): number {
    return this.size + this.text.length
  }

  /** Take everything, in order.
   *  @returns pieces, one as a rule, none when nothing was added */
  take(): Uint8Array[] {
    if (this.text !== '') this.cut()
    const { parts } = this
    this.parts = []
    this.size = 0
    return parts
  }

  private cut(): void {
    this.parts.push(fromBin(this.text))
    this.size += this.text.length
    this.text = ''
  }
}
