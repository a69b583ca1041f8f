/** Short bounds of long values: a bound may be wider than the value, never narrower. */

/** Bytes of a string's or binary value's bound at the most; longer ones are cut. */
export const boundBytesMax = 16

/** Cut a lower bound: a prefix sorts before the whole.
 *  @param isText cut between UTF-8 characters
 *  @returns the bytes themselves when they are short enough, else a part of them, borrowed */
export function truncateMin(bytes: Uint8Array, isText: boolean): Uint8Array {
  return bytes.length <= boundBytesMax ? bytes : bytes.subarray(0, isText ? characterCut(bytes) : boundBytesMax)
}

/** Cut an upper bound: a prefix with its last character, or byte, raised by one.
 *  @returns undefined when no short bound lies above: everything is the highest character or byte already */
export function truncateMax(bytes: Uint8Array, isText: boolean): Uint8Array | undefined {
  if (bytes.length <= boundBytesMax) return bytes
  if (isText) {
    const raised = raiseText(bytes.subarray(0, characterCut(bytes)))
    if (raised !== notText) return raised
  }
  return raiseBytes(bytes.subarray(0, boundBytesMax))
}

/** Find the last place, up to the limit, where a character begins. */
function characterCut(bytes: Uint8Array): number {
  let end = boundBytesMax
  while (end > boundBytesMax - 4 && ((bytes[end] as number) & 0xc0) === 0x80) end--
  return ((bytes[end] as number) & 0xc0) === 0x80 ? boundBytesMax : end
}

const notText = Symbol('not UTF-8')
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const encoder = new TextEncoder()

function raiseText(bytes: Uint8Array): Uint8Array | undefined | typeof notText {
  let characters: string[]
  try {
    characters = [...decoder.decode(bytes)]
  } catch {
    return notText
  }
  for (let last = characters.pop(); last !== undefined; last = characters.pop()) {
    const code = last.codePointAt(0) as number
    if (code === 0x10ffff) continue
    // Surrogates are no characters: what follows U+D7FF is U+E000.
    const next = code === 0xd7ff ? 0xe000 : code + 1
    const raised = encoder.encode(characters.join('') + String.fromCodePoint(next))
    // The next character may take a byte more; one place to the left there is room.
    if (raised.length <= boundBytesMax) return raised
  }
  return undefined
}

function raiseBytes(bytes: Uint8Array): Uint8Array | undefined {
  let end = bytes.length
  while (end > 0 && bytes[end - 1] === 0xff) end--
  if (end === 0) return undefined
  const raised = bytes.slice(0, end)
  raised[end - 1] = (raised[end - 1] as number) + 1
  return raised
}
