/** Writes what changed in a collection to files of its mirror, beside the shard.
 *
 *  1. Rows are read as they are, in slices; what changes while that goes on stands in the log, and is read again. When
 *     a slice reaches the end of the log in the turn that reads it, the files are the collection's state at that
 *     position, exactly.
 *  2. All rows are read when the log does not reach back to the snapshot, or nothing of the shard is in it.
 *  3. What cannot be written becomes a dead letter, and its row is not in the mirror. */
import { Failure } from '../../errors.ts'
import { TIER_FILE_BYTES_MAX, TIER_FLUSH_ROUNDS_MAX, TIER_POLITE_MS, TIER_ROWS_PER_TURN } from '../../limits.ts'
import type { JobShard } from '../../shard/job.ts'
import type { Row, Table } from '../../shard/table.ts'
import { dataFile } from '../iceberg/data-file.ts'
import { askAll } from './calls.ts'
import type { Changed, ChangedRow, ScanCursor } from './changed.ts'
import { DataOutput } from './data-output.ts'
import type { FlushPlan, FlushTools } from './flush.ts'
import type { Begun, DeadLetter, MatchCursor, PutRow } from './flush-calls.ts'
import { MirrorRows } from './mirror-rows.ts'
import { fileIdText, toPlain } from './plain.ts'
import type { KeptReceipt } from './state.ts'

/** Write a mirror's changes and stage the receipt. */
export async function flushMirror(
  tools: FlushTools,
  shard: JobShard,
  { plan, begun, receipt, table }: { plan: FlushPlan; begun: Begun; receipt: string; table: Table },
): Promise<KeptReceipt> {
  const flush = new MirrorFlush(tools, shard, { plan, receipt, table })
  try {
    return await flush.run(begun)
  } catch (error) {
    await flush.abort(error)
    throw error
  }
}

/** Looks at what has come meanwhile, before a flush hurries. */
const politeRounds = 2

class MirrorFlush {
  private readonly tools: FlushTools
  private readonly shard: JobShard
  private readonly plan: FlushPlan
  private readonly receipt: string
  private readonly table: Table
  private readonly rows: MirrorRows
  private output: { readonly id: number; readonly file: DataOutput } | undefined
  private readonly written: KeptReceipt['files'][number][] = []
  private put: PutRow[] = []
  private dead: DeadLetter[] = []
  private deadLetters = 0
  private count = 0
  private bytes = 0

  /** It gives way to nobody. */
  private isHurried = false
  private readonly pause: () => Promise<void>

  constructor(
    tools: FlushTools,
    shard: JobShard,
    { plan, receipt, table }: { plan: FlushPlan; receipt: string; table: Table },
  ) {
    this.tools = tools
    const hurryMs = tools.clock.nowMs() + TIER_POLITE_MS
    this.pause = async () => {
      if (!this.isHurried && tools.clock.nowMs() < hurryMs) await tools.pause()
    }
    this.shard = shard
    this.plan = plan
    this.receipt = receipt
    this.table = table
    this.rows = new MirrorRows(table, plan.schema, shard.index)
  }

  async run(begun: Begun): Promise<KeptReceipt> {
    const { plan } = this
    const { position, floor } = begun
    const from = plan.base === undefined ? begun.from : plan.base
    const isWhole =
      plan.whole === true || from === null || from.incarnation !== position.incarnation || from.seq < floor
    if (isWhole) await this.scan()
    else await this.matching({}, 'arrived')
    let to = await this.follow(isWhole ? position.seq : from.seq, position.seq)
    for (let { epoch } = position; to.epoch !== epoch; epoch = to.epoch) {
      // Slots have come while this went on, and with them rows that no change here speaks of.
      await this.matching({}, 'arrived')
      to = await this.follow(to.seq, position.seq)
    }
    await this.finishFile()
    const receipt: KeptReceipt = {
      id: this.receipt,
      table: plan.table,
      from: from ?? undefined,
      to,
      files: this.written,
      rows: this.count,
      deadLetters: this.deadLetters,
      bytes: this.bytes,
      ...(plan.resync && { resync: true }),
    }
    await askAll(this.shard, this.takePut(), ['stage', { table: plan.table, receipt }])
    return receipt
  }

  async abort(error: unknown): Promise<void> {
    await this.output?.file.abort(error)
  }

  /** Read all rows, and find those that the index has and that are not there any more. */
  private async scan(): Promise<void> {
    const { table: collection } = this.plan
    let cursor: ScanCursor | undefined
    do {
      const args = { collection, cursor, limit: this.limit }
      const [, piece] = await askAll(this.shard, this.takePut(), ['scan', args])
      const { rows, cursor: next } = piece as { rows: ChangedRow[]; cursor: ScanCursor | undefined }
      await this.write(rows)
      cursor = next
    } while (cursor !== undefined)
    await this.matching({}, 'gone')
  }

  private get limit(): number {
    return this.plan.rowsPerTurn ?? TIER_ROWS_PER_TURN
  }

