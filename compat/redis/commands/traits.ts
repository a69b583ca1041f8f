/** What is known of a command beside its row: flags, ACL categories, tips, and how it uses each of its keys. */
import type { Bin } from '@dotdo/core/bytes'
import type { Command } from '../command.ts'
import { findKeys } from '../routing.ts'
import { flagLines, keySpecLines, tipLines } from './trait-lines.ts'

/** A row, whatever the type of its session function. */
type AnyRow = Omit<Command, 'session'>

/** A key specification, in the terms of COMMAND INFO. */
export interface KeySpec {
  readonly flags: readonly string[]
  readonly begin: { readonly index: number } | { readonly keyword: string; readonly startFrom: number } | undefined
  readonly find:
    | { readonly lastKey: number; readonly step: number; readonly limit: number }
    | { readonly countAt: number; readonly firstKey: number; readonly step: number }
    | undefined
}

/** A key of a request, and what the command does to it. */
export interface UsedKey {
  readonly at: number
  /** Whether its value is told to the client. */
  readonly reads: boolean
  /** Whether it is changed. */
  readonly writes: boolean
}

/** Every category, in the order of ACL CAT. */
export const categories: readonly string[] = (
  'keyspace read write set sortedset list hash string bitmap hyperloglog geo stream pubsub admin fast slow blocking ' +
  'dangerous connection transaction scripting'
).split(' ')

const words = (text: string): string[] => (text === '' ? [] : text.split(' '))

/** Spread lines over the commands they end with. */
function byCommand<Line extends readonly string[]>(lines: readonly Line[]): Map<string, Line> {
  return new Map(lines.flatMap((line) => words(line.at(-1) as string).map((name): [string, Line] => [name, line])))
}

const flagsByName = byCommand(flagLines)
const specsByName = byCommand(keySpecLines)
const tipsByName = byCommand(tipLines)

/** Whether Redis has a command of that name, `client|id` for a subcommand. */
export function isListed(name: string): boolean {
  return flagsByName.has(name)
}

const containers = new Set([...flagsByName.keys()].flatMap((name) => (name.includes('|') ? name.split('|', 1) : [])))

/** Whether a command has subcommands. */
export function isContainer(name: string): boolean {
  return containers.has(name)
}

const knownFlags = new Map<string, readonly string[]>()

/** List a command's flags, as COMMAND INFO does. */
export function flagsOf(row: AnyRow): readonly string[] {
  let flags = knownFlags.get(row.name)
  if (flags === undefined) {
    flags = readFlags(row)
    knownFlags.set(row.name, flags)
  }
  return flags
}

function readFlags(row: AnyRow): string[] {
  const line = flagsByName.get(row.name)
  const flags = line === undefined ? ownFlags(row) : words(line[0])
  return row.findKeys || keySpecsOf(row).some(isMovable) ? [...flags, 'movablekeys'] : flags
}

/** Whether positions cannot tell where the keys are. */
function isMovable({ begin, find, flags }: KeySpec): boolean {
  if (flags.includes('not_key')) return false
  return begin === undefined || !('index' in begin) || find === undefined || 'countAt' in find || isIncomplete(flags)
}

const isIncomplete = (flags: readonly string[]): boolean => flags.includes('incomplete')

function ownFlags(row: AnyRow): string[] {
  const flags: string[] = []
  if (row.mode === 'write') flags.push('write')
  if (row.mode === 'read') flags.push('readonly')
  if (row.noMulti) flags.push('no_multi')
  if (row.noAuth) flags.push('no_auth')
  return flags
}

/** Categories of groups of the documentation, for commands that are not listed. */
const groupCategories: Readonly<Record<string, string>> = {
  generic: 'keyspace',
  transactions: 'transaction',
  'sorted-set': 'sortedset',
}

const known = new Map<string, readonly string[]>()

/** List a command's categories, without `@`.
 *  @source acl.c of Redis 7.2: what follows from flags */
export function categoriesOf(row: AnyRow): readonly string[] {
  const before = known.get(row.name)
  if (before !== undefined) return before
  const line = flagsByName.get(row.name)
  const group = groupCategories[row.group] ?? row.group
  const found = new Set(line === undefined ? (categories.includes(group) ? [group] : []) : words(line[1]))
  const flags = flagsOf(row)
  const has = (flag: string) => flags.includes(flag)
  if (has('write')) found.add('write')
  if (has('readonly') && !found.has('scripting')) found.add('read')
  if (has('admin')) found.add('admin').add('dangerous')
  if (has('pubsub')) found.add('pubsub')
  found.add(has('fast') ? 'fast' : 'slow')
  if (has('blocking')) found.add('blocking')
  const sorted = categories.filter((category) => found.has(category))
  known.set(row.name, sorted)
  return sorted
}

/** List a command's tips. */
export function tipsOf({ name }: AnyRow): string[] {
  return words(tipsByName.get(name)?.[0] ?? '')
}

