/** `/fs`: filesystems over HTTP and WebDAV (class 1 and 2). Each database has one, made when something is written.
 *
 *      GET HEAD   /fs/NAME/PATH            a file: ranges, ETag, conditions; a directory: `{ path, entries, next }`
 *      GET        /fs/NAME/PATH?stat       all about a file, as JSON
 *      PUT        /fs/NAME/PATH            writes a file: whole, or not at all
 *      DELETE     /fs/NAME/PATH            removes a file, or a tree
 *      GET PUT DELETE POST   /fs/NAME?tiers    fs/tiers.ts
 *      MKCOL COPY MOVE PROPFIND PROPPATCH LOCK UNLOCK      RFC 4918
 *
 *  1. Conditions and locks are checked in the transaction that does what was asked.
 *  2. Everything is done as root: who has the server's password may do all. */

import { Failure } from '@dotdo/core/errors'
import { FSX_WEB_PIECE_BYTES } from '@dotdo/core/limits'
import type { Clock, Fabric } from '@dotdo/core/shard'
import { isDirectory } from '@dotdo/fsx/web'
import { type Context, Hono } from 'hono'
import { answerFailure } from './errors.ts'
import { answerFile } from './fs/download.ts'
import { answerRefusal } from './fs/errors.ts'
import { answerList, answerStat } from './fs/list.ts'
import { answerLock, answerUnlock } from './fs/locks.ts'
import { answerPropfind, answerProppatch } from './fs/properties.ts'
import { type Target, targetOfRequest } from './fs/target.ts'
import { answerTiers } from './fs/tiers.ts'
import { answerCopy, answerDelete, answerMkcol, answerMove } from './fs/tree.ts'
import { answerPut } from './fs/upload.ts'
import { type Way, type Ways, wayOf, waysOver } from './fs/way.ts'

/** What the routes need. */
export interface FsParts {
  readonly fabric: Fabric
  readonly clock: Clock
}

interface Asked {
  readonly context: Context
  readonly ways: Ways
  readonly target: Target
  readonly clock: Clock
}

async function answerGet({ context, ways, target }: Asked): Promise<Response> {
  const { path, slash, database } = target
  const way = await wayOf(ways, database)
  if (new URL(context.req.url).searchParams.has('stat')) return answerStat(context, way, target)
  const peeked = await way.call('peek', { path, length: context.req.method === 'HEAD' ? 0 : FSX_WEB_PIECE_BYTES })
  if (isDirectory(peeked.inode)) return answerList(context, way, target)
  if (slash) throw new Failure('type_mismatch', `${path} is no directory`, { errno: 'ENOTDIR' })
  return answerFile(context, { way, target, peeked })
}

type Handler = (asked: Asked) => Promise<Response>

/** On a filesystem that is there. */
const there =
  (handle: (context: Context, way: Way, target: Target) => Promise<Response>): Handler =>
  async ({ context, ways, target }) =>
    handle(context, await wayOf(ways, target.database), target)

const methods: Readonly<Record<string, Handler>> = {
  GET: answerGet,
  HEAD: answerGet,
  PUT: ({ context, ways, target }) => answerPut(context, ways, target),
  DELETE: there(answerDelete),
  OPTIONS: async ({ context }) => context.body(null, 200, { 'Accept-Ranges': 'bytes' }),
  MKCOL: ({ context, ways, target }) => answerMkcol(context, ways, target),
  COPY: there(answerCopy),
  MOVE: there(answerMove),
  PROPFIND: async ({ context, ways, target, clock }) => {
    return answerPropfind(context, { way: await wayOf(ways, target.database), target, nowMs: clock.nowMs() })
  },
  PROPPATCH: there(answerProppatch),
  LOCK: ({ context, ways, target }) => answerLock(context, ways, target),
  UNLOCK: there(answerUnlock),
}

const allowed = Object.keys(methods).join(', ')

/** Make the routes under `/fs`. */
export function fsRoutes({ fabric, clock }: FsParts): Hono {
  const routes = new Hono()
  const ways = waysOver(fabric)
  routes.all('*', async (context) => {
    const { method } = context.req
    context.header('DAV', '1, 2')
    const handler = Object.hasOwn(methods, method) ? methods[method] : undefined
    if (handler === undefined || method === 'OPTIONS') {
      context.header('Allow', allowed)
      // Windows looks for it before it mounts.
      context.header('MS-Author-Via', 'DAV')
    }
    const isOfTiers = new URL(context.req.url).searchParams.has('tiers')
    if (handler === undefined && !isOfTiers) {
      return answerFailure(context, new Failure('unsupported', `${method} is not supported; ${allowed} are`), 405)
    }
    let target: Target | undefined
    try {
      target = targetOfRequest(context)
      if (isOfTiers) return await answerTiers(context, await wayOf(ways, target.database), target)
      return await (handler as Handler)({ context, ways, target, clock })
    } catch (error) {
      return answerRefusal(context, error, target)
    }
  })
  return routes
}
