/** Brings cold content back: by range, pieces that lie together in one request. */
import { Failure } from '@dotdo/core/errors'
import { FSX_COLD_GAP_BYTES, FSX_COLD_REQUESTS_MAX } from '@dotdo/core/limits'
import type { ColdRow, JobShard } from '@dotdo/core/shard'
import type { Piece } from '../engine/tier.ts'
import { decode } from './pack.ts'
import { ask, type TierTools } from './tools.ts'

/** Pieces of one object that are read at once. */
export interface Range {
  readonly key: string
  readonly start: number
  end: number
  readonly pieces: Piece[]
}

/** Plan the requests for pieces. */
export function planRanges(pieces: readonly Piece[]): Range[] {
  const ranges: Range[] = []
  for (const piece of [...pieces].sort((a, b) => a.piece - b.piece)) {
    const { key, at, stored } = piece
    const last = ranges.at(-1)
    if (last?.key === key && at - last.end <= FSX_COLD_GAP_BYTES) {
      last.pieces.push(piece)
      last.end = at + stored
    } else ranges.push({ key, start: at, end: at + stored, pieces: [piece] })
  }
  return ranges
}

/** Read the stored bytes of pieces.
 *  @returns undefined when the object is gone */
export async function readRange({ store }: TierTools, { key, start, end, pieces }: Range) {
  const body = await store.get(key, { range: { start, end } })
  return (
    body && pieces.map((piece) => [piece, body.bytes.subarray(piece.at - start).subarray(0, piece.stored)] as const)
  )
}

/** Do something for each, some at once. */
async function forEach<T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values()
  const run = async () => {
    for (const item of rest) await work(item)
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, run))
}

/** Put the content of cold chunks into their shard's memory.
 *  @throws storage when it is not in the store, or is damaged; what the store throws */
export async function fetchChunks(tools: TierTools, shard: JobShard, cold: readonly ColdRow[]): Promise<void> {
  const ids = cold.map(({ key }) => Number(key.id))
  const fetched: [number, Uint8Array][] = []
  const lost: Piece[] = []
  await forEach(planRanges(await ask(shard, 'tierLocate', { ids })), FSX_COLD_REQUESTS_MAX, async (range) => {
    const found = await readRange(tools, range)
    if (found === undefined) lost.push(...range.pieces)
    for (const [piece, stored] of found ?? []) {
      const content = decode(tools, stored, piece)
      if (content === undefined) lost.push(piece)
      else fetched.push([piece.piece, content])
    }
  })
  await ask(shard, 'tierKeep', { fetched })
  if (lost.length === 0) return
  // A chunk that was written or removed meanwhile needs its piece no more.
  const still = new Set((await ask(shard, 'tierLocate', { ids })).map(({ piece }) => piece))
  const missed = lost.find(({ piece }) => still.has(piece))
  if (missed === undefined) return
  throw new Failure('storage', `content at ${missed.at} of ${missed.key} is gone from the store, or is damaged`)
}
