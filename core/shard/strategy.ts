/** Strategies: how a key finds its slot. A strategy is fixed for the life of its database; the map alone changes.
 *
 *  1. `slotOf` is pure: the same key gives the same slot in every process, for ever.
 *  2. A strategy is plain data (`StrategyData`, kept in the catalog); only the function of `custom` is not, and is
 *     given again by name when the database is opened.
 *  3. Keys come as binary strings in one of two forms: `raw` (the key's bytes, as Redis has them) or `typed` (the
 *     canonical bytes of hash.ts, so that 1 is not '1'). Boundaries, pins and functions see keys of the same form.
 *  4. An option that is unknown, or impossible with the others, is refused; none is ignored. */
import { type Bin, textToBin, toBin } from '../bytes.ts'
import { assert, Failure } from '../errors.ts'
import { PINS_MAX, SHARD_COUNT_MAX, SLOT_COUNT } from '../limits.ts'
import type { Scalar } from './hash.ts'
import { canonicalKey, canonicalSlot, compoundKey, crc16Slot, fromCanonicalKey, murmur3, murmur3Slot } from './hash.ts'
import { slotOfId } from './id.ts'

/** Which hash: `crc16` agrees with Redis Cluster and needs raw keys; `murmur3` spreads better and is for all others. */
export type Partitioner = 'crc16' | 'murmur3'
/** In which form keys come: as they are, or as canonical typed bytes. */
export type KeyForm = 'raw' | 'typed'

/** Place a key by one's own rule: a number is the slot, anything else is the key to be hashed in place of this one.
 *  Must be pure. A raw key comes as a binary string. */
export type CustomRoute = (key: Scalar) => number | string | Uint8Array
/** Functions of custom strategies, by name. */
export type CustomRoutes = { readonly [name: string]: CustomRoute }

/** A strategy as plain data. Boundaries and pinned keys are binary strings in the form `keys` says. */
export type StrategyData =
  | { readonly kind: 'hash'; readonly keys: KeyForm; readonly partitioner: Partitioner }
  /** Range i holds the keys from boundary i-1 (included) to boundary i, and lives in `slots[i]`. */
  | { readonly kind: 'range'; readonly keys: KeyForm; readonly boundaries: Bin[]; readonly slots: number[] }
  /** Keys that are not ids of ours are hashed by murmur3. */
  | { readonly kind: 'round-robin'; readonly keys: KeyForm }
  /** Pin i owns a slot of its own, `SLOT_COUNT - reserved + i`, placed on its shard at first; all else is hashed. */
  | { readonly kind: 'directory'; readonly keys: KeyForm; readonly reserved: number; readonly pins: [Bin, number][] }
  | { readonly kind: 'custom'; readonly keys: KeyForm; readonly partitioner: Partitioner; readonly name: string }

/** A strategy, ready to place keys. */
export interface Strategy {
  readonly data: StrategyData
  /** The hash it uses, if it hashes at all (`range` does not). */
  readonly partitioner: Partitioner | undefined
  /** Find the slot of a key in the form `data.keys` says. */
  slotOf(key: Bin): number
  /** Find the slot of a value: text or bytes for raw keys, any scalar for typed ones.
   *  @throws invalid for a value that cannot be a key in this form */
  slotOfValue(value: Scalar): number
}

/** What can be asked of `shard()`. */
export interface ShardOptions {
  /** Field or fields (dotted paths) that place a record; without it, the record's own key does. */
  readonly key?: string | readonly string[]
  /** How many shards, 1 to 1000. Default 1. */
  readonly count?: number
  /** Default `hash`. */
  readonly strategy?: StrategyData['kind']
  /** In which form keys come. Default `raw` for crc16, else `typed`. */
  readonly keys?: KeyForm
  /** The hash of `hash` and `custom`. Default `murmur3`. */
  readonly partitioner?: Partitioner
  /** For `range`: where one range ends and the next begins, ascending; n boundaries make n + 1 ranges. */
  readonly boundaries?: readonly Scalar[]
  /** For `directory`: keys and the shard each is placed on. */
  readonly pins?: readonly (readonly [key: Scalar, shard: number])[]
  /** For `directory`: how many slots are kept for pins. Default 1024. */
  readonly reserved?: number
  /** For `custom`: the function, and the name under which it is given again on open. */
  readonly custom?: { readonly name: string; readonly route: CustomRoute }
}

