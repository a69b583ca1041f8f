/** Parsing what stream commands take: ids, ranges of them, what to trim, what to read. */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { Blocking } from '../command.ts'
import { ID_MAX, ID_MIN, idAfter, idBefore, parseId, toId } from '../engine/stream-ids.ts'
import type { NewId, Trim } from '../engine/streams.ts'
import { syntaxError, toInteger } from './arguments.ts'

type Argv = readonly Bin[]

/** Make a failure in Redis' words. */
export function refuse(message: string): Failure {
  return new Failure('invalid', `ERR ${message}`)
}

function badId(): Failure {
  return refuse('Invalid stream ID specified as stream command argument')
}

/** Parse an id.
 *  @throws invalid */
export function toStrictId(argument: Bin): Bin {
  const parsed = parseId(argument)
  if (parsed === undefined || parsed.seq === '*') throw badId()
  return toId(parsed.ms, parsed.seq ?? 0)
}

/** Parse an id, `-` for the smallest or `+` for the greatest.
 *  @param missing the sequence number of an id that leaves it out
 *  @throws invalid */
export function toBoundId(argument: Bin, missing: 'least' | 'greatest' = 'least'): Bin {
  if (argument === '-') return ID_MIN
  if (argument === '+') return ID_MAX
  const parsed = parseId(argument)
  if (parsed === undefined || parsed.seq === '*') throw badId()
  return toId(parsed.ms, parsed.seq ?? (missing === 'least' ? 0 : 2n ** 64n - 1n))
}

/** Parse where an interval begins; `(` leaves the id itself out.
 *  @throws invalid */
export function toStart(argument: Bin): Bin {
  if (!argument.startsWith('(') || argument.length === 1) return toBoundId(argument)
  const id = idAfter(toStrictId(argument.slice(1)))
  if (id === undefined) throw refuse('invalid start ID for the interval')
  return id
}

/** Parse where an interval ends; `(` leaves the id itself out.
 *  @throws invalid */
export function toEnd(argument: Bin): Bin {
  if (!argument.startsWith('(') || argument.length === 1) return toBoundId(argument, 'greatest')
  const parsed = parseId(argument.slice(1))
  if (parsed === undefined || parsed.seq === '*') throw badId()
  const id = idBefore(toId(parsed.ms, parsed.seq ?? 2n ** 64n - 1n))
  if (id === undefined) throw refuse('invalid end ID for the interval')
  return id
}

/** Parse the id of a new entry. */
function toNewId(argument: Bin): NewId {
  if (argument === '*') return argument
  const parsed = parseId(argument)
  if (parsed === undefined) throw badId()
  return parsed.seq === '*' ? { ms: parsed.ms } : { id: toId(parsed.ms, parsed.seq ?? 0) }
}

/** Trims of `~` without LIMIT look at so many entries at most: 100 nodes. */
const APPROXIMATE_ENTRIES_MAX = 10_000

interface Trimming {
  strategy?: { readonly max: number } | { readonly minId: Bin }
  approximate: boolean
  limit?: number
}

/** What XADD and XTRIM say before the id. */
export interface TrimOptions {
  readonly trim: Trim | undefined
  readonly create: boolean
  /** The id of XADD, and where it stands. */
  readonly id: NewId | undefined
  readonly idAt: number
}

/** Parse MAXLEN or MINID and its argument.
 *  @returns where the argument stands */
function parseStrategy(found: Trimming, argv: Argv, at: number): number {
  if (found.strategy !== undefined) {
    throw refuse('syntax error, MAXLEN and MINID options at the same time are not compatible')
  }
  const sign = argv[at + 1] as Bin
  const signed = (sign === '~' || sign === '=') && argv[at + 2] !== undefined
  found.approximate = signed && sign === '~'
  const place = signed ? at + 2 : at + 1
  const argument = argv[place] as Bin
  if ((argv[at] as Bin).toUpperCase() === 'MINID') {
    found.strategy = { minId: toStrictId(argument) }
    return place
  }
  const max = toInteger(argument)
  if (max < 0) throw refuse('The MAXLEN argument must be >= 0.')
  found.strategy = { max }
  return place
}

function parseLimit(argument: Bin): number {
  const limit = toInteger(argument)
  if (limit < 0) throw refuse('The LIMIT argument must be >= 0.')
  return limit
}

function checkTrim({ strategy, approximate, limit }: Trimming, adds: boolean): Trim | undefined {
  if (strategy === undefined && limit !== undefined && limit > 0) {
    throw refuse('syntax error, LIMIT cannot be used without specifying a trimming strategy')
  }
  if (strategy === undefined && !adds) throw refuse('syntax error, XTRIM must be called with a trimming strategy')
  if (limit !== undefined && !approximate) {
    throw refuse('syntax error, LIMIT cannot be used without the special ~ option')
  }
  const most = limit ?? (approximate ? APPROXIMATE_ENTRIES_MAX : 0)
  return strategy && { ...strategy, approximate, limit: most }
}

