/** One client's connection without its socket: bytes in, bytes out.
 *
 *  1. Commands run in the order they came; what arrived together is planned together and written together.
 *  2. The replies of a batch leave after all of its commands are answered; nothing of a later batch is planned before.
 *  3. What waits is bounded: input by asking the transport to stop reading, output by closing the connection.
 *  4. Everything that HELLO, AUTH, SELECT, MULTI and WATCH remember is plain data in `state`. */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import {
  REDIS_BATCH_BYTES,
  REDIS_BATCH_COMMANDS_FIRST,
  REDIS_BATCH_COMMANDS_MAX,
  REDIS_QUEUED_INPUT_BYTES,
  REDIS_QUEUED_OUTPUT_BYTES_MAX,
  REDIS_REQUEST_BYTES_MAX,
} from '@dotdo/core/limits'
import type { Database, Plan } from '@dotdo/core/shard'
import { holdToRules } from './acl/note.ts'
import type { Parked } from './blocking.ts'
import { encodeValue, type Protocol, ReplyWriter, RequestDecoder } from './codec.ts'
import type { Command } from './command.ts'
import { errorReply } from './errors.ts'
import type { Taken } from './measured.ts'
import { countSubscriptions, notForSubscribers } from './pubsub.ts'
import { findKeys, Later, planCommand } from './routing.ts'
import type { RedisServer } from './server.ts'
import type { SessionState, Transaction, Transport } from './session-state.ts'
import type { Effect, Value } from './value.ts'

export type { Queued, SessionState, Transaction, Transport, Watch } from './session-state.ts'

/** What a session command answers: a reply, one that comes with the plan, a promise of one, or nothing. */
export type Answer = Value | Later | Promise<Value | Later | undefined> | undefined

/** A row of the table whose session functions see this session. */
export interface Row extends Omit<Command, 'session'> {
  /** Run in the session. @param argv argv[0] is the name as sent */
  session?(session: Session, argv: readonly Bin[]): Answer
  /** Complete the arguments of a command of the shards with what the server knows (a script's text, say).
   *  @param shards how many the database has */
  prepare?(session: Session, argv: readonly Bin[], shards: number): readonly Bin[] | Promise<readonly Bin[]>
  /** Runs at once inside MULTI, where others are queued. */
  readonly immediate?: boolean
  /** Allowed to a RESP2 client that is subscribed: its connection is for messages. */
  readonly inSubscriberMode?: boolean
}

interface Outcome {
  answer: Value | Later
  readonly protocol: Protocol
  /** The client asked for no reply; a Later is read nevertheless, for what it brings about. */
  readonly muted?: true
}

/** A connection. Make one with `server.connect`. */
export class Session {
  readonly server: RedisServer
  readonly transport: Transport
  readonly state: SessionState
  /** Whether the connection is over: nothing is run or written any more. */
  ended = false
  /** Whether the connection ends once the replies so far have been written. */
  closing = false
  /** Whether the client has said that it sends no more: it is not kept waiting for keys. */
  finished = false
  /** The command that waits for a key, while one does; those after it wait for it. */
  parked: Parked | undefined = undefined
  /** Settles when everything received so far has been run and written. */
  busy: Promise<void> = Promise.resolve()
  /** Whether the client was let in by what it said, or by the host. */
  private admitted = false
  /** Whether `run` is under way; it stays so once the connection is over. */
  private active = false
  private readonly decoder = new RequestDecoder()
  private readonly writer = new ReplyWriter()
  private readonly chunks: Uint8Array[] = []
  private waitingBytes = 0
  private outcomes: Outcome[] = []
  /** The commands of the batch whose replies are not out. */
  private taken: Taken[] = []
  private batchSize = 0
  private batchMax = REDIS_BATCH_COMMANDS_FIRST
  private plan: Plan | undefined = undefined
  /** Messages wait for the end of the turn. */
  private pushing = false
  /** Roughly the bytes of messages that wait for the batch that runs. */
  private pushedBytes = 0
  private pushesCounted = 0
  /** The requests wait for a key, and no reply is under way: messages need not wait for them. */
  private held = false
  private opened: Database | undefined = undefined

  /** @param state given away */
  constructor(server: RedisServer, transport: Transport, state: SessionState) {
    this.server = server
    this.transport = transport
    this.state = state
    this.decoder.authenticated = state.authenticated
  }

