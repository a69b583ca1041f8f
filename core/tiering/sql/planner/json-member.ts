/** `->` and `->>` on text that holds JSON. Text that is no JSON fails, as in Postgres and DuckDB. Numbers are written
 *  as JavaScript does: `1` for `1.0`, where DuckDB keeps the point. */
import { Failure } from '../../../errors.ts'
import { parseJson, stringifyJson } from '../../iceberg/json.ts'
import type { Evaluate, Make } from './expression.ts'
import type { Datum } from './values.ts'

/** The text parsed last: a query mostly asks for several members of one document. */
interface Parsed {
  text: string
  value: unknown
}

function parse(cache: Parsed, text: string): unknown {
  if (cache.text === text) return cache.value
  try {
    cache.value = parseJson(text)
  } catch {
    throw new Failure('invalid', `-> and ->> need JSON, not ${JSON.stringify(text.slice(0, 40))}`)
  }
  cache.text = text
  return cache.value
}

function member(value: unknown, name: string | number): unknown {
  if (typeof name === 'number') return Array.isArray(value) ? value.at(name) : undefined
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  return Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined
}

/** The text of a JSON value, a string's own without its quotes. */
function textOf(value: unknown): Datum {
  if (value === undefined || value === null) return null
  return typeof value === 'string' ? value : stringifyJson(value)
}

const shared: Parsed = { text: 'null', value: null }

const access =
  (write: (value: unknown) => Datum): Make =>
  ([value], { option }) =>
  (columns, row) => {
    const text = (value as Evaluate)(columns, row)
    return text === null ? null : write(member(parse(shared, text as string), option as string | number))
  }

/** Members of JSON by operator. */
export const jsonFunctions: { readonly [name: string]: Make } = {
  '->': access((value) => (value === undefined ? null : stringifyJson(value))),
  '->>': access(textOf),
}