/** What `shard()` makes of its options. */
export interface Sharding {
  /** The fields of the shard key; empty for the record's own key. */
  readonly key: readonly string[]
  readonly count: number
  readonly strategy: Strategy
}

const common = ['key', 'count', 'strategy', 'keys'] as const
const particular = {
  hash: ['partitioner'],
  range: ['boundaries'],
  'round-robin': [],
  directory: ['pins', 'reserved'],
  custom: ['custom', 'partitioner'],
} as const satisfies Record<StrategyData['kind'], readonly (keyof ShardOptions)[]>
const reservedDefault = 1_024

function refuse(option: string, why: string): never {
  throw new Failure('invalid', `shard(): ${option}: ${why}`, { option })
}

/** A value for a message, short. What JSON cannot say (a bigint, a circle) is named by its type. */
function show(value: unknown): string {
  try {
    return (JSON.stringify(value) ?? String(value)).slice(0, 60)
  } catch {
    return `a ${typeof value}`
  }
}

function whole(option: string, value: unknown, least: number, most: number): number {
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return value as number
  return refuse(option, `${show(value)} is not a whole number from ${least} to ${most}`)
}

function oneOf<T extends string>(option: string, value: unknown, choices: readonly T[]): T {
  if (choices.includes(value as T)) return value as T
  return refuse(option, `${show(value)} is not one of ${choices.join(', ')}`)
}

/** Write a value in the form that the strategy's keys have. */
function inForm(form: KeyForm, value: unknown, option: string): Bin {
  if (value instanceof Uint8Array) return form === 'typed' ? canonicalKey(value) : toBin(value)
  if (typeof value === 'string') return form === 'typed' ? canonicalKey(value) : textToBin(value)
  if (form === 'raw') return refuse(option, `${show(value)} is not text or bytes, as raw keys are`)
  if (value === null || typeof value === 'boolean' || typeof value === 'number') return canonicalKey(value)
  return refuse(option, `${show(value)} is not null, a boolean, a number, text or bytes`)
}

/** Declare how a database or collection is spread over shards.
 *  @throws invalid, naming the option in its detail `{ option }`, when one is unknown or impossible */
export function shard(options: ShardOptions): Sharding {
  const kind = oneOf('strategy', options.strategy ?? 'hash', Object.keys(particular) as StrategyData['kind'][])
  const known: readonly string[] = [...common, ...particular[kind]]
  for (const [option, value] of Object.entries(options)) {
    if (value === undefined || known.includes(option)) continue
    const elsewhere = Object.entries(particular).filter(([, names]) => (names as readonly string[]).includes(option))
    if (elsewhere.length === 0) refuse(option, `no such option; there are ${known.join(', ')}`)
    refuse(option, `goes with strategy ${elsewhere.map(([name]) => name).join(' or ')}, not with ${kind}`)
  }
  const count = whole('count', options.count ?? 1, 1, SHARD_COUNT_MAX)
  const partitioner = oneOf<Partitioner>('partitioner', options.partitioner ?? 'murmur3', ['crc16', 'murmur3'])
  const keys = oneOf<KeyForm>('keys', options.keys ?? (partitioner === 'crc16' ? 'raw' : 'typed'), ['raw', 'typed'])
  if (partitioner === 'crc16' && keys === 'typed') refuse('keys', 'crc16 hashes raw keys, as Redis Cluster does')
  const key = keyFields(options.key, kind, keys)
  const data = strategyData(kind, { ...options, count, partitioner, keys })
  const { custom } = options
  return { key, count, strategy: openStrategy(data, custom === undefined ? {} : { [custom.name]: custom.route }) }
}

function keyFields(key: unknown, kind: StrategyData['kind'], form: KeyForm): readonly string[] {
  if (key === undefined) return []
  const fields: unknown[] = Array.isArray(key) ? key : [key]
  const good = fields.length > 0 && fields.every((field) => typeof field === 'string' && field !== '')
  if (!good) refuse('key', `${show(key)} is not the name of a field, or several`)
  if (new Set(fields).size < fields.length) refuse('key', `${show(key)} names a field twice`)
  if (fields.length > 1 && kind !== 'hash') refuse('key', `several fields go with strategy hash, not with ${kind}`)
  if (fields.length > 1 && form === 'raw') refuse('key', 'several fields need keys typed')
  return fields as string[]
}