  /** Read the log from a seq on, until it ends. Past what was there when the flush began it runs after whoever writes:
   *  soon without giving way, and in ever larger steps, so that it gets there.
   *  @returns where */
  private async follow(seq: number, begunAt: number): Promise<KeptReceipt['to']> {
    const { table: collection } = this.plan
    let after = seq
    for (let late = 0; late < TIER_FLUSH_ROUNDS_MAX; ) {
      if (after >= begunAt) late++
      this.isHurried = late > politeRounds
      const args = { collection, after, limit: this.limit * 2 ** Math.min(5, Math.floor(late / 8)) }
      const [, piece] = await askAll(this.shard, this.takePut(), ['read', args])
      const { rows, truncates, next, done, position } = piece as Changed
      await this.write(rows)
      for (const { where } of truncates) await this.matching(where)
      // What matched a truncate was read in later turns: the state is that of the next turn that ends the log.
      if (done && truncates.length === 0) return position
      after = next
    }
    throw new Failure('unavailable', `${collection} changes faster than it can be written; it is tried again later`)
  }

  private async matching(where: Row, only?: 'gone' | 'arrived'): Promise<void> {
    let after: MatchCursor | undefined
    do {
      const args = { collection: this.plan.table, where, ...(only && { only }), after, limit: this.limit }
      const [, piece] = await askAll(this.shard, this.takePut(), ['matching', args])
      const { rows, after: next } = piece as { rows: ChangedRow[]; after: MatchCursor | undefined }
      await this.write(rows)
      after = next
    } while (after !== undefined)
  }

  private takePut(): ['put', { table: string; receipt: string; rows: PutRow[]; dead: DeadLetter[] }] {
    const { put, dead } = this
    this.put = []
    this.dead = []
    return ['put', { table: this.plan.table, receipt: this.receipt, rows: put, dead }]
  }

  /** Write what a call has read, and let others run. */
  private async write(changed: readonly ChangedRow[]): Promise<void> {
    await this.append(changed)
    await this.pause()
  }

  private async append(changed: readonly ChangedRow[]): Promise<void> {
    for (const row of changed) if (row.row === null) this.gone(row)
    const there = await this.whole(changed.filter(({ row }) => row !== null))
    const { batch, misfits } = this.rows.batch(there)
    for (const { row, reason } of misfits) this.letter(row, reason)
    if (batch.rows.length > 0) {
      const { id, file } = this.openFile()
      const first = file.rows
      await file.write(batch.rows.length, batch.columns)
      for (const [at, row] of batch.rows.entries()) {
        const { key, slot, seq, at: atMs } = row
        const bytes = this.rows.payloadBytes(row)
        this.put.push({ slot, key, file: id, pos: first + at, seq, at: atMs, bytes, cold: row.cold !== undefined })
      }
      this.count += batch.rows.length
      if (file.bytes >= TIER_FILE_BYTES_MAX) await this.finishFile()
    }
  }

  private gone({ key, slot, seq, at }: ChangedRow): void {
    this.put.push({ slot, key, file: null, pos: 0, seq, at, bytes: 0, cold: false })
  }

  private letter(row: ChangedRow, reason: string): void {
    const { id, at, seq } = row
    this.dead.push({ type: this.plan.table, id, reason, data: this.rows.show(row), at, seq })
    this.deadLetters++
    this.gone(row)
  }

  /** Fetch the payloads of cold rows: the new file holds them too. */
  private async whole(changed: readonly ChangedRow[]): Promise<ChangedRow[]> {
    const cold = changed.filter((row) => row.cold !== undefined)
    if (cold.length === 0) return [...changed]
    const payloads = await this.tools.payloads.read(
      this.shard.database,
      this.table,
      cold.map(({ cold: places }) => places ?? []),
    )
    const column = this.table.relation?.payload?.column
    const found = new Map(cold.map((row, at) => [row, payloads[at]]))
    return changed.flatMap((row) => {
      if (row.cold === undefined || column === undefined) return [row]
      const payload = found.get(row)
      if (payload !== undefined) return [{ ...row, row: { ...row.row, [column]: payload } }]
      this.letter(row, 'its payload left for the lake, and is not found there')
      return []
    })
  }

  private openFile(): { readonly id: number; readonly file: DataOutput } {
    if (this.output !== undefined) return this.output
    const id = this.tools.clock.random()
    const { folder, schema } = this.plan
    const path = `${folder}/${this.receipt.slice(0, 12)}-${fileIdText(id)}.parquet`
    this.output = { id, file: new DataOutput({ ...this.tools, pause: this.pause }, { path, schema, bloom: ['_id'] }) }
    return this.output
  }

  private async finishFile(): Promise<void> {
    if (this.output === undefined) return
    const { id, file } = this.output
    const summary = await file.finish()
    this.output = undefined
    const described = dataFile(summary, { path: file.path, spec: this.plan.spec, partition: [] })
    this.written.push({ id, path: file.path, file: toPlain(described) })
    this.bytes += summary.sizeBytes
  }
}
