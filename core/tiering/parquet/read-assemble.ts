/** Puts rows together from the leaves of their columns.
 *
 *  1. A flat column goes straight from its pages into an array.
 *  2. A nested one is walked along its tree: each leaf has its entries in order, a repetition level of 0 begins a row.
 *  @source Dremel: Interactive Analysis of Web-Scale Datasets (2010), section 4 */
import type { Value } from '../iceberg/values.ts'
import type { Page } from './read-page.ts'
import { countRows, type Ranges } from './read-ranges.ts'
import type { ReadNode, WantedLeaf } from './read-schema.ts'
import { corruptParquet } from './read-source.ts'
import { accessor, type Form, type Stored } from './read-values.ts'

/** A page in its place. */
export interface PlacedPage {
  /** Counted from the row group's first row. */
  readonly firstRow: number
  readonly page: Page
}

/** A leaf's pages, those that were read; in order. */
export interface LeafPages {
  readonly wanted: WantedLeaf
  readonly dictionary: Stored | undefined
  readonly pages: readonly PlacedPage[]
}

/** A value of a row: of a primitive, or nested ones as objects, arrays and Maps. */
export type Cell = Value | null | readonly Cell[] | ReadonlyMap<Cell, Cell> | { readonly [field: string]: Cell }

/** Makes the function that gives values of pages. */
class Values {
  private readonly form: Form
  private readonly dictionary: ((at: number) => Value) | undefined

  constructor({ wanted, dictionary }: LeafPages) {
    // Of a leaf without a form nobody takes values.
    this.form = wanted.form ?? { type: 'binary', isText: false }
    this.dictionary = dictionary && remembering(accessor(dictionary, this.form, true), sizeOf(dictionary))
  }

  /** @param share of the page's values that will be asked for */
  of({ values }: Page, share: number): (at: number) => Value {
    if (values.kind !== 'places') return accessor(values, this.form, share > 0.2)
    const { dictionary } = this
    if (dictionary === undefined) throw corruptParquet('a page has places in a dictionary that is not there')
    const { places } = values
    return (at) => dictionary(places[at] as number)
  }
}

const sizeOf = (stored: Stored) => (stored.kind === 'numbers' ? stored.numbers.length : stored.starts.length)

/** Turn each value of a dictionary once. */
function remembering(make: (at: number) => Value, size: number): (at: number) => Value {
  const made: (Value | undefined)[] = new Array(size)
  return (at) => {
    const known = made[at]
    if (known !== undefined) return known
    if (at >= size) throw corruptParquet(`place ${at} in a dictionary of ${size}`)
    const value = make(at)
    made[at] = value
    return value
  }
}

/** Make a column of some rows.
 *  @param leaves the field's, with the pages that have the rows */
export function assemble(node: ReadNode, leaves: readonly LeafPages[], ranges: Ranges): Cell[] {
  const rows = countRows(ranges)
  if (node.kind === 'missing') return new Array<Cell>(rows).fill(node.value as Cell)
  const [first] = leaves
  if (first !== undefined && node.kind === 'leaf' && first.wanted.leaf.maxRepetition === 0) return flat(first, ranges)
  const streams = leaves.map((leaf) => streamOf(leaf, ranges))
  const column: Cell[] = new Array(rows)
  for (let row = 0; row < rows; row++) column[row] = read(node, streams)
  return column
}

/** Go through the pages and the rows wanted of each. */
function* pieces(pages: readonly PlacedPage[], ranges: Ranges) {
  let next = 0
  for (const { page, firstRow } of pages) {
    const end = firstRow + page.rows
    while (next < ranges.length && (ranges[next]?.[1] as number) <= firstRow) next++
    const wanted: [number, number][] = []
    for (let at = next; at < ranges.length; at++) {
      const [from, to] = ranges[at] as readonly [number, number]
      if (from >= end) break
      wanted.push([Math.max(from, firstRow) - firstRow, Math.min(to, end) - firstRow])
    }
    if (wanted.length > 0) yield { page, wanted }
  }
}

