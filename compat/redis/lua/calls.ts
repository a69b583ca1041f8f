/** Compiles calls. */
import type { CallNode, Expression } from './ast.ts'
import type { Chunk, EvaluateAll } from './code.ts'
import { compileExpression, compileList } from './expressions.ts'
import { LuaTable } from './table.ts'
import { LuaFunction, type Site } from './value.ts'

/** Whether an expression is a call. */
export function isCall(node: Expression): node is CallNode {
  return node.type === 'CallExpression' || node.type === 'TableCallExpression' || node.type === 'StringCallExpression'
}

function argumentsOf(node: CallNode): readonly Expression[] {
  if (node.type === 'CallExpression') return node.arguments
  return [node.type === 'TableCallExpression' ? node.arguments : node.argument]
}

/** Compile a call to all of its results. */
export function compileCall(chunk: Chunk, node: CallNode): EvaluateAll {
  const { base } = node
  if (base.type === 'MemberExpression' && base.indexer === ':') return compileMethod(chunk, node, base)
  const { machine } = chunk
  const callee = compileExpression(chunk, base)
  const list = compileList(chunk, argumentsOf(node))
  const where = chunk.where(base.loc.end.line, base)
  const { site } = where
  return (frame, cells) => {
    const value = callee(frame, cells)
    const args = list(frame, cells)
    machine.site = site
    return value instanceof LuaFunction ? value.call(args) : machine.call(value, args, where)
  }
}

function compileMethod(chunk: Chunk, node: CallNode, base: Extract<Expression, { type: 'MemberExpression' }>) {
  const { machine } = chunk
  const holder = compileExpression(chunk, base.base)
  const { name } = base.identifier
  const list = compileList(chunk, argumentsOf(node))
  const holderWhere = chunk.where(base.loc.end.line, base.base)
  const site: Site = { ...holderWhere.site, method: true }
  const where = { ...chunk.where(base.loc.end.line, base), site }
  const call: EvaluateAll = (frame, cells) => {
    const object = holder(frame, cells)
    let value = object instanceof LuaTable ? object.getString(name) : undefined
    value ??= machine.index(object, name, holderWhere)
    const args = list(frame, cells)
    args.unshift(object)
    machine.site = site
    return value instanceof LuaFunction ? value.call(args) : machine.call(value, args, where)
  }
  return call
}
