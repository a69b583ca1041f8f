/** Property: followers converge. The real loop of core/cdc follows the log of a shard that dies and trims its log,
 *  through a network that loses, and dies itself at any await: in a delivery, before and after the bookmark is saved.
 *
 *  What is delivered comes in order and without a gap, and again only after a failure; a follower whose history is gone
 *  is told `out_of_range`, and only then. In the end the copy that was made is the shard's state. */
import { type Batch, type Bookmark, follow, type Source } from '../../core/cdc/follow.ts'
import { Failure, fromWire } from '../../core/errors.ts'
import type { Call, Position } from '../../core/shard/program.ts'
import type { ShardClient } from '../../core/shard/router.ts'
import { type ChangeRecord, type ChangesReply, type ShardStatus, SYSTEM } from '../../core/shard/system.ts'
import { makeFault, tinyLimits } from './faults.ts'
import { healthy, Machine, Network } from './machine.ts'
import { type RunReply, type Seen, SIM, type Step, simProgram, simWork } from './program.ts'
import { makeArgs, slots } from './workload.ts'
import { check, Life, type World } from './world.ts'

const scans = (['lists', 'books'] as const).map((table): Step => ({ do: 'scan', table, slots: [0, 16_383] }))
const collections = ['lists', 'books'] as const

/** What outlives a follower's process: the copy and the bookmark. */
interface Disk {
  /** Items by `table/slot/name`. */
  copy: Map<string, string>
  /** The newest change that the copy has. */
  seq: number
  bookmark: Position | undefined
}

/** One follower, through all its lives. */
class Follower {
  readonly disk: Disk = { copy: new Map(), seq: 0, bookmark: undefined }
  private readonly world: World
  private readonly name: string
  private readonly client: ShardClient
  private readonly floor: () => Promise<number>
  private life: Life

  constructor(world: World, name: string, ways: { client: ShardClient; floor(): Promise<number> }) {
    this.world = world
    this.name = name
    this.client = ways.client
    this.floor = ways.floor
    this.life = new Life(world)
  }

  /** Die, if it lives, and live again. */
  restart(): void {
    this.world.trace(this.name, () => `starts at ${this.disk.bookmark?.seq}`)
    this.life.alive = false
    const life = new Life(this.world)
    this.life = life
    const { random } = this.world
    const options = { clock: life.clock(), batchMax: random.between(1, 12), waitMs: random.between(5, 80) }
    const following = follow(this.source(life), this.bookmark(life), (batch) => this.deliver(life, batch), options)
    following.catch((error) => {
      if (life.alive) this.recover(life, error).catch((error) => this.world.fail(error))
    })
  }

  private source(life: Life): Source {
    const { client } = this
    return {
      read: async (after, limit) => {
        const call: Call = { program: SYSTEM, name: 'changes', slot: -1, epoch: 1, args: { after, limit } }
        const reply = fromWire((await life.bind(client.submit([call])))[0])
        if (reply instanceof Failure) throw reply
        return reply as ChangesReply
      },
      wait: (after, waitMs) => life.bind(client.awaitChange(after.seq, waitMs)),
    }
  }

  private bookmark(life: Life): Bookmark {
    return {
      load: async () => {
        await this.pause(life)
        return this.disk.bookmark
      },
      save: async (position) => {
        await this.pause(life)
        check(position.seq <= this.disk.seq, () => `${this.name} saves ${position.seq}, and has ${this.disk.seq}`)
        this.disk.bookmark = position
        await this.pause(life)
      },
    }
  }

  /** An await at which the process may die. */
  private pause(life: Life): Promise<void> {
    return life.bind(this.world.sleep(this.world.random.unit() * 3))
  }

  private async deliver(life: Life, { changes, next }: Batch): Promise<void> {
    const { disk, world } = this
    const [first] = changes
    const told = () => `${changes.map(({ seq }) => seq).join()} to ${next.seq}; ${this.name} has ${disk.seq}`
    check(first !== undefined, () => 'an empty batch is delivered')
    // In order and without a gap from the bookmark on, and so at least once.
    check(first.seq === (disk.bookmark?.seq ?? 0) + 1, () => `not after the bookmark: ${told()}`)
    check(changes.at(-1)?.seq === next.seq, () => `a batch does not end at its place: ${told()}`)
    for (const [i, change] of changes.entries()) {
      check(change.seq === first.seq + i && change.seq <= disk.seq + 1, () => `a gap: ${told()}`)
      apply(disk, change)
      if (world.random.chance(0.3)) await this.pause(life)
      if (world.random.chance(0.03)) throw new Failure('unavailable', 'planned: the sink does not answer')
    }
  }

  /** The history is gone: take a copy of the state, and go on from there. */
  private async recover(life: Life, error: unknown): Promise<void> {
    if (!(error instanceof Failure && error.code === 'out_of_range')) throw error
    const at = this.disk.bookmark?.seq ?? 0
    const floor = await this.floor()
    check(at < floor, () => `${this.name} at ${at} is told out_of_range by a log that begins after ${floor}`)
    const [status, reply] = await this.world.retry(async () => {
      const state = (await life.bind(this.client.submit(stateCalls))).map(fromWire)
      // The shard may have been stopped while the scan waited for cold rows.
      for (const one of state) if (one instanceof Failure) throw one
      return state as [ShardStatus, RunReply]
    })
    this.world.trace(this.name, () => `begins anew at ${reply.at}`)
    this.disk.copy = toCopy(reply.seen)
    this.disk.seq = reply.at
    // The scan may have run later, if rows were cold.
    this.disk.bookmark = { ...status.position, seq: reply.at }
    if (life.alive) this.restart()
  }
}

