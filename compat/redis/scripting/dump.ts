/** The payload of FUNCTION DUMP: as Redis writes it, without compression; compressed ones are read.
 *  @source rdb.c of Redis 7.0 (RDB_OPCODE_FUNCTION2), lzf_d.c's format; crc64.c: the polynomial of Jones */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { SQL_ROW_BYTES_MAX } from '@dotdo/core/limits'

const FUNCTION_OPCODE = 0xf5
/** What Redis 7.0 writes, and what it reads at most. */
const RDB_VERSION = 10
const RDB_VERSION_MAX = 12

const polynomial = 0x95ac9329ac4bc9b5n

const crcTable: readonly bigint[] = Array.from({ length: 256 }, (_, byte) => {
  let crc = BigInt(byte)
  for (let bit = 0; bit < 8; bit++) crc = crc & 1n ? (crc >> 1n) ^ polynomial : crc >> 1n
  return crc
})

function crc64(text: Bin): bigint {
  let crc = 0n
  for (let at = 0; at < text.length; at++) {
    crc = (crcTable[Number((crc ^ BigInt(text.charCodeAt(at))) & 255n)] as bigint) ^ (crc >> 8n)
  }
  return crc
}

const byte = (value: number) => String.fromCharCode(value & 255)

function littleEndian(value: bigint, bytes: number): Bin {
  let text = ''
  for (let at = 0; at < bytes; at++) text += byte(Number((value >> BigInt(at * 8)) & 255n))
  return text
}

function lengthOf(length: number): Bin {
  if (length < 64) return byte(length)
  if (length < 16384) return byte(0x40 | (length >> 8)) + byte(length)
  return `\x80${byte(length >>> 24)}${byte(length >>> 16)}${byte(length >>> 8)}${byte(length)}`
}

/** Write libraries. */
export function dumpLibraries(texts: readonly Bin[]): Bin {
  const body = texts.map((text) => byte(FUNCTION_OPCODE) + lengthOf(text.length) + text).join('')
  const versioned = body + littleEndian(BigInt(RDB_VERSION), 2)
  return versioned + littleEndian(crc64(versioned), 8)
}

const badPayload = () => new Failure('invalid', 'ERR DUMP payload version or checksum are wrong')
const badFunction = () => new Failure('invalid', 'ERR failed loading functions, given payload is not valid')

/** Reads the strings of a payload. */
class DumpReader {
  private readonly text: Bin
  at = 0
  constructor(text: Bin) {
    this.text = text
  }

  byte(): number {
    if (this.at >= this.text.length) throw badFunction()
    return this.text.charCodeAt(this.at++)
  }

  private take(length: number): Bin {
    if (this.at + length > this.text.length) throw badFunction()
    this.at += length
    return this.text.slice(this.at - length, this.at)
  }

  private length(first: number): number {
    if (first >> 6 === 0) return first
    if (first >> 6 === 1) return ((first & 63) << 8) | this.byte()
    if (first !== 0x80) throw badFunction()
    let length = 0
    for (let at = 0; at < 4; at++) length = length * 256 + this.byte()
    return length
  }

  string(): Bin {
    const first = this.byte()
    if (first !== 0xc3) return this.take(this.length(first))
    const packed = this.length(this.byte())
    const size = this.length(this.byte())
    if (size > SQL_ROW_BYTES_MAX) throw badFunction()
    return unpackLzf(this.take(packed), size)
  }
}

/** Undo LZF: runs of plain bytes, and copies of what came before. */
function unpackLzf(packed: Bin, size: number): Bin {
  let text = ''
  for (let at = 0; at < packed.length; ) {
    const control = packed.charCodeAt(at++)
    if (control < 32) {
      text += packed.slice(at, at + control + 1)
      at += control + 1
      continue
    }
    let length = control >> 5
    if (length === 7) length += packed.charCodeAt(at++)
    let from = text.length - ((control & 31) << 8) - packed.charCodeAt(at++) - 1
    if (!(from >= 0) || text.length + length + 2 > size) throw badFunction()
    for (let left = length + 2; left > 0; left--) text += text[from++]
  }
  if (text.length !== size) throw badFunction()
  return text
}

/** Read the libraries of a payload.
 *  @throws invalid when it is none */
export function readDump(payload: Bin): Bin[] {
  const end = payload.length - 10
  if (end < 0) throw badPayload()
  const version = payload.charCodeAt(end) | (payload.charCodeAt(end + 1) << 8)
  if (version > RDB_VERSION_MAX || littleEndian(crc64(payload.slice(0, -8)), 8) !== payload.slice(-8))
    throw badPayload()
  const reader = new DumpReader(payload.slice(0, end))
  const texts: Bin[] = []
  while (reader.at < end) {
    if (reader.byte() !== FUNCTION_OPCODE) throw new Failure('invalid', 'ERR given type is not a function')
    texts.push(reader.string())
  }
  return texts
}