  /** Take bytes from the client.
   *  @param bytes given away
   *  @returns a promise when the transport should read no more until it settles, else undefined */
  receive(bytes: Uint8Array): Promise<void> | undefined {
    if (this.ended || this.closing) return undefined
    this.server.counters.inputBytes += bytes.length
    this.state.activeMs = this.server.clock.nowMs()
    this.chunks.push(bytes)
    this.waitingBytes += bytes.length
    if (!this.active) {
      this.active = true
      this.busy = this.work()
    }
    return this.waitingBytes > REDIS_QUEUED_INPUT_BYTES ? this.busy : undefined
  }

  /** Say that the client is gone. Commands already sent to the shards still run. */
  end(): void {
    this.ended = true
    this.chunks.length = 0
    this.server.sessions.delete(this.state.id)
    this.server.forget(this)
    this.parked?.release('end')
  }

  /** Say that the client sends no more. One that waits for a key is let go, as Redis does; others get their replies. */
  finish(): void {
    this.finished = true
    if (this.parked !== undefined) this.kill()
  }

  /** Close the connection from our side, without waiting for replies. */
  kill(): void {
    this.end()
    this.transport.abort()
  }

  private abandon(): undefined {
    this.kill()
  }

  /** How many bytes of requests wait here. */
  get queuedInputBytes(): number {
    return this.waitingBytes + this.decoder.heldBytes
  }

  /** Send something that answers no request. It goes behind the replies to the requests that came before. */
  push(message: Value): void {
    if (this.ended) return
    this.outcomes.push({ answer: message, protocol: this.state.protocol })
    if (this.pushing) return
    this.pushing = true
    // What is published in one turn is written together.
    queueMicrotask(() => {
      this.pushing = false
      if (!this.active || this.held) void this.write()
      else this.limitPushes()
    })
  }

  /** A batch that takes long, or a client that does not read, must not make messages pile up. */
  private limitPushes(): void {
    for (; this.pushesCounted < this.outcomes.length; this.pushesCounted++) {
      const { answer } = this.outcomes[this.pushesCounted] as Outcome
      if (!(answer instanceof Later)) this.pushedBytes += roughSize(answer)
    }
    if (this.pushedBytes > REDIS_QUEUED_OUTPUT_BYTES_MAX) this.kill()
  }

  /** Whether calls are planned that have not been run. */
  get hasPlan(): boolean {
    return this.plan !== undefined
  }

  /** Let the client in. */
  admit(user: Bin): void {
    this.admitted = true
    this.state.user = user
    this.state.authenticated = true
    this.decoder.authenticated = true
  }

  /** Take the client's rights back, as RESET does. */
  expel(): void {
    this.admitted = false
    this.state.user = 'default'
    this.welcome(this.server.access.welcomes())
  }

  /** Say whether a client may begin without credentials; one that has been let in stays. */
  welcome(open: boolean): void {
    if (this.admitted) return
    this.state.authenticated = open
    this.decoder.authenticated = open
  }

  /** End the connection: when its replies are out if it is at work, else now. */
  closeSoon(): void {
    if (this.active) this.closing = true
    else this.kill()
  }

  /** Open the session's database.
   *  @throws what the fabric throws */
  async database(): Promise<Database> {
    this.opened ??= await this.load(this.state.database)
    return this.opened
  }

  /** Go over to another database of the fabric, at number 0.
   *  @throws what the fabric throws; the session then stays where it was */
  async useDatabase(name: string): Promise<void> {
    if (name !== this.state.database) {
      if (countSubscriptions(this) > 0 || this.state.tracking) {
        const when = 'while subscribed or in tracking mode'
        throw new Failure('invalid', `ERR SELECT of another database by name is not allowed ${when}`)
      }
      const opened = await this.load(name)
      await this.runPlan()
      this.opened = opened
      this.state.database = name
    }
    this.state.db = 0
  }

  private async load(name: string): Promise<Database> {
    const database = await this.server.fabric.database(name)
    const { kind, keys } = database.map.strategy.data
    if (kind === 'hash' && database.map.partitioner === 'crc16') return database
    // The engine stores keys under their CRC16 slots; another placement would look for them elsewhere.
    throw new Failure(
      'unsupported',
      `ERR database ${name} is sharded by ${kind} of ${keys} keys; Redis needs hash by crc16`,
    )
  }

  /** Plan something on the session's database, opening it first if need be. */
  withPlan<T>(work: (plan: Plan, database: Database) => T): T | Promise<T> {
    const { opened } = this
    if (opened === undefined) return this.database().then(() => this.withPlan(work))
    this.plan ??= opened.plan()
    return work(this.plan, opened)
  }

