/** Parses Lua 5.1, and words its errors as Lua does. */
import type { Bin } from '@dotdo/core/bytes'
import { LUA_CHUNK_NESTING_MAX } from '@dotdo/core/limits'
import luaparse from 'luaparse'
import type { Statement } from './ast.ts'

/** Thrown for text that is no Lua. */
export class LuaSyntaxError {
  readonly line: number
  readonly message: string
  constructor(line: number, message: string) {
    this.line = line
    this.message = message
  }
}

interface Token {
  readonly text: Bin
  readonly start: number
}

/** Comments, strings, names, numbers, operators. What is not closed goes to the end: so no text is looked at twice. */
const tokenPattern = new RegExp(
  [
    /--\[(?<comment>=*)\[[\s\S]*?(?:\]\k<comment>\]|$)/,
    /--[^\n]*/,
    /\[(?<text>=*)\[[\s\S]*?(?:\]\k<text>\]|$)/,
    /"[^"\\]*(?:\\[\s\S][^"\\]*)*(?:"|\\?$)/,
    /'[^'\\]*(?:\\[\s\S][^'\\]*)*(?:'|\\?$)/,
    /[A-Za-z_]\w*/,
    /\.?\d(?:[eE][+-]?|[\w.])*/,
    /\.{2,3}|[<>=~]=|\S/,
  ]
    .map(({ source }) => source)
    .join('|'),
  'g',
)

/** Cut a chunk into its tokens, comments left out. Of text that is no Lua, something comes out as well. */
function* tokens(code: Bin): Generator<Token> {
  for (const { 0: text, index } of code.matchAll(tokenPattern)) {
    if (!text.startsWith('--')) yield { text, start: index }
  }
}

/** Whether a `(` after this token begins the arguments of a call, or the parameters of a function. */
function takesArguments(token: Token | undefined): boolean {
  if (token === undefined) return false
  if (/^(?:[)\]}"']|\[=*\[)/.test(token.text)) return true
  return /^[A-Za-z_]/.test(token.text) && !keywords.has(token.text)
}

/** Keywords that an expression or statement follows, or none that could be called. */
const keywords = new Set(
  'and break do else elseif end false for if in local nil not or repeat return then true until while'.split(' '),
)

/** Find the expressions that stand in parentheses: luaparse does not tell, and parentheses cut several values to one.
 *  @returns `start:end` of each
 *  @throws LuaSyntaxError when blocks or brackets are nested deeper than the parser's recursion should follow */
function parenthesised(code: Bin): Set<string> {
  const found = new Set<string>()
  const open: { readonly inside: number | undefined }[] = []
  let blocks = 0
  let before: Token | undefined
  let pending: { inside: number | undefined } | undefined
  for (const token of tokens(code)) {
    const { text, start } = token
    if (pending !== undefined) pending.inside = start
    pending = undefined
    if (text === '(') {
      const entry: { inside: number | undefined } = { inside: undefined }
      if (!takesArguments(before) && before?.text !== 'function') pending = entry
      open.push(entry)
    } else if (text === ')') {
      const inside = open.pop()?.inside
      if (inside !== undefined && before !== undefined) found.add(`${inside}:${before.start + before.text.length}`)
    } else if (/^(?:[{[]|function|do|then|repeat)$/.test(text)) blocks++
    else if (/^(?:[}\]]|end|until|elseif)$/.test(text)) blocks--
    if (blocks + open.length > LUA_CHUNK_NESTING_MAX) throw new LuaSyntaxError(1, 'chunk has too many syntax levels')
    before = token
  }
  return found
}

/** Parse a chunk.
 *  @throws LuaSyntaxError */
export function parseLua(code: Bin): readonly Statement[] {
  let grouped = new Set<string>()
  const onCreateNode = (node: { readonly range?: readonly [number, number]; inParens?: boolean }) => {
    if (node.range !== undefined && grouped.has(`${node.range[0]}:${node.range[1]}`)) node.inParens = true
  }
  const common = { luaVersion: '5.1', encodingMode: 'pseudo-latin1', comments: false, locations: true } as const
  try {
    grouped = parenthesised(code)
    const options = { ...common, ranges: true, ...(grouped.size > 0 && { onCreateNode }) } as const
    return (luaparse.parse(code, options) as { body: readonly Statement[] }).body
  } catch (error) {
    if (error instanceof RangeError) throw new LuaSyntaxError(1, 'chunk has too many syntax levels')
    if (!(error instanceof SyntaxError)) throw error
    const { line, index } = error as SyntaxError & { line?: number; index?: number }
    const last = index !== undefined && !code.slice(index - 1).includes('\n')
    throw new LuaSyntaxError(line ?? 1, inWordsOfLua(error.message, last))
  }
}

/** @param last whether it happened in the last line */
function inWordsOfLua(message: string, last: boolean): string {
  return message
    .replace(/^\[\d+:\d+\] /, '')
    .replace(/^<expression> expected near/, 'unexpected symbol near')
    .replace(/^unexpected (?:identifier|keyword) '([\s\S]*)' near '[\s\S]*'$/, "'<eof>' expected near '$1'")
    .replace(/^unexpected \w+ '([\s\S]*)' near '[\s\S]*'$/, "unexpected symbol near '$1'")
    .replace(/ \(starting at line \d+\) near '[\s\S]*'$/, " near '<eof>'")
    .replace(/^unfinished string near '[\s\S]*'$/, (found) => (last ? "unfinished string near '<eof>'" : found))
    .replace(/ near '(?:undefined|null|)'$/, " near '<eof>'")
}
