/** DuckDB's errors as failures, with their places in the text that was asked. */
import { Failure } from '../../../errors.ts'
import type { Place } from './text.ts'

interface DuckDBError {
  readonly exception_type?: string
  readonly exception_message?: string
  readonly position?: string
  readonly name?: string
}

/** Kinds of errors that are the fault of the statement. */
const faulty: ReadonlySet<string> = new Set([
  'Binder',
  'Catalog',
  'Constraint',
  'Conversion',
  'Decimal',
  'Dependency',
  'Divide by Zero',
  'Expression',
  'Invalid',
  'Invalid Input',
  'Invalid type',
  'Invalid Type',
  'Mismatch Type',
  'Object Size',
  'Out of Range',
  'Parameter Not Allowed',
  'Parameter Not Resolved',
  'Parser',
  'Sequence',
  'Syntax',
])

/** Turn what DuckDB threw into a failure.
 *  @param place finds places in the text that was asked */
export function duckFailure(error: unknown, place: (byte: number) => Place): Failure {
  if (error instanceof Failure) return error
  const text = error instanceof Error ? error.message : String(error)
  const { exception_type: type = '', exception_message: said = text, position } = parsed(text)
  // What follows shows the text around: of the one we made, not of the one that was asked.
  const message = (said.split('\n\nLINE ')[0] as string).trim()
  const detail = position === undefined ? undefined : place(Number(position))
  if (type === 'INTERRUPT' || /^Interrupted/i.test(message)) return new Failure('unavailable', 'the query was stopped')
  if (type === 'Out of Memory') return new Failure('limit', `the query takes more memory than it may: ${message}`)
  if (/Referenced (?:column|table) .* not found|does not have a column named/.test(message)) {
    return new Failure('not_found', message, detail, error)
  }
  if (type === 'Not implemented') return new Failure('unsupported', message, detail, error)
  if (faulty.has(type)) return new Failure('invalid', message, detail, error)
  if (type === 'IO' || type === 'HTTP') return new Failure('storage', message, undefined, error)
  return new Failure('internal', `DuckDB: ${type === '' ? message : `${type}: ${message}`}`, undefined, error)
}

/** Whether DuckDB cannot go on after an error. */
export function isFatal(error: unknown): boolean {
  const type = parsed(error instanceof Error ? error.message : String(error)).exception_type
  return type === 'FATAL' || type === 'INTERNAL'
}

function parsed(text: string): DuckDBError {
  const start = text.indexOf('{')
  if (start < 0) return {}
  try {
    return JSON.parse(text.slice(start)) as DuckDBError
  } catch {
    return {}
  }
}