type Checked = ShardOptions & { count: number; partitioner: Partitioner; keys: KeyForm }

function strategyData(kind: StrategyData['kind'], options: Checked): StrategyData {
  const { partitioner, keys } = options
  switch (kind) {
    case 'hash':
      return { kind, keys, partitioner }
    case 'range':
      return rangeData(options)
    case 'round-robin':
      return { kind, keys }
    case 'directory':
      return directoryData(options)
    case 'custom': {
      const { custom } = options
      if (typeof custom?.name !== 'string' || custom.name === '') refuse('custom', 'needs a name')
      if (typeof custom.route !== 'function') refuse('custom', 'needs route, a function from key to slot or key')
      return { kind, keys, partitioner, name: custom.name }
    }
  }
}

function rangeData({ boundaries: given, count, keys }: Checked): StrategyData {
  if (!Array.isArray(given) || given.length === 0) refuse('boundaries', 'a range needs one boundary or more')
  const boundaries = given.map((value) => inForm(keys, value, 'boundaries'))
  for (let i = 1; i < boundaries.length; i++) {
    if ((boundaries[i] as Bin) > (boundaries[i - 1] as Bin)) continue
    refuse('boundaries', `${show(given[i])} does not come after ${show(given[i - 1])}`)
  }
  const ranges = boundaries.length + 1
  if (ranges > SLOT_COUNT) refuse('boundaries', `${ranges} ranges are more than the ${SLOT_COUNT} slots`)
  if (ranges < count) refuse('boundaries', `${ranges} ranges leave some of ${count} shards without any`)
  // Virtual slots far apart, so that a range can be split later, and so that each shard's run of slots gets its share.
  const slots = Array.from({ length: ranges }, (_, i) => Math.ceil((i * SLOT_COUNT) / ranges))
  return { kind: 'range', keys, boundaries, slots }
}

function directoryData({ pins: given, reserved: wanted, count, keys }: Checked): StrategyData {
  if (!Array.isArray(given)) refuse('pins', 'a directory needs a list of [key, shard], which may be empty')
  const reserved = whole('reserved', wanted ?? reservedDefault, 1, PINS_MAX)
  if (given.length > reserved) refuse('pins', `${given.length} are more than the ${reserved} reserved slots`)
  const pins = given.map((pin): [Bin, number] => {
    if (!Array.isArray(pin) || pin.length !== 2) refuse('pins', `${show(pin)} is not [key, shard]`)
    return [inForm(keys, pin[0], 'pins'), whole('pins', pin[1], 0, count - 1)]
  })
  const twice = pins.findIndex(([key], i) => pins.findIndex(([other]) => other === key) < i)
  if (twice >= 0) refuse('pins', `${show((given[twice] as [Scalar])[0])} is pinned twice`)
  return { kind: 'directory', keys, reserved, pins }
}

const hashes = { crc16: crc16Slot, murmur3: murmur3Slot } as const

/** Make a strategy of its data.
 *  @param routes the functions of custom strategies, by name
 *  @throws invalid for a kind we do not know, or when the function of a custom strategy is not among `routes` */
export function openStrategy(data: StrategyData, routes: CustomRoutes = {}): Strategy {
  const slotOf = slotsBy(data, routes)
  const partitioner = data.kind === 'range' ? undefined : 'partitioner' in data ? data.partitioner : 'murmur3'
  const direct = data.kind === 'hash' && data.keys === 'typed'
  const slotOfValue = direct ? canonicalSlot : (value: Scalar) => slotOf(inForm(data.keys, value, 'keys'))
  return { data, partitioner, slotOf, slotOfValue }
}

