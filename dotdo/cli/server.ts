/** The running server that a command talks to over HTTP: where it is, and what its answers mean. */
import { readFileSync } from 'node:fs'
import { type Code, codes, Failure } from '@dotdo/core/errors'
import { type Command, Option } from 'commander'

/** Where a server is, as options say it. */
export interface ServerOptions {
  readonly url?: string
  readonly password?: string
}

/** A request to a server. */
export interface ServerRequest {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Sent as JSON. */
  readonly json?: unknown
  /** Sent as it comes. */
  readonly body?: ReadableStream
  /** Gives up. */
  readonly signal?: AbortSignal
}

const urlDefault = 'http://127.0.0.1:6480'
const answerMsMax = 10_000

/** Add the options that say where the server is. */
export function addServerOptions(command: Command): Command {
  const where = `the server (default: the one whose ready file DOTDO_READY_FILE names, else ${urlDefault})`
  return command
    .addOption(new Option('--url <url>', where).env('DOTDO_URL'))
    .addOption(new Option('--password <text>', 'its password').env('DOTDO_PASSWORD'))
}

/** Find the server in the ready file of one that was started with the same environment. */
function urlOfReadyFile(path: string): string | undefined {
  try {
    const { http } = JSON.parse(readFileSync(path, 'utf8')) as { http?: { port?: unknown } }
    return typeof http?.port === 'number' ? `http://127.0.0.1:${http.port}` : undefined
  } catch {
    return undefined
  }
}

/** Tell the base of a server's URLs.
 *  @throws invalid for a URL that is not one of HTTP */
export function baseOf({ url }: ServerOptions): URL {
  const readyFile = process.env.DOTDO_READY_FILE
  const text = url || (readyFile && urlOfReadyFile(readyFile)) || urlDefault
  if (URL.canParse(text) && /^https?:/.test(text)) return new URL(text.endsWith('/') ? text : `${text}/`)
  throw new Failure('invalid', `--url: ${text} is not the URL of an HTTP server, such as ${urlDefault}`)
}

/** Make a Failure of what a server says.
 *  @param said its `{ error }`, if it is one */
export function failureOf(origin: string, status: number, said: unknown): Failure {
  const { code, message, detail } = ((said as { error?: unknown } | null)?.error ?? {}) as Record<string, unknown>
  if (typeof message !== 'string') return new Failure('unavailable', `${origin} answers: status ${status}`)
  const hint = status === 401 ? '; give it with DOTDO_PASSWORD or --password' : ''
  if (typeof code === 'string' && Object.hasOwn(codes, code) && code !== 'internal' && status !== 401) {
    return new Failure(code as Code, message, detail)
  }
  return new Failure('unavailable', `${origin} answers: ${message}${hint}`)
}

/** Send a request to a server.
 *  @returns its answer, whatever it says
 *  @throws unavailable when nobody answers */
export async function send(server: ServerOptions, path: string, request: ServerRequest = {}): Promise<Response> {
  const { method = 'GET', json, signal = null } = request
  const target = new URL(path, baseOf(server))
  const headers: Record<string, string> = { ...request.headers }
  if (server.password !== undefined) headers.Authorization = `Bearer ${server.password}`
  if (json !== undefined) headers['Content-Type'] = 'application/json'
  const body = json === undefined ? (request.body ?? null) : JSON.stringify(json)
  try {
    return await fetch(target, {
      method,
      headers,
      body,
      signal,
      ...(request.body && { duplex: 'half' }),
    } as RequestInit)
  } catch (error) {
    throw noAnswer(target, error)
  }
}

/** Say why there is no answer, or no more of it. */
export function noAnswer({ origin }: URL, error: unknown): Failure {
  const { cause, message } = error as Error & { cause?: { code?: string; message?: string } }
  const why = cause?.code ?? cause?.message ?? message
  return new Failure('unavailable', `no dotdo answers at ${origin}: ${why}`, undefined, error)
}

/** Ask a server for JSON.
 *  @param also a status that is as good as 200
 *  @throws what the server says; unavailable when nobody answers */
export async function ask<T>(
  server: ServerOptions,
  path: string,
  request: ServerRequest & { readonly also?: number } = {},
): Promise<T> {
  const { origin } = baseOf(server)
  const response = await send(server, path, { signal: AbortSignal.timeout(answerMsMax), ...request })
  let body: unknown
  try {
    body = await response.json()
  } catch (error) {
    throw response.ok ? noAnswer(new URL(origin), error) : failureOf(origin, response.status, undefined)
  }
  if (response.ok || response.status === request.also) return body as T
  throw failureOf(origin, response.status, body)
}
