/** The server's end of a tunnel: a WebSocket whose bytes are a session's. Knows no platform's WebSocket. */
import type { Connection, WireSession } from '../serve/dialects.ts'
import { Flow } from './flow.ts'

/** What is used of a WebSocket. */
export interface TunnelSocket {
  send(frame: string | Uint8Array): void
  close(code: number, reason: string): void
}

/** Where a WebSocket's events go. */
export interface TunnelSession {
  /** Take a message.
   *  @param data given away */
  message(data: string | Uint8Array): void
  /** The WebSocket is gone. */
  closed(): void
}

/** How a tunnel is served. */
export interface ServeTunnelOptions {
  /** The client's address, as sessions show it. */
  readonly address: string
  /** Begin the session. */
  connect(connection: Connection): WireSession
  /** Told of what a session threw: a bug of ours. */
  onBug(error: unknown): void
}

/** WebSocket close codes. @source RFC 6455, section 7.4.1 */
const closeCodes = { normal: 1000, policy: 1008, internal: 1011 } as const

/** Serve a session on an accepted WebSocket. */
export function serveTunnel(socket: TunnelSocket, options: ServeTunnelOptions): TunnelSession {
  const { address, connect, onBug } = options
  const hangUp = (code: keyof typeof closeCodes, reason = '') => {
    flow.close()
    socket.close(closeCodes[code], reason)
  }
  const flow = new Flow({
    send: (frame) => socket.send(frame),
    // Whether the session wants no more for now shows in `busy`, which the acknowledgements wait for.
    take: (bytes) => void session.receive(bytes),
    settle: () => session.busy.catch(fail),
  })
  const fail = (error: unknown) => {
    onBug(error)
    hangUp('internal')
  }
  const close = async () => {
    await flow.room()
    hangUp('normal')
  }
  const session = connect({
    address,
    localAddress: '',
    write: (bytes) => flow.write(bytes),
    close: () => void close(),
    abort: () => hangUp('normal', 'the server closed the connection'),
    queuedBytes: () => flow.queuedBytes,
    drained: () => flow.room(),
  })
  flow.open()
  return {
    message(data) {
      try {
        flow.receive(data)
      } catch (error) {
        hangUp('policy', error instanceof Error ? error.message.slice(0, 120) : '')
        session.end()
      }
    },
    closed() {
      flow.close()
      session.end()
    },
  }
}
