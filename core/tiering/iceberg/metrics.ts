/** Whether rows of a file can meet a predicate, by what its manifest says of its columns.
 *
 *  1. What is not known may be anything: only what is certain leaves a file out.
 *  2. Bounds leave NaN out, and may be wider than the values.
 *  @source https://iceberg.apache.org/spec/ (v2), "Manifests", notes on column metrics */
import type { BoundPredicate, Leaf } from './expression.ts'
import { parsePrimitive } from './types.ts'
import { compareValues, fromBinary, toBinary, type Value } from './values.ts'

/** What is known of a column's values in a file, or of a partition field's in a manifest. */
export interface Extent {
  readonly lower?: Uint8Array | undefined
  readonly upper?: Uint8Array | undefined
  /** Whether every value is null, or none is; undefined when that is not known. */
  readonly nulls?: 'all' | 'none' | 'some' | undefined
  /** Whether there are NaNs; undefined when that is not known. */
  readonly hasNan?: boolean | undefined
}

/** Say whether a row within the extents can meet a predicate.
 *  @param extentOf by field id; undefined when nothing is known of the field */
export function mightMatch(predicate: BoundPredicate, extentOf: (id: number) => Extent | undefined): boolean {
  switch (predicate.op) {
    case 'true':
      return true
    case 'false':
      return false
    case 'and':
      return predicate.args.every((arg) => mightMatch(arg, extentOf))
    case 'or':
      return predicate.args.some((arg) => mightMatch(arg, extentOf))
    default: {
      const extent = extentOf(predicate.id)
      return extent === undefined || leafMightMatch(predicate, extent)
    }
  }
}

/** A bound that cannot be read says nothing. */
function boundOf(type: string, bytes: Uint8Array | undefined): Value | undefined {
  if (bytes === undefined) return undefined
  try {
    const value = fromBinary(type, bytes)
    return Number.isNaN(value) ? undefined : value
  } catch {
    return undefined
  }
}

function leafMightMatch(leaf: Leaf, extent: Extent): boolean {
  const { op, type } = leaf
  if (op === 'is-null') return extent.nulls !== 'none'
  if (extent.nulls === 'all') return false
  if (op === 'not-null' || op === 'not-nan') return true
  if (op === 'is-nan') return extent.hasNan !== false
  const { kind } = parsePrimitive(type)
  const mayBeNan = (kind === 'float' || kind === 'double') && extent.hasNan !== false
  const lower = boundOf(type, extent.lower)
  const upper = boundOf(type, extent.upper)
  const within = (value: Value) =>
    (lower === undefined || compareValues(value, lower) >= 0) &&
    (upper === undefined || compareValues(value, upper) <= 0)
  const one = leaf.values[0] as Value
  switch (op) {
    case 'eq':
    case 'in':
      return leaf.values.some(within)
    case 'not-eq':
    case 'not-in': {
      const isOne = lower !== undefined && upper !== undefined && compareValues(lower, upper) === 0
      return !isOne || mayBeNan || !leaf.values.some((value) => compareValues(value, lower) === 0)
    }
    case 'lt':
      return lower === undefined || compareValues(lower, one) < 0
    case 'lt-eq':
      return lower === undefined || compareValues(lower, one) <= 0
    // NaN is above every number.
    case 'gt':
      return mayBeNan || upper === undefined || compareValues(upper, one) > 0
    case 'gt-eq':
      return mayBeNan || upper === undefined || compareValues(upper, one) >= 0
    case 'starts-with':
      return prefixWithin(one as string, extent)
    case 'not-starts-with':
      return !(isPrefixed(one as string, extent.lower) && isPrefixed(one as string, extent.upper))
  }
}

function isPrefixed(prefix: string, bound: Uint8Array | undefined): boolean {
  const bytes = toBinary('string', prefix)
  return bound !== undefined && bound.length >= bytes.length && bytes.every((byte, at) => byte === bound[at])
}

function prefixWithin(prefix: string, { lower, upper }: Extent): boolean {
  const bytes = toBinary('string', prefix)
  const head = (bound: Uint8Array) => bound.subarray(0, bytes.length)
  if (lower !== undefined && compareValues(head(lower), bytes) > 0) return false
  return upper === undefined || compareValues(head(upper), bytes) >= 0
}