function parseSpec(text: string): KeySpec {
  const parts = text.split(' ')
  const find = parts.pop() as string
  const begin = parts.pop() as string
  const numbers = find.slice(1).split(',').map(Number) as [number, number, number]
  const [keyword = '', startFrom = '0'] = begin.slice(1).split(',')
  return {
    flags: parts,
    begin:
      begin === 'unknown'
        ? undefined
        : begin.startsWith('i')
          ? { index: Number(keyword) }
          : { keyword, startFrom: Number(startFrom) },
    find:
      find === 'unknown'
        ? undefined
        : find.startsWith('r')
          ? { lastKey: numbers[0], step: numbers[1], limit: numbers[2] }
          : { countAt: numbers[0], firstKey: numbers[1], step: numbers[2] },
  }
}

const specs = new Map<string, readonly KeySpec[]>()

/** List a command's key specifications. */
export function keySpecsOf(row: AnyRow): readonly KeySpec[] {
  const before = specs.get(row.name)
  if (before !== undefined) return before
  const line = specsByName.get(row.name)
  const found = line === undefined ? ownSpecs(row) : line[0].split('; ').map(parseSpec)
  specs.set(row.name, found)
  return found
}

function ownSpecs({ keys, mode }: AnyRow): KeySpec[] {
  if (keys === undefined) return []
  // Here the last key is told from the first one.
  const lastKey = keys.last < 0 ? keys.last : keys.last - keys.first
  const flags = mode === 'write' ? ['RW', 'access', 'update'] : ['RO', 'access']
  return [{ flags, begin: { index: keys.first }, find: { lastKey, step: keys.step, limit: 0 } }]
}

function beginOf({ begin }: KeySpec, argv: readonly Bin[]): number | undefined {
  if (begin === undefined) return undefined
  if ('index' in begin) return begin.index
  const { keyword, startFrom } = begin
  const step = startFrom < 0 ? -1 : 1
  for (let at = startFrom < 0 ? argv.length + startFrom : startFrom; at > 0 && at < argv.length - 1; at += step) {
    if ((argv[at] as Bin).toUpperCase() === keyword) return at + 1
  }
  return undefined
}

/** List the places that a specification finds. */
function placesOf(spec: KeySpec, argv: readonly Bin[]): number[] {
  const first = beginOf(spec, argv)
  const { find } = spec
  if (first === undefined || find === undefined) return []
  const places: number[] = []
  if ('countAt' in find) {
    const count = Number(argv[first + find.countAt])
    for (let i = 0; i < count; i++) places.push(first + find.firstKey + i * find.step)
  } else {
    const { lastKey, step, limit } = find
    const left = argv.length - first
    const last =
      lastKey >= 0
        ? first + lastKey
        : lastKey === -1 && limit > 1
          ? first + Math.floor(left / limit) - 1
          : argv.length + lastKey
    for (let at = first; at <= last; at += step) places.push(at)
  }
  return places.filter((at) => at < argv.length)
}

/** The flags of keys whose use depends on the other arguments. */
function variableFlags(name: string, argv: readonly Bin[]): readonly string[] {
  const has = (...wanted: string[]) => argv.slice(2).some((word) => wanted.includes(word.toUpperCase()))
  if (name === 'set') return argv.length > 3 && has('GET') ? ['RW', 'access', 'update'] : ['OW', 'update']
  if (name === 'bitfield') return has('SET', 'INCRBY') ? ['RW', 'access', 'update'] : ['RO', 'access']
  return ['RW', 'access', 'update']
}

const readsBy = ['access']
const writesBy = ['insert', 'update', 'delete']

/** Find the keys of a request, each with the flags of how it is used. Keys that no specification tells, or that one
 *  tells but in part, are those of the row, used as its mode says.
 *  @throws invalid when argv is too short for them */
export function keysWithFlags(row: AnyRow, argv: readonly Bin[]): { at: number; flags: readonly string[] }[] {
  const told = keySpecsOf(row)
  const partly = told.some((spec) => spec.begin === undefined || isIncomplete(spec.flags))
  if (told.length === 0 || partly) {
    const flags = row.mode === 'write' ? ['RW', 'access', 'update'] : ['RO', 'access']
    return findKeys(row, argv).map((at) => ({ at, flags }))
  }
  return told.flatMap((spec) => {
    if (spec.flags.includes('not_key')) return []
    const variable = spec.flags.includes('variable_flags')
    const flags = variable ? variableFlags(row.name, argv) : spec.flags
    return placesOf(spec, argv).map((at) => ({ at, flags }))
  })
}

/** Find the keys of a request, and what is done to each: those that specifications tell, and any that routing sees
 *  besides, so that no key can be used that nobody was asked for.
 *  @throws invalid when argv is too short for them */
export function usedKeys(row: AnyRow, argv: readonly Bin[]): UsedKey[] {
  const used = keysWithFlags(row, argv).map(({ at, flags }) => ({
    at,
    reads: flags.some((flag) => readsBy.includes(flag)),
    writes: flags.some((flag) => writesBy.includes(flag)),
  }))
  const others = findKeys(row, argv).filter((at) => !used.some((known) => known.at === at))
  return [...used, ...others.map((at) => ({ at, reads: true, writes: row.mode === 'write' }))]
}
