/** What a statement asks of each table's rows: conjuncts `column op constant` of where clauses, as conditions.
 *
 *  1. A condition is taken only where leaving rows out beforehand changes nothing: of tables joined row by row, from
 *     conjuncts that are not true of a row that is not there. Not of sampled tables, nor those of asof and positional
 *     joins, whose rows are matched by what else there is.
 *  2. Constants are worked out by DuckDB itself. `now()` is a little earlier here than in the query, so it bounds from
 *     below only. */
import type { DuckDBConnection } from '@duckdb/node-api'
import { parseJson, stringifyJson } from '../../../tiering/iceberg/json.ts'
import { type IcebergType, isPrimitive, parsePrimitive } from '../../../tiering/iceberg/types.ts'
import { type Comparison, type Condition, findColumn, type Literal } from '../../../tiering/sql/condition.ts'
import { type AstNode, nodeOf, nodesOf, type Survey, type TableRef, textOf } from './ast.ts'
import { rowsOf } from './duckdb.ts'

/** A column as conditions see it. */
export interface ConditionColumn {
  readonly name: string
  readonly type: IcebergType
}

/** What is needed to find conditions. */
export interface ConditionContext {
  /** The columns of a table that the statement names. */
  columnsOf(ref: TableRef): readonly ConditionColumn[]
  readonly parameters: readonly (string | number | bigint | boolean | null | object)[]
  /** For working out constants. */
  readonly connection: DuckDBConnection
}

/** Something to compare with, before it is worked out. */
interface Slot {
  readonly node: AstNode
  readonly kind: string
  value?: Literal | undefined
}

type Pattern =
  | { readonly op: 'and' | 'or'; readonly args: readonly Pattern[] }
  | { readonly op: Comparison; readonly column: string; readonly slot: Slot }
  | { readonly op: 'in'; readonly column: string; readonly slots: readonly Slot[] }
  | { readonly op: 'starts-with'; readonly column: string; readonly slot: Slot; readonly isPattern: boolean }
  | { readonly op: 'is-null' | 'not-null'; readonly column: string }

/** A table in a from clause. */
interface Source {
  /** Undefined for what is no table of ours: its columns are not known. */
  readonly ref: TableRef | undefined
  readonly label: string
  readonly schema: string
  /** Whether conditions may be taken for it. */
  readonly isOpen: boolean
}

/** Find the conditions of each table that a statement names. */
export async function findConditions(
  { selects, tables }: Pick<Survey, 'selects' | 'tables'>,
  context: ConditionContext,
): Promise<ReadonlyMap<TableRef, readonly Condition[]>> {
  const byNode = new Map(tables.map((ref) => [ref.node, ref]))
  const found: { ref: TableRef; pattern: Pattern }[] = []
  const slots: Slot[] = []
  for (const select of selects) {
    const from = nodeOf(select, 'from_table')
    const where = nodeOf(select, 'where_clause')
    if (from === undefined || where === undefined) continue
    const sources = sourcesOf(from, byNode, true)
    for (const conjunct of conjunctsOf(where)) {
      const reader = new PatternReader(sources, context)
      const pattern = reader.read(conjunct)
      const ref = reader.ref
      if (pattern === undefined || ref === undefined) continue
      found.push({ ref, pattern })
      slots.push(...reader.slots)
    }
  }
  await workOut(slots, context)
  const conditions = new Map<TableRef, Condition[]>()
  for (const { ref, pattern } of found) {
    const condition = conditionOf(pattern)
    if (condition === undefined) continue
    const known = conditions.get(ref)
    if (known === undefined) conditions.set(ref, [condition])
    else known.push(condition)
  }
  return conditions
}

function conjunctsOf(node: AstNode): readonly AstNode[] {
  return node.type === 'CONJUNCTION_AND' ? nodesOf(node, 'children').flatMap(conjunctsOf) : [node]
}

const rowByRow: ReadonlySet<unknown> = new Set(['REGULAR', 'CROSS', 'NATURAL', undefined])
const plainJoins: ReadonlySet<unknown> = new Set(['INNER', 'LEFT', 'RIGHT', 'OUTER', 'FULL', undefined])

