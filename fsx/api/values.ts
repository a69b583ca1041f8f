/** Arguments as node:fs takes them.
 *  @source node v20 lib/internal/fs/utils.js, lib/internal/validators.js */

import type { Time } from '../engine/attributes.ts'
import { O } from '../engine/mode.ts'
import { fsError } from '../errors.ts'
import type { Env } from './request.ts'

/** A path as node:fs takes it. */
export type PathLike = string | Uint8Array | URL

/** Make the error that Node throws for an argument. */
export function badArgument(code: string, message: string, kind: 'type' | 'range' = 'type'): Error {
  const error = kind === 'type' ? new TypeError(message) : new RangeError(message)
  return Object.assign(error, { code })
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Read a path as it was given: what errors show.
 *  @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_INVALID_URL_SCHEME; EILSEQ for bytes that are no UTF-8 */
export function pathText(path: unknown, name = 'path'): string {
  let text: string
  if (typeof path === 'string') text = path.isWellFormed() ? path : Buffer.from(path).toString()
  else if (path instanceof URL) text = urlPath(path)
  else if (path instanceof Uint8Array) text = decodePath(path)
  else {
    const what = `The "${name}" argument must be of type string or an instance of Buffer or URL.`
    throw badArgument('ERR_INVALID_ARG_TYPE', `${what} Received ${shown(path)}`)
  }
  if (!text.includes('\0')) return text
  const what = `The argument '${name}' must be a string, Uint8Array, or URL without null bytes.`
  throw badArgument('ERR_INVALID_ARG_VALUE', `${what} Received ${JSON.stringify(text)}`)
}

function shown(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (typeof value === 'object') return `an instance of ${value.constructor?.name ?? 'Object'}`
  return typeof value === 'function' ? `function ${value.name}` : `type ${typeof value} (${String(value)})`
}

function decodePath(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw fsError('EILSEQ', { syscall: 'open', path: new TextDecoder().decode(bytes) })
  }
}

function urlPath(url: URL): string {
  if (url.protocol !== 'file:') throw badArgument('ERR_INVALID_URL_SCHEME', 'The URL must be of scheme file')
  return decodeURIComponent(url.pathname)
}

/** Make a path begin at the root, where the filesystem's directory of relative paths is not the root. */
export function absolute({ cwd }: Env, path: string): string {
  return cwd === '' || path === '' || path.startsWith('/') ? path : `${cwd}/${path}`
}

const flagNames: { readonly [name: string]: number } = {
  r: 0,
  rs: 0o4010000,
  'r+': O.RDWR,
  'rs+': O.RDWR | 0o4010000,
  w: O.TRUNC | O.CREAT | O.WRONLY,
  'w+': O.TRUNC | O.CREAT | O.RDWR,
  a: O.APPEND | O.CREAT | O.WRONLY,
  as: O.APPEND | O.CREAT | O.WRONLY | 0o4010000,
  'a+': O.APPEND | O.CREAT | O.RDWR,
  'as+': O.APPEND | O.CREAT | O.RDWR | 0o4010000,
  wx: O.TRUNC | O.CREAT | O.WRONLY | O.EXCL,
  'wx+': O.TRUNC | O.CREAT | O.RDWR | O.EXCL,
  ax: O.APPEND | O.CREAT | O.WRONLY | O.EXCL,
  'ax+': O.APPEND | O.CREAT | O.RDWR | O.EXCL,
  sr: 0o4010000,
  'sr+': O.RDWR | 0o4010000,
  xw: O.TRUNC | O.CREAT | O.WRONLY | O.EXCL,
  'xw+': O.TRUNC | O.CREAT | O.RDWR | O.EXCL,
  sa: O.APPEND | O.CREAT | O.WRONLY | 0o4010000,
  'sa+': O.APPEND | O.CREAT | O.RDWR | 0o4010000,
  xa: O.APPEND | O.CREAT | O.WRONLY | O.EXCL,
  'xa+': O.APPEND | O.CREAT | O.RDWR | O.EXCL,
}

/** Read flags of open.
 *  @throws ERR_INVALID_ARG_VALUE */
export function openFlags(flags: unknown, otherwise: string): number {
  if (typeof flags === 'number') return flags
  const known = flagNames[String(flags ?? otherwise)]
  if (known === undefined) {
    throw badArgument('ERR_INVALID_ARG_VALUE', `The argument 'flags' is invalid. Received '${String(flags)}'`)
  }
  return known
}

