/** The sha256 of bytes, in both hosts: workerd has node:crypto too. */
import { createHash } from 'node:crypto'

/** Hash bytes.
 *  @returns 32 bytes */
export function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha256').update(bytes).digest())
}
