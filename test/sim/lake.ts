/** Property: the lake. Writers, the service that tiers (sometimes two at once), compaction, expiry and removal of
 *  orphans go on together; the object store fails, is slow and answers late, processes die at any of their requests,
 *  machines and their disks fail, a shard is restored from a backup, slots move.
 *
 *  1. Hot and cold together are what was written, whenever they can be read; and so is every payload that left.
 *  2. Every change stands in `changes` once, in order; positions go forward, and no receipt is committed twice.
 *  3. No file that a table names is missing.
 *  4. When faults have ended, all is committed, and the lake alone is what was written; when time has passed, what
 *     nobody names is gone. */
import { Failure } from '../../core/errors.ts'
import { catalogProgram } from '../../core/shard/catalog.ts'
import { CATALOG_DATABASE, type Database, Fabric } from '../../core/shard/fabric.ts'
import type { ShardWork } from '../../core/shard/job.ts'
import type { Call } from '../../core/shard/program.ts'
import type { ShardClient } from '../../core/shard/router.ts'
import { type ShardStatus, SYSTEM } from '../../core/shard/system.ts'
import { memoryObjects } from '../../core/tiering/objects/memory.ts'
import type { ObjectStore } from '../../core/tiering/objects/port.ts'
import { type FaultRates, faulty } from '../../core/tiering/objects/testing.ts'
import { tierJobs } from '../../core/tiering/tier/jobs.ts'
import { Lake } from '../../core/tiering/tier/lake.ts'
import type { LakeOptions } from '../../core/tiering/tier/lake-options.ts'
import { type PolicyOptions, TIER } from '../../core/tiering/tier/port.ts'
import { tierProgram } from '../../core/tiering/tier/program.ts'
import { makeFault, tinyLimits } from './faults.ts'
import { LakeModel } from './lake-model.ts'
import { type Doom, switched, toolsOf } from './lake-process.ts'
import { type Collection, collections, docsProgram } from './lake-program.ts'
import { LakeReader } from './lake-reader.ts'
import { LakeWriter } from './lake-writer.ts'
import { healthy, Machine, Network, type NetworkFaults } from './machine.ts'
import { check, Life, type World } from './world.ts'

const database = 'db'
const shards = 2
const dayMs = 86_400_000

/** What may happen in a run, chosen by chance. */
interface Plan {
  readonly tiered: readonly Collection[]
  readonly policy: PolicyOptions
  readonly rates: FaultRates
  readonly isPatient: boolean
  readonly slowMs: number
  readonly staleMs: number
  readonly network: NetworkFaults
  /** Processes die at one of so many requests; 0 for never. */
  readonly doomed: number
  readonly nemesis: readonly ('crash' | 'strike' | 'outage' | 'restore')[]
  /** How many commits meet a store that just then stops answering. */
  readonly outages: number
  readonly services: number
  readonly moves: boolean
  readonly pauseMs: number
  readonly rowsPerTurn: number
  readonly heldBytes: number
  readonly logBytes: number
  readonly lake: Partial<LakeOptions>
}

function makePlan({ random }: World): Plan {
  const isPatient = random.chance(0.7)
  // Who does not try again comes to nothing at a few failures.
  const faults = random.pick([0, 0.003, isPatient ? 0.03 : 0.008])
  const rates: FaultRates = {
    refused: faults,
    throttled: isPatient ? faults / 4 : 0,
    failed: faults,
    lost: faults,
    late: faults,
    hung: isPatient ? faults / 4 : 0,
    contended: faults,
  }
  const moves = random.chance(0.3)
  const nemesis = (['crash', 'strike', 'outage', ...(moves ? [] : (['restore'] as const))] as const).filter(() =>
    random.chance(0.4),
  )
  const leaving: PolicyOptions = random.pick([{}, { hotFor: '1ms' }, { hotFor: '50ms' }, { maxHotRows: 1 }])
  return {
    tiered: random.chance(0.2) ? collections : [random.pick(collections)],
    policy: { ...leaving, changes: random.chance(0.6), flushEvery: `${random.pick([1, 30])}ms` },
    rates,
    isPatient,
    slowMs: random.pick([0, 2, 20]),
    staleMs: random.chance(0.3) ? 200 : 0,
    network: random.chance(0.3) ? { lose: random.unit() * 0.01, slow: random.unit() * 0.03, echo: 0 } : healthy,
    doomed: random.pick([0, 40, 300]),
    nemesis,
    outages: random.pick([0, 0, 0.2]),
    services: random.pick([1, 2, 3]),
    moves,
    pauseMs: random.pick([10, 200, 1_500]),
    rowsPerTurn: random.pick([1, 2, 5, 1_000]),
    heldBytes: random.chance(0.15) ? random.between(100, 1_000) : 1_000_000,
    logBytes: random.pick([100, 300, 1_000_000]),
    lake: {
      pollMs: random.pick([30, 300]),
      commitEveryMs: random.pick([0, 300]),
      evictEveryMs: random.pick([0, 200]),
      compactEveryMs: random.pick([0, 100]),
      smallFilesMax: random.between(1, 3),
      cleanEveryMs: random.pick([50, dayMs]),
      commitsPerExpiry: random.pick([2, 20]),
      rewrite: { minFiles: 2 },
      tables: { snapshotAgeMs: nemesis.includes('restore') ? dayMs : random.pick([300, dayMs]), snapshotsMin: 1 },
    },
  }
}

