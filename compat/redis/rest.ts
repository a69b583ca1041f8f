/** Redis over HTTP as Upstash speaks it: a command in, JSON out, without any HTTP here.
 *
 *      POST /                     ["SET", "key", "value", "EX", 100]
 *      GET  /set/key/value?EX=100 a command as a path; the body of POST and PUT is the argument before the query's
 *      POST /pipeline             [["SET", "a", "1"], ["GET", "a"]], answered one by one
 *      POST /multi-exec           the same as one transaction
 *      GET  /subscribe/channel    events of a subscription; /psubscribe/pattern, /monitor
 *
 *  1. Each request is a connection of its own, so that nothing is left of it afterwards. Commands that are about a
 *     connection (SELECT, MULTI, SUBSCRIBE ...) are refused: they would be forgotten at once.
 *  2. Replies are those of RESP2: maps are flat arrays, doubles are strings.
 *  3. Text that is not UTF-8 is shown with U+FFFD, unless base64 is asked for.
 *
 *  @source https://upstash.com/docs/redis/features/restapi */
import { type Bin, fromBin, textToBin, toBin } from '@dotdo/core/bytes'
import { Failure, toFailure } from '@dotdo/core/errors'
import { encodeValue } from './codec.ts'
import { errorText } from './errors.ts'
import { type Ending, RestConnection } from './rest-connection.ts'
import { eventStream } from './rest-events.ts'
import { isErrorReply, writeJson } from './rest-json.ts'
import type { RedisServer } from './server.ts'
import type { Value } from './value.ts'

/** A request. */
export interface RestRequest {
  /** What the path says after the address of the service, cut at its slashes and decoded. */
  readonly path: readonly Bin[]
  /** Names and values of the query in order; a name alone has no value. */
  readonly query?: readonly (readonly [Bin, Bin | undefined])[]
  readonly body?: Uint8Array | undefined
  /** The header Upstash-Encoding. */
  readonly encoding?: string | undefined
  /** The header Upstash-Response-Format. */
  readonly format?: string | undefined
}

/** How a request is answered. */
export interface RestOptions {
  /** The client's `ip:port`. */
  readonly address: string
  /** The database of the fabric, when the path names none. */
  readonly database?: string | undefined
  /** Ends what goes on when the client has left. */
  readonly gone?: Ending | undefined
  /** Ends streams when the server stops. */
  readonly stop?: Ending | undefined
}

/** An answer. */
export interface RestAnswer {
  readonly status: 200 | 400 | 503
  readonly contentType: string
  readonly body: string | Uint8Array | ReadableStream<Uint8Array>
}

const endpoints = new Set(['pipeline', 'multi-exec', 'subscribe', 'psubscribe', 'monitor'])
const streams = new Set(['subscribe', 'psubscribe', 'monitor'])

const forbidden = new Set([
  ...['auth', 'hello', 'quit', 'reset', 'select', 'multi', 'exec', 'discard', 'watch', 'unwatch', 'monitor'],
  ...['subscribe', 'psubscribe', 'ssubscribe', 'unsubscribe', 'punsubscribe', 'sunsubscribe', 'sync', 'psync'],
])
const forbiddenOfClient = new Set(['reply', 'tracking', 'caching'])

/** Refuse a command that is about a connection.
 *  @throws unsupported */
function checkCommand(argv: readonly Bin[]): void {
  const [name = '', subcommand = ''] = argv.slice(0, 2).map((argument) => argument.toLowerCase())
  if (!forbidden.has(name) && !(name === 'client' && forbiddenOfClient.has(subcommand))) return
  const shown = name === 'client' ? `client ${subcommand}` : name
  const instead = streams.has(name) ? `; ask for /${name}` : name === 'multi' ? '; post to /multi-exec' : ''
  throw new Failure('unsupported', `ERR Command is not available: '${shown}' is about a connection${instead}`)
}

/** Read one command of a JSON body.
 *  @throws invalid for anything but strings, numbers and booleans */
function readCommand(json: unknown): Bin[] {
  if (!Array.isArray(json) || json.length === 0)
    throw new Failure('invalid', 'ERR a command is a JSON array, not empty')
  const argv = json.map((argument: unknown) => {
    if (typeof argument === 'string') return textToBin(argument)
    if (typeof argument === 'number' || typeof argument === 'boolean') return String(argument)
    throw new Failure('invalid', `ERR an argument is a string, a number or a boolean, not ${JSON.stringify(argument)}`)
  })
  checkCommand(argv)
  return argv
}

function readBody(body: Uint8Array | undefined): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(body))
  } catch (error) {
    throw new Failure('invalid', `ERR the body is not JSON: ${(error as Error).message}`)
  }
}

function readCommands(body: Uint8Array | undefined): Bin[][] {
  const json = readBody(body)
  if (!Array.isArray(json) || json.length === 0) {
    throw new Failure('invalid', 'ERR the body is a JSON array of commands, not empty')
  }
  return json.map(readCommand)
}

/** Read the command that a path, its query and a body say together. */
function readPath({ query = [], body }: RestRequest, path: readonly Bin[]): Bin[] {
  const argv = [...path]
  if (body !== undefined && body.length > 0) argv.push(toBin(body))
  for (const [name, value] of query) argv.push(name, ...(value === undefined ? [] : [value]))
  return argv
}