  /** Run what has been planned, so that its replies are known. */
  async runPlan(): Promise<void> {
    const { plan } = this
    this.plan = undefined
    await plan?.run()
    // Reading an answer carries out what it brings about: in order, before what the next command does.
    for (const outcome of this.outcomes) if (outcome.answer instanceof Later) outcome.answer = this.read(outcome.answer)
  }

  /** Run a command now, whatever MULTI says. */
  perform(row: Row, argv: readonly Bin[]): Answer {
    if (row.session) return row.session(this, argv)
    if (row.block) return this.wait(() => this.server.waiters.run(this, row, argv))
    const ready = this.prepare(row, argv)
    return ready instanceof Promise ? ready.then((sent) => this.planRow(row, sent)) : this.planRow(row, ready)
  }

  /** Complete a command's arguments, where its row asks for that. */
  prepare(row: Row, argv: readonly Bin[]): readonly Bin[] | Promise<readonly Bin[]> {
    if (row.prepare === undefined) return argv
    const { prepare } = row
    if (this.opened !== undefined) return prepare(this, argv, this.opened.map.count)
    return this.database().then(({ map }) => prepare(this, argv, map.count))
  }

  private planRow(row: Row, argv: readonly Bin[]): Later | Promise<Later> {
    const { state, server } = this
    return this.withPlan((plan, { map, name }) => {
      const carryOut = (effects: readonly Effect[]) => server.pubsub.carryOut(name, effects)
      const user = server.access.restricted(state.user)
      const later = planCommand({ plan, map, db: state.db, user, carryOut }, row, argv)
      return state.tracking ? server.tracking.follow(this, [{ row, argv }], later) : later
    })
  }

  /** Wait for others: for a key, or the end of a pause. The replies so far do not wait, nor do messages.
   *  @returns undefined when the client has gone */
  private async wait<T>(work: () => Promise<T>): Promise<T | undefined> {
    const flushing = this.flush()
    if (flushing) await flushing
    if (this.ended) return undefined
    this.held = true
    try {
      return await work()
    } finally {
      this.held = false
    }
  }

  private async work(): Promise<void> {
    try {
      await this.run()
    } catch (error) {
      this.server.onBug(error)
      this.kill()
    }
  }

  private async run(): Promise<void> {
    while (!this.ended && !this.closing) {
      const argv = this.decoder.next()
      if (argv !== undefined) {
        const answering = this.execute(argv)
        if (answering) await answering
        this.batchSize += 1
        if (this.batchSize >= this.batchMax) await this.flush()
      } else if (this.decoder.error !== undefined) {
        this.settle({ error: `ERR ${this.decoder.error}` })
        this.closing = true
      } else {
        const chunk = this.chunks.shift()
        if (chunk !== undefined) {
          this.waitingBytes -= chunk.length
          this.decoder.push(chunk)
        } else if (this.batchSize > 0 || this.outcomes.length > 0) {
          const flushing = this.flush()
          if (flushing) await flushing
        } else {
          // In the same turn as the look at `chunks`: a promise's turn later, one could have come and be left lying.
          this.active = false
          return
        }
      }
    }
    const flushing = this.flush()
    if (flushing) await flushing
    if (this.ended) return
    this.end()
    this.transport.close()
  }

  private execute(argv: readonly Bin[]): Promise<void> | undefined {
    const { state } = this
    if (state.reply === 'skip') state.reply = 'skipping'
    let answer: Answer
    try {
      answer = this.dispatch(argv)
    } catch (error) {
      answer = this.fail(error)
    }
    if (!(answer instanceof Promise)) return this.settle(answer)
    return answer.catch((error) => this.fail(error)).then((settled) => this.settle(settled))
  }

  private dispatch(argv: readonly Bin[]): Answer {
    const { state, server } = this
    const { multi } = state
    const { access } = server
    // The users may have changed so that the connection ends here.
    if (!access.ready) return access.load().then(() => (this.closing ? undefined : this.dispatch(argv)))
    let row: Row
    try {
      const { counters } = server
      counters.commands += 1
      row = server.commands.find(argv)
      counters.byCommand.set(row.name, (counters.byCommand.get(row.name) ?? 0) + 1)
      if (!state.authenticated && !row.noAuth) throw new Failure('unauthenticated', 'authentication required')
      if (access.enforced) holdToRules(this, row, argv)
      if (multi && row.noMulti) throw new Failure('invalid', 'ERR Command not allowed inside a transaction')
      if (state.protocol === 2 && !row.inSubscriberMode && countSubscriptions(this) > 0) throw notForSubscribers(row)
      state.lastCommand = row.name
      this.taken.push({ row, argv, startedMs: server.clock.nowMs() })
      if (multi && !row.immediate) return enqueue(multi, row, argv)
    } catch (error) {
      if (multi) multi.broken = true
      // A browser was made to talk to us: what follows in its request must not be run (CVE-2016-10517).
      if (/^(post|host:)$/i.test(argv[0] as Bin)) return this.abandon()
      throw error
    }
    server.monitors.show(this, row, argv)
    if (!server.pauses.concerns(this, row)) return this.perform(row, argv)
    return this.wait(() => server.pauses.over(this)).then(() => (this.ended ? undefined : this.perform(row, argv)))
  }

