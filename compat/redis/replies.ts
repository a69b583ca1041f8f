/** RESP2 read from the client's side: bytes of replies in, values out. It is what a gateway to other protocols needs.
 *
 *  1. Replies may arrive cut anywhere; what was read is never read again, and a long string is joined once.
 *  2. The bytes come from our own codec: anything else is a bug, and asserted.
 *
 *  @source https://redis.io/docs/latest/develop/reference/protocol-spec/ */
import { type Bin, toBin } from '@dotdo/core/bytes'
import { assert } from '@dotdo/core/errors'
import type { Value } from './value.ts'

interface Frame {
  readonly items: Value[]
  readonly count: number
}

/** Reads replies from chunks of any split: `push` a chunk, then `next` until it has no more. */
export class ReplyDecoder {
  private text: Bin = ''
  private position = 0
  private readonly waiting: Bin[] = []
  private waitingBytes = 0
  /** The arrays that are not whole yet, the outermost first. */
  private readonly frames: Frame[] = []
  /** How long `text` after `position` must be before it is worth another look. */
  private needed = 1

  /** Take a chunk. */
  push(chunk: Uint8Array): void {
    this.waiting.push(toBin(chunk))
    this.waitingBytes += chunk.length
  }

  /** How many bytes have come and are in no reply yet. */
  get heldBytes(): number {
    return this.text.length - this.position + this.waitingBytes
  }

  /** Read the next reply.
   *  @returns undefined when the bytes end first */
  next(): Value | undefined {
    for (;;) {
      const item = this.readItem()
      if (item === undefined) return undefined
      const whole = this.place(item)
      if (whole !== undefined) return whole
    }
  }

  /** Put an item into the innermost open array. @returns the reply, when it is whole with that */
  private place(item: Value | Frame): Value | undefined {
    const { frames } = this
    let value: Value
    if (isFrame(item)) {
      frames.push(item)
      if (item.count > 0) return undefined
      value = (frames.pop() as Frame).items
    } else value = item
    for (let open = frames.at(-1); open !== undefined; open = frames.at(-1)) {
      open.items.push(value)
      if (open.items.length < open.count) return undefined
      value = (frames.pop() as Frame).items
    }
    return value
  }

  private join(): boolean {
    if (this.heldBytes < this.needed) return false
    if (this.waitingBytes > 0) {
      this.text = this.text.slice(this.position) + this.waiting.join('')
      this.position = 0
      this.waiting.length = 0
      this.waitingBytes = 0
    }
    return true
  }

  private readItem(): Value | Frame | undefined {
    if (!this.join()) return undefined
    const end = this.text.indexOf('\r\n', this.position)
    if (end < 0) {
      this.needed = this.text.length - this.position + 1
      return undefined
    }
    const type = this.text.charAt(this.position)
    const line = this.text.slice(this.position + 1, end)
    if (type === '$' && line !== '-1') return this.readBulk(end + 2, Number(line))
    this.advance(end + 2)
    if (type === '+') return { simple: line }
    if (type === '-') return { error: line }
    if (type === ':') return line.length > 15 ? { int64: line } : Number(line)
    if (type === '*' && line !== '-1') return { items: [], count: Number(line) }
    assert(line === '-1' && (type === '$' || type === '*'), `a reply begins with ${type}`)
    return null
  }

  private readBulk(start: number, length: number): Bin | undefined {
    const stop = start + length
    if (this.text.length < stop + 2) {
      this.needed = stop + 2 - this.position
      return undefined
    }
    const bulk = this.text.slice(start, stop)
    this.advance(stop + 2)
    return bulk
  }

  private advance(to: number): void {
    this.position = to
    this.needed = 1
  }
}

function isFrame(item: Value | Frame): item is Frame {
  return typeof item === 'object' && item !== null && 'items' in item
}