function flat(leaf: LeafPages, ranges: Ranges): Cell[] {
  const values = new Values(leaf)
  const max = leaf.wanted.leaf.maxDefinition
  const column: Cell[] = new Array(countRows(ranges))
  let filled = 0
  for (const { page, wanted } of pieces(leaf.pages, ranges)) {
    const value = values.of(page, countRows(wanted) / page.rows)
    const { definitions } = page
    // Entries before the wanted ones count as far as they are there.
    let entry = 0
    let place = 0
    for (const [from, to] of wanted) {
      if (definitions === undefined) {
        for (let at = from; at < to; at++) column[filled++] = value(at)
        continue
      }
      for (; entry < from; entry++) if (definitions[entry] === max) place++
      for (; entry < to; entry++) column[filled++] = definitions[entry] === max ? value(place++) : null
    }
  }
  if (filled !== column.length) throw corruptParquet(`column ${leaf.wanted.leaf.name} lacks rows`)
  return column
}

/** The entries of the wanted rows of one leaf, and how far they are used. */
interface Stream {
  readonly definitions: number[]
  readonly repetitions: number[]
  readonly values: (Value | null)[]
  readonly maxDefinition: number
  at: number
}

function streamOf(leaf: LeafPages, ranges: Ranges): Stream {
  const { maxDefinition } = leaf.wanted.leaf
  const stream: Stream = { definitions: [], repetitions: [], values: [], maxDefinition, at: 0 }
  const values = leaf.wanted.form && new Values(leaf)
  let range = 0
  for (const { page, firstRow } of leaf.pages) {
    const { definitions, repetitions, entries } = page
    // A page may begin within a row: its first entries are then of the row before the first that begins in it.
    let row = firstRow - 1
    const value = values?.of(page, 1)
    let place = 0
    for (let entry = 0; entry < entries; entry++) {
      const repetition = repetitions?.[entry] ?? 0
      if (repetition === 0) row++
      while (range < ranges.length && (ranges[range]?.[1] as number) <= row) range++
      const definition = definitions?.[entry] ?? maxDefinition
      const isThere = definition === maxDefinition
      if (range < ranges.length && row >= (ranges[range]?.[0] as number)) {
        stream.definitions.push(definition)
        stream.repetitions.push(repetition)
        stream.values.push(isThere && value !== undefined ? value(place) : null)
      }
      if (isThere) place++
    }
  }
  return stream
}

/** Read the next value of a node. */
function read(node: ReadNode, streams: readonly Stream[]): Cell {
  if (node.kind === 'missing') return node.value as Cell
  if (node.kind === 'leaf') {
    const stream = streams[node.slot] as Stream
    if (stream.at >= stream.values.length) throw corruptParquet('a column lacks entries')
    return stream.values[stream.at++] as Cell
  }
  const probe = streams[node.slots[0] as number] as Stream
  const definition = probe.definitions[probe.at]
  if (definition === undefined) throw corruptParquet('a column lacks entries')
  if (definition < node.definition) {
    skip(node.slots, streams, node.repetition)
    return null
  }
  if (node.kind === 'struct') return readStruct(node, streams)
  const isList = node.kind === 'list'
  const items: Cell[] = []
  const map = new Map<Cell, Cell>()
  if (definition === node.definition) skip(node.slots, streams, node.repetition)
  else {
    do {
      if (isList) items.push(read(node.element, streams))
      else map.set(read(node.key, streams), read(node.value, streams))
    } while ((probe.repetitions[probe.at] ?? 0) > node.repetition)
  }
  return isList ? items : map
}

function readStruct(node: Extract<ReadNode, { kind: 'struct' }>, streams: readonly Stream[]): Cell {
  const struct: { [field: string]: Cell } = {}
  let used = 0
  for (const [name, field] of node.fields) {
    const value = read(field, streams)
    if (field.kind !== 'missing') used++
    // A field may be called __proto__.
    if (name === '__proto__') Object.defineProperty(struct, name, { value, enumerable: true, configurable: true })
    else struct[name] = value
  }
  if (used === 0) skip(node.slots, streams, node.repetition)
  return struct
}

/** Leave one value out, in all leaves it has. */
function skip(slots: readonly number[], streams: readonly Stream[], repetition: number): void {
  for (const slot of slots) {
    const stream = streams[slot] as Stream
    do stream.at++
    while ((stream.repetitions[stream.at] ?? 0) > repetition)
  }
}
