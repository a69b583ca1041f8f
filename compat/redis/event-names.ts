/** How commands call what they do to a key: most events have the command's own name.
 *  @source https://redis.io/docs/latest/develop/use/keyspace-notifications/#events-generated-by-different-commands */
import type { Bin } from '@dotdo/core/bytes'
import type { Command } from './command.ts'
import type { Touched } from './events.ts'

/** An event, and the letter of its kind in `notify-keyspace-events`. */
export type EventOf = readonly [event: string, kind: string]

/** Kinds by the group of the command. Other groups have no events. */
const kinds: { readonly [group: string]: string } = {
  string: '$',
  bitmap: '$',
  hyperloglog: '$',
  list: 'l',
  set: 's',
  hash: 'h',
  'sorted-set': 'z',
  geo: 'z',
  stream: 't',
  generic: 'g',
}

const DEL: EventOf = ['del', 'g']
const EXPIRE: EventOf = ['expire', 'g']

/** Names that differ from the command's; '' for no event. */
const names: { readonly [command: string]: string } = {
  getset: 'set',
  mset: 'set',
  msetnx: 'set',
  setnx: 'set',
  setex: 'set',
  psetex: 'set',
  bitop: 'set',
  incr: 'incrby',
  decr: 'incrby',
  decrby: 'incrby',
  bitfield: 'setbit',
  pfmerge: 'pfadd',
  hmset: 'hset',
  hsetnx: 'hset',
  lpushx: 'lpush',
  rpushx: 'rpush',
  blpop: 'lpop',
  brpop: 'rpop',
  zincrby: 'zincr',
  bzpopmin: 'zpopmin',
  bzpopmax: 'zpopmax',
  geoadd: 'zadd',
  georadius: 'georadiusstore',
  georadiusbymember: 'georadiusstore',
  xreadgroup: '',
  xack: '',
  xclaim: '',
  xautoclaim: '',
  copy: 'copy_to',
}

/** Commands of which a removed key is all there is to tell. */
export const removing: ReadonlySet<string> = new Set(['del', 'unlink', 'getdel'])
const expiring = new Set(['expire', 'pexpire', 'expireat', 'pexpireat'])

const has = (argv: readonly Bin[], words: RegExp) => argv.some((word, i) => i > 0 && words.test(word))

/** Commands that do different things to different keys, or by their options. */
const special: { readonly [command: string]: (argv: readonly Bin[], touched: Touched) => EventOf[] } = {
  set: (argv) => [['set', '$'], ...(has(argv.slice(2), /^(ex|px|exat|pxat)$/i) ? [EXPIRE] : [])],
  setex: () => [['set', '$'], EXPIRE],
  psetex: () => [['set', '$'], EXPIRE],
  getex: (argv) => (has(argv.slice(1), /^persist$/i) ? [['persist', 'g']] : [EXPIRE]),
  rename: (argv, { key }) => [[key === argv[1] ? 'rename_from' : 'rename_to', 'g']],
  renamenx: (argv, { key }) => [[key === argv[1] ? 'rename_from' : 'rename_to', 'g']],
  move: (_, { end }) => [[end === 'delete' ? 'move_from' : 'move_to', 'g']],
  smove: (argv, { key }) => [[key === argv[1] ? 'srem' : 'sadd', 's']],
  sort: () => [['sortstore', 'l']],
  rpoplpush: moved('right', 'left'),
  brpoplpush: moved('right', 'left'),
  lmove: moved(),
  blmove: moved(),
  lmpop: (argv) => [[has(argv, /^left$/i) ? 'lpop' : 'rpop', 'l']],
  blmpop: (argv) => [[has(argv, /^left$/i) ? 'lpop' : 'rpop', 'l']],
  zmpop: (argv) => [[has(argv, /^min$/i) ? 'zpopmin' : 'zpopmax', 'z']],
  bzmpop: (argv) => [[has(argv, /^min$/i) ? 'zpopmin' : 'zpopmax', 'z']],
  zadd: (argv) => [[has(argv.slice(1), /^incr$/i) ? 'zincr' : 'zadd', 'z']],
}

/** Where an element went from one list to another. */
function moved(from?: string, to?: string): (argv: readonly Bin[], touched: Touched) => EventOf[] {
  return (argv, { key }) => {
    const pop: EventOf = [/^left$/i.test(from ?? argv[3] ?? '') ? 'lpop' : 'rpop', 'l']
    const push: EventOf = [/^left$/i.test(to ?? argv[4] ?? '') ? 'lpush' : 'rpush', 'l']
    if (argv[1] === argv[2]) return [push, pop]
    return [key === argv[1] ? pop : push]
  }
}

/** Commands that take a key's place and name: their event itself says that it has gone, and comes after `new`. */
export const relocating: ReadonlySet<string> = new Set(['rename', 'renamenx', 'move'])

/** Commands that remove what is in their target's place before they make it anew. */
export const replacing: ReadonlySet<string> = new Set([...relocating, 'copy', 'restore'])

/** Commands of two keys that tell of the second one first. */
const targetFirst = new Set(['lmove', 'blmove', 'rpoplpush', 'brpoplpush'])

/** Put the keys that a command changed into the order in which Redis tells of them. */
export function inOrder({ name }: Command, argv: readonly Bin[], touched: readonly Touched[]): readonly Touched[] {
  if (name === 'smove' || relocating.has(name)) {
    const isTarget = ({ key, end }: Touched) => (name === 'move' ? end !== 'delete' : key !== argv[1])
    return [...touched].sort((a, b) => Number(isTarget(a)) - Number(isTarget(b)))
  }
  if (!targetFirst.has(name)) return touched
  return [...touched].sort((a, b) => Number(a.key === argv[1]) - Number(b.key === argv[1]))
}

/** Whether a command's events are noted: scripts and the like have none of their own, but those that they run. */
export function hasEvents({ group, mode }: Command): boolean {
  return mode === 'write' && kinds[group] !== undefined
}

/** Name what a command did to a key that it changed.
 *  @returns the events in their order */
export function eventsOf({ name, group }: Command, argv: readonly Bin[], touched: Touched): readonly EventOf[] {
  const kind = kinds[group]
  if (kind === undefined) return []
  const isGone = touched.end === 'delete'
  if (removing.has(name)) return [DEL]
  if (expiring.has(name)) return [isGone ? DEL : EXPIRE]
  if (isGone && name === 'getex') return [DEL]
  const chosen = special[name]?.(argv, touched)
  const event = names[name] ?? name.replace('|', '-')
  const events = chosen ?? (event === '' ? [] : [[event, kind] as const])
  return isGone && !relocating.has(name) ? [...events, DEL] : events
}
