/** The headers of tar: ustar, with pax records for whatever does not fit, as POSIX has them; reads those of GNU too.
 *  @source POSIX.1-2017 pax, ustar and pax Interchange Format; GNU tar manual, Basic Tar Format */
import { Failure } from '@dotdo/core/errors'
import { FSX_TAR_RECORDS_BYTES_MAX } from '@dotdo/core/limits'

/** Everything in tar is in blocks of so many bytes. */
export const BLOCK_BYTES = 512

/** One thing in an archive. */
export interface TarHeader {
  readonly name: string
  readonly type: 'file' | 'link' | 'symlink' | 'directory'
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  /** Nanoseconds since 1970. */
  readonly mtime: bigint
  /** What a link leads to; '' for others. */
  readonly link: string
  readonly xattrs: ReadonlyMap<string, Uint8Array>
}

const types = { file: '0', link: '1', symlink: '2', directory: '5' } as const
const xattrPrefix = 'SCHILY.xattr.'
const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** @returns bytes to be added so that a content ends with a block */
export function paddingOf(size: number): number {
  return (BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES
}

const isPlain = (text: string, bytes: number) => /^[\x20-\x7e]*$/.test(text) && text.length <= bytes
const fits = (number: number, digits: number) => number >= 0 && number < 8 ** digits

/** Write what stands before a content.
 *  @returns one or more blocks */
export function encodeHeader(header: TarHeader): Uint8Array {
  const { name, size, uid, gid, mtime, link, xattrs } = header
  const seconds = Number(mtime / 1_000_000_000n)
  const records: Uint8Array[] = []
  const record = (key: string, value: string | Uint8Array) => records.push(encodeRecord(key, value))
  if (!isPlain(name, 100)) record('path', name)
  if (!isPlain(link, 100)) record('linkpath', link)
  if (!fits(size, 11)) record('size', String(size))
  if (!fits(uid, 7)) record('uid', String(uid))
  if (!fits(gid, 7)) record('gid', String(gid))
  if (mtime % 1_000_000_000n !== 0n || !fits(seconds, 11)) record('mtime', secondsText(mtime))
  for (const [key, value] of xattrs) record(xattrPrefix + key, value)
  const own = block(header, types[header.type])
  if (records.length === 0) return own
  const body = Buffer.concat(records)
  const before = { ...header, name: 'PaxHeader', link: '', mode: 0o644, size: body.length }
  return Buffer.concat([block(before, 'x'), body, new Uint8Array(paddingOf(body.length)), own])
}

function secondsText(nanoseconds: bigint): string {
  const sign = nanoseconds < 0n ? '-' : ''
  const digits = String(nanoseconds < 0n ? -nanoseconds : nanoseconds).padStart(10, '0')
  return `${sign}${digits.slice(0, -9)}.${digits.slice(-9)}`
}

/** A record says its own length, the digits of that included. */
function encodeRecord(key: string, value: string | Uint8Array): Uint8Array {
  const rest = Buffer.concat([encoder.encode(` ${key}=`), typeof value === 'string' ? encoder.encode(value) : value])
  let length = rest.length + 1
  while (String(length).length + rest.length + 1 !== length) length = String(length).length + rest.length + 1
  return Buffer.concat([encoder.encode(String(length)), rest, encoder.encode('\n')])
}

function block({ name, mode, uid, gid, size, mtime, link }: Omit<TarHeader, 'type'>, type: string): Uint8Array {
  const bytes = Buffer.alloc(BLOCK_BYTES)
  const text = (value: string, at: number, length: number) => bytes.set(encoder.encode(value).subarray(0, length), at)
  const octal = (value: number, at: number, digits: number) =>
    text(`${(fits(value, digits) ? value : 0).toString(8).padStart(digits, '0')}\0`, at, digits + 1)
  text(name, 0, 100)
  octal(mode & 0o7777, 100, 7)
  octal(uid, 108, 7)
  octal(gid, 116, 7)
  octal(size, 124, 11)
  octal(Number(mtime / 1_000_000_000n), 136, 11)
  text('        ', 148, 8)
  text(type, 156, 1)
  text(link, 157, 100)
  text('ustar\x0000', 257, 8)
  text(
    `${bytes
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
    8,
  )
  return bytes
}

/** What is read of a stream of bytes, some at a time. */
export interface Reading {
  /** Read so many bytes.
   *  @throws Failure invalid when there are fewer */
  read(length: number): Promise<Uint8Array>
}

interface Raw {
  readonly type: string
  readonly header: Omit<TarHeader, 'type'>
}

const damaged = (what: string) => new Failure('invalid', `this is no tar archive, or it is damaged: ${what}`)

function decodeBlock(bytes: Uint8Array): Raw {
  const text = (at: number, length: number) => {
    const end = bytes.indexOf(0, at)
    return decoder.decode(bytes.subarray(at, end < 0 || end > at + length ? at + length : end))
  }
  const number = (at: number, length: number) => {
    // GNU: past what the digits can say, the number is in binary.
    if (((bytes[at] as number) & 0x80) !== 0) {
      return bytes.subarray(at + 1, at + length).reduce((value, byte) => value * 256 + byte, 0)
    }
    const value = text(at, length).trim()
    if (!/^[0-7]*$/.test(value)) throw damaged(`${value} is no number`)
    return value === '' ? 0 : Number.parseInt(value, 8)
  }
  const sum = bytes.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 32 : byte), 0)
  if (sum !== number(148, 8)) throw damaged('a sum is wrong')
  const prefix = text(257, 6) === 'ustar' ? text(345, 155) : ''
  const name = prefix === '' ? text(0, 100) : `${prefix}/${text(0, 100)}`
  const size = number(124, 12)
  const owner = { mode: number(100, 8) & 0o7777, uid: number(108, 8), gid: number(116, 8) }
  const mtime = BigInt(number(136, 12)) * 1_000_000_000n
  return { type: text(156, 1), header: { name, ...owner, size, mtime, link: text(157, 100), xattrs: new Map() } }
}

function decodeRecords(bytes: Uint8Array, into: Map<string, Uint8Array>): void {
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(32, at)
    const length = Number(decoder.decode(bytes.subarray(at, space)))
    const equals = bytes.indexOf(61, space)
    if (!(length > 0) || space < 0 || equals < 0 || at + length > bytes.length) throw damaged('a pax record')
    into.set(decoder.decode(bytes.subarray(space + 1, equals)), bytes.subarray(equals + 1, at + length - 1))
    at += length
  }
}

function withRecords(header: Raw['header'], records: ReadonlyMap<string, Uint8Array>): Raw['header'] {
  const text = (key: string) => {
    const value = records.get(key)
    return value === undefined ? undefined : decoder.decode(value)
  }
  const number = (key: string, otherwise: number) => Number(text(key) ?? otherwise)
  const time = /^(-?)(\d+)(?:\.(\d{0,9}))?/.exec(text('mtime') ?? '')
  const nanoseconds = time === null ? undefined : BigInt(`${time[2]}${(time[3] ?? '').padEnd(9, '0')}`)
  const xattrs = new Map<string, Uint8Array>()
  for (const [key, value] of records) if (key.startsWith(xattrPrefix)) xattrs.set(key.slice(xattrPrefix.length), value)
  return {
    ...header,
    name: text('path') ?? header.name,
    link: text('linkpath') ?? header.link,
    size: number('size', header.size),
    uid: number('uid', header.uid),
    gid: number('gid', header.gid),
    mtime: nanoseconds === undefined ? header.mtime : time?.[1] === '-' ? -nanoseconds : nanoseconds,
    xattrs,
  }
}

/** Read what stands before the next content.
 *  @returns undefined at the end of the archive
 *  @throws Failure invalid when it is damaged; unsupported for devices, FIFOs, and sparse files as GNU has them */
export async function readHeader(from: Reading): Promise<TarHeader | undefined> {
  const records = new Map<string, Uint8Array>()
  for (;;) {
    const bytes = await from.read(BLOCK_BYTES)
    if (bytes.every((byte) => byte === 0)) return undefined
    const { type, header } = decodeBlock(bytes)
    if (/[xgLK]/.test(type)) {
      if (header.size > FSX_TAR_RECORDS_BYTES_MAX) throw damaged('a name or record is too long')
      const body = (await from.read(header.size + paddingOf(header.size))).slice(0, header.size)
      if (type === 'x') decodeRecords(body, records)
      else if (type !== 'g') records.set(type === 'L' ? 'path' : 'linkpath', body.subarray(0, body.indexOf(0)))
      continue
    }
    const named = withRecords(header, records)
    const known = Object.entries(types).find(([, letter]) => letter === type)?.[0] as TarHeader['type'] | undefined
    if (records.has('GNU.sparse.major') || (known === undefined && type !== '' && type !== '7')) {
      throw new Failure('unsupported', `${named.name} is of type ${type} in the archive: no file, directory or link`)
    }
    // Before ustar, a directory was a file whose name ends in a slash.
    const plain = named.name.endsWith('/') ? 'directory' : 'file'
    const kind = known === undefined || known === 'file' ? plain : known
    return { ...named, type: kind, size: kind === 'file' ? named.size : 0 }
  }
}
