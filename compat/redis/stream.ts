/** Joins a session to a byte stream: a TCP socket, one end of a socket pair, a tunnel. */
import type { RedisServer } from './server.ts'
import type { Session } from './session.ts'

/** What a stream must have: the part of node:stream's Duplex that is used. */
export interface ByteStream {
  readonly writableLength: number
  readonly destroyed: boolean
  write(bytes: Uint8Array): boolean
  end(): void
  destroy(): void
  pause(): unknown
  resume(): unknown
  on(event: 'data', listener: (bytes: Uint8Array) => void): unknown
  on(event: 'close', listener: () => void): unknown
  on(event: 'error', listener: (error: Error) => void): unknown
  once(event: 'drain' | 'close', listener: () => void): unknown
  removeListener(event: 'drain' | 'close', listener: () => void): unknown
}

/** How a stream is served. */
export interface ServeOptions {
  /** The client's `ip:port`. */
  address: string
  /** Our `ip:port`. */
  localAddress?: string
  /** The database of the fabric it begins in, when it is not the server's first. */
  database?: string
}

/** Serve Redis on a stream until either side closes it.
 *
 *  Reading stops while too many requests wait, and requests wait while the client does not read its replies. */
export function serveStream(server: RedisServer, stream: ByteStream, options: ServeOptions): Session {
  const { address, localAddress = '', database } = options
  let full = false
  const drained = (): Promise<void> | undefined => {
    if (!full || stream.destroyed) return undefined
    return new Promise((resolve) => {
      const go = () => {
        stream.removeListener('drain', go)
        stream.removeListener('close', go)
        full = false
        resolve()
      }
      stream.once('drain', go)
      stream.once('close', go)
    })
  }
  const write = (bytes: Uint8Array) => {
    if (!stream.write(bytes)) full = true
  }
  const transport = {
    address,
    localAddress,
    write,
    drained,
    close: () => stream.end(),
    abort: () => stream.destroy(),
    queuedBytes: () => stream.writableLength,
  }
  const session = server.connect(transport, database === undefined ? {} : { database })
  stream.on('data', (bytes) => {
    const busy = session.receive(bytes)
    if (busy === undefined) return
    stream.pause()
    busy.then(() => stream.resume())
  })
  stream.on('close', () => session.end())
  // What went wrong with the connection shows in `close`, which follows.
  stream.on('error', () => undefined)
  return session
}