/** One run of the property. */
class Run {
  readonly machines: Machine[]
  private readonly world: World
  private readonly plan: Plan
  private readonly memory: ObjectStore
  private readonly store: ObjectStore
  private readonly catalog: Machine
  private readonly network: Network
  private readonly model = new LakeModel(shards)
  private readonly reader: LakeReader
  private readonly services: Life[] = []
  private busy = true
  private isBackedUp = false
  private isHealthy = true
  /** The store answers nothing; what it is asked for may be done all the same. */
  private isOut = false

  constructor(world: World) {
    const { random, disks } = world
    this.world = world
    this.plan = makePlan(world)
    const clock = new Life(world).clock()
    this.memory = memoryObjects(clock)
    const { rates, slowMs, staleMs } = this.plan
    const failing = faulty(this.memory, { clock, unit: () => random.unit(), rates, slowMs, staleMs })
    const out = faulty(this.memory, { clock, unit: () => random.unit(), rates: { failed: 0.5, lost: 0.5 }, slowMs: 5 })
    this.store = switched((written) => {
      if (this.isHealthy) return this.memory
      // It hurts most when what decides a commit is written.
      if (written?.endsWith('.metadata.json') && random.chance(this.plan.outages)) void this.outage()
      return this.isOut ? out : failing
    })
    this.network = new Network(world, healthy)
    this.catalog = new Machine(world, {
      name: 'catalog',
      programs: [catalogProgram],
      limits: tinyLimits(random),
      disks,
    })
    this.machines = Array.from({ length: shards }, (_, index) => this.machine(index))
    const life = new Life(world)
    const doom: Doom = { requestsLeft: Number.POSITIVE_INFINITY, die: () => undefined }
    const tools = toolsOf(this.memory, { life, world, doom, isPatient: false })
    this.reader = new LakeReader({ world, tools, store: this.memory, database })
  }

  private machine(index: number): Machine {
    const { world, plan } = this
    const machine: Machine = new Machine(world, {
      name: `shard-${index}`,
      database,
      index,
      programs: [docsProgram, tierProgram()],
      limits: { ...tinyLimits(world.random), heldBytes: plan.heldBytes, logBytes: plan.logBytes },
      disks: world.disks,
      besides: (calls) => this.inSlices(calls),
      work: (life) => this.workOf(life, () => machine.crash()),
    })
    return machine
  }

  private workOf(life: Life, die: () => void): ShardWork {
    const { jobs, fetchCold } = tierJobs({ ...this.toolsOf(life, die), rowGroupRows: 4 })
    return { jobs, fetchCold: (shard, cold) => fetchCold(shard, cold) }
  }

  private toolsOf(life: Life, die: () => void) {
    const { world, plan } = this
    const { doomed, isPatient } = plan
    const requestsLeft = doomed > 0 ? world.random.below(doomed) : Number.POSITIVE_INFINITY
    const doom: Doom = { requestsLeft, die: () => this.isHealthy || die() }
    return toolsOf(this.store, { life, world, doom, isPatient })
  }

  /** Have long work done in many turns: tables here are small. */
  private inSlices(calls: readonly Call[]): Call[] {
    return calls.map((call) => {
      const { limit } = (call.args ?? {}) as { limit?: number }
      if (call.program !== TIER || limit === undefined || call.name === 'since' || call.name === 'dead') return call
      return { ...call, args: { ...(call.args as object), limit: Math.min(limit, this.plan.rowsPerTurn) } }
    })
  }

