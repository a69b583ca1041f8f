/** Resolves names: which slot of its function a local has, what a function captures, what is global.
 *
 *  Slots are given out like a stack: a block's are used again by the next one. What is captured is known when the
 *  whole chunk has been walked, so this comes before compiling. */
import type { Expression, FunctionNode, FunctionShape, Identifier, Reference, Statement, Variable } from './ast.ts'

interface Enclosing {
  readonly parent: Enclosing | undefined
  readonly shape: FunctionShape
  /** The visible locals, innermost last. */
  readonly visible: Variable[]
  /** Upvalues that are known by name of the variable. */
  readonly captured: Map<Variable, number>
  next: number
}

/** Resolve the names of a chunk. */
export function resolveChunk(body: readonly Statement[]): FunctionShape {
  const shape: FunctionShape = { parameters: [], vararg: true, varargSlot: 0, upvalues: [], slots: 1 }
  walkBlock({ parent: undefined, shape, visible: [], captured: new Map(), next: 1 }, body)
  return shape
}

function declare(scope: Enclosing, { name }: { readonly name: string }): Variable {
  const variable: Variable = { name, slot: takeSlot(scope), captured: false }
  scope.visible.push(variable)
  return variable
}

function takeSlot(scope: Enclosing): number {
  const slot = scope.next++
  scope.shape.slots = Math.max(scope.shape.slots, scope.next)
  return slot
}

function declareNode(scope: Enclosing, node: Identifier): void {
  node.reference = { kind: 'local', variable: declare(scope, node) }
}

function inBlock(scope: Enclosing, work: () => void): void {
  const { next } = scope
  const { length } = scope.visible
  work()
  scope.next = next
  scope.visible.length = length
}

function walkBlock(scope: Enclosing, body: readonly Statement[]): void {
  inBlock(scope, () => {
    for (const statement of body) walkStatement(scope, statement)
  })
}

function findVariable(scope: Enclosing, name: string): Variable | undefined {
  for (let at = scope.visible.length - 1; at >= 0; at--) {
    const variable = scope.visible[at] as Variable
    if (variable.name === name) return variable
  }
  return undefined
}

function upvalueOf(scope: Enclosing, name: string): number | undefined {
  const { parent } = scope
  if (parent === undefined) return undefined
  const variable = findVariable(parent, name)
  if (variable !== undefined) {
    const known = scope.captured.get(variable)
    if (known !== undefined) return known
    variable.captured = true
    scope.captured.set(variable, scope.shape.upvalues.length)
    return scope.shape.upvalues.push({ fromLocal: true, index: variable.slot }) - 1
  }
  const index = upvalueOf(parent, name)
  if (index === undefined) return undefined
  const known = scope.shape.upvalues.findIndex((other) => !other.fromLocal && other.index === index)
  return known >= 0 ? known : scope.shape.upvalues.push({ fromLocal: false, index }) - 1
}

function refer(scope: Enclosing, name: string): Reference {
  const variable = findVariable(scope, name)
  if (variable !== undefined) return { kind: 'local', variable }
  const index = upvalueOf(scope, name)
  return index === undefined ? { kind: 'global' } : { kind: 'upvalue', index }
}

function walkFunction(parent: Enclosing, node: FunctionNode): void {
  const parameters: Variable[] = []
  const vararg = node.parameters.some(({ type }) => type === 'VarargLiteral')
  const { identifier } = node
  const method = identifier?.type === 'MemberExpression' && identifier.indexer === ':'
  const shape: FunctionShape = {
    parameters,
    vararg,
    varargSlot: node.parameters.length - (vararg ? 1 : 0) + (method ? 1 : 0),
    upvalues: [],
    slots: 0,
  }
  const scope: Enclosing = { parent, shape, visible: [], captured: new Map(), next: 0 }
  if (method) parameters.push(declare(scope, { name: 'self' }))
  for (const parameter of node.parameters) {
    if (parameter.type === 'Identifier') parameters.push(declare(scope, parameter))
  }
  if (vararg) takeSlot(scope)
  node.shape = shape
  walkBlock(scope, node.body)
}

function walkAll(scope: Enclosing, expressions: readonly (Expression | null)[]): void {
  for (const expression of expressions) if (expression !== null) walkExpression(scope, expression)
}

function walkStatement(scope: Enclosing, node: Statement): void {
  switch (node.type) {
    case 'LocalStatement':
      walkAll(scope, node.init)
      for (const variable of node.variables) declareNode(scope, variable)
      return
    case 'AssignmentStatement':
      walkAll(scope, node.init)
      walkAll(scope, node.variables)
      return
    case 'CallStatement':
      return walkExpression(scope, node.expression)
    case 'IfStatement':
      for (const clause of node.clauses) {
        if (clause.condition !== undefined) walkExpression(scope, clause.condition)
        walkBlock(scope, clause.body)
      }
      return
    case 'WhileStatement':
      walkExpression(scope, node.condition)
      return walkBlock(scope, node.body)
    case 'RepeatStatement':
      // The condition sees the block's locals.
      return inBlock(scope, () => {
        for (const statement of node.body) walkStatement(scope, statement)
        walkExpression(scope, node.condition)
      })
    case 'DoStatement':
      return walkBlock(scope, node.body)
    case 'ReturnStatement':
      return walkAll(scope, node.arguments)
    case 'ForNumericStatement':
      walkAll(scope, [node.start, node.end, node.step])
      return inBlock(scope, () => {
        declareNode(scope, node.variable)
        walkBlock(scope, node.body)
      })
    case 'ForGenericStatement':
      walkAll(scope, node.iterators)
      return inBlock(scope, () => {
        for (const variable of node.variables) declareNode(scope, variable)
        walkBlock(scope, node.body)
      })
    case 'FunctionDeclaration':
      return walkDeclaration(scope, node)
    case 'BreakStatement':
      return
  }
}

function walkDeclaration(scope: Enclosing, node: FunctionNode): void {
  const { identifier } = node
  if (node.isLocal && identifier?.type === 'Identifier') declareNode(scope, identifier)
  else if (identifier !== null) walkExpression(scope, identifier)
  walkFunction(scope, node)
}

function walkExpression(scope: Enclosing, node: Expression): void {
  switch (node.type) {
    case 'Identifier':
      node.reference = refer(scope, node.name)
      return
    case 'FunctionDeclaration':
      return walkFunction(scope, node)
    case 'VarargLiteral':
      node.slot = scope.shape.varargSlot
      return
    case 'MemberExpression':
      return walkExpression(scope, node.base)
    case 'IndexExpression':
      return walkAll(scope, [node.base, node.index])
    case 'TableConstructorExpression':
      for (const field of node.fields) {
        if (field.type === 'TableKey') walkExpression(scope, field.key)
        walkExpression(scope, field.value)
      }
      return
    case 'BinaryExpression':
    case 'LogicalExpression':
      return walkAll(scope, [node.left, node.right])
    case 'UnaryExpression':
      return walkExpression(scope, node.argument)
    case 'CallExpression':
      return walkAll(scope, [node.base, ...node.arguments])
    case 'TableCallExpression':
      return walkAll(scope, [node.base, node.arguments])
    case 'StringCallExpression':
      return walkAll(scope, [node.base, node.argument])
  }
}
