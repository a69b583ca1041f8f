/** The path of what a path leads to, without links and dots. */
import type { Credential } from './mode.ts'
import { listNames } from './names.ts'
import { type Files, keysOf } from './volume.ts'
import { at, type Place, walk } from './walk.ts'

/** Find the canonical path.
 *  @throws as `find`
 *  @cost a statement a directory above it */
export function realpath(files: Files, { path }: { path: string }, who: Credential): string {
  const place = walk(files, path, { who, follow: true })
  at(files, place)
  return pathOf(files, place)
}

/** Tell the path of a place.
 *  @cost as `realpath` */
export function pathOf(files: Files, place: Place): string {
  const names = place.name === '' ? [] : [place.name]
  for (let i = place.chain.length - 1; i > 0; i--) {
    names.unshift(nameOf(files, place.chain[i - 1] as number, place.chain[i] as number))
  }
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
