/** Machines that hold one shard each, and the network between them and everybody else.
 *
 *  1. A machine has a disk, and a process that may die at any event and inside any commit; a new one then opens the
 *     disk.
 *  2. The network loses, delays and reorders requests and replies; who waits too long gets `unavailable`, and the
 *     request may still arrive. Requests of those who ask again until they are answered (`repeats`) may arrive twice.
 *  3. What crosses it is copied, and failures cross as plain data. */
import { Failure, toWire } from '../../core/errors.ts'
import type { ColdRow } from '../../core/shard/cold.ts'
import { type JobShard, runJob, type ShardWork } from '../../core/shard/job.ts'
import type { Call, Program } from '../../core/shard/program.ts'
import type { ShardClient } from '../../core/shard/router.ts'
import { Shard, type ShardLimits } from '../../core/shard/shard.ts'
import { type Database, type DiskPool, type Fault, makeDatabase } from './disk.ts'
import { Life, Violation, type World } from './world.ts'

/** What runs on a machine. */
export interface MachineOptions {
  readonly name: string
  /** Which shard it has; the first of a database of the machine's name when left out. */
  readonly database?: string
  readonly index?: number
  readonly programs: readonly Program[]
  readonly limits: Partial<ShardLimits>
  /** Where its disk comes from and goes to, its tables made already; an empty file when left out. */
  readonly disks?: DiskPool | undefined
  /** Whether its disk is ever full. */
  readonly fills?: boolean
  /** What is done beside its shard; made anew for every process when it is a function. */
  readonly work?: ShardWork | ((life: Life) => ShardWork)
  /** Changes the calls of jobs on their way to the shard. */
  readonly besides?: (calls: readonly Call[]) => readonly Call[]
}

/** One machine. */
export class Machine {
  readonly name: string
  private readonly world: World
  private readonly options: MachineOptions
  private readonly database: Database
  private life: Life
  private shard: Shard | undefined
  private work: ShardWork = {}
  /** Told when the process ends. */
  private readonly watching = new Set<() => void>()

  constructor(world: World, options: MachineOptions) {
    this.world = world
    this.name = options.name
    this.options = options
    this.database = options.disks?.take(options.programs, options.fills === true) ?? makeDatabase()
    this.database.disk.die = () => this.crash()
    this.life = new Life(world)
    this.start()
  }

  /** Whether a process runs. */
  get running(): boolean {
    return this.shard !== undefined
  }

  /** Start a process, if none runs. */
  start(): void {
    if (this.shard !== undefined) return
    const life = new Life(this.world)
    this.life = life
    const { programs, limits, work = {} } = this.options
    this.work = typeof work === 'function' ? work(life) : work
    const onBug = (error: unknown) => {
      if (!life.alive || (error instanceof Error && error.message.startsWith('planned'))) return
      this.world.fail(error instanceof Error ? error : new Violation(`bug on ${this.name}: ${String(error)}`))
    }
    const { sql } = this.database
    const { fetchCold } = this.work
    const shard: Shard = new Shard({
      sql,
      clock: life.clock(),
      programs,
      limits,
      onBug,
      ...(fetchCold && {
        fetchCold: async (cold: readonly ColdRow[]) => {
          await life.bind(this.world.sleep(this.world.random.unit() * 10))
          await life.bind(fetchCold(this.beside(shard, life), cold))
        },
      }),
    })
    this.shard = shard
  }

  /** Kill the process: what it had not committed is gone, and so are its replies. */
  crash(): void {
    if (this.shard === undefined) return
    this.world.trace(this.name, () => 'crashes')
    this.life.alive = false
    this.shard = undefined
    this.tell()
  }

  private tell(): void {
    const watching = [...this.watching]
    this.watching.clear()
    for (const one of watching) one()
  }

  /** As `submit`, of somebody who sees at once when the process dies.
   *  @throws unavailable when it does, or none runs */
  ask(calls: readonly Call[]): Promise<unknown[]> {
    const gone = () => new Failure('unavailable', `${this.name} is down`)
    const replies = this.submit(calls)
    if (replies === undefined) return Promise.reject(gone())
    return new Promise((resolve, reject) => {
      const died = () => reject(gone())
      this.watching.add(died)
      replies.then(resolve, reject).finally(() => this.watching.delete(died))
    })
  }

  /** Take a copy of the disk. */
  backUp(): void {
    this.world.trace(this.name, () => 'is backed up')
    this.database.disk.backUp()
  }

  /** Kill the process, and have the next one find the copy. */
  restore(): void {
    this.crash()
    this.world.trace(this.name, () => 'is restored')
    this.database.disk.fault = undefined
    this.database.disk.restore()
  }

  /** Stop the process in good order. */
  stop(): void {
    const { shard, life } = this
    if (shard === undefined) return
    this.world.trace(this.name, () => 'stops')
    this.database.disk.fault = undefined
    try {
      shard.close()
    } catch (error) {
      // A full disk may keep rows from their tables; then the next process replays them.
      if (!(error instanceof Failure && error.code === 'storage')) throw error
    }
    // Replies of the last group leave before the process does.
    this.shard = undefined
    this.world.after(0, () => {
      life.alive = false
      this.tell()
    })
  }

