/** Property: routing while slots move. Clients with stale maps write, read and scatter; a mover gives slots to other
 *  shards, dies and is replaced, sometimes while the one before still runs; shards and the catalog die, their disks
 *  fail, and the network loses.
 *
 *  No acknowledged write is lost or doubled. A read sees what was acknowledged before it was sent, so no client's reads
 *  go back. A scatter that succeeds sees every key once. Every move comes to its end, and every slot then has one
 *  owner. */
import { Failure } from '../../core/errors.ts'
import { catalogProgram } from '../../core/shard/catalog.ts'
import { CATALOG_DATABASE, Fabric } from '../../core/shard/fabric.ts'
import type { ShardMap, SlotMove, SlotRange } from '../../core/shard/map.ts'
import type { Pending, ShardClient } from '../../core/shard/router.ts'
import { type ShardStatus, SYSTEM } from '../../core/shard/system.ts'
import { makeFault, tinyLimits } from './faults.ts'
import { healthy, Machine, Network } from './machine.ts'
import { type RunArgs, type RunReply, SIM, type Step, simProgram, simWork } from './program.ts'
import { SlotHistory } from './slot-history.ts'
import { check, Life, type World } from './world.ts'

const database = 'db'
const shards = 3
/** The shards that the database begins with; the last one joins when something is moved to it. */
const firstShards = 2
const allSlots = [10, 11_000, 11, 6_000, 16_000]
const names = ['a', 'b']

type Item = readonly [slot: number, list: string, item: string]

/** One run of the property. */
class Run {
  readonly world: World
  readonly machines: Machine[]
  private readonly catalog: Machine
  private readonly network: Network
  private readonly slots: readonly number[]
  private readonly histories: ReadonlyMap<number, SlotHistory>
  private readonly copyRowsMax: number
  /** How many of the calls are scatters. */
  private readonly scattering: number
  private ids = 0
  private busy = true

  constructor(world: World) {
    const { random } = world
    this.world = world
    const { disks } = world
    const machine = (name: string) =>
      new Machine(world, { name, programs: [simProgram], limits: tinyLimits(random), disks, work: simWork })
    this.catalog = new Machine(world, {
      name: 'catalog',
      programs: [catalogProgram],
      limits: tinyLimits(random),
      disks,
    })
    this.machines = Array.from({ length: shards }, (_, i) => machine(`shard-${i}`))
    this.network = new Network(world, healthy)
    this.copyRowsMax = random.between(1, 6)
    this.scattering = random.pick([0.1, 0.7])
    // Few slots come back to where they were before late messages have arrived there.
    this.slots = allSlots.slice(0, random.between(1, allSlots.length))
    this.histories = new Map(this.slots.map((slot) => [slot, new SlotHistory(slot)]))
  }

  /** Open a fabric, as a process of its own has it. */
  private fabric(who: string, life = new Life(this.world)): Fabric {
    const client = (name: string, index: number): ShardClient => {
      const machine = name === CATALOG_DATABASE ? this.catalog : (this.machines[index] as Machine)
      const inner = this.network.client(who, machine, { repeats: who.startsWith('mover') })
      return {
        submit: (calls) => life.bind(inner.submit(calls)),
        awaitChange: (afterSeq, waitMs) => life.bind(inner.awaitChange(afterSeq, waitMs)),
        job: (name, args) => life.bind(inner.job(name, args)),
      }
    }
    const { copyRowsMax } = this
    return new Fabric({ placement: { client }, clock: life.clock(), defaults: { count: firstShards }, copyRowsMax })
  }

  async main(): Promise<void> {
    const { random } = this.world
    await this.fabric('operator').database(database)
    const clients = Array.from({ length: random.between(1, 2) }, (_, i) => this.fabric(`client-${i}`))
    // Each has its map before anything moves.
    for (const client of clients) await client.database(database)
    if (random.chance(0.6))
      this.network.faults = { lose: random.unit() * 0.06, slow: random.unit() * 0.1, echo: random.unit() * 0.3 }
    const background = [this.operate(), this.nemesis()]
    await Promise.all(clients.map((client, i) => this.clientLoop(`client-${i}`, client)))
    this.busy = false
    await Promise.all(background)
    await this.verify(clients[0] as Fabric)
  }

