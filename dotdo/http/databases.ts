/** `/databases`: which databases there are, how each is spread over shards, and how its shards are.
 *
 *      GET /databases?after=&limit=      by name, a page at a time
 *      GET /databases/:name              the map: strategy, epoch, slots of each shard
 *      PUT /databases/:name              creates one
 *      GET /databases/:name/shards       what each shard says of itself; opens every one of them */
import { binToJson, toBin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { DATABASES_PER_PAGE_MAX, SHARD_COUNT_MAX } from '@dotdo/core/limits'
import {
  type CatalogEntry,
  type Database,
  type Fabric,
  fromCanonicalKey,
  type MapData,
  type ShardOptions,
  type ShardStatus,
  type StrategyData,
  SYSTEM,
} from '@dotdo/core/shard'
import { Hono } from 'hono'
import { z } from 'zod'
import { bodyText } from './body.ts'
import { checked } from './checked.ts'
import { errorBody } from './errors.ts'

/** A database in a list. */
export interface DatabaseSummary {
  name: string
  shards: number
  strategy: string
  epoch: number
  /** ISO 8601. */
  created: string
}

/** A database with its map. */
export interface DatabaseDetail extends Omit<DatabaseSummary, 'shards' | 'strategy'> {
  /** `kind` and what belongs to it. */
  strategy: Record<string, unknown>
  /** Shards in order; `slots` is how many, `ranges` which, both ends included. */
  shards: { index: number; slots: number; ranges: [number, number][] }[]
}

const pageSchema = z.strictObject({
  after: z.string().default(''),
  limit: z.coerce.number().int().min(1).max(DATABASES_PER_PAGE_MAX).default(100),
})

const scalar = z.union([z.null(), z.boolean(), z.number(), z.string()])
const creationSchema = z.strictObject({
  shards: z.int().min(1).max(SHARD_COUNT_MAX).optional(),
  strategy: z.enum(['hash', 'range', 'round-robin', 'directory']).optional(),
  keys: z.enum(['raw', 'typed']).optional(),
  partitioner: z.enum(['crc16', 'murmur3']).optional(),
  boundaries: z.array(scalar).optional(),
  pins: z.array(z.tuple([scalar, z.int()])).optional(),
  reserved: z.int().optional(),
})
type Creation = z.infer<typeof creationSchema>

function parseJson(text: string): unknown {
  if (text.trim() === '') return {}
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new Failure('invalid', `the body is not JSON: ${(error as Error).message}`)
  }
}

/** Turn a body of PUT into options for the core, with what the server does by default.
 *  Keys are raw and hashed as Redis Cluster does, unless the body says otherwise: so is a database first met in use. */
function optionsOf({ shards, ...asked }: Creation, defaults: ShardOptions): ShardOptions {
  const { count = 1 } = defaults
  const { strategy = 'hash', keys = 'raw' } = asked
  const hashed = strategy === 'hash' && keys === 'raw' ? ({ partitioner: 'crc16' } as const) : {}
  const given = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined))
  return { count: shards ?? count, strategy, keys, ...hashed, ...given }
}

function summary({ name, map, createdMs }: CatalogEntry): DatabaseSummary {
  const { count, strategy, epoch } = map
  return { name, shards: count, strategy: strategy.kind, epoch, created: new Date(createdMs).toISOString() }
}

/** Show a strategy with its keys as they were given. */
function showStrategy(data: StrategyData): Record<string, unknown> {
  const show = (key: string) => {
    const value = data.keys === 'typed' ? fromCanonicalKey(key) : binToJson(key)
    return value instanceof Uint8Array ? binToJson(toBin(value)) : value
  }
  switch (data.kind) {
    case 'range': {
      const { slots, boundaries, ...rest } = data
      return { ...rest, boundaries: boundaries.map(show) }
    }
    case 'directory':
      return { ...data, pins: data.pins.map(([key, shard]) => [show(key), shard]) }
    default:
      return { ...data }
  }
}

function shardsOf({ count, slots }: MapData): DatabaseDetail['shards'] {
  const shards = Array.from({ length: count }, (_, index): DatabaseDetail['shards'][number] => {
    return { index, slots: 0, ranges: [] }
  })
  for (const [from, to, index] of slots) {
    const shard = shards[index]
    if (shard === undefined) continue
    shard.slots += to - from + 1
    shard.ranges.push([from, to])
  }
  return shards
}

function detail(entry: CatalogEntry): DatabaseDetail {
  const { name, epoch, created } = summary(entry)
  return { name, epoch, created, strategy: showStrategy(entry.map.strategy), shards: shardsOf(entry.map) }
}

async function readStatuses(database: Database): Promise<Record<string, unknown>[]> {
  const plan = database.plan()
  const asked = Array.from({ length: database.map.count }, (_, index) => {
    return plan.shard(index, { program: SYSTEM, name: 'status', args: null })
  })
  await plan.run()
  return asked.map(({ reply }, index) => {
    return reply instanceof Failure ? { index, error: errorBody(reply) } : { index, ...(reply as ShardStatus) }
  })
}

/** What the routes need. */
export interface DatabasesParts {
  readonly fabric: Fabric
  /** How databases are made when the request does not say. */
  readonly defaults: ShardOptions
}

/** Make the routes under `/databases`. */
export function databasesRoutes({ fabric, defaults }: DatabasesParts): Hono {
  const routes = new Hono()
  const found = async (name: string): Promise<CatalogEntry> => {
    const entry = await fabric.find(name)
    if (entry === undefined) throw new Failure('not_found', `no database ${name.slice(0, 80)}`)
    return entry
  }
  routes.get('/', async (context) => {
    const { after, limit } = checked(pageSchema, context.req.query(), 'query')
    const entries = await fabric.list(after, limit + 1)
    const page = entries.slice(0, limit)
    return context.json({
      databases: page.map(summary),
      // What to give as `after` for the rest; null when this is all.
      next: entries.length > limit ? (page.at(-1)?.name ?? null) : null,
    })
  })
  routes.get('/:name', async (context) => context.json(detail(await found(context.req.param('name')))))
  routes.put('/:name', async (context) => {
    const name = context.req.param('name')
    const creation = checked(creationSchema, parseJson(await bodyText(context)), 'body')
    await fabric.create(name, optionsOf(creation, defaults))
    return context.json(detail(await found(name)), 201)
  })
  routes.get('/:name/shards', async (context) => {
    const { name } = await found(context.req.param('name'))
    return context.json({ name, shards: await readStatuses(await fabric.database(name)) })
  })
  return routes
}
