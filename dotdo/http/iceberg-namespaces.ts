/** `/iceberg/v1/namespaces`: which namespaces there are, and their properties.
 *
 *      GET    /?parent=&pageToken=&pageSize=     one level, a page at a time
 *      POST   /                                  makes one
 *      GET    /:namespace                        its properties; HEAD: whether it is there
 *      POST   /:namespace/properties             sets and removes some
 *      DELETE /:namespace                        when it is empty */
import { Failure } from '@dotdo/core/errors'
import { ICEBERG_REST_PAGE_MAX } from '@dotdo/core/limits'
import type { Catalog } from '@dotdo/core/tiering/iceberg'
import { type Context, Hono } from 'hono'
import { bodies, checked, pageQuery, readBody } from './iceberg-request.ts'

const separator = '\x1f'

function split(joined: string): string[] {
  const parts = joined.split(separator)
  if (parts.some((part) => part === '')) throw new Failure('invalid', `${JSON.stringify(joined)} is no namespace`)
  return parts
}

/** Read the namespace of a path. */
export function namespaceOf(context: Context): string[] {
  return split(context.req.param('namespace') as string)
}

/** Cut one page out of a list, in the order of names.
 *  @returns the page, and the token of the next one; null on the last, and when the client asks for no pages */
export function pageOf<T>(
  context: Context,
  all: readonly T[],
  nameOf: (item: T) => string,
): { page: T[]; next: string | null } {
  const { pageToken, pageSize } = checked(pageQuery, context.req.query(), 'query')
  const named = all.map((item) => [nameOf(item), item] as const)
  const sorted = named.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  const isPaged = pageToken !== undefined || pageSize !== undefined
  const size = isPaged ? Math.min(pageSize ?? ICEBERG_REST_PAGE_MAX, ICEBERG_REST_PAGE_MAX) : sorted.length
  const after = pageToken === undefined || pageToken === '' ? undefined : readToken(pageToken)
  const rest = after === undefined ? sorted : sorted.filter(([name]) => name > after)
  const page = rest.slice(0, size)
  const next = rest.length > size ? encodeURIComponent(`after:${page.at(-1)?.[0]}`) : null
  return { page: page.map(([, item]) => item), next }
}

function readToken(token: string): string {
  let text = ''
  try {
    text = decodeURIComponent(token)
  } catch {
    // Not ours, as the next line says.
  }
  if (!text.startsWith('after:')) throw new Failure('invalid', `query: pageToken ${token.slice(0, 80)} is none of ours`)
  return text.slice('after:'.length)
}

/** Make the routes of namespaces. */
export function namespacesRoutes(catalog: Catalog): Hono {
  const routes = new Hono()
  routes.get('/', async (context) => {
    const parent = context.req.query('parent')
    const all = await catalog.listNamespaces(parent === undefined || parent === '' ? [] : split(parent))
    const { page, next } = pageOf(context, all, (one) => one.at(-1) as string)
    return context.json({ namespaces: page, 'next-page-token': next })
  })
  routes.post('/', async (context) => {
    const { namespace, properties } = await readBody(bodies.createNamespace, context)
    await catalog.createNamespace(namespace, properties)
    return context.json({ namespace, properties })
  })
  routes.get('/:namespace', async (context) => {
    const namespace = namespaceOf(context)
    const properties = await catalog.loadNamespace(namespace)
    if (context.req.method === 'HEAD') return context.body(null, 204)
    return context.json({ namespace, properties })
  })
  routes.post('/:namespace/properties', async (context) => {
    const namespace = namespaceOf(context)
    const { updates, removals } = await readBody(bodies.updateNamespace, context)
    const both = removals.find((key) => Object.hasOwn(updates, key))
    if (both !== undefined) {
      const message = `${both} cannot be both updated and removed`
      return context.json({ error: { message, type: 'UnprocessableEntityException', code: 422 } }, 422)
    }
    const before = await catalog.loadNamespace(namespace)
    await catalog.updateNamespace(namespace, { set: updates, remove: removals })
    const [removed, missing] = [true, false].map((isThere) =>
      removals.filter((key) => Object.hasOwn(before, key) === isThere),
    )
    return context.json({ updated: Object.keys(updates), removed, missing })
  })
  routes.delete('/:namespace', async (context) => {
    await catalog.dropNamespace(namespaceOf(context))
    return context.body(null, 204)
  })
  return routes
}
