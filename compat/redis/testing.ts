/** Redis on one shard without a session: commands in, values out, with a clock that the test drives. For tests only. */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { Call, Clock, ShardLimits } from '@dotdo/core/shard'
import { openTestShard, type TestShard } from '../../core/host/node/testing.ts'
import type { Lake } from './cold.testing.ts'
import { scriptCommands } from './commands/scripting.ts'
import { shardCommands } from './commands/shard.ts'
import { errorReply } from './errors.ts'
import { CommandIndex } from './lookup.ts'
import { type ExecArgs, redisProgram } from './program.ts'
import { isWouldBlock, type Value } from './value.ts'

const rows = [...shardCommands, ...scriptCommands([])]
const index = new CommandIndex(new Map(rows.map((row) => [row.name, row as never])))

/** A clock that stands still until it is told to go on. */
export class TestClock implements Clock {
  private timeMs = 1_800_000_000_000
  private seed = 1
  private timers: { atMs: number; work: () => void }[] = []

  nowMs(): number {
    return this.timeMs
  }

  /** @source Numerical Recipes' 32-bit generator; the high bits of two steps */
  random(): number {
    const step = () => {
      this.seed = (Math.imul(this.seed, 1_664_525) + 1_013_904_223) >>> 0
      return this.seed >>> 8
    }
    return step() * 2 ** 24 + step()
  }

  defer(work: () => void): void {
    setImmediate(work)
  }

  after(delayMs: number, work: () => void): () => void {
    const timer = { atMs: this.timeMs + delayMs, work }
    this.timers.push(timer)
    return () => {
      this.timers = this.timers.filter((other) => other !== timer)
    }
  }

  /** Let time pass; what was due by then runs. */
  advance(byMs: number): void {
    this.timeMs += byMs
    const due = this.timers.filter(({ atMs }) => atMs <= this.timeMs)
    this.timers = this.timers.filter(({ atMs }) => atMs > this.timeMs)
    for (const { work } of due) work()
  }
}

/** Find the call of a command, as a session does: its name, arity and all.
 *  @throws invalid in Redis' words */
export function callOf(argv: readonly Bin[], db = 0): Call {
  const { name } = index.find(argv)
  return { program: 'redis', name, slot: -1, epoch: 1, args: { argv, db } }
}

/** One shard that runs Redis commands. */
export class TestRedis {
  readonly clock: TestClock
  private inner: TestShard
  db = 0

  private constructor(clock: TestClock, inner: TestShard) {
    this.clock = clock
    this.inner = inner
  }

  /** @param lake takes all values when `evictAll` is called; none leave without one
   *  @param share the part of the limits on memory that the shard may use */
  static async open(limits: Partial<ShardLimits> = {}, lake?: Lake, share = 1): Promise<TestRedis> {
    const clock = new TestClock()
    const programs = [redisProgram, ...(lake ? [lake.program] : [])]
    const options = { clock, limits, share, ...(lake && { fetchCold: lake.fetchCold }) }
    return new TestRedis(clock, await openTestShard(programs, options))
  }

  get test(): TestShard {
    return this.inner
  }

  /** Run a command.
   *  @returns its reply; an error is a reply too */
  async run(...argv: readonly Bin[]): Promise<Value> {
    try {
      const call = callOf(argv, this.db)
      return await this.submit(call)
    } catch (error) {
      if (error instanceof Failure) return errorReply(error)
      throw error
    }
  }

  /** Let every value go. */
  async evictAll(): Promise<void> {
    await this.inner.call('lake', 'evict', null, -1)
  }

  /** Run commands in one group. */
  async group(...commands: readonly (readonly Bin[])[]): Promise<Value[]> {
    const replies = await this.inner.shard.submit(commands.map((argv) => callOf(argv, this.db)))
    return replies.map((reply) => (reply instanceof Failure ? errorReply(reply) : (reply as Value)))
  }

  /** Run one of the program's other calls. */
  call(name: string, args: unknown): Promise<unknown> {
    return this.inner.call('redis', name, args, -1)
  }

  /** Run a transaction of commands on the current database. */
  async exec(commands: readonly (readonly Bin[])[], watches: ExecArgs['watches'] = []): Promise<Value> {
    const named = commands.map((argv) => ({ name: callOf(argv).name, argv, db: this.db }))
    return (await this.call('exec', { commands: named, watches })) as Value
  }

  private async submit(call: Call): Promise<Value> {
    const [reply] = await this.inner.shard.submit([call])
    if (reply instanceof Failure) throw reply
    // Nobody waits here: it is as if the time were over.
    return isWouldBlock(reply) ? reply.wouldBlock : (reply as Value)
  }

  /** Open the file again, as after a restart or (with `crash`) a kill. */
  async reopen(crash = false, share?: number): Promise<void> {
    this.inner = await this.inner.reopen({ crash, ...(share !== undefined && { share }) })
  }

  close(): void {
    this.inner.close()
  }
}
