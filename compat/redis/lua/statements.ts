/** Compiles statements, loops apart. */
import type { Expression, FunctionNode, Identifier, MemberExpression, Statement } from './ast.ts'
import { compileCall } from './calls.ts'
import { BREAK, type Cell, type Chunk, type Evaluate, type Execute, type Frame, RETURN_NIL } from './code.ts'
import { compileExpression, compileList, compileMulti } from './expressions.ts'
import { compileFunction } from './functions.ts'
import { compileGenericFor, compileNumericFor, compileRepeat, compileWhile } from './loops.ts'
import type { Where } from './machine.ts'
import { LuaTable } from './table.ts'
import { type LuaValue, NONE } from './value.ts'

/** Compile a list of statements. */
export function compileBlock(chunk: Chunk, body: readonly Statement[]): Execute {
  const steps = body.map((statement) => compileStatement(chunk, statement))
  const [one, two, three] = steps as [Execute, Execute, Execute]
  if (steps.length === 0) return () => undefined
  if (steps.length === 1) return one
  if (steps.length === 2) {
    return (frame, cells) => {
      const signal = one(frame, cells)
      return signal !== undefined ? signal : two(frame, cells)
    }
  }
  if (steps.length === 3) {
    return (frame, cells) => {
      let signal = one(frame, cells)
      if (signal !== undefined) return signal
      signal = two(frame, cells)
      return signal !== undefined ? signal : three(frame, cells)
    }
  }
  return (frame, cells) => {
    for (let at = 0; at < steps.length; at++) {
      const signal = (steps[at] as Execute)(frame, cells)
      if (signal !== undefined) return signal
    }
    return undefined
  }
}

function compileStatement(chunk: Chunk, node: Statement): Execute {
  switch (node.type) {
    case 'LocalStatement':
      return compileLocal(chunk, node)
    case 'AssignmentStatement':
      return compileAssignment(chunk, node)
    case 'CallStatement': {
      const call = compileCall(chunk, node.expression)
      return (frame, cells) => {
        call(frame, cells)
        return undefined
      }
    }
    case 'IfStatement':
      return compileIf(chunk, node)
    case 'WhileStatement':
      return compileWhile(chunk, node)
    case 'RepeatStatement':
      return compileRepeat(chunk, node)
    case 'DoStatement':
      return compileBlock(chunk, node.body)
    case 'ReturnStatement':
      return compileReturn(chunk, node.arguments)
    case 'BreakStatement':
      return () => BREAK
    case 'ForNumericStatement':
      return compileNumericFor(chunk, node)
    case 'ForGenericStatement':
      return compileGenericFor(chunk, node)
    case 'FunctionDeclaration':
      return compileDeclaration(chunk, node)
  }
}

/** Stores into a local that is declared here: a captured one gets a cell of its own each time. */
export function declareLocal(node: Identifier): (frame: Frame, value: LuaValue) => void {
  if (node.reference?.kind !== 'local') throw new Error(`${node.name} is not declared here`)
  const { slot, captured } = node.reference.variable
  if (captured) {
    return (frame, value) => {
      frame[slot] = { value }
    }
  }
  return (frame, value) => {
    frame[slot] = value
  }
}

function compileLocal(chunk: Chunk, { variables, init }: Extract<Statement, { type: 'LocalStatement' }>): Execute {
  const stores = variables.map(declareLocal)
  const [store] = stores as [(frame: Frame, value: LuaValue) => void]
  if (stores.length === 1 && init.length <= 1) {
    const value = init.length === 0 ? () => undefined : compileExpression(chunk, init[0] as Expression)
    return (frame, cells) => {
      store(frame, value(frame, cells))
      return undefined
    }
  }
  const list = compileList(chunk, init)
  return (frame, cells) => {
    const values = list(frame, cells)
    for (let at = 0; at < stores.length; at++) (stores[at] as typeof store)(frame, values[at])
    return undefined
  }
}

/** A place that a value can be assigned to: first its table and key are computed, then the value is stored. */
interface Target {
  readonly object: Evaluate | undefined
  readonly key: Evaluate | undefined
  store(frame: Frame, cells: readonly Cell[], object: LuaValue, key: LuaValue, value: LuaValue): void
}

function compileTarget(chunk: Chunk, node: Expression): Target {
  const { machine } = chunk
  if (node.type === 'Identifier') return compileNameTarget(chunk, node)
  if (node.type !== 'MemberExpression' && node.type !== 'IndexExpression') throw new Error(`no place: ${node.type}`)
  const key: Evaluate = node.type === 'MemberExpression' ? nameKey(node) : compileExpression(chunk, node.index)
  const where = chunk.where(node.loc.end.line, node.base)
  return {
    object: compileExpression(chunk, node.base),
    key,
    store: (_frame, _cells, object, key, value) => {
      if (object instanceof LuaTable && object.metatable === undefined && !object.readonly) {
        if (typeof key === 'string' || (typeof key === 'number' && key > 0)) return object.set(key, value)
      }
      machine.setIndex(object, key, value, where)
    },
  }
}

