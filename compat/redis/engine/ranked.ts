/** Elements in order, counted: which one stands at a rank, and at which rank one stands, in O(log n).
 *
 *  1. An element is a number and a name; elements are ordered by both. The rows are the truth, this is derived from
 *     them.
 *  2. Elements lie in leaves. A leaf knows its first element and how many it has; its elements are read when needed and
 *     may be forgotten again, so that a collection larger than memory takes a few bytes for hundreds of elements.
 *  3. What the rows say and what this says are the same at all times: whoever writes a row tells this of it.
 *  4. To add and to remove reads no row: a leaf that is not in memory only counts. So it may grow beyond what a leaf
 *     has, and its first element may be gone; no element of another leaf lies between that one and the next. */
import type { Bin } from '@dotdo/core/bytes'
import { assert } from '@dotdo/core/errors'

/** Elements of a leaf split in two when there are more. */
const LEAF_MAX = 512
/** Elements of a leaf as it is made from rows. */
export const LEAF_SIZE = 256

/** A stretch of elements, as two columns. */
export interface Elements {
  readonly orders: number[]
  readonly names: Bin[]
}

/** Reads `count` elements from the rows, from one on. */
export type ReadElements = (order: number, name: Bin, count: number) => Elements

interface Leaf {
  order: number
  name: Bin
  size: number
  /** Undefined until it is read. */
  elements: Elements | undefined
}

/** Whether an element comes before another. */
function isBefore(order: number, name: Bin, otherOrder: number, otherName: Bin): boolean {
  return order < otherOrder || (order === otherOrder && name < otherName)
}

/** @returns the place in a leaf that an element has, or would have */
function placeIn({ orders, names }: Elements, order: number, name: Bin): number {
  let low = 0
  for (let high = orders.length; low < high; ) {
    const middle = (low + high) >> 1
    if (isBefore(orders[middle] as number, names[middle] as Bin, order, name)) low = middle + 1
    else high = middle
  }
  return low
}

/** The elements of one collection in order. */
export class Ranked {
  /** How many elements there are. */
  size = 0
  /** How many of them are in memory. */
  loaded = 0
  /** Reads elements that are not in memory; whoever asks or changes says how. */
  read: ReadElements
  private leaves: Leaf[] = []
  /** Orders by name, as long as all elements are in memory. */
  private byName: Map<Bin, number> | undefined

  /** @param named whether names alone tell elements apart, and are asked for */
  constructor(read: ReadElements, named = false) {
    this.read = read
    if (named) this.byName = new Map()
  }

  /** How much of them is in memory, an element that is found by its name counted twice. */
  get held(): number {
    return this.loaded + (this.byName?.size ?? 0)
  }

  /** Whether every element's name is known here: then `orderOf` finds all. */
  get isNamed(): boolean {
    return this.byName !== undefined
  }

  /** Find the order of an element by its name.
   *  @returns undefined when there is none, or `isNamed` is false */
  orderOf(name: Bin): number | undefined {
    return this.byName?.get(name)
  }

  /** Begin with all elements, in order. */
  fill({ orders, names }: Elements): void {
    for (let at = 0; at < orders.length; at += LEAF_SIZE) {
      const part = { orders: orders.slice(at, at + LEAF_SIZE), names: names.slice(at, at + LEAF_SIZE) }
      this.append(part.orders[0] as number, part.names[0] as Bin, part.orders.length, part)
    }
    if (this.byName !== undefined) for (const [i, name] of names.entries()) this.byName.set(name, orders[i] as number)
  }

  /** Begin with the first element of every leaf.
   *  @param size how many elements there are: leaves have LEAF_SIZE of them, but for the last */
  outline({ orders, names }: Elements, size: number): void {
    this.byName = undefined
    for (const [i, order] of orders.entries()) {
      this.append(order, names[i] as Bin, Math.min(LEAF_SIZE, size - i * LEAF_SIZE), undefined)
    }
  }

  private append(order: number, name: Bin, size: number, elements: Elements | undefined): void {
    this.leaves.push({ order, name, size, elements })
    this.size += size
    if (elements !== undefined) this.loaded += size
  }

  /** Forget the elements of every leaf but the one at `rank`. */
  unload(rank: number): void {
    const [kept] = this.leafAt(rank)
    this.byName = undefined
    for (const [i, leaf] of this.leaves.entries()) {
      if (i === kept || leaf.elements === undefined) continue
      leaf.elements = undefined
      this.loaded -= leaf.size
    }
  }

  private elementsOf(leaf: Leaf): Elements {
    if (leaf.elements !== undefined) return leaf.elements
    const elements = this.read(leaf.order, leaf.name, leaf.size)
    assert(elements.orders.length === leaf.size, `a leaf of ${leaf.size} elements has ${elements.orders.length} rows`)
    leaf.elements = elements
    this.loaded += leaf.size
    return elements
  }

  /** @returns the index of the leaf that the rank lies in, and how many elements come before that leaf */
  private leafAt(rank: number): [index: number, before: number] {
    const { leaves } = this
    let before = 0
    let index = 0
    while (index < leaves.length - 1 && before + (leaves[index] as Leaf).size <= rank) {
      before += (leaves[index] as Leaf).size
      index++
    }
    return [index, before]
  }

