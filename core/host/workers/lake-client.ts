/** The way to the objects of lakes: what people ask of them, and their catalogs, over RPC. Workers only. */
import { Failure, type WireFailure } from '../../errors.ts'
import { DATABASES_PER_PAGE_MAX, WORKERS_CALL_BYTES_MAX } from '../../limits.ts'
import type { Fabric } from '../../shard/fabric.ts'
import type { Catalog, Namespace } from '../../tiering/iceberg/catalog.ts'
import type { LakeControl } from '../../tiering/tier/port.ts'
import type { ObjectNamespace } from './fabric.ts'
import { answered, type WireValue, wireBytes } from './wire.ts'

/** What is asked of one database's lake. */
export const controlCalls = [
  'setPolicy',
  'removePolicy',
  'status',
  'pause',
  'resume',
  'backfill',
  'flush',
  'compact',
  'maintain',
] as const satisfies readonly (keyof LakeControl)[]

/** What is asked of a catalog. */
export const catalogCalls = [
  'createNamespace',
  'listNamespaces',
  'loadNamespace',
  'updateNamespace',
  'dropNamespace',
  'listTables',
  'createTable',
  'stageTable',
  'loadTable',
  'commitTable',
  'commitTables',
  'renameTable',
  'dropTable',
] as const satisfies readonly (keyof Catalog)[]

/** One of them. */
export type ControlCall = (typeof controlCalls)[number]

/** One of them. */
export type CatalogCall = (typeof catalogCalls)[number]

/** The methods of a lake's object, as its callers have them. */
export interface LakeRpc {
  /** @param database whose object this is
   *  @param args those of LakeControl after the database */
  control(database: string, name: ControlCall, args: readonly unknown[]): Promise<WireValue | WireFailure>
  /** @param args those of Catalog */
  catalog(database: string, name: CatalogCall, args: readonly unknown[]): Promise<WireValue | WireFailure>
}

/** Refuse what no RPC can carry. */
function fitting(args: readonly unknown[]): readonly unknown[] {
  const size = wireBytes(args)
  if (size <= WORKERS_CALL_BYTES_MAX) return args
  throw new Failure('limit', `a request of about ${size} bytes; ${WORKERS_CALL_BYTES_MAX} fit a call here`)
}

// A stub belongs to the request that made it, so each call takes its own.
const objectOf = (lakes: ObjectNamespace, database: string) => lakes.get(lakes.idFromName(database)) as LakeRpc
const whose = "the lake's"

/** Ask lakes by their objects.
 *  @param lakes the binding of the class that `lakeObject` makes */
export function lakeControlOver(lakes: ObjectNamespace, fabric: Fabric): LakeControl {
  const ask = async (database: string, name: ControlCall, ...args: readonly unknown[]) =>
    answered(objectOf(lakes, database).control(database, name, fitting(args)), whose)
  const calls = Object.fromEntries(
    controlCalls.map((name) => [name, (database: string, ...args: unknown[]) => ask(database, name, ...args)]),
  ) as unknown as Omit<LakeControl, 'databases'>
  return {
    ...calls,
    async databases() {
      const names: string[] = []
      for (let page: { name: string }[] = []; ; ) {
        page = await fabric.withPolicies(page.at(-1)?.name ?? '', DATABASES_PER_PAGE_MAX)
        names.push(...page.map(({ name }) => name))
        if (page.length < DATABASES_PER_PAGE_MAX) return names
      }
    },
  }
}

/** Tell whose object has the tables of a namespace: that of the database of its first part. */
const ownerOf = ([database]: Namespace) => (database === undefined || database === '' ? undefined : database)

/** Tell whose object is asked, by the arguments; nobody's when they are about several databases, or all. */
const owners: { readonly [Name in CatalogCall]: (...args: Parameters<Catalog[Name]>) => string | undefined } = {
  createNamespace: ownerOf,
  listNamespaces: (parent = []) => ownerOf(parent),
  loadNamespace: ownerOf,
  updateNamespace: ownerOf,
  dropNamespace: ownerOf,
  listTables: ownerOf,
  createTable: ({ namespace }) => ownerOf(namespace),
  stageTable: ({ namespace }) => ownerOf(namespace),
  loadTable: ({ namespace }) => ownerOf(namespace),
  commitTable: ({ namespace }) => ownerOf(namespace),
  commitTables(requests) {
    const [first, ...others] = new Set(requests.map(({ table }) => ownerOf(table.namespace)))
    return others.length === 0 ? first : undefined
  },
  renameTable: ({ namespace }) => ownerOf(namespace),
  dropTable: ({ namespace }) => ownerOf(namespace),
}

/** See the catalog by the objects of lakes: what is about one database is done by its object, where the committer of
 *  its tables is; the rest here.
 *  @param lakes the binding of the class that `lakeObject` makes
 *  @param own a catalog on the same files */
export function catalogOver(lakes: ObjectNamespace, own: Catalog): Catalog {
  const ask = async (name: CatalogCall, args: readonly unknown[]) => {
    const database = (owners[name] as (...args: readonly unknown[]) => string | undefined)(...args)
    if (database !== undefined) return answered(objectOf(lakes, database).catalog(database, name, fitting(args)), whose)
    return (own[name] as (this: Catalog, ...args: readonly unknown[]) => Promise<unknown>).call(own, ...args)
  }
  return Object.fromEntries(
    catalogCalls.map((name) => [name, (...args: unknown[]) => ask(name, args)]),
  ) as unknown as Catalog
}
