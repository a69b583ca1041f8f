/** Property: group commit. Clients send batches to one shard whose process dies, whose disk fails and whose network
 *  loses; the limits are tiny, so that rows are sealed, drained, evicted, trimmed and replayed all the time.
 *
 *  What was acknowledged is there afterwards, in the order it was acknowledged; what failed for good left nothing; what
 *  met no answer is there whole or not at all. Memory and SQL show the same. The log is the history, without holes. */
import { Failure, fromWire } from '../../core/errors.ts'
import type { Capture } from '../../core/shard/log.ts'
import type { Call } from '../../core/shard/program.ts'
import { type ChangesReply, type ShardStatus, SYSTEM } from '../../core/shard/system.ts'
import { makeFault, tinyLimits } from './faults.ts'
import { healthy, Machine, Network } from './machine.ts'
import { type Model, replay, type Sent } from './model.ts'
import { type Mark, type RunArgs, type RunReply, SIM, type Step, simProgram, simWork } from './program.ts'
import { makeArgs, names, slots } from './workload.ts'
import { check, type World } from './world.ts'

/** One run of the property. */
class Run {
  readonly world: World
  readonly machine: Machine
  readonly network: Network
  private readonly sent: Sent[] = []
  private newestEnd = 0
  private ids = 0
  private readonly capture: Capture
  /** Whether rows go cold. */
  private readonly evicts: boolean

  constructor(world: World) {
    const { random } = world
    this.world = world
    // Now and then a file whose tables are still to be made.
    const disks = random.chance(0.2) ? undefined : world.disks
    const limits = tinyLimits(random)
    this.machine = new Machine(world, {
      name: 'shard',
      programs: [simProgram],
      limits,
      disks,
      fills: true,
      work: simWork,
    })
    this.network = new Network(world, healthy)
    this.evicts = random.chance(0.5)
    this.capture = random.pick(['key', 'after', 'full'] as const)
  }

  async system<T>(name: string, args: unknown): Promise<T> {
    const client = this.network.client('operator', this.machine)
    const reply = fromWire((await client.submit([{ program: SYSTEM, name, slot: -1, epoch: 1, args }]))[0])
    if (reply instanceof Failure) throw reply
    return reply as T
  }

  async main(): Promise<void> {
    const { random } = this.world
    await this.system('assign', { epoch: 1, slots: [[0, 16_383]] })
    for (const collection of ['lists', 'books']) await this.system('capture', { collection, level: this.capture })
    if (random.chance(0.7)) this.network.faults = { ...healthy, lose: random.unit() * 0.1, slow: random.unit() * 0.15 }
    let busy = true
    const nemesis = this.nemesis(() => busy)
    const clients = Array.from({ length: random.between(1, 4) }, (_, i) => this.clientLoop(`client-${i}`))
    await Promise.all(clients)
    busy = false
    await nemesis
    await this.verify()
  }

  private async clientLoop(name: string): Promise<void> {
    const { random } = this.world
    const client = this.network.client(name, this.machine)
    for (let round = random.between(2, 8); round > 0; round--) {
      const batch = Array.from({ length: random.between(1, 4) }, () => this.makeSent())
      this.sent.push(...batch)
      await this.sendBatch(name, client, batch)
      if (random.chance(0.5)) await this.world.sleep(random.unit() * 30)
    }
  }

  private makeSent(): Sent {
    const { random } = this.world
    const args = makeArgs(random, () => `x${++this.ids}`, this.evicts)
    const call: Call = { program: SIM, name: 'run', slot: random.pick(slots), epoch: 1, args }
    return { call, args, after: this.newestEnd, reply: undefined, outcome: 'unknown' }
  }

  private async sendBatch(name: string, client: ReturnType<Network['client']>, batch: readonly Sent[]): Promise<void> {
    const what = (one: Sent) =>
      `${one.args.id || 'read'}${one.args.sql ? '' : ' (no sql)'} ${JSON.stringify(one.args.steps)}`
    this.world.trace(name, () => `sends ${batch.map(what).join('; ')}`)
    try {
      const replies = await client.submit(batch.map(({ call }) => call))
      check(replies.length === batch.length, () => `${replies.length} replies to ${batch.length} calls`)
      for (const [i, one] of batch.entries()) this.settle(one, fromWire(replies[i]))
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      // `storage` promises that nothing of the group was kept; `unavailable` promises nothing.
      for (const one of batch) one.outcome = error.code === 'storage' ? 'none' : 'unknown'
      this.world.trace(name, () => `${batch.map((one) => one.args.id).join()}: ${error.code} ${error.message}`)
    }
  }