/** Read permissions: a number, or octal text.
 *  @throws ERR_INVALID_ARG_VALUE, ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE */
export function modeOf(mode: unknown, otherwise: number): number {
  if (mode === undefined || mode === null) return otherwise
  if (typeof mode === 'string') {
    if (!/^[0-7]+$/.test(mode)) {
      const message = `The argument 'mode' must be a 32-bit unsigned integer or an octal string. Received '${mode}'`
      throw badArgument('ERR_INVALID_ARG_VALUE', message)
    }
    return Number.parseInt(mode, 8)
  }
  return wholeNumber(mode, 'mode', { max: 0xffffffff })
}

/** Hold an argument to whole numbers.
 *  @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE */
export function wholeNumber(value: unknown, name: string, { min = 0, max = Number.MAX_SAFE_INTEGER } = {}): number {
  const number = typeof value === 'bigint' ? Number(value) : value
  if (typeof number !== 'number') {
    const message = `The "${name}" argument must be of type number. Received ${shown(value)}`
    throw badArgument('ERR_INVALID_ARG_TYPE', message)
  }
  if (Number.isInteger(number) && number >= min && number <= max) return number
  const want = Number.isInteger(number) ? `>= ${min} && <= ${max}` : 'an integer'
  const message = `The value of "${name}" is out of range. It must be ${want}. Received ${number}`
  throw badArgument('ERR_OUT_OF_RANGE', message, 'range')
}

/** Read options that may be an encoding alone. */
export function optionsOf<T extends object>(options: unknown): T & { encoding?: BufferEncoding | 'buffer' | null } {
  if (options === undefined || options === null || typeof options === 'function') return {} as T
  if (typeof options === 'string')
    return { encoding: options as BufferEncoding } as unknown as T & { encoding: BufferEncoding }
  if (typeof options === 'object') return options as T
  throw badArgument('ERR_INVALID_ARG_TYPE', `The "options" argument must be of type object. Received ${shown(options)}`)
}

/** View bytes as a Buffer. */
export function bufferOf(bytes: Uint8Array | ArrayBuffer): Buffer {
  if (bytes instanceof ArrayBuffer) return Buffer.from(bytes)
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Give bytes in an encoding, or as they are. */
export function encoded(bytes: Uint8Array, encoding: BufferEncoding | 'buffer' | null | undefined): Buffer | string {
  const buffer = bufferOf(bytes)
  return encoding === undefined || encoding === null || encoding === 'buffer' ? buffer : buffer.toString(encoding)
}

/** Give a name in an encoding; as it is unless another is asked for. */
export function encodedName(name: string, encoding: BufferEncoding | 'buffer' | null | undefined): string | Buffer {
  if (encoding === 'buffer') return Buffer.from(name)
  return encoding === undefined || encoding === null || /^utf-?8$/i.test(encoding)
    ? name
    : Buffer.from(name).toString(encoding)
}

/** Read what is to be written.
 *  @throws ERR_INVALID_ARG_TYPE */
export function bytesOf(data: unknown, encoding?: BufferEncoding | 'buffer' | null): Uint8Array {
  if (typeof data === 'string') return Buffer.from(data, encoding === 'buffer' ? 'utf8' : (encoding ?? 'utf8'))
  if (data instanceof Uint8Array) return data
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  const what = 'The "data" argument must be of type string or an instance of Buffer, TypedArray, or DataView.'
  throw badArgument('ERR_INVALID_ARG_TYPE', `${what} Received ${shown(data)}`)
}

/** Read a time: seconds since 1970 as a number or text, or a Date.
 *  @returns null for now, which a negative number means to Node
 *  @throws ERR_INVALID_ARG_TYPE */
export function timeOf(time: unknown): Time | null {
  if (time instanceof Date) return { us: microseconds(time.getTime() / 1000), ns: 0 }
  const seconds = typeof time === 'bigint' ? Number(time) : typeof time === 'string' ? Number(time) : time
  if (typeof seconds === 'number' && seconds < 0) return null
  if (typeof seconds === 'number' && Number.isFinite(seconds)) return { us: microseconds(seconds), ns: 0 }
  throw badArgument(
    'ERR_INVALID_ARG_TYPE',
    `The "time" argument must be a number, a string or a Date. Received ${shown(time)}`,
  )
}

/** As libuv: of a fraction of a second, whole microseconds. */
function microseconds(seconds: number): number {
  const whole = Math.trunc(seconds)
  return whole * 1e6 + Math.trunc((seconds - whole) * 1e6) + 0
}
