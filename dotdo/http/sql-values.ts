/** Values of SQL results as JSON and as text: the same spelling in every format that is text.
 *
 *  1. Nothing is rounded: integers past 2^53 are texts of digits, doubles that JSON has not are `"NaN"`, `"Infinity"`
 *     and `"-Infinity"`.
 *  2. Instants are ISO 8601 in UTC with six decimals, bytes are base64, `json` stays the text that it is. */
import type { SqlResultValue } from '@dotdo/core/tiering/sql'

/** A value as JSON.stringify takes it. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue }

/** Makes a value fit for JSON. */
export type ToJson = (value: SqlResultValue) => JsonValue

/** Encode bytes as base64. */
function base64({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('base64')
}

/** Write microseconds since 1970 as ISO 8601, with six decimals.
 *  @param zone `Z`, or nothing for a time without a zone */
export function isoOfMicros(micros: number | bigint, zone: 'Z' | ''): string {
  const exact = BigInt(micros)
  const under = Number(((exact % 1_000n) + 1_000n) % 1_000n)
  const wholeMs = Number((exact - BigInt(under)) / 1_000n)
  // Past the year 275760 there is no Date; the number itself is still the truth.
  if (Math.abs(wholeMs) > 8.64e15) return String(exact)
  return `${new Date(wholeMs).toISOString().slice(0, -1)}${String(under).padStart(3, '0')}${zone}`
}

const isInstant = (value: unknown) => typeof value === 'number' || typeof value === 'bigint'

/** Make any value fit for JSON, whatever its column says. */
function anyToJson(value: unknown): JsonValue {
  switch (typeof value) {
    case 'bigint':
      return Number.isSafeInteger(Number(value)) ? Number(value) : String(value)
    case 'number':
      return Number.isFinite(value) ? value : String(value)
    case 'object':
      if (value === null) return null
      if (value instanceof Uint8Array) return base64(value)
      if (Array.isArray(value)) return value.map(anyToJson)
      return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, anyToJson(one)]))
    default:
      return value as JsonValue
  }
}

const instant = (zone: 'Z' | ''): ToJson => {
  return (value) => (isInstant(value) ? isoOfMicros(value as number | bigint, zone) : anyToJson(value))
}

const plain = new Set(['boolean', 'int', 'string', 'json', 'date', 'time', 'uuid', 'null'])

/** Choose how values of a type become JSON.
 *  @returns undefined when they are JSON already */
export function toJsonOf(type: string): ToJson | undefined {
  if (type === 'timestamptz') return instant('Z')
  if (type === 'timestamp') return instant('')
  return plain.has(type) || type.startsWith('decimal') ? undefined : anyToJson
}

/** Write a value of JSON as text of one cell, where null has a spelling of its own. */
export function textOf(value: Exclude<JsonValue, null>): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

/** Tell names apart that a query gives twice: the second `a` becomes `a_2`. */
export function distinctNames(names: readonly string[]): string[] {
  const taken = new Set(names)
  const seen = new Set<string>()
  return names.map((name) => {
    let free = name
    for (let n = 2; seen.has(free); n++) {
      const next = `${name}_${n}`
      if (!taken.has(next)) free = next
    }
    seen.add(free)
    return free
  })
}
