/** Users as Redis' ACL knows them: plain data, never changed in place, and their description in rules.
 *  @source https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/, Redis 7.2 */
import type { Bin } from '@dotdo/core/bytes'

/** A pattern of keys, and what it allows to do with them. */
export interface KeyPattern {
  readonly pattern: Bin
  readonly reads: boolean
  readonly writes: boolean
}

/** What may be done: commands, with keys, with channels, all three at once. */
export interface Selector {
  /** Whether commands are allowed that no rule names. */
  readonly allCommands: boolean
  /** `+get`, `-config|set`, `+@read`, `+select|0`, in order: the last that names a command decides. */
  readonly rules: readonly string[]
  readonly allKeys: boolean
  readonly keys: readonly KeyPattern[]
  readonly allChannels: boolean
  readonly channels: readonly Bin[]
}

/** A user. */
export interface User {
  readonly name: Bin
  readonly on: boolean
  /** Whether any password is right. */
  readonly noPassword: boolean
  /** RESTORE's payloads are always checked here, so that this is but remembered: undefined when nobody has said it. */
  readonly sanitize: boolean | undefined
  /** Whether the password that the server was started with is right, too: of `default` alone. */
  readonly serverPassword: boolean
  /** SHA-256 of each password, in hexadecimal digits. */
  readonly passwords: readonly string[]
  readonly root: Selector
  readonly selectors: readonly Selector[]
}

/** A selector that allows nothing. */
export const nothing: Selector = {
  allCommands: false,
  rules: [],
  allKeys: false,
  keys: [],
  allChannels: false,
  channels: [],
}

/** A selector that allows everything. */
export const everything: Selector = { ...nothing, allCommands: true, allKeys: true, allChannels: true }

/** Make a user as SETUSER does: off, and allowed nothing. */
export function newUser(name: Bin): User {
  return {
    name,
    on: false,
    noPassword: false,
    sanitize: undefined,
    serverPassword: false,
    passwords: [],
    root: nothing,
    selectors: [],
  }
}

/** Make the user `default` as it is before anyone changes it.
 *  @param serverPassword whether the server was started with a password */
export function defaultUser(serverPassword: boolean): User {
  return { ...newUser('default'), on: true, noPassword: !serverPassword, serverPassword, root: everything }
}

/** Say the commands of a selector. */
export function describeCommands({ allCommands, rules }: Selector): Bin {
  return [allCommands ? '+@all' : '-@all', ...rules].join(' ')
}

/** Say the keys of a selector. */
export function describeKeys({ allKeys, keys }: Selector): Bin {
  if (allKeys) return '~*'
  const say = ({ pattern, reads, writes }: KeyPattern) => {
    if (reads && writes) return `~${pattern}`
    return `%${reads ? 'R' : 'W'}~${pattern}`
  }
  return keys.map(say).join(' ')
}

/** Say the channels of a selector. */
export function describeChannels({ allChannels, channels }: Selector): Bin {
  return allChannels ? '&*' : channels.map((pattern) => `&${pattern}`).join(' ')
}

function describeSelector(selector: Selector): Bin {
  const keys = describeKeys(selector)
  const channels = describeChannels(selector)
  const closed = selector.allChannels ? channels : `resetchannels${channels === '' ? '' : ` ${channels}`}`
  return `${keys === '' ? '' : `${keys} `}${closed} ${describeCommands(selector)}`
}

/** List a user's flags. */
export function userFlags({ on, noPassword, sanitize }: User): string[] {
  const flags = [on ? 'on' : 'off']
  if (noPassword) flags.push('nopass')
  if (sanitize === true) flags.push('sanitize-payload')
  if (sanitize === false) flags.push('skip-sanitize-payload')
  return flags
}

/** Say a user in the rules that make it what it is, without its name. */
export function describeUser(user: User): Bin {
  const passwords = user.passwords.map((hash) => `#${hash}`)
  const selectors = user.selectors.map((selector) => `(${describeSelector(selector)})`)
  return [...userFlags(user), ...passwords, describeSelector(user.root), ...selectors].join(' ')
}
