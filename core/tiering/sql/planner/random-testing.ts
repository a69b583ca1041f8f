/** For tests: random rows, and random queries that the planner and DuckDB both answer. */
import type { MemoryTables } from './testing.ts'
import type { Datum } from './values.ts'

type Type = 'int' | 'long' | 'double' | 'string' | 'boolean' | 'timestamptz'

const columns: Record<string, readonly (readonly [name: string, type: Type])[]> = {
  t: [
    ['id', 'int'],
    ['n', 'long'],
    ['x', 'double'],
    ['s', 'string'],
    ['b', 'boolean'],
    ['ts', 'timestamptz'],
  ],
  u: [
    ['k', 'int'],
    ['m', 'long'],
    ['w', 'string'],
  ],
}

const timeFields = ['year', 'month', 'day', 'hour', 'dow', 'week', 'doy', 'quarter']
const timeUnits = ['day', 'month', 'hour', 'week', 'quarter', 'year', 'minute']
const patterns = ['%', 'a%', '%b', '%a%', '_', '_b%', 'A_c', '']
const words = ['', 'a', 'b', 'ab', 'abc', 'B', 'Ä', 'é', '😀', 'zebra', 'a%', 'x_y']

/** Makes chance and queries from a seed. */
export class QueryMaker {
  private state: number

  constructor(seed: number) {
    this.state = seed * 0x9e3779b9
  }

