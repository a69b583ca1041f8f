/** The path of what a path leads to, without links and dots. */
import type { Credential } from './mode.ts'
import { listNames } from './names.ts'
import { type Files, keysOf } from './volume.ts'
import { at, walk } from './walk.ts'

/** Find the canonical path.
 *  @throws as `find`
 *  @cost a statement a directory above it */
export function realpath(files: Files, { path }: { path: string }, who: Credential): string {
  const place = walk(files, path, { who, follow: true })
  at(files, place)
  return pathOf(files, place.chain, place.name)
}

/** Make a path of directories from the root to one, and a name in that. */
export function pathOf(files: Files, chain: readonly number[], name = ''): string {
  const names = name === '' ? [] : [name]
  for (let i = chain.length - 1; i > 0; i--) names.unshift(nameOf(files, chain[i - 1] as number, chain[i] as number))
  return `/${names.join('/')}`
}

/** @returns the name of a directory in the one above it */
function nameOf(files: Files, parent: number, ino: number): string {
  const { tx, volume } = files
  for (const [name, entry] of volume.directories.get(parent)?.names ?? []) if (entry.ino === ino) return name
  const keys = keysOf(volume, parent)
  if (keys.length > 1) {
    for (const [name, entry] of listNames(files, parent)) if (entry.ino === ino) return name
  }
  return String(tx.raw('select name from fs_entries where parent = ? and ino = ?', keys[0] as number, ino)[0]?.[0])
}
