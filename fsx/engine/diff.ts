/** What is different between two states of a filesystem. */
import { refuse } from '../errors.ts'
import { LAYER_INOS, ROOT_INO } from '../tables.ts'
import { settle } from './layers.ts'
import { type Credential, checkRoot, S } from './mode.ts'
import { entriesOf, inodesOf } from './seen.ts'
import { type Files, keysOf, openFiles, type View, type Volume } from './volume.ts'

/** What is different, as paths in order. A directory that came, went or moved stands for what is in it. */
export interface Difference {
  readonly added: string[]
  readonly removed: string[]
  /** Files with other content, permissions, owner or time of change; directories with other permissions or owner. */
  readonly changed: string[]
  /** The same inode under another name. */
  readonly renamed: { readonly from: string; readonly to: string }[]
}

/** One name of a state. */
interface Named {
  readonly parent: number
  readonly name: string
  readonly ino: number
}

interface State {
  readonly volume: Volume
  /** By directory and name. */
  readonly names: Map<string, Named>
  readonly byIno: Map<number, Named[]>
}

const keyOf = ({ parent, name }: Pick<Named, 'parent' | 'name'>) => `${parent}/${name}`

function readState({ tx }: Files, volume: Volume): State {
  const names = new Map<string, Named>()
  const byIno = new Map<number, Named[]>()
  for (const [parent, name, ino] of tx.raw(`with ${entriesOf(volume)} select parent, name, ino from entries`)) {
    const named = { parent: Number(parent), name: String(name), ino: Number(ino) }
    names.set(keyOf(named), named)
    const known = byIno.get(named.ino)
    if (known === undefined) byIno.set(named.ino, [named])
    else known.push(named)
  }
  return { volume, names, byIno }
}

function pathOf(state: State, { parent, name }: Named): string {
  const above = parent === ROOT_INO ? undefined : state.byIno.get(parent)?.[0]
  return `${above === undefined ? '' : pathOf(state, above)}/${name}`
}

/** Compare two states of this filesystem.
 *  @param from a snapshot by number or name; null for the filesystem as it is
 *  @param to likewise
 *  @throws EPERM for whoever is not root, as every name is told; ENOENT
 *  @cost a look at every name of both, and at inodes in layers that only one of them has */
export function diff(
  files: Files,
  { from, to }: { from: number | string | null; to: number | string | null },
  who: Credential,
): Difference {
  checkRoot(who)
  if (files.volume.isReadOnly) throw refuse('EINVAL')
  settle(files)
  const { head } = files.volume
  const viewOf = (snapshot: number | string | null): View => ({ fork: head, ...(snapshot !== null && { snapshot }) })
  const a = readState(files, openFiles(files.tx, viewOf(from)).volume)
  const b = readState(files, openFiles(files.tx, viewOf(to)).volume)
  const removed = [...a.names.values()].filter((named) => b.names.get(keyOf(named))?.ino !== named.ino)
  const added = [...b.names.values()].filter((named) => a.names.get(keyOf(named))?.ino !== named.ino)
  const renamed = pair(removed, added)
  const moved = new Set(renamed.flat())
  const [lost, got] = [removed.filter((one) => !moved.has(one)), added.filter((one) => !moved.has(one))]
  const replaced = got.filter((one) => lost.some((other) => keyOf(other) === keyOf(one)))
  const isReplaced = new Set(replaced.map(keyOf))
  const isOld = (state: State) => (one: Named) => {
    // What is in a directory that came or went is not told one by one.
    const isWithin = one.parent !== ROOT_INO && !(state === a ? b : a).byIno.has(one.parent)
    return !isReplaced.has(keyOf(one)) && !isWithin
  }
  const changed = changedInodes(files, a, b).flatMap((ino) => b.byIno.get(ino) ?? [])
  const paths = (state: State, list: readonly Named[]) => list.map((one) => pathOf(state, one)).sort()
  return {
    added: paths(b, got.filter(isOld(b))),
    removed: paths(a, lost.filter(isOld(a))),
    changed: paths(b, [...new Set([...changed, ...replaced])]),
    renamed: renamed
      .map(([old, now]) => ({ from: pathOf(a, old), to: pathOf(b, now) }))
      .sort((one, other) => (one.to < other.to ? -1 : 1)),
  }
}

/** Names that went and names that came, of the same inode. */
function pair(removed: readonly Named[], added: readonly Named[]): [Named, Named][] {
  const waiting = new Map<number, Named[]>()
  for (const one of removed) waiting.set(one.ino, [...(waiting.get(one.ino) ?? []), one])
  const pairs: [Named, Named][] = []
  for (const one of added) {
    const old = waiting.get(one.ino)?.shift()
    if (old !== undefined) pairs.push([old, one])
  }
  return pairs
}

const compared = 'mode, uid, gid, size, mtime, body, link'

/** @returns inodes that both have, and that are not the same */
function changedInodes({ tx }: Files, a: State, b: State): number[] {
  const inA = new Set(a.volume.chain.map(({ layer }) => layer))
  const inB = new Set(b.volume.chain.map(({ layer }) => layer))
  const only = [...inA].filter((layer) => !inB.has(layer)).concat([...inB].filter((layer) => !inA.has(layer)))
  if (only.length === 0) return []
  const candidates = new Set<number>()
  for (const layer of only) {
    const range = [layer * LAYER_INOS, (layer + 1) * LAYER_INOS - 1] as const
    for (const [ino] of tx.raw('select ino from fs_inodes where ino between ? and ?', ...range)) {
      candidates.add(Number(ino) % LAYER_INOS)
    }
    for (const [ino] of tx.raw('select distinct ino from fs_xattrs where ino between ? and ?', ...range)) {
      candidates.add(Number(ino) % LAYER_INOS)
    }
  }
  const [before, after] = [inodesIn(tx, a.volume, candidates), inodesIn(tx, b.volume, candidates)]
  return [...candidates].filter((ino) => {
    const [one, other] = [before.get(ino), after.get(ino)]
    if (one === undefined || other === undefined) return false
    return one !== other || !hasSameData(tx, [a.volume, b.volume], ino)
  })
}

/** Whether short content, which stands in the inode's row, is the same. */
function hasSameData(tx: Files['tx'], [a, b]: readonly [Volume, Volume], ino: number): boolean {
  const statement = `select data from fs_inodes where ino in (select value from json_each(?))
    order by ino desc limit 1`
  const [one, other] = [a, b].map((volume) => tx.raw(statement, JSON.stringify(keysOf(volume, ino)))[0]?.[0])
  if (!(one instanceof Uint8Array) || !(other instanceof Uint8Array)) return (one ?? null) === (other ?? null)
  return one.length === other.length && one.every((byte, at) => byte === other[at])
}

function inodesIn(tx: Files['tx'], volume: Volume, wanted: ReadonlySet<number>): Map<number, string> {
  const found = new Map<number, string>()
  const statement = `with ${inodesOf(volume)} select ino, ${compared} from inodes
    where ino in (select value from json_each(?))`
  for (const [ino, mode, uid, gid, ...rest] of tx.raw(statement, JSON.stringify([...wanted]))) {
    const isDirectory = (Number(mode) & S.IFMT) === S.IFDIR
    // A directory changes with what is in it; names are told by themselves.
    const more = isDirectory ? [] : rest
    found.set(Number(ino), JSON.stringify([mode, uid, gid, ...more]))
  }
  return found
}