  /** A random integer from 0 on. */
  below(bound: number): number {
    this.state = (Math.imul(this.state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((this.state / 2 ** 32) * bound)
  }

  /** One of several. */
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T
  }

  private chance(percent: number): boolean {
    return this.below(100) < percent
  }

  /** A value of a type, null one time in eight. */
  value(type: Type): Datum {
    if (this.chance(12)) return null
    switch (type) {
      case 'int':
        return this.below(20) - 5
      case 'long':
        return this.chance(5) ? 2n ** 60n + BigInt(this.below(9)) : this.below(40) - 20
      case 'double':
        return this.chance(6) ? this.pick([Number.NaN, Infinity, -Infinity, 0]) : (this.below(400) - 200) / 8
      case 'string':
        return this.pick(words)
      case 'boolean':
        return this.chance(50)
      case 'timestamptz':
        return (this.below(2_000_000_000) - 500_000_000) * 1_000_000 + this.below(1_000_000)
    }
  }

  private scope: readonly (readonly [name: string, type: Type])[] = []

  /** A query; ordered by all of its columns when it has a limit, so that there is one answer. */
  query(): string {
    const kind = this.below(10)
    if (kind < 2) return this.joined()
    this.scope = columns.t as (typeof columns)['t']
    if (kind === 2) {
      const inner = `select id, n, x, s, b, ts from t${this.where()}`
      return this.select(`(${inner}) as t`)
    }
    return this.select('t')
  }

  /** A condition on columns of one's own. */
  plainCondition(own: readonly (readonly [name: string, type: Type])[]): string {
    this.scope = own
    return this.condition(1)
  }

  private joined(): string {
    const name = (table: string) =>
      (columns[table] ?? []).map(([column, type]) => [`${table}.${column}`, type] as const)
    this.scope = [...name('t'), ...name('u')]
    const more = this.chance(30) ? ` and ${this.condition(1)}` : ''
    return this.select(
      `t ${this.pick(['join', 'left join'])} u on ${this.pick(['t.id = u.k', 't.n = u.m', 't.s = u.w'])}${more}`,
    )
  }

  private select(from: string): string {
    const where = this.where()
    if (this.chance(55)) return this.grouped(from, where)
    const list = this.list(1 + this.below(4))
    const distinct = this.chance(20) ? 'distinct ' : ''
    const named = list.map((one, at) => `${one} as c${at}`).join(', ')
    return `select ${distinct}${named} from ${from}${where}${this.tail(list.length)}`
  }

  private grouped(from: string, where: string): string {
    const by = this.list(this.below(3))
    const aggregates = Array.from({ length: 1 + this.below(3) }, () => this.aggregate())
    const list = [...by, ...aggregates].map((one, at) => `${one} as c${at}`).join(', ')
    const group = by.length === 0 ? '' : ` group by ${by.map((_, at) => at + 1).join(', ')}`
    const having =
      by.length > 0 && this.chance(30) ? ` having ${this.aggregate()} is not null and count(*) > ${this.below(3)}` : ''
    return `select ${list} from ${from}${where}${group}${having}${this.tail(by.length + aggregates.length)}`
  }

  private tail(width: number): string {
    if (!this.chance(50)) return ''
    const terms = Array.from({ length: width }, (_, at) => {
      return `${at + 1}${this.pick(['', ' asc', ' desc'])}${this.pick(['', ' nulls first', ' nulls last'])}`
    })
    const limit = this.chance(60) ? ` limit ${this.below(12)}${this.chance(40) ? ` offset ${this.below(4)}` : ''}` : ''
    return ` order by ${terms.join(', ')}${limit}`
  }

  private where(): string {
    return this.chance(60) ? ` where ${this.condition(2)}` : ''
  }

  private list(count: number): string[] {
    return Array.from({ length: count }, () =>
      this.expression(this.pick(['int', 'long', 'double', 'string', 'boolean', 'timestamptz']), 2),
    )
  }

  private aggregate(): string {
    const numeric = () => this.expression(this.pick(['int', 'long']), 1)
    const any = () => this.expression(this.pick(['int', 'long', 'double', 'string', 'timestamptz', 'boolean']), 1)
    return this.pick([
      () => 'count(*)',
      () => `count(${any()})`,
      () => `count(distinct ${any()})`,
      () => `sum(${numeric()})`,
      () => `avg(${numeric()})`,
      () => `min(${any()})`,
      () => `max(${any()})`,
    ])()
  }

  private column(type: Type): string {
    const fitting = this.scope.filter(([, one]) => one === type)
    const [name] = fitting.length === 0 ? [this.literal(type)] : this.pick(fitting)
    return name
  }

  private literal(type: Type): string {
    const value = this.value(type)
    if (value === null) return `cast(null as ${sqlTypes[type]})`
    if (type === 'string') return `'${value}'`
    if (type === 'double') return `cast('${value}' as double precision)`
    if (type === 'timestamptz')
      return `cast('${new Date(Math.trunc(Number(value) / 1000)).toISOString()}' as timestamptz)`
    return type === 'boolean' ? `${value}` : `cast(${value} as ${sqlTypes[type]})`
  }

  /** An expression of a type. */
  expression(type: Type, depth: number): string {
    if (depth === 0 || this.chance(35)) return this.chance(75) ? this.column(type) : this.literal(type)
    const sub = (of: Type) => this.expression(of, depth - 1)
    const common = [
      () => `case when ${this.condition(depth - 1)} then ${sub(type)} else ${sub(type)} end`,
      () => `coalesce(${sub(type)}, ${sub(type)})`,
      () => `nullif(${sub(type)}, ${sub(type)})`,
    ]
    return this.pick([...common, ...this.own(type, sub)])()
  }

  private own(type: Type, sub: (of: Type) => string): (() => string)[] {
    switch (type) {
      case 'int':
        return [
          () => `(${sub('int')} ${this.pick(['+', '-', '*', '/', '%'])} ${sub('int')})`,
          () => `abs(${sub('int')})`,
          () => `cast(${sub('boolean')} as int)`,
        ]
      case 'long':
        return [
          () => `(${sub('long')} ${this.pick(['+', '-', '/', '%'])} ${sub('int')})`,
          () => `length(${sub('string')})`,
          () => `extract(${this.pick(timeFields)} from ${sub('timestamptz')})`,
          () => `(- ${sub('long')})`,
        ]
      case 'double':
        return [
          () => `(${sub('double')} ${this.pick(['+', '-', '*', '/'])} ${sub(this.pick(['int', 'double']))})`,
          () => `${this.pick(['floor', 'ceil', 'round', 'abs'])}(${sub('double')})`,
          () => `cast(${sub('int')} as double precision)`,
        ]
      case 'string':
        return [
          () => `(${sub('string')} || ${sub(this.pick(['string', 'int']))})`,
          () => `${this.pick(['upper', 'lower'])}(${sub('string')})`,
          () => `substr(${sub('string')}, ${this.below(6) - 2}${this.chance(60) ? `, ${this.below(4)}` : ''})`,
          () => `cast(${sub(this.pick(['int', 'long', 'boolean', 'timestamptz', 'double']))} as text)`,
        ]
      case 'timestamptz':
        return [() => `date_trunc('${this.pick(timeUnits)}', ${sub('timestamptz')})`]
      case 'boolean':
        return [() => `(${this.condition(1)})`]
    }
  }

  /** A condition. */
  condition(depth: number): string {
    const type = this.pick<Type>(['int', 'long', 'double', 'string', 'timestamptz'])
    const sub = (of: Type) => this.expression(of, Math.max(0, depth - 1))
    const plain = [
      () => `${sub(type)} ${this.pick(['=', '<>', '<', '<=', '>', '>='])} ${sub(type)}`,
      () => `${sub('long')} ${this.pick(['=', '<', '>'])} ${sub('int')}`,
      () => `${sub(type)} ${this.pick(['in', 'not in'])} (${this.literal(type)}, ${this.literal(type)}, ${sub(type)})`,
      () => `${sub(type)} ${this.pick(['between', 'not between'])} ${sub(type)} and ${sub(type)}`,
      () => `${sub('string')} ${this.pick(['like', 'not like', 'ilike'])} '${this.pick(patterns)}'`,
      () => `${sub(type)} ${this.pick(['is null', 'is not null'])}`,
      () => `${this.column('boolean')} ${this.pick(['is true', 'is not true', 'is false', 'is not false'])}`,
    ]
    if (depth <= 0 || this.chance(50)) return this.pick(plain)()
    return this.pick([
      () => `(${this.condition(depth - 1)} and ${this.condition(depth - 1)})`,
      () => `(${this.condition(depth - 1)} or ${this.condition(depth - 1)})`,
      () => `not (${this.condition(depth - 1)})`,
    ])()
  }
}

const sqlTypes: Record<Type, string> = {
  int: 'int',
  long: 'bigint',
  double: 'double precision',
  string: 'text',
  boolean: 'boolean',
  timestamptz: 'timestamptz',
}

/** Make the tables `t` and `u`. */
export function randomTables(maker: QueryMaker): MemoryTables {
  const table = (name: string, count: number) => {
    const declared = columns[name] ?? []
    const rows = Array.from({ length: count }, () => declared.map(([, type]) => maker.value(type)))
    return { columns: declared.map(([column, type]) => ({ name: column, type })), rows }
  }
  return { t: table('t', maker.below(120)), u: table('u', maker.below(15)) }
}
