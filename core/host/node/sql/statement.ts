/** From text to a statement that may be run: one select, described by DuckDB's own parser. */
import type { DuckDBConnection } from '@duckdb/node-api'
import { Failure } from '../../../errors.ts'
import { SQL_QUERY_CHARS_MAX } from '../../../limits.ts'
import { parseJson } from '../../../tiering/iceberg/json.ts'
import { checkFunctions } from './allowed.ts'
import { type AstNode, nodesOf, type Survey, survey, textOf } from './ast.ts'
import { rowsOf } from './duckdb.ts'
import { StatementText } from './text.ts'

/** What `show` lists instead of reading tables. */
export type Listing = 'tables' | 'databases' | 'columns'

/** A checked statement. */
export interface Statement extends Survey {
  readonly text: StatementText
  readonly explain: 'plan' | 'analyze' | undefined
  readonly listing: Listing | undefined
  /** Whether only the names and types of columns are asked for. */
  readonly isDescribed: boolean
}

const whatIs = 'SQL reads: with select, with, values, describe, summarize, show tables and explain'
/** With everything that is empty or left out: without, parts of it could not be turned into SQL again. */
const parse = 'select json_serialize_sql($1::varchar)'

/** Parse and check a statement.
 *  @throws invalid for wrong SQL, unsupported for what is refused, limit for a text that is too long */
export async function parseStatement(connection: DuckDBConnection, asked: string): Promise<Statement> {
  if (asked.length > SQL_QUERY_CHARS_MAX) {
    throw new Failure('limit', `the statement has ${asked.length} characters; ${SQL_QUERY_CHARS_MAX} are allowed`)
  }
  if (!asked.isWellFormed() || asked.includes('\0'))
    throw new Failure('invalid', 'the statement is not well-formed text')
  const { text, explain } = withoutExplain(asked)
  const [[json]] = (await rowsOf(connection, parse, [text.text])) as [[string]]
  const tree = parseJson(json) as AstNode
  if (tree.error === true) throw refusal(tree, text)
  const statements = nodesOf(tree, 'statements')
  const [statement] = statements
  if (statement === undefined) throw new Failure('invalid', 'there is no statement')
  if (statements.length > 1) throw new Failure('invalid', `one statement at a time; these are ${statements.length}`)
  const named = survey(statement)
  const placed = (failure: Failure, at: number | undefined) =>
    at === undefined ? failure : new Failure(failure.code, failure.message, text.place(at))
  checkFunctions(named.functions, placed)
  return { ...named, text, explain, ...shown(named, statement) }
}

/** Put blanks where `explain` stands: every place stays what it was. */
function withoutExplain(asked: string): { text: StatementText; explain: Statement['explain'] } {
  const text = new StatementText(asked)
  const [first, second] = text.words(2)
  if (first?.text !== 'explain') return { text, explain: undefined }
  const isAnalyze = second?.text === 'analyze'
  const end = isAnalyze ? second.end : first.end
  const blank = asked.slice(0, end).replaceAll(/\S/g, ' ')
  return { text: new StatementText(`${blank}${asked.slice(end)}`), explain: isAnalyze ? 'analyze' : 'plan' }
}

function refusal(tree: AstNode, text: StatementText): Failure {
  if (textOf(tree, 'error_type') === 'not implemented') {
    const word = text.words(1)[0]?.text ?? 'this'
    const isPivot = /pivot/i.test(text.text)
    const way = isPivot
      ? 'pivot is not to be had here: write it as aggregates with `filter (where ...)`'
      : `${whatIs}. To change data, use Redis or another protocol of the fabric`
    return new Failure('unsupported', isPivot ? way : `${word} is not to be had here. ${way}`, { line: 1, column: 1 })
  }
  const position = textOf(tree, 'position')
  const detail = position === '' ? undefined : text.place(Number(position))
  return new Failure('invalid', textOf(tree, 'error_message'), detail)
}

const listings: Record<string, Listing> = {
  tables: 'tables',
  databases: 'databases',
  __show_tables_expanded: 'columns',
}

function shown(named: Survey, statement: AstNode): Pick<Statement, 'listing' | 'isDescribed'> {
  const from = (statement.node as AstNode).from_table as AstNode | undefined
  const isSole = from?.type === 'SHOW_REF'
  const [first] = named.shows.filter(({ list }) => list !== '')
  // Elsewhere than alone, a description stands beside tables whose rows are wanted.
  if (first === undefined) return { listing: undefined, isDescribed: isSole && from?.show_type === 'DESCRIBE' }
  const listing = listings[first.list]
  if (isSole && listing !== undefined) return { listing, isDescribed: false }
  throw new Failure(
    'unsupported',
    `show tables, show databases and show all tables stand alone; use describe for a table`,
  )
}
