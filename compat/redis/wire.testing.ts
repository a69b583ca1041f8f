/** Several connections to a server, byte for byte: the same scenario runs against us and against a real Redis. For
 *  tests only. */
import { connect } from 'node:net'
import { toBin } from '@dotdo/core/bytes'
import type { TestServer } from './test-server.ts'

/** A connection that sends lines and compares what it receives. */
export interface Wire {
  /** Send lines, each ended by CRLF. */
  send(...lines: string[]): void
  /** Wait until so many bytes have come, and take them. */
  read(bytes: number): Promise<string>
  /** Take everything that has come. */
  rest(): string
}

/** Opens connections to one server, whichever it is. */
export interface Wires {
  open(): Promise<Wire>
  close(): void
}

interface Inbox {
  received: string
  arrived: () => void
}

function wireOver(inbox: Inbox, write: (text: string) => void): Wire {
  const take = (bytes: number) => {
    const taken = inbox.received.slice(0, bytes)
    inbox.received = inbox.received.slice(bytes)
    return taken
  }
  return {
    send: (...lines) => write(lines.map((line) => `${line}\r\n`).join('')),
    async read(bytes) {
      while (inbox.received.length < bytes) {
        await new Promise<void>((resolve) => {
          inbox.arrived = resolve
        })
      }
      return take(bytes)
    },
    rest: () => take(inbox.received.length),
  }
}

/** Open connections over TCP. */
export function wiresTo(port: number): Wires {
  const sockets: ReturnType<typeof connect>[] = []
  return {
    async open() {
      const socket = connect(port, '127.0.0.1')
      sockets.push(socket)
      await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
      const inbox: Inbox = { received: '', arrived: () => undefined }
      socket.on('data', (chunk) => {
        inbox.received += toBin(chunk)
        inbox.arrived()
      })
      return wireOver(inbox, (text) => socket.write(text, 'latin1'))
    },
    close() {
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** Open sessions of a test server. */
export function wiresOf(server: TestServer): Wires {
  return {
    async open() {
      const client = server.connect()
      const inbox: Inbox = { received: '', arrived: () => undefined }
      // The client collects; a setter tells of it.
      Object.defineProperty(client, 'received', {
        get: () => inbox.received,
        set(text: string) {
          inbox.received = text
          inbox.arrived()
        },
      })
      return wireOver(inbox, (text) => client.send(text))
    },
    close: () => undefined,
  }
}

/** Write a RESP2 list: strings as bulks, numbers as integers, null as nil. */
export function list(...items: (string | number | null)[]): string {
  return `*${items.length}\r\n${items.map(item).join('')}`
}

/** Write a RESP3 push. */
export function push(...items: (string | number | null)[]): string {
  return `>${items.length}\r\n${items.map((one) => (one === null ? '_\r\n' : item(one))).join('')}`
}

function item(value: string | number | null): string {
  if (value === null) return '$-1\r\n'
  return typeof value === 'number' ? `:${value}\r\n` : `$${value.length}\r\n${value}\r\n`
}
