/** A pass: what is cold leaves, and what nobody refers to goes from the store. TIERS.md has the steps, and what a crash
 *  between any two of them leaves. */
import { FSX_CHUNK_BYTES, FSX_OBJECT_BYTES, FSX_TIER_PASS_BYTES_MAX } from '@dotdo/core/limits'
import type { JobShard } from '@dotdo/core/shard'
import type { Swap, TierPolicy } from '../engine/tier.ts'
import { OBJECT_PIECES } from '../tables.ts'
import { planRanges, readRange } from './fetch.ts'
import { decode, encode, Pack } from './pack.ts'
import { ask, hexOf, type TierTools } from './tools.ts'

/** What a pass did. */
export interface TierReport {
  /** Chunks that left, and their bytes. */
  readonly chunks: number
  readonly bytes: number
  /** Objects that were written, and their bytes. */
  readonly objects: number
  readonly objectBytes: number
  /** Objects that were deleted. */
  readonly deleted: number
  /** Whether there is more to do than one pass does. */
  readonly more: boolean
}

/** Chunks of one step: they are in memory twice. */
const CHUNKS_PER_STEP = FSX_OBJECT_BYTES / FSX_CHUNK_BYTES
/** Bytes of content that wait for their object at the most, however well they are compressed. */
const WAITING_BYTES_MAX = 2 * FSX_OBJECT_BYTES

type Waiting = Omit<Swap, 'piece'> & { readonly index: number }

class Pass {
  chunks = 0
  bytes = 0
  objects = 0
  objectBytes = 0
  deleted = 0
  private pack = new Pack()
  private waiting: Waiting[] = []
  /** Pieces that were in another object. */
  private moving: { readonly from: number; readonly index: number }[] = []
  private waitingBytes = 0
  private readonly tools: TierTools
  private readonly shard: JobShard

  constructor(tools: TierTools, shard: JobShard) {
    this.tools = tools
    this.shard = shard
  }

  /** Let the chunks of a body leave. */
  async packBody(body: number): Promise<void> {
    for (let after = -1; ; ) {
      const rows = await ask(this.shard, 'tierTake', { body, after, limit: CHUNKS_PER_STEP })
      const hashes = rows.map(({ data }) => this.tools.sha256(data))
      const known = rows.length === 0 ? [] : await ask(this.shard, 'tierKnown', { hashes })
      const swaps: Swap[] = []
      for (const [i, row] of rows.entries()) {
        const piece = known[i]
        if (typeof piece === 'number') swaps.push({ ...row, piece })
        else await this.packChunk(row, hashes[i] as Uint8Array)
      }
      await this.swap(swaps)
      if (rows.length < CHUNKS_PER_STEP) return
      after = rows.at(-1)?.id as number
    }
  }

  private async packChunk(row: { id: number; data: Uint8Array }, hash: Uint8Array): Promise<void> {
    const { pack, tools } = this
    const index = pack.find(hash) ?? pack.add(hash, encode(tools, row.data), row.data.length)
    this.waiting.push({ ...row, index })
    this.waitingBytes += row.data.length
    if (pack.isFull || this.waitingBytes >= WAITING_BYTES_MAX || this.waiting.length >= OBJECT_PIECES)
      await this.writeObject()
  }

  /** Write what has been packed, and let the chunks go. */
  async writeObject(): Promise<void> {
    const { pack, waiting, moving, tools, shard } = this
    if (pack.pieces.length === 0) return
    this.pack = new Pack()
    this.waiting = []
    this.moving = []
    this.waitingBytes = 0
    const bytes = pack.join()
    const args = { prefix: `_fsx/${shard.database}/`, name: hexOf(tools.sha256(bytes)), bytes: bytes.length }
    const { object, key } = await ask(shard, 'tierBeginObject', args)
    await tools.store.put(key, bytes)
    const first = object * OBJECT_PIECES
    const made = pack.pieces.map((piece, index) => ({ ...piece, piece: first + index }))
    await ask(shard, 'tierCommit', { object, made })
    this.objects++
    this.objectBytes += bytes.length
    for (let at = 0; at < waiting.length; at += CHUNKS_PER_STEP) {
      const step = waiting.slice(at, at + CHUNKS_PER_STEP)
      await this.swap(step.map(({ id, data, index }) => ({ id, data, piece: first + index })))
    }
    const moves = moving.map(({ from, index }) => [from, first + index] as const)
    if (moves.length > 0) await ask(shard, 'tierMove', { moves })
  }

