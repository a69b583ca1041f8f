/** Replies of commands as values of Lua, and back.
 *  @source https://redis.io/docs/latest/develop/interact/programmability/lua-api/#data-type-conversion; script_lua.c of
 *  Redis 7.2 for what is written there only */
import type { Bin } from '@dotdo/core/bytes'
import { formatDouble } from '../codec.ts'
import { formatGeneral } from '../lua/numbers.ts'
import { LuaTable } from '../lua/table.ts'
import { LuaError, type LuaValue } from '../lua/value.ts'
import type { Value } from '../value.ts'

/** How deep tables in a reply may be nested: as deep as JavaScript goes without harm. */
const REPLY_DEPTH_MAX = 1_000

function list(values: readonly Value[], protocol: 2 | 3): LuaTable {
  const table = new LuaTable()
  for (const [at, value] of values.entries()) {
    const converted = toLua(value, protocol)
    if (converted !== undefined) table.set(at + 1, converted)
  }
  return table
}

/** Make a reply a value of Lua.
 *  @param protocol what `redis.setresp` chose */
export function toLua(value: Value, protocol: 2 | 3): LuaValue {
  if (typeof value === 'string' || typeof value === 'number') return value
  if (value === null) return protocol === 3 ? undefined : false
  if (Array.isArray(value)) return list(value, protocol)
  if ('simple' in value) return LuaTable.from({ ok: value.simple })
  if ('error' in value) return LuaTable.from({ err: value.error })
  if ('int64' in value) return Number(value.int64)
  if ('nilArray' in value) return protocol === 3 ? undefined : false
  if ('verbatim' in value) {
    if (protocol === 2) return value.verbatim
    return LuaTable.from({ verbatim_string: LuaTable.from({ format: value.format, string: value.verbatim }) })
  }
  return toLuaByProtocol(value as Typed, protocol)
}

/** Replies whose form in Lua depends on the protocol. */
type Typed = Exclude<Value, string | number | null | readonly Value[]>

function toLuaByProtocol(value: Typed, protocol: 2 | 3): LuaValue {
  const three = protocol === 3
  if ('double' in value) return three ? LuaTable.from({ double: value.double }) : formatDouble(value.double)
  if ('bool' in value) return three ? value.bool : value.bool ? 1 : 0
  if ('big' in value) return three ? LuaTable.from({ big_number: value.big }) : value.big
  if ('pairs' in value) return list(three ? value.pairs : value.pairs.flat(), protocol)
  if ('map' in value) {
    if (!three) return list(value.map.flat(), protocol)
    const map = new LuaTable()
    for (const [key, item] of value.map) map.set(toLua(key, protocol), toLua(item, protocol))
    return LuaTable.from({ map })
  }
  if ('set' in value) {
    if (!three) return list(value.set, protocol)
    const set = new LuaTable()
    for (const item of value.set) set.set(toLua(item, protocol), true)
    return LuaTable.from({ set })
  }
  return list((value as { push?: readonly Value[] }).push ?? [], protocol)
}

/** Cut a number to an integer of 64 bits, as C's cast on x86 does: what does not fit becomes the smallest one. */
function toInt64(value: number): Value {
  const whole = Math.trunc(value)
  if (Number.isSafeInteger(whole)) return whole === 0 ? 0 : whole
  if (whole >= -(2 ** 63) && whole < 2 ** 63) return { int64: `${BigInt(whole)}` }
  return { int64: '-9223372036854775808' }
}

const oneLine = (text: Bin): Bin => text.replace(/[\r\n]/g, ' ')

/** Make what a script returns a reply.
 *  @throws LuaError when tables are nested too deep */
export function toReply(value: LuaValue, protocol: 2 | 3, depth = 0): Value {
  if (typeof value === 'string') return value
  if (typeof value === 'number') return toInt64(value)
  if (typeof value === 'boolean') {
    if (protocol === 3) return { bool: value }
    return value ? 1 : null
  }
  if (!(value instanceof LuaTable)) return null
  if (depth > REPLY_DEPTH_MAX) throw new LuaError('reached lua stack limit', undefined)
  return tableReply(value, protocol, depth + 1)
}

function tableReply(table: LuaTable, protocol: 2 | 3, depth: number): Value {
  const err = table.getString('err')
  if (typeof err === 'string') return { error: oneLine(err) }
  const ok = table.getString('ok')
  if (typeof ok === 'string') return { simple: oneLine(ok) }
  const double = table.getString('double')
  if (typeof double === 'number') return { double }
  const map = table.getString('map')
  const reply = (item: LuaValue) => toReply(item, protocol, depth)
  if (map instanceof LuaTable) {
    return { map: [...map.entries()].map(([key, item]): [Value, Value] => [reply(key), reply(item)]) }
  }
  const set = table.getString('set')
  if (set instanceof LuaTable) return { set: [...set.entries()].map(([key]) => reply(key)) }
  const big = table.getString('big_number')
  if (typeof big === 'string') return { big: oneLine(big) }
  const verbatim = table.getString('verbatim_string')
  if (verbatim instanceof LuaTable) {
    const [text, format] = [verbatim.getString('string'), verbatim.getString('format')]
    if (typeof text === 'string' && typeof format === 'string') {
      return { verbatim: text, format: format === 'mkd' ? 'mkd' : 'txt' }
    }
  }
  const items: Value[] = []
  for (let at = 1; ; at++) {
    const item = table.get(at)
    if (item === undefined) return items
    items.push(reply(item))
  }
}

/** Write an argument of `redis.call`.
 *  @returns undefined when it is neither text nor a number */
export function toArgument(value: LuaValue): Bin | undefined {
  if (typeof value === 'string') return value
  if (typeof value !== 'number') return undefined
  if (Number.isSafeInteger(value)) return `${value}`
  const fits = Number.isInteger(value) && Math.abs(value) < 2 ** 63
  return fits && Math.abs(value) < 1e17 ? `${BigInt(value)}` : formatGeneral(value, 17)
}
