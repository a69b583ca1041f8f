/** Iceberg's descriptions of files as JSON: a shard keeps them in a row, and they cross networks. */
import { fromBin, toBin } from '../../bytes.ts'
import type { DataFile } from '../iceberg/data-file.ts'

/** JSON, with `$map`, `$bytes` and `$integer` for what JSON does not have. */
export type Plain = null | boolean | number | string | Plain[] | { [key: string]: Plain }

/** Write a value as JSON: maps as their entries, bytes in hexadecimal, bigints as text. */
export function toPlain(value: unknown): Plain {
  if (value instanceof Map) return { $map: [...value].map((entry) => toPlain(entry)) }
  if (value instanceof Uint8Array) return { $bytes: hex(value) }
  if (typeof value === 'bigint') return { $integer: `${value}` }
  if (Array.isArray(value)) return value.map(toPlain)
  if (typeof value !== 'object' || value === null) return value as Plain
  const entries = Object.entries(value).filter(([, one]) => one !== undefined)
  return Object.fromEntries(entries.map(([key, one]) => [key, toPlain(one)]))
}

/** Read what `toPlain` wrote. */
export function fromPlain(plain: Plain): unknown {
  if (Array.isArray(plain)) return plain.map(fromPlain)
  if (typeof plain !== 'object' || plain === null) return plain
  if ('$map' in plain) return new Map(fromPlain(plain.$map as Plain) as [unknown, unknown][])
  if ('$bytes' in plain) return unhex(String(plain.$bytes))
  if ('$integer' in plain) return BigInt(String(plain.$integer))
  return Object.fromEntries(Object.entries(plain).map(([key, one]) => [key, fromPlain(one)]))
}

/** Read a description of a file back. */
export function toDataFile(plain: unknown): DataFile {
  return fromPlain(plain as Plain) as DataFile
}

function hex(bytes: Uint8Array): string {
  return Array.from(toBin(bytes), (char) => char.charCodeAt(0).toString(16).padStart(2, '0')).join('')
}

function unhex(text: string): Uint8Array {
  let bin = ''
  for (let at = 0; at < text.length; at += 2) bin += String.fromCharCode(Number.parseInt(text.slice(at, at + 2), 16))
  return new Uint8Array(fromBin(bin))
}

/** Write a file's id as the end of its name has it. */
export function fileIdText(id: number): string {
  return id.toString(16).padStart(12, '0')
}

export { fileIdOf } from '../iceberg/data-file.ts'
