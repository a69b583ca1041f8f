/** Compiles loops. Each round is a step of the script's budget. */
import type { GenericFor, NumericFor, Statement } from './ast.ts'
import { BREAK, type Cell, type Chunk, type Evaluate, type Execute, type Frame } from './code.ts'
import { compileExpression, compileList } from './expressions.ts'
import { type Machine, outOfSteps, toNumber, type Where } from './machine.ts'
import { compileBlock, declareLocal } from './statements.ts'
import { LuaTable } from './table.ts'
import { all, LuaFunction, type LuaValue, type Results } from './value.ts'

/** Compile `while`. */
export function compileWhile(chunk: Chunk, node: Extract<Statement, { type: 'WhileStatement' }>): Execute {
  const { machine } = chunk
  const condition = compileExpression(chunk, node.condition)
  const block = compileBlock(chunk, node.body)
  return (frame, cells) => {
    for (;;) {
      const value = condition(frame, cells)
      if (value === undefined || value === false) return undefined
      if (--machine.stepsLeft < 0) outOfSteps()
      const signal = block(frame, cells)
      if (signal !== undefined) return signal === BREAK ? undefined : signal
    }
  }
}

/** Compile `repeat`. */
export function compileRepeat(chunk: Chunk, node: Extract<Statement, { type: 'RepeatStatement' }>): Execute {
  const { machine } = chunk
  const condition = compileExpression(chunk, node.condition)
  const block = compileBlock(chunk, node.body)
  return (frame, cells) => {
    for (;;) {
      if (--machine.stepsLeft < 0) outOfSteps()
      const signal = block(frame, cells)
      if (signal !== undefined) return signal === BREAK ? undefined : signal
      const value = condition(frame, cells)
      if (value !== undefined && value !== false) return undefined
    }
  }
}

/** Compile `for i = from, to, step`. */
export function compileNumericFor(chunk: Chunk, node: NumericFor): Execute {
  const { machine } = chunk
  const site = chunk.site(node.loc.start.line)
  const start = compileExpression(chunk, node.start)
  const end = compileExpression(chunk, node.end)
  const step: Evaluate = node.step === null ? () => 1 : compileExpression(chunk, node.step)
  const block = compileBlock(chunk, node.body)
  const store = declareLocal(node.variable)
  const bound = (value: LuaValue, name: string): number => {
    const number = toNumber(value)
    if (number === undefined) throw machine.error(`'for' ${name} must be a number`, site)
    return number
  }
  return (frame, cells) => {
    const [startValue, endValue, stepValue] = [start(frame, cells), end(frame, cells), step(frame, cells)]
    const from = bound(startValue, 'initial value')
    const to = bound(endValue, 'limit')
    const by = bound(stepValue, 'step')
    for (let i = from; by > 0 ? i <= to : i >= to; i += by) {
      if (--machine.stepsLeft < 0) outOfSteps()
      store(frame, i)
      const signal = block(frame, cells)
      if (signal !== undefined) return signal === BREAK ? undefined : signal
    }
    return undefined
  }
}

/** A generic loop, ready to run. */
interface Loop {
  readonly machine: Machine
  readonly stores: readonly ((frame: Frame, value: LuaValue) => void)[]
  readonly block: Execute
  readonly where: Where
}

/** Compile `for k, v in ...`. */
export function compileGenericFor(chunk: Chunk, node: GenericFor): Execute {
  const list = compileList(chunk, node.iterators)
  const where: Where = { site: chunk.site(node.loc.start.line), what: '' }
  const block = compileBlock(chunk, node.body)
  const loop: Loop = { machine: chunk.machine, stores: node.variables.map(declareLocal), block, where }
  return (frame, cells) => {
    const [iterator, state, control] = list(frame, cells)
    if (state instanceof LuaTable && iterator instanceof LuaFunction) {
      if (iterator === loop.machine.next && control === undefined) return runPairs(loop, state, frame, cells)
      if (iterator === loop.machine.ipairs && control === 0) return runIpairs(loop, state, frame, cells)
    }
    return runCalls(loop, [iterator, state, control], frame, cells)
  }
}

function runPairs({ machine, stores, block }: Loop, table: LuaTable, frame: Frame, cells: readonly Cell[]): Results {
  const [key, value] = stores
  for (let at = table.findFrom(0); at !== undefined; at = table.findFrom(LuaTable.behind(at))) {
    if (--machine.stepsLeft < 0) outOfSteps()
    key?.(frame, table.keyAt(at))
    value?.(frame, table.valueAt(at))
    for (let extra = 2; extra < stores.length; extra++) stores[extra]?.(frame, undefined)
    const signal = block(frame, cells)
    if (signal !== undefined) return signal === BREAK ? undefined : signal
  }
  return undefined
}

function runIpairs({ machine, stores, block }: Loop, table: LuaTable, frame: Frame, cells: readonly Cell[]): Results {
  const [key, value] = stores
  for (let at = 1; ; at++) {
    const element = table.get(at)
    if (element === undefined) return undefined
    if (--machine.stepsLeft < 0) outOfSteps()
    key?.(frame, at)
    value?.(frame, element)
    for (let extra = 2; extra < stores.length; extra++) stores[extra]?.(frame, undefined)
    const signal = block(frame, cells)
    if (signal !== undefined) return signal === BREAK ? undefined : signal
  }
}

function runCalls(
  { machine, stores, block, where }: Loop,
  [iterator, state, first]: readonly LuaValue[],
  frame: Frame,
  cells: readonly Cell[],
): Results {
  let control = first
  for (;;) {
    if (--machine.stepsLeft < 0) outOfSteps()
    machine.site = where.site
    const values = all(machine.call(iterator, [state, control], where))
    control = values[0]
    if (control === undefined) return undefined
    for (let at = 0; at < stores.length; at++) stores[at]?.(frame, values[at])
    const signal = block(frame, cells)
    if (signal !== undefined) return signal === BREAK ? undefined : signal
  }
}
