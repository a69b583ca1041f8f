/** The scripts that a server knows by their SHA-1, for EVALSHA: of all its databases, and bounded.
 *
 *  Which goes first is told by use: clients send a script again when they hear NOSCRIPT. */
import type { Bin } from '@dotdo/core/bytes'
import { REDIS_SCRIPTS_BYTES_MAX } from '@dotdo/core/limits'
import { sha1Hex } from './sha1.ts'

/** Bytes that an entry takes besides the script. */
const ENTRY_BYTES = 200

/** Scripts by SHA-1. */
export class ScriptCache {
  private readonly bodies = new Map<Bin, Bin>()
  private readonly shas = new Map<Bin, Bin>()
  private readonly limitBytes: number
  private sizeBytes = 0

  constructor(limitBytes = REDIS_SCRIPTS_BYTES_MAX) {
    this.limitBytes = limitBytes
  }

  /** Find a script.
   *  @param sha in lower case */
  find(sha: Bin): Bin | undefined {
    const body = this.bodies.get(sha)
    if (body === undefined) return undefined
    this.bodies.delete(sha)
    this.bodies.set(sha, body)
    return body
  }

  /** Whether a script is there. */
  has(sha: Bin): boolean {
    return this.bodies.has(sha)
  }

  /** Keep a script.
   *  @returns its SHA-1 */
  add(body: Bin): Bin {
    const known = this.shas.get(body)
    if (known !== undefined) return known
    const sha = sha1Hex(body)
    this.bodies.set(sha, body)
    this.shas.set(body, sha)
    this.sizeBytes += body.length + ENTRY_BYTES
    for (const [oldest, text] of this.bodies) {
      if (this.sizeBytes <= this.limitBytes) break
      this.bodies.delete(oldest)
      this.shas.delete(text)
      this.sizeBytes -= text.length + ENTRY_BYTES
    }
    return sha
  }

  /** Forget all scripts. */
  clear(): void {
    this.bodies.clear()
    this.shas.clear()
    this.sizeBytes = 0
  }
}

const caches = new WeakMap<object, ScriptCache>()

/** Get the scripts of a server. */
export function scriptsOf(server: object): ScriptCache {
  let cache = caches.get(server)
  if (cache === undefined) {
    cache = new ScriptCache()
    caches.set(server, cache)
  }
  return cache
}
