/** Policies: what people write, checked and in numbers. */
import { Failure } from '../../errors.ts'
import { TIER_FLUSH_BYTES, TIER_FLUSH_EVERY_MS, TIER_TIME_MS_MAX } from '../../limits.ts'
import type { Policy, PolicyOptions } from './port.ts'
import { changesTable, deadLettersTable } from './schemas.ts'

const timeUnits = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const
const sizeUnits = { b: 1, kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3 } as const

/** Read a duration: a number and one of ms, s, m, h, d, w.
 *  @param name of the option, for the message
 *  @returns milliseconds
 *  @throws invalid */
export function parseDuration(name: string, text: unknown): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)$/.exec(String(text).trim().toLowerCase()) ?? []
  const ms = Math.round(Number(number) * timeUnits[unit as keyof typeof timeUnits])
  if (typeof text !== 'string' || !(ms <= TIER_TIME_MS_MAX)) {
    throw new Failure('invalid', `${name} ${shown(text)} is no duration: write 500ms, 30s, 15m, 6h, 7d or 2w`)
  }
  return ms
}

/** Read a size: a number and one of b, kb, mb, gb, which are powers of 1024.
 *  @param name of the option, for the message
 *  @returns bytes
 *  @throws invalid */
export function parseSize(name: string, text: unknown): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)\s*(b|kb|mb|gb)$/.exec(String(text).trim().toLowerCase()) ?? []
  const bytes = Math.round(Number(number) * sizeUnits[unit as keyof typeof sizeUnits])
  if (typeof text !== 'string' || !Number.isSafeInteger(bytes)) {
    throw new Failure('invalid', `${name} ${shown(text)} is no size: write 512kb, 64mb or 2gb`)
  }
  return bytes
}

const shown = (value: unknown) => JSON.stringify(value)?.slice(0, 80)

/** What a policy's collection is like. */
export interface PolicySubject {
  readonly collection: string
  /** Whether its rows have a payload that may leave. */
  readonly payload: boolean
  /** The stores that `cold` may name. */
  readonly stores: readonly string[]
}

const known: readonly (keyof PolicyOptions)[] = [
  'mirror',
  'changes',
  'hotFor',
  'maxHotRows',
  'maxHotBytes',
  'flushEvery',
  'flushBytes',
  'cold',
]

/** Check a policy.
 *  @throws invalid for an option that is unknown, cannot be read, or cannot be honoured */
export function parsePolicy(options: PolicyOptions, subject: PolicySubject): Policy {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new Failure('invalid', `a policy is an object of options, not ${shown(options)}`)
  }
  for (const name of Object.keys(options)) {
    if (!known.includes(name as never)) {
      throw new Failure('invalid', `no policy option ${shown(name)}; there are ${known.join(', ')}`)
    }
  }
  const { collection } = subject
  if (collection === changesTable || collection === deadLettersTable) {
    throw new Failure('invalid', `collection ${collection} cannot be tiered: the lake has a table of that name`)
  }
  const mirror = flag('mirror', options.mirror)
  const changes = flag('changes', options.changes)
  if (!mirror && !changes) throw new Failure('invalid', 'a policy with neither mirror nor changes does nothing')
  const leaving = leavingOf(options)
  if (Object.keys(leaving).length > 0) checkLeaving(Object.keys(leaving)[0] as string, mirror, subject)
  const flushEveryMs =
    options.flushEvery === undefined ? TIER_FLUSH_EVERY_MS : parseDuration('flushEvery', options.flushEvery)
  const flushBytes = options.flushBytes === undefined ? TIER_FLUSH_BYTES : parseSize('flushBytes', options.flushBytes)
  if (flushEveryMs < 1) throw new Failure('invalid', 'flushEvery must be 1ms at the least')
  if (flushBytes < 1) throw new Failure('invalid', 'flushBytes must be 1b at the least')
  const cold = options.cold === undefined ? undefined : coldOf(options.cold, subject.stores)
  return { mirror, changes, ...leaving, flushEveryMs, flushBytes, ...(cold && { cold }) }
}

type Leaving = Pick<Policy, 'hotForMs' | 'maxHotRows' | 'maxHotBytes'>

function leavingOf({ hotFor, maxHotRows, maxHotBytes }: PolicyOptions): Leaving {
  if (maxHotRows !== undefined && !(Number.isSafeInteger(maxHotRows) && maxHotRows >= 0)) {
    throw new Failure('invalid', `maxHotRows ${shown(maxHotRows)}: an integer from 0 on is right`)
  }
  return {
    ...(hotFor !== undefined && { hotForMs: parseDuration('hotFor', hotFor) }),
    ...(maxHotRows !== undefined && { maxHotRows }),
    ...(maxHotBytes !== undefined && { maxHotBytes: parseSize('maxHotBytes', maxHotBytes) }),
  }
}

function checkLeaving(option: string, mirror: boolean, { collection, payload }: PolicySubject): void {
  const name = option.replace(/Ms$/, '')
  if (!payload) throw new Failure('invalid', `${name}: rows of ${collection} have no payload that could leave`)
  if (!mirror) throw new Failure('invalid', `${name} needs mirror: payloads come back from the mirror`)
}

function flag(name: string, value: unknown): boolean {
  if (value === undefined) return true
  if (typeof value !== 'boolean') throw new Failure('invalid', `${name} ${shown(value)}: true or false is right`)
  return value
}

function coldOf(cold: unknown, stores: readonly string[]): { afterMs: number; store: string } {
  const { after, store, ...rest } = (typeof cold === 'object' && cold !== null ? cold : {}) as Record<string, unknown>
  if (after === undefined || typeof store !== 'string' || Object.keys(rest).length > 0) {
    throw new Failure('invalid', `cold ${shown(cold)}: { after, store } is right`)
  }
  if (!stores.includes(store)) {
    const there = stores.length === 0 ? 'none is set up' : `there are ${stores.join(', ')}`
    throw new Failure('invalid', `cold.store ${shown(store)} is no archive of this lake: ${there}`)
  }
  return { afterMs: parseDuration('cold.after', after), store }
}