  private settle(answer: Value | Later | undefined): undefined {
    const { state } = this
    const heard = state.reply === 'on' || state.reply === 'skip'
    if (state.reply === 'skipping') state.reply = 'on'
    if (answer === undefined) return
    if (heard) this.outcomes.push({ answer, protocol: state.protocol })
    else if (answer instanceof Later) this.outcomes.push({ answer, protocol: state.protocol, muted: true })
  }

  /** Run the plan and write the batch's replies. @returns undefined when there was nothing to wait for */
  private flush(): Promise<void> | undefined {
    if (this.plan !== undefined) return this.runPlan().then(() => this.write())
    return this.write()
  }

  private write(): Promise<void> | undefined {
    const { outcomes, writer, transport, taken } = this
    this.outcomes = []
    this.taken = []
    this.server.measured.finish(this, taken, this.server.clock.nowMs())
    this.pushedBytes = 0
    this.pushesCounted = 0
    for (const { answer, protocol, muted } of outcomes) {
      if (!this.ended && !muted) writer.add(this.encode(answer, protocol))
      else if (answer instanceof Later) this.encode(answer, protocol)
    }
    if (this.ended) {
      writer.take()
      return undefined
    }
    this.server.counters.outputBytes += writer.length
    this.fitBatch(writer.length)
    for (const part of writer.take()) transport.write(part)
    if (transport.queuedBytes() > REDIS_QUEUED_OUTPUT_BYTES_MAX) {
      this.kill()
      return undefined
    }
    return transport.drained?.()
  }

  /** Choose how many requests run together next: replies that came out large call for fewer. */
  private fitBatch(bytes: number): void {
    const { batchSize, batchMax } = this
    this.batchSize = 0
    if (bytes > REDIS_BATCH_BYTES) this.batchMax = Math.max(1, Math.floor((batchSize * REDIS_BATCH_BYTES) / bytes))
    else if (batchSize >= batchMax) this.batchMax = Math.min(batchMax * 2, REDIS_BATCH_COMMANDS_MAX)
  }

  private read(later: Later): Value {
    try {
      return later.value()
    } catch (error) {
      return this.fail(error)
    }
  }

  private encode(answer: Value | Later, protocol: Protocol): Bin {
    const value = answer instanceof Later ? this.read(answer) : answer
    try {
      if (typeof value === 'object' && value !== null && 'error' in value) this.server.counters.errorReplies += 1
      return encodeValue(value, protocol)
    } catch (error) {
      this.server.counters.errorReplies += 1
      return encodeValue(this.fail(error), protocol)
    }
  }

  private fail(error: unknown): Value {
    if (!(error instanceof Failure)) this.server.onBug(error)
    return errorReply(error)
  }
}

/** Guess the bytes of a message. */
function roughSize(value: Value): number {
  if (typeof value === 'string') return value.length
  if (typeof value !== 'object' || value === null) return 8
  if ('simple' in value) return value.simple.length
  return 'push' in value ? value.push.reduce((sum: number, part) => sum + 8 + roughSize(part), 0) : 100
}

const QUEUED: Value = { simple: 'QUEUED' }

function enqueue(multi: Transaction, row: Row, argv: readonly Bin[]): Value {
  // Here, where the client can see which command it is, rather than in EXEC.
  if (row.run) findKeys(row, argv)
  let sizeBytes = 0
  for (const argument of argv) sizeBytes += argument.length
  if (multi.sizeBytes + sizeBytes > REDIS_REQUEST_BYTES_MAX) {
    throw new Failure('limit', `ERR MULTI holds more than ${REDIS_REQUEST_BYTES_MAX} bytes of commands`)
  }
  multi.sizeBytes += sizeBytes
  multi.queue.push({ row, argv })
  return QUEUED
}
