/** Who may use the HTTP app: credentials in `Authorization`, and hosts that a browser may call us by. */
import { Failure } from '@dotdo/core/errors'
import type { MiddlewareHandler } from 'hono'
import { auth } from 'hono/utils/basic-auth'
import { answerFailure } from './errors.ts'

/** Check a user's password, in constant time. */
export type Authenticate = (user: string, password: string) => boolean | Promise<boolean>

/** Read a password from `Authorization: Bearer` or `Basic`; Basic's user is not looked at, as curl wants one. */
export function passwordOf(request: Request): string | undefined {
  const bearer = /^Bearer +(.+)$/i.exec(request.headers.get('Authorization') ?? '')
  return bearer?.[1] ?? auth(request)?.password
}

/** Let only requests with the right password through. */
export function requirePassword(authenticate: Authenticate): MiddlewareHandler {
  return async (context, next) => {
    const password = passwordOf(context.req.raw)
    if (password !== undefined && (await authenticate('default', password))) return next()
    context.header('WWW-Authenticate', 'Basic realm="dotdo", charset="UTF-8"')
    const message = password === undefined ? 'this server wants a password' : 'wrong password'
    return answerFailure(context, new Failure('unauthenticated', message))
  }
}

const loopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i

/** Let only requests through that name this machine as their host: a server without a password must not be reached
 *  by a web page whose name was pointed at 127.0.0.1 (DNS rebinding). */
export function requireLoopbackHost(): MiddlewareHandler {
  return async (context, next) => {
    const host = context.req.header('Host') ?? new URL(context.req.url).host
    if (loopback.test(host)) return next()
    const message = `host ${host.slice(0, 80)} is not this machine, and without a password only this machine is served`
    return answerFailure(context, new Failure('forbidden', message))
  }
}

/** Refuse what a page of another origin has a browser send, unless it only reads: texts and empty bodies need no
 *  preflight, and the browser may add credentials of its own.
 *  @source https://fetch.spec.whatwg.org/#origin-header */
export function refuseOtherOrigins(): MiddlewareHandler {
  return async (context, next) => {
    const { method, url } = context.req
    const origin = context.req.header('Origin')
    if (origin === undefined || method === 'GET' || method === 'HEAD') return next()
    const host = context.req.header('Host') ?? new URL(url).host
    if (URL.canParse(origin) && new URL(origin).host === host) return next()
    return answerFailure(context, new Failure('forbidden', `${origin.slice(0, 80)} is another origin than ${host}`))
  }
}
