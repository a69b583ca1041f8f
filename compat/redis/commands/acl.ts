/** ACL and its subcommands.
 *  @source https://redis.io/docs/latest/commands/acl/ and acl.c of Redis 7.2 */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { checkCommand, fullDenialText, hasChannel } from '../acl/check.ts'
import { applyRule, type Commands, hasSpaces, joinSelectors, RuleError } from '../acl/rules.ts'
import * as users from '../acl/user.ts'
import type { Row, Session } from '../session.ts'
import { OK, type Value } from '../value.ts'
import { toInteger } from './arguments.ts'
import { categories, categoriesOf } from './traits.ts'

type Argv = readonly Bin[]

/** Make the failure of a subcommand with more words than it takes. */
function wrongWords(name: string): Failure {
  return new Failure('invalid', `ERR unknown subcommand or wrong number of arguments for '${name}'. Try ACL HELP.`)
}

function cat({ server }: Session, argv: Argv): Value {
  const [, , category] = argv
  if (argv.length > 3) throw wrongWords('CAT')
  if (category === undefined) return [...categories]
  const wanted = category.toLowerCase()
  if (!categories.includes(wanted)) throw new Failure('invalid', `ERR Unknown category '${category.slice(0, 128)}'`)
  const rows = [...server.commands.rows.values()]
  return rows.filter((row) => categoriesOf(row).includes(wanted)).map(({ name }) => name)
}

function commandsOf({ server }: Session): Commands {
  return {
    has: (name) => server.commands.rows.has(name),
    isContainer: (name) => server.commands.subcommands(name).length > 0,
  }
}

/** Change a user by rules, all or none.
 *  @throws invalid naming the rule that makes no sense */
function changed(session: Session, user: users.User, given: Argv): users.User {
  const commands = commandsOf(session)
  let current = ''
  try {
    return joinSelectors(given).reduce<users.User>((made, rule) => {
      current = rule
      const next = applyRule(made, rule, commands)
      if (next.name === 'default' && next.noPassword && session.server.credentials === 'needed') {
        // Whoever started the server asked that nobody be let in without a password.
        throw new Failure('forbidden', 'ERR the server was started with a password: default cannot go without one')
      }
      return next
    }, user)
  } catch (error) {
    if (!(error instanceof RuleError)) throw error
    if (current === '') throw new Failure('invalid', `ERR ${error.message}`, undefined, error)
    const message = `ERR Error in ACL SETUSER modifier '${current}': ${error.message}`
    throw new Failure('invalid', message, undefined, error)
  }
}

/** End the connections that listen to channels their user may listen to no longer; the one that asks has its answer.
 *  @source acl.c of Redis 7.2, ACLKillPubsubClientsIfNeeded */
function closeDeaf({ server }: Session, user: users.User): void {
  const selectors = [user.root, ...user.selectors]
  const mayHear = (name: Bin, isPattern: boolean) => selectors.some((each) => hasChannel(each, name, isPattern))
  for (const other of [...server.sessions.values()]) {
    const { subscriptions } = other.state
    if (other.state.user !== user.name || subscriptions === undefined) continue
    const { channel, shard, pattern } = subscriptions
    const plain = [...channel.keys(), ...shard.keys()]
    const good = plain.every((name) => mayHear(name, false)) && [...pattern.keys()].every((name) => mayHear(name, true))
    if (!good) other.closeSoon()
  }
}

async function setUser(session: Session, [, , name = '', ...given]: Argv): Promise<Value> {
  if (hasSpaces(name)) throw new Failure('invalid', "ERR Usernames can't contain spaces or null characters")
  const { access } = session.server
  await access.load()
  const user = changed(session, access.find(name) ?? users.newUser(name), given)
  await access.change([user], [])
  closeDeaf(session, user)
  return OK
}

async function delUser({ server: { access } }: Session, [, , ...names]: Argv): Promise<Value> {
  if (names.includes('default')) throw new Failure('invalid', "ERR The 'default' user cannot be removed")
  await access.load()
  const known = [...new Set(names)].filter((name) => access.find(name) !== undefined)
  await access.change([], known)
  return known.length
}