function sourcesOf(from: AstNode, byNode: ReadonlyMap<AstNode, TableRef>, isOpen: boolean): Source[] {
  if (from.type === 'JOIN') {
    const isPlain = isOpen && rowByRow.has(from.ref_type)
    const isOneSided = from.join_type === 'SEMI' || from.join_type === 'ANTI'
    const [left, right] = [nodeOf(from, 'left'), nodeOf(from, 'right')]
    const isBoth = isPlain && plainJoins.has(from.join_type)
    return [
      ...(left === undefined ? [] : sourcesOf(left, byNode, isBoth || (isPlain && isOneSided))),
      ...(right === undefined || isOneSided ? [] : sourcesOf(right, byNode, isBoth)),
    ]
  }
  if (from.type === 'EMPTY') return []
  const ref = byNode.get(from)
  const label = (textOf(from, 'alias') || textOf(from, 'table_name')).toLowerCase()
  const schema = ref?.alias === undefined ? (ref?.schema ?? '').toLowerCase() : ''
  // New names for columns would have to be followed.
  const isRenamed = Array.isArray(from.column_name_alias) && from.column_name_alias.length > 0
  return [{ ref: isRenamed ? undefined : ref, label, schema, isOpen: isOpen && ref?.isSampled === false }]
}

const mirrored: Record<Comparison, Comparison> = { '=': '=', '<': '>', '<=': '>=', '>': '<', '>=': '<=' }
const comparisons: Record<string, Comparison> = {
  COMPARE_EQUAL: '=',
  COMPARE_LESSTHAN: '<',
  COMPARE_LESSTHANOREQUALTO: '<=',
  COMPARE_GREATERTHAN: '>',
  COMPARE_GREATERTHANOREQUALTO: '>=',
}

/** Reads one conjunct, which must be about one table. */
class PatternReader {
  readonly slots: Slot[] = []
  /** The table that it is about. */
  ref: TableRef | undefined
  private readonly sources: readonly Source[]
  private readonly context: ConditionContext

  constructor(sources: readonly Source[], context: ConditionContext) {
    this.sources = sources
    this.context = context
  }

  /** @returns undefined when it is no condition on one table */
  read(node: AstNode): Pattern | undefined {
    switch (node.class) {
      case 'CONJUNCTION': {
        const args = nodesOf(node, 'children').map((child) => this.read(child))
        const op = node.type === 'CONJUNCTION_AND' ? 'and' : 'or'
        return args.every((arg) => arg !== undefined) ? { op, args } : undefined
      }
      case 'COMPARISON':
        return this.comparison(comparisons[String(node.type)], nodeOf(node, 'left'), nodeOf(node, 'right'))
      case 'BETWEEN': {
        const input = nodeOf(node, 'input')
        const lower = this.comparison('>=', input, nodeOf(node, 'lower'))
        const upper = this.comparison('<=', input, nodeOf(node, 'upper'))
        return lower && upper && { op: 'and', args: [lower, upper] }
      }
      case 'OPERATOR':
        return this.operator(node)
      case 'FUNCTION':
        return this.prefix(node)
      default:
        return undefined
    }
  }

  private comparison(op: Comparison | undefined, left?: AstNode, right?: AstNode): Pattern | undefined {
    if (op === undefined || left === undefined || right === undefined) return undefined
    const column = this.column(left)
    if (column !== undefined) return this.leaf(op, column, right)
    const other = this.column(right)
    return other && this.leaf(mirrored[op], other, left)
  }

  private leaf(op: Comparison, column: ConditionColumn, node: AstNode): Pattern | undefined {
    const slot = this.slot(column, node, op === '>' || op === '>=')
    return slot && { op, column: column.name, slot }
  }

  private slot({ type }: ConditionColumn, node: AstNode, mayBeNow: boolean): Slot | undefined {
    if (!isPrimitive(type) || !isConstant(node, mayBeNow)) return undefined
    const slot = { node, kind: parsePrimitive(type).kind }
    this.slots.push(slot)
    return slot
  }

  private operator(node: AstNode): Pattern | undefined {
    const [first, ...rest] = nodesOf(node, 'children')
    const column = first && this.column(first)
    if (column === undefined) return undefined
    switch (node.type) {
      case 'COMPARE_IN': {
        const slots = rest.map((one) => this.slot(column, one, false))
        return slots.every((slot) => slot !== undefined) ? { op: 'in', column: column.name, slots } : undefined
      }
      case 'OPERATOR_IS_NOT_NULL':
        return { op: 'not-null', column: column.name }
      case 'OPERATOR_IS_NULL':
        // True of a row that is not there, so only where no join makes such rows.
        return this.sources.length === 1 ? { op: 'is-null', column: column.name } : undefined
      default:
        return undefined
    }
  }

  private prefix(node: AstNode): Pattern | undefined {
    const name = textOf(node, 'function_name')
    if (!['~~', 'starts_with', 'prefix', '^@'].includes(name)) return undefined
    const [first, second] = nodesOf(node, 'children')
    const column = first && this.column(first)
    if (column?.type !== 'string' || second === undefined) return undefined
    const slot = this.slot(column, second, false)
    return slot && { op: 'starts-with', column: column.name, slot, isPattern: name === '~~' }
  }

