/** The parameters of CONFIG: those that say how this server is, and the few that change what it does at once.
 *
 *  1. Nothing is taken that has no effect: a parameter that is fixed may be set to what it is, and to nothing else.
 *  2. What is set lasts as long as the server; there is no file to write it to.
 *
 *  @source config.c of Redis 7.2, for names, bounds and errors */
import { Failure } from '@dotdo/core/errors'
import { REDIS_BULK_BYTES_MAX, REDIS_HLL_SPARSE_BYTES_MAX } from '@dotdo/core/limits'
import { parameterNames } from './config-names.ts'
import type { ServerInfo } from './server.ts'

/** Parameters that can be set: their first value, and the least they may be. */
const changeable: Readonly<Record<string, { first: number; min: number }>> = {
  'acllog-max-len': { first: 128, min: 0 },
  'latency-monitor-threshold': { first: 0, min: 0 },
  'slowlog-log-slower-than': { first: 10_000, min: -1 },
  'slowlog-max-len': { first: 128, min: 0 },
}

/** The numbers that can be set. */
export type NumberParameter =
  | 'acllog-max-len'
  | 'latency-monitor-threshold'
  | 'slowlog-log-slower-than'
  | 'slowlog-max-len'

/** What Redis itself sets at its start alone. */
const immutable: ReadonlySet<string> = new Set(['cluster-enabled', 'databases', 'port'])

/** The parameters that are fixed here, with what they are. */
function fixed({ durability, port }: ServerInfo): Record<string, string> {
  return {
    // Every write is in the log before it is acknowledged; there are no snapshots to schedule.
    appendonly: 'yes',
    appendfsync: durability === 'full' ? 'always' : 'no',
    save: '',
    databases: '16',
    'hll-sparse-max-bytes': String(REDIS_HLL_SPARSE_BYTES_MAX),
    maxmemory: '0',
    'maxmemory-policy': 'noeviction',
    'proto-max-bulk-len': String(REDIS_BULK_BYTES_MAX),
    timeout: '0',
    'cluster-enabled': 'no',
    ...(port === undefined ? {} : { port: String(port) }),
  }
}

/** @source util.c of Redis 7.2, memtoull: `1kb` is 1024, `1k` is 1000 */
function memoryBytes(text: string): string {
  const [, digits, unit = ''] = /^(\d+)(b|k|kb|m|mb|g|gb)?$/i.exec(text) ?? []
  if (digits === undefined) return text
  const factors: Record<string, number> = { k: 1e3, kb: 2 ** 10, m: 1e6, mb: 2 ** 20, g: 1e9, gb: 2 ** 30 }
  return String(Number(digits) * (factors[unit.toLowerCase()] ?? 1))
}

function refuse(name: string, why: string): never {
  throw new Failure('invalid', `ERR CONFIG SET failed (possibly related to argument '${name}') - ${why}`)
}

function toNumber(name: string, text: string): number {
  if (!/^-?\d+$/.test(text)) return refuse(name, "argument couldn't be parsed into an integer")
  const value = Number(text)
  const min = changeable[name]?.min as number
  const good = value >= min && Number.isSafeInteger(value)
  return good ? value : refuse(name, `argument must be between ${min} and 9223372036854775807 inclusive`)
}

/** The parameters of a server. */
export class Config {
  private readonly info: ServerInfo
  private readonly numbers = new Map(Object.entries(changeable).map(([name, { first }]) => [name, first]))

  /** @param info read whenever it is asked for: the port comes later */
  constructor(info: ServerInfo) {
    this.info = info
  }

  /** Read a number that can be set. */
  number(name: NumberParameter): number {
    return this.numbers.get(name) as number
  }

  /** Read every parameter, by name. */
  all(): [name: string, value: string][] {
    const numbers = [...this.numbers].map(([name, value]): [string, string] => [name, String(value)])
    return [...Object.entries(fixed(this.info)), ...numbers]
  }

  /** Set parameters, all of them or none.
   *  @throws invalid naming the one that cannot be */
  set(pairs: readonly (readonly [name: string, value: string])[]): void {
    const known = fixed(this.info)
    const named = pairs.map(([name, value]) => [name.toLowerCase(), value] as const)
    const unknown = named.find(([name]) => !this.numbers.has(name) && !(name in known) && !parameterNames.has(name))
    if (unknown)
      throw new Failure('invalid', `ERR Unknown option or number of arguments for CONFIG SET - '${unknown[0]}'`)
    const numbers = new Map<string, number>()
    const seen = new Set<string>()
    for (const [name, value] of named) {
      if (seen.has(name)) refuse(name, 'duplicate parameter')
      seen.add(name)
      if (this.numbers.has(name)) numbers.set(name, toNumber(name, value))
      else if (immutable.has(name)) refuse(name, "can't set immutable config")
      else if (!(name in known)) refuse(name, 'this server has nothing that it would change')
      else if (memoryBytes(value.toLowerCase()) !== known[name]) refuse(name, `it is always '${known[name]}' here`)
    }
    for (const [name, value] of numbers) this.numbers.set(name, value)
  }
}
