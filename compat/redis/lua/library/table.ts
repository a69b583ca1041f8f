/** Lua's table library.
 *  @source Lua 5.1 reference manual, 5.5 */
import type { Bin } from '@dotdo/core/bytes'
import { isTrue, type Machine, toText } from '../machine.ts'
import type { LuaTable } from '../table.ts'
import { first, type LuaValue, NONE, type Results, typeOf } from '../value.ts'
import { type Arguments, library } from './arguments.ts'

function concat(args: Arguments): Results {
  const { machine } = args
  const table = args.table(1)
  const separator = args.text(2, '')
  const from = args.integer(3, 1)
  const to = args.integer(4, table.length)
  let joined = ''
  for (let at = from; at <= to; at++) {
    const value = table.get(at)
    const text: Bin | undefined = toText(value)
    if (text === undefined) throw machine.fail(`invalid value (${typeOf(value)}) at index ${at} in table for 'concat'`)
    joined += at === from ? text : separator + text
    // It ends: by the first hole, or here.
    if (--machine.stepsLeft < 0) machine.enter()
    machine.checkLength(joined)
  }
  return joined
}

function insert(args: Arguments): Results {
  const table = args.writable(1)
  const end = table.length + 1
  if (args.count === 2) table.set(end, args.any(2))
  else if (args.count === 3) {
    const at = args.integer(2)
    const value = args.any(3)
    if (at > 0 && at < end) table.insertAt(at, value)
    else table.set(at, value)
  } else throw args.machine.fail("wrong number of arguments to 'insert'")
  return NONE
}

function remove(args: Arguments): Results {
  const table = args.writable(1)
  const { length } = table
  const at = args.integer(2, length)
  if (at < 1 || at > length) return NONE
  return table.removeAt(at)
}

function maxn(args: Arguments): Results {
  let largest = 0
  for (const [key] of args.table(1).entries()) if (typeof key === 'number' && key > largest) largest = key
  return largest
}

/** Sort in place: a merge sort, so that an order that contradicts itself still ends, as Lua's "invalid order" does. */
function sort(args: Arguments): Results {
  const table = args.writable(1)
  const { machine } = args
  const order = args.any(2) === undefined ? undefined : args.function(2)
  const before = (a: LuaValue, b: LuaValue): boolean => {
    if (--machine.stepsLeft < 0) machine.enter()
    return order === undefined ? machine.less(a, b) : isTrue(first(order.call([a, b])))
  }
  const sorted = mergeSort(table.array.slice(), before)
  for (const [at, value] of sorted.entries()) table.set(at + 1, value)
  return NONE
}

function mergeSort(values: LuaValue[], before: (a: LuaValue, b: LuaValue) => boolean): LuaValue[] {
  if (values.length < 2) return values
  const middle = values.length >> 1
  const [left, right] = [mergeSort(values.slice(0, middle), before), mergeSort(values.slice(middle), before)]
  const merged: LuaValue[] = []
  let [l, r] = [0, 0]
  while (l < left.length && r < right.length) {
    if (before(right[r], left[l])) merged.push(right[r++])
    else merged.push(left[l++])
  }
  while (l < left.length) merged.push(left[l++])
  while (r < right.length) merged.push(right[r++])
  return merged
}

function forEach(args: Arguments): Results {
  const visit = args.function(2)
  for (const [key, value] of args.table(1).entries()) {
    const result = first(visit.call([key, value]))
    if (result !== undefined) return result
  }
  return NONE
}

function forEachIndex(args: Arguments): Results {
  const table = args.table(1)
  const visit = args.function(2)
  for (let at = 1; at <= table.length; at++) {
    const result = first(visit.call([at, table.get(at)]))
    if (result !== undefined) return result
  }
  return NONE
}

/** Make the table library. */
export function tableLibrary(machine: Machine): LuaTable {
  return library(machine, {
    concat,
    foreach: forEach,
    foreachi: forEachIndex,
    getn: (args) => args.table(1).length,
    insert,
    maxn,
    remove,
    setn: (args) => {
      throw args.machine.fail("'setn' is obsolete")
    },
    sort,
  })
}
