/** The client's end of a tunnel: every local connection becomes a WebSocket to a remote dotdo. Node only. */
import type { ClientRequest, IncomingMessage } from 'node:http'
import { Failure } from '@dotdo/core/errors'
import { TUNNEL_OPEN_MS_MAX, TUNNEL_PING_MS } from '@dotdo/core/limits'
import WebSocket, { type RawData } from 'ws'
import type { Connection, DialectServer, WireSession } from '../serve/dialects.ts'
import { Flow } from './flow.ts'

/** Where tunnels lead. */
export interface TunnelTarget {
  /** The remote dotdo: http, https, ws or wss. */
  readonly url: URL
  /** The dialect, as the remote names it. */
  readonly dialect: string
  readonly password?: string
}

/** What a dialer needs besides. */
export interface DialOptions extends TunnelTarget {
  /** Say in the dialect's words that there is no way to the server; the connection is then closed. */
  refuse(message: string): Uint8Array
  /** Told of tunnels that did not open, or broke. */
  onBroken(address: string, failure: Failure): void
}

/** Read the address of a remote dotdo.
 *  @throws invalid when it is no URL of a server */
export function parseTarget(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^(https?|wss?):$/.test(url.protocol)) {
    throw new Failure(
      'invalid',
      `${JSON.stringify(text)} is no URL of a server; write https://host or http://host:port`,
    )
  }
  return url
}

function socketOf({ url, dialect, password }: TunnelTarget): WebSocket {
  const address = new URL(url)
  address.protocol = /^(https|wss):$/.test(url.protocol) ? 'wss:' : 'ws:'
  address.pathname = `${url.pathname.replace(/\/$/, '')}/tunnel/${dialect}`
  const headers = password === undefined ? {} : { Authorization: `Bearer ${password}` }
  // Compression would cost more than the bytes on most networks, and holds memory for each connection.
  return new WebSocket(address, { headers, handshakeTimeout: TUNNEL_OPEN_MS_MAX, perMessageDeflate: false })
}

/** Say why a tunnel did not open, from the answer that came instead. */
function refusal({ url, dialect }: TunnelTarget, { statusCode = 0 }: IncomingMessage): Failure {
  const { origin } = url
  if (statusCode === 401) {
    return new Failure('unauthenticated', `${origin} wants its password; give it with DOTDO_PASSWORD or --password`)
  }
  if (statusCode === 404)
    return new Failure('not_found', `no dotdo with a tunnel for ${dialect} answers at ${url.href}`)
  return new Failure('unavailable', `${origin} does not open a tunnel for ${dialect}: it answers ${statusCode}`)
}

/** Say why nothing answers. */
function silence({ url }: TunnelTarget, error: Error & { code?: string }): Failure {
  return new Failure('unavailable', `no dotdo answers at ${url.href}: ${error.code ?? error.message}`, undefined, error)
}

/** Tell once how a WebSocket that opens ends: it was opened, or why not. */
function whenOpen(socket: WebSocket, target: TunnelTarget): Promise<Failure | undefined> {
  return new Promise((resolve) => {
    socket.once('open', () => resolve(undefined))
    socket.once('unexpected-response', (_: ClientRequest, response: IncomingMessage) => {
      resolve(refusal(target, response))
      response.destroy()
      socket.terminate()
    })
    socket.on('error', (error) => resolve(silence(target, error)))
    socket.once('close', () => resolve(new Failure('unavailable', `${target.url.href} closed the tunnel at once`)))
  })
}

/** Open a tunnel and close it again, to see whether the way is free.
 *  @throws unavailable, not_found or unauthenticated, saying what to do */
export async function probeTunnel(target: TunnelTarget): Promise<void> {
  const socket = socketOf(target)
  const failure = await whenOpen(socket, target)
  socket.close()
  if (failure !== undefined) throw failure
}

function bytesOf(data: RawData): Uint8Array {
  if (Array.isArray(data)) return Buffer.concat(data)
  return data instanceof ArrayBuffer ? new Uint8Array(data) : data
}

/** Ping until the socket closes, and cut it off when a ping met no answer. */
function watch(socket: WebSocket): void {
  let answered = true
  socket.on('pong', () => {
    answered = true
  })
  const timer = setInterval(() => {
    if (!answered) return socket.terminate()
    answered = false
    socket.ping()
  }, TUNNEL_PING_MS)
  timer.unref()
  socket.on('close', () => clearInterval(timer))
}

/** Carry one local connection through a tunnel of its own. */
function dial(connection: Connection, options: DialOptions): WireSession {
  const { refuse, onBroken } = options
  const socket = socketOf(options)
  let ended = false
  let opened = false
  const flow = new Flow({
    send: (frame) => socket.send(frame),
    take: (bytes) => connection.write(bytes),
    settle: () => connection.drained(),
  })
  const fail = (failure: Failure) => {
    if (ended) return
    ended = true
    onBroken(connection.address, failure)
    flow.close()
    socket.terminate()
    if (!opened) connection.write(refuse(failure.message))
    connection.close()
  }
  socket.on('message', (data, isBinary) => {
    try {
      flow.receive(isBinary ? bytesOf(data) : data.toString())
    } catch (error) {
      fail(new Failure('unavailable', `the other end of the tunnel is no dotdo: ${String(error)}`, undefined, error))
    }
  })
  void whenOpen(socket, options).then((failure) => {
    if (failure !== undefined) return fail(failure)
    opened = true
    watch(socket)
    flow.open()
  })
  socket.on('close', (code, reason) => {
    // One that never opened is `whenOpen`'s to tell of.
    if (!opened) return
    if (code !== 1000) fail(new Failure('unavailable', `the tunnel was closed: ${code} ${reason.toString()}`.trimEnd()))
    ended = true
    flow.close()
    connection.close()
  })
  return {
    receive(bytes) {
      flow.write(bytes)
      return flow.room()
    },
    get busy() {
      return flow.flush()
    },
    end() {
      ended = true
      flow.close()
      socket.close(1000)
    },
  }
}

/** Make a server of a local port whose connections are tunnels. */
export function tunnelServer(options: DialOptions): DialectServer {
  return {
    connect: (connection) => dial(connection, options),
    listening() {
      // The port is a matter between it and its clients: the remote has its own.
    },
    refuse: () => options.refuse('too many connections'),
  }
}
