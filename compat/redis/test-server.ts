/** For tests: a server over a real fabric in a folder of its own, and clients that speak bytes. Node only. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fromBin, toBin } from '@dotdo/core/bytes'
import { type NodeFabric, nodeClock, openFabric } from '@dotdo/core/host/node'
import type { Command } from './command.ts'
import { shardCommands } from './commands/shard.ts'
import { commandTable } from './commands/table.ts'
import { createRedisProgram } from './program.ts'
import { ReplyReader } from './real-redis.testing.ts'
import { createRedisServer, type RedisServer, type ServerOptions } from './server.ts'
import type { Row, Session, Transport } from './session.ts'
import type { Reply } from './transcript.testing.ts'

/** A server to test, with a clock that is moved by hand (the shards have the real one). */
export interface TestServer {
  readonly server: RedisServer
  readonly fabric: NodeFabric
  readonly bugs: unknown[]
  nowMs: number
  /** Begin a connection. */
  connect(): TestClient
  close(): Promise<void>
}

/** A client that sends text and reads text, byte for byte. */
export interface TestClient {
  readonly session: Session
  /** Everything received and not yet read. */
  received: string
  /** How often something was written to it. */
  writes: number
  closed: boolean
  /** What the client has not taken: set it to play one that does not read. */
  queuedBytes: number
  /** Send bytes. */
  send(bytes: string): void
  /** Run one command, on a connection that speaks RESP3. */
  run(...argv: readonly string[]): Promise<Reply>
  /** Send lines, each ended by CRLF, and read what has been answered when all is done. */
  ask(...lines: string[]): Promise<string>
}

function connect(server: RedisServer, port: number): TestClient {
  const close = () => {
    client.closed = true
  }
  const transport: Transport = {
    address: `127.0.0.1:${port}`,
    localAddress: '127.0.0.1:6379',
    write(bytes) {
      client.received += toBin(bytes)
      client.writes += 1
    },
    close,
    abort: close,
    queuedBytes: () => client.queuedBytes,
  }
  const session = server.connect(transport)
  const client: TestClient = {
    session,
    received: '',
    writes: 0,
    closed: false,
    queuedBytes: 0,
    send(bytes) {
      session.receive(fromBin(bytes))
    },
    async run(...argv) {
      client.send(`*${argv.length}\r\n${argv.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`)
      await session.busy
      const reader = new ReplyReader()
      reader.feed(fromBin(client.received))
      client.received = ''
      const next = reader.next()
      return next === undefined ? { error: 'no reply' } : next.reply
    },
    async ask(...lines) {
      client.send(lines.map((line) => `${line}\r\n`).join(''))
      await session.busy
      const { received } = client
      client.received = ''
      return received
    },
  }
  return client
}

/** How a server is opened: with the server's own options besides. */
export interface TestServerOptions extends Partial<Omit<ServerOptions, 'fabric' | 'clock'>> {
  /** Shards of each database. Default 1. */
  shards?: number
  /** Commands besides those that there are. */
  extra?: readonly Command[]
}

/** Open a server. */
export async function openTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const { shards = 1, extra = [], ...rest } = options
  const folder = mkdtempSync(join(tmpdir(), 'dotdo-redis-'))
  const bugs: unknown[] = []
  const onBug = (error: unknown) => {
    bugs.push(error)
  }
  const defaults = { count: shards, partitioner: 'crc16' } as const
  const programs = [createRedisProgram([...shardCommands, ...extra])]
  const fabric = await openFabric({ data: folder, programs, durability: 'normal', defaults, onBug })
  const startedMs = 1_800_000_000_000
  let ports = 40_000
  const commands = new Map([...commandTable, ...extra.map((row) => [row.name, row as Row] as const)])
  const info = { version: '0.0.0', runId: '0'.repeat(40), durability: 'normal', startedMs } as const
  const { random, after } = nodeClock
  const clock = { nowMs: () => test.nowMs, random, after }
  const server = createRedisServer({ fabric, clock, info, onBug, commands, ...rest })
  const test: TestServer = {
    server,
    fabric,
    bugs,
    nowMs: startedMs,
    connect: () => connect(server, ports++),
    async close() {
      server.close()
      await fabric.close()
      rmSync(folder, { recursive: true })
    },
  }
  return test
}
