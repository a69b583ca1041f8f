/** Where an object's key lies on a disk. Node only.
 *
 *  1. Two keys never share a path, on file systems that do not tell upper from lower case either: everything but lower
 *     case, digits and a few signs is written as %XX of its UTF-8 bytes.
 *  2. A key and a key below it (`a`, `a/b`) can both be there: names of files have a dot and names of folders have
 *     none; those that come otherwise get a `%` at their end.
 *  3. The keys that tables are made of (`metadata/v1.metadata.json`, `data/day=2026-01-01/part-7.parquet`) lie under
 *     their own names, so other programs read the files as they are.
 *  4. No name begins with a dot: those are the store's own. */
import { Failure } from '../../errors.ts'
import { OBJECT_FILE_NAME_BYTES_MAX } from '../../limits.ts'

const utf8 = new TextEncoder()
const asIs = /^[a-z0-9_=+,@.-]$/
/** Names that Windows keeps for devices, with any extension. */
const device = /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/

const escapeChar = (char: string) =>
  [...utf8.encode(char)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('')

function escapeSegment(segment: string): string {
  const chars = [...segment]
  const last = chars.length - 1
  const isDevice = device.test(segment)
  return chars
    .map((char, i) => {
      // A dot at the end is dropped by Windows, and one at the start hides a file.
      const isAsIs = asIs.test(char) && !(char === '.' && (i === 0 || i === last)) && !(isDevice && i === 0)
      return isAsIs ? char : escapeChar(char)
    })
    .join('')
}

/** Name the folders and the file of a key.
 *  @param key a checked one
 *  @throws limit for a segment that is longer than a file's name may be */
export function pathOfKey(key: string): string[] {
  const segments = key.split('/')
  return segments.map((segment, i) => {
    const name = escapeSegment(segment)
    const isFile = i === segments.length - 1
    const path = name.includes('.') === isFile ? name : `${name}%`
    if (path.length <= OBJECT_FILE_NAME_BYTES_MAX) return path
    const rule = `on a disk, a segment of a key takes at most ${OBJECT_FILE_NAME_BYTES_MAX} bytes`
    throw new Failure('limit', `${rule}, escaped; this one takes ${path.length}: ${segment.slice(0, 80)}`)
  })
}

/** Read a segment of a key back from the name of a file or folder.
 *  @returns undefined for a name that `pathOfKey` never gives: a stranger's file */
export function segmentOfName(name: string, isFile: boolean): string | undefined {
  const escaped = name.endsWith('%') ? name.slice(0, -1) : name
  try {
    const segment = decodeURIComponent(escaped)
    const back = pathOfKey(isFile ? segment : `${segment}/_`)[0]
    return segment !== '' && back === name ? segment : undefined
  } catch {
    return undefined
  }
}
