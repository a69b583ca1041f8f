/** A filesystem over a data folder, or a fabric that is open already. */
import { Failure } from '@dotdo/core/errors'
import {
  defaultFolder,
  type NodeFabricOptions,
  openFabric,
  openStore,
  openZstd,
  type StorePlace,
  sha256,
} from '@dotdo/core/host/node'
import type { Fabric } from '@dotdo/core/shard'
import { parseDuration } from '@dotdo/core/tiering/tier'
import { createFileSystem, type FileSystem, type FileSystemOptions } from './api/filesystem.ts'
import type { Lower } from './api/overlay.ts'
import { wayTo } from './api/way.ts'
import { fsxProgram } from './program.ts'
import { fsxWork } from './tier/index.ts'

export * from './api/filesystem.ts'
export type { Lower } from './api/overlay.ts'
export { type FsError, fsError } from './errors.ts'
export { fsxProgram } from './program.ts'
export { fsxWork } from './tier/index.ts'

/** How a data folder is opened: everything `openFabric` takes but the engines. */
export type DataOptions = Omit<NodeFabricOptions, 'programs'>

/** Where a filesystem is, and how it is used. */
export interface FsxOptions extends FileSystemOptions {
  /** The data folder, or how it is opened. Default DOTDO_DATA or `.dotdo`. */
  dotdo?: string | DataOptions
  /** A fabric that is open already, with the program `fsx`; it is left open. */
  fabric?: Fabric
  /** Where cold content goes: a folder, or `s3://bucket/prefix` with how to reach it. With `fabric`, that was opened
   *  with `fsxWork`, or there are no tiers. */
  cold?: string | StorePlace
  /** With `cold`, how often a pass is run by itself while there is a policy. Default `1h`; `0s` for never. */
  tierEvery?: string
  /** Which filesystem: each database has one. Default `default`. */
  database?: string
  /** Over how many shards a new one is, each a database of its own (`NAME`, `NAME.1`, ...): a name in the root is on
   *  one of them, with all below it. Default 1; one that is there stays as it is. */
  shards?: number
  /** What it lies over: shown where it has nothing of its own, and never written to. Its own must be empty at first. */
  over?: Lower
}

/** Open a folder, and the store of its cold content. */
async function openData(data: DataOptions, cold: string | StorePlace | undefined) {
  const programs = [fsxProgram]
  if (cold === undefined) return openFabric({ ...data, programs })
  const place = typeof cold === 'string' ? { location: cold } : cold
  const { store, close } = await openStore(place, data.durability ? { durability: data.durability } : {})
  const work = fsxWork({ store, codec: await openZstd(), sha256 })
  const fabric = await openFabric({ ...data, programs, ...work }).catch((error) => {
    close()
    throw error
  })
  const closeFabric = fabric.close
  return Object.assign(fabric, { close: () => closeFabric().finally(close) })
}

/** Run a pass of the tiers time and again; the process may end meanwhile.
 *  @returns what ends it */
function runPasses({ tiers }: FileSystem, everyMs: number, { clock, onBug }: Passing): () => void {
  const pass = async () => {
    if ((await tiers.status()).policy !== null) await tiers.run()
  }
  // EBUSY: another is under way.
  const failed = (error: { code?: string }) => error.code !== 'EBUSY' && onBug?.(error)
  let isOver = everyMs === 0
  let stop = () => {}
  const wait = () => {
    if (isOver) return
    stop = clock.after(everyMs, () => void pass().catch(failed).finally(wait))
  }
  wait()
  return () => {
    isOver = true
    stop()
  }
}

interface Passing {
  readonly clock: Fabric['clock']
  readonly onBug: ((error: unknown) => void) | undefined
}

/** A filesystem, and its end. */
export type OpenedFileSystem = FileSystem & {
  /** Close the folder, if it was opened for this filesystem. */
  close(): Promise<void>
} & AsyncDisposable

/** Open a filesystem; it is made when it is first used.
 *  @param options where it is; a text is the data folder
 *  @throws conflict when another process has the folder open; invalid for options that cannot be honoured */
export async function fsx(options: string | FsxOptions = {}): Promise<OpenedFileSystem> {
  const {
    dotdo,
    fabric,
    database = 'default',
    shards,
    over,
    cold,
    tierEvery = '1h',
    ...rest
  } = typeof options === 'string' ? { dotdo: options } : options
  if (dotdo !== undefined && fabric !== undefined) throw new Failure('invalid', 'both dotdo and fabric are given')
  if (cold !== undefined && fabric !== undefined) throw new Failure('invalid', 'both cold and fabric are given')
  const everyMs = parseDuration('tierEvery', tierEvery)
  const data = typeof dotdo === 'object' ? dotdo : { data: dotdo ?? defaultFolder() }
  const opened = fabric === undefined ? await openData(data, cold) : undefined
  const way = wayTo(fabric ?? (opened as Fabric), {
    database,
    ...(shards !== undefined && { shards }),
    ...(over !== undefined && { over }),
  })
  const caller = await way.catch(async (error) => {
    await opened?.close()
    throw error
  })
  const callbacks = createFileSystem(caller, rest)
  const passing = opened && { clock: opened.clock, onBug: data.onBug }
  const stop = cold === undefined || passing === undefined ? undefined : runPasses(callbacks, everyMs, passing)
  const end = async () => {
    stop?.()
    await caller.waiting?.session?.end()
    caller.waiting?.ended.abort()
    await opened?.close()
  }
  const nodeClose = callbacks.close as unknown as (...given: unknown[]) => void
  // fs.close(fd, callback) is of node:fs.
  const close = (...given: unknown[]) => (given.length > 0 ? nodeClose(...given) : end())
  return Object.assign(callbacks, { close, [Symbol.asyncDispose]: end }) as unknown as OpenedFileSystem
}
