/** Writes changes from the log to files of the table `changes`, one file a collection and day. */
import {
  TIER_CHANGES_PER_TURN,
  TIER_FILE_BYTES_MAX,
  TIER_RECEIPT_BYTES_MAX,
  TIER_RECEIPT_FILES_MAX,
} from '../../limits.ts'
import type { JobShard } from '../../shard/job.ts'
import type { LogColumns } from '../../shard/log-columns.ts'
import type { Position } from '../../shard/program.ts'
import { dataFile } from '../iceberg/data-file.ts'
import { compilePartition } from '../iceberg/partition.ts'
import { ask } from './calls.ts'
import { type ChangeBatch, type ChangeMisfit, changeBatches } from './change-columns.ts'
import { DataOutput } from './data-output.ts'
import type { FlushPlan, FlushTools } from './flush.ts'
import type { Begun, DeadLetter } from './flush-calls.ts'
import { fileIdText, toPlain } from './plain.ts'
import type { KeptReceipt } from './state.ts'

interface Flushing {
  readonly plan: FlushPlan
  readonly begun: Begun
  readonly receipt: string
}

/** Write the changes past the watermark, as many as one receipt holds, and stage it. */
export async function flushChanges(tools: FlushTools, shard: JobShard, flushing: Flushing): Promise<KeptReceipt> {
  const files = new ChangeFiles(tools, shard, flushing)
  try {
    return await run(tools, shard, { ...flushing, files })
  } catch (error) {
    await files.abort(error)
    throw error
  }
}

async function run(
  { pause }: FlushTools,
  shard: JobShard,
  { plan, begun, receipt, files }: Flushing & { files: ChangeFiles },
): Promise<KeptReceipt> {
  const { table } = plan
  const source = { database: shard.database, shard: shard.index, collections: new Set(plan.collections) }
  const { start, gap } = startOf(begun)
  const dead: DeadLetter[] = gap === undefined ? [] : [gap]
  let to = start
  for (let more = true; more && !files.isFull; ) {
    const args = { after: to, changes: plan.rowsPerTurn ?? TIER_CHANGES_PER_TURN, collections: plan.collections ?? [] }
    const log = await ask<LogColumns>(shard, 'log', args)
    const { batches, misfits } = changeBatches(log, source)
    for (const batch of batches) await files.write(batch)
    await pause()
    dead.push(...misfits.map(letterOf))
    to = log.next
    // What has come meanwhile is the next receipt's: whoever writes all the time would keep this one from its end.
    more = log.more && to.seq < begun.position.seq
  }
  await files.finish()
  if (dead.length > 0) await ask(shard, 'put', { table, receipt, rows: [], dead })
  const from = plan.base === undefined ? begun.from : plan.base
  const { written, rows, bytes } = files
  const staged: KeptReceipt = {
    id: receipt,
    table,
    from: from ?? undefined,
    to,
    files: written,
    rows,
    deadLetters: dead.length,
    bytes,
    ...(plan.resync && { resync: true }),
  }
  await ask(shard, 'stage', { table, receipt: staged })
  return staged
}

/** Where to begin: after the watermark, or where the log begins, when it does not reach back. */
function startOf({ from, position, floor }: Begun): { start: Position; gap: DeadLetter | undefined } {
  const isOurs = from?.incarnation === position.incarnation
  if (isOurs && from.seq >= floor) return { start: from, gap: undefined }
  const start = { ...position, seq: floor }
  if (from === null) return { start, gap: undefined }
  const reason = isOurs
    ? `changes ${from.seq + 1} to ${floor} were trimmed from the log before they were written`
    : `the history ${from.incarnation} ended at ${from.seq} or later; ${position.incarnation} goes on from ${floor}`
  return { start, gap: { type: 'changes', id: '', reason, data: null, at: 0, seq: from.seq } }
}

function letterOf({ collection, id, at, seq }: ChangeMisfit): DeadLetter {
  return { type: collection, id, reason: 'its id has lone surrogates', data: null, at, seq }
}

/** The files under construction, by collection and day. */
class ChangeFiles {
  readonly written: KeptReceipt['files'][number][] = []
  rows = 0
  bytes = 0
  private readonly tools: FlushTools
  private readonly plan: FlushPlan
  private readonly database: string
  private readonly receipt: string
  private readonly open = new Map<
    string,
    { readonly id: number; readonly file: DataOutput; readonly first: ChangeBatch }
  >()
  private readonly partitionOf: ReturnType<typeof compilePartition>

  constructor(tools: FlushTools, shard: JobShard, { plan, receipt }: Flushing) {
    this.tools = tools
    this.plan = plan
    this.database = shard.database
    this.receipt = receipt
    this.partitionOf = compilePartition(plan.spec, plan.schema)
  }

  /** Whether the rest is the next receipt's. */
  get isFull(): boolean {
    let bytes = this.bytes
    for (const { file } of this.open.values()) bytes += file.bytes
    return bytes >= TIER_RECEIPT_BYTES_MAX || this.written.length + this.open.size >= TIER_RECEIPT_FILES_MAX
  }

  async write(batch: ChangeBatch): Promise<void> {
    const key = `${batch.collection} ${batch.day}`
    const known = this.open.get(key) ?? this.openFile(batch)
    this.open.set(key, known)
    await known.file.write(batch.rows, batch.columns)
    this.rows += batch.rows
    if (known.file.bytes >= TIER_FILE_BYTES_MAX) await this.finishFile(key)
  }

  private openFile(first: ChangeBatch) {
    const id = this.tools.clock.random()
    const path = `${this.plan.folder}/${this.receipt.slice(0, 12)}-${fileIdText(id)}.parquet`
    return { id, file: new DataOutput(this.tools, { path, schema: this.plan.schema, bloom: ['id'] }), first }
  }

  async finish(): Promise<void> {
    for (const key of [...this.open.keys()]) await this.finishFile(key)
  }

  private async finishFile(key: string): Promise<void> {
    const known = this.open.get(key)
    if (known === undefined) return
    const { id, file, first } = known
    const summary = await file.finish()
    this.open.delete(key)
    const partition = this.partitionOf({ namespace: this.database, type: first.collection, ts: first.ts })
    const described = dataFile(summary, { path: file.path, spec: this.plan.spec, partition })
    this.written.push({ id, path: file.path, file: toPlain(described) })
    this.bytes += summary.sizeBytes
  }

  async abort(error: unknown): Promise<void> {
    for (const { file } of this.open.values()) await file.abort(error)
  }
}