/** Parse the options of XADD, up to its id, or those of XTRIM.
 *  @throws invalid
 *  @source redis 7.2 t_stream.c streamParseAddOrTrimArgsOrReply */
export function parseTrim(argv: Argv, adds: boolean): TrimOptions {
  const found: Trimming = { approximate: false }
  let create = true
  let id: NewId | undefined
  let at = 2
  for (; at < argv.length; at++) {
    const word = argv[at] as Bin
    const option = word.toUpperCase()
    const more = at + 1 < argv.length
    if ((option === 'MAXLEN' || option === 'MINID') && more) at = parseStrategy(found, argv, at)
    else if (option === 'LIMIT' && more) found.limit = parseLimit(argv[++at] as Bin)
    else if (adds && option === 'NOMKSTREAM') create = false
    else if (adds) {
      id = toNewId(word)
      break
    } else throw syntaxError()
  }
  return { trim: checkTrim(found, adds), create, id, idAt: at }
}

/** What XREAD and XREADGROUP ask for. */
export interface ReadOptions {
  /** How many entries of each stream; undefined for all. */
  count: number | undefined
  /** Where the time-out stands; undefined for a request that does not wait. */
  blockAt: number | undefined
  group: Bin | undefined
  consumer: Bin
  noAck: boolean
  /** Places of the keys. The id of each stands as many places behind it as there are keys. */
  keysAt: number
  keyCount: number
}

function parseStreams(found: ReadOptions, argv: Argv, at: number, isGroup: boolean): void {
  const words = argv.length - at
  if (words % 2 !== 0) {
    const [name, symbol] = isGroup ? ['xreadgroup', '>'] : ['xread', '$']
    const what = `for each stream key an ID or '${symbol}' must be specified.`
    throw refuse(`Unbalanced '${name}' list of streams: ${what}`)
  }
  found.keysAt = at
  found.keyCount = words / 2
}

/** Parse an option besides STREAMS.
 *  @returns where its last argument stands */
function parseReadOption(found: ReadOptions, argv: Argv, at: number, isGroup: boolean): number {
  const option = (argv[at] as Bin).toUpperCase()
  const more = argv.length - at - 1
  if (option === 'BLOCK' && more >= 1) {
    found.blockAt = at + 1
    return at + 1
  }
  if (option === 'COUNT' && more >= 1) {
    const count = toInteger(argv[at + 1] as Bin)
    found.count = count > 0 ? count : undefined
    return at + 1
  }
  const known = (option === 'GROUP' && more >= 2) || option === 'NOACK'
  if (!known) throw syntaxError()
  if (!isGroup) throw refuse(`The ${option} option is only supported by XREADGROUP. You called XREAD instead.`)
  if (option === 'NOACK') {
    found.noAck = true
    return at
  }
  found.group = argv[at + 1] as Bin
  found.consumer = argv[at + 2] as Bin
  return at + 2
}

/** Parse what XREAD and XREADGROUP ask for; ids are not looked at.
 *  @throws invalid
 *  @source redis 7.2 t_stream.c xreadCommand */
export function parseRead(argv: Argv, isGroup: boolean): ReadOptions {
  const found: ReadOptions = {
    count: undefined,
    blockAt: undefined,
    group: undefined,
    consumer: '',
    noAck: false,
    keysAt: 0,
    keyCount: 0,
  }
  for (let at = 1; at < argv.length; at++) {
    if ((argv[at] as Bin).toUpperCase() === 'STREAMS' && at + 1 < argv.length) {
      parseStreams(found, argv, at + 1, isGroup)
      break
    }
    at = parseReadOption(found, argv, at, isGroup)
  }
  if (found.keysAt === 0) throw syntaxError()
  if (isGroup && found.group === undefined) throw refuse('Missing GROUP option for XREADGROUP')
  return found
}

/** Find the keys of XREAD and XREADGROUP. */
export function readKeys(isGroup: boolean): (argv: Argv) => number[] {
  return (argv) => {
    const { keysAt, keyCount } = parseRead(argv, isGroup)
    return Array.from({ length: keyCount }, (_, i) => keysAt + i)
  }
}

/** Say how XREAD and XREADGROUP wait. */
export function readBlock(isGroup: boolean): Blocking {
  return { timeoutAt: (argv) => parseRead(argv, isGroup).blockAt, unit: 'ms' }
}
