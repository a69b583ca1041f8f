/** A tunnel's Durable Object: it holds the WebSocket and the session that speaks on it. Workers only.
 *
 *  1. An object a tunnel: every message has the platform's CPU time of its own, which a stateless Worker has once.
 *  2. It stores nothing. A session is memory (MULTI, WATCH, the requests under way), so the object does not hibernate:
 *     it stays while its WebSocket is open. When the platform restarts it (a new version, a move), the WebSocket
 *     closes, and the client connects again as after any lost connection; what was acknowledged is in the shards.
 *  3. Only the Worker reaches it, and that has checked the password of a request that brings one. */
import { DurableObject } from 'cloudflare:workers'
import type { RedisServer } from '@dotdo/redis/server'
import { serveTunnel, type TunnelSession } from '../tunnel/serve.ts'
import { type Environment, fabricOf, logBug } from './environment.ts'
import { redisServer } from './redis.ts'

/** What is used of workerd's WebSocket; its types would hide Node's. */
interface ServerSocket {
  binaryType: string
  accept(): void
  send(frame: string | Uint8Array): void
  close(code: number, reason: string): void
  addEventListener(event: 'message', listener: (event: { data: unknown }) => void): void
  addEventListener(event: 'close' | 'error', listener: () => void): void
}

declare const WebSocketPair: new () => { 0: unknown; 1: ServerSocket }

type PlatformRequest = Parameters<NonNullable<DurableObject['fetch']>>[0]
type PlatformResponse = Awaited<ReturnType<NonNullable<DurableObject['fetch']>>>

/** Join a WebSocket's events to a tunnel's session. */
function attach(socket: ServerSocket, open: () => TunnelSession): void {
  socket.accept()
  // From 2026-03-17 on the default is Blob, which would have to be awaited.
  socket.binaryType = 'arraybuffer'
  const session = open()
  socket.addEventListener('message', ({ data }) => {
    session.message(typeof data === 'string' ? data : new Uint8Array(data as ArrayBuffer))
  })
  socket.addEventListener('close', () => session.closed())
  // A connection that broke; what it was about is for nobody but the client.
  socket.addEventListener('error', () => session.closed())
}

/** The class of tunnels. */
export class GatewayObject extends DurableObject<Environment> {
  private redis: RedisServer | undefined

  /** Take the other end of the client's WebSocket. Called by the Worker alone, for requests it has checked. */
  override async fetch(request: PlatformRequest): Promise<PlatformResponse> {
    this.redis ??= redisServer(this.env, fabricOf(this.env))
    const { redis } = this
    const admitted = request.headers.has('Authorization')
    const { 0: client, 1: server } = new WebSocketPair()
    attach(server, () =>
      serveTunnel(
        { send: (frame) => server.send(frame), close: (code, reason) => server.close(code, reason) },
        {
          address: `${request.headers.get('CF-Connecting-IP') ?? '127.0.0.1'}:0`,
          connect(connection) {
            const session = redis.connect(connection)
            if (admitted) session.admit('default')
            return session
          },
          onBug: logBug,
        },
      ),
    )
    return new Response(null, { status: 101, webSocket: client } as ResponseInit) as unknown as PlatformResponse
  }
}
