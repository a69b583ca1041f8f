/** Compiles expressions. */
import type { Bin } from '@dotdo/core/bytes'
import type { BinaryExpression, Expression, Identifier, TableConstructor, UnaryExpression } from './ast.ts'
import { compileCall, isCall } from './calls.ts'
import { type Cell, type Chunk, type Evaluate, type EvaluateAll, nameOf } from './code.ts'
import { compileFunction } from './functions.ts'
import { isTrue, toText } from './machine.ts'
import { compileBinary, compileComparison } from './operators.ts'
import { LuaTable } from './table.ts'
import { all, first, type LuaValue } from './value.ts'

/** Compile an expression to one value. */
export function compileExpression(chunk: Chunk, node: Expression): Evaluate {
  switch (node.type) {
    case 'Identifier':
      return compileName(chunk, node)
    case 'StringLiteral':
    case 'NumericLiteral':
    case 'BooleanLiteral': {
      const { value } = node
      return () => value
    }
    case 'NilLiteral':
      return () => undefined
    case 'VarargLiteral': {
      const slot = node.slot as number
      return (frame) => (frame[slot] as LuaValue[])[0]
    }
    case 'FunctionDeclaration':
      return compileFunction(chunk, node)
    case 'MemberExpression':
      return compileField(chunk, node.base, node.identifier.name, node.loc.end.line)
    case 'IndexExpression':
      if (node.index.type === 'StringLiteral') {
        return compileField(chunk, node.base, node.index.value, node.loc.end.line)
      }
      return compileIndex(chunk, node.base, node.index, node.loc.end.line)
    case 'TableConstructorExpression':
      return compileTable(chunk, node)
    case 'BinaryExpression':
    case 'LogicalExpression':
      return compileOperator(chunk, node)
    case 'UnaryExpression':
      return compileUnary(chunk, node)
    default: {
      const call = compileCall(chunk, node)
      return (frame, cells) => {
        const results = call(frame, cells)
        return Array.isArray(results) ? results[0] : results
      }
    }
  }
}

/** Compile an expression that may have any number of values.
 *  @returns undefined when it has just one */
export function compileMulti(chunk: Chunk, node: Expression | undefined): EvaluateAll | undefined {
  if (node === undefined || node.inParens) return undefined
  if (isCall(node)) return compileCall(chunk, node)
  if (node.type !== 'VarargLiteral') return undefined
  const slot = node.slot as number
  return (frame) => frame[slot] as LuaValue[]
}

/** Compile a list of expressions, of which the last one may have any number of values.
 *  @returns what makes a fresh array */
export function compileList(
  chunk: Chunk,
  nodes: readonly Expression[],
): (frame: Parameters<Evaluate>[0], cells: readonly Cell[]) => LuaValue[] {
  const multi = compileMulti(chunk, nodes.at(-1))
  const singles = (multi ? nodes.slice(0, -1) : nodes).map((node) => compileExpression(chunk, node))
  const [one, two, three] = singles as [Evaluate, Evaluate, Evaluate]
  if (multi === undefined) {
    if (singles.length === 0) return () => []
    if (singles.length === 1) return (frame, cells) => [one(frame, cells)]
    if (singles.length === 2) return (frame, cells) => [one(frame, cells), two(frame, cells)]
    if (singles.length === 3) return (frame, cells) => [one(frame, cells), two(frame, cells), three(frame, cells)]
    return (frame, cells) => {
      const values: LuaValue[] = []
      for (const single of singles) values.push(single(frame, cells))
      return values
    }
  }
  return (frame, cells) => {
    const values: LuaValue[] = []
    for (const single of singles) values.push(single(frame, cells))
    const rest = multi(frame, cells)
    if (Array.isArray(rest)) for (const value of rest) values.push(value)
    else values.push(rest)
    return values
  }
}

function compileName(chunk: Chunk, node: Identifier): Evaluate {
  const reference = node.reference as NonNullable<Identifier['reference']>
  if (reference.kind === 'local') {
    const { slot, captured } = reference.variable
    if (captured) return (frame) => (frame[slot] as Cell).value
    return (frame) => frame[slot] as LuaValue
  }
  if (reference.kind === 'upvalue') {
    const { index } = reference
    return (_, cells) => (cells[index] as Cell).value
  }
  const { name } = node
  const { machine } = chunk
  const { globals } = machine
  const where = { site: chunk.site(node.loc.start.line), what: '' }
  return () => globals.getString(name) ?? machine.index(globals, name, where)
}

function compileField(chunk: Chunk, base: Expression, key: Bin, line: number): Evaluate {
  const { machine } = chunk
  const holder = compileExpression(chunk, base)
  const where = chunk.where(line, base)
  return (frame, cells) => {
    const object = holder(frame, cells)
    if (object instanceof LuaTable) {
      const value = object.getString(key)
      if (value !== undefined || object.metatable === undefined) return value
    }
    return machine.index(object, key, where)
  }
}

