/** `/databases/:name/tier`: how a database's collections flow into the lake.
 *
 *      GET    /databases/:name/tier                  state, policies, tables, and how far each shard has come
 *      GET    /databases/:name/tier/:collection      a collection's policy
 *      PUT    /databases/:name/tier/:collection      sets it: { hotFor, maxHotRows, flushEvery, ... }, all optional
 *      DELETE /databases/:name/tier/:collection      ends it; what is in the lake stays
 *      POST   /databases/:name/tier/pause            and /resume
 *      POST   /databases/:name/tier/flush            writes and commits now; answers when that is done
 *      POST   /databases/:name/tier/backfill         { collection }: writes every row anew
 *      POST   /databases/:name/tier/compact          { table }: and /maintain
 *
 *  Whatever changes something answers with the state after it, as the first one does. */
import { Failure } from '@dotdo/core/errors'
import type { Fabric } from '@dotdo/core/shard'
import type { LakeControl, PolicyOptions } from '@dotdo/core/tiering/tier'
import { type Context, Hono } from 'hono'
import { z } from 'zod'
import { bodyText } from './body.ts'

const policySchema = z.strictObject({
  mirror: z.boolean().optional(),
  changes: z.boolean().optional(),
  hotFor: z.string().optional(),
  maxHotRows: z.int().min(0).optional(),
  maxHotBytes: z.string().optional(),
  flushEvery: z.string().optional(),
  flushBytes: z.string().optional(),
  cold: z.strictObject({ after: z.string(), store: z.string() }).optional(),
})
const nothingSchema = z.strictObject({})
const collectionSchema = z.strictObject({ collection: z.string().min(1) })
const tableSchema = z.strictObject({ table: z.string().min(1) })

/** What the routes need. */
export interface TierParts {
  readonly fabric: Fabric
  readonly lake: LakeControl
}

/** Read a JSON body; an empty one is `{}`.
 *  @throws invalid, naming the field */
async function bodyOf<T>(context: Context, schema: z.ZodType<T>): Promise<T> {
  const text = await bodyText(context)
  let body: unknown
  try {
    body = text.trim() === '' ? {} : JSON.parse(text)
  } catch (error) {
    throw new Failure('invalid', `the body is not JSON: ${(error as Error).message}`)
  }
  const { data, error } = schema.safeParse(body)
  if (error === undefined) return data
  const said = error.issues.map(({ path, message }) => (path.length > 0 ? `${path.join('.')}: ${message}` : message))
  throw new Failure('invalid', `body: ${said.join('; ')}`)
}

/** What can be asked of a database's tiering by POST. */
const actions: Readonly<Record<string, (lake: LakeControl, database: string, context: Context) => Promise<unknown>>> = {
  async pause(lake, database, context) {
    await bodyOf(context, nothingSchema)
    await lake.pause(database)
  },
  async resume(lake, database, context) {
    await bodyOf(context, nothingSchema)
    await lake.resume(database)
  },
  async flush(lake, database, context) {
    await bodyOf(context, nothingSchema)
    await lake.flush(database)
  },
  async backfill(lake, database, context) {
    await lake.backfill(database, (await bodyOf(context, collectionSchema)).collection)
  },
  async compact(lake, database, context) {
    await lake.compact(database, (await bodyOf(context, tableSchema)).table)
  },
  async maintain(lake, database, context) {
    await lake.maintain(database, (await bodyOf(context, tableSchema)).table)
  },
}

/** Make the routes under `/databases` that are about tiering. Errors are left to the app's `onError`. */
export function tierRoutes({ fabric, lake }: TierParts): Hono {
  const routes = new Hono()
  /** Nothing here makes a database: a name that is mistyped must not. */
  const databaseOf = async (context: Context): Promise<string> => {
    const name = context.req.param('name') as string
    if ((await fabric.find(name)) === undefined) throw new Failure('not_found', `no database ${name.slice(0, 80)}`)
    return name
  }
  routes.get('/:name/tier', async (context) => context.json(await lake.status(await databaseOf(context))))
  routes.get('/:name/tier/:collection', async (context) => {
    const collection = context.req.param('collection')
    const { policies } = await lake.status(await databaseOf(context))
    const policy = Object.hasOwn(policies, collection) ? policies[collection] : undefined
    if (policy === undefined) throw new Failure('not_found', `${collection.slice(0, 80)} has no policy`)
    return context.json(policy)
  })
  routes.put('/:name/tier/:collection', async (context) => {
    const policy = await bodyOf(context, policySchema)
    const database = await databaseOf(context)
    // Absent and undefined are the same in JSON; only the former is a PolicyOptions.
    await lake.setPolicy(database, context.req.param('collection'), policy as PolicyOptions)
    return context.json(await lake.status(database))
  })
  routes.delete('/:name/tier/:collection', async (context) => {
    const database = await databaseOf(context)
    await lake.removePolicy(database, context.req.param('collection'))
    return context.json(await lake.status(database))
  })
  for (const [name, act] of Object.entries(actions)) {
    routes.post(`/:name/tier/${name}`, async (context) => {
      const database = await databaseOf(context)
      await act(lake, database, context)
      return context.json(await lake.status(database))
    })
  }
  return routes
}