/** Put a change into the copy; a second time changes nothing that is newer. */
function apply(disk: Disk, { seq, collection, op, slot, documentId, after }: ChangeRecord): void {
  if (seq <= disk.seq) return
  disk.seq = seq
  if (op === 'put' && collection !== 'marks') disk.copy.set(`${collection}/${documentId}`, String(after?.items))
  if (op === 'delete') disk.copy.delete(`${collection}/${documentId}`)
  if (op !== 'truncate') return
  for (const key of [...disk.copy.keys()]) if (key.startsWith(`${collection}/${slot}/`)) disk.copy.delete(key)
}

/** Calls that read whose log it is and the whole state. */
const stateCalls: Call[] = [
  { program: SYSTEM, name: 'status', slot: -1, epoch: 1, args: null },
  { program: SIM, name: 'run', slot: 3, epoch: 1, args: { id: '', steps: scans, sql: true } },
]

function toCopy(seen: readonly Seen[]): Map<string, string> {
  const copy = new Map<string, string>()
  for (const [i, rows] of seen.entries()) {
    for (const [slot, name, items] of rows as [number, string, string][]) {
      copy.set(`${collections[i]}/${slot}/${name}`, items)
    }
  }
  return copy
}

/** One run of the property. */
class Run {
  readonly machine: Machine
  private readonly world: World
  private readonly network: Network
  private readonly followers: Follower[]
  private ids = 0
  private busy = true

  constructor(world: World) {
    const { random, disks } = world
    this.world = world
    this.machine = new Machine(world, {
      name: 'shard',
      programs: [simProgram],
      limits: tinyLimits(random),
      disks,
      work: simWork,
    })
    this.network = new Network(world, healthy)
    // Ask the machine itself: a follower's own network may be down.
    const floor = async () => ((await this.ask('status', null)) as ShardStatus).floor
    this.followers = Array.from({ length: random.between(1, 2) }, (_, i) => {
      return new Follower(world, `follower-${i}`, { client: this.network.client(`follower-${i}`, this.machine), floor })
    })
  }

  /** Ask the shard, again and again until it answers. */
  private async ask(name: string, args: unknown): Promise<unknown> {
    const client = this.network.client('operator', this.machine)
    const calls: Call[] = [{ program: SYSTEM, name, slot: -1, epoch: 1, args }]
    return this.world.retry(async () => {
      const reply = fromWire((await client.submit(calls))[0])
      if (reply instanceof Failure) throw reply
      return reply
    })
  }

  async main(): Promise<void> {
    const { random } = this.world
    await this.ask('assign', { epoch: 1, slots: [[0, 16_383]] })
    for (const collection of collections) await this.ask('capture', { collection, level: 'after' })
    if (random.chance(0.7)) this.network.faults = { ...healthy, lose: random.unit() * 0.1, slow: random.unit() * 0.1 }
    const { position } = (await this.ask('status', null)) as ShardStatus
    for (const follower of this.followers) {
      // From the very first change on: `start` would be the oldest that is kept.
      follower.disk.bookmark = position
      follower.restart()
    }
    const nemesis = this.nemesis()
    await this.write()
    this.busy = false
    await nemesis
    await this.verify()
  }

  private async write(): Promise<void> {
    const { random } = this.world
    const client = this.network.client('writer', this.machine)
    for (let round = random.between(3, 14); round > 0; round--) {
      const calls = Array.from({ length: random.between(1, 4) }, (): Call => {
        const args = makeArgs(random, () => `x${++this.ids}`)
        return { program: SIM, name: 'run', slot: random.pick(slots), epoch: 1, args }
      })
      // What became of it shows in the log: that is what followers see.
      await client.submit(calls).catch(() => undefined)
      await this.world.sleep(random.unit() * 20)
    }
  }

  private async nemesis(): Promise<void> {
    const { machine, world } = this
    const { random } = world
    const known = (['crash', 'strike', 'follower'] as const).filter(() => random.chance(0.7))
    const pauseMs = random.pick([10, 40, 120])
    while (this.busy) {
      await world.sleep(random.unit() * pauseMs)
      if (known.length === 0) continue
      const kind = random.pick(known)
      if (kind === 'crash') machine.crash()
      else if (kind === 'strike') machine.strike(makeFault(random))
      else random.pick(this.followers).restart()
      await world.sleep(random.unit() * 10)
      machine.start()
    }
  }

  private async verify(): Promise<void> {
    const { machine, network, world } = this
    network.faults = healthy
    machine.strike(undefined)
    machine.start()
    await world.sleep(2_000)
    machine.start()
    const client = network.client('verifier', machine)
    const [status, reply] = (await client.submit(stateCalls)).map(fromWire) as [ShardStatus, RunReply]
    const { seq } = status.position
    const expected = JSON.stringify([...toCopy(reply.seen)].sort())
    for (const [i, { disk }] of this.followers.entries()) {
      // Two minutes: deliveries still fail now and then, and are tried again later and later.
      for (let tries = 0; disk.bookmark?.seq !== seq && tries < 600; tries++) await world.sleep(200)
      check(disk.bookmark?.seq === seq, () => `follower-${i} stays at ${disk.bookmark?.seq}; the log ends at ${seq}`)
      const copy = JSON.stringify([...disk.copy].sort())
      check(copy === expected, () => `follower-${i} has ${copy}; the shard has ${expected}`)
    }
  }
}

/** Run the property once. */
export async function follower(world: World): Promise<void> {
  const run = new Run(world)
  try {
    await world.run(() => run.main())
  } finally {
    run.machine.dispose()
  }
}
