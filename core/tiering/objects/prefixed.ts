/** A part of a store as a store of its own: every key begins with a prefix that nobody outside sees. */
import type { Listing, ObjectHead, ObjectStore } from './port.ts'

/** Show the objects under a prefix as a store.
 *  @param prefix with a slash at its end, or empty for the store itself */
export function prefixed(store: ObjectStore, prefix: string): ObjectStore {
  if (prefix === '') return store
  const inside = (key: string) => prefix + key
  const outside = <T extends { readonly key: string }>(head: T): T => ({ ...head, key: head.key.slice(prefix.length) })
  const listed = ({ objects, prefixes, ...rest }: Listing): Listing => ({
    ...rest,
    objects: objects.map((head) => outside(head)),
    prefixes: prefixes.map((one) => one.slice(prefix.length)),
  })
  return {
    get: (key, options) => store.get(inside(key), options),
    async head(key, options) {
      const head: ObjectHead | undefined = await store.head(inside(key), options)
      return head && outside(head)
    },
    put: (key, bytes, options) => store.put(inside(key), bytes, options),
    delete: (keys, options) => store.delete(keys.map(inside), options),
    async list(options = {}) {
      const { prefix: wanted = '', after } = options
      const moved = { ...options, prefix: inside(wanted), ...(after !== undefined && { after: inside(after) }) }
      return listed(await store.list(moved))
    },
    multipart: (key, options) => store.multipart(inside(key), options),
  }
}
