/** What the Sql port refuses, on every host alike, and how SQLite's own errors become failures.
 *
 *  1. A statement is checked once per text (hosts cache the answer), its values at every call.
 *  2. Refused is what only one host can do (BEGIN, ATTACH, VACUUM, TEMP, most pragmas, functions workerd does not
 *     authorize), what resets a Durable Object (OR ROLLBACK, deferred foreign keys), and what a host would mangle in
 *     silence (several statements in one text, booleans, dates, lone surrogates).
 *  3. Limits of Durable Object SQL that cannot be seen in a text (depth of an expression, arguments of a function, a
 *     bound LIKE pattern, a row that an update makes too large) fail there with `limit`, not here.
 *  @source facts/durable-objects.md, section 3 */
import { type Code, Failure } from '../errors.ts'
import {
  SQL_COLUMNS_MAX,
  SQL_COMPOUND_TERMS_MAX,
  SQL_PARAMETERS_MAX,
  SQL_PATTERN_BYTES_MAX,
  SQL_ROW_BYTES_MAX,
  SQL_STATEMENT_BYTES_MAX,
} from '../limits.ts'
import type { SqlValue } from './sql.ts'
import { excerpt, nameOf, type Token, tokenize, untokenize } from './sql-tokens.ts'

declare global {
  // In Node 20 and workerd, not yet in the lib of our compiler target.
  interface String {
    isWellFormed(): boolean
  }
}

/** A statement that every host may run. */
export interface CheckedStatement {
  /** The text to run, see `untokenize`. */
  readonly text: string
  /** How many `?` it has. */
  readonly parameters: number
  /** Whether it cannot write. */
  readonly readonly: boolean
}

const words = (text: string) => new Set(text.split(' '))
const verbs = words('select values with insert replace update delete create drop alter analyze reindex pragma explain')
/** The pragmas a Durable Object allows, less those that change how a connection works. */
const pragmas = words(
  'table_info table_xinfo table_list index_list index_info index_xinfo foreign_key_list foreign_key_check ' +
    'quick_check optimize',
)
/** Functions that one host lacks or does not authorize. */
const functions = words(
  'sqlite_version sqlite_source_id sqlite_compileoption_used sqlite_compileoption_get sqlite_log load_extension ' +
    'json_pretty soundex median percentile percentile_cont percentile_disc json_array_insert jsonb_array_insert ' +
    'unistr unistr_quote jsonb_each jsonb_tree fts3_tokenizer',
)
const tables = words('dbstat sqlite_dbpage sqlite_stmt sqlite_temp_master sqlite_temp_schema')
const modules = words('fts5 fts5vocab')
const setOperators = words('union intersect except')
const constraintWords = words('constraint primary unique check foreign')
const writingWords = words('insert update delete replace')

/** Check a statement's text.
 *  @throws invalid when it is not one statement with plain `?` parameters; unsupported when some host refuses or
 *  mangles it; limit when it is too large
 *  @cost reads the text once; hosts keep the answer per text */
export function checkStatement(statement: string): CheckedStatement {
  if (isLonger(statement, SQL_STATEMENT_BYTES_MAX)) {
    throw new Failure('limit', `a statement has more than ${SQL_STATEMENT_BYTES_MAX} bytes: ${excerpt(statement)}`)
  }
  if (statement.includes('\0')) throw new Failure('invalid', `a statement has a NUL in it: ${excerpt(statement)}`)
  const single = onlyStatement(tokenize(statement), statement)
  const refuse = (what: string) => new Failure('unsupported', `${what} cannot run on every host: ${excerpt(statement)}`)
  for (const [at, token] of single.entries()) {
    const what = refusedAt(single, at, token)
    if (what !== undefined) throw refuse(what)
  }
  const what = refusedVerb(single)
  if (what !== undefined) throw refuse(what)
  checkCounts(single, statement)
  const parameters = single.filter(({ kind }) => kind === 'parameter').length
  // The arguments of a virtual table's module are its own language: nothing in them is a name to us.
  return { text: untokenize(statement, single, !isVirtual(single)), parameters, readonly: cannotWrite(single) }
}

/** Cut off closing semicolons; refuse a second statement, which workerd would run with the parameters of the last. */
function onlyStatement(tokens: readonly Token[], statement: string): Token[] {
  const isTrigger = tokens[0]?.word === 'create' && tokens.slice(1, 3).some(({ word }) => word === 'trigger')
  const closes = (at: number) => tokens[at - 1]?.word === 'end' && tokens[at - 2]?.text === ';'
  const end = tokens.findIndex(({ text }, at) => text === ';' && (!isTrigger || closes(at)))
  const single = end < 0 ? tokens.slice() : tokens.slice(0, end)
  if (single.length === 0) throw new Failure('invalid', 'a statement is empty')
  if (end >= 0 && tokens.slice(end).some(({ text }) => text !== ';')) {
    throw new Failure('invalid', `more than one statement in one text: ${excerpt(statement)}`)
  }
  return single
}