  /** Find the column that a node names, if it is one of a table that is open to conditions. */
  private column(node: AstNode): ConditionColumn | undefined {
    if (node.class !== 'COLUMN_REF') return undefined
    const names = (node.column_names as readonly string[]).map((name) => name)
    const source = this.sourceOf(names)
    if (source?.ref === undefined || !source.isOpen) return undefined
    if (this.ref !== undefined && this.ref !== source.ref) return undefined
    const column = findColumn(this.context.columnsOf(source.ref), names.at(-1) as string)
    if (column !== undefined) this.ref = source.ref
    return column
  }

  private sourceOf(names: readonly string[]): Source | undefined {
    const [name, label, schema] = names.map((one) => one.toLowerCase()).toReversed()
    if (names.length > 3 || name === undefined) return undefined
    if (label !== undefined) {
      const called = this.sources.filter(
        (source) => source.label === label && (schema ?? source.schema) === source.schema,
      )
      return called.length === 1 ? called[0] : undefined
    }
    // Without a table's name it may be a column of any; of those whose columns are not known, too.
    if (this.sources.some(({ ref }) => ref === undefined)) return undefined
    const having = this.sources.filter(
      ({ ref }) => findColumn(this.context.columnsOf(ref as TableRef), name) !== undefined,
    )
    return having.length === 1 ? having[0] : undefined
  }
}

const pureFunctions: ReadonlySet<string> = new Set([
  '+',
  '-',
  '*',
  'date_trunc',
  'make_date',
  'make_timestamp',
  'make_timestamptz',
  'to_days',
  'to_hours',
  'to_microseconds',
  'to_milliseconds',
  'to_minutes',
  'to_months',
  'to_seconds',
  'to_timestamp',
  'to_weeks',
  'to_years',
  'trunc',
])
const nowFunctions: ReadonlySet<string> = new Set(['now', 'get_current_timestamp', 'transaction_timestamp'])

/** Whether a node has one value for the whole query that DuckDB can tell beforehand.
 *  @param mayBeNow whether a time a little before now will do as well */
function isConstant(node: AstNode, mayBeNow: boolean): boolean {
  switch (node.class) {
    case 'CONSTANT':
    case 'PARAMETER':
      return true
    case 'CAST':
      return isConstant(nodeOf(node, 'child') ?? {}, mayBeNow)
    case 'FUNCTION': {
      const name = textOf(node, 'function_name')
      if (nowFunctions.has(name)) return mayBeNow
      const [first, ...rest] = nodesOf(node, 'children')
      if (!pureFunctions.has(name) || first === undefined) return false
      // Of what is taken away, an earlier time makes a later one.
      return (
        isConstant(first, mayBeNow && (name === '+' || name === '-')) && rest.every((one) => isConstant(one, false))
      )
    }
    default:
      return false
  }
}

/** Have DuckDB work out constants; those that it cannot stay without a value. */
async function workOut(
  slots: readonly Slot[],
  { connection, parameters }: Pick<ConditionContext, 'connection' | 'parameters'>,
): Promise<void> {
  if (slots.length === 0) return
  const select_list = slots.map(({ node }, at) => ({ ...withValues(node, parameters), alias: `c${at}` }))
  try {
    const [[empty]] = (await rowsOf(connection, "select json_serialize_sql('select 1')")) as [[string]]
    const { statements, ...rest } = parseJson(empty) as { statements: [{ node: AstNode }] }
    const statement = { ...statements[0], node: { ...statements[0].node, select_list } }
    const tree = stringifyJson({ ...rest, statements: [statement] })
    const [[sql]] = (await rowsOf(connection, 'select json_deserialize_sql($1::json)', [tree])) as [[string]]
    const asked = slots.map(({ kind }, at) => `typeof(c${at}), ${forms[kind] ?? plainForm}`.replaceAll('$', `c${at}`))
    const [row = []] = await rowsOf(connection, `select ${asked.join(', ')} from (${sql})`)
    for (const [at, slot] of slots.entries()) slot.value = literalOf(slot.kind, row[2 * at], row[2 * at + 1])
  } catch {
    // One of them cannot be worked out: the query itself will say why.
  }
}

/** Work out one constant.
 *  @param kind of the column it would be compared with, or `version` for an integer or a text
 *  @returns undefined when it is none */
export async function workOutOne(
  node: AstNode,
  kind: string,
  context: Pick<ConditionContext, 'connection' | 'parameters'>,
): Promise<Literal | undefined> {
  const slot: Slot = { node, kind }
  if (isConstant(node, true)) await workOut([slot], context)
  return slot.value
}

