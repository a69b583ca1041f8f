import { connect, type Socket } from 'node:net'
import { type NodeFabric, nodeClock, openFabric } from '@dotdo/core/host/node'
import { Registry } from 'prom-client'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { temporaryFolder } from '../../core/host/node/testing.ts'
import { programs } from '../programs.ts'
import type { Connection, DialectServer } from './dialects.ts'
import { type Listener, type ListenOptions, listen } from './listen.ts'
import { redis } from './redis.ts'

const host = '127.0.0.1'
let listeners: Listener[]
let sockets: Socket[]
let bugs: unknown[]

beforeEach(() => {
  listeners = []
  sockets = []
  bugs = []
})

afterEach(async () => {
  for (const socket of sockets) socket.destroy()
  for (const listener of listeners) listener.abort()
  await Promise.all(listeners.map((listener) => listener.close()))
})

async function open(server: DialectServer, options: Partial<ListenOptions> = {}): Promise<Listener> {
  const onBug = (error: unknown) => void bugs.push(error)
  const listener = await listen(server, { host, port: 0, connectionsMax: 100, onBug, ...options })
  listeners.push(listener)
  return listener
}

function client({ port }: Listener): Socket {
  const socket = connect({ host, port, noDelay: true })
  sockets.push(socket)
  return socket
}

/** Wait until what a socket has sent fulfils a condition, or the other side has closed it. */
function received(socket: Socket, enough: (text: string) => boolean = () => false): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1')
      if (enough(text)) resolve(text)
    })
    socket.on('end', () => resolve(text))
    socket.on('error', reject)
  })
}

const has = (text: string) => (so: string) => so.includes(text)
const gone = (socket: Socket) => new Promise((resolve) => socket.once('close', resolve))