function nameKey({ identifier: { name } }: MemberExpression): Evaluate {
  return () => name
}

function compileNameTarget(chunk: Chunk, node: Identifier): Target {
  const { machine } = chunk
  const reference = node.reference as NonNullable<Identifier['reference']>
  const none = { object: undefined, key: undefined }
  if (reference.kind === 'local') {
    const { slot, captured } = reference.variable
    if (!captured) {
      return {
        ...none,
        store: (frame, _cells, _object, _key, value) => {
          frame[slot] = value
        },
      }
    }
    return {
      ...none,
      store: (frame, _cells, _object, _key, value) => {
        ;(frame[slot] as Cell).value = value
      },
    }
  }
  if (reference.kind === 'upvalue') {
    const { index } = reference
    return {
      ...none,
      store: (_frame, cells, _object, _key, value) => {
        ;(cells[index] as Cell).value = value
      },
    }
  }
  const where: Where = chunk.where(node.loc.end.line, node)
  return {
    ...none,
    store: (_frame, _cells, _object, _key, value) => machine.setIndex(machine.globals, node.name, value, where),
  }
}

function compileAssignment(
  chunk: Chunk,
  { variables, init }: Extract<Statement, { type: 'AssignmentStatement' }>,
): Execute {
  const targets = variables.map((node) => compileTarget(chunk, node))
  const [target] = targets as [Target]
  if (targets.length === 1 && init.length === 1) {
    const { object, key } = target
    const value = compileExpression(chunk, init[0] as Expression)
    return (frame, cells) => {
      const holder = object?.(frame, cells)
      const place = key?.(frame, cells)
      target.store(frame, cells, holder, place, value(frame, cells))
      return undefined
    }
  }
  const list = compileList(chunk, init)
  return (frame, cells) => {
    const holders = targets.map(({ object }) => object?.(frame, cells))
    const places = targets.map(({ key }) => key?.(frame, cells))
    const values = list(frame, cells)
    for (let at = targets.length - 1; at >= 0; at--) {
      ;(targets[at] as Target).store(frame, cells, holders[at], places[at], values[at])
    }
    return undefined
  }
}

function compileIf(chunk: Chunk, { clauses }: Extract<Statement, { type: 'IfStatement' }>): Execute {
  const branches = clauses.map(({ condition, body }) => ({
    condition: condition === undefined ? () => true : compileExpression(chunk, condition),
    block: compileBlock(chunk, body),
  }))
  const [branch] = branches as [(typeof branches)[0]]
  if (branches.length === 1) {
    const { condition, block } = branch
    return (frame, cells) => {
      const value = condition(frame, cells)
      return value !== undefined && value !== false ? block(frame, cells) : undefined
    }
  }
  return (frame, cells) => {
    for (let at = 0; at < branches.length; at++) {
      const { condition, block } = branches[at] as typeof branch
      const value = condition(frame, cells)
      if (value !== undefined && value !== false) return block(frame, cells)
    }
    return undefined
  }
}

function compileReturn(chunk: Chunk, nodes: readonly Expression[]): Execute {
  if (nodes.length === 0) return () => NONE
  if (nodes.length > 1) return compileList(chunk, nodes)
  const multi = compileMulti(chunk, nodes[0])
  const value = multi ?? compileExpression(chunk, nodes[0] as Expression)
  return (frame, cells) => {
    const results = value(frame, cells)
    return results === undefined ? RETURN_NIL : results
  }
}

function compileDeclaration(chunk: Chunk, node: FunctionNode): Execute {
  const { identifier } = node
  const make = compileFunction(chunk, node)
  if (node.isLocal && identifier?.type === 'Identifier') {
    const store = declareLocal(identifier)
    const { slot, captured } = (identifier.reference as { variable: { slot: number; captured: boolean } }).variable
    return (frame, cells) => {
      // The cell must be there before the function is made: it may call itself.
      store(frame, undefined)
      const made = make(frame, cells)
      if (captured) (frame[slot] as Cell).value = made
      else frame[slot] = made
      return undefined
    }
  }
  const target = compileTarget(chunk, identifier as Identifier | MemberExpression)
  return (frame, cells) => {
    const holder = target.object?.(frame, cells)
    const place = target.key?.(frame, cells)
    target.store(frame, cells, holder, place, make(frame, cells))
    return undefined
  }
}
