/** Names and marks from a host's randomness. */
import type { Clock } from '../../shard/clock.ts'
import { formatUuid } from './values.ts'

/** Where chance comes from. */
export type Chance = Pick<Clock, 'random'>

/** Make random bytes. */
export function randomBytes(chance: Chance, count: number): Uint8Array {
  const bytes = new Uint8Array(count)
  for (let at = 0; at < count; at += 6) {
    let rest = chance.random()
    for (let byte = at; byte < Math.min(at + 6, count); byte++) {
      bytes[byte] = rest % 256
      rest = Math.floor(rest / 256)
    }
  }
  return bytes
}

/** Make a random uuid.
 *  @source RFC 9562, version 4 */
export function randomUuid(chance: Chance): string {
  const bytes = randomBytes(chance, 16)
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x40
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80
  return formatUuid(bytes)
}

/** Make a snapshot id: positive, and within 2^53, so that every JSON reader keeps it. */
export function randomSnapshotId(chance: Chance): number {
  return chance.random() * 31 + (chance.random() % 31) + 1
}