  private settle(one: Sent, reply: unknown): void {
    if (reply instanceof Failure) {
      // A call that waits for a cold row is answered `unavailable` when the shard is stopped: it has not run.
      const waited = this.evicts && reply.code === 'unavailable'
      const expected = reply.message.startsWith('planned') || reply.code === 'storage' || waited
      check(expected, () => `call ${one.args.id} met ${reply.code}: ${reply.message}`)
      one.outcome = 'none'
      return
    }
    one.reply = reply as RunReply
    one.outcome = 'done'
    this.newestEnd = Math.max(this.newestEnd, one.reply.end)
    this.world.trace('', () => `${one.args.id || 'read'} done ${JSON.stringify(reply)}`)
  }

  private async nemesis(busy: () => boolean): Promise<void> {
    const { machine, world } = this
    const { random } = world
    // Some seeds know some faults only: a fault that strikes all the time hides the others.
    const known = (['crash', 'stop', 'strike', 'full'] as const).filter(() => random.chance(0.6))
    const pauseMs = random.pick([10, 40, 120])
    while (busy()) {
      await world.sleep(random.unit() * pauseMs)
      if (known.length === 0) continue
      switch (random.pick(known)) {
        case 'crash':
          machine.crash()
          break
        case 'stop':
          machine.stop()
          break
        case 'strike':
          machine.strike(makeFault(random))
          break
        case 'full':
          machine.setFull(true)
          await world.sleep(random.unit() * 30)
          machine.setFull(false)
      }
      if (machine.running) continue
      await world.sleep(random.unit() * 20)
      machine.start()
    }
  }

  private async verify(): Promise<void> {
    const { machine, network, world } = this
    network.faults = healthy
    machine.strike(undefined)
    machine.start()
    // Requests on their way arrive now; they were sent, so they may still happen.
    await world.sleep(2_000)
    if (world.random.chance(0.7)) {
      if (world.random.chance(0.5)) machine.crash()
      else machine.stop()
      await world.sleep(1)
      machine.start()
    }
    // It lives perhaps far away, and asks for everything: rows that are cold are fetched on its way.
    const client = network.client('verifier', machine, { patienceMs: 1_000 })
    const finds = slots.flatMap((slot) =>
      names.flatMap((name) => (['lists', 'books'] as const).map((table) => ({ table, slot, name }))),
    )
    const scans = (['lists', 'books'] as const).map((table): Step => ({ do: 'scan', table, slots: [0, 16_383] }))
    const finding = finds.map((at): Step => ({ do: 'find', ...at }))
    const inMemory = this.reading(finding, false)
    const inSql = this.reading(scans, true)
    const inMemoryAgain = this.reading(finding, false)
    const last = [inMemory, inSql, inMemoryAgain]
    this.sent.push(...last)
    await this.sendBatch('verifier', client, last)
    const [marks] = await client.submit([{ program: SIM, name: 'marks', slot: 0, epoch: 1, args: null }])
    const model = replay(marks as Mark[], this.sent)
    for (const one of last) check(one.outcome === 'done', () => 'a healthy shard does not answer')
    await this.verifyLog(model)
  }

  private reading(steps: readonly Step[], sql: boolean): Sent {
    const args: RunArgs = { id: '', steps, sql }
    const call: Call = { program: SIM, name: 'run', slot: 3, epoch: 1, args }
    return { call, args, after: this.newestEnd, reply: undefined, outcome: 'unknown' }
  }

  private async verifyLog(model: Model): Promise<void> {
    const status = await this.system<ShardStatus>('status', null)
    const { seq } = status.position
    check(seq === model.seq, () => `the shard stands at seq ${seq}, its history at ${model.seq}`)
    let after: 'start' | ChangesReply['next'] = 'start'
    let expected = status.floor
    for (let more = true; more; ) {
      const reply: ChangesReply = await this.system('changes', { after, limit: this.world.random.between(1, 20) })
      for (const record of reply.changes) {
        const change = model.changes[expected++]
        const found = { collection: record.collection, op: record.op, slot: record.slot, documentId: record.documentId }
        const { collection, op, slot, documentId } = change ?? {}
        const told = () => `the log holds ${JSON.stringify(record)}, not ${JSON.stringify(change)} at ${expected}`
        check(record.seq === expected, told)
        check(JSON.stringify(found) === JSON.stringify({ collection, op, slot, documentId }), told)
        if (record.op === 'truncate' || record.collection === 'marks') continue
        check(this.capture === 'key' || record.after?.items === change?.after, told)
        // What a cold row was is not known.
        if (this.evicts && record.before === undefined) continue
        check(this.capture !== 'full' || record.before?.items === change?.before, told)
      }
      after = reply.next
      more = reply.more
      check(!more || reply.changes.length > 0, () => 'the log says that there is more, and gives nothing')
    }
    check(expected === model.seq, () => `the log ends at ${expected}, the history at ${model.seq}`)
  }
}

/** Run the property once. */
export async function groupCommit(world: World): Promise<void> {
  const run = new Run(world)
  try {
    await world.run(() => run.main())
  } finally {
    run.machine.dispose()
  }
}
