/** What the program's calls mean, without shards: plain maps, and the changes they make. */
import type { Call } from '../../core/shard/program.ts'
import type { ListTable, Mark, RunArgs, RunReply, Seen, Step } from './program.ts'
import { check } from './world.ts'

/** A change as the model expects it in the log. */
export interface ModelChange {
  readonly collection: string
  readonly op: 'put' | 'delete' | 'truncate'
  readonly slot: number
  readonly documentId: string
  /** The row's items after it and before it, where there was a row. */
  readonly after?: string | undefined
  readonly before?: string | undefined
}

interface Undo {
  readonly changes: number
  readonly lists: Map<string, string>
}

/** The state of one shard. */
export class Model {
  /** Items by `table/slot/name`. */
  lists = new Map<string, string>()
  readonly changes: ModelChange[] = []

  /** The newest change's number. */
  get seq(): number {
    return this.changes.length
  }

  /** Run a call that succeeded.
   *  @returns what its steps see */
  run(slot: number, id: string, steps: readonly Step[]): Seen[] {
    if (id !== '') this.changes.push({ collection: 'marks', op: 'put', slot, documentId: `${slot}/${id}` })
    return steps.flatMap((step) => this.step(id, step))
  }

  private step(id: string, step: Step): Seen[] {
    switch (step.do) {
      case 'append': {
        const key = keyOf(step)
        const found = this.lists.get(key)
        const items = found === undefined ? id : `${found} ${id}`
        this.lists.set(key, items)
        this.changes.push({ ...change('put', step), after: items, before: found })
        return [items]
      }
      case 'remove': {
        const before = this.lists.get(keyOf(step))
        if (before === undefined) return [false]
        this.lists.delete(keyOf(step))
        this.changes.push({ ...change('delete', step), before })
        return [true]
      }
      case 'clear':
        for (const key of [...this.lists.keys()]) {
          if (key.startsWith(`${step.table}/${step.slot}/`)) this.lists.delete(key)
        }
        this.changes.push({ collection: step.table, op: 'truncate', slot: step.slot, documentId: '' })
        return []
      case 'evict':
        // Nobody can tell where a row's items are kept.
        return []
      case 'find':
        return [this.lists.get(keyOf(step)) ?? null]
      case 'scan':
        return [this.scan(step.table, step.slots)]
      case 'attempt': {
        const undo: Undo = { changes: this.changes.length, lists: new Map(this.lists) }
        const seen = step.steps.flatMap((one) => this.step(id, one))
        if (!step.fails) return seen
        this.lists = undo.lists
        this.changes.length = undo.changes
        return []
      }
      case 'fail':
        throw new Error('the model runs calls that succeeded')
    }
  }

  private scan(table: ListTable, [from, to]: readonly [number, number]): [number, string, string][] {
    const rows: [number, string, string][] = []
    for (const [key, items] of this.lists) {
      const [of, slot, name] = key.split('/') as [string, string, string]
      if (of === table && Number(slot) >= from && Number(slot) <= to) rows.push([Number(slot), name, items])
    }
    return rows.sort((a, b) => a[0] - b[0] || (a[1] < b[1] ? -1 : 1))
  }
}

const keyOf = ({ table, slot, name }: { table: string; slot: number; name: string }) => `${table}/${slot}/${name}`
const change = (op: 'put' | 'delete', { table, slot, name }: { table: string; slot: number; name: string }) => ({
  collection: table,
  op,
  slot,
  documentId: `${slot}/${name}`,
})

/** A call as a client remembers it. */
export interface Sent {
  readonly call: Call
  readonly args: RunArgs
  /** The largest `end` that anybody had been told of when the call was sent. */
  readonly after: number
  /** The reply, or undefined when it failed. */
  reply: RunReply | undefined
  /** `none`: it left nothing. `unknown`: it did all or nothing. */
  outcome: 'done' | 'none' | 'unknown'
}

/** Replay a shard's history, and hold every reply against it.
 *  @returns the state that the shard must have
 *  @throws Violation */
export function replay(marks: readonly Mark[], sent: readonly Sent[]): Model {
  const model = new Model()
  const byId = new Map(sent.filter(({ args }) => args.id !== '').map((one) => [one.args.id, one]))
  const reads = sent
    .filter(({ args, outcome }) => args.id === '' && outcome === 'done')
    .sort((a, b) => (a.reply as RunReply).at - (b.reply as RunReply).at)
  let read = 0
  const readAll = () => {
    for (; (reads[read]?.reply?.at ?? Number.POSITIVE_INFINITY) <= model.seq; read++) {
      checkReply(model, reads[read] as Sent)
    }
  }
  for (const mark of [...marks].sort((a, b) => a.at - b.at)) {
    readAll()
    check(mark.at === model.seq, () => `call ${mark.id} began at seq ${mark.at}; the history stands at ${model.seq}`)
    const one = byId.get(mark.id)
    check(one !== undefined, () => `nobody sent call ${mark.id}`)
    check(one.outcome !== 'none', () => `call ${mark.id} failed, and left its effects`)
    byId.delete(mark.id)
    if (one.reply === undefined) model.run(mark.slot, mark.id, mark.steps)
    else checkReply(model, one)
  }
  readAll()
  for (const { args, outcome } of byId.values()) {
    check(outcome !== 'done', () => `call ${args.id} was acknowledged, and is lost`)
  }
  check(read === reads.length, () => `a read was answered at seq ${reads[read]?.reply?.at}, past the end ${model.seq}`)
  return model
}

function checkReply(model: Model, { call, args, after, reply }: Sent): void {
  const { at, end, seen } = reply as RunReply
  const what = () => `${args.id || 'a read'} ${JSON.stringify(args.steps)}`
  check(at === model.seq, () => `${what()} was answered at seq ${at}, where no call begins`)
  check(at >= after, () => `${what()} was answered at seq ${at}; its client had seen ${after}`)
  const expected = model.run(call.slot, args.id, args.steps)
  const told = JSON.stringify(seen)
  check(told === JSON.stringify(expected), () => `${what()} at ${at} saw ${told}, not ${JSON.stringify(expected)}`)
  check(end === model.seq, () => `${what()} ended at seq ${end}, not ${model.seq}`)
}