function getUser({ server }: Session, [, , name = '']: Argv): Value {
  const user = server.access.find(name)
  if (user === undefined) return null
  const say = (selector: users.Selector): [Value, Value][] => [
    ['commands', users.describeCommands(selector)],
    ['keys', users.describeKeys(selector)],
    ['channels', users.describeChannels(selector)],
  ]
  return {
    map: [
      ['flags', { set: users.userFlags(user) }],
      ['passwords', [...user.passwords]],
      ...say(user.root),
      ['selectors', user.selectors.map((selector): Value => ({ map: say(selector) }))],
    ],
  }
}

function list({ server }: Session): Value {
  return server.access.list().map((user) => `user ${user.name} ${users.describeUser(user)}`)
}

function genPass({ server }: Session, argv: Argv): Value {
  if (argv.length > 3) throw wrongWords('GENPASS')
  const bits = argv[2] === undefined ? 256 : toInteger(argv[2])
  if (bits <= 0 || bits > 4096) {
    const wanted = 'the number of bits for the output password, a positive number up to 4096'
    throw new Failure('invalid', `ERR ACL GENPASS argument must be ${wanted}`)
  }
  const digits = Math.ceil(bits / 4)
  let password = ''
  while (password.length < digits) password += server.clock.random().toString(16).padStart(12, '0')
  return password.slice(0, digits)
}

function log({ server }: Session, argv: Argv): Value {
  if (argv.length > 3) throw wrongWords('LOG')
  if (argv[2] !== undefined && /^reset$/i.test(argv[2])) {
    server.access.log.reset()
    return OK
  }
  const count = argv[2] === undefined ? 10 : toInteger(argv[2])
  return server.access.log.list(Math.max(0, count), server.clock.nowMs())
}

function dryRun({ server }: Session, [, , name = '', ...argv]: Argv): Value {
  const user = server.access.find(name)
  if (user === undefined) throw new Failure('invalid', `ERR User '${name}' not found`)
  if (server.commands.named(argv[0] as Bin) === undefined) {
    throw new Failure('invalid', `ERR Command '${argv[0]}' not found`)
  }
  const denial = checkCommand(user, server.commands.find(argv), argv)
  return denial === undefined ? OK : fullDenialText(name, denial)
}

/** Every change is stored before it is answered: there is nothing left to save. */
const save = (): Value => OK

async function load({ server }: Session): Promise<Value> {
  await server.access.load()
  return OK
}

const row = { mode: 'session', group: 'server', since: '6.0.0' } as const

/** ACL and its subcommands. */
export const aclCommands: readonly Row[] = [
  { ...row, name: 'acl', arity: -2, summary: 'A container for Access List Control commands.' },
  { ...row, name: 'acl|cat', arity: -2, summary: 'Lists the categories, or the commands of one.', session: cat },
  { ...row, name: 'acl|deluser', arity: -3, summary: 'Removes users, and ends their connections.', session: delUser },
  {
    ...row,
    name: 'acl|dryrun',
    arity: -4,
    since: '7.0.0',
    summary: 'Tells whether a user may run a command, without running it.',
    session: dryRun,
  },
  { ...row, name: 'acl|genpass', arity: -2, summary: 'Makes a password that nobody can guess.', session: genPass },
  { ...row, name: 'acl|getuser', arity: 3, summary: 'Returns the rules of a user.', session: getUser },
  { ...row, name: 'acl|list', arity: 2, summary: 'Returns all users with their rules.', session: list },
  { ...row, name: 'acl|load', arity: 2, summary: 'Reads the users again as they are stored.', session: load },
  { ...row, name: 'acl|log', arity: -2, summary: 'Returns what was denied lately.', session: log },
  { ...row, name: 'acl|save', arity: 2, summary: 'Does nothing: every change is stored at once.', session: save },
  { ...row, name: 'acl|setuser', arity: -3, summary: 'Makes or changes a user by rules.', session: setUser },
  {
    ...row,
    name: 'acl|users',
    arity: 2,
    summary: 'Returns the names of all users.',
    session: ({ server }) => server.access.list().map(({ name }) => name),
  },
  {
    ...row,
    name: 'acl|whoami',
    arity: 2,
    summary: 'Returns the name of the user of this connection.',
    session: ({ state }) => state.user,
  },
]
