/** Compiles functions: a frame for their locals, cells for what they share with functions inside. */
import type { FunctionNode, FunctionShape } from './ast.ts'
import type { Cell, Chunk, Evaluate, Execute, Frame } from './code.ts'
import type { Machine } from './machine.ts'
import { compileBlock } from './statements.ts'
import { LuaFunction, type LuaValue, NONE, type Results } from './value.ts'

/** A compiled function without its upvalues. */
interface Prototype {
  readonly name: string
  readonly shape: FunctionShape
  readonly body: Execute
}

/** Compile a function to what makes a closure of it. */
export function compileFunction(chunk: Chunk, node: FunctionNode): Evaluate {
  const shape = node.shape as FunctionShape
  const { identifier } = node
  const name =
    identifier === null ? '?' : identifier.type === 'Identifier' ? identifier.name : identifier.identifier.name
  const prototype: Prototype = { name, shape, body: compileBlock(chunk, node.body) }
  const { machine } = chunk
  const { upvalues } = shape
  return (frame, cells) => {
    const own: Cell[] = []
    for (const { fromLocal, index } of upvalues) own.push((fromLocal ? frame[index] : cells[index]) as Cell)
    return makeFunction(machine, prototype, own)
  }
}

/** Compile a whole chunk to a function. */
export function compileMain(chunk: Chunk, shape: FunctionShape, body: FunctionNode['body']): LuaFunction {
  return makeFunction(chunk.machine, { name: 'main', shape, body: compileBlock(chunk, body) }, [])
}

function makeFunction(machine: Machine, { name, shape, body }: Prototype, cells: readonly Cell[]): LuaFunction {
  const { parameters, vararg, varargSlot, slots } = shape
  const count = parameters.length
  const boxed = parameters.filter(({ captured }) => captured).map(({ slot }) => slot)
  const call = (args: LuaValue[]): Results => {
    machine.enter()
    const frame: Frame = new Array(slots)
    for (let at = 0; at < count; at++) frame[at] = args[at]
    if (vararg) frame[varargSlot] = args.length > count ? args.slice(count) : NONE
    if (boxed.length > 0) for (const slot of boxed) frame[slot] = { value: frame[slot] as LuaValue }
    const results = body(frame, cells)
    machine.depth--
    return results === undefined ? NONE : results
  }
  return new LuaFunction(name, call)
}
