/** Lua's string library.
 *  @source Lua 5.1 reference manual, 5.4 */
import type { Bin } from '@dotdo/core/bytes'
import { LUA_STRING_BYTES_MAX, LUA_VALUES_MAX } from '@dotdo/core/limits'
import { isTrue, type Machine, toText } from '../machine.ts'
import { Matcher, SPECIALS } from '../pattern.ts'
import { LuaTable } from '../table.ts'
import { first, LuaError, LuaFunction, type LuaValue, NONE, type Results, typeOf } from '../value.ts'
import { type Arguments, library } from './arguments.ts'
import { format } from './format.ts'

/** Turn a position that may count from the end into one from 1 on; 0 when it is before the beginning. */
function fromEnd(position: number, length: number): number {
  return position >= 0 ? position : Math.max(0, length + position + 1)
}

function sub(args: Arguments): Results {
  const text = args.text(1)
  const from = Math.max(1, fromEnd(args.integer(2), text.length))
  const to = Math.min(text.length, fromEnd(args.integer(3, -1), text.length))
  return from > to ? '' : text.slice(from - 1, to)
}

function byte(args: Arguments): Results {
  const text = args.text(1)
  const start = args.integer(2, 1)
  const from = Math.max(1, fromEnd(start, text.length))
  const to = Math.min(text.length, fromEnd(args.integer(3, start), text.length))
  if (from > to) return NONE
  if (to - from >= LUA_VALUES_MAX) throw args.machine.fail('string slice too long')
  if (from === to) return text.charCodeAt(from - 1)
  const codes: number[] = []
  for (let at = from; at <= to; at++) codes.push(text.charCodeAt(at - 1))
  return codes
}

function char(args: Arguments): Results {
  let text = ''
  for (let at = 1; at <= args.count; at++) {
    const code = args.integer(at)
    if (code < 0 || code > 255) throw args.bad(at, 'invalid value')
    text += String.fromCharCode(code)
  }
  return text
}

function rep(args: Arguments): Results {
  const text = args.text(1)
  const count = Math.max(0, args.integer(2))
  if (text.length * count > LUA_STRING_BYTES_MAX) throw new LuaError('not enough memory', args.machine.site)
  args.machine.stepsLeft -= (text.length * count) >> 6
  return text.repeat(text === '' ? 0 : count)
}

/** Letters of the C locale only. */
const lower = (text: Bin): Bin => text.replace(/[A-Z]+/g, (part) => part.toLowerCase())
const upper = (text: Bin): Bin => text.replace(/[a-z]+/g, (part) => part.toUpperCase())

function reverse(args: Arguments): Results {
  const text = args.text(1)
  let reversed = ''
  for (let at = text.length - 1; at >= 0; at--) reversed += text[at]
  return reversed
}

function capturesOf(matcher: Matcher, start: number, end: number, whole: boolean): LuaValue[] {
  const count = matcher.captures === 0 && whole ? 1 : matcher.captures
  const captures: LuaValue[] = []
  for (let index = 0; index < count; index++) captures.push(matcher.capture(index, start, end))
  return captures
}

function search(args: Arguments, find: boolean): Results {
  const text = args.text(1)
  const pattern = args.text(2)
  const init = Math.min(text.length, Math.max(0, fromEnd(args.integer(3, 1), text.length) - 1))
  if (find && (isTrue(args.any(4)) || !SPECIALS.test(pattern))) {
    args.machine.stepsLeft -= text.length >> 8
    const at = text.indexOf(pattern, init)
    return at < 0 ? undefined : [at + 1, at + pattern.length]
  }
  const anchored = pattern.startsWith('^')
  const matcher = new Matcher(args.machine, text, pattern)
  for (let at = init; at <= text.length; at++) {
    const end = matcher.matchAt(at, anchored ? 1 : 0)
    if (end >= 0) {
      const captures = capturesOf(matcher, at, end, !find)
      return find ? [at + 1, end, ...captures] : captures
    }
    if (anchored) break
  }
  return undefined
}

function gmatch(args: Arguments): Results {
  const { machine } = args
  const text = args.text(1)
  const pattern = args.text(2)
  let from = 0
  return new LuaFunction('gmatch', () => {
    const matcher = new Matcher(machine, text, pattern)
    for (let at = from; at <= text.length; at++) {
      const end = matcher.matchAt(at, 0)
      if (end < 0) continue
      from = end === at ? end + 1 : end
      return capturesOf(matcher, at, end, true)
    }
    return undefined
  })
}

/** What `gsub` puts in place of a match. */
type Replace = (matcher: Matcher, start: number, end: number) => LuaValue

function replacerOf(args: Arguments, text: Bin): Replace {
  const { machine } = args
  const replacement = args.any(3)
  if (replacement instanceof LuaTable) {
    const where = { site: machine.site, what: '' }
    return (matcher, start, end) => machine.index(replacement, matcher.capture(0, start, end), where)
  }
  if (replacement instanceof LuaFunction) {
    return (matcher, start, end) => first(replacement.call(capturesOf(matcher, start, end, true)))
  }
  const template = toText(replacement)
  if (template === undefined) throw args.bad(3, 'string/function/table expected')
  if (!template.includes('%')) return () => template
  return (matcher, start, end) =>
    template.replace(/%([\s\S]?)/g, (_, char: string) => {
      if (char === '0') return text.slice(start, end)
      if (!/[1-9]/.test(char)) return char
      return toText(matcher.capture(Number(char) - 1, start, end)) as Bin
    })
}

function gsub(args: Arguments): Results {
  const { machine } = args
  const text = args.text(1)
  const pattern = args.text(2)
  const replace = replacerOf(args, text)
  const limit = args.integer(4, text.length + 1)
  const anchored = pattern.startsWith('^')
  const matcher = new Matcher(machine, text, pattern)
  const parts: Bin[] = []
  let at = 0
  let count = 0
  while (count < limit) {
    const end = matcher.matchAt(at, anchored ? 1 : 0)
    if (end >= 0) {
      count++
      const value = replace(matcher, at, end)
      if (!isTrue(value)) parts.push(text.slice(at, end))
      else if (toText(value) === undefined) throw machine.fail(`invalid replacement value (a ${typeOf(value)})`)
      else parts.push(toText(value) as Bin)
    }
    if (end > at) at = end
    else if (at < text.length) parts.push(text[at++] as Bin)
    else break
    if (anchored) break
  }
  if (at < text.length) parts.push(text.slice(at))
  return [machine.checkLength(parts.join('')), count]
}

/** Give a machine the string library, and strings their metatable. */
export function installString(machine: Machine): void {
  const table = library(machine, {
    byte,
    char,
    dump: (args) => {
      throw args.machine.fail('unable to dump given function')
    },
    find: (args) => search(args, true),
    format,
    gfind: gmatch,
    gmatch,
    gsub,
    len: (args) => args.text(1).length,
    lower: (args) => lower(args.text(1)),
    match: (args) => search(args, false),
    rep,
    reverse,
    sub,
    upper: (args) => upper(args.text(1)),
  })
  machine.globals.set('string', table)
  const metatable = new LuaTable()
  metatable.set('__index', table)
  metatable.readonly = true
  machine.stringMetatable = metatable
}
