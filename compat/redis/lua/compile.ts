/** Compiles Lua 5.1 to closures: no code is made at run time, so that it runs where `eval` is not allowed. */
import type { Bin } from '@dotdo/core/bytes'
import { Chunk } from './code.ts'
import { compileMain } from './functions.ts'
import type { Machine } from './machine.ts'
import { LuaSyntaxError, parseLua } from './parse.ts'
import { resolveChunk } from './scope.ts'
import type { LuaFunction } from './value.ts'

export { LuaSyntaxError }

/** Compile a chunk to a function of Lua.
 *  @param name as it stands in messages; `source` as debug information has it
 *  @throws LuaSyntaxError */
export function compileLua(machine: Machine, code: Bin, { name, source }: { name: Bin; source: Bin }): LuaFunction {
  const body = parseLua(code)
  try {
    return compileMain(new Chunk(machine, name, source), resolveChunk(body), body)
  } catch (error) {
    if (error instanceof RangeError) throw new LuaSyntaxError(1, 'chunk has too many syntax levels')
    throw error
  }
}
