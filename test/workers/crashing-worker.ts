/** The Worker of dotdo, but that the object of a lake ends at its first commit of keys: the table has it, and no shard
 *  knows. */
import type { R2Binding } from '@dotdo/core/host/workers'
import { LakeObject as Whole } from '../../dotdo/worker.ts'

export { CatalogObject, default, GatewayObject, ShardObject } from '../../dotdo/worker.ts'

type ObjectState = ConstructorParameters<typeof Whole>[0]

const isCommit = (key: string, bytes: Uint8Array) =>
  /\/keys\/metadata\/v\d+\.metadata\.json$/.test(key) && Buffer.from(bytes).includes('"current-snapshot-id":')

/** Make a bucket that ends its object once a commit is written, the first time. */
function ending(bucket: R2Binding, { storage }: ObjectState, abort: () => void): R2Binding {
  return new Proxy(bucket, {
    get(target, name) {
      const own = Reflect.get(target, name) as unknown
      if (typeof own !== 'function') return own
      if (name !== 'put') return own.bind(target)
      return async (key: string, bytes: Uint8Array, ...rest: unknown[]) => {
        const written = await own.call(target, key, bytes, ...rest)
        if (written === null || !isCommit(key, bytes) || storage.kv.get('ended') !== undefined) return written
        storage.kv.put('ended', true)
        await storage.sync()
        console.log('ended after a commit')
        abort()
        return new Promise(() => {})
      }
    },
  })
}

/** The class of lakes that end. */
export class LakeObject extends Whole {
  constructor(ctx: ObjectState, env: unknown) {
    const { LAKE } = env as { LAKE: R2Binding }
    super(ctx, { ...(env as object), LAKE: ending(LAKE, ctx, () => ctx.abort('ended by the test')) })
  }
}