/** Cut the database off a path: its first part, unless that is an endpoint or a command. */
function splitPath(server: RedisServer, path: readonly Bin[]): { database: Bin | undefined; rest: readonly Bin[] } {
  const [first, ...rest] = path
  const known = first === undefined || endpoints.has(first.toLowerCase()) || server.commands.named(first) !== undefined
  return known ? { database: undefined, rest: path } : { database: first, rest }
}

interface Style {
  readonly base64: boolean
  readonly resp2: boolean
}

function styleOf({ encoding, format = 'json' }: RestRequest): Style {
  const base64 = encoding === 'base64'
  if (encoding !== undefined && encoding !== '' && !base64) {
    throw new Failure('invalid', `ERR Upstash-Encoding is base64, not ${encoding.slice(0, 40)}`)
  }
  if (format !== 'json' && format !== 'resp2') {
    throw new Failure('invalid', `ERR Upstash-Response-Format is json or resp2, not ${format.slice(0, 40)}`)
  }
  if (base64 && format === 'resp2') throw new Failure('invalid', 'ERR RESP2 has no base64; leave out Upstash-Encoding')
  return { base64, resp2: format === 'resp2' }
}

const json = (status: RestAnswer['status'], body: string): RestAnswer => {
  return { status, contentType: 'application/json', body }
}

function showReply(reply: Value, base64: boolean): string {
  return isErrorReply(reply) ? `{"error":${writeJson(reply, false)}}` : `{"result":${writeJson(reply, base64)}}`
}

function answerOne(reply: Value, { base64, resp2 }: Style): RestAnswer {
  const status = isErrorReply(reply) ? 400 : 200
  if (!resp2) return json(status, showReply(reply, base64))
  return { status, contentType: 'application/octet-stream', body: fromBin(encodeValue(reply, 2)) }
}

async function answerPipeline(connection: RestConnection, request: RestRequest, style: Style): Promise<RestAnswer> {
  const replies = await connection.ask(readCommands(request.body))
  if (style.resp2) {
    const body = fromBin(replies.map((reply) => encodeValue(reply, 2)).join(''))
    return { status: 200, contentType: 'application/octet-stream', body }
  }
  return json(200, `[${replies.map((reply) => showReply(reply, style.base64)).join(',')}]`)
}

/** Always JSON, as with Upstash. A command that cannot even be queued discards the whole, and is named. */
async function answerTransaction(connection: RestConnection, request: RestRequest, style: Style): Promise<RestAnswer> {
  const commands = readCommands(request.body)
  const replies = await connection.ask([['multi'], ...commands, ['exec']])
  const refused = replies.find(isErrorReply)
  if (refused !== undefined) return answerOne(refused, { base64: false, resp2: false })
  const results = replies.at(-1) as readonly Value[]
  return json(200, `[${results.map((reply) => showReply(reply, style.base64)).join(',')}]`)
}

async function answerStream(connection: RestConnection, argv: readonly Bin[], stop: Ending | undefined) {
  const [first] = await connection.ask([argv])
  if (isErrorReply(first as Value)) return answerOne(first as Value, { base64: false, resp2: false })
  return { status: 200, contentType: 'text/event-stream', body: eventStream(connection, first as Value, stop) } as const
}

async function answerOn(connection: RestConnection, server: RedisServer, request: RestRequest, options: RestOptions) {
  const style = styleOf(request)
  const { database, rest } = splitPath(server, request.path)
  if (database !== undefined) {
    const [reply] = await connection.ask([['select', database]])
    if (isErrorReply(reply as Value)) return answerOne(reply as Value, style)
  }
  const endpoint = rest[0]?.toLowerCase() ?? ''
  if (endpoint === 'pipeline' && rest.length === 1) return answerPipeline(connection, request, style)
  if (endpoint === 'multi-exec' && rest.length === 1) return answerTransaction(connection, request, style)
  // The client library posts an empty array along with the path.
  if (streams.has(endpoint)) return answerStream(connection, rest, options.stop)
  const argv = rest.length > 0 ? readPath(request, rest) : readCommand(readBody(request.body))
  checkCommand(argv)
  const [reply] = await connection.ask([argv])
  return answerOne(reply as Value, style)
}

/** Answer a request. Failures are answers too.
 *  @returns a stream for a subscription, which ends when either side does; all else is whole */
export async function answerRest(server: RedisServer, request: RestRequest, options: RestOptions): Promise<RestAnswer> {
  const { address, database, gone } = options
  const connection = new RestConnection(server, { address, database })
  const leave = () => connection.close()
  gone?.addEventListener('abort', leave)
  let answer: RestAnswer
  try {
    if (gone?.aborted) leave()
    answer = await answerOn(connection, server, request, options)
  } catch (error) {
    const failure = toFailure(error)
    if (failure.code === 'internal') server.onBug(error)
    answer = json(failure.code === 'unavailable' ? 503 : 400, showReply({ error: errorText(failure) }, false))
  }
  if (answer.body instanceof ReadableStream) return answer
  gone?.removeEventListener('abort', leave)
  connection.close()
  return answer
}