  /** Pack what is in use of objects that are mostly not. What cannot be read stays where it is. */
  async packAnew(): Promise<void> {
    for (let after: number | undefined = 0; after !== undefined; ) {
      const step: { sparse: number[]; after?: number } = await ask(this.shard, 'tierSparse', { after })
      for (const object of step.sparse) await this.packObject(object)
      after = step.after
    }
  }

  private async packObject(object: number): Promise<void> {
    const { tools, shard } = this
    const used = await ask(shard, 'tierUsed', { object })
    // A newer object may have it already: never an older one, or pieces would go to and fro.
    const known = await ask(shard, 'tierKnown', { hashes: used.map(({ hash }) => hash), from: object + 1 })
    const moves = used.flatMap(({ piece }, i) => (known[i] == null ? [] : [[piece, known[i]] as const]))
    if (moves.length > 0) await ask(shard, 'tierMove', { moves })
    for (const range of planRanges(used.filter((_, i) => known[i] == null))) {
      for (const [piece, stored] of (await readRange(tools, range)) ?? []) {
        if (decode(tools, stored, piece) === undefined) continue
        const index = this.pack.find(piece.hash) ?? this.pack.add(piece.hash, stored, piece.bytes)
        this.moving.push({ from: piece.piece, index })
        if (this.pack.isFull) await this.writeObject()
      }
    }
  }

  private async swap(swaps: readonly Swap[]): Promise<void> {
    if (swaps.length === 0) return
    const done = await ask(this.shard, 'tierSwap', { swaps })
    this.chunks += done.chunks
    this.bytes += done.bytes
  }

  /** Find what nobody refers to any more. */
  async collect(): Promise<void> {
    for (let after: number | undefined = 0; after !== undefined; ) {
      const step: { after?: number } = await ask(this.shard, 'tierCollect', { after })
      after = step.after
    }
  }

  /** Delete what is to be deleted. */
  async deleteObjects(): Promise<void> {
    for (;;) {
      const gone = await ask(this.shard, 'tierDeleting', {})
      if (gone.length === 0) return
      await this.tools.store.delete(gone.map(({ key }) => key))
      await ask(this.shard, 'tierForget', { gone: gone.map(({ object }) => object) })
      this.deleted += gone.length
    }
  }
}

/** Tell which bodies are cold: nobody who has one, or has one that stands on it, has used it lately. */
async function findCold(shard: JobShard, { olderThanMs, largerThanBytes }: TierPolicy, nowMs: number) {
  const used = new Map<number, { usedMs: number; size: number }>()
  const note = (body: number, usedMs: number, size: number) => {
    const known = used.get(body)
    used.set(body, { usedMs: Math.max(usedMs, known?.usedMs ?? 0), size: Math.max(size, known?.size ?? 0) })
  }
  for (let after: number | undefined = -1; after !== undefined; ) {
    const step: { found: readonly (readonly [number, number, number])[]; after?: number } = await ask(
      shard,
      'tierScan',
      { after },
    )
    for (const [body, usedMs, size] of step.found) note(body, usedMs, size)
    after = step.after
  }
  for (const [body, base] of await ask(shard, 'tierBases', {})) {
    const above = used.get(body)
    if (above !== undefined) note(base, above.usedMs, above.size)
  }
  const isCold = ({ usedMs, size }: { usedMs: number; size: number }) =>
    nowMs - usedMs >= olderThanMs && size >= largerThanBytes
  return [...used].filter(([, use]) => isCold(use)).map(([body]) => body)
}

/** What a pass is asked for. */
export interface PassArgs {
  /** A fork of which everything shall leave, whatever the policy. */
  readonly all?: string
}

async function bodiesToPack(
  shard: JobShard,
  { all, policy, nowMs }: { all: string | undefined; policy: TierPolicy | null; nowMs: number },
): Promise<number[]> {
  if (all !== undefined) return ask(shard, 'lendBodies', { on: { fork: all } })
  return policy === null ? [] : findCold(shard, policy, nowMs)
}

/** Run a pass.
 *  @throws what the store throws: the next pass goes on */
export async function runPass(tools: TierTools, shard: JobShard, { all }: PassArgs = {}): Promise<TierReport> {
  const pass = new Pass(tools, shard)
  const { policy, nowMs } = await ask(shard, 'tierBegin', {})
  await pass.deleteObjects()
  const cold = await bodiesToPack(shard, { all, policy, nowMs })
  let at = 0
  for (; at < cold.length && pass.bytes < FSX_TIER_PASS_BYTES_MAX; at++) await pass.packBody(cold[at] as number)
  await pass.packAnew()
  await pass.writeObject()
  await pass.collect()
  await pass.deleteObjects()
  const { chunks, bytes, objects, objectBytes, deleted } = pass
  return { chunks, bytes, objects, objectBytes, deleted, more: at < cold.length }
}
