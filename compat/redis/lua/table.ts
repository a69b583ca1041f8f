/** Lua's tables: an array for the keys 1 to n, and for the others a map into two columns.
 *
 *  1. The array's last element is never nil, and n + 1 is never a key of the map: so n is a border.
 *  2. A key set to nil keeps its place in the map until a new key comes, so that `next` finds its way while a loop
 *     clears fields; the order of `next` is the array, then the map by time of insertion.
 *  3. What a script stores is charged to the meter: that bounds its memory. */
import type { Bin } from '@dotdo/core/bytes'
import { LuaError, type LuaValue } from './value.ts'

/** What a table's slot counts for, in bytes, besides the strings in it. */
const SLOT_BYTES = 40
/** Strings from this length on are charged each time they are stored. */
const LONG_CHARS = 512
/** Holes of the map that are worth closing. */
const HOLES_MIN = 16

/** Bytes that the running script may still store. */
export const meter = { leftBytes: Number.POSITIVE_INFINITY }

function charge(bytes: number): void {
  meter.leftBytes -= bytes
  if (meter.leftBytes < 0) throw new LuaError('not enough memory', undefined)
}

/** A Lua table. */
export class LuaTable {
  /** Values of the keys 1 to n; do not change it from outside. */
  readonly array: LuaValue[] = []
  metatable: LuaTable | undefined = undefined
  /** Whether scripts may not change it. */
  readonly = false
  private places: Map<LuaValue, number> | undefined = undefined
  private keys: LuaValue[] = []
  private values: LuaValue[] = []
  private holes = 0

  /** Get a field without metamethods. */
  get(key: LuaValue): LuaValue {
    if (typeof key === 'string') return this.getString(key)
    if (typeof key === 'number') {
      const { array } = this
      const at = key - 1
      if (at >= 0 && at < array.length && Number.isInteger(at)) return array[at]
    }
    if (this.places === undefined) return undefined
    const place = this.places.get(key)
    return place === undefined ? undefined : this.values[place]
  }

  /** Get the field of a string. */
  getString(key: Bin): LuaValue {
    if (this.places === undefined) return undefined
    const place = this.places.get(key)
    return place === undefined ? undefined : this.values[place]
  }

  /** Set a field without metamethods.
   *  @throws LuaError for keys that no table has, and when the script's memory is used up */
  set(key: LuaValue, value: LuaValue): void {
    if (typeof key === 'number') {
      const { array } = this
      const at = key - 1
      if (at >= 0 && at < array.length && Number.isInteger(at)) {
        if (typeof value === 'string' && value.length >= LONG_CHARS) charge(value.length)
        array[at] = value
        if (value === undefined && at === array.length - 1) this.shrink()
        return
      }
      if (at === array.length) {
        if (value !== undefined) this.push(value)
        else this.setPlaced(key, value)
        return
      }
      if (Number.isNaN(key)) throw new LuaError('table index is NaN', undefined)
    } else if (key === undefined) throw new LuaError('table index is nil', undefined)
    this.setPlaced(key, value)
  }

  /** Append a value after the border. */
  push(value: LuaValue): void {
    charge(typeof value === 'string' ? SLOT_BYTES + value.length : SLOT_BYTES)
    this.array.push(value)
    if (this.places !== undefined) this.migrate()
  }

  /** How many elements there are: a border. */
  get length(): number {
    return this.array.length
  }

  private shrink(): void {
    const { array } = this
    while (array.length > 0 && array[array.length - 1] === undefined) array.pop()
  }

  /** Move what follows the array out of the map. */
  private migrate(): void {
    const { array, places } = this
    for (let key = array.length + 1; ; key++) {
      const place = places?.get(key)
      const value = place === undefined ? undefined : this.values[place]
      if (value === undefined) return
      this.values[place as number] = undefined
      this.holes++
      array.push(value)
    }
  }

