/** Names of namespaces and tables as folders of an object store, and lists of those. */
import { Failure } from '../../errors.ts'
import type { Listing, ObjectHead, ObjectStore } from '../objects/port.ts'
import type { Namespace, TableName } from './catalog.ts'

const utf8 = new TextEncoder()
const text = new TextDecoder('utf-8', { fatal: true })

/** After the folder of every namespace: tables have none, so that the two never share a folder. */
const namespaceMark = '@'
/** Names that Windows keeps for devices. */
const device = /^(con|prn|aux|nul|com\d|lpt\d)$/

/** Write a name as a folder: lower case, digits, `_` and `-` as they are, other bytes as `@` and two hex digits. So
 *  folders on disks that do not tell upper from lower case have the names that locations say (disk-path.ts leaves these
 *  as they are), and there is no `%`, which some readers of locations take for an escape of their own.
 *  @throws invalid for an empty name */
export function encodeSegment(name: string): string {
  if (name === '' || !name.isWellFormed()) throw new Failure('invalid', `${JSON.stringify(name)} is no name`)
  let made = ''
  for (const byte of utf8.encode(name)) {
    const char = String.fromCharCode(byte)
    const isAsIs = /[a-z\d_-]/.test(char) && !(made === '' && device.test(name))
    made += isAsIs ? char : `@${byte.toString(16).padStart(2, '0')}`
  }
  return made
}

/** Read a name back from its folder; what is no name of ours stays as it is. */
export function decodeSegment(segment: string): string {
  const bytes: number[] = []
  for (let at = 0; at < segment.length; at++) {
    const code = /^@([\da-f]{2})/.exec(segment.slice(at, at + 3))?.[1]
    bytes.push(code === undefined ? segment.charCodeAt(at) : Number.parseInt(code, 16))
    if (code !== undefined) at += 2
  }
  try {
    return text.decode(Uint8Array.from(bytes))
  } catch {
    return segment
  }
}

/** Find the folder of a namespace, with its slash; of the outermost, the prefix. */
export function namespaceKey(prefix: string, namespace: Namespace): string {
  return prefix + namespace.map((name) => `${encodeSegment(name)}${namespaceMark}/`).join('')
}

/** Read a namespace's name from its folder, which is without slash.
 *  @returns undefined for the folder of a table */
export function namespaceOfFolder(folder: string): string | undefined {
  return folder.endsWith(namespaceMark) ? decodeSegment(folder.slice(0, -namespaceMark.length)) : undefined
}

/** Find the folder of a table, without slash.
 *  @throws invalid for a table without namespace, or an empty name */
export function tableKey(prefix: string, { namespace, name }: TableName): string {
  if (namespace.length === 0) throw new Failure('invalid', `table ${name} is in no namespace`)
  return namespaceKey(prefix, namespace) + encodeSegment(name)
}

/** List everything under a prefix, page by page. */
export async function listAll(
  store: ObjectStore,
  prefix: string,
  delimiter?: '/',
): Promise<{ readonly objects: ObjectHead[]; readonly prefixes: string[] }> {
  const objects: ObjectHead[] = []
  const prefixes: string[] = []
  let cursor: string | undefined
  do {
    const page: Listing = await store.list({ prefix, delimiter, cursor })
    objects.push(...page.objects)
    prefixes.push(...page.prefixes)
    cursor = page.next
  } while (cursor !== undefined)
  return { objects, prefixes }
}
