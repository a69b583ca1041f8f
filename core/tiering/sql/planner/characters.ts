/** Text by its characters: code points. */

const ascii = /^[\0-\x7f]*$/

/** Change the case of characters of which one becomes one: `ß` has no such capital in Unicode's simple mapping. */
function mapCase(text: string, change: (character: string) => string): string {
  if (ascii.test(text)) return change(text)
  let mapped = ''
  for (const character of text) {
    const other = change(character)
    mapped += [...other].length === 1 ? other : (single[other] ?? character)
  }
  return mapped
}

/** What DuckDB makes of characters whose other case has several. */
const single: { readonly [several: string]: string } = { SS: 'ẞ', i̇: 'i' }

/** Write in small letters. */
export function lower(text: string): string {
  return mapCase(text, (part) => part.toLowerCase())
}

/** Write in capital letters. */
export function upper(text: string): string {
  return mapCase(text, (part) => part.toUpperCase())
}

/** Count characters. */
export function lengthOf(text: string): number {
  let length = text.length
  for (let at = 0; at < text.length - 1; at++) {
    const unit = text.charCodeAt(at)
    if (unit < 0xd800 || unit > 0xdbff) continue
    length--
    at++
  }
  return length
}

/** Cut text as DuckDB does: from 1; a start below 0 counts from the end, a length below 0 goes to the left. */
export function substring(text: string, start: number, length = Number.MAX_SAFE_INTEGER): string {
  const isAscii = ascii.test(text)
  const characters = isAscii ? text : [...text]
  const total = characters.length
  let from = start > 0 ? start - 1 : start < 0 ? total + start : -1
  let to = from + length
  // Without a length, a start before the text is its beginning.
  if (start === 0 && length === Number.MAX_SAFE_INTEGER) from = 0
  if (length < 0) [from, to] = [to, from]
  from = Math.min(Math.max(from, 0), total)
  to = Math.min(Math.max(to, from), total)
  const cut = characters.slice(from, to)
  return typeof cut === 'string' ? cut : cut.join('')
}
