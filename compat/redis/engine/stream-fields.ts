/** The fields of a stream's entry as one value: lengths in front of bytes, and as JSON where people see it. */
import { type Bin, binToText, textToBin, toBin } from '@dotdo/core/bytes'
import type { RelationValue } from '@dotdo/core/shard'
import type { Stored } from '../tables.ts'

/** A length: one byte below 255, else that byte and four more. */
function lengthOf(value: Bin): Bin {
  const { length } = value
  if (length < 255) return String.fromCharCode(length)
  return String.fromCharCode(255, length >>> 24, (length >>> 16) & 255, (length >>> 8) & 255, length & 255)
}

/** Pack fields and values.
 *  @param words names and values in turn, from index `from` on */
export function packFields(words: readonly Bin[], from = 0): Bin {
  let packed = ''
  for (let i = from; i < words.length; i++) packed += lengthOf(words[i] as Bin) + (words[i] as Bin)
  return packed
}

/** Unpack what `packFields` made, names and values in turn. */
export function unpackWords(packed: Bin): Bin[] {
  const words: Bin[] = []
  for (let at = 0; at < packed.length; ) {
    let length = packed.charCodeAt(at++)
    if (length === 255) {
      length = 0
      for (const end = at + 4; at < end; at++) length = length * 256 + packed.charCodeAt(at)
    }
    words.push(packed.slice(at, at + length))
    at += length
  }
  return words
}

/** Unpack fields with their values. */
export function unpackFields(packed: Bin): [name: Bin, value: Bin][] {
  const words = unpackWords(packed)
  return words.flatMap((name, i): [Bin, Bin][] => (i % 2 === 0 ? [[name, words[i + 1] as Bin]] : []))
}

function packText(text: string): Bin {
  const fields = Object.entries(JSON.parse(text) as Record<string, string>)
  return packFields(fields.flat().map(textToBin))
}

/** Write fields as a JSON object.
 *  @returns undefined where that would lose something: bytes that are no text, a name twice, an order JavaScript does
 *  not keep */
export function fieldsText(fields: Stored): string | undefined {
  if (fields === null) return undefined
  const pairs: [string, string][] = []
  for (const [name, value] of unpackFields(fields as Bin)) {
    const [nameText, valueText] = [binToText(name), binToText(value)]
    if (nameText === undefined || valueText === undefined || nameText === '__proto__') return undefined
    pairs.push([nameText, valueText])
  }
  const text = JSON.stringify(Object.fromEntries(pairs))
  return packText(text) === fields ? text : undefined
}

/** Read fields from the columns of their relation. */
export function fieldsFromLake({ fields, bytes }: { readonly [name: string]: RelationValue }): Stored {
  if (typeof fields === 'string') return packText(fields)
  return bytes instanceof Uint8Array ? toBin(bytes) : null
}
