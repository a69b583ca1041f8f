/** Which changes a consumer wants. Collections are filtered at the shard, the rest here. */
import { Failure } from '../errors.ts'
import { FEED_COLLECTIONS_MAX, FEED_PATTERN_CHARS_MAX } from '../limits.ts'
import type { ChangeRecord } from '../shard/system.ts'
import { isPublic, type Operation, operationOf, operations } from './event.ts'

/** What to keep; what is left out keeps everything. */
export interface Filter {
  collections?: readonly string[]
  /** A pattern for the whole documentId: `*` is any text, `?` any one character, `\` takes the next one literally. A
   *  truncate passes every pattern: the documents it removed are not named. */
  documentId?: string
  /** `put` keeps `insert` and `update` too: they are puts of which more is known. */
  operations?: readonly Operation[]
}

/** Make the test of a filter, for records of the collections it names.
 *  @throws invalid for an operation that does not exist, an empty list or text that is too long */
export function compileFilter({ collections, documentId, operations: wanted }: Filter): (r: ChangeRecord) => boolean {
  if (collections !== undefined) checkCollections(collections)
  const kinds = wanted && operationSet(wanted)
  const matches = documentId === undefined ? undefined : compileGlob(documentId)
  return (record) => {
    if (!isPublic(record)) return false
    if (kinds !== undefined && !kinds.has(operationOf(record))) return false
    return matches === undefined || record.op === 'truncate' || matches(record.documentId)
  }
}

function checkCollections(names: readonly string[]): void {
  const good = (name: string) => name.length > 0 && name.length <= FEED_PATTERN_CHARS_MAX
  if (names.length > 0 && names.length <= FEED_COLLECTIONS_MAX && names.every(good)) return
  throw new Failure('invalid', `collections must be 1 to ${FEED_COLLECTIONS_MAX} names, none of them empty`)
}

function operationSet(names: readonly string[]): Set<Operation> {
  const odd = names.find((name) => !operations.includes(name as Operation))
  if (odd !== undefined || names.length === 0) {
    throw new Failure('invalid', `no operation ${JSON.stringify(odd ?? '')}: there are ${operations.join(', ')}`)
  }
  const set = new Set(names as Operation[])
  return set.has('put') ? set.add('insert').add('update') : set
}

/** One place of a pattern: a character, any one character, or any text. */
type Part = { literal: string } | 'one' | 'any'

/** Make the test of a glob pattern.
 *  @throws invalid when the pattern is too long or ends in a lone `\`
 *  @cost of a test: at most the product of both lengths; no pattern takes exponential time */
export function compileGlob(pattern: string): (text: string) => boolean {
  const parts = parseGlob(pattern)
  return (text) => matchGlob(parts, Array.from(text))
}

function parseGlob(pattern: string): Part[] {
  if (pattern.length === 0 || pattern.length > FEED_PATTERN_CHARS_MAX) {
    throw new Failure('invalid', `a documentId pattern has 1 to ${FEED_PATTERN_CHARS_MAX} characters`)
  }
  const parts: Part[] = []
  const chars = Array.from(pattern)
  for (let at = 0; at < chars.length; at++) {
    const char = chars[at] as string
    if (char === '*') {
      if (parts.at(-1) !== 'any') parts.push('any')
    } else if (char === '?') parts.push('one')
    else if (char !== '\\') parts.push({ literal: char })
    else {
      const literal = chars[++at]
      if (literal === undefined) throw new Failure('invalid', `pattern ${pattern} ends in a lone \\`)
      parts.push({ literal })
    }
  }
  return parts
}

/** Match, going back to the last `*` only: the ones before it have taken as little as they could. */
function matchGlob(parts: readonly Part[], chars: readonly string[]): boolean {
  let part = 0
  let char = 0
  let star = -1
  let retryFrom = 0
  while (char < chars.length) {
    const wanted = parts[part]
    if (wanted === 'any') {
      star = part++
      retryFrom = char
    } else if (wanted === 'one' || (wanted !== undefined && wanted.literal === chars[char])) {
      part++
      char++
    } else if (star >= 0) {
      part = star + 1
      char = ++retryFrom
    } else return false
  }
  while (parts[part] === 'any') part++
  return part === parts.length
}
