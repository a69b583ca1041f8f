/** Patterns of paths: `*`, `?`, `[a-z]`, `{a,b}` inside a name, `**` for any directories.
 *  @source https://nodejs.org/docs/latest-v22.x/api/fs.html#fspromisesglobpattern-options */

import { S } from '../engine/mode.ts'
import type { Listing } from '../engine/namespace.ts'
import { onPath } from './operations.ts'
import type { Env, Operation } from './request.ts'
import { Dirent } from './stats.ts'

/** Options of glob. */
export interface GlobOptions {
  /** Where patterns begin. */
  cwd?: string
  /** Leave out what it says yes to. */
  exclude?: ((path: never) => boolean) | readonly string[]
  withFileTypes?: boolean
}

type Segment = { readonly deep: true } | { readonly deep: false; readonly literal?: string; readonly match: RegExp }

/** Write a pattern's alternatives out: `a{b,c}` is `ab` and `ac`. */
export function expandBraces(pattern: string): string[] {
  const open = pattern.indexOf('{')
  if (open < 0) return [pattern]
  let depth = 0
  const commas: number[] = []
  for (let i = open; i < pattern.length; i++) {
    const char = pattern[i]
    if (char === '{') depth++
    else if (char === ',' && depth === 1) commas.push(i)
    else if (char === '}' && --depth === 0) {
      if (commas.length === 0) break
      const ends = [...commas, i]
      const parts = ends.map((end, n) => pattern.slice((n === 0 ? open : (ends[n - 1] as number)) + 1, end))
      return parts.flatMap((part) => expandBraces(pattern.slice(0, open) + part + pattern.slice(i + 1)))
    }
  }
  return expandBraces(pattern.slice(open + 1)).map((rest) => `${pattern.slice(0, open + 1)}${rest}`)
}

function escaped(char: string): string {
  return /[\\^$.*+?()[\]{}|/]/.test(char) ? `\\${char}` : char
}

function compile(segment: string): Segment {
  if (segment === '**') return { deep: true }
  let text = ''
  let isLiteral = true
  for (let i = 0; i < segment.length; i++) {
    const char = segment[i] as string
    const set = char === '[' ? /^\[([!^]?)(\]?[^\]]*)\]/.exec(segment.slice(i)) : null
    if (char === '*') text += '[^/]*'
    else if (char === '?') text += '[^/]'
    else if (set !== null) {
      text += `[${set[1] ? '^' : ''}${(set[2] as string).replace(/[\\\]]/g, '\\$&')}]`
      i += set[0].length - 1
    } else {
      text += escaped(char)
      continue
    }
    isLiteral = false
  }
  // As a shell: names that begin with a dot are matched by patterns that do.
  const hidden = /^[.[]/.test(segment) || isLiteral ? '' : '(?!\\.)'
  return { deep: false, match: new RegExp(`^${hidden}${text}$`, 'su'), ...(isLiteral && { literal: segment }) }
}

interface Search {
  readonly cwd: string
  readonly found: Map<string, Dirent>
  readonly exclude: (dirent: Dirent, path: string) => boolean
}

function excluder({ exclude, withFileTypes }: GlobOptions): Search['exclude'] {
  if (exclude === undefined) return () => false
  if (typeof exclude === 'function') return (dirent, path) => exclude((withFileTypes ? dirent : path) as never)
  const matchers = exclude.flatMap((pattern) => expandBraces(pattern)).map((one) => one.split('/').map(compile))
  return (_, path) => matchers.some((segments) => fits(segments, path.split('/')))
}

function fits([first, ...rest]: readonly Segment[], names: readonly string[]): boolean {
  if (first === undefined) return names.length === 0
  if (first.deep) return fits(rest, names) || (names.length > 0 && fits([first, ...rest], names.slice(1)))
  return names.length > 0 && first.match.test(names[0] as string) && fits(rest, names.slice(1))
}

/** Whether a path fits a pattern. */
export function matches(pattern: string, path: string): boolean {
  return expandBraces(pattern).some((one) => fits(one.split('/').map(compile), path.split('/')))
}

/** Find what fits one of the patterns. */
export function* globOperation(
  env: Env,
  patterns: string | readonly string[],
  options: GlobOptions = {},
): Operation<(string | Dirent)[]> {
  const found = new Map<string, Dirent>()
  const search: Search = { cwd: options.cwd ?? '', found, exclude: excluder(options) }
  for (const pattern of typeof patterns === 'string' ? [patterns] : patterns) {
    for (const one of expandBraces(pattern)) {
      const isAbsolute = one.startsWith('/')
      const segments = one.split('/').filter((part) => part !== '' && part !== '.')
      yield* visit(env, isAbsolute ? '/' : '', segments.map(compile), search)
    }
  }
  return options.withFileTypes ? [...found.values()] : [...found.keys()]
}

function* visit(env: Env, base: string, segments: readonly Segment[], search: Search): Operation<void> {
  const [first, ...rest] = segments
  if (first === undefined) return
  const listing = yield* list(env, base, search)
  if (listing === undefined) return
  if (first.deep) yield* visit(env, base, rest, search)
  const { names, kinds } = listing
  for (let i = 0; i < names.length; i++) {
    const name = names[i] as string
    const kind = kinds[i] as number
    if (first.deep ? name.startsWith('.') : !first.match.test(name)) continue
    const path = base === '' || base === '/' ? base + name : `${base}/${name}`
    if (first.deep && kind !== S.IFDIR && rest.length > 0) continue
    const dirent = new Dirent(name, base === '' ? search.cwd || '.' : base, kind)
    if (search.exclude(dirent, path)) continue
    const isLast = rest.length === 0
    if (isLast) search.found.set(path, dirent)
    if (first.deep && kind === S.IFDIR) yield* visit(env, path, segments, search)
    else if (!isLast && kind !== S.IFREG) yield* visit(env, path, rest, search)
  }
}

function* list(env: Env, base: string, { cwd }: Search): Operation<Listing | undefined> {
  const path = base.startsWith('/') ? base : cwd === '' ? base || '.' : base === '' ? cwd : `${cwd}/${base}`
  try {
    return yield onPath(env, path, 'readdir', {}, 'scandir')
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP'].includes((error as { code: string }).code)) return undefined
    throw error
  }
}