/** Put parameters' values in their places. */
function withValues(node: AstNode, parameters: ConditionContext['parameters']): AstNode {
  if (node.class === 'PARAMETER') return constantOf(parameters[Number(node.identifier) - 1] ?? null)
  const inside = Object.entries(node).map(([key, value]) => {
    if (Array.isArray(value)) return [key, value.map((one) => (isPlainNode(one) ? withValues(one, parameters) : one))]
    return [key, isPlainNode(value) && key !== 'value' ? withValues(value, parameters) : value]
  })
  return Object.fromEntries(inside)
}

const isPlainNode = (value: unknown): value is AstNode =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function constantOf(value: ConditionContext['parameters'][number]): AstNode {
  const constant = (id: string, one: unknown) => ({
    class: 'CONSTANT',
    type: 'VALUE_CONSTANT',
    alias: '',
    query_location: 0,
    value: { type: { id, type_info: null }, is_null: one === null, ...(one !== null && { value: one }) },
  })
  if (typeof value === 'string') return constant('VARCHAR', value)
  if (typeof value === 'boolean') return constant('BOOLEAN', value)
  if (typeof value === 'number') return constant(Number.isSafeInteger(value) ? 'BIGINT' : 'DOUBLE', value)
  // Bytes are not pushed down: the type alone says that these are none of the others.
  return constant('SQLNULL', null)
}

/** How constants are asked for, by the kind of the column they are compared with. */
const plainForm = '$::varchar'
const forms: Readonly<Record<string, string>> = {
  timestamptz: 'epoch_us(try_cast($ as timestamptz))::varchar',
  timestamp: 'epoch_us(try_cast($ as timestamp))::varchar',
  date: "date_diff('day', date '1970-01-01', try_cast($ as date))::varchar",
}

const integerTypes = /^U?(?:TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)$/
const timeTypes = /^(?:VARCHAR|DATE|TIMESTAMP(?:_S|_MS)?|TIMESTAMP WITH TIME ZONE)$/

/** Read a constant where comparing it with a column of that kind means what it does in DuckDB. */
function literalOf(kind: string, type: unknown, value: unknown): Literal | undefined {
  if (typeof type !== 'string' || typeof value !== 'string') return undefined
  const isNumeric = integerTypes.test(type) || type.startsWith('DECIMAL') || type === 'DOUBLE'
  switch (kind) {
    case 'string':
      return type === 'VARCHAR' ? value : undefined
    case 'boolean':
      return type === 'BOOLEAN' ? value === 'true' : undefined
    case 'int':
    case 'long':
      if (!(isNumeric || type === 'VARCHAR') || !/^-?\d+(?:\.0*)?$/.test(value)) return undefined
      return type === 'DOUBLE' && !Number.isSafeInteger(Number(value)) ? undefined : integerOf(value)
    case 'double':
      return isNumeric ? Number(value) : undefined
    case 'timestamp':
    case 'timestamptz':
      return timeTypes.test(type) ? { micros: integerOf(value) } : undefined
    case 'version':
      return type === 'VARCHAR' ? value : integerTypes.test(type) ? integerOf(value) : undefined
    case 'date':
      return type === 'DATE' || type === 'VARCHAR' ? { days: Number(value) } : undefined
    default:
      return undefined
  }
}

function integerOf(text: string): number | bigint {
  const exact = BigInt(text.split('.')[0] as string)
  const near = Number(exact)
  return Number.isSafeInteger(near) ? near : exact
}

function conditionOf(pattern: Pattern): Condition | undefined {
  switch (pattern.op) {
    case 'and': {
      const args = pattern.args.map(conditionOf).filter((arg) => arg !== undefined)
      return args.length === 0 ? undefined : { op: 'and', args }
    }
    case 'or': {
      const args = pattern.args.map(conditionOf)
      return args.every((arg) => arg !== undefined) ? { op: 'or', args } : undefined
    }
    case 'in': {
      const values = pattern.slots.map(({ value }) => value)
      return values.every((value) => value !== undefined) ? { op: 'in', column: pattern.column, values } : undefined
    }
    case 'starts-with': {
      const value = typeof pattern.slot.value === 'string' ? prefixOf(pattern.slot.value, pattern.isPattern) : ''
      return value === '' ? undefined : { op: 'starts-with', column: pattern.column, value }
    }
    case 'is-null':
    case 'not-null':
      return pattern
    default: {
      const { op, column, slot } = pattern
      return slot.value === undefined ? undefined : { op, column, value: slot.value }
    }
  }
}

/** The part of a pattern of `like` before its first sign. */
function prefixOf(text: string, isPattern: boolean): string {
  return isPattern ? (/^[^%_\\]*/.exec(text)?.[0] ?? '') : text
}