function compileIndex(chunk: Chunk, base: Expression, index: Expression, line: number): Evaluate {
  const { machine } = chunk
  const holder = compileExpression(chunk, base)
  const place = compileExpression(chunk, index)
  const where = chunk.where(line, base)
  return (frame, cells) => {
    const object = holder(frame, cells)
    const key = place(frame, cells)
    if (object instanceof LuaTable) {
      const value = object.get(key)
      if (value !== undefined || object.metatable === undefined) return value
    }
    return machine.index(object, key, where)
  }
}

function compileTable(chunk: Chunk, { fields, loc }: TableConstructor): Evaluate {
  const { machine } = chunk
  const lastField = fields.at(-1)
  const multi = lastField?.type === 'TableValue' ? compileMulti(chunk, lastField.value) : undefined
  const site = chunk.site(loc.end.line)
  const where = { site, what: '' }
  let count = 0
  const steps = (multi ? fields.slice(0, -1) : fields).map((field) => {
    const value = compileExpression(chunk, field.value)
    if (field.type === 'TableKeyString') return { key: () => field.key.name, value, at: 0 }
    if (field.type === 'TableKey') return { key: compileExpression(chunk, field.key), value, at: 0 }
    count += 1
    return { key: undefined, value, at: count }
  })
  const listed = count
  return (frame, cells) => {
    const table = new LuaTable()
    let trailing: LuaValue[] | undefined
    for (const { key, value, at } of steps) {
      if (key === undefined) {
        putListed(table, at, value(frame, cells))
        continue
      }
      const field = key(frame, cells)
      if (field === undefined) throw machine.error('table index is nil', where.site)
      machine.setIndex(table, field, value(frame, cells), where)
    }
    if (multi !== undefined) trailing = all(multi(frame, cells))
    if (trailing !== undefined) for (let i = 0; i < trailing.length; i++) putListed(table, listed + i + 1, trailing[i])
    return table
  }
}

/** Put a listed value in its place; nils before it make room as Lua's constructor does. */
function putListed(table: LuaTable, at: number, value: LuaValue): void {
  if (value === undefined) return
  while (table.array.length < at - 1) table.array.push(undefined)
  table.set(at, value)
}

function compileOperator(chunk: Chunk, node: BinaryExpression): Evaluate {
  const { operator } = node
  if (operator === '..') return compileConcat(chunk, node)
  const left = compileExpression(chunk, node.left)
  const right = compileExpression(chunk, node.right)
  if (operator === 'and') {
    return (frame, cells) => {
      const value = left(frame, cells)
      return value !== undefined && value !== false ? right(frame, cells) : value
    }
  }
  if (operator === 'or') {
    return (frame, cells) => {
      const value = left(frame, cells)
      return value !== undefined && value !== false ? value : right(frame, cells)
    }
  }
  const site = chunk.site(node.right.loc.end.line)
  if (/^[<>=~]/.test(operator)) return compileComparison(chunk.machine, operator, { left, right, site })
  const whats = [nameOf(node.left), nameOf(node.right)] as const
  return compileBinary(chunk.machine, operator, { left, right, site, whats })
}

/** `..` is right associative: a chain is one closure, which joins text without going through each pair. */
function compileConcat(chunk: Chunk, node: BinaryExpression): Evaluate {
  const { machine } = chunk
  const parts: Expression[] = []
  let rest: Expression = node
  while (rest.type === 'BinaryExpression' && rest.operator === '..' && (rest === node || !rest.inParens)) {
    parts.push(rest.left)
    rest = rest.right
  }
  parts.push(rest)
  const evaluate = parts.map((part) => compileExpression(chunk, part))
  const whats = parts.map(nameOf)
  const site = chunk.site(node.loc.end.line)
  return (frame, cells) => {
    const values: LuaValue[] = []
    let joined = ''
    let plain = true
    for (const part of evaluate) {
      const value = part(frame, cells)
      values.push(value)
      if (typeof value === 'string') joined += value
      else if (typeof value === 'number') joined += toText(value)
      else plain = false
    }
    if (plain) return machine.checkLength(joined)
    let result = values[values.length - 1]
    for (let at = values.length - 2; at >= 0; at--) {
      result = machine.concat(values[at], result, site, [whats[at] as Bin, whats[at + 1] as Bin])
    }
    return result
  }
}

function compileUnary(chunk: Chunk, { operator, argument, loc }: UnaryExpression): Evaluate {
  const { machine } = chunk
  const operand = compileExpression(chunk, argument)
  if (operator === 'not') {
    return (frame, cells) => !isTrue(operand(frame, cells))
  }
  const where = chunk.where(loc.end.line, argument)
  if (operator === '#') {
    return (frame, cells) => {
      const value = operand(frame, cells)
      if (typeof value === 'string' || value instanceof LuaTable) return value.length
      const handler = machine.metamethod(value, '__len')
      if (handler !== undefined) return first(machine.call(handler, [value]))
      const what = where.what === '' ? '' : `${where.what} (`
      const type = value === undefined ? 'nil' : typeof value === 'object' ? 'function' : typeof value
      throw machine.error(`attempt to get length of ${what}a ${type} value${what === '' ? '' : ')'}`, where.site)
    }
  }
  return (frame, cells) => {
    const value = operand(frame, cells)
    if (typeof value === 'number') return -value
    return machine.arithmetic('__unm', value, value, where.site, [where.what, where.what])
  }
}
