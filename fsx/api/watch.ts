/** fs.watch and fs.promises.watch, over the change log.
 *
 *  1. As with inotify, what is watched is the file or directory that the path leads to when watching begins: it is
 *     watched on wherever it is moved to, and what replaces it is another one.
 *  2. Names are told when they come or go (`rename`), and when what they lead to changed (`change`); in the order of
 *     the log. Null instead of a name says that anything may have changed.
 *  @source https://nodejs.org/docs/latest-v20.x/api/fs.html#fswatchfilename-options-listener */
import type { StopSwitch } from '@dotdo/core/cdc'
import { EventEmitter } from '@dotdo/core/host/streams'
import type { Scope } from '../engine/changes.ts'
import { isDirectory } from '../engine/mode.ts'
import { abortError, followChanges, type Looked, lookSoon, Mailbox, type Told, watchError } from './changes.ts'
import { type Env, stopWith, waitingOf } from './request.ts'
import { badArgument, encodedName, optionsOf, pathText } from './values.ts'

/** What a watcher tells. */
export interface FileChange {
  readonly eventType: 'rename' | 'change'
  /** From the directory that is watched; that of the file itself when it is a file. */
  readonly filename: string | Buffer | null
}

/** Options of watch. */
export interface WatchOptions {
  encoding?: BufferEncoding | 'buffer' | null
  persistent?: boolean
  recursive?: boolean
  signal?: AbortSignal
}

type Listener = (eventType: FileChange['eventType'], filename: FileChange['filename']) => void

function checkOptions(options: unknown): WatchOptions {
  const given = optionsOf<WatchOptions>(options)
  for (const name of ['persistent', 'recursive'] as const) {
    const value: unknown = given[name]
    if (value === undefined || value === null || typeof value === 'boolean') continue
    throw badArgument('ERR_INVALID_ARG_TYPE', `The "options.${name}" property must be of type boolean.`)
  }
  const { signal } = given
  if (signal !== undefined && !('aborted' in Object(signal))) {
    throw badArgument('ERR_INVALID_ARG_TYPE', 'The "options.signal" property must be an instance of AbortSignal.')
  }
  return given
}

const baseName = (path: string) => /([^/]*)\/*$/.exec(path)?.[1] ?? ''

function scopeOf({ inode }: Looked, recursive: boolean | undefined): Scope {
  if (inode === null) throw new Error('what is not there cannot be watched')
  return { within: inode.ino, deep: recursive === true && isDirectory(inode) }
}

/** @returns what to tell of changes, in an encoding */
function tellerOf(path: string, encoding: WatchOptions['encoding']): (told: Told) => FileChange[] {
  const own = baseName(path)
  return ({ kind, paths }) => {
    if (kind === 'all') return [{ eventType: 'rename', filename: null }]
    const eventType = kind === 'changed' ? 'change' : 'rename'
    return paths.map((name) => ({ eventType, filename: encodedName(name === '' ? own : name, encoding) }))
  }
}

/** Keeps the process from ending, while it is wanted. */
export class Presence {
  private readonly env: Env
  private leave: (() => void) | undefined
  private ended = false

  constructor(env: Env, persistent: boolean | undefined) {
    this.env = env
    if (persistent ?? true) this.hold()
  }

  /** Let the process not end. */
  hold(): void {
    if (!this.ended) this.leave ??= waitingOf(this.env).clock.stayAlive?.()
  }

  /** Let the process end. */
  release(): void {
    this.leave?.()
    this.leave = undefined
  }

  /** Let the process end, whatever is asked later. */
  end(): void {
    this.ended = true
    this.release()
  }
}

/** Something that is watched. */
export class FSWatcher extends EventEmitter {
  private readonly presence: Presence
  private readonly stop: StopSwitch

  /** @throws as stat(2) where the shard is in this thread; else that is the event `error` */
  constructor(env: Env, path: unknown, options: WatchOptions) {
    super()
    const { persistent, signal } = options
    const waiting = waitingOf(env)
    const looked = lookSoon(env, path, true)
    const { stop, done } = stopWith(waiting)
    this.stop = stop
    this.presence = new Presence(env, persistent)
    const close = () => this.close()
    signal?.addEventListener('abort', close)
    stop.addEventListener('abort', () => {
      this.presence.end()
      done()
      signal?.removeEventListener('abort', close)
      queueMicrotask(() => this.emit('close'))
    })
    if (signal?.aborted) close()
    const text = pathText(path, 'filename')
    this.run(env, looked, { ...options, path: text }).catch((error) => {
      if (stop.aborted) return
      close()
      this.emit('error', watchError(error, text))
    })
  }

  private async run(
    env: Env,
    looking: Looked | Promise<Looked>,
    { path, recursive, encoding }: WatchOptions & { path: string },
  ): Promise<void> {
    const looked = await looking
    const tell = tellerOf(path, encoding)
    const hear = (told: readonly Told[]) => {
      for (const { eventType, filename } of told.flatMap(tell)) {
        if (!this.stop.aborted) this.emit('change', eventType, filename)
      }
    }
    await followChanges(env, scopeOf(looked, recursive), { from: looked.position, stop: this.stop, hear })
  }

  /** Stop watching. */
  close(): void {
    if (!this.stop.aborted) this.stop.abort()
  }

  /** Keep the process from ending while this watches. */
  ref(): this {
    this.presence.hold()
    return this
  }

  /** Let the process end, though this watches. */
  unref(): this {
    this.presence.release()
    return this
  }
}

/** Watch a file or a directory.
 *  @throws as `FSWatcher`; ERR_INVALID_ARG_TYPE */
export function watch(env: Env, path: unknown, options?: unknown, listener?: Listener): FSWatcher {
  const hear = typeof options === 'function' ? (options as Listener) : listener
  const watcher = new FSWatcher(env, path, checkOptions(options))
  if (hear !== undefined) watcher.on('change', hear)
  return watcher
}

/** Watch a file or a directory, its changes one after the other; begins when the first is asked for, as in Node. What
 *  nobody takes waits in the log, so no queue overflows.
 *  @throws as stat(2); AbortError */
export async function* watchLater(env: Env, path: unknown, options?: unknown): AsyncGenerator<FileChange> {
  const { encoding, persistent, recursive, signal } = checkOptions(options)
  if (signal?.aborted) throw abortError(signal)
  const text = pathText(path, 'filename')
  const presence = new Presence(env, persistent)
  try {
    const looked = await lookSoon(env, path, true)
    const [scope, tell] = [scopeOf(looked, recursive), tellerOf(text, encoding)]
    const hear = (put: (items: FileChange[]) => Promise<void>) => (told: readonly Told[]) => put(told.flatMap(tell))
    yield* new Mailbox<FileChange>(
      env,
      (put, stop) => followChanges(env, scope, { from: looked.position, stop, hear: hear(put) }),
      signal,
    )
  } catch (error) {
    throw watchError(error, text)
  } finally {
    presence.end()
  }
}