  /** Plan what strikes the next transaction. */
  strike(fault: Fault | undefined): void {
    if (fault !== undefined) this.world.trace(this.name, () => `will suffer ${JSON.stringify(fault)}`)
    this.database.disk.fault = fault
  }

  /** Fill the disk, or make room. */
  setFull(full: boolean): void {
    this.world.trace(this.name, () => (full ? 'disk full' : 'disk has room'))
    this.database.disk.setFull(full)
  }

  /** Run calls on the process that lives now.
   *  @returns undefined when none does; a promise that stays open when it dies first */
  submit(calls: readonly Call[]): Promise<unknown[]> | undefined {
    return this.shard && this.life.bind(this.shard.submit(calls))
  }

  /** As `submit`, for a wait on the log. */
  awaitChange(afterSeq: number, waitMs: number): Promise<void> | undefined {
    return this.shard && this.life.bind(this.shard.awaitChange(afterSeq, waitMs))
  }

  /** As `submit`, for a job. */
  job(name: string, args: unknown): Promise<unknown> | undefined {
    const { shard, life, work } = this
    return shard && life.bind(runJob(work, this.beside(shard, life), { name, args }))
  }

  /** The shard as what is done beside it sees it, until the process dies. */
  private beside(shard: Shard, life: Life): JobShard {
    const { besides = (calls) => calls, database = this.name, index = 0 } = this.options
    return { database, index, submit: (calls) => life.bind(shard.submit(besides(calls))) }
  }

  /** Let go of the disk. */
  dispose(): void {
    this.life.alive = false
    this.shard = undefined
    const { disks } = this.options
    if (disks === undefined) this.database.sql.close()
    else disks.give(this.options.programs, this.database)
  }
}

/** How bad a network is: probabilities by message. */
export interface NetworkFaults {
  lose: number
  /** Ten times the usual delay, or much more: longer than a caller waits and than what it then does instead takes. */
  slow: number
  /** A request comes again, later; only from those who may ask again. */
  echo: number
}

/** A network without faults. */
export const healthy: NetworkFaults = { lose: 0, slow: 0, echo: 0 }

/** How long a caller waits for a reply. */
const timeoutMs = 80
/** The same for the answer of a job, which takes its time. */
const jobTimeoutMs = 5_000

/** A network of one world. */
export class Network {
  faults: NetworkFaults
  private readonly world: World
  private readonly latencyMs = new Map<string, number>()

  constructor(world: World, faults: NetworkFaults) {
    this.world = world
    this.faults = faults
  }

  /** The way from `from` to a machine.
   *  @param options whether its requests may arrive twice, and how long it waits for replies */
  client(from: string, machine: Machine, { repeats = false, patienceMs = timeoutMs } = {}): ShardClient {
    return {
      submit: (calls) => {
        const request = structuredClone(calls) as Call[]
        if (repeats && this.world.random.chance(this.faults.echo)) this.echo(machine, request)
        return this.ask(from, machine.name, () => machine.submit(request)?.then(wired), patienceMs)
      },
      awaitChange: (afterSeq, waitMs) =>
        this.ask(from, machine.name, () => machine.awaitChange(afterSeq, waitMs), waitMs + patienceMs),
      job: (name, args) => {
        const request = structuredClone(args)
        return this.ask(from, machine.name, () => machine.job(name, request)?.then(structuredClone), jobTimeoutMs)
      },
    }
  }

  private echo(machine: Machine, request: readonly Call[]): void {
    const { world } = this
    world.after(world.random.unit() ** 2 * 400, () => {
      world.trace(machine.name, () => `hears again ${JSON.stringify(request).slice(0, 200)}`)
      // Nobody waits for the answer.
      machine.submit(structuredClone(request))?.catch(() => undefined)
    })
  }

  private ask<T>(from: string, to: string, work: () => Promise<T> | undefined, waitMs: number): Promise<T> {
    return new Promise((resolve, reject) => {
      const cancel = this.world.after(waitMs, () => {
        reject(new Failure('unavailable', `${to} did not answer ${from} in ${waitMs} ms`))
      })
      const answer = (settle: () => void) => {
        this.carry(from, () => {
          cancel()
          settle()
        })
      }
      this.carry(from, () => {
        const working = work()
        // Nobody listens at that address.
        if (working === undefined) return answer(() => reject(new Failure('unavailable', `${to} is down`)))
        working.then(
          (value) => answer(() => resolve(value)),
          (error) => answer(() => reject(error)),
        )
      })
    })
  }

  /** Carry a message of somebody, or the reply to it. */
  private carry(from: string, deliver: () => void): void {
    const { world, faults } = this
    const { random } = world
    if (random.chance(faults.lose)) return
    // Some are far away: what others do in many steps happens while one message of theirs is on its way.
    const latencyMs = this.latencyMs.get(from) ?? random.pick([1, 8, 35])
    this.latencyMs.set(from, latencyMs)
    const delayMs = 0.1 + random.unit() * latencyMs
    const slowMs = random.chance(faults.slow) ? delayMs * 10 + random.unit() ** 3 * 600 : 0
    world.after(delayMs + slowMs, deliver)
  }
}

function wired(replies: unknown[]): unknown[] {
  return structuredClone(replies.map((reply) => (reply instanceof Failure ? toWire(reply) : reply)))
}
