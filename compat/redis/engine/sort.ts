/** SORT: ordering elements by themselves or by what keys hold that are named after them.
 *  @source https://redis.io/docs/latest/commands/sort/; redis 7.2 sort.c */
import { type Bin, fromBin, toBin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { View } from '@dotdo/core/shard'
import type { FieldRow, KeyRow } from '../tables.ts'
import { scores } from './elements.ts'
import { findField } from './hashes.ts'
import { findKey, wrongType } from './keys.ts'
import { type ListRow, readItems } from './lists.ts'
import { readMembers } from './sets.ts'
import { readFieldValues, readValues } from './values.ts'

/** What SORT is asked to do, besides its keys. */
export interface Sorting {
  /** Undefined to sort by the elements; without a `*` nothing is sorted. */
  readonly by: Bin | undefined
  readonly alpha: boolean
  readonly descending: boolean
  readonly offset: number
  /** Negative for all. */
  readonly count: number
}

/** Read what SORT sorts: a list or sorted set in its order, a set in any.
 *  @throws type_mismatch for other types */
export function readSortable(view: View, row: KeyRow): Bin[] {
  if (row.type === 'list') return readItems(view, row as ListRow, 0, row.size)
  if (row.type === 'set') return readMembers(view, row)
  if (row.type === 'zset') return readByScore(view, row)
  throw wrongType()
}

function readByScore(view: View, { slot, db, key }: KeyRow): Bin[] {
  view.settle(scores, slot, slot)
  const statement = 'select member from redis_scores where slot = ? and db = ? and key = ? order by score, member'
  return view.raw(statement, slot, db, fromBin(key)).map(([member]) => toBin(member as Uint8Array))
}

/** Cut a pattern into the key's and the field's: `w_*->f` names a field.
 *  @returns undefined when it has no `*` */
function cut(pattern: Bin): { key: Bin; field: Bin | undefined } | undefined {
  const star = pattern.indexOf('*')
  if (star < 0) return undefined
  const arrow = pattern.indexOf('->', star + 1)
  if (arrow < 0 || arrow + 2 === pattern.length) return { key: pattern, field: undefined }
  return { key: pattern.slice(0, arrow), field: pattern.slice(arrow + 2) }
}

/** Read what the pattern names for each element: `#` is the element, a `*` stands for it.
 *  @returns undefined where nothing is */
export function readPattern(view: View, db: number, pattern: Bin, elements: readonly Bin[]): (Bin | undefined)[] {
  if (pattern === '#') return [...elements]
  const parts = cut(pattern)
  if (parts === undefined) return elements.map(() => undefined)
  const star = parts.key.indexOf('*')
  const rows = elements.map((element) => {
    return findKey(view, db, parts.key.slice(0, star) + element + parts.key.slice(star + 1))
  })
  const { field } = parts
  if (field === undefined) {
    return readValues(
      view,
      rows.map((row) => (row?.type === 'string' ? row : undefined)),
    )
  }
  const found = rows.map((row): FieldRow | undefined =>
    row?.type === 'hash' ? findField(view, row, field) : undefined,
  )
  return readFieldValues(view, found)
}

/** Read a number as C's strtod does.
 *  @throws invalid when it is none */
function toScore(text: Bin): number {
  const bare = text.replace(/^[\t-\r ]+/, '')
  const [, sign, rest = ''] = /^([+-]?)(.*)$/s.exec(bare) ?? []
  let value = Number.NaN
  if (bare === '') value = 0
  else if (/^(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(rest)) value = Number(rest)
  else if (/^0x[\da-f]+$/i.test(rest)) value = Number(rest)
  else if (/^inf(inity)?$/i.test(rest)) return sign === '-' ? -Infinity : Infinity
  if (Number.isFinite(value)) return sign === '-' ? -value : value
  throw new Failure('invalid', "ERR One or more scores can't be converted into double")
}

function compare(a: Bin, b: Bin): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function compareFound(a: Bin | undefined, b: Bin | undefined): number {
  if (a === undefined || b === undefined) return a === b ? 0 : a === undefined ? -1 : 1
  return compare(a, b)
}

function order(view: View, db: number, elements: Bin[], { by, alpha, descending }: Sorting): Bin[] {
  const weights: readonly (Bin | undefined)[] = by === undefined ? elements : readPattern(view, db, by, elements)
  const sign = descending ? -1 : 1
  const places = elements.map((_, i) => i)
  if (alpha) {
    places.sort((a, b) => sign * compareFound(weights[a], weights[b]))
  } else {
    const scored = weights.map((weight) => (weight === undefined ? 0 : toScore(weight)))
    const difference = (a: number, b: number) => {
      const [left, right] = [scored[a] as number, scored[b] as number]
      return left === right ? compare(elements[a] as Bin, elements[b] as Bin) : left < right ? -1 : 1
    }
    places.sort((a, b) => sign * difference(a, b))
  }
  return places.map((place) => elements[place] as Bin)
}

/** Sort the elements of a key.
 *  @param row a list, set or sorted set
 *  @cost every element, and a look-up each with `by` */
export function sortElements(view: View, row: KeyRow, sorting: Sorting): Bin[] {
  let elements = readSortable(view, row)
  if (sorting.by === undefined || sorting.by.includes('*')) elements = order(view, row.db, elements, sorting)
  else if (sorting.descending) elements.reverse()
  const from = Math.max(0, sorting.offset)
  return elements.slice(from, sorting.count < 0 ? undefined : from + sorting.count)
}
