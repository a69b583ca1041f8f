/** A connection to a server that sends commands as arguments and reads replies as values: the client's side of a
 *  session, without bytes to think of. */
import { type Bin, fromBin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { ReplyDecoder } from './replies.ts'
import type { RedisServer } from './server.ts'
import type { Session } from './session.ts'
import type { Value } from './value.ts'

/** What is used of an AbortSignal. */
export interface Ending {
  readonly aborted: boolean
  addEventListener(event: 'abort', listener: () => void): void
  removeEventListener(event: 'abort', listener: () => void): void
}

/** A connection whose client was let in. */
export class RestConnection {
  private readonly decoder = new ReplyDecoder()
  private readonly session: Session
  private ended = false
  private wake: () => void = () => undefined

  /** @param options the client's `ip:port`, and its database when it is not the server's first */
  constructor(server: RedisServer, { address, database }: { address: string; database?: string | undefined }) {
    const end = () => this.leave()
    const transport = {
      address,
      localAddress: '',
      write: (bytes: Uint8Array) => {
        this.decoder.push(bytes)
        this.wake()
      },
      close: end,
      abort: end,
      queuedBytes: () => this.decoder.heldBytes,
    }
    this.session = server.connect(transport, database === undefined ? {} : { database })
    this.session.admit('default')
  }

  /** Send commands, each of which has one reply.
   *  @throws unavailable when the connection ends before all are answered: they may have run */
  async ask(commands: readonly (readonly Bin[])[]): Promise<Value[]> {
    const requests = commands.map((argv) => `*${argv.length}\r\n${argv.map(bulk).join('')}`)
    this.session.receive(fromBin(requests.join('')))
    const replies: Value[] = []
    while (replies.length < commands.length) {
      const reply = await this.next()
      if (reply === undefined) throw new Failure('unavailable', 'UNAVAILABLE the connection was closed')
      replies.push(reply)
    }
    return replies
  }

  /** Wait for the next reply or message.
   *  @returns undefined when the connection has ended */
  async next(): Promise<Value | undefined> {
    for (;;) {
      const reply = this.decoder.next()
      if (reply !== undefined || this.ended) return reply
      await new Promise<void>((resolve) => {
        this.wake = resolve
      })
    }
  }

  /** End the connection; what was sent still runs. */
  close(): void {
    if (!this.session.ended) this.session.end()
    this.leave()
  }

  private leave(): void {
    this.ended = true
    this.wake()
  }
}

const bulk = (argument: Bin) => `$${argument.length}\r\n${argument}\r\n`