/** @returns what is refused about one token where it stands, or undefined */
function refusedAt(tokens: readonly Token[], at: number, token: Token): string | undefined {
  const next = tokens[at + 1]
  const { kind, word } = token
  if (kind === 'parameter' && token.text !== '?') return `the parameter ${token.text} (use plain ?)`
  if (nameOf(token).startsWith('_cf_')) return `the name ${token.text}`
  if (kind !== 'word') return undefined
  if (word === 'rollback') return 'rollback'
  if (tables.has(word)) return `the table ${word}`
  if ((word === 'temp' || word === 'temporary') && (next?.text === '.' || tokens[at - 1]?.word === 'create'))
    return word
  if (word === 'initially' && next?.word === 'deferred') return 'a deferred foreign key'
  if (word.startsWith('pragma_') && !pragmas.has(word.slice('pragma_'.length))) return word
  if (functions.has(word) && next?.text === '(') return `the function ${word}`
  return undefined
}

function isPattern(tokens: readonly Token[], at: number): boolean {
  const word = tokens[at - 1]?.word
  return tokens[at]?.kind === 'string' && (word === 'like' || word === 'glob')
}

/** @returns what is refused about the statement as a whole, or undefined */
function refusedVerb(tokens: readonly Token[]): string | undefined {
  const verb = tokens[0]?.word ?? ''
  if (!verbs.has(verb)) return `the statement ${tokens[0]?.text}`
  if (verb === 'explain') {
    const inner = tokens[1]?.word === 'query' ? tokens.slice(3) : tokens.slice(1)
    return inner[0]?.word === 'explain' ? 'explain explain' : refusedVerb(inner)
  }
  if (verb === 'pragma') {
    const name = pragmaName(tokens)
    if (!pragmas.has(name)) return `pragma ${name}`
    if (tokens.some(({ text }) => text === '=')) return `setting pragma ${name}`
  }
  if (isVirtual(tokens)) {
    const module = tokens[tokens.findIndex(({ word }) => word === 'using') + 1]?.word ?? ''
    if (!modules.has(module)) return `the module ${module}`
  }
  return undefined
}

function isVirtual(tokens: readonly Token[]): boolean {
  return tokens[0]?.word === 'create' && tokens[1]?.word === 'virtual'
}

function pragmaName(tokens: readonly Token[]): string {
  return tokens[tokens[2]?.text === '.' ? 3 : 1]?.word ?? ''
}

/** Hold parameters, written patterns, terms of a compound select and columns of a new table to the limits of a
 *  Durable Object. */
function checkCounts(tokens: readonly Token[], statement: string): void {
  const refuse = (what: string, most: number) =>
    new Failure('limit', `more than ${most} ${what} in one statement: ${excerpt(statement)}`)
  const isTable = tokens[0]?.word === 'create' && tokens[1]?.word === 'table'
  let parameters = 0
  let columns = 0
  const terms = [1]
  for (const [at, { kind, text, word }] of tokens.entries()) {
    if (kind === 'parameter' && ++parameters > SQL_PARAMETERS_MAX) throw refuse('parameters', SQL_PARAMETERS_MAX)
    if (isPattern(tokens, at) && isLonger(text.slice(1, -1).replaceAll("''", "'"), SQL_PATTERN_BYTES_MAX)) {
      throw refuse('bytes of a pattern', SQL_PATTERN_BYTES_MAX)
    }
    if (text === '(') terms.push(1)
    else if (text === ')' && terms.length > 1) terms.pop()
    const depth = terms.length - 1
    if (text === ';') terms[depth] = 1
    if (setOperators.has(word)) terms[depth] = (terms[depth] as number) + 1
    if ((terms[depth] as number) > SQL_COMPOUND_TERMS_MAX) throw refuse('compound terms', SQL_COMPOUND_TERMS_MAX)
    const opensEntry = isTable && depth === 1 && (text === '(' || text === ',')
    if (opensEntry && !constraintWords.has(tokens[at + 1]?.word ?? '') && ++columns > SQL_COLUMNS_MAX) {
      throw refuse('columns', SQL_COLUMNS_MAX)
    }
  }
}