function slotsBy(data: StrategyData, routes: CustomRoutes): Strategy['slotOf'] {
  switch (data.kind) {
    case 'hash':
      return hashes[data.partitioner]
    case 'range':
      return rangeSlots(data.boundaries, data.slots)
    case 'round-robin':
      return roundRobinSlots(data.keys)
    case 'directory':
      return directorySlots(data.pins, data.reserved)
    case 'custom': {
      const route = Object.hasOwn(routes, data.name) ? routes[data.name] : undefined
      return route ? customSlots(data, route) : refuse('custom', `the function named ${data.name} was not given`)
    }
    default:
      return refuse('strategy', `${show((data as { kind: unknown }).kind)} is not known`)
  }
}

function rangeSlots(boundaries: readonly Bin[], slots: readonly number[]): Strategy['slotOf'] {
  return (key) => {
    let low = 0
    let high = boundaries.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((boundaries[middle] as Bin) <= key) low = middle + 1
      else high = middle
    }
    return slots[low] as number
  }
}

function roundRobinSlots(form: KeyForm): Strategy['slotOf'] {
  const tag = form === 'typed' ? canonicalKey('') : ''
  return (key) => (key.startsWith(tag) ? slotOfId(key.slice(tag.length)) : undefined) ?? murmur3Slot(key)
}

function directorySlots(pins: readonly (readonly [Bin, number])[], reserved: number): Strategy['slotOf'] {
  const hashed = SLOT_COUNT - reserved
  const pinned = new Map(pins.map(([key], i) => [key, hashed + i]))
  return (key) => pinned.get(key) ?? murmur3(key) % hashed
}

function customSlots(data: { keys: KeyForm; partitioner: Partitioner; name: string }, route: CustomRoute) {
  const hash = hashes[data.partitioner]
  return (key: Bin) => {
    const placed: unknown = route(data.keys === 'typed' ? fromCanonicalKey(key) : key)
    if (typeof placed === 'number') {
      if (Number.isInteger(placed) && placed >= 0 && placed < SLOT_COUNT) return placed
    } else if (placed instanceof Uint8Array) {
      return hash(data.keys === 'typed' ? canonicalKey(placed) : toBin(placed))
    } else if (typeof placed === 'string') {
      // A raw key is a binary string already; what a function cuts out of it must not be encoded once more.
      return hash(data.keys === 'typed' ? canonicalKey(placed) : placed)
    }
    return refuse('custom', `${data.name} answered ${show(placed)}: not a slot (0 to ${SLOT_COUNT - 1}), nor a key`)
  }
}

/** List the slots that are to be spread over the shards, in groups that are each spread evenly on their own.
 *  Pinned slots are in no group: they stay where they were put. All others are in exactly one. */
export function slotGroups(data: StrategyData): number[][] {
  const all = Array.from({ length: SLOT_COUNT }, (_, slot) => slot)
  if (data.kind === 'range') {
    // The slots that hold a range matter; the empty rest only must be owned by someone.
    const live = new Set(data.slots)
    return [data.slots.slice(), all.filter((slot) => !live.has(slot))].filter((group) => group.length > 0)
  }
  if (data.kind === 'directory') {
    const hashed = SLOT_COUNT - data.reserved
    return [all.slice(0, hashed), all.slice(hashed + data.pins.length)].filter((group) => group.length > 0)
  }
  return [all]
}

/** List the pinned slots and the shard each was put on. */
export function pinnedSlots(data: StrategyData): (readonly [slot: number, shard: number])[] {
  if (data.kind !== 'directory') return []
  return data.pins.map(([, shard], i) => [SLOT_COUNT - data.reserved + i, shard])
}

/** Write the shard key of a record: its fields' values in the form of the strategy's keys. An absent field is null.
 *  @param sharding with a `key`: a record placed by its own key has no field to look at
 *  @throws invalid when a field holds what cannot be a key (an object, a list) */
export function shardKeyOf(sharding: Sharding, record: Readonly<Record<string, unknown>>): Bin {
  const { key, strategy } = sharding
  assert(key.length > 0, 'shardKeyOf of a sharding with a key')
  const values = key.map((path) => fieldOf(record, path))
  const parts = values.map((value, i) => inForm(strategy.data.keys, value, key[i] as string))
  return parts.length === 1 ? (parts[0] as Bin) : compoundKey(values as Scalar[])
}

function fieldOf(record: unknown, path: string): unknown {
  let value = record
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return null
    value = (value as Record<string, unknown>)[name]
  }
  return value ?? null
}
