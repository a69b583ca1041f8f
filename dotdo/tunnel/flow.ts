/** The frames of a tunnel: a byte stream each way over one WebSocket, with back-pressure, which WebSockets lack.
 *
 *      binary        bytes of the stream
 *      text `123`    I have taken 123 bytes in all
 *      text `?`      say so as soon as you have taken all that I have sent so far
 *
 *  1. Nobody has more than TUNNEL_WINDOW_BYTES under way that the other end has not said it took; the rest waits here.
 *  2. Both ends are alike. What `taken` means is the end's: on a server, that the requests were run and the replies
 *     sent, so that who is told has them all; on a client, that the bytes went out to the local connection.
 *  3. Sans IO: frames out by `send`, frames in by `receive`. */
import { Failure } from '@dotdo/core/errors'
import { TUNNEL_FRAME_BYTES_MAX, TUNNEL_WINDOW_BYTES } from '@dotdo/core/limits'

/** What an end of a tunnel brings. */
export interface FlowEnd {
  /** Send a frame: text or binary. @param frame given away */
  send(frame: string | Uint8Array): void
  /** Take bytes of the stream. @param bytes given away */
  take(bytes: Uint8Array): void
  /** @returns a promise that everything given to `take` so far has been taken, or undefined when it has */
  settle(): Promise<void> | undefined
}

interface Waiter {
  /** Resolved when so much has been acknowledged, or (for room) when nothing waits here any more. */
  readonly acknowledged: number | undefined
  resolve(): void
}

/** One end's state. */
export class Flow {
  private readonly end: FlowEnd
  private readonly queue: Uint8Array[] = []
  private waitingBytes = 0
  private writtenBytes = 0
  private sentBytes = 0
  private acknowledgedBytes = 0
  private receivedBytes = 0
  private takenBytes = 0
  private toldBytes = 0
  /** Where the other end stood when it asked; 0 when it has its answer. */
  private askedBytes = 0
  private settling = false
  private opened = false
  private ended = false
  private waiters: Waiter[] = []

  constructor(end: FlowEnd) {
    this.end = end
  }

  /** Begin to send; what was written before has waited. */
  open(): void {
    this.opened = true
    this.pump()
  }

  /** Send bytes, as the window allows.
   *  @param bytes given away */
  write(bytes: Uint8Array): void {
    if (this.ended || bytes.length === 0) return
    this.queue.push(bytes)
    this.waitingBytes += bytes.length
    this.writtenBytes += bytes.length
    this.pump()
  }

  /** Bytes that wait here because the other end has not taken those before. */
  get queuedBytes(): number {
    return this.waitingBytes
  }

  /** @returns a promise that nothing waits here any more, or undefined when that is so */
  room(): Promise<void> | undefined {
    return this.waitingBytes === 0 || this.ended ? undefined : this.wait(undefined)
  }

  /** Wait until the other end has taken everything written so far, or is gone. */
  async flush(): Promise<void> {
    if (this.ended || this.acknowledgedBytes >= this.writtenBytes) return
    const { writtenBytes } = this
    await this.room()
    if (this.ended || this.acknowledgedBytes >= writtenBytes) return
    this.end.send('?')
    await this.wait(writtenBytes)
  }

  /** Take a frame from the other end.
   *  @param frame given away
   *  @throws invalid when it is none of a tunnel's, or breaks its window */
  receive(frame: string | Uint8Array): void {
    if (this.ended) return
    if (typeof frame === 'string') return this.control(frame)
    this.receivedBytes += frame.length
    if (this.receivedBytes - this.toldBytes > TUNNEL_WINDOW_BYTES) {
      throw new Failure('invalid', `more than ${TUNNEL_WINDOW_BYTES} bytes sent ahead of what was taken`)
    }
    this.end.take(frame)
    if (!this.settling) void this.settle()
  }

  /** The tunnel is gone: nobody waits for it any more. */
  close(): void {
    this.ended = true
    this.queue.length = 0
    this.waitingBytes = 0
    const { waiters } = this
    this.waiters = []
    for (const { resolve } of waiters) resolve()
  }

  private wait(acknowledged: number | undefined): Promise<void> {
    return new Promise((resolve) => this.waiters.push({ acknowledged, resolve }))
  }

  private pump(): void {
    while (this.opened) {
      const room = Math.min(this.acknowledgedBytes + TUNNEL_WINDOW_BYTES - this.sentBytes, TUNNEL_FRAME_BYTES_MAX)
      const [first] = this.queue
      if (first === undefined || room <= 0) break
      const frame = first.length <= room ? first : first.subarray(0, room)
      if (frame === first) this.queue.shift()
      else this.queue[0] = first.subarray(room)
      this.waitingBytes -= frame.length
      this.sentBytes += frame.length
      this.end.send(frame)
    }
    this.wake()
  }

  private wake(): void {
    if (this.waiters.length === 0) return
    const due = ({ acknowledged }: Waiter) =>
      acknowledged === undefined ? this.waitingBytes === 0 : this.acknowledgedBytes >= acknowledged
    const ready = this.waiters.filter(due)
    this.waiters = this.waiters.filter((waiter) => !due(waiter))
    for (const { resolve } of ready) resolve()
  }

  private control(text: string): void {
    if (text === '?') {
      this.askedBytes = this.receivedBytes
      this.tell()
      return
    }
    const taken = /^\d{1,15}$/.test(text) ? Number(text) : -1
    if (taken < this.acknowledgedBytes || taken > this.sentBytes) {
      throw new Failure('invalid', `${JSON.stringify(text.slice(0, 40))} is no count of bytes taken`)
    }
    this.acknowledgedBytes = taken
    this.pump()
  }

  private async settle(): Promise<void> {
    this.settling = true
    while (this.takenBytes < this.receivedBytes && !this.ended) {
      const { receivedBytes } = this
      await this.end.settle()
      this.takenBytes = receivedBytes
      this.tell()
    }
    this.settling = false
  }

  /** Say how much was taken, when it is enough to be worth a frame, or was asked for. */
  private tell(): void {
    const asked = this.askedBytes > 0 && this.takenBytes >= this.askedBytes
    if (this.ended || (!asked && this.takenBytes - this.toldBytes < TUNNEL_WINDOW_BYTES / 4)) return
    if (asked) this.askedBytes = 0
    this.toldBytes = this.takenBytes
    this.end.send(String(this.takenBytes))
  }
}
