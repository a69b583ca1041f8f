/** From the parser's expressions to bound ones: names become places, literals take the type of what they meet. */
import type { Expr as Ast, ExprBinary, ExprCall, ExprCase, ExprMember } from 'pgsql-ast-parser'
import { Failure } from '../../../errors.ts'
import { bindFunction } from './bind-function.ts'
import {
  asText,
  asTime,
  call,
  cast,
  castTarget,
  common,
  condition,
  number,
  ordered,
  text,
  truth,
  typeOfAll,
} from './coerce.ts'
import { constant, type Expr } from './expression.ts'
import { refused } from './parse.ts'
import type { Parameters, Scope } from './scope.ts'
import { isTimeField } from './time-functions.ts'
import { isInteger, kindOf } from './values.ts'

/** Whether a function is an aggregate. */
export function isAggregateName(name: string): boolean {
  return ['count', 'sum', 'avg', 'min', 'max'].includes(name.toLowerCase())
}

/** Where an expression stands. */
export interface BindContext {
  readonly scope: Scope
  readonly parameters: Parameters
  /** Asked first of every part: what a group's columns and aggregates stand for. */
  special?(ast: Ast): Expr | undefined
}

/** Bind an expression.
 *  @throws invalid, not_found, unsupported */
export function bind(ast: Ast, context: BindContext): Expr {
  const special = context.special?.(ast)
  if (special !== undefined) return special
  const sub = (part: Ast) => bind(part, context)
  switch (ast.type) {
    case 'null':
      return { op: 'literal', value: null, type: 'null' }
    case 'boolean':
      return { op: 'literal', value: ast.value, type: 'boolean' }
    case 'string':
      return { op: 'literal', value: ast.value, type: 'string', isUntyped: true }
    case 'integer':
      return { op: 'literal', value: ast.value, type: 'int' }
    case 'parameter':
      return context.parameters.get(ast.name)
    case 'ref': {
      if (ast.name === '*') throw new Failure('invalid', '* stands alone in a select list, or in count(*)')
      const { at, type } = context.scope.get({ name: ast.name, table: ast.table?.name, database: ast.table?.schema })
      return { op: 'column', at, type: type === 'float' ? 'double' : type }
    }
    case 'unary':
      return bindUnary(ast.op, ast.operand, sub)
    case 'binary':
      return bindBinary(ast, sub)
    case 'ternary': {
      const [value, low, high] = [sub(ast.value), sub(ast.lo), sub(ast.hi)]
      const both = truth('and', compared('>=', value, low), compared('<=', value, high))
      return ast.op === 'NOT BETWEEN' ? truth('not', both) : both
    }
    case 'case':
      return bindCase(ast, sub)
    case 'cast':
      return cast(sub(ast.operand), castTarget(ast.to))
    case 'member':
      return bindMember(ast, sub)
    case 'extract': {
      const field = ast.field.name.toLowerCase()
      if (!isTimeField(field)) throw refused(`extract(${field} ...)`)
      return call('extract', field === 'epoch' ? 'double' : 'long', [asTime(sub(ast.from), 'extract')], field)
    }
    case 'substring': {
      if (ast.from == null) throw refused('substring(text for length)', 'say where it begins: substr(text, 1, length)')
      const args = [sub(ast.value), sub(ast.from), ...(ast.for == null ? [] : [sub(ast.for)])]
      return bindFunction('substr', args)
    }
    case 'call':
      return bindCall(ast, sub)
    default:
      throw refused(constructOf(ast))
  }
}

function constructOf(ast: Ast): string {
  if (ast.type === 'select' || ast.type === 'union' || ast.type === 'with') return 'a subquery in an expression'
  if (ast.type === 'keyword') return ast.keyword
  if (ast.type === 'list') return 'a list of values'
  return ast.type
}

type Bind = (ast: Ast) => Expr

function bindUnary(op: string, operand: Ast, sub: Bind): Expr {
  const value = sub(operand)
  switch (op) {
    case '+':
      return number(value, 'unary +')
    case '-': {
      const one = number(value, 'unary -')
      if (one.op === 'literal' && one.value !== null)
        return { ...one, value: constant(call('negate', one.type, [one])) }
      return call('negate', one.type, [one])
    }
    case 'NOT':
      return truth('not', condition(value, 'not'))
    case 'IS NULL':
    case 'IS NOT NULL':
      return truth(op.toLowerCase(), value)
    default:
      return truth(op.toLowerCase(), condition(value, op.toLowerCase()))
  }
}

