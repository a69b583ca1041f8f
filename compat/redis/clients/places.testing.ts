/** A fabric in a folder of its own that is served on a port, and clients of it there and in the process. For tests. */
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nodeClock, openFabric } from '@dotdo/core/host/node'
import type { Fabric } from '@dotdo/core/shard'
import { Redis as RealIORedis } from 'ioredis'
import { createClient as createRealClient } from 'redis'
import { Redis } from '../client.ts'
import { redisProgram } from '../program.ts'
import { createRedisServer } from '../server.ts'
import { serveStream } from '../stream.ts'
import { createClient } from './node-redis.ts'

/** A way to the data. */
export interface Way {
  readonly name: 'over TCP' | 'in process'
  /** Make a client of ioredis. */
  ioredis(): RealIORedis
  /** Make a client of node-redis that is connected. */
  nodeRedis(): Promise<ReturnType<typeof createRealClient>>
}

/** The data, the ways to it, and their end. */
export interface Places {
  readonly fabric: Fabric
  /** Where it is served on 127.0.0.1. */
  readonly port: number
  readonly tcp: Way
  readonly local: Way
  /** Remove all data. */
  clear(): Promise<void>
  close(): Promise<void>
}

/** Open a fabric and serve it. */
export async function openPlaces(): Promise<Places> {
  const folder = mkdtempSync(join(tmpdir(), 'dotdo-clients-'))
  const fabric = await openFabric({ data: folder, programs: [redisProgram], durability: 'normal' })
  const info = { version: '0.0.0', runId: '0'.repeat(40), durability: 'normal', startedMs: nodeClock.nowMs() } as const
  const server = createRedisServer({ fabric, clock: nodeClock, info })
  const listener = createServer((socket) => {
    const { remoteAddress, remotePort } = socket
    serveStream(server, socket, { address: `${remoteAddress}:${remotePort}` })
  })
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  const { port } = listener.address() as AddressInfo
  const clients: (() => void)[] = []
  const known = <Client extends RealIORedis>(client: Client) => {
    clients.push(() => client.disconnect())
    return client
  }
  const connected = async (client: ReturnType<typeof createRealClient>) => {
    client.on('error', () => undefined)
    clients.push(() => client.destroy())
    await client.connect()
    return client
  }
  return {
    fabric,
    port,
    tcp: {
      name: 'over TCP',
      ioredis: () => known(new RealIORedis(port, '127.0.0.1')),
      nodeRedis: () => connected(createRealClient({ socket: { host: '127.0.0.1', port } })),
    },
    local: {
      name: 'in process',
      ioredis: () => known(new Redis({ fabric })),
      nodeRedis: () => connected(createClient({ fabric }) as ReturnType<typeof createRealClient>),
    },
    async clear() {
      for (const end of clients.splice(0)) end()
      const one = new Redis({ fabric })
      await one.flushall()
      await one.quit()
    },
    async close() {
      for (const end of clients.splice(0)) end()
      server.close()
      await new Promise((resolve) => listener.close(resolve))
      await fabric.close()
      rmSync(folder, { recursive: true })
    },
  }
}
