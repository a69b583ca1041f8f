/** From text to the parser's tree of one `select`. */
import { parse, type SelectFromStatement, type Statement } from 'pgsql-ast-parser'
import { Failure } from '../../../errors.ts'
import { QUERY_DEPTH_MAX } from '../../../limits.ts'
import { readText, type SqlText, type Token } from './sql-text.ts'

/** A query as the parser gives it. */
export interface ParsedQuery {
  readonly select: SelectFromStatement
  readonly text: SqlText
}

/** What to do about what this engine does not do. */
const wayOut = "run it on Node's engine, by R2 SQL (engine: 'r2'), or with Spark over /iceberg"

/** Make the failure of SQL that is known and not done here. */
export function refused(construct: string, way = wayOut): Failure {
  return new Failure('unsupported', `${construct} is not supported in Workers: ${way}`, { construct })
}

/** SQL that the parser does not read, by the words it stops at. */
const unread: { readonly [word: string]: string } = {
  escape: 'like ... escape',
  unknown: 'is unknown',
  both: 'trim(both ...)',
  leading: 'trim(leading ...)',
  trailing: 'trim(trailing ...)',
  within: 'within group',
  tablesample: 'tablesample',
  intersect: 'intersect',
  except: 'except',
  qualify: 'qualify',
  window: 'window',
  pivot: 'pivot',
  rollup: 'rollup',
  cube: 'cube',
  grouping: 'grouping sets',
  similar: 'similar to',
  collate: 'collate',
  rows: 'a window frame',
  range: 'a window frame',
  having: 'having without group by',
}

function unreadConstruct({ text: sql }: { text: SqlText }, at: Token | undefined): string | undefined {
  if (at === undefined) return undefined
  const index = sql.tokens.indexOf(at)
  const word = (offset: number) => sql.tokens[index + offset]?.text.toLowerCase() ?? ''
  if (word(-1) === 'is' && word(0) === 'distinct') return 'is distinct from'
  if (word(-1) === 'not' && word(0) === 'distinct') return 'is not distinct from'
  if ([word(-1), word(-2)].some((one) => /^system_(version|time)$/.test(one))) return 'for system_version as of'
  return unread[word(0)] ?? unread[word(-1)]
}

function parserFailure(error: unknown, text: SqlText): Failure {
  const message = error instanceof Error ? error.message : `${error}`
  const [, line, column] = /line (\d+) col (\d+)/.exec(message) ?? []
  if (line === undefined) {
    const end = text.placeOf(text.text.length)
    return new Failure('invalid', `line ${end.line}, column ${end.column}: the query ends too early`, end)
  }
  const before = text.text.split('\n').slice(0, Number(line) - 1)
  const offset = before.reduce((sum, one) => sum + one.length + 1, 0) + Number(column) - 1
  const token = text.tokenAt(offset)
  const construct = unreadConstruct({ text }, token)
  if (construct === 'for system_version as of') return refused(construct, 'ask for the past with asOf')
  if (construct !== undefined) return refused(construct)
  const place = text.placeOf(offset)
  const what = token === undefined ? 'an unexpected end' : `${JSON.stringify(token.text)} is not expected here`
  return new Failure('invalid', `line ${place.line}, column ${place.column}: ${what}`, place)
}

/** Parse a query.
 *  @throws invalid with `{ line, column }`, unsupported for what is not a `select` */
export function parseQuery(source: string): ParsedQuery {
  const text = readText(source)
  if (text.tokens.length === 0) throw new Failure('invalid', 'the query is empty')
  let statements: Statement[]
  try {
    statements = parse(text.text)
  } catch (error) {
    throw parserFailure(error, text)
  }
  const [statement] = statements
  if (statement === undefined) throw new Failure('invalid', 'the query is empty')
  if (statements.length > 1) throw refused('more than one statement', 'send them one by one')
  checkDepth(statement)
  return { select: asSelect(statement), text }
}

/** Refuse what binding and running would recurse into too deep; chains of one operator of logic are flat. */
function checkDepth(statement: Statement): void {
  const waiting: [value: unknown, depth: number][] = [[statement, 0]]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const [value, depth] = next
    if (typeof value !== 'object' || value === null) continue
    if (depth > QUERY_DEPTH_MAX * 4) {
      const message = `an expression nested more than ${QUERY_DEPTH_MAX * 4} deep: split it up`
      throw new Failure('limit', message, { max: QUERY_DEPTH_MAX * 4 })
    }
    const { op, left } = value as { op?: string; left?: { op?: string } }
    const isChain = (op === 'AND' || op === 'OR') && left?.op === op
    for (const part of Object.values(value)) waiting.push([part, isChain && part === left ? depth : depth + 1])
  }
}

/** Take a statement as a plain select.
 *  @throws unsupported for others */
export function asSelect(statement: Statement): SelectFromStatement {
  switch (statement.type) {
    case 'select':
      return statement
    case 'union':
    case 'union all':
    case 'with':
    case 'with recursive':
    case 'values':
      throw refused(statement.type)
    default:
      throw refused(`the statement ${statement.type}`, 'the lake is read with select; write through the engines')
  }
}
