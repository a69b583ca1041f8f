/** A real redis-server on a free port, to compare with. For tests only. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { connect, createServer, type Socket } from 'node:net'
import { toBin } from '@dotdo/core/bytes'
import { temporaryFolder } from '../../core/host/node/testing.ts'
import type { Reply } from './transcript.testing.ts'

/** Find the version of the redis-server that is installed.
 *  @returns undefined when there is none */
export function installedVersion(): string | undefined {
  const { stdout } = spawnSync('redis-server', ['--version'], { encoding: 'utf8' })
  return /v=(\S+)/.exec(stdout ?? '')?.[1]
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}

/** Read a double of the protocol. */
function readDouble(text: string): number {
  return /inf/.test(text) ? Number(text.replace('inf', 'Infinity')) : Number(text)
}

/** Reads RESP3 replies, as many types as the compared commands answer; verbatim text as its text. */
export class ReplyReader {
  private text = ''
  private at = 0

  feed(chunk: Uint8Array): void {
    this.text = this.text.slice(this.at) + toBin(chunk)
    this.at = 0
  }

  /** @returns a whole reply, or undefined when more bytes must come */
  next(): { reply: Reply } | undefined {
    const start = this.at
    try {
      return { reply: this.value() }
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      this.at = start
      return undefined
    }
  }

  private line(): string {
    const end = this.text.indexOf('\r\n', this.at)
    if (end < 0) throw new RangeError('more bytes must come')
    const line = this.text.slice(this.at, end)
    this.at = end + 2
    return line
  }

  private bulk(size: number): string {
    if (this.text.length < this.at + size + 2) throw new RangeError('more bytes must come')
    const bulk = this.text.slice(this.at, this.at + size)
    this.at += size + 2
    return bulk
  }

  private value(): Reply {
    const line = this.line()
    const rest = line.slice(1)
    switch (line[0]) {
      case '+':
        return { simple: rest }
      case '-':
        return { error: rest }
      case ':':
        return Number.isSafeInteger(Number(rest)) ? Number(rest) : { int64: rest }
      case ',':
        return { double: readDouble(rest) }
      case '_':
        return null
      case '$':
        return this.bulk(Number(rest))
      case '=':
        return this.bulk(Number(rest)).slice('txt:'.length)
      case '#':
        return { bool: rest === 't' }
      case '*':
      case '>':
        return Array.from({ length: Number(rest) }, () => this.value())
      case '~':
        return { set: Array.from({ length: Number(rest) }, () => this.value()) }
      case '%':
        return { map: Array.from({ length: Number(rest) }, (): [Reply, Reply] => [this.value(), this.value()]) }
    }
    throw new Error(`a reply that no transcript knows: ${line}`)
  }
}

/** A connection that speaks RESP3 to whatever listens on a port. */
export class RespConnection {
  private readonly socket: Socket
  private readonly reader = new ReplyReader()
  private readonly waiting: ((reply: Reply) => void)[] = []

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk) => {
      this.reader.feed(chunk)
      for (let next = this.reader.next(); next !== undefined; next = this.reader.next()) {
        this.waiting.shift()?.(next.reply)
      }
    })
  }

  static async open(port: number): Promise<RespConnection> {
    const socket = connect(port, '127.0.0.1')
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    const connection = new RespConnection(socket)
    await connection.run('HELLO', '3')
    return connection
  }

  /** Run a command. */
  run(...argv: readonly string[]): Promise<Reply> {
    const bulks = argv.map((word) => `$${word.length}\r\n${word}\r\n`).join('')
    this.socket.write(`*${argv.length}\r\n${bulks}`, 'latin1')
    return new Promise((resolve) => this.waiting.push(resolve))
  }

  close(): void {
    this.socket.destroy()
  }
}

/** A running redis-server and one connection to it. */
export class RealRedis {
  readonly port: number
  private readonly process: ChildProcess
  private readonly connection: RespConnection
  private readonly folder: ReturnType<typeof temporaryFolder>

  private constructor(
    port: number,
    process: ChildProcess,
    { connection, folder }: { connection: RespConnection; folder: ReturnType<typeof temporaryFolder> },
  ) {
    this.port = port
    this.process = process
    this.connection = connection
    this.folder = folder
  }

  /** @param extra flags of the server, as on its command line */
  static async start(...extra: string[]): Promise<RealRedis> {
    const port = await freePort()
    const folder = temporaryFolder()
    const flags = ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--dir', folder.path, ...extra]
    const process = spawn('redis-server', flags, { stdio: ['ignore', 'pipe', 'inherit'] })
    await new Promise<void>((resolve, reject) => {
      process.on('exit', (code) => reject(new Error(`redis-server ended with ${code}`)))
      process.stdout.on('data', (chunk: Buffer) => {
        if (chunk.includes('Ready to accept connections')) resolve()
      })
    })
    return new RealRedis(port, process, { connection: await RespConnection.open(port), folder })
  }

  /** Run a command. */
  run(...argv: readonly string[]): Promise<Reply> {
    return this.connection.run(...argv)
  }

  async stop(): Promise<void> {
    this.process.removeAllListeners('exit')
    const ended = new Promise((resolve) => this.process.once('exit', resolve))
    this.connection.close()
    this.process.kill()
    await ended
    this.folder.remove()
  }
}
