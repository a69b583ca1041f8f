/** From a path to where it leads.
 *  @source POSIX.1-2017 4.13 Pathname Resolution; Linux path_resolution(7), for slashes at the end */
import {
  FSX_LINKS_FOLLOWED_MAX,
  FSX_NAME_BYTES_MAX,
  FSX_PATH_BYTES_MAX,
  FSX_PATHS_CACHED_MAX,
} from '@dotdo/core/limits'
import { refuse } from '../errors.ts'
import { type Inode, ROOT_INO } from '../tables.ts'
import { type Credential, checkAccess, isDirectory, S, X } from './mode.ts'
import { lookUp } from './names.ts'
import { elsewhere, isRootPath, leading, shardOfName } from './part.ts'
import { type Files, findInode, getInode } from './volume.ts'

/** Where a path leads. */
export interface Place {
  /** Directories from the root to the one that the name is in. */
  readonly chain: readonly number[]
  /** The last component; '' when the path ends in the root, `.` or `..`, and then `ino` is the directory. */
  readonly name: string
  /** How such a path ends. */
  readonly dots?: 'root' | '.' | '..'
  /** What it leads to; undefined when nothing has the name. */
  readonly ino: number | undefined
  /** Whether the path ended in a slash: it must be a directory. */
  readonly slash: boolean
}

/** How to walk. */
export interface WalkOptions {
  readonly who: Credential
  /** Follow a symbolic link at the end. With a slash behind it, it is followed anyhow, unless this is `never`. */
  readonly follow: boolean | 'never'
  /** Leave it to the caller to refuse a last component that is too long (`checkName`). */
  readonly anyName?: boolean
}

interface Walk extends WalkOptions {
  links: number
}

const top: readonly number[] = [ROOT_INO]
const encoder = new TextEncoder()

/** Bytes of a text in UTF-8. */
export function utf8Length(text: string): number {
  return encoder.encode(text).length
}

function isLonger(text: string, bytes: number): boolean {
  return text.length > bytes || (text.length * 3 > bytes && utf8Length(text) > bytes)
}

/** Refuse a text that is too long for a path.
 *  @throws ENAMETOOLONG */
export function checkPathLength(path: string): void {
  if (isLonger(path, FSX_PATH_BYTES_MAX)) throw refuse('ENAMETOOLONG')
}

/** Refuse a name that is too long.
 *  @throws ENAMETOOLONG */
export function checkName(name: string): void {
  if (isLonger(name, FSX_NAME_BYTES_MAX)) throw refuse('ENAMETOOLONG')
}

/** Walk a path; one that begins without a slash, from the root.
 *  @throws ENOENT, ENOTDIR, EACCES, ELOOP or ENAMETOOLONG, from any component but that the last one may be missing */
export function walk(files: Files, path: string, options: WalkOptions): Place {
  if (path === '') throw refuse('ENOENT')
  checkPathLength(path)
  const place = step(files, path, { ...options, links: 0 }, top)
  // Of several shards, each has a root: they are asked together, for the one path that surely means it.
  if (files.volume.part !== undefined && place.ino === ROOT_INO && !isRootPath(path)) {
    throw elsewhere(place.dots === 'root' ? '/' : `/${place.dots}${place.slash ? '/' : ''}`)
  }
  return place
}

/** Of several shards, each has its names of the root.
 *  @throws cross_shard */
function checkPart({ volume: { part } }: Files, chain: readonly number[], name: string, rest: string): void {
  if (part === undefined || chain.length > 1) return
  if (shardOfName(name, part.shards) !== part.shard) throw elsewhere(`/${name}${rest}`)
}

