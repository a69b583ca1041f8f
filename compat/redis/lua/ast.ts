/** The syntax tree of Lua as luaparse gives it, with what scope.ts adds to it. */
import type { Bin } from '@dotdo/core/bytes'

/** Where a node stands. */
export interface Located {
  readonly loc: { readonly start: { readonly line: number }; readonly end: { readonly line: number } }
  /** Whether it stands in parentheses, which cut several values down to one. */
  readonly inParens?: boolean
}

/** A local variable. */
export interface Variable {
  readonly name: string
  readonly slot: number
  /** Whether a function inside uses it: it lives in a cell then. */
  captured: boolean
}

/** What a name means. */
export type Reference =
  | { readonly kind: 'local'; readonly variable: Variable }
  | { readonly kind: 'upvalue'; readonly index: number }
  | { readonly kind: 'global' }

/** Where a function finds an upvalue when it is made: in a local of the function around it, or in an upvalue of it. */
export interface Upvalue {
  readonly fromLocal: boolean
  readonly index: number
}

/** What is known of a function once its names are resolved. */
export interface FunctionShape {
  readonly parameters: readonly Variable[]
  readonly vararg: boolean
  /** The slot of the extra arguments of a vararg function. */
  readonly varargSlot: number
  readonly upvalues: Upvalue[]
  slots: number
}

/** A name. */
export interface Identifier extends Located {
  readonly type: 'Identifier'
  readonly name: string
  /** What it refers to; set by scope.ts. */
  reference?: Reference
}

/** A function, of any form. */
export interface FunctionNode extends Located {
  readonly type: 'FunctionDeclaration'
  readonly identifier: Identifier | MemberExpression | null
  readonly isLocal: boolean
  readonly parameters: readonly (Identifier | VarargLiteral)[]
  readonly body: readonly Statement[]
  shape?: FunctionShape
}

/** The extra arguments: `...`. */
export interface VarargLiteral extends Located {
  readonly type: 'VarargLiteral'
  slot?: number
}

/** A field by its name: `a.b`, `a:b`. */
export interface MemberExpression extends Located {
  readonly type: 'MemberExpression'
  readonly indexer: '.' | ':'
  readonly identifier: Identifier
  readonly base: Expression
}

/** A field by a value: `a[b]`. */
export interface IndexExpression extends Located {
  readonly type: 'IndexExpression'
  readonly base: Expression
  readonly index: Expression
}

/** A new table: `{...}`. */
export interface TableConstructor extends Located {
  readonly type: 'TableConstructorExpression'
  readonly fields: readonly (
    | { readonly type: 'TableKey'; readonly key: Expression; readonly value: Expression }
    | { readonly type: 'TableKeyString'; readonly key: Identifier; readonly value: Expression }
    | { readonly type: 'TableValue'; readonly value: Expression }
  )[]
}

/** An operator between two values. */
export interface BinaryExpression extends Located {
  readonly type: 'BinaryExpression' | 'LogicalExpression'
  readonly operator: string
  readonly left: Expression
  readonly right: Expression
}

/** An operator before a value. */
export interface UnaryExpression extends Located {
  readonly type: 'UnaryExpression'
  readonly operator: '-' | 'not' | '#'
  readonly argument: Expression
}

/** A call, of any form. */
export type CallNode =
  | (Located & {
      readonly type: 'CallExpression'
      readonly base: Expression
      readonly arguments: readonly Expression[]
    })
  | (Located & { readonly type: 'TableCallExpression'; readonly base: Expression; readonly arguments: Expression })
  | (Located & { readonly type: 'StringCallExpression'; readonly base: Expression; readonly argument: Expression })

/** Anything with a value. */
export type Expression =
  | Identifier
  | FunctionNode
  | VarargLiteral
  | MemberExpression
  | IndexExpression
  | TableConstructor
  | BinaryExpression
  | UnaryExpression
  | CallNode
  | (Located & { readonly type: 'StringLiteral'; readonly value: Bin })
  | (Located & { readonly type: 'NumericLiteral'; readonly value: number })
  | (Located & { readonly type: 'BooleanLiteral'; readonly value: boolean })
  | (Located & { readonly type: 'NilLiteral' })

type Body = readonly Statement[]

/** `for v = start, end, step do ... end` */
export interface NumericFor extends Located {
  readonly type: 'ForNumericStatement'
  readonly variable: Identifier
  readonly start: Expression
  readonly end: Expression
  readonly step: Expression | null
  readonly body: Body
}

/** `for a, b in ... do ... end` */
export interface GenericFor extends Located {
  readonly type: 'ForGenericStatement'
  readonly variables: readonly Identifier[]
  readonly iterators: readonly Expression[]
  readonly body: Body
  /** Where the loop keeps function, state and control. */
  slot?: number
}

/** Any statement. */
export type Statement =
  | (Located & {
      readonly type: 'LocalStatement'
      readonly variables: readonly Identifier[]
      readonly init: readonly Expression[]
    })
  | (Located & {
      readonly type: 'AssignmentStatement'
      readonly variables: readonly (Identifier | MemberExpression | IndexExpression)[]
      readonly init: readonly Expression[]
    })
  | (Located & { readonly type: 'CallStatement'; readonly expression: CallNode })
  | (Located & {
      readonly type: 'IfStatement'
      readonly clauses: readonly {
        readonly type: 'IfClause' | 'ElseifClause' | 'ElseClause'
        readonly condition?: Expression
        readonly body: Body
      }[]
    })
  | (Located & { readonly type: 'WhileStatement'; readonly condition: Expression; readonly body: Body })
  | (Located & { readonly type: 'RepeatStatement'; readonly condition: Expression; readonly body: Body })
  | (Located & { readonly type: 'DoStatement'; readonly body: Body })
  | (Located & { readonly type: 'ReturnStatement'; readonly arguments: readonly Expression[] })
  | (Located & { readonly type: 'BreakStatement' })
  | NumericFor
  | GenericFor
  | FunctionNode
