/** `cjson.encode`.
 *  @source the manual of lua-cjson 2.1, and what Redis 7.0 answers */
import type { Bin } from '@dotdo/core/bytes'
import type { Machine } from '../machine.ts'
import { formatGeneral } from '../numbers.ts'
import { LuaTable } from '../table.ts'
import { type LuaError, type LuaValue, typeOf } from '../value.ts'

/** How JSON is written and read; each script begins with the defaults. */
export interface JsonSettings {
  sparseConvert: boolean
  sparseRatio: number
  sparseSafe: number
  encodeDepth: number
  decodeDepth: number
  precision: number
  keepBuffer: boolean
  encodeInvalid: boolean | 'null'
  decodeInvalid: boolean
}

/** Begin with the defaults. */
export function defaultSettings(): JsonSettings {
  return {
    sparseConvert: false,
    sparseRatio: 2,
    sparseSafe: 10,
    encodeDepth: 1000,
    decodeDepth: 1000,
    precision: 14,
    keepBuffer: true,
    encodeInvalid: false,
    decodeInvalid: true,
  }
}

const escapes: Record<string, string> = {
  '"': '\\"',
  '\\': '\\\\',
  '/': '\\/',
  '\b': '\\b',
  '\t': '\\t',
  '\n': '\\n',
  '\f': '\\f',
  '\r': '\\r',
}

function escapeChar(char: string): string {
  return escapes[char] ?? `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must be escaped
const needsEscape = /["\\/\x00-\x1f\x7f]/

function quote(text: Bin): Bin {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must be escaped
  return needsEscape.test(text) ? `"${text.replace(/["\\/\x00-\x1f\x7f]/g, escapeChar)}"` : `"${text}"`
}

/** Writes one value. */
export class JsonEncoder {
  private readonly machine: Machine
  private readonly settings: JsonSettings
  private readonly nullValue: LuaValue

  /** @param nullValue stands for JSON's null */
  constructor(machine: Machine, settings: JsonSettings, nullValue: LuaValue) {
    this.machine = machine
    this.settings = settings
    this.nullValue = nullValue
  }

  /** Write a value.
   *  @throws LuaError for what JSON has no form for */
  encode(value: LuaValue, depth = 0): Bin {
    if (--this.machine.stepsLeft < 0) this.machine.enter()
    if (typeof value === 'string') return quote(value)
    if (typeof value === 'number') return this.number(value)
    if (typeof value === 'boolean') return `${value}`
    if (value === undefined || value === this.nullValue) return 'null'
    if (value instanceof LuaTable) return this.machine.checkLength(this.table(value, depth + 1))
    throw this.refuse(value, 'type not supported')
  }

  private refuse(value: LuaValue, reason: Bin): LuaError {
    return this.machine.fail(`Cannot serialise ${typeOf(value)}: ${reason}`)
  }

  private number(value: number): Bin {
    if (!Number.isFinite(value)) {
      const { encodeInvalid } = this.settings
      if (encodeInvalid === false) throw this.refuse(value, 'must not be NaN or Inf')
      if (encodeInvalid === 'null') return 'null'
    }
    return formatGeneral(value, this.settings.precision)
  }

  private table(table: LuaTable, depth: number): Bin {
    const { encodeDepth } = this.settings
    if (depth > encodeDepth) throw this.machine.fail(`Cannot serialise, excessive nesting (${depth})`)
    const length = this.arrayLength(table)
    if (length > 0) {
      const items: Bin[] = []
      for (let at = 1; at <= length; at++) items.push(this.encode(table.get(at), depth))
      return `[${items.join(',')}]`
    }
    const members: Bin[] = []
    for (const [key, value] of table.entries()) members.push(`${this.key(key)}:${this.encode(value, depth)}`)
    return `{${members.join(',')}}`
  }

  private key(key: LuaValue): Bin {
    if (typeof key === 'string') return quote(key)
    if (typeof key === 'number') return `"${this.number(key)}"`
    throw this.refuse(key, 'table key must be a number or string')
  }

  /** @returns how long the array is that a table is; 0 when it is an object */
  private arrayLength(table: LuaTable): number {
    let largest = 0
    let count = 0
    for (const [key] of table.entries()) {
      if (typeof key !== 'number' || key < 1 || !Number.isInteger(key)) return 0
      largest = Math.max(largest, key)
      count++
    }
    const { sparseConvert, sparseRatio, sparseSafe } = this.settings
    if (sparseRatio > 0 && largest > count * sparseRatio && largest > sparseSafe) {
      if (!sparseConvert) throw this.refuse(table, 'excessively sparse array')
      return 0
    }
    return largest
  }
}
