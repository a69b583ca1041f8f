/** Whether a user may run a command. Pure: scripts ask as sessions do.
 *  @source acl.c of Redis 7.2: ACLCheckAllUserCommandPerm and what it calls */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { Command } from '../command.ts'
import { categoriesOf, type UsedKey, usedKeys } from '../commands/traits.ts'
import { globMatches } from '../engine/glob.ts'
import type { Selector, User } from './user.ts'

type AnyRow = Omit<Command, 'session'>

/** Why a command is not allowed. */
export interface Denial {
  readonly reason: 'command' | 'key' | 'channel'
  /** Where in argv the key or channel is; 0 for the command. */
  readonly at: number
  /** The command's name, the key, or the channel. */
  readonly object: Bin
}

/** Whether a rule names a command, by its category, its name, its container or its first argument. */
function names(rule: string, row: AnyRow, argv: readonly Bin[]): boolean {
  const name = rule.slice(1)
  if (name.startsWith('@')) return categoriesOf(row).includes(name.slice(1))
  if (name === row.name || row.name.startsWith(`${name}|`)) return true
  return !row.name.includes('|') && argv.length > 1 && name === `${row.name}|${(argv[1] as Bin).toLowerCase()}`
}

/** Whether a selector has a command.
 *  @param argv with its first argument, which a rule may ask for */
export function hasCommand(selector: Selector, row: AnyRow, argv: readonly Bin[]): boolean {
  let allowed = selector.allCommands
  for (const rule of selector.rules) if (names(rule, row, argv)) allowed = rule.startsWith('+')
  return allowed
}

function hasKey({ allKeys, keys }: Selector, key: Bin, { reads, writes }: Pick<UsedKey, 'reads' | 'writes'>): boolean {
  if (allKeys) return true
  return keys.some(
    (allowed) => (allowed.reads || !reads) && (allowed.writes || !writes) && globMatches(allowed.pattern, key),
  )
}

/** Commands that name channels, and whether they are patterns. */
const channelCommands: Readonly<Record<string, { last: number; pattern: boolean }>> = {
  publish: { last: 1, pattern: false },
  spublish: { last: 1, pattern: false },
  subscribe: { last: -1, pattern: false },
  ssubscribe: { last: -1, pattern: false },
  psubscribe: { last: -1, pattern: true },
}

/** Whether channels may be listened to or sent to; a pattern must be allowed in so many letters. */
export function hasChannel({ allChannels, channels }: Selector, channel: Bin, isPattern: boolean): boolean {
  if (allChannels) return true
  return channels.some((allowed) => (isPattern ? allowed === channel : globMatches(allowed, channel)))
}

/** Find a key that a selector does not have. */
function deniedKey(selector: Selector, row: AnyRow, argv: readonly Bin[], keys: readonly UsedKey[]) {
  if (selector.allKeys) return undefined
  const denied = keys.find((used) => !hasKey(selector, argv[used.at] as Bin, used))
  if (denied !== undefined || !row.name.startsWith('sort')) return denied
  // BY and GET read keys that no argument names: only who may read all of them can use these.
  const all = selector.keys.some(({ pattern, reads }) => reads && pattern === '*')
  const at = argv.findIndex((word, i) => i > 2 && /^(by|get)$/i.test(argv[i - 1] as Bin) && word !== '#')
  return all || at < 0 ? undefined : { at, reads: true, writes: false }
}

function check(selector: Selector, row: AnyRow, argv: readonly Bin[], keys: readonly UsedKey[]): Denial | undefined {
  if (!row.noAuth && !hasCommand(selector, row, argv)) return { reason: 'command', at: 0, object: row.name }
  const key = deniedKey(selector, row, argv, keys)
  if (key !== undefined) return { reason: 'key', at: key.at, object: argv[key.at] as Bin }
  const channels = channelCommands[row.name]
  if (channels === undefined || selector.allChannels) return undefined
  const last = channels.last < 0 ? argv.length + channels.last : channels.last
  for (let at = 1; at <= last && at < argv.length; at++) {
    const channel = argv[at] as Bin
    if (!hasChannel(selector, channel, channels.pattern)) return { reason: 'channel', at, object: channel }
  }
  return undefined
}

const weight = { command: 1, key: 2, channel: 3 } as const

/** Whether a selector allows everything. */
export function isAllowedAll({ allCommands, rules, allKeys, allChannels }: Selector): boolean {
  return allCommands && rules.length === 0 && allKeys && allChannels
}

/** Check whether a user may run a command: one of its selectors must allow all of it.
 *  @param row the command's, or its subcommand's
 *  @returns undefined when it may; else why not, as the selector says that came furthest */
export function checkCommand(user: User, row: AnyRow, argv: readonly Bin[]): Denial | undefined {
  if (isAllowedAll(user.root)) return undefined
  const keys = keysOf(row, argv)
  let worst: Denial | undefined
  for (const selector of [user.root, ...user.selectors]) {
    const denial = check(selector, row, argv, keys)
    if (denial === undefined) return undefined
    const further = worst === undefined || weight[denial.reason] > weight[worst.reason]
    if (further || (denial.reason === worst?.reason && denial.at > worst.at)) worst = denial
  }
  return worst
}

/** Arguments that are too few or make no sense name no keys: the command itself will say so. */
function keysOf(row: AnyRow, argv: readonly Bin[]): UsedKey[] {
  try {
    return usedKeys(row, argv)
  } catch (error) {
    if (error instanceof Failure) return []
    throw error
  }
}

/** Say a denial as the reply does.
 *  @source getAclErrorMessage of Redis 7.2 */
export function denialText(user: Bin, { reason, object }: Denial): Bin {
  if (reason === 'command') return `User ${user} has no permissions to run the '${object}' command`
  return `No permissions to access a ${reason}`
}

/** Say a denial as ACL DRYRUN does, naming the key or channel. */
export function fullDenialText(user: Bin, denial: Denial): Bin {
  if (denial.reason === 'command') return denialText(user, denial)
  return `User ${user} has no permissions to access the '${denial.object}' ${denial.reason}`
}
