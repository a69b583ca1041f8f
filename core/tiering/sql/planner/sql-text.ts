/** The text of a query before it is parsed: parameters and numbers are taken out, so that none is misread.
 *
 *  1. The parser (pgsql-ast-parser) holds numbers as doubles, and reads `1e3` as `1 as e3`: such numbers become
 *     parameters of ours. `?` becomes `$1`, `$2`, ...
 *  2. Texts that would keep the parser busy for long are refused here: by length, tokens and depth. */
import { Failure } from '../../../errors.ts'
import { QUERY_DEPTH_MAX, QUERY_TEXT_CHARS_MAX, QUERY_TOKENS_MAX } from '../../../limits.ts'
import { type Long, toLong } from '../../avro/binary.ts'

/** A number of the text: exact when it is an integer. */
export interface NumberLiteral {
  readonly value: Long
  readonly type: 'int' | 'long' | 'double'
}

/** A word, number or sign, where it stands in the text. */
export interface Token {
  readonly text: string
  readonly start: number
}

/** A text that the parser can read. */
export interface SqlText {
  readonly text: string
  readonly tokens: readonly Token[]
  /** Numbers by the parameters that stand for them, such as `$1000001`. */
  readonly numbers: ReadonlyMap<string, NumberLiteral>
  /** Find the place in the text as it came. */
  placeOf(offset: number): { readonly line: number; readonly column: number }
  /** Find the token at, or else before, a place of the parser's text. */
  tokenAt(offset: number): Token | undefined
}

/** Parameters from here on are numbers of the text. */
const firstNumber = 1_000_000

const lexemes = new RegExp(
  [
    /--[^\n]*/,
    /\/\*[\s\S]*?\*\//,
    /\s+/,
    /[eE]'(?:[^'\\]|\\[\s\S]|'')*'/,
    /'(?:[^']|'')*'/,
    /"(?:[^"]|"")*"/,
    /\$\d+/,
    /(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/,
    /[\p{L}_][\p{L}\p{N}_$]*/u,
    /[\s\S]/,
  ]
    .map(({ source }) => source)
    .join('|'),
  'gu',
)

/** Read a number as SQL does: int, long, and double where it has a point or an exponent, or is past 64 bits. */
function readNumber(text: string): NumberLiteral {
  if (!/^\d+$/.test(text)) return { value: Number(text), type: 'double' }
  const exact = BigInt(text)
  if (exact > 2n ** 63n - 1n) return { value: Number(text), type: 'double' }
  return { value: toLong(exact), type: exact <= 2n ** 31n - 1n ? 'int' : 'long' }
}

class Reader {
  private readonly source: string
  private text = ''
  private depth = 0
  private marks = 0
  private isNumbered = false
  private readonly tokens: Token[] = []
  private readonly numbers = new Map<string, NumberLiteral>()
  /** Where lexemes begin: in the parser's text, and in the text as it came. */
  private readonly starts: [made: number, came: number][] = []

  constructor(source: string) {
    this.source = source
  }

  read(): SqlText {
    for (const { 0: lexeme, index } of this.source.matchAll(lexemes)) {
      this.starts.push([this.text.length, index])
      this.text += /^(\s|--|\/\*)/.test(lexeme) ? lexeme : this.token(lexeme, index)
    }
    if (this.depth !== 0) throw new Failure('invalid', 'a bracket is not closed')
    const { text, tokens, numbers } = this
    const placeOf = (offset: number) => this.placeOf(offset)
    return { text, tokens, numbers, placeOf, tokenAt: (offset) => this.tokenAt(offset) }
  }

  private token(lexeme: string, start: number): string {
    this.tokens.push({ text: lexeme, start })
    if (this.tokens.length > QUERY_TOKENS_MAX) {
      const message = `a query of more than ${QUERY_TOKENS_MAX} words and signs: pass long lists in several queries`
      throw new Failure('limit', message, { max: QUERY_TOKENS_MAX })
    }
    if (lexeme === '(' || lexeme === ')') this.nest(lexeme === '(' ? 1 : -1)
    if (lexeme === "'" || lexeme === '"') throw this.wrong(start, `a ${lexeme} is not closed`)
    if (lexeme === '?') return this.mark(start)
    if (/^\$\d/.test(lexeme)) return this.parameter(lexeme, start)
    // A sign that belongs to a string of another kind: `b'1'` would be read as a cast.
    if (/^[bBxXnN]$/.test(lexeme) && this.source[start + 1] === "'") {
      throw new Failure('unsupported', `${lexeme}'...' is not supported here: pass bytes as a parameter`)
    }
    return /^\.?\d/.test(lexeme) ? this.number(lexeme) : lexeme
  }

  private nest(by: number): void {
    this.depth += by
    if (this.depth < 0) throw new Failure('invalid', 'a bracket is closed that was not opened')
    if (this.depth <= QUERY_DEPTH_MAX) return
    throw new Failure('limit', `brackets nested more than ${QUERY_DEPTH_MAX} deep`, { max: QUERY_DEPTH_MAX })
  }

  private mark(start: number): string {
    if (this.isNumbered) throw this.wrong(start, 'parameters are ? or $1, not both')
    this.marks++
    return `$${this.marks}`
  }

  private parameter(lexeme: string, start: number): string {
    if (this.marks > 0) throw this.wrong(start, 'parameters are ? or $1, not both')
    if (Number(lexeme.slice(1)) >= firstNumber) throw this.wrong(start, `there is no parameter ${lexeme}`)
    this.isNumbered = true
    return lexeme
  }

  private number(lexeme: string): string {
    // Ordinals and limits stay as they are, so that the parser knows them.
    if (/^\d{1,9}$/.test(lexeme)) return lexeme
    const name = `$${firstNumber + this.numbers.size}`
    this.numbers.set(name, readNumber(lexeme))
    return name
  }

  private cameFrom(offset: number): number {
    const found = this.starts.findLast(([made]) => made <= offset) ?? [0, 0]
    return found[1] + (offset - found[0])
  }

  private placeOf(offset: number): { line: number; column: number } {
    return this.place(this.cameFrom(offset))
  }

  private place(at: number): { line: number; column: number } {
    const before = this.source.slice(0, at)
    const line = before.split('\n').length
    return { line, column: at - before.lastIndexOf('\n') }
  }

  private tokenAt(offset: number): Token | undefined {
    const at = this.cameFrom(offset)
    return this.tokens.findLast(({ start }) => start <= at)
  }

  private wrong(start: number, what: string): Failure {
    const place = this.place(start)
    return new Failure('invalid', `line ${place.line}, column ${place.column}: ${what}`, place)
  }
}

/** Prepare a query for the parser.
 *  @throws limit for what is too long, invalid for brackets and quotes that do not match */
export function readText(source: string): SqlText {
  if (source.length > QUERY_TEXT_CHARS_MAX) {
    const way = 'pass values as parameters'
    const message = `a query of ${source.length} characters; ${QUERY_TEXT_CHARS_MAX} are allowed: ${way}`
    throw new Failure('limit', message, { max: QUERY_TEXT_CHARS_MAX })
  }
  return new Reader(source).read()
}
