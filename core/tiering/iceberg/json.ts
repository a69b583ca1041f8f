/** JSON whose integers may have 64 bits: snapshot ids of other writers do.
 *  An integer within 2^53 is a number, a larger one a bigint; both ways. */
import { Failure } from '../../errors.ts'
import { type Long, toLong } from '../avro/binary.ts'

/** A string, or a run of digits long enough to pass 2^53. */
const stringOrLong = /"(?:[^"\\]|\\.)*"|(?<![\d.eE+-])-?\d{16,}(?![\d.eE])/g

/** Find a word that does not occur in a text, to mark with. */
function unusedMark(text: string): string {
  let mark = '#long:'
  while (text.includes(mark)) mark += '#'
  return mark
}

/** Parse JSON, integers past 2^53 as bigints.
 *  @throws invalid when it is not JSON */
export function parseJson(text: string): unknown {
  try {
    if (!/\d{16}/.test(text)) return JSON.parse(text)
    const mark = unusedMark(text)
    const marked = text.replace(stringOrLong, (part) => (part.startsWith('"') ? part : `"${mark}${part}"`))
    return JSON.parse(marked, (_, value) => {
      if (typeof value !== 'string' || !value.startsWith(mark)) return value
      return toLong(BigInt(value.slice(mark.length)))
    })
  } catch (error) {
    throw new Failure('invalid', `not JSON: ${error instanceof Error ? error.message : error}`)
  }
}

/** Write JSON, bigints as integers. */
export function stringifyJson(value: unknown): string {
  try {
    // Most have no bigint, and a replacer makes writing several times slower.
    return JSON.stringify(value)
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
  }
  const mark = unusedMark(JSON.stringify(value, (_, one) => (typeof one === 'bigint' ? `${one}` : one)))
  const marked = JSON.stringify(value, (_, one) => (typeof one === 'bigint' ? `${mark}${one}` : one))
  return marked.replace(new RegExp(`"${mark}(-?\\d+)"`, 'g'), '$1')
}

/** Turn an integer that came as text or number into a Long.
 *  @throws invalid when it is none */
export function asLong(value: unknown, what: string): Long {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value
  if (typeof value === 'bigint') return toLong(value)
  throw new Failure('invalid', `${what}: ${JSON.stringify(value)} is no integer`)
}
