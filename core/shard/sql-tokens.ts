/** Cuts a statement into the tokens that SQLite sees, closely enough to tell what it is and what it names.
 *
 *  1. Comments and blanks are dropped; text in quotes is one token, so nothing inside it is taken for SQL.
 *  2. What is left is never evaluated: SQLite itself parses the statement, this only looks for what is refused.
 *  @source https://www.sqlite.org/lang_keywords.html and src/tokenize.c of SQLite 3.47 */
import { Failure } from '../errors.ts'

/** One token; `word` is a bare word in lower case, else empty; `start` is where it begins. */
export interface Token {
  readonly kind: 'blank' | 'string' | 'name' | 'word' | 'parameter' | 'number' | 'other'
  readonly text: string
  readonly word: string
  readonly start: number
}

// Quoted text is matched as `'[^']*(?:''[^']*)*'`, unrolled: no input makes it backtrack.
const pattern = new RegExp(
  [
    '(?<blank>[ \\t\\n\\f\\r]+|--[^\\n]*|\\/\\*[^]*?(?:\\*\\/|$))',
    "(?<string>'[^']*(?:''[^']*)*')",
    '(?<name>"[^"]*(?:""[^"]*)*"|`[^`]*(?:``[^`]*)*`|\\[[^\\]]*\\])',
    '(?<word>[A-Za-z_\\u0080-\\uffff][\\w$\\u0080-\\uffff]*)',
    '(?<parameter>\\?\\d*|[:@$][\\w$\\u0080-\\uffff]+)',
    '(?<number>\\d[\\w.]*)',
    '(?<other>[^])',
  ].join('|'),
  'g',
)

const unterminated = new Set(["'", '"', '`', '['])

/** Cut a statement into tokens, blanks and comments left out.
 *  @throws invalid when a quote is never closed */
export function tokenize(statement: string): Token[] {
  const tokens: Token[] = []
  for (const { groups, index, 0: text } of statement.matchAll(pattern)) {
    const kind = Object.keys(groups as object).find((name) => groups?.[name] !== undefined) as Token['kind']
    if (kind === 'blank') continue
    if (kind === 'other' && unterminated.has(text)) {
      throw new Failure('invalid', `a ${text} is never closed in: ${excerpt(statement)}`)
    }
    tokens.push({ kind, text, word: kind === 'word' ? text.toLowerCase() : '', start: index })
  }
  return tokens
}

/** Write the statement that ends with the last of these tokens: workerd takes what follows the `;` for another one.
 *  Names in double quotes are put in back quotes: workerd reads `"x"` as the text x when there is no column x, and no
 *  host does that to a name in back quotes.
 *  @param requote whether to change the quotes */
export function untokenize(statement: string, tokens: readonly Token[], requote: boolean): string {
  const pieces: string[] = []
  let end = 0
  for (const { text, start } of tokens) {
    pieces.push(statement.slice(end, start), requote && text.startsWith('"') ? requoted(text) : text)
    end = start + text.length
  }
  return pieces.join('')
}

function requoted(name: string): string {
  return `\`${name.slice(1, -1).replaceAll('""', '"').replaceAll('`', '``')}\``
}

/** @returns the name a word or a quoted name stands for, in lower case; empty for any other token */
export function nameOf({ kind, text, word }: Token): string {
  return kind === 'name' ? text.slice(1, -1).toLowerCase() : word
}

/** Shorten a statement for a message. */
export function excerpt(statement: string): string {
  return statement.length > 120 ? `${statement.slice(0, 120)}…` : statement
}