function cannotWrite(tokens: readonly Token[]): boolean {
  const verb = tokens[0]?.word ?? ''
  if (verb === 'pragma') return pragmaName(tokens) !== 'optimize'
  if (verb !== 'with') return verb === 'select' || verb === 'values' || verb === 'explain'
  // What a `with` does stands outside all brackets; there, these words are no names (`replace(` is a function).
  let depth = 0
  return !tokens.some(({ text, word }, at) => {
    depth += text === '(' ? 1 : text === ')' ? -1 : 0
    return depth === 0 && writingWords.has(word) && tokens[at + 1]?.text !== '('
  })
}

/** Check the values of one call: their number, their types, their size together.
 *  @throws invalid for a value some host would mangle or a wrong number of values; limit for too many bytes
 *  @cost one loop; text is looked through for lone surrogates, which both hosts would replace by U+FFFD */
export function checkValues(values: readonly SqlValue[], parameters: number): void {
  const count = values.length
  if (count !== parameters)
    throw new Failure('invalid', `a statement has ${parameters} parameters and got ${count} values`)
  let bytesAtMost = 0
  for (let at = 0; at < count; at++) {
    const value = values[at]
    if (typeof value === 'number' || value === null) continue
    if (typeof value === 'string') {
      bytesAtMost += value.length * 3
      if (!value.isWellFormed())
        throw new Failure('invalid', `value ${at + 1} has a lone surrogate: it is not UTF-8 text`)
    } else if (value instanceof Uint8Array) bytesAtMost += value.byteLength
    else throw refuseValue(value, at)
  }
  // Values of one statement go into one row, as a rule, or are the JSON of many: held together to the limit of a row.
  if (bytesAtMost > SQL_ROW_BYTES_MAX) checkBytes(values)
}

function refuseValue(value: unknown, at: number): Failure {
  const type = typeof value === 'object' ? (value?.constructor?.name ?? 'object') : typeof value
  return new Failure('invalid', `value ${at + 1} is a ${type}; SQL takes null, number, string and Uint8Array`)
}

function checkBytes(values: readonly SqlValue[]): void {
  let bytes = 0
  for (const value of values) {
    if (typeof value === 'string') bytes += utf8Bytes(value)
    else if (value instanceof Uint8Array) bytes += value.byteLength
  }
  if (bytes <= SQL_ROW_BYTES_MAX) return
  throw new Failure('limit', `the values of a statement have ${bytes} bytes; ${SQL_ROW_BYTES_MAX} is the most`)
}

function utf8Bytes(text: string): number {
  return new TextEncoder().encode(text).length
}

/** @returns whether text has more bytes than that in UTF-8, where a char takes one to three */
function isLonger(text: string, bytes: number): boolean {
  return text.length > bytes || (text.length * 3 > bytes && utf8Bytes(text) > bytes)
}

/** Hold the columns of a result to the limit of a Durable Object.
 *  @throws limit */
export function checkColumns(count: number): void {
  if (count <= SQL_COLUMNS_MAX) return
  throw new Failure('limit', `a result has ${count} columns; ${SQL_COLUMNS_MAX} is the most`)
}

/** Which constraint a statement broke. */
export type Constraint = 'unique' | 'check' | 'notnull' | 'foreignkey' | 'other'

const constraints: { readonly [code: string]: Constraint } = {
  SQLITE_CONSTRAINT_UNIQUE: 'unique',
  SQLITE_CONSTRAINT_PRIMARYKEY: 'unique',
  SQLITE_CONSTRAINT_ROWID: 'unique',
  SQLITE_CONSTRAINT_CHECK: 'check',
  SQLITE_CONSTRAINT_NOTNULL: 'notnull',
  SQLITE_CONSTRAINT_FOREIGNKEY: 'foreignkey',
}

const failureCodes: { readonly [code: string]: Code } = {
  SQLITE_CONSTRAINT: 'conflict',
  SQLITE_TOOBIG: 'limit',
  SQLITE_ERROR: 'invalid',
  SQLITE_MISMATCH: 'invalid',
  SQLITE_RANGE: 'invalid',
  SQLITE_AUTH: 'unsupported',
}

/** SQLite's words for its own limits, which have no result code: terms, columns, depth, arguments, patterns. */
const limitMessage = /^too many |too large|too complex/i

/** Turn an error of SQLite into a failure.
 *  @param code extended result code by name, such as SQLITE_CONSTRAINT_UNIQUE
 *  @returns conflict for a constraint, invalid for wrong SQL, limit, unsupported, and storage for everything else */
export function sqlFailure(code: string, message: string, cause: unknown): Failure {
  const primary = code.split('_', 2).join('_')
  const isLimit = primary === 'SQLITE_ERROR' && limitMessage.test(message)
  const mapped = isLimit ? 'limit' : (failureCodes[primary] ?? 'storage')
  const detail = mapped === 'conflict' ? { constraint: constraints[code] ?? 'other' } : { sqlite: code }
  return new Failure(mapped, message, detail, cause)
}
