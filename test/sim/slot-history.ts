/** What happened in one slot, as its clients know it. Every call that writes appends to the list `log` first: that list
 *  is the serial order of the slot, wherever the slot is served. */
import { Model } from './model.ts'
import type { RunArgs, RunReply } from './program.ts'
import { check } from './world.ts'

interface SlotCall {
  readonly args: RunArgs
  /** How much of the log had been seen by anybody when it was sent. */
  readonly known: number
  reply: RunReply | undefined
  outcome: 'done' | 'none' | 'unknown'
}

/** The calls of one slot, and what they saw. */
export class SlotHistory {
  /** How much of the log anybody has seen. */
  known = 0
  private readonly slot: number
  private readonly calls: SlotCall[] = []
  private readonly views: (readonly string[])[] = []

  constructor(slot: number) {
    this.slot = slot
  }

  /** A call is sent. */
  send(args: RunArgs): SlotCall {
    const call: SlotCall = { args, known: this.known, reply: undefined, outcome: 'unknown' }
    this.calls.push(call)
    return call
  }

  /** A call was answered.
   *  @throws Violation when it saw less than had been seen when it was sent */
  done(call: SlotCall, reply: RunReply): void {
    call.reply = reply
    call.outcome = 'done'
    const log = logOf(reply)
    const what = call.args.id || 'a read'
    check(log.length >= call.known, () => `${what} sees ${log.length} calls of slot ${this.slot}, not ${call.known}`)
    this.saw(log)
  }

  /** A call failed; when `unknown`, it may have happened. */
  failed(call: SlotCall, unknown: boolean): void {
    if (!unknown) call.outcome = 'none'
  }

  /** The log was seen. */
  saw(log: readonly string[]): void {
    this.views.push(log)
    this.known = Math.max(this.known, log.length)
  }

  /** Hold everything that was seen against one order of calls.
   *  @throws Violation */
  verify(): void {
    const longest = this.views.reduce((a, b) => (b.length > a.length ? b : a), [])
    const told = longest.join(' ')
    check(new Set(longest).size === longest.length, () => `slot ${this.slot}: a call happened twice: ${told}`)
    for (const view of this.views) {
      const prefix = view.every((id, i) => longest[i] === id)
      check(prefix, () => `slot ${this.slot}: somebody saw ${view.join(' ')}, others ${told}`)
    }
    const byId = new Map(this.calls.filter(({ args }) => args.id !== '').map((call) => [call.args.id, call]))
    for (const id of longest) {
      const outcome = byId.get(id)?.outcome
      check(outcome !== undefined && outcome !== 'none', () => `slot ${this.slot}: call ${id} failed, and happened`)
    }
    for (const { args, outcome } of byId.values()) {
      const there = outcome !== 'done' || longest.includes(args.id)
      check(there, () => `slot ${this.slot}: call ${args.id} was acknowledged, and is not in ${told}`)
    }
    this.replay(longest, byId)
  }

  private replay(order: readonly string[], byId: ReadonlyMap<string, SlotCall>): void {
    const model = new Model()
    const reads = this.calls.filter(({ args, outcome }) => args.id === '' && outcome === 'done')
    const compare = ({ args, reply }: SlotCall) => {
      const expected = JSON.stringify(model.run(this.slot, args.id, args.steps))
      const told = JSON.stringify(reply?.seen)
      const what = `${args.id || 'a read'} ${JSON.stringify(args.steps)}`
      check(reply === undefined || told === expected, () => `slot ${this.slot}: ${what} saw ${told}, not ${expected}`)
    }
    const readAt = (length: number) => {
      for (const read of reads) if (logOf(read.reply as RunReply).length === length) compare(read)
    }
    readAt(0)
    for (const [i, id] of order.entries()) {
      compare(byId.get(id) as SlotCall)
      readAt(i + 1)
    }
  }
}

/** The log as a call saw it: its first step is about it. */
function logOf({ seen }: RunReply): string[] {
  const [log] = seen
  return typeof log === 'string' ? log.split(' ') : []
}
