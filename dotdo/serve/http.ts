/** The HTTP app on a port. Node only. */
import type { Server } from 'node:http'
import { createAdaptorServer } from '@hono/node-server'
import type { Hono } from 'hono'
import { bind, type Listener } from './listen.ts'

/** Serve the app on a port.
 *  @throws the system's error, such as EADDRINUSE */
export async function listenHttp(app: Hono, options: { host: string; port: number }): Promise<Listener> {
  // The global Request and Response stay Node's own: this process is not the adapter's alone.
  const server = createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false }) as Server
  let connections = 0
  server.on('connection', (socket) => {
    connections += 1
    socket.on('close', () => {
      connections -= 1
    })
  })
  const port = await bind(server, options.host, options.port)
  return {
    port,
    get connections() {
      return connections
    },
    close() {
      // Idle connections are closed at once, the others when they have been answered.
      return new Promise((resolve) => server.close(() => resolve()))
    },
    abort: () => server.closeAllConnections(),
  }
}
