/** Counts what a store is asked for: for metrics, and for tests that hold a plan to its number of fetches. */
import type { ObjectStore } from './port.ts'

/** Requests by kind, and the bytes of objects that went each way. */
export interface StoreCounts {
  get: number
  head: number
  put: number
  delete: number
  list: number
  /** Uploads begun, and their requests. */
  multipart: number
  part: number
  complete: number
  abort: number
  /** Of bodies that arrived whole. */
  readBytes: number
  /** Of bodies that were sent, whether they were taken or not. */
  writtenBytes: number
}

/** A store that counts. */
export interface CountedStore extends ObjectStore {
  /** Since it was made; a live object. */
  readonly counts: Readonly<StoreCounts>
}

/** Count the calls that reach a store. */
export function counted(store: ObjectStore): CountedStore {
  const counts: StoreCounts = {
    get: 0,
    head: 0,
    put: 0,
    delete: 0,
    list: 0,
    multipart: 0,
    part: 0,
    complete: 0,
    abort: 0,
    readBytes: 0,
    writtenBytes: 0,
  }
  const count = <T>(kind: keyof StoreCounts, work: () => Promise<T>, writtenBytes = 0) => {
    counts[kind]++
    counts.writtenBytes += writtenBytes
    return work()
  }
  return {
    counts,
    async get(key, options) {
      const body = await count('get', () => store.get(key, options))
      counts.readBytes += body?.bytes.length ?? 0
      return body
    },
    head: (key, options) => count('head', () => store.head(key, options)),
    put: (key, bytes, options) => count('put', () => store.put(key, bytes, options), bytes.length),
    delete: (keys, options) => count('delete', () => store.delete(keys, options)),
    list: (options) => count('list', () => store.list(options)),
    async multipart(key, options) {
      const upload = await count('multipart', () => store.multipart(key, options))
      return {
        write: (number, bytes, part) => count('part', () => upload.write(number, bytes, part), bytes.length),
        complete: (condition) => count('complete', () => upload.complete(condition)),
        abort: (cancel) => count('abort', () => upload.abort(cancel)),
      }
    },
  }
}
