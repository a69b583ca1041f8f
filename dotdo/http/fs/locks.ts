/** LOCK and UNLOCK, and how locks are shown.
 *  @source RFC 4918 sections 9.10, 9.11, 14.1, 15.8 */
import { Failure } from '@dotdo/core/errors'
import { refuseWeb, type WebLock } from '@dotdo/fsx/web'
import type { Element } from '@xmldom/xmldom'
import type { Context } from 'hono'
import { conditionsOf, depthOf, expectationOf, timeoutMsOf } from './headers.ts'
import { hrefOf, type Target } from './target.ts'
import { openFor, type Way, type Ways } from './way.ts'
import { childOf, childrenOf, declaration, isDav, readXml, writeInside, xmlType } from './xml.ts'

/** Bytes of what an owner wants shown: it is stored, and sent with every list. */
const ownerBytesMax = 4_096

/** Show a lock. */
export function showLock(database: string, lock: WebLock, nowMs: number): string {
  const { token, path, deep, exclusive, owner, expires } = lock
  const seconds = Math.max(0, Math.ceil((expires - nowMs) / 1000))
  return [
    '<D:activelock><D:locktype><D:write/></D:locktype>',
    `<D:lockscope><D:${exclusive === 1 ? 'exclusive' : 'shared'}/></D:lockscope>`,
    `<D:depth>${deep === 1 ? 'infinity' : '0'}</D:depth>`,
    owner === '' ? '' : `<D:owner>${owner}</D:owner>`,
    `<D:timeout>Second-${seconds}</D:timeout><D:locktoken><D:href>${token}</D:href></D:locktoken>`,
    `<D:lockroot><D:href>${hrefOf(database, path, false)}</D:href></D:lockroot></D:activelock>`,
  ].join('')
}

/** Read what lock is wanted.
 *  @throws invalid */
function wantedOf(body: Element): { exclusive: number; owner: string } {
  const wrong = () => new Failure('invalid', 'the body is no lockinfo with a lockscope and the locktype write')
  const scope = childOf(body, 'lockscope')
  const type = childOf(body, 'locktype')
  if (!isDav(body, 'lockinfo') || scope === undefined || type === undefined) throw wrong()
  const [kind] = childrenOf(scope)
  if (kind === undefined || !(isDav(kind, 'exclusive') || isDav(kind, 'shared'))) throw wrong()
  if (childOf(type, 'write') === undefined) throw wrong()
  const owner = childOf(body, 'owner')
  const shown = owner === undefined ? '' : writeInside(owner)
  if (new TextEncoder().encode(shown).length > ownerBytesMax) {
    throw new Failure('limit', `owner has more than ${ownerBytesMax} bytes`)
  }
  return { exclusive: isDav(kind, 'exclusive') ? 1 : 0, owner: shown }
}

/** Lock a file or a tree, or renew a lock. */
export async function answerLock(context: Context, ways: Ways, target: Target): Promise<Response> {
  const { database, path } = target
  const { lists, tokens } = conditionsOf(context, target)
  const timeoutMs = timeoutMsOf(context)
  const body = await readXml(context)
  const shown = (lock: WebLock) => {
    // As of the moment that it was given: that is what is left of it.
    const locks = `<D:lockdiscovery>${showLock(database, lock, lock.expires - timeoutMs)}</D:lockdiscovery>`
    return `${declaration}<D:prop xmlns:D="DAV:">${locks}</D:prop>\n`
  }
  if (body === undefined) {
    if (tokens.length === 0) throw new Failure('invalid', 'LOCK without a body renews the lock that If names')
    const way = await ways.find(database)
    if (way === undefined) throw refuseWeb('precondition', path, 'no such lock is held there')
    const renewed = await way.call('refreshLock', { path, tokens, timeoutMs })
    return context.body(shown(renewed), 200, { 'Content-Type': xmlType })
  }
  const deep = depthOf(context, [0, 'infinity'], 'infinity') === 0 ? 0 : 1
  const token = `opaquelocktoken:${crypto.randomUUID()}`
  const check = { tokens, lists, changes: [], expect: expectationOf(context, path) }
  const wanted = wantedOf(body)
  const way = await openFor(ways, target, check)
  const { lock, made } = await way.call('lock', { token, path, deep, ...wanted, timeoutMs, check })
  return context.body(shown(lock), made ? 201 : 200, { 'Content-Type': xmlType, 'Lock-Token': `<${token}>` })
}

/** Give a lock back. */
export async function answerUnlock(context: Context, way: Way, { path }: Target): Promise<Response> {
  const [, token] = /^\s*<([^<>]+)>\s*$/.exec(context.req.header('Lock-Token') ?? '') ?? []
  if (token === undefined) throw new Failure('invalid', 'UNLOCK wants a Lock-Token, such as <opaquelocktoken:...>')
  await way.call('unlock', { path, token })
  return context.body(null, 204)
}
