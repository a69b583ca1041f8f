/** Names that another shard has, of a filesystem over several (spread.ts). */
import { toBin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { murmur3 } from '@dotdo/core/shard'
import type { ErrnoDetail } from '../errors.ts'

/** Which of how many shards a filesystem is; they are counted from 0. */
export interface Part {
  readonly shard: number
  readonly shards: number
}

const encoder = new TextEncoder()

/** Tell on which of several shards a name in the root is.
 *  @returns the same for ever */
export function shardOfName(name: string, shards: number): number {
  return murmur3(toBin(encoder.encode(name))) % shards
}

/** Whether a path means the root whatever there is: slashes and dots alone. */
export function isRootPath(path: string): boolean {
  return path.split('/').every((name) => name === '' || name === '.' || name === '..')
}

interface ElsewhereDetail extends ErrnoDetail {
  readonly elsewhere: string
}

/** Make the failure for a path that leads to what another shard has: whoever knows them asks that one for the path. */
export function elsewhere(path: string): Failure {
  const detail: ElsewhereDetail = { errno: 'EXDEV', elsewhere: path }
  return new Failure('cross_shard', `EXDEV: ${path} is on another shard of this filesystem`, detail)
}

/** @returns the path that another shard must be asked for; undefined when something else went wrong */
export function elsewhereOf(error: unknown): string | undefined {
  return error instanceof Failure ? (error.detail as Partial<ElsewhereDetail> | undefined)?.elsewhere : undefined
}

/** Go on with a path; when the beginning leads elsewhere, all of it does.
 *  @param rest what is behind the beginning */
export function leading<T>(rest: string, beginning: () => T): T {
  try {
    return beginning()
  } catch (error) {
    const path = elsewhereOf(error)
    throw path === undefined ? error : elsewhere(path + rest)
  }
}
