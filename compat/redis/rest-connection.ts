/** A connection to a server that sends commands as arguments and reads replies as values: the client's side of a
 *  session, without bytes to think of. */
import { type Bin, fromBin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { REDIS_REST_REPLY_BYTES_MAX } from '@dotdo/core/limits'
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
  /** Bytes of replies since the last commands were sent. */
  private answeredBytes = 0
  private asking = false
  private wake: () => void = () => undefined

  /** @param options the client's `ip:port`, and its database when it is not the server's first */
  constructor(server: RedisServer, { address, database }: { address: string; database?: string | undefined }) {
    const end = () => this.leave()
    const transport = {
      address,
      localAddress: '',
      write: (bytes: Uint8Array) => {
        this.decoder.push(bytes)
        this.answeredBytes += bytes.length
        // What `ask` keeps waits in no queue: the session would not see it grow.
        if (this.asking && this.answeredBytes > REDIS_REST_REPLY_BYTES_MAX) this.close()
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
   *  @throws limit when the replies are larger than REDIS_REST_REPLY_BYTES_MAX together; unavailable when the
   *  connection ends before all are answered. The commands may have run. */
  async ask(commands: readonly (readonly Bin[])[]): Promise<Value[]> {
    const requests = commands.map((argv) => `*${argv.length}\r\n${argv.map(bulk).join('')}`)
    this.answeredBytes = 0
    this.asking = true
    this.session.receive(fromBin(requests.join('')))
    const replies: Value[] = []
    while (replies.length < commands.length) {
      const reply = await this.next()
      if (reply === undefined || this.answeredBytes > REDIS_REST_REPLY_BYTES_MAX) throw this.failure()
      replies.push(reply)
    }
    this.asking = false
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

  private failure(): Failure {
    if (this.answeredBytes <= REDIS_REST_REPLY_BYTES_MAX) {
      return new Failure('unavailable', 'UNAVAILABLE the connection was closed')
    }
    const most = `${REDIS_REST_REPLY_BYTES_MAX} bytes`
    return new Failure('limit', `ERR the replies are larger than ${most}; ask for less at a time`)
  }

  private leave(): void {
    this.ended = true
    this.wake()
  }
}

const bulk = (argument: Bin) => `$${argument.length}\r\n${argument}\r\n`
