/** Writes and reads documents, and knows at the end of each call what became of it. */
import { Failure } from '../../core/errors.ts'
import type { Database, Fabric } from '../../core/shard/fabric.ts'
import type { ShardMap, SlotMove, SlotRange } from '../../core/shard/map.ts'
import type { LakeModel } from './lake-model.ts'
import { type Collection, collections, DOCS, type DocArgs, type Peeked } from './lake-program.ts'
import { check, type World } from './world.ts'

const slots = [10, 11, 9_000, 16_000]
const names = ['a', 'b', 'c', 'd']

/** What a writer works with. */
export interface WriterOptions {
  readonly world: World
  /** Sees at once when a machine is down: what it asked for is then done, or never will be. */
  readonly fabric: Fabric
  readonly db: Database
  readonly model: LakeModel
}

interface Write {
  readonly name: 'put' | 'mark' | 'remove' | 'clear'
  readonly slot: number
  readonly args: DocArgs
}

/** One writer: it does one thing after the other. */
export class LakeWriter {
  private readonly options: WriterOptions
  private stamps = 0

  constructor(options: WriterOptions) {
    this.options = options
  }

  /** Write some documents, sent together. */
  async write(count: number): Promise<void> {
    const { db, world } = this.options
    const writes = this.makeWrites(count)
    const plan = db.plan()
    const pendings = writes.map(({ name, slot, args }) => plan.one(slot, { program: DOCS, name, args }))
    world.trace('writer', () =>
      writes.map(({ name, args }) => `${name} ${args.table} ${args.id} ${args.stamp}`).join('; '),
    )
    const shards = writes.map(({ slot }) => db.map.shardOf(slot))
    await plan.run()
    for (const [at, one] of writes.entries()) {
      const reply = pendings[at]?.reply
      const isDone = reply instanceof Failure ? await this.wasDone(one, reply) : reply === true
      this.keep(one, shards[at] as number, isDone)
    }
  }

  /** Make writes of different documents; one that clears a slot goes alone. */
  private makeWrites(count: number): Write[] {
    const { random } = this.options.world
    const writes = new Map<string, Write>()
    for (let i = 0; i < count; i++) {
      const [slot, table] = [random.pick(slots), random.pick(collections)]
      const id = `${slot}/${random.pick(names)}`
      const dice = random.below(20)
      const stamp = ++this.stamps
      const args = { table, id, stamp, body: `${id} ${'x'.repeat(random.below(20))}${stamp}` }
      if (dice === 0 && this.idsOf(slot, table).length > 0) return [{ name: 'clear', slot, args }]
      const name = dice < 12 ? 'put' : dice < 16 ? 'mark' : 'remove'
      writes.set(`${table} ${id}`, { name, slot, args })
    }
    return [...writes.values()]
  }

  private async wasDone({ name, slot, args }: Write, failure: Failure): Promise<boolean> {
    const isExpected = ['unavailable', 'storage'].includes(failure.code)
    check(isExpected, () => `${name} ${args.id} met ${failure.code}: ${failure.message}`)
    if (failure.code === 'storage') return false
    if (name === 'clear')
      return (await this.peek(slot, { ...args, id: this.idsOf(slot, args.table)[0] as string })) === null
    const now = await this.peek(slot, args)
    if (name === 'remove') return now === null && this.options.model.find(args.table, args.id) !== undefined
    return now?.stamp === args.stamp
  }

  private idsOf(slot: number, table: Collection): string[] {
    return [...this.options.model.of(table).keys()].filter((id) => id.startsWith(`${slot}/`))
  }

  private peek(slot: number, args: DocArgs): Promise<Peeked | null> {
    const { world, db } = this.options
    return world.retry(
      async () => (await db.router.call({ program: DOCS, name: 'peek', args }, { slot })) as Peeked | null,
    )
  }

  private keep({ name, slot, args }: Write, shard: number, isDone: boolean): void {
    const { model } = this.options
    const { table, id, stamp = 0, body = '' } = args
    if (!isDone) return
    if (name === 'clear') model.clear(shard, table, slot)
    else if (name === 'remove') model.remove(shard, table, id)
    else model.put(shard, table, id, { stamp, body: name === 'put' ? body : (model.find(table, id)?.body ?? '') })
  }

  /** Read some documents whole. */
  async read({ all = false, isPatient = false } = {}): Promise<void> {
    const { world, db, model } = this.options
    const { random } = world
    const tables = all ? collections : [random.pick(collections)]
    for (const table of tables) {
      for (const slot of slots) {
        for (const name of names) {
          const id = `${slot}/${name}`
          if (!all && random.chance(0.7)) continue
          const ask = () => db.router.call({ program: DOCS, name: 'get', args: { table, id } }, { slot })
          const body = isPatient ? await ask() : await ask().catch(refuseOthers)
          const wanted = model.find(table, id)?.body ?? null
          check(body === undefined || body === wanted, () => `${table} ${id} reads ${body}, not ${wanted}`)
        }
      }
    }
  }

  /** Move a slot to the other shard, whatever it takes. */
  async move(): Promise<void> {
    const { world, fabric, db } = this.options
    const slot = world.random.pick(slots)
    world.trace('writer', () => `moves slot ${slot}`)
    const plan = (map: ShardMap): { moves: SlotMove[]; map: ShardMap } => {
      const [from, to] = [map.shardOf(slot), 1 - map.shardOf(slot)]
      const range: SlotRange = [slot, slot]
      return { moves: [{ from, to, slots: [range] }], map: map.reassign([[slot, slot, to]], map.count) }
    }
    let hasBegun = false
    await world.retry(async () => {
      if (await fabric.resumeMove(db.name)) return
      if (!hasBegun) {
        hasBegun = true
        await fabric.move(db.name, plan)
      }
    })
    await world.retry(async () => void (await fabric.resumeMove(db.name)))
  }
}

/** Payloads may be out of reach for a while. */
function refuseOthers(error: unknown): undefined {
  if (error instanceof Failure && ['unavailable', 'storage', 'conflict'].includes(error.code)) return undefined
  throw error
}
