/** The connection itself: HELLO, AUTH, SELECT, PING, ECHO, RESET, QUIT.
 *  @source https://redis.io/docs/latest/commands/?group=connection, Redis 7.2 */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { noteDenial } from '../acl/note.ts'
import { countSubscriptions } from '../pubsub.ts'
import { REDIS_VERSION } from '../server.ts'
import type { Answer, Row, Session } from '../session.ts'
import { OK, type Value } from '../value.ts'
import { syntaxError, wrongArity } from './arguments.ts'

/** Check a name or version that a client gives itself, as Redis does: printable ASCII without spaces. */
export function isPlainName(name: Bin): boolean {
  return /^[!-~]*$/.test(name)
}

/** Read an integer argument.
 *  @throws invalid with `message` when it is none within 2^53 */
export function readInteger(argument: Bin, message = 'ERR value is not an integer or out of range'): number {
  const value = Number(argument)
  if (!/^(0|-?[1-9]\d{0,15})$/.test(argument) || !Number.isSafeInteger(value)) throw new Failure('invalid', message)
  return value
}

const badName = 'ERR Client names cannot contain spaces, newlines or special characters.'
const noPassword =
  'ERR AUTH <password> called without any password configured for the default user. ' +
  'Are you sure your configuration is correct?'
const helloFirst =
  'NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> ' +
  'option can be used to authenticate the client and select the RESP protocol version at the same time'

/** Name the client.
 *  @throws invalid for a name with spaces or the like */
export function setName(session: Session, name: Bin): void {
  if (!isPlainName(name)) throw new Failure('invalid', badName)
  session.state.name = name
}

async function signIn(session: Session, user: Bin, password: Bin, word: Bin): Promise<void> {
  const { access } = session.server
  // Another server of the same database may have changed the users.
  if (access.enforced) await access.load()
  if (!access.authenticate(user, password)) {
    const context = session.state.multi ? 'multi' : 'toplevel'
    noteDenial(session, { reason: 'auth', context, object: word, user })
    throw new Failure('invalid', 'WRONGPASS invalid username-password pair or user is disabled.')
  }
  session.admit(user)
}

async function auth(session: Session, argv: readonly Bin[]): Promise<Value> {
  if (argv.length > 3) throw syntaxError()
  const [word = '', first = '', second] = argv
  const { credentials, access } = session.server
  const open = access.enforced ? access.find('default')?.noPassword : credentials === 'none'
  if (second === undefined && open && credentials !== 'any') throw new Failure('invalid', noPassword)
  if (second === undefined) await signIn(session, 'default', first, word)
  else await signIn(session, first, second, word)
  return OK
}

interface HelloOptions {
  credentials?: [user: Bin, password: Bin]
  name?: Bin
}

function readHello(argv: readonly Bin[]): HelloOptions {
  const options: HelloOptions = {}
  for (let at = 2; at < argv.length; ) {
    const option = argv[at] as Bin
    const left = argv.length - at - 1
    if (/^auth$/i.test(option) && left >= 2) {
      options.credentials = [argv[at + 1] as Bin, argv[at + 2] as Bin]
      at += 3
    } else if (/^setname$/i.test(option) && left >= 1) {
      options.name = argv[at + 1] as Bin
      if (!isPlainName(options.name)) throw new Failure('invalid', badName)
      at += 2
    } else throw new Failure('invalid', `ERR Syntax error in HELLO option '${option}'`)
  }
  return options
}

async function hello(session: Session, argv: readonly Bin[]): Promise<Value> {
  const { state } = session
  let { protocol } = state
  if (argv.length > 1) {
    const wanted = readInteger(argv[1] as Bin, 'ERR Protocol version is not an integer or out of range')
    if (wanted !== 2 && wanted !== 3) throw new Failure('invalid', 'NOPROTO unsupported protocol version')
    protocol = wanted
  }
  const { credentials, name } = readHello(argv)
  if (credentials) await signIn(session, ...credentials, argv[0] as Bin)
  if (!state.authenticated) throw new Failure('invalid', helloFirst)
  if (name !== undefined) setName(session, name)
  state.protocol = protocol
  return {
    map: [
      ['server', 'redis'],
      ['version', REDIS_VERSION],
      ['proto', protocol],
      ['id', state.id],
      ['mode', 'standalone'],
      ['role', 'master'],
      ['modules', []],
    ],
  }
}

function ping(session: Session, argv: readonly Bin[]): Value {
  if (argv.length > 2) throw wrongArity('ping')
  if (session.state.protocol === 2 && countSubscriptions(session) > 0) return ['pong', argv[1] ?? '']
  return argv[1] ?? { simple: 'PONG' }
}

function quit(session: Session): Value {
  session.closing = true
  return OK
}

function reset(session: Session): Answer {
  const { state } = session
  session.server.forget(session)
  state.multi = undefined
  state.watches = []
  state.protocol = 2
  state.name = ''
  state.reply = 'on'
  state.noEvict = false
  state.noTouch = false
  session.expel()
  const done: Value = { simple: 'RESET' }
  if (state.database === session.server.firstDatabase) {
    state.db = 0
    return done
  }
  return session.useDatabase(session.server.firstDatabase).then(() => done)
}

/** SELECT n chooses a numbered database; SELECT name goes over to another database of the fabric. */
function select(session: Session, [, wanted = '']: readonly Bin[]): Answer {
  const { state } = session
  if (/^-?\d+$/.test(wanted)) {
    const db = readInteger(wanted)
    if (db < 0 || db > 15) throw new Failure('invalid', 'ERR DB index is out of range')
    state.db = db
    return OK
  }
  // The fabric's rule for names; what breaks it is met with Redis' own words.
  if (!/^[a-z0-9][a-z0-9._-]{0,62}$/.test(wanted)) {
    throw new Failure('invalid', 'ERR value is not an integer or out of range')
  }
  if (state.multi !== undefined || state.watches.length > 0) {
    throw new Failure(
      'invalid',
      'ERR SELECT of another database by name is not allowed inside MULTI or while keys are watched',
    )
  }
  return session.useDatabase(wanted).then(() => OK)
}

const row = { mode: 'session', group: 'connection' } as const

/** The rows of the connection group without CLIENT. */
export const connectionCommands: readonly Row[] = [
  {
    ...row,
    name: 'auth',
    arity: -2,
    since: '1.0.0',
    noAuth: true,
    summary: 'Authenticates the connection.',
    session: auth,
  },
  {
    ...row,
    name: 'echo',
    arity: 2,
    since: '1.0.0',
    summary: 'Returns the given string.',
    session: (_, argv) => argv[1],
  },
  {
    ...row,
    name: 'hello',
    arity: -1,
    since: '6.0.0',
    noAuth: true,
    // Its reply would stand in the middle of EXEC's, in another protocol.
    noMulti: true,
    summary: 'Handshakes with the server.',
    session: hello,
  },
  {
    ...row,
    name: 'ping',
    inSubscriberMode: true,
    arity: -1,
    since: '1.0.0',
    summary: "Returns the server's liveliness response.",
    session: ping,
  },
  {
    ...row,
    name: 'quit',
    inSubscriberMode: true,
    arity: -1,
    since: '1.0.0',
    noAuth: true,
    immediate: true,
    summary: 'Closes the connection.',
    session: quit,
  },
  {
    ...row,
    name: 'reset',
    inSubscriberMode: true,
    arity: 1,
    since: '6.2.0',
    noAuth: true,
    immediate: true,
    summary: 'Resets the connection.',
    session: reset,
  },
  { ...row, name: 'select', arity: 2, since: '1.0.0', summary: 'Changes the selected database.', session: select },
]