  private async clientLoop(who: string, fabric: Fabric): Promise<void> {
    const { random } = this.world
    const { router } = await fabric.database(database)
    for (let round = random.between(2, 6); round > 0; round--) {
      const plan = router.plan()
      const settles: (() => void)[] = []
      for (let i = random.between(1, 3); i > 0; i--) {
        if (random.chance(this.scattering)) {
          const pendings = plan.all({ program: SIM, name: 'items', args: null })
          settles.push(this.expectItems(who, pendings))
        } else {
          const args = this.makeArgs(random.pick(this.slots))
          const pending = plan.one(args.slot, { program: SIM, name: 'run', args })
          settles.push(this.expectReply(who, args, pending))
        }
      }
      await plan.run()
      for (const settle of settles) settle()
      if (random.chance(0.5)) await this.world.sleep(random.unit() * 40)
    }
  }

  private makeArgs(slot: number): RunArgs & { slot: number } {
    const { random } = this.world
    const log = { table: 'lists', slot, name: 'log' } as const
    const at = () => ({ table: random.pick(['lists', 'books'] as const), slot, name: random.pick(names) })
    if (random.chance(0.3)) {
      const steps: Step[] = [
        { do: 'find', ...log },
        { do: 'find', ...at() },
        { do: 'find', ...at() },
      ]
      return { slot, id: '', steps, sql: false }
    }
    const steps: Step[] = [{ do: 'append', ...log }]
    for (let i = random.below(3); i > 0; i--) {
      const dice = random.below(10)
      if (dice < 6) steps.push({ do: 'append', ...at() })
      else if (dice < 8) steps.push({ do: 'remove', ...at() })
      else if (dice < 9) steps.push({ do: 'clear', table: 'books', slot }, { do: 'evict', ...at() })
      else steps.push({ do: 'fail', bug: false })
    }
    return { slot, id: `x${++this.ids}`, steps, sql: true }
  }

  /** Send a call; its reply is judged when the plan has run. */
  private expectReply(who: string, args: RunArgs & { slot: number }, pending: Pending): () => void {
    const history = this.histories.get(args.slot) as SlotHistory
    const one = history.send(args)
    this.world.trace(who, () => `sends ${args.id || 'read'} to ${args.slot} ${JSON.stringify(args.steps)}`)
    return () => {
      const { reply } = pending
      if (!(reply instanceof Failure)) return history.done(one, reply as RunReply)
      this.world.trace(who, () => `${args.id || 'read'} met ${reply.code} ${reply.message}`)
      const expected = ['unavailable', 'storage'].includes(reply.code) || reply.message.startsWith('planned')
      check(expected, () => `call ${args.id} met ${reply.code}: ${reply.message}`)
      history.failed(one, reply.code === 'unavailable')
    }
  }

  /** Scatter a read of everything; it is judged when the plan has run. */
  private expectItems(who: string, pendings: readonly Pending[]): () => void {
    const known = this.slots.map((slot) => (this.histories.get(slot) as SlotHistory).known)
    this.world.trace(who, () => 'scatters')
    return () => {
      if (pendings.some(({ reply }) => reply instanceof Failure)) return
      const replies = pendings.map(({ reply }) => reply as Item[])
      const items = replies.flat()
      const served = replies.flatMap((reply) => [...new Set(reply.map(([slot, list]) => `${slot}/${list}`))])
      check(new Set(served).size === served.length, () => `a scatter sees a key twice: ${served.join()}`)
      for (const [i, slot] of this.slots.entries()) {
        const log = items.filter(([at, list]) => at === slot && list === 'lists/log').map(([, , item]) => item)
        const history = this.histories.get(slot) as SlotHistory
        check(log.length >= (known[i] as number), () => `a scatter sees ${log.length} of ${known[i]} in slot ${slot}`)
        history.saw(log)
      }
    }
  }

  /** Move slots about, by movers that die. */
  private async operate(): Promise<void> {
    const { random } = this.world
    const pauseMs = random.pick([5, 60])
    let movers: Life[] = []
    for (let number = 0; this.busy; number++) {
      await this.world.sleep(random.unit() * pauseMs)
      // Mostly one, but two may be at work, as when one is given up for dead and lives.
      const starting = random.chance(0.2) ? 2 : 1
      const lives = Array.from({ length: starting }, () => new Life(this.world))
      movers.push(...lives)
      const moves = lives.map((life, i) => this.move(this.fabric(`mover-${number}-${i}`, life)))
      await Promise.race([Promise.all(moves), this.world.sleep(20 + random.unit() * 400)])
      if (random.chance(0.4)) continue
      for (const life of movers) life.alive = false
      movers = []
    }
  }

