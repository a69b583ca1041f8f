/** The text of a statement: places in it, the words at its beginning, and replacing what it names.
 *
 *  1. DuckDB counts bytes; people count lines and characters.
 *  2. Whatever is replaced, places in the new text lead back to the old one. */
import { assert, Failure } from '../../../errors.ts'
import type { TableRef } from './ast.ts'
import { quoteName } from './quote.ts'

/** A piece of text to replace, in bytes. */
export interface Edit {
  readonly start: number
  readonly end: number
  readonly text: string
}

/** A place for people, both from 1. */
export interface Place {
  readonly line: number
  readonly column: number
}

/** A token: a word, a quoted name, or a sign. */
interface Token {
  readonly start: number
  readonly end: number
  readonly text: string
}

/** Blanks and comments, then a quoted name, a text, a word, or any sign. Comments do not nest in DuckDB. */
const blank = /(?:\s|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)*/y
const token = /"(?:[^"]|"")*"|'(?:[^']|'')*'|\$(\w*)\$[\s\S]*?\$\1\$|[\p{L}_][\p{L}\p{N}_$]*|=>|[\s\S]/uy

/** A statement's text. */
export class StatementText {
  readonly text: string
  private readonly bytes: Buffer

  constructor(text: string) {
    this.text = text
    this.bytes = Buffer.from(text, 'utf8')
  }

  /** Find the index of a char by its byte. */
  charAt(byte: number): number {
    return this.bytes.utf8Slice(0, byte).length
  }

  private byteAt(char: number): number {
    return Buffer.byteLength(this.text.slice(0, char))
  }

  /** Say where a byte is. */
  place(byte: number): Place {
    const before = this.text.slice(0, this.charAt(byte))
    const lines = before.split('\n')
    return { line: lines.length, column: (lines.at(-1) as string).length + 1 }
  }

  /** Read the token after a char. */
  private next(at: number): Token | undefined {
    blank.lastIndex = at
    blank.exec(this.text)
    const start = blank.lastIndex
    token.lastIndex = start
    const found = token.exec(this.text)
    return found === null ? undefined : { start, end: start + found[0].length, text: found[0] }
  }

  /** Read the first words, in lower case. */
  words(count: number): { readonly text: string; readonly end: number }[] {
    const words: { text: string; end: number }[] = []
    for (let at = 0; words.length < count; ) {
      const found = this.next(at)
      if (found === undefined) break
      words.push({ text: found.text.toLowerCase(), end: found.end })
      at = found.end
    }
    return words
  }

  /** Read the tokens of a stretch, in order, each as it is written. */
  private *tokens(from: number): Generator<Token> {
    for (let at = from; ; ) {
      const found = this.next(at)
      if (found === undefined) return
      yield found
      at = found.end
    }
  }

  /** Replace a table by a view: its name, and what it says of time.
   *  @param view what to put in its place; the statement goes on calling it by the name it had */
  replaceTable(ref: TableRef, view: string): Edit[] {
    const start = this.charAt(ref.location)
    const parts = [ref.catalog, ref.schema, ref.table].filter((part) => part !== '').length
    const end = this.endOfName(start, parts)
    const isAliased = ref.alias !== undefined || this.isAlone(start)
    // With its whole name, so that no expression of the statement can take its place.
    const whole = `temp.main.${quoteName(view)}`
    const name = isAliased ? whole : `${whole} as ${quoteName(ref.table)}`
    const edit = { start: ref.location, end: this.byteAt(end), text: name }
    if (ref.at === undefined) return [edit]
    const clause = this.timeClause(end)
    return [edit, { ...clause, text: ' ' }]
  }

  private endOfName(start: number, parts: number): number {
    let end = start
    let seen = 0
    for (const { text, end: after } of this.tokens(start)) {
      if (text === '.') continue
      end = after
      if (++seen === parts) return end
    }
    throw new Failure('internal', `no name of ${parts} parts at ${start}`)
  }

  /** Whether a table stands where no alias can follow: after `table`, `describe`, `summarize`, `show`. */
  private isAlone(start: number): boolean {
    let before: Token | undefined
    for (const one of this.tokens(0)) {
      if (one.start >= start) break
      before = one
    }
    return before !== undefined && /^(?:table|desc|describe|summarize|show)$/i.test(before.text)
  }

  /** Find `at (...)` after a table's name and its alias. */
  private timeClause(from: number): { start: number; end: number } {
    let at: Token | undefined
    let depth = 0
    for (const one of this.tokens(from)) {
      const isAt = depth === 0 && one.text.toLowerCase() === 'at'
      if (isAt) at = one
      else if (one.text === '(') depth++
      else if (one.text === ')' && --depth === 0 && at !== undefined) {
        return { start: this.byteAt(at.start), end: this.byteAt(one.end) }
      } else if (depth === 0) at = undefined
    }
    throw new Failure('internal', `no time clause after ${from}`)
  }

  /** Drop the first of several parts of a column's name: the database before its table. */
  dropFirstPart(location: number): Edit {
    const start = this.charAt(location)
    const [first, dot] = this.tokens(start)
    assert(first !== undefined && dot?.text === '.', 'a column name of several parts')
    return { start: location, end: this.byteAt(dot.end), text: '' }
  }

  /** Replace pieces.
   *  @returns the new text, and where a byte of it is in the old one */
  apply(edits: readonly Edit[]): { readonly text: string; place(byte: number): Place } {
    const sorted = [...edits].sort((a, b) => a.start - b.start)
    const pieces: Buffer[] = []
    const moves: { from: number; old: number }[] = [{ from: 0, old: 0 }]
    let at = 0
    let length = 0
    const push = (piece: Buffer) => {
      pieces.push(piece)
      length += piece.length
    }
    for (const { start, end, text } of sorted) {
      push(this.bytes.subarray(at, start))
      moves.push({ from: length, old: start })
      push(Buffer.from(text, 'utf8'))
      moves.push({ from: length, old: end })
      at = end
    }
    push(this.bytes.subarray(at))
    const isEdit = (index: number) => index % 2 === 1
    const place = (byte: number) => {
      const index = moves.findLastIndex(({ from }) => from <= byte)
      const { from, old } = moves[index] as { from: number; old: number }
      return this.place(isEdit(index) ? old : old + byte - from)
    }
    return { text: Buffer.concat(pieces).toString('utf8'), place }
  }
}
