/** What a client library in the server's own process needs of its host: two ends of a socket without a network (what is
 *  written into one end comes out of the other), and the environment.
 *
 *  1. Delivery is never re-entrant: a write returns before the other end sees the bytes (client libraries break else).
 *  2. Back-pressure is real: a write is done when the other end has room for it.
 *  3. Ending one end ends the other after what was written; destroying one destroys the other.
 *  4. Works in Node and in workerd (nodejs_compat): node:stream and timers, nothing else.
 *
 *  @source the parts of net.Socket that ioredis, mongodb, kafkajs, pg and postgres.js use */
import { Duplex } from 'node:stream'

type Done = (error?: Error | null) => void

/** One end of a pair: a Duplex with the methods of net.Socket that client libraries call. */
export class PairedSocket extends Duplex {
  /** Never true: a pair is born connected, and `connect` only says so. */
  readonly connecting = false
  readonly remoteAddress = '127.0.0.1'
  readonly remotePort: number
  readonly remoteFamily = 'IPv4'
  /** Idle time after which `timeout` is emitted, in ms; 0 for never. */
  timeout = 0
  private other: PairedSocket | undefined = undefined
  private resumeOther: Done | undefined = undefined
  private timer: ReturnType<typeof setTimeout> | undefined = undefined

  /** @param remotePort what the end says its peer's port is; some libraries refuse 0 */
  constructor(remotePort: number) {
    super({ allowHalfOpen: false })
    this.remotePort = remotePort
  }

  /** Make two ends each other's peers. */
  static join(left: PairedSocket, right: PairedSocket): void {
    left.other = right
    right.other = left
  }

  override _read(): void {
    const resume = this.resumeOther
    this.resumeOther = undefined
    resume?.()
  }

  override _write(chunk: Uint8Array, _encoding: string, done: Done): void {
    this.active()
    queueMicrotask(() => this.deliver(chunk, done))
  }

  override _writev(list: { chunk: Uint8Array }[], done: Done): void {
    const [first] = list
    const chunk = list.length === 1 && first ? first.chunk : Buffer.concat(list.map((item) => item.chunk))
    this._write(chunk, 'buffer', done)
  }

  override _final(done: Done): void {
    const { other } = this
    queueMicrotask(() => {
      if (other && !other.destroyed) other.push(null)
      done()
    })
  }

  override _destroy(error: Error | null, done: Done): void {
    this.setTimeout(0)
    const { other } = this
    // A writer on the other end must not wait for room that will never come.
    this._read()
    if (other && !other.destroyed) queueMicrotask(() => other.destroy())
    done(error)
  }

  /** Emit `timeout` when nothing was read or written for a while; the socket stays as it is.
   *  @param timeoutMs 0 turns it off
   *  @param listener called once for the next `timeout` */
  setTimeout(timeoutMs: number, listener?: () => void): this {
    this.timeout = timeoutMs
    if (this.timer !== undefined) clearTimeout(this.timer)
    this.timer = undefined
    if (timeoutMs > 0) this.startTimer(timeoutMs)
    if (listener && timeoutMs > 0) this.once('timeout', listener)
    else if (listener) this.removeListener('timeout', listener)
    return this
  }

  /** Emit `connect` in a moment, as a socket that was told to connect does. */
  connect(): this {
    queueMicrotask(() => this.emit('connect'))
    return this
  }

  /** Accepted: there are no packets to delay. */
  setNoDelay(): this {
    return this
  }

  /** Accepted: there is no network that could be lost unnoticed. */
  setKeepAlive(): this {
    return this
  }

  /** Accepted: a pair holds no handle that could keep a process alive. */
  ref(): this {
    return this
  }

  /** Accepted, as `ref`. */
  unref(): this {
    return this
  }

  private deliver(chunk: Uint8Array, done: Done): void {
    const { other } = this
    if (!other || other.destroyed || other.readableEnded) return done()
    other.active()
    if (other.push(chunk)) done()
    else other.resumeOther = done
  }

  private active(): void {
    if (this.timer !== undefined) this.startTimer(this.timeout)
  }

  private startTimer(timeoutMs: number): void {
    const { timer } = this
    if (typeof timer === 'object' && 'refresh' in timer) {
      timer.refresh()
      return
    }
    if (timer !== undefined) clearTimeout(timer)
    this.timer = setTimeout(() => this.emit('timeout'), timeoutMs)
    if (typeof this.timer === 'object' && 'unref' in this.timer) this.timer.unref()
  }
}

/** Make a connected pair.
 *  @param port what each end says its peer's port is
 *  @returns the client's end and the server's end */
export function socketPair(port = 6379): [PairedSocket, PairedSocket] {
  const client = new PairedSocket(port)
  const server = new PairedSocket(port)
  PairedSocket.join(client, server)
  return [client, server]
}
