/** Writes dead letters to their table. */
import { TIER_DEAD_LETTERS_MAX } from '../../limits.ts'
import type { JobShard } from '../../shard/job.ts'
import { dataFile } from '../iceberg/data-file.ts'
import { ask } from './calls.ts'
import { DataOutput } from './data-output.ts'
import type { FlushPlan, FlushTools } from './flush.ts'
import type { Begun } from './flush-calls.ts'
import { fileIdText, toPlain } from './plain.ts'
import type { KeptReceipt } from './state.ts'
import type { DeadRow } from './tables.ts'

/** Write the dead letters past the watermark, whose seqs count letters, and stage the receipt. */
export async function flushDeadLetters(
  tools: FlushTools,
  shard: JobShard,
  { plan, begun, receipt: id }: { plan: FlushPlan; begun: Begun; receipt: string },
): Promise<KeptReceipt> {
  const { table, schema, spec, folder } = plan
  const from = plan.base === undefined ? begun.from : plan.base
  const letters = await ask<DeadRow[]>(shard, 'dead', { after: begun.from?.seq ?? 0, limit: TIER_DEAD_LETTERS_MAX })
  const to = { ...begun.position, seq: letters.at(-1)?.number ?? begun.from?.seq ?? 0 }
  const files: KeptReceipt['files'][number][] = []
  let bytes = 0
  if (letters.length > 0) {
    const fileId = tools.clock.random()
    const path = `${folder}/${id.slice(0, 12)}-${fileIdText(fileId)}.parquet`
    const output = new DataOutput(tools, { path, schema, bloom: ['id'] })
    try {
      await output.write(letters.length, {
        type: { values: letters.map((one) => one.type) },
        id: { values: letters.map((one) => one.id) },
        reason: { values: letters.map((one) => one.reason) },
        data: { values: letters.map((one) => one.data) },
        ts: { numbers: Float64Array.from(letters, (one) => one.at * 1000) },
        shard: { numbers: new Int32Array(letters.length).fill(shard.index) },
        seq: { numbers: Float64Array.from(letters, (one) => one.seq) },
      })
      const summary = await output.finish()
      files.push({ id: fileId, path, file: toPlain(dataFile(summary, { path, spec, partition: [] })) })
      bytes = summary.sizeBytes
    } catch (error) {
      await output.abort(error)
      throw error
    }
  }
  const receipt = { id, table, from: from ?? undefined, to, files, rows: letters.length, deadLetters: 0, bytes }
  await ask(shard, 'stage', { table, receipt })
  return receipt
}
