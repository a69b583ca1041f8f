/** fs.watchFile: what stat tells of a path, whenever it is something else. Node asks every `interval`; here the log
 *  says when to ask, and `interval` is how long nothing is asked after that.
 *  @source https://nodejs.org/docs/latest-v20.x/api/fs.html#fswatchfilefilename-options-listener */
import { Patience, type StopSwitch } from '@dotdo/core/cdc'
import { EventEmitter } from '@dotdo/core/host/streams'
import { FOLLOW_WAIT_MS } from '@dotdo/core/limits'
import type { Inode } from '../tables.ts'
import { type Looked, lookRequest, watchError } from './changes.ts'
import { type Env, type Request, stopWith, type Waiting, waitingOf } from './request.ts'
import { BigIntStats, Stats } from './stats.ts'
import { absolute, badArgument, pathText, wholeNumber } from './values.ts'
import { Presence } from './watch.ts'

type AnyStats = Stats | BigIntStats
/** Hears what a file is, and what it was. */
export type StatListener = (current: AnyStats, previous: AnyStats) => void

/** Options of watchFile. */
interface WatchFileOptions {
  bigint?: boolean
  persistent?: boolean
  interval?: number
}

/** What Node takes unless told otherwise. */
const INTERVAL_MS = 5007

const noTimes = { atime: 0, mtime: 0, ctime: 0, btime: 0, nanos: 0, era: 0 }
/** What stat tells of what is not there. */
const nothing: Inode = {
  ...{ ino: 0, mode: 0, nlink: 0, uid: 0, gid: 0, size: 0, stored: 0, body: null, parent: null, link: null },
  ...noTimes,
}

/** What makes two answers of stat differ to those who watch: a time of last access does not.
 *  @source libuv v1.46 src/fs-poll.c, statbuf_eq */
const shown = ({ ino, mode, uid, gid, size, mtime, ctime, btime, nanos }: Inode) =>
  [ino, mode, uid, gid, size, mtime, ctime, btime, Math.floor(nanos / 1000)].join()

/** A path whose stat is watched. */
export class StatWatcher extends EventEmitter {
  private readonly env: Env
  private readonly presence: Presence
  private readonly stop: StopSwitch
  private readonly waiting: Waiting
  private readonly intervalMs: number
  private readonly show: (inode: Inode) => AnyStats

  constructor(env: Env, path: string, { bigint = false, persistent, interval = INTERVAL_MS }: WatchFileOptions) {
    super()
    this.env = env
    this.waiting = waitingOf(env)
    this.intervalMs = interval
    this.show = (inode) => (bigint ? new BigIntStats(inode) : new Stats(inode))
    const { stop, done } = stopWith(this.waiting)
    this.stop = stop
    this.presence = new Presence(env, persistent)
    stop.addEventListener('abort', () => {
      this.presence.end()
      done()
    })
    this.run(lookRequest(env, path, false)).catch((error) => {
      if (stop.aborted) return
      this.close()
      this.emit('error', watchError(error, path))
    })
  }

  private async run(request: Request): Promise<void> {
    const { clock } = this.waiting
    const { as, on, caller } = this.env
    const args = { ...request.args, ...(as && { as }), ...(on && { on }) }
    const patience = new Patience({ clock, stop: this.stop })
    const look = async () => (await caller.call('look', args)) as Looked
    let looked = await patience.retry(look)
    // Node tells of what is not there at once.
    if (looked?.inode === null) this.tell(nothing, nothing)
    while (looked !== undefined && !this.stop.aborted) {
      const { position, inode }: Looked = looked
      await patience.retry(() => this.waiting.awaitChange(position.seq, FOLLOW_WAIT_MS))
      looked = await patience.retry(look)
      if (looked === undefined || shown(looked.inode ?? nothing) === shown(inode ?? nothing)) continue
      this.tell(looked.inode ?? nothing, inode ?? nothing)
      await this.pause()
    }
  }

  private tell(current: Inode, previous: Inode): void {
    if (!this.stop.aborted) this.emit('change', this.show(current), this.show(previous))
  }

  private pause(): Promise<void> {
    const { stop, waiting, intervalMs } = this
    return new Promise((resolve) => {
      const done = () => {
        cancel()
        stop.removeEventListener('abort', done)
        resolve()
      }
      const cancel = waiting.clock.after(intervalMs, done)
      stop.addEventListener('abort', done)
    })
  }

  get ended(): boolean {
    return this.stop.aborted
  }

  /** Stop watching. */
  close(): void {
    this.stop.abort()
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

/** Make watchFile and unwatchFile, which know each other's watchers by path. */
export function watchFilesOf(env: Env) {
  const watchers = new Map<string, StatWatcher>()
  return {
    watchFile(path: unknown, ...given: unknown[]): StatWatcher {
      const text = pathText(path, 'filename')
      const listener = given.at(-1)
      if (typeof listener !== 'function') {
        throw badArgument('ERR_INVALID_ARG_TYPE', 'The "listener" argument must be of type function.')
      }
      const options = (typeof given[0] === 'object' ? given[0] : {}) as WatchFileOptions
      const interval = wholeNumber(options.interval ?? INTERVAL_MS, 'interval')
      const key = absolute(env, text)
      const known = watchers.get(key)
      const watcher = known?.ended === false ? known : new StatWatcher(env, text, { ...options, interval })
      watchers.set(key, watcher)
      watcher.on('change', listener as StatListener)
      return watcher
    },
    unwatchFile(path: unknown, listener?: StatListener): void {
      const key = absolute(env, pathText(path, 'filename'))
      const watcher = watchers.get(key)
      if (watcher === undefined) return
      if (listener === undefined) watcher.removeAllListeners('change')
      else watcher.off('change', listener)
      if (watcher.listenerCount('change') > 0) return
      watcher.close()
      watchers.delete(key)
    },
  }
}
