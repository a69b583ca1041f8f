/** The rules of ACL SETUSER: each makes another user of a user.
 *  @source acl.c of Redis 7.2: ACLSetUser, ACLSetSelector, and the words of their errors */
import type { Bin } from '@dotdo/core/bytes'
import { categories } from '../commands/traits.ts'
import { sha256 } from './sha256.ts'
import { type KeyPattern, newUser, nothing, type Selector, type User } from './user.ts'

/** What is known of commands when rules are read. */
export interface Commands {
  /** Whether there is a command, or a subcommand `config|get`. */
  has(name: string): boolean
  /** Whether a command has subcommands. */
  isContainer(name: string): boolean
}

/** What is wrong with a rule. */
export class RuleError extends Error {}

const SYNTAX = 'Syntax error'
const UNKNOWN = 'Unknown command or category name in ACL'
const afterAll = (what: string, reset: string) =>
  `Adding a pattern after the * pattern (or the '${what}' flag) is not valid and does not have any effect. ` +
  `Try '${reset}' to start with an empty list of ${what === 'allkeys' ? 'patterns' : 'channels'}`
const BAD_HASH = 'The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters'
const NO_PASSWORD = 'The password you are trying to remove from the user does not exist'

function refuse(message: string): never {
  throw new RuleError(message)
}

/** Whether a name or pattern holds what separates words. */
export function hasSpaces(text: Bin): boolean {
  // Not \s, which takes a byte of UTF-8 for a space.
  return /[ \t-\r\0]/.test(text)
}

const isSame = (a: string, b: string): boolean => a.toLowerCase() === b

/** Take away what a rule makes void: the same command, and its subcommands. */
function withRule(rules: readonly string[], sign: string, name: string): string[] {
  const others = rules.filter((rule) => rule.slice(1) !== name && !rule.slice(1).startsWith(`${name}|`))
  return [...others, sign + name]
}

function setCommand(selector: Selector, rule: Bin, commands: Commands): Selector {
  const sign = rule.charAt(0)
  const name = rule.slice(1).toLowerCase()
  const allowed = { ...selector, rules: withRule(selector.rules, sign, name) }
  if (name.startsWith('@')) return categories.includes(name.slice(1)) ? allowed : refuse(UNKNOWN)
  const [command = '', first, ...more] = name.split('|')
  if (hasSpaces(name)) return refuse(UNKNOWN)
  if (first === undefined) return commands.has(command) ? allowed : refuse(UNKNOWN)
  if (commands.has(name)) return allowed
  if (first === '' || command === '') return refuse(SYNTAX)
  if (more.length > 0 && commands.has(`${command}|${first}`)) {
    return refuse('Allowing first-arg of a subcommand is not supported')
  }
  // The first argument of a command without subcommands may be allowed, not denied.
  if (!commands.has(command) || commands.isContainer(command)) return refuse(UNKNOWN)
  return sign === '-' ? refuse(UNKNOWN) : allowed
}

function setKeys(selector: Selector, rule: Bin, commands: Commands): Selector {
  // `%R~*` and `%W~*` are described as `~*`: what stands behind that is no mistake in a description.
  if (selector.allKeys) return commands === anyCommand ? selector : refuse(afterAll('allkeys', 'resetkeys'))
  const [, flags = 'rw', pattern = ''] = /^(?:%([rwRW]+))?~(.*)$/s.exec(rule) ?? refuse(SYNTAX)
  const reads = /r/i.test(flags)
  const writes = /w/i.test(flags)
  if (hasSpaces(pattern)) return refuse(SYNTAX)
  if (pattern === '*' && reads && writes) return { ...selector, allKeys: true, keys: [] }
  const known = selector.keys.some((key) => key.pattern === pattern)
  const joined = (key: KeyPattern): KeyPattern =>
    key.pattern === pattern ? { pattern, reads: key.reads || reads, writes: key.writes || writes } : key
  return { ...selector, keys: known ? selector.keys.map(joined) : [...selector.keys, { pattern, reads, writes }] }
}

function setChannel(selector: Selector, pattern: Bin): Selector {
  if (selector.allChannels) return refuse(afterAll('allchannels', 'resetchannels'))
  if (hasSpaces(pattern)) return refuse(SYNTAX)
  if (selector.channels.includes(pattern)) return selector
  return { ...selector, channels: [...selector.channels, pattern] }
}

