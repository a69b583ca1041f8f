/** `cjson.decode`.
 *  @source the manual of lua-cjson 2.1, and what Redis 7.0 answers */
import { type Bin, textToBin } from '@dotdo/core/bytes'
import type { Machine } from '../machine.ts'
import { parseNumber } from '../numbers.ts'
import { LuaTable } from '../table.ts'
import type { LuaError, LuaValue } from '../value.ts'
import type { JsonSettings } from './cjson-encode.ts'

interface Token {
  readonly type: string
  readonly value: LuaValue
  /** Where it begins, from 0. */
  readonly at: number
}

const marks: Record<string, string> = {
  '{': 'T_OBJ_BEGIN',
  '}': 'T_OBJ_END',
  '[': 'T_ARR_BEGIN',
  ']': 'T_ARR_END',
  ',': 'T_COMMA',
  ':': 'T_COLON',
}

const escapes: Record<string, string> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
}

const number = /[-+]?(?:0[xX][\da-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)|[-+]?(?:inf(?:inity)?|nan)/iy
const plainText = /[^"\\]*/y

/** Reads one text. */
export class JsonDecoder {
  private readonly machine: Machine
  private readonly text: Bin
  private readonly settings: JsonSettings
  private readonly nullValue: LuaValue
  private at = 0
  private depth = 0

  /** @param nullValue stands for JSON's null */
  constructor(machine: Machine, text: Bin, settings: JsonSettings, nullValue: LuaValue) {
    this.machine = machine
    this.text = text
    this.settings = settings
    this.nullValue = nullValue
  }

  /** Read the text's value.
   *  @throws LuaError when it is no JSON */
  decode(): LuaValue {
    if (/^(?:\0|[^\0]\0)/.test(this.text)) {
      throw this.machine.fail('JSON parser does not support UTF-16 or UTF-32')
    }
    const value = this.value(this.next())
    const end = this.next()
    if (end.type !== 'T_END') throw this.unexpected('the end', end)
    return value
  }

  private unexpected(expected: Bin, { type, at, value }: Token): LuaError {
    const found = type === 'T_ERROR' ? (value as Bin) : type
    return this.machine.fail(`Expected ${expected} but found ${found} at character ${at + 1}`)
  }

  private next(): Token {
    if (--this.machine.stepsLeft < 0) this.machine.enter()
    const { text } = this
    while (/[ \t\n\r]/.test(text[this.at] ?? '')) this.at++
    const { at } = this
    const char = text[at]
    if (char === undefined) return { type: 'T_END', value: undefined, at }
    const mark = marks[char]
    if (mark !== undefined) {
      this.at++
      return { type: mark, value: undefined, at }
    }
    if (char === '"') return this.string(at)
    number.lastIndex = at
    const found = number.exec(text)
    if (found !== null && this.allows(found[0])) {
      this.at += found[0].length
      return { type: 'T_NUMBER', value: parseNumber(found[0]), at }
    }
    return this.word(at)
  }

  private allows(digits: Bin): boolean {
    // Only what is plain JSON is a number then.
    return this.settings.decodeInvalid || /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?$/.test(digits)
  }

  private word(at: number): Token {
    const words: [Bin, string, LuaValue][] = [
      ['true', 'T_BOOLEAN', true],
      ['false', 'T_BOOLEAN', false],
      ['null', 'T_NULL', this.nullValue],
    ]
    for (const [word, type, value] of words) {
      if (!this.text.startsWith(word, at)) continue
      this.at += word.length
      return { type, value, at }
    }
    return { type: 'T_ERROR', value: 'invalid token', at }
  }

  private string(at: number): Token {
    const { text } = this
    let value = ''
    let here = at + 1
    for (;;) {
      plainText.lastIndex = here
      const plain = plainText.exec(text)?.[0] ?? ''
      value += plain
      here += plain.length
      const char = text[here]
      if (char === undefined) return { type: 'T_ERROR', value: 'unexpected end of string', at: here }
      if (char === '"') break
      const letter = text[here + 1] ?? ''
      if (letter === 'u') {
        const decoded = this.codePoint(here)
        if (decoded === undefined) return { type: 'T_ERROR', value: 'invalid unicode escape code', at: here }
        value += textToBin(String.fromCodePoint(decoded.code))
        here += decoded.size
        continue
      }
      const escaped = escapes[letter]
      if (escaped === undefined) return { type: 'T_ERROR', value: 'invalid escape code', at: here }
      value += escaped
      here += 2
    }
    this.at = here + 1
    return { type: 'T_STRING', value, at }
  }

  private codePoint(at: number): { code: number; size: number } | undefined {
    const unit = (from: number) => {
      const found = /^\\u([\da-fA-F]{4})/.exec(this.text.slice(from, from + 6))
      return found === null ? undefined : Number.parseInt(found[1] as string, 16)
    }
    const high = unit(at)
    if (high === undefined || (high >= 0xdc00 && high < 0xe000)) return undefined
    if (high < 0xd800 || high >= 0xe000) return { code: high, size: 6 }
    const low = unit(at + 6)
    if (low === undefined || low < 0xdc00 || low >= 0xe000) return undefined
    return { code: 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00), size: 12 }
  }

  private value(token: Token): LuaValue {
    if (token.type === 'T_OBJ_BEGIN') return this.object()
    if (token.type === 'T_ARR_BEGIN') return this.array()
    if (/^T_(?:STRING|NUMBER|BOOLEAN|NULL)$/.test(token.type)) return token.value
    throw this.unexpected('value', token)
  }

  private descend(): void {
    if (++this.depth <= this.settings.decodeDepth) return
    throw this.machine.fail(`Found too many nested data structures (${this.depth}) at character ${this.at}`)
  }

  private object(): LuaTable {
    this.descend()
    const table = new LuaTable()
    let token = this.next()
    if (token.type !== 'T_OBJ_END') {
      for (;;) {
        if (token.type !== 'T_STRING') throw this.unexpected('object key string', token)
        const colon = this.next()
        if (colon.type !== 'T_COLON') throw this.unexpected('colon', colon)
        table.set(token.value, this.value(this.next()))
        const after = this.next()
        if (after.type === 'T_OBJ_END') break
        if (after.type !== 'T_COMMA') throw this.unexpected('comma or object end', after)
        token = this.next()
      }
    }
    this.depth--
    return table
  }

  private array(): LuaTable {
    this.descend()
    const table = new LuaTable()
    let token = this.next()
    if (token.type !== 'T_ARR_END') {
      for (;;) {
        table.push(this.value(token))
        const after = this.next()
        if (after.type === 'T_ARR_END') break
        if (after.type !== 'T_COMMA') throw this.unexpected('comma or array end', after)
        token = this.next()
      }
    }
    this.depth--
    return table
  }
}
