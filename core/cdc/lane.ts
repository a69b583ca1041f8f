/** One shard's part of a feed: what was read ahead, and up to where it has been handed out.
 *  A lane is the delivery and the bookmark of its own follower. */
import type { Position } from '../shard/program.ts'
import type { ChangeRecord } from '../shard/system.ts'
import type { Batch } from './follow.ts'

/** Batches read ahead: one being handed out, one waiting behind it. */
const batchesMax = 2

/** Changes of one shard on their way to the consumer, oldest first. */
export class Lane {
  readonly index: number
  /** Everything up to here has been handed out, or left out by a filter. */
  position: Position
  /** The last seq to hand out. */
  readonly endSeq: number
  private queue: { changes: readonly ChangeRecord[]; next: Position }[] = []
  private at = 0
  private makeRoom = () => {}

  constructor(index: number, position: Position, endSeq = Number.POSITIVE_INFINITY) {
    this.index = index
    this.position = position
    this.endSeq = endSeq
  }

  /** The oldest change that is here and was not handed out. */
  get head(): ChangeRecord | undefined {
    return this.queue[0]?.changes[this.at]
  }

  /** Whether everything up to `endSeq` has been handed out. */
  get done(): boolean {
    return (this.head?.seq ?? this.position.seq + 1) > this.endSeq
  }

  /** Whether the next change is here and is of a later epoch. */
  isHeld(epoch: number): boolean {
    return (this.head?.epoch ?? 0) > epoch
  }

  /** Take the head away. */
  shift(): void {
    const [batch] = this.queue
    if (batch === undefined) return
    const { seq, epoch } = batch.changes[this.at++] as ChangeRecord
    if (this.at < batch.changes.length) {
      this.position = { incarnation: batch.next.incarnation, epoch, seq }
      return
    }
    this.position = batch.next
    this.queue.shift()
    this.at = 0
    this.makeRoom()
  }

  /** Take what the follower delivers; settles when there is room for more. */
  async push({ changes, next }: Batch): Promise<void> {
    this.queue.push({ changes, next })
    if (this.queue.length < batchesMax) return
    await new Promise<void>((resolve) => {
      this.makeRoom = resolve
    })
  }

  /** Take the follower's new place: that of the last batch, or past changes that were left out. */
  save(position: Position): void {
    const last = this.queue.at(-1)
    if (last === undefined) this.position = position
    else last.next = position
  }

  /** Drop what is here and let the follower go. */
  close(): void {
    this.queue = []
    this.makeRoom()
  }
}
