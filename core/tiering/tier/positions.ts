/** How far each shard is in a table, as the table's snapshots tell it.
 *
 *  1. A snapshot of ours has the position of every shard, in its summary or in a side file that the summary names.
 *  2. Snapshots of others have none: the newest ancestor that has them counts.
 *  3. Epochs are told, not compared: within one incarnation a seq is enough.
 *  4. Beside its position stands the receipt that brought a shard there: that one is committed, whatever its end. */
import { Failure } from '../../errors.ts'
import { TIER_POSITIONS_INLINE_MAX } from '../../limits.ts'
import type { Position } from '../../shard/program.ts'
import type { LakeFiles } from '../iceberg/files.ts'
import { ancestorsOf } from '../iceberg/history.ts'
import type { Snapshot, TableMetadata } from '../iceberg/metadata.ts'
import { type Chance, randomUuid } from '../iceberg/random.ts'
import { metadataFolder } from '../iceberg/work.ts'

/** The summary's property with the positions themselves. */
export const positionsProperty = 'dotdo.positions'
/** The summary's property that names the file with the positions. */
export const positionsFileProperty = 'dotdo.positions-file'

/** How far a shard is, and by which receipt. */
export interface Reached extends Position {
  readonly receipt: string
}

/** Positions by shard. */
export type Positions = ReadonlyMap<number, Reached>

type Written = { readonly [shard: string]: readonly [incarnation: string, epoch: number, seq: number, receipt: string] }

const utf8 = new TextEncoder()
const text = new TextDecoder()

/** Whether two positions are the same place of one history. */
export function samePosition(a: Position | undefined, b: Position | undefined): boolean {
  return a?.incarnation === b?.incarnation && a?.seq === b?.seq
}

/** Show a position to people. */
export function showPosition(position: Position | undefined): string {
  return position === undefined ? 'nothing' : `${position.seq} of ${position.incarnation}`
}

/** Write positions as text. */
export function formatPositions(positions: Positions): string {
  const written: Record<string, Written[string]> = {}
  for (const [shard, { incarnation, epoch, seq, receipt }] of [...positions].sort(([a], [b]) => a - b)) {
    written[shard] = [incarnation, epoch, seq, receipt]
  }
  return JSON.stringify(written)
}

/** Read positions back.
 *  @throws storage when the text is none of ours */
export function parsePositions(written: string): Positions {
  try {
    const entries = Object.entries(JSON.parse(written) as Written)
    return new Map(
      entries.map(([shard, [incarnation, epoch, seq, receipt]]) => {
        return [Number(shard), { incarnation, epoch, seq, receipt }]
      }),
    )
  } catch (error) {
    throw new Failure('storage', `positions cannot be read: ${written.slice(0, 80)}`, undefined, error)
  }
}

/** Find the snapshot whose positions count. */
export function snapshotWithPositions(metadata: TableMetadata): Snapshot | undefined {
  const line = ancestorsOf(metadata, metadata.refs.main?.['snapshot-id'])
  return line.find(({ summary }) => positionsProperty in summary || positionsFileProperty in summary)
}

/** Read how far each shard is in a table.
 *  @cost nothing, or one file when there are many shards */
export async function readPositions(files: LakeFiles, metadata: TableMetadata): Promise<Positions> {
  const summary = snapshotWithPositions(metadata)?.summary
  const inline = summary?.[positionsProperty]
  if (inline !== undefined) return parsePositions(inline)
  const path = summary?.[positionsFileProperty]
  return path === undefined ? new Map() : parsePositions(text.decode(await files.read(path)))
}

/** Put positions into a snapshot's summary, by way of a file where there are many.
 *  @returns the properties of the summary */
export async function writePositions(
  files: LakeFiles,
  metadata: TableMetadata,
  { positions, chance }: { readonly positions: Positions; readonly chance: Chance },
): Promise<{ [key: string]: string }> {
  const written = formatPositions(positions)
  if (positions.size <= TIER_POSITIONS_INLINE_MAX) return { [positionsProperty]: written }
  const path = `${metadataFolder(metadata)}/dotdo-positions-${randomUuid(chance)}.json`
  await files.write(path, utf8.encode(written))
  return { [positionsFileProperty]: path }
}

/** List the side files that a table's snapshots name: nothing else in the metadata does. */
export function positionFiles(metadata: TableMetadata): string[] {
  return metadata.snapshots.flatMap(({ summary }) => summary[positionsFileProperty] ?? [])
}