function bindBinary(ast: ExprBinary, sub: Bind): Expr {
  switch (ast.op) {
    case 'AND':
    case 'OR':
      return truth(
        ast.op.toLowerCase(),
        ...chain(ast, ast.op).map((part) => condition(sub(part), ast.op.toLowerCase())),
      )
    case '=':
    case '<':
    case '<=':
    case '>':
    case '>=':
      return compared(ast.op, sub(ast.left), sub(ast.right))
    case '!=':
      return compared('<>', sub(ast.left), sub(ast.right))
    case 'IN':
    case 'NOT IN': {
      const within = bindIn(ast, sub)
      return ast.op === 'IN' ? within : truth('not', within)
    }
    case 'LIKE':
    case 'ILIKE':
    case 'NOT LIKE':
    case 'NOT ILIKE': {
      const args = [text(sub(ast.left), 'like'), text(sub(ast.right), 'like')]
      const like = truth(ast.op.endsWith('ILIKE') ? 'ilike' : 'like', ...args)
      return ast.op.startsWith('NOT') ? truth('not', like) : like
    }
    case '||':
      return call('||', 'string', [asText(sub(ast.left)), asText(sub(ast.right))])
    case '+':
    case '-':
    case '*':
    case '/':
    case '%':
      return arithmetic(ast.op, sub(ast.left), sub(ast.right))
    default:
      throw refused(`the operator ${ast.op}`)
  }
}

/** Flatten `a and b and c`, which the parser nests. */
function chain(ast: Ast, op: string): Ast[] {
  const parts: Ast[] = []
  let rest: Ast = ast
  while (rest.type === 'binary' && rest.op === op) {
    parts.push(rest.right)
    rest = rest.left
  }
  return [...parts, rest].reverse()
}

function bindIn(ast: ExprBinary, sub: Bind): Expr {
  if (ast.right.type !== 'list') throw refused('in (select ...)', 'join the other table, or run two queries')
  const [value, ...list] = common([ast.left, ...ast.right.expressions].map(sub), 'in')
  return truth('in', value as Expr, ...list)
}

function bindCase(ast: ExprCase, sub: Bind): Expr {
  const tests = ast.whens.map(({ when }) => {
    if (ast.value == null) return condition(sub(when), 'case')
    return compared('=', sub(ast.value), sub(when))
  })
  const results = ast.whens.map(({ value }) => sub(value))
  const rest: Expr = ast.else == null ? { op: 'literal', value: null, type: 'null' } : sub(ast.else)
  const values = common([...results, rest], 'case')
  const args = tests.flatMap((test, at) => [test, values[at] as Expr])
  return call('case', typeOfAll(values), [...args, values.at(-1) as Expr])
}

function bindMember(ast: ExprMember, sub: Bind): Expr {
  const value = sub(ast.operand)
  const kind = kindOf(value.type)
  if (kind !== 'string' && kind !== 'json' && kind !== 'null') {
    throw new Failure('invalid', `${ast.op} is for text that holds JSON, not for ${value.type}`)
  }
  if (typeof ast.member === 'string' && /^[$/]/.test(ast.member)) {
    throw refused(`a path such as ${JSON.stringify(ast.member)}`, "write one -> a member: data -> 'a' ->> 'b'")
  }
  return call(ast.op, ast.op === '->' ? 'json' : 'string', [value], ast.member)
}

function bindCall(ast: ExprCall, sub: Bind): Expr {
  const name = ast.function.name.toLowerCase()
  if (ast.over != null) throw refused('a window function')
  if (ast.filter != null) throw refused('filter (where ...)', 'write sum(case when ... then ... end)')
  if (ast.withinGroup != null) throw refused('within group')
  if (ast.orderBy != null || ast.distinct != null) throw refused(`${name}(distinct ... order by ...)`)
  if (isAggregateName(name)) throw new Failure('invalid', `${name} cannot stand here: aggregates are of a select`)
  if (name === 'exists') throw refused('exists (select ...)')
  const args = ast.args.map(sub)
  if (name === 'coalesce') {
    if (args.length === 0) throw new Failure('invalid', 'coalesce needs an argument')
    const values = common(args, name)
    return call(name, typeOfAll(values), values)
  }
  if (name === 'nullif') {
    if (args.length !== 2) throw new Failure('invalid', `nullif takes 2 arguments, not ${args.length}`)
    const [a, b] = common(args, name) as [Expr, Expr]
    ordered(a, name)
    return call(name, a.type, [a, b])
  }
  return bindFunction(name, args)
}

function compared(op: string, a: Expr, b: Expr): Expr {
  const [left, right] = common([a, b], op) as [Expr, Expr]
  ordered(left, op)
  ordered(right, op)
  return truth(op, left, right)
}

function arithmetic(op: string, a: Expr, b: Expr): Expr {
  const [left, right] = [number(a, op), number(b, op)]
  const isWhole = isInteger(left.type) && isInteger(right.type)
  const isLong = left.type === 'long' || right.type === 'long'
  return call(op, isWhole ? (isLong ? 'long' : 'int') : 'double', [left, right])
}
