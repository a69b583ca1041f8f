/** The first line of scripts and libraries: `#!lua name=... flags=...`.
 *  @source evalExtractShebangFlags in eval.c and functions.c of Redis 7.2 */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'

/** What a script or function may do and may not. */
export type ScriptFlag = 'no-writes' | 'allow-oom' | 'allow-stale' | 'no-cluster' | 'allow-cross-slot-keys'

const known: ReadonlySet<string> = new Set<ScriptFlag>([
  'no-writes',
  'allow-oom',
  'allow-stale',
  'no-cluster',
  'allow-cross-slot-keys',
])

/** Tell a flag by its name. */
export function isScriptFlag(name: unknown): name is ScriptFlag {
  return typeof name === 'string' && known.has(name)
}

/** A script without its first line. */
export interface Shebang {
  /** Undefined when there is none: then it may do what it is called for. */
  readonly flags: readonly ScriptFlag[] | undefined
  readonly code: Bin
}

/** Read the first line of a script.
 *  @returns code whose lines keep their numbers
 *  @throws invalid in Redis' words */
export function readScriptShebang(script: Bin): Shebang {
  if (!script.startsWith('#!')) return { flags: undefined, code: script }
  const end = script.indexOf('\n')
  if (end < 0) throw new Failure('invalid', 'ERR Invalid script shebang')
  const [engine, ...parts] = script
    .slice(0, end)
    .split(' ')
    .filter((part) => part !== '')
  if (engine !== '#!lua') throw new Failure('invalid', `ERR Unexpected engine in script shebang: ${engine}`)
  const flags: ScriptFlag[] = []
  for (const part of parts) {
    if (!part.startsWith('flags=')) throw new Failure('invalid', `ERR Unknown lua shebang option: ${part}`)
    for (const flag of part.slice(6).split(',')) {
      if (flag === '') continue
      if (!isScriptFlag(flag)) throw new Failure('invalid', `ERR Unexpected flag in script shebang: ${flag}`)
      flags.push(flag)
    }
  }
  return { flags, code: script.slice(end) }
}

/** Check a name of a library or function. */
export function checkName(name: Bin): void {
  if (/^\w+$/.test(name)) return
  const rule = 'can only contain letters, numbers, or underscores(_) and must be at least one character long'
  throw new Failure('invalid', `ERR Library names ${rule}`)
}

/** Read the first line of a library.
 *  @throws invalid in Redis' words */
export function readLibraryShebang(library: Bin): { readonly name: Bin; readonly code: Bin } {
  const end = library.indexOf('\n')
  if (!library.startsWith('#!')) throw new Failure('invalid', 'ERR Missing library metadata')
  if (end < 0) throw new Failure('invalid', 'ERR Invalid library metadata')
  const [engine = '', ...parts] = library
    .slice(2, end)
    .split(' ')
    .filter((part) => part !== '')
  let name: Bin | undefined
  for (const part of parts) {
    if (!part.startsWith('name=')) throw new Failure('invalid', `ERR Invalid metadata value given: ${part}`)
    if (name !== undefined)
      throw new Failure('invalid', 'ERR Invalid metadata value, name argument was given multiple times')
    name = part.slice(5)
  }
  if (name === undefined) throw new Failure('invalid', 'ERR Library name was not given')
  checkName(name)
  if (engine.toLowerCase() !== 'lua') throw new Failure('invalid', `ERR Engine '${engine}' not found`)
  return { name, code: library.slice(end) }
}