  private async move(fabric: Fabric): Promise<void> {
    const { world } = this
    try {
      if (await fabric.resumeMove(database)) return
      await fabric.move(database, (map) => this.planMove(map))
    } catch (error) {
      if (!(error instanceof Failure)) return world.fail(error)
      world.trace('mover', () => `${error.code} ${error.message}`)
      const expected = ['unavailable', 'storage', 'conflict'].includes(error.code)
      if (!expected) world.fail(error)
    }
  }

  private planMove(map: ShardMap): { moves: SlotMove[]; map: ShardMap } {
    const { random } = this.world
    const to = random.below(shards)
    const moved = this.slots.filter((slot) => map.shardOf(slot) !== to && random.chance(0.4))
    const first = this.slots.find((slot) => map.shardOf(slot) !== to)
    if (moved.length === 0 && first !== undefined) moved.push(first)
    const moves = [...new Set(moved.map((slot) => map.shardOf(slot)))].map((from) => ({
      from,
      to,
      slots: moved.filter((slot) => map.shardOf(slot) === from).map((slot): SlotRange => [slot, slot]),
    }))
    this.world.trace('mover', () => `plans epoch ${map.epoch + 1}: ${JSON.stringify(moves)}`)
    const count = Math.max(map.count, to + 1)
    return {
      moves,
      map: map.reassign(
        moved.map((slot) => [slot, slot, to] as const),
        count,
      ),
    }
  }

  private async nemesis(): Promise<void> {
    const { world } = this
    const { random } = world
    const known = (['crash', 'stop', 'strike'] as const).filter(() => random.chance(0.6))
    const pauseMs = random.pick([20, 80, 300])
    while (this.busy) {
      await world.sleep(random.unit() * pauseMs)
      if (known.length === 0) continue
      const machine = random.pick([...this.machines, this.catalog])
      const kind = random.pick(known)
      if (kind === 'crash') machine.crash()
      else if (kind === 'stop') machine.stop()
      else machine.strike(makeFault(random))
      await world.sleep(random.unit() * 20)
      for (const one of [...this.machines, this.catalog]) one.start()
    }
  }

  private async verify(stale: Fabric): Promise<void> {
    const { world, network } = this
    network.faults = healthy
    for (const machine of [...this.machines, this.catalog]) {
      machine.strike(undefined)
      machine.start()
    }
    // What is on its way arrives now, and movers that still live come to their end.
    await world.sleep(5_000)
    const fabric = this.fabric('verifier')
    await fabric.resumeMove(database)
    check(!(await fabric.resumeMove(database)), () => 'a move is finished, and is still under way')
    if (world.random.chance(0.5)) for (const machine of this.machines) machine.crash()
    for (const machine of this.machines) machine.start()
    for (const one of [fabric, stale]) await this.readAll(one)
    for (const history of this.histories.values()) history.verify()
    await this.countSlots(fabric)
  }

  private async readAll(fabric: Fabric): Promise<void> {
    const { router } = await fabric.database(database)
    const plan = router.plan()
    const settles = this.slots.map((slot) => {
      const finds = (['lists', 'books'] as const).flatMap((table) =>
        names.map((name): Step => ({ do: 'find', table, slot, name })),
      )
      const log: Step = { do: 'find', table: 'lists', slot, name: 'log' }
      const args = { slot, id: '', steps: [log, ...finds], sql: false }
      return { settle: this.expectReply('verifier', args, plan.one(slot, { program: SIM, name: 'run', args })) }
    })
    const pendings = plan.all({ program: SIM, name: 'items', args: null })
    const settleItems = this.expectItems('verifier', pendings)
    await plan.run()
    const failed = pendings.find(({ reply }) => reply instanceof Failure)?.reply as Failure | undefined
    check(failed === undefined, () => `a healthy database answers a scatter with ${failed?.code}: ${failed?.message}`)
    for (const { settle } of settles) settle()
    settleItems()
  }

  /** Every slot has one owner, and the map knows it. */
  private async countSlots(fabric: Fabric): Promise<void> {
    const { router, map } = await fabric.database(database)
    for (let shard = 0; shard < map.count; shard++) {
      const status = (await router.call({ program: SYSTEM, name: 'status', args: null }, { shard })) as ShardStatus
      const owned = map.slotsOf(shard).reduce((sum, [from, to]) => sum + to - from + 1, 0)
      check(status.slots === owned, () => `shard ${shard} serves ${status.slots} slots; the map gives it ${owned}`)
    }
  }

  dispose(): void {
    for (const machine of [...this.machines, this.catalog]) machine.dispose()
  }
}

/** Run the property once. */
export async function moving(world: World): Promise<void> {
  const run = new Run(world)
  try {
    await world.run(() => run.main())
  } finally {
    run.dispose()
  }
}
