/** What the cases of the ObjectStore share. */
import type { ExpectStatic } from 'vitest'
import { type Code, Failure } from '../../errors.ts'
import type { ObjectStore } from './port.ts'

/** One thing that every store does. */
export interface ObjectCase {
  readonly name: string
  /** @param store an empty one of its own */
  run(store: ObjectStore, expect: ExpectStatic): Promise<void>
}

/** Encode text. */
export function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

/** Make bytes that differ everywhere, so that a part in the wrong place shows. */
export function patterned(sizeBytes: number, seed = 1): Uint8Array {
  const words = new Uint32Array(Math.ceil(sizeBytes / 4))
  let state = seed
  for (let i = 0; i < words.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    words[i] = state
  }
  return new Uint8Array(words.buffer, 0, sizeBytes)
}

/** Whether bytes are equal; for large ones, of which a test runner would compare every byte as an object. */
export function isSame(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a !== undefined && a.length === b.length && a.every((byte, i) => byte === b[i])
}

/** Expect a call to fail with a code. */
export async function expectFailure(expect: ExpectStatic, code: Code, work: () => Promise<unknown>): Promise<Failure> {
  const outcome = await work().then(
    (value) => ({ value }),
    (error: unknown) => error,
  )
  expect(outcome).toBeInstanceOf(Failure)
  expect((outcome as Failure).code, (outcome as Failure).message).toBe(code)
  return outcome as Failure
}
