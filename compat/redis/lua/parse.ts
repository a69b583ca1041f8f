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

/** Find out whether blocks or brackets are nested deeper than the parser's own recursion should follow. */
function nestsTooDeep(code: Bin): boolean {
  let depth = 0
  let deepest = 0
  // Strings and comments are not told apart: what this over-counts is no script that anyone writes.
  for (const [token] of code.matchAll(
    /[([{]|[)\]}]|\b(?:function|do|then|repeat|end|until|elseif|not)\b|\.\.|[-^#]+/g,
  )) {
    if (/^(?:[)\]}]|end|until|elseif)$/.test(token)) depth = Math.max(0, depth - 1)
    else if (/^(?:[([{]|function|do|then|repeat)$/.test(token)) depth += 1
    deepest = Math.max(deepest, depth)
  }
  return deepest > LUA_CHUNK_NESTING_MAX
}

/** Parse a chunk.
 *  @throws LuaSyntaxError */
export function parseLua(code: Bin): readonly Statement[] {
  if (nestsTooDeep(code)) throw new LuaSyntaxError(1, 'chunk has too many syntax levels')
  try {
    const options = { luaVersion: '5.1', encodingMode: 'pseudo-latin1', comments: false, locations: true } as const
    return (luaparse.parse(code, options) as { body: readonly Statement[] }).body
  } catch (error) {
    if (error instanceof RangeError) throw new LuaSyntaxError(1, 'chunk has too many syntax levels')
    if (!(error instanceof SyntaxError)) throw error
    const { line, index } = error as SyntaxError & { line?: number; index?: number }
    throw new LuaSyntaxError(
      line ?? 1,
      inWordsOfLua(error.message, index !== undefined && !code.slice(index - 1).includes('\n')),
    )
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