/** Change a selector by one rule. */
function setSelector(selector: Selector, rule: Bin, commands: Commands): Selector {
  switch (rule.toLowerCase()) {
    case 'allkeys':
    case '~*':
      return { ...selector, allKeys: true, keys: [] }
    case 'resetkeys':
      return { ...selector, allKeys: false, keys: [] }
    case 'allchannels':
    case '&*':
      return { ...selector, allChannels: true, channels: [] }
    case 'resetchannels':
      return { ...selector, allChannels: false, channels: [] }
    case 'allcommands':
    case '+@all':
      return { ...selector, allCommands: true, rules: [] }
    case 'nocommands':
    case '-@all':
      return { ...selector, allCommands: false, rules: [] }
  }
  if (/^[~%]/.test(rule)) return setKeys(selector, rule, commands)
  if (rule.startsWith('&')) return setChannel(selector, rule.slice(1))
  return /^[+-]/.test(rule) ? setCommand(selector, rule, commands) : refuse(SYNTAX)
}

function readSelector(rule: Bin, commands: Commands): Selector {
  const words = rule.slice(1, -1).split(' ')
  // One that ends in the middle would be read back as another.
  if (!rule.endsWith(')') || words.some((word) => word.endsWith(')'))) return refuse(SYNTAX)
  return words.filter((word) => word !== '').reduce((made, word) => setSelector(made, word, commands), nothing)
}

/** The hash that a password rule gives. */
function hashOf(rule: Bin): string {
  if (/^[><]/.test(rule)) return sha256(rule.slice(1))
  const hash = rule.slice(1)
  return /^[0-9a-f]{64}$/.test(hash) ? hash : refuse(BAD_HASH)
}

function setPassword(user: User, rule: Bin): User {
  const hash = hashOf(rule)
  const { passwords } = user
  if (/^[>#]/.test(rule)) {
    return { ...user, noPassword: false, passwords: passwords.includes(hash) ? passwords : [...passwords, hash] }
  }
  if (!passwords.includes(hash)) return refuse(NO_PASSWORD)
  return { ...user, passwords: passwords.filter((other) => other !== hash) }
}

/** Change a user by one rule.
 *  @throws RuleError */
export function applyRule(user: User, rule: Bin, commands: Commands): User {
  const is = (word: string) => isSame(rule, word)
  if (is('on')) return { ...user, on: true }
  if (is('off')) return { ...user, on: false }
  if (is('nopass')) return { ...user, noPassword: true, passwords: [] }
  if (is('sanitize-payload')) return { ...user, sanitize: true }
  if (is('skip-sanitize-payload')) return { ...user, sanitize: false }
  if (is('resetpass')) return { ...user, noPassword: false, serverPassword: false, passwords: [] }
  if (is('reset')) return { ...newUser(user.name), sanitize: true }
  if (is('clearselectors')) return { ...user, selectors: [] }
  if (/^[><#!]/.test(rule)) return setPassword(user, rule)
  if (rule.startsWith('(')) return { ...user, selectors: [...user.selectors, readSelector(rule, commands)] }
  return { ...user, root: setSelector(user.root, rule, commands) }
}

/** Join the words of each selector, which clients send apart.
 *  @throws RuleError for one that does not end */
export function joinSelectors(rules: readonly Bin[]): Bin[] {
  const joined: Bin[] = []
  let open: Bin | undefined
  for (const rule of rules) {
    if (open !== undefined) open += ` ${rule}`
    else if (rule.startsWith('(') && !rule.endsWith(')')) open = rule
    else joined.push(rule)
    if (open?.endsWith(')')) {
      joined.push(open)
      open = undefined
    }
  }
  if (open === undefined) return joined
  throw new RuleError(`Unmatched parenthesis in acl selector starting at '${open.split(' ')[0]}'.`)
}

/** Stored rules name commands of the version that stored them: they are taken at their word. */
const anyCommand: Commands = { has: () => true, isContainer: () => false }

/** Read a user back from its description, and whether the server's password is one of its own. */
export function readUser(name: Bin, rules: Bin, serverPassword: boolean): User {
  const found = joinSelectors(rules.split(' '))
  const first: User = { ...newUser(name), serverPassword }
  return found.reduce<User>((user, rule) => applyRule(user, rule, anyCommand), first)
}