describe('a Redis port', () => {
  let folder: ReturnType<typeof temporaryFolder>
  let fabric: NodeFabric
  let registry: Registry
  let server: DialectServer

  beforeEach(async () => {
    folder = temporaryFolder()
    fabric = await openFabric({ data: folder.path, programs, durability: 'normal' })
    registry = new Registry()
    const onBug = (error: unknown) => void bugs.push(error)
    const shutdown = (by: string) => void bugs.push(new Error(`asked by ${by}`))
    const about = { version: '1', startedMs: 0, durability: 'normal', shutdown } as const
    server = redis.start({ fabric, clock: nodeClock, registry, onBug, ...about })
  })

  afterEach(async () => {
    await fabric.close()
    folder.remove()
    expect(bugs).toEqual([])
  })

  it('answers every command of a client that stops sending, then closes', async () => {
    const socket = client(await open(server))
    socket.end('SET a 1\r\nINCR a\r\nGET a\r\n')
    expect(await received(socket)).toBe('+OK\r\n:2\r\n$1\r\n2\r\n')
    await gone(socket)
  })

  it('turns away who comes past the limit, and lets the next one in when somebody has left', async () => {
    const listener = await open(server, { connectionsMax: 1 })
    const first = client(listener)
    first.write('PING\r\n')
    await received(first, has('PONG'))
    const second = client(listener)
    second.write('PING\r\n')
    expect(await received(second)).toBe('-ERR max number of clients reached\r\n')
    expect(await registry.metrics()).toMatch(/^dotdo_redis_connections_refused_total 1$/m)
    first.end()
    await gone(first)
    expect(listener.connections).toBe(0)
    const third = client(listener)
    third.write('PING\r\n')
    expect(await received(third, has('PONG'))).toBe('+PONG\r\n')
  })

  it('does not let one connection that breaks disturb another', async () => {
    const broken: string[] = []
    const listener = await open(server, { onBroken: (address) => broken.push(address) })
    const healthy = client(listener)
    healthy.write('SET k v\r\n')
    await received(healthy, has('OK'))
    const breaking = client(listener)
    breaking.write('GET k\r\n')
    await received(breaking, has('v'))
    breaking.write(`${'GET k\r\n'.repeat(1_000)}*1\r\n$5\r\nhalf`)
    breaking.resetAndDestroy()
    await expect.poll(() => listener.connections).toBe(1)
    healthy.write('GET k\r\n')
    expect(await received(healthy, has('v'))).toBe('$1\r\nv\r\n')
    for (const address of broken) expect(address).toMatch(/^127\.0\.0\.1:\d+$/)
  })

  it('answers all that it has run when it closes, and nobody hangs', async () => {
    const listener = await open(server)
    const idle = client(listener)
    idle.write('PING\r\n')
    await received(idle, has('PONG'))
    const busy = client(listener)
    const text = received(busy)
    busy.write('INCR n\r\n'.repeat(20_000))
    await new Promise((resolve) => busy.once('data', resolve))
    await Promise.all([listener.close(), gone(idle), gone(busy)])
    const replies = (await text).trimEnd().split('\r\n')
    const database = await fabric.database('default')
    const get = { program: 'redis', name: 'get', args: { argv: ['get', 'n'], db: 0 } }
    const count = await database.router.call(get, { slot: database.map.slotOf('n') })
    expect(replies.at(-1)).toBe(`:${count}`)
    expect(replies.length).toBe(Number(count))
  })

  it('takes no connection after it has closed', async () => {
    const listener = await open(server)
    await listener.close()
    await expect(received(client(listener))).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  it('rejects a port that is taken', async () => {
    const { port } = await open(server)
    await expect(open(server, { port })).rejects.toMatchObject({ code: 'EADDRINUSE' })
  })
})

/** A dialect that answers every byte with 64 and notes when it is given more than it asked for. */
function amplifier() {
  const seen = { receivedBytes: 0, pauses: 0, intrusions: 0 }
  const connectAmplifier = (connection: Connection) => {
    let paused = false
    return {
      busy: Promise.resolve(),
      receive(bytes: Uint8Array) {
        if (paused) seen.intrusions += 1
        seen.receivedBytes += bytes.length
        connection.write(new Uint8Array(64 * bytes.length))
        const drained = connection.drained()
        paused = drained !== undefined
        if (paused) seen.pauses += 1
        return drained?.then(() => {
          paused = false
        })
      },
      end: () => undefined,
    }
  }
  const server: DialectServer = {
    connect: connectAmplifier,
    listening: () => undefined,
    refuse: () => new Uint8Array(0),
  }
  return { seen, server }
}

describe('a port', () => {
  it('stops reading while its client does not read', async () => {
    const { seen, server } = amplifier()
    const socket = client(await open(server))
    const sentBytes = 1024 * 1024
    socket.write(new Uint8Array(sentBytes))
    await expect.poll(() => seen.pauses).toBeGreaterThan(0)
    let gotBytes = 0
    socket.on('data', (bytes) => {
      gotBytes += bytes.length
    })
    await expect.poll(() => gotBytes, { timeout: 20_000 }).toBe(64 * sentBytes)
    expect(seen).toMatchObject({ receivedBytes: sentBytes, intrusions: 0 })
  })

  it('ends the connection whose session throws, and no other', async () => {
    const server: DialectServer = {
      connect: (connection) => ({
        busy: Promise.resolve(),
        receive(bytes) {
          if (bytes[0] === 0) throw new Error('a bug')
          if (bytes[0] === 1) return Promise.reject(new Error('a late bug'))
          connection.write(bytes)
          return undefined
        },
        end: () => undefined,
      }),
      listening: () => undefined,
      refuse: () => new Uint8Array(0),
    }
    const listener = await open(server)
    const [well, bad, late] = [client(listener), client(listener), client(listener)]
    bad.write(Uint8Array.of(0))
    late.write(Uint8Array.of(1))
    await Promise.all([gone(bad), gone(late)])
    well.write('x')
    expect(await received(well, has('x'))).toBe('x')
    expect(bugs.map(String).sort()).toEqual(['Error: a bug', 'Error: a late bug'])
  })
})
