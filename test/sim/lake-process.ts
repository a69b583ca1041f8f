/** Processes that work with the lake's object store, and die at any of their requests to it. */
import type { Catalog } from '../../core/tiering/iceberg/catalog.ts'
import { fileCatalog } from '../../core/tiering/iceberg/catalog-files.ts'
import { LakeFiles } from '../../core/tiering/iceberg/files.ts'
import type { MultipartUpload, ObjectStore } from '../../core/tiering/objects/port.ts'
import { withRetries } from '../../core/tiering/objects/retry.ts'
import type { CommitterTools } from '../../core/tiering/tier/committer.ts'
import { uncompressed } from '../../core/tiering/zstd.ts'
import type { Life, World } from './world.ts'

/** The location of the store's root. */
const root = 'http://lake.sim/bucket'

/** When a process dies: at which of its requests, counted down, and how. */
export interface Doom {
  requestsLeft: number
  die(): void
}

/** The store as one process sees it: what it waits for after its death never comes.
 *  @param doom ends it before a request is sent, or when it has been answered */
function storeOf(store: ObjectStore, { life, world, doom }: { life: Life; world: World; doom: Doom }): ObjectStore {
  const step = async <T>(work: () => Promise<T>): Promise<T> => {
    const isLast = doom.requestsLeft-- === 0
    if (isLast && world.random.chance(0.5)) doom.die()
    // The dead send nothing.
    if (!life.alive) return new Promise<T>(() => {})
    const done = await life.bind(work())
    if (isLast) doom.die()
    return life.bind(Promise.resolve(done))
  }
  const wrap = (upload: MultipartUpload): MultipartUpload => ({
    write: (number, bytes, options) => step(() => upload.write(number, bytes, options)),
    complete: (options) => step(() => upload.complete(options)),
    abort: (options) => step(() => upload.abort(options)),
  })
  return {
    get: (key, options) => step(() => store.get(key, options)),
    head: (key, options) => step(() => store.head(key, options)),
    list: (options) => step(() => store.list(options)),
    put: (key, bytes, options) => step(() => store.put(key, bytes, options)),
    delete: (keys, options) => step(() => store.delete(keys, options)),
    multipart: async (key, options) => wrap(await step(() => store.multipart(key, options))),
  }
}

/** What a process works with. */
export type LakeTools = CommitterTools & { readonly catalog: Catalog; readonly files: LakeFiles }

/** Make what a process works with.
 *  @param isPatient whether it tries its requests again */
export function toolsOf(
  store: ObjectStore,
  { life, world, doom, isPatient }: { life: Life; world: World; doom: Doom; isPatient: boolean },
): LakeTools {
  const clock = life.clock()
  const own = storeOf(store, { life, world, doom })
  const files = new LakeFiles({ store: isPatient ? withRetries(own, { clock }) : own, root, chance: clock })
  return { catalog: fileCatalog({ files, clock }), files, clock, compressor: uncompressed, codecs: {} }
}

/** A store that is another one from time to time.
 *  @param now says which, for every request; told the key of one that writes */
export function switched(now: (written?: string) => ObjectStore): ObjectStore {
  return {
    get: (key, options) => now().get(key, options),
    head: (key, options) => now().head(key, options),
    list: (options) => now().list(options),
    put: (key, bytes, options) => now(key).put(key, bytes, options),
    delete: (keys, options) => now().delete(keys, options),
    multipart: (key, options) => now().multipart(key, options),
  }
}
