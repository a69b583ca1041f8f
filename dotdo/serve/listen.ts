/** A TCP port whose connections are sessions of a dialect. Node only.
 *
 *  1. Reading stops while a session has too much waiting, and a session waits while its client does not read.
 *  2. A client that has sent its last byte still gets every answer: the socket closes after the session is done.
 *  3. What goes wrong with one connection ends that connection and no other.
 *  4. Closing stops accepting, lets each session finish what it has received, then closes its socket. */
import { createServer, type Server, type Socket } from 'node:net'
import type { Connection, DialectServer, WireSession } from './dialects.ts'

/** After this long without a byte the system asks whether the client is still there, as Redis does (tcp-keepalive). */
const keepAliveMs = 300_000

/** How a port is opened. */
export interface ListenOptions {
  readonly host: string
  /** 0 for any that is free. */
  readonly port: number
  /** Connections served at once; more are told why not, and closed. */
  readonly connectionsMax: number
  /** Told of a connection that broke; nothing needs to be done about it. */
  onBroken?(address: string, error: Error): void
  /** Told of what a session threw: a bug of ours. */
  onBug?(error: unknown): void
}

/** An open port. */
export interface Listener {
  readonly port: number
  /** Connections open now. */
  readonly connections: number
  /** Stop: finish what was received, then close every connection. */
  close(): Promise<void>
  /** Close every connection at once. */
  abort(): void
}

/** The connections of one port. */
class Connections {
  readonly open = new Map<Socket, WireSession>()
  private readonly server: DialectServer
  private readonly options: ListenOptions
  private stopping = false

  constructor(server: DialectServer, options: ListenOptions) {
    this.server = server
    this.options = options
  }

  accept(socket: Socket): void {
    const address = `${socket.remoteAddress}:${socket.remotePort}`
    socket.on('error', (error) => this.options.onBroken?.(address, error))
    if (this.open.size >= this.options.connectionsMax || this.stopping) {
      socket.end(this.server.refuse())
      // What it may send meanwhile is thrown away, so that the refusal arrives instead of a reset.
      socket.resume()
      return
    }
    const session = this.server.connect(connectionOf(socket, address))
    this.open.set(socket, session)
    socket.on('data', (bytes) => this.receive(socket, session, bytes))
    socket.on('end', () => void this.finish(socket, session))
    socket.on('close', () => {
      this.open.delete(socket)
      session.end()
    })
  }

  private receive(socket: Socket, session: WireSession, bytes: Uint8Array): void {
    if (this.stopping) return
    try {
      const full = session.receive(bytes)
      if (full === undefined) return
      socket.pause()
      full.then(
        () => socket.resume(),
        (error) => this.fail(socket, error),
      )
    } catch (error) {
      this.fail(socket, error)
    }
  }

  private fail(socket: Socket, error: unknown): void {
    this.options.onBug?.(error)
    socket.destroy()
  }

  private async finish(socket: Socket, session: WireSession): Promise<void> {
    try {
      session.finish?.()
      await session.busy
      socket.end()
    } catch (error) {
      this.fail(socket, error)
    }
  }

  async close(): Promise<void> {
    this.stopping = true
    const closing = [...this.open].map(async ([socket, session]) => {
      const closed = new Promise((resolve) => socket.once('close', resolve))
      await this.finish(socket, session)
      // A client that does not hang up in its turn is not waited for once it has what was written.
      if (socket.writableFinished) socket.destroy()
      else socket.once('finish', () => socket.destroy())
      await closed
    })
    await Promise.all(closing)
  }

  abort(): void {
    for (const socket of this.open.keys()) socket.destroy()
  }
}

/** Show a socket to a session. */
function connectionOf(socket: Socket, address: string): Connection {
  return {
    address,
    localAddress: `${socket.localAddress}:${socket.localPort}`,
    write(bytes) {
      if (socket.writable) socket.write(bytes)
    },
    close: () => void socket.end(),
    abort: () => void socket.destroy(),
    queuedBytes: () => socket.writableLength,
    drained: () => (socket.writableNeedDrain && !socket.destroyed ? drained(socket) : undefined),
  }
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      socket.off('drain', done)
      socket.off('close', done)
      resolve()
    }
    socket.on('drain', done)
    socket.on('close', done)
  })
}

/** Open a server's port.
 *  @returns the port it listens on
 *  @throws the system's error, such as EADDRINUSE */
export function bind(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port }, () => {
      server.off('error', reject)
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : port)
    })
  })
}

/** Serve a dialect on a port.
 *  @throws the system's error, such as EADDRINUSE */
export async function listen(dialect: DialectServer, options: ListenOptions): Promise<Listener> {
  const connections = new Connections(dialect, options)
  const tcp = { noDelay: true, keepAlive: true, keepAliveInitialDelay: keepAliveMs, allowHalfOpen: true }
  const server = createServer(tcp, (socket) => connections.accept(socket))
  const port = await bind(server, options.host, options.port)
  // Out of file handles: those who wait are served when others have gone.
  server.on('error', (error) => options.onBroken?.('(accept)', error))
  dialect.listening(port)
  return {
    port,
    get connections() {
      return connections.open.size
    },
    async close() {
      const closed = new Promise((resolve) => server.close(resolve))
      await connections.close()
      await closed
    },
    abort: () => connections.abort(),
  }
}