  /** @returns the index of the last leaf whose first element `comes` before the bound, or 0 */
  private leafBefore(comes: (order: number, name: Bin) => boolean): number {
    let low = 0
    for (let high = this.leaves.length; low < high; ) {
      const middle = (low + high) >> 1
      const { order, name } = this.leaves[middle] as Leaf
      if (comes(order, name)) low = middle + 1
      else high = middle
    }
    return Math.max(0, low - 1)
  }

  /** Count the elements before a bound.
   *  @param comes whether an element comes before it; once false, false for all that follow */
  countBefore(comes: (order: number, name: Bin) => boolean): number {
    const { leaves } = this
    if (leaves.length === 0) return 0
    const index = this.leafBefore(comes)
    let count = 0
    for (let i = 0; i < index; i++) count += (leaves[i] as Leaf).size
    const { orders, names } = this.elementsOf(leaves[index] as Leaf)
    let low = 0
    for (let high = orders.length; low < high; ) {
      const middle = (low + high) >> 1
      if (comes(orders[middle] as number, names[middle] as Bin)) low = middle + 1
      else high = middle
    }
    return count + low
  }

  /** Tell the rank of an element, from 0; of one that is not there, the rank that it would have. */
  rankOf(order: number, name: Bin): number {
    return this.countBefore((other, otherName) => isBefore(other, otherName, order, name))
  }

  /** Visit elements from a rank on, in order or against it, until `visit` returns false. */
  walk(rank: number, step: 1 | -1, visit: (order: number, name: Bin) => boolean): void {
    if (rank < 0 || rank >= this.size) return
    let [index, before] = this.leafAt(rank)
    let at = rank - before
    while (index >= 0 && index < this.leaves.length) {
      const { orders, names } = this.elementsOf(this.leaves[index] as Leaf)
      for (; at >= 0 && at < orders.length; at += step) {
        if (!visit(orders[at] as number, names[at] as Bin)) return
      }
      index += step
      at = step > 0 ? 0 : (this.leaves[index]?.size ?? 0) - 1
    }
  }

  /** Read `count` elements from a rank on. */
  slice(rank: number, count: number, step: 1 | -1 = 1): Elements {
    const found: Elements = { orders: [], names: [] }
    if (count <= 0) return found
    this.walk(rank, step, (order, name) => {
      found.orders.push(order)
      found.names.push(name)
      return found.orders.length < count
    })
    return found
  }

  /** Add an element that is not there. */
  add(order: number, name: Bin): void {
    const { leaves } = this
    this.size++
    this.byName?.set(name, order)
    if (leaves.length === 0) {
      this.loaded++
      leaves.push({ order, name, size: 1, elements: { orders: [order], names: [name] } })
      return
    }
    const index = this.leafOf(order, name)
    const leaf = leaves[index] as Leaf
    leaf.size++
    const first = isBefore(order, name, leaf.order, leaf.name)
    if (leaf.elements !== undefined) {
      const { orders, names } = leaf.elements
      const at = placeIn(leaf.elements, order, name)
      orders.splice(at, 0, order)
      names.splice(at, 0, name)
      this.loaded++
    }
    if (first) {
      leaf.order = order
      leaf.name = name
    }
    if (leaf.size > LEAF_MAX && leaf.elements !== undefined) this.split(index)
  }

  private split(index: number): void {
    const leaf = this.leaves[index] as Leaf
    const { orders, names } = leaf.elements as Elements
    // At the end elements mostly come at the end: there the full half is left alone.
    const keep = index === this.leaves.length - 1 ? LEAF_MAX - 1 : LEAF_SIZE
    const right = { orders: orders.splice(keep), names: names.splice(keep) }
    leaf.size = keep
    const [order, name] = [right.orders[0] as number, right.names[0] as Bin]
    this.leaves.splice(index + 1, 0, { order, name, size: right.orders.length, elements: right })
  }

  /** @returns the index of the leaf that an element is in, or would be in */
  private leafOf(order: number, name: Bin): number {
    return this.leafBefore((other, otherName) => !isBefore(order, name, other, otherName))
  }

  /** Tell whether an element is there.
   *  @returns undefined when its leaf is not in memory */
  has(order: number, name: Bin): boolean | undefined {
    const leaf = this.leaves[this.leafOf(order, name)]
    if (leaf === undefined) return false
    if (leaf.elements === undefined) return undefined
    const { orders, names } = leaf.elements
    const at = placeIn(leaf.elements, order, name)
    return orders[at] === order && names[at] === name
  }

  /** Remove an element that is there. */
  remove(order: number, name: Bin): void {
    const { leaves } = this
    const index = this.leafOf(order, name)
    const leaf = leaves[index] as Leaf
    if (leaf.elements !== undefined) this.removeLoaded(leaf, order, name)
    leaf.size--
    this.size--
    this.byName?.delete(name)
    if (leaf.size === 0) leaves.splice(index, 1)
  }

  private removeLoaded(leaf: Leaf, order: number, name: Bin): void {
    const { orders, names } = leaf.elements as Elements
    const at = placeIn(leaf.elements as Elements, order, name)
    assert(orders[at] === order && names[at] === name, 'the element to remove is not there')
    orders.splice(at, 1)
    names.splice(at, 1)
    this.loaded--
    if (at > 0 || orders.length === 0) return
    leaf.order = orders[0] as number
    leaf.name = names[0] as Bin
  }
}