  /** Open a fabric, as a process of its own has it.
   *  @param isNear whether it sees at once that a machine is down, and loses nothing */
  private fabric(who: string, { life = new Life(this.world), isNear = false } = {}): Fabric {
    const client = (name: string, index: number): ShardClient => {
      const machine = name === CATALOG_DATABASE ? this.catalog : (this.machines[index] as Machine)
      const far = this.network.client(who, machine)
      const near = (calls: readonly Call[]) => machine.ask(structuredClone(calls) as Call[])
      return {
        submit: (calls) => life.bind(isNear ? near(calls) : far.submit(this.inSlices(calls))),
        awaitChange: (afterSeq, waitMs) => life.bind(far.awaitChange(afterSeq, waitMs)),
        job: (name, args) => life.bind(far.job(name, args)),
      }
    }
    return new Fabric({ placement: { client }, clock: life.clock(), defaults: { count: shards } })
  }

  /** Start a service. */
  private service(): { life: Life; lake: Lake } {
    const { world, plan } = this
    const life = new Life(world)
    this.services.push(life)
    const die = () => {
      world.trace('service', () => 'dies')
      life.alive = false
    }
    const who = `service-${this.services.length}`
    const lake = new Lake({
      ...this.toolsOf(life, die),
      fabric: this.fabric(who, { life }),
      ...plan.lake,
      listener: ({ kind, table, message }) => world.trace(who, () => `${kind} ${table}: ${message}`),
    })
    return { life, lake }
  }

  async main(): Promise<void> {
    const { world, plan } = this
    const { random } = world
    const fabric = this.fabric('writer', { isNear: true })
    const db = await fabric.database(database)
    const writer = new LakeWriter({ world, fabric, db, model: this.model })
    if (random.chance(0.5)) await writer.write(random.between(1, 5))
    await this.begin()
    const background = [this.nemesis(), ...Array.from({ length: plan.services }, () => this.serve())]
    for (let round = random.between(3, 10); round > 0; round--) {
      await writer.write(random.between(1, 4))
      await world.sleep(random.unit() * plan.pauseMs)
      if (plan.moves && random.chance(0.2)) await writer.move()
      if (plan.nemesis.includes('restore') && random.chance(0.3)) this.turnBack(db)
      await this.checkNow(db)
      if (random.chance(0.5)) await writer.read()
    }
    this.busy = false
    await Promise.all(background)
    await this.verify(db, writer)
  }

  /** Set policies while all is well, and from then on nothing is. */
  private async begin(): Promise<void> {
    const { life, lake } = this.service()
    for (const table of this.plan.tiered) await lake.setPolicy(database, table, this.plan.policy)
    await lake.flush(database)
    life.alive = false
    this.isHealthy = false
    this.network.faults = this.plan.network
  }

  /** Run services that live for a while. */
  private async serve(): Promise<void> {
    const { world, plan } = this
    const { random } = world
    while (this.busy) {
      const { life, lake } = this.service()
      if (random.chance(0.6)) lake.start()
      for (let acts = random.between(1, 6); acts > 0 && life.alive && this.busy; acts--) {
        await Promise.race([this.act(lake), world.sleep(random.pick([100, 1_000, 8_000]))])
        await world.sleep(random.unit() * plan.pauseMs)
      }
      if (random.chance(0.3)) await Promise.race([lake.stop(), world.sleep(100)])
      life.alive = false
    }
  }

  private async act(lake: Lake): Promise<void> {
    const { random } = this.world
    const [table] = this.plan.tiered as [Collection]
    const dice = random.below(10)
    try {
      if (dice < 5) await lake.flush(database)
      else if (dice < 7) await lake.compact(database, table)
      else if (dice < 9) await lake.maintain(database, table)
      else if (random.chance(0.5)) await lake.backfill(database, table)
      else await lake.runDue()
    } catch (error) {
      this.world.trace('service', () => `${dice} failed: ${error}`)
      // A table that nothing has been written to is not there.
      const expected = ['unavailable', 'storage', 'conflict', 'moved', 'not_found']
      const isExpected = error instanceof Failure && expected.includes(error.code)
      if (!isExpected) this.world.fail(error)
    }
  }

