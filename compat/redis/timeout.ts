/** The time-out of a blocking command.
 *  @source timeout.c getTimeoutFromObjectOrReply of Redis 7.2 */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { Blocking } from './command.ts'
import { parseInt64 } from './engine/integers.ts'

const floatForm = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i

/** Find where the time-out stands in argv.
 *  @returns undefined when the request waits for nothing */
export function timeoutPlace({ timeoutAt }: Blocking, argv: readonly Bin[]): number | undefined {
  if (typeof timeoutAt === 'function') return timeoutAt(argv)
  return timeoutAt < 0 ? argv.length + timeoutAt : timeoutAt
}

function inMs(argument: Bin, unit: Blocking['unit']): number {
  if (unit === 'ms') {
    const exact = parseInt64(argument)
    if (exact === undefined) throw new Failure('invalid', 'ERR timeout is not an integer or out of range')
    return Number(exact)
  }
  if (!floatForm.test(argument)) throw new Failure('invalid', 'ERR timeout is not a float or out of range')
  return Math.ceil(Number(argument) * 1000)
}

/** Read how long a request waits.
 *  @returns ms, 0 for ever; undefined when it waits for nothing
 *  @throws invalid, in Redis' words */
export function readTimeout(block: Blocking, argv: readonly Bin[]): number | undefined {
  const at = timeoutPlace(block, argv)
  if (at === undefined) return undefined
  const timeoutMs = inMs(argv[at] ?? '', block.unit)
  if (timeoutMs > 2 ** 63 - 1 - Date.UTC(2000)) throw new Failure('invalid', 'ERR timeout is out of range')
  if (timeoutMs < 0) throw new Failure('invalid', 'ERR timeout is negative')
  return timeoutMs
}