  private setPlaced(key: LuaValue, value: LuaValue): void {
    const place = this.places?.get(key)
    if (place !== undefined) {
      const before = this.values[place]
      if (value === undefined) {
        if (before !== undefined) this.holes++
      } else {
        if (before === undefined) this.holes--
        if (typeof value === 'string' && value.length >= LONG_CHARS) charge(value.length)
      }
      this.values[place] = value
      return
    }
    if (value === undefined) return
    const keyBytes = typeof key === 'string' ? key.length : 0
    charge(typeof value === 'string' ? SLOT_BYTES + keyBytes + value.length : SLOT_BYTES + keyBytes)
    if (this.holes >= HOLES_MIN && this.holes * 2 > this.keys.length) this.compact()
    this.places ??= new Map()
    this.places.set(key, this.keys.length)
    this.keys.push(key)
    this.values.push(value)
  }

  private compact(): void {
    const { keys, values } = this
    this.places = new Map()
    this.keys = []
    this.values = []
    this.holes = 0
    for (const [at, value] of values.entries()) {
      if (value === undefined) continue
      this.places.set(keys[at], this.keys.length)
      this.keys.push(keys[at])
      this.values.push(value)
    }
  }

  /** Find where `next` goes on after a key. From 0 on a position is an index of the array; below, -1 - a place of the
   *  map: so it holds though the array shrinks under a loop that clears it.
   *  @throws LuaError when there never was such a key */
  positionAfter(key: LuaValue): number {
    if (key === undefined) return 0
    if (typeof key === 'number' && Number.isInteger(key) && key > 0 && key <= this.array.length) return key
    const place = this.places?.get(key)
    if (place !== undefined) return -2 - place
    if (typeof key === 'number' && Number.isInteger(key) && key > 0) return key
    throw new LuaError("invalid key to 'next'", undefined)
  }

  /** Find the first position from this one on that has a value.
   *  @returns undefined at the end */
  findFrom(position: number): number | undefined {
    const { array, values } = this
    let place = -1 - position
    if (position >= 0) {
      for (let at = position; at < array.length; at++) if (array[at] !== undefined) return at
      place = 0
    }
    for (; place < values.length; place++) if (values[place] !== undefined) return -1 - place
    return undefined
  }

  /** Get the key at a position. */
  keyAt(position: number): LuaValue {
    return position >= 0 ? position + 1 : this.keys[-1 - position]
  }

  /** Get the value at a position. */
  valueAt(position: number): LuaValue {
    return position >= 0 ? this.array[position] : this.values[-1 - position]
  }

  /** Get the position behind another one. */
  static behind(position: number): number {
    return position >= 0 ? position + 1 : position - 1
  }

  /** List all fields. */
  *entries(): IterableIterator<[LuaValue, LuaValue]> {
    for (let at = this.findFrom(0); at !== undefined; at = this.findFrom(LuaTable.behind(at))) {
      yield [this.keyAt(at), this.valueAt(at)]
    }
  }

  /** Make a table of a list. */
  static of(values: readonly LuaValue[]): LuaTable {
    const table = new LuaTable()
    for (const [at, value] of values.entries()) {
      if (value !== undefined || at < values.length - 1) table.array.push(value)
    }
    table.shrink()
    charge(SLOT_BYTES * (values.length + 1))
    return table
  }

  /** Make a table of named fields. */
  static from(fields: { readonly [name: string]: LuaValue }): LuaTable {
    const table = new LuaTable()
    for (const [name, value] of Object.entries(fields)) table.set(name, value)
    return table
  }

  /** Insert before a position of the array, as table.insert does when it shifts. */
  insertAt(position: number, value: LuaValue): void {
    charge(SLOT_BYTES)
    this.array.splice(position - 1, 0, value)
    this.shrink()
    if (this.places !== undefined) this.migrate()
  }

  /** Take out a position of the array, as table.remove does when it shifts. */
  removeAt(position: number): LuaValue {
    const [removed] = this.array.splice(position - 1, 1)
    this.shrink()
    return removed
  }
}