  private async nemesis(): Promise<void> {
    const { world, plan } = this
    const { random } = world
    const known = plan.nemesis.filter((kind) => kind !== 'restore')
    while (this.busy) {
      await world.sleep(random.unit() * plan.pauseMs * 2)
      const machine = random.pick([...this.machines, this.catalog])
      const kind = known.length === 0 ? undefined : random.pick(known)
      if (kind === 'crash') machine.crash()
      else if (kind === 'strike') machine.strike(makeFault(random))
      else if (kind === 'outage') await this.outage()
      await world.sleep(random.unit() * 20)
      this.startAll()
    }
  }

  private async outage(): Promise<void> {
    const { world } = this
    world.trace('store', () => 'is out')
    this.isOut = true
    await world.sleep(world.random.unit() * world.random.pick([50, 500, 5_000]))
    this.isOut = false
    world.trace('store', () => 'answers again')
  }

  private startAll(): void {
    for (const one of [...this.machines, this.catalog]) one.start()
  }

  /** Back a shard up, or make it what it was then. */
  private turnBack(db: Database): void {
    const { model, world } = this
    const machine = this.machines[0] as Machine
    if (world.random.chance(0.5) || !this.isBackedUp) {
      machine.backUp()
      model.backUp(0)
      this.isBackedUp = true
    } else {
      machine.restore()
      model.restore(0, (slot) => db.map.shardOf(slot) === 0)
      machine.start()
    }
  }

  private async checkNow(db: Database): Promise<void> {
    const { reader, model, plan, world } = this
    for (const table of plan.tiered) {
      const isRead = await reader.checkUnion(db, table, model)
      world.trace('reader', () => `${table}: ${isRead ? 'is right' : 'cannot be read now'}`)
      await reader.checkTable(table)
    }
    if (plan.policy.changes) await reader.checkTable('changes')
  }

  private async verify(db: Database, writer: LakeWriter): Promise<void> {
    const { world, network, plan, reader, model } = this
    network.faults = healthy
    this.isHealthy = true
    for (const life of this.services) life.alive = false
    for (const machine of [...this.machines, this.catalog]) machine.strike(undefined)
    this.startAll()
    // What is on its way arrives now.
    await world.sleep(5_000)
    this.startAll()
    const { life, lake } = this.service()
    for (let tries = 0; tries < 3; tries++) await lake.flush(database)
    const { tables } = await lake.status(database)
    for (const { table, shards } of tables) {
      for (const { shard, lagChanges, pending } of shards) {
        const told = () => `${table} of shard ${shard} lags ${lagChanges} changes, and waits for ${pending}`
        check(lagChanges === 0 && pending === undefined, told)
      }
    }
    for (const table of plan.tiered) {
      check(await reader.checkUnion(db, table, model), () => `${table} cannot be read, though all is well`)
      await reader.checkMirror(table, model)
    }
    for (const { table } of tables) await reader.checkTable(table, { strictly: true })
    if (plan.policy.changes === true && plan.heldBytes >= 1_000_000) await this.checkChanges(db)
    await writer.read({ all: true, isPatient: true })
    life.alive = false
    await this.checkFolders(tables.flatMap(({ table, committedMs }) => (committedMs === undefined ? [] : [table])))
  }

  private async checkChanges({ router }: Database): Promise<void> {
    const incarnations: string[] = []
    for (let shard = 0; shard < shards; shard++) {
      const status = (await router.call({ program: SYSTEM, name: 'status', args: null }, { shard })) as ShardStatus
      incarnations.push(status.position.incarnation)
    }
    await this.reader.checkChanges(this.model, { collections: this.plan.tiered, all: true, incarnations })
  }

  /** When time has passed, nothing is left that nobody names. */
  private async checkFolders(tables: readonly string[]): Promise<void> {
    await this.world.sleep(5 * dayMs)
    const { lake, life } = this.service()
    for (const table of tables) await lake.maintain(database, table)
    for (const table of tables) await this.reader.checkFolder(table)
    for (const table of this.plan.tiered) await this.reader.checkMirror(table, this.model)
    life.alive = false
  }

  dispose(): void {
    for (const machine of [...this.machines, this.catalog]) machine.dispose()
  }
}

/** Run the property once. */
export async function lake(world: World): Promise<void> {
  const run = new Run(world)
  try {
    await world.run(() => run.main())
  } finally {
    run.dispose()
  }
}