function step(files: Files, path: string, walking: Walk, base: readonly number[]): Place {
  let end = path.length
  while (end > 0 && path.charCodeAt(end - 1) === 47) end--
  const slash = end < path.length
  const cut = path.lastIndexOf('/', end - 1)
  const name = path.slice(cut + 1, end)
  const from = path.charCodeAt(0) === 47 ? top : base
  const above = () => directoryChain(files, path.slice(0, cut), walking, from)
  const chain = cut <= 0 ? from : files.volume.part === undefined ? above() : leading(path.slice(cut), above)
  const parent = enter(files, chain, walking)
  if (name === '') return { chain, name, dots: 'root', ino: parent.ino, slash }
  if (name === '.' || name === '..') {
    const up = name === '.' || chain.length === 1 ? chain : chain.slice(0, -1)
    return { chain: up, name: '', dots: name, ino: up.at(-1), slash }
  }
  checkPart(files, chain, name, slash ? '/' : '')
  if (!walking.anyName) checkName(name)
  const entry = lookUp(files, parent.ino, name)
  const follow = walking.follow === true || (slash && walking.follow !== 'never')
  if (entry === undefined || entry.kind !== S.IFLNK || !follow) return { chain, name, ino: entry?.ino, slash }
  const target = followed(files, entry.ino, walking)
  return step(files, slash ? `${target}/` : target, walking, chain)
}

/** @returns the target of a link, having counted it */
function followed(files: Files, ino: number, walking: Walk): string {
  if (++walking.links > FSX_LINKS_FOLLOWED_MAX) throw refuse('ELOOP')
  return getInode(files, ino).link as string
}

/** @returns the directory at the end of a chain, if names may be looked up in it */
function enter(files: Files, chain: readonly number[], { who }: Walk): Inode {
  const inode = findInode(files, chain[chain.length - 1] as number)
  if (inode === undefined) throw refuse('ENOENT')
  if (who.uid !== 0) checkAccess(inode, who, X)
  return inode
}

/** @returns the directories of a path that all of its components are */
function directoryChain(files: Files, path: string, walking: Walk, from: readonly number[]): readonly number[] {
  const { paths } = files.volume
  // Whoever is not root may be refused on the way; the chain does not show every directory of it.
  const keeps = walking.who.uid === 0 && from === top && walking.links === 0
  const known = keeps ? paths.get(path) : undefined
  if (known !== undefined) return known
  let chain = from
  const names = path.split('/')
  const rest = (at: number) => names.slice(at + 1).reduce((text, name) => `${text}/${name}`, '')
  for (const [at, name] of names.entries()) {
    if (name === '') continue
    const parent = enter(files, chain, walking)
    if (name === '.') continue
    if (name === '..') {
      if (chain.length > 1) chain = chain.slice(0, -1)
      continue
    }
    if (files.volume.part !== undefined) checkPart(files, chain, name, rest(at))
    checkName(name)
    const entry = lookUp(files, parent.ino, name)
    if (entry === undefined) throw refuse('ENOENT')
    if (entry.kind === S.IFDIR) chain = [...chain, entry.ino]
    else if (entry.kind !== S.IFLNK) throw refuse('ENOTDIR')
    else {
      const target = followed(files, entry.ino, walking)
      const base = target.startsWith('/') ? top : chain
      chain = leading(rest(at), () => directoryChain(files, target, walking, base))
    }
  }
  if (keeps && walking.links === 0) {
    if (paths.size >= FSX_PATHS_CACHED_MAX) paths.clear()
    paths.set(path, chain)
    files.tx.onUndo(() => void paths.delete(path))
  }
  return chain
}

/** Find what a path leads to.
 *  @throws as `walk`; ENOENT when nothing has the name; ENOTDIR when it ends in a slash and is no directory */
export function find(files: Files, path: string, options: WalkOptions): Inode {
  const place = walk(files, path, options)
  return at(files, place)
}

/** Find what is at a place.
 *  @throws ENOENT, ENOTDIR as `find` */
export function at(files: Files, { ino, slash }: Place): Inode {
  if (ino === undefined) throw refuse('ENOENT')
  const inode = getInode(files, ino)
  if (slash && !isDirectory(inode)) throw refuse('ENOTDIR')
  return inode
}

/** The directory that the name of a place is in. */
export function directoryOf(files: Files, { chain }: Place): Inode {
  return getInode(files, chain[chain.length - 1] as number)
}
