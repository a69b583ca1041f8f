/** What the change log says of files: which names came, went, and lead to something that changed.
 *
 *  1. A change is told with the paths that its file has when the log is read: what was renamed since is told of under
 *     its new name. Of what was removed with the directory it was in, memory knows the path for a while; without it,
 *     the removal of the directory says all.
 *  2. Nothing is told of a time of last access, nor of rows that only go to another layer (`quietly`).
 *  3. What cannot be told name by name is `all`: whoever listens has to look again.
 *  4. Somebody who is not root is told of nothing in directories that they may not list. */
import { FSX_CHANGES_READ_BYTES_MAX } from '@dotdo/core/limits'
import type { LogColumns, Position } from '@dotdo/core/shard'
import { type EntryRow, entries, type Inode, inodes, LAYER_INOS, ROOT_INO } from '../tables.ts'
import { type Credential, checkAccess, isDirectory, mayAccess, R, S, X } from './mode.ts'
import { listNames, lookUp } from './names.ts'
import { inodeNames } from './seen.ts'
import { type Files, findInode, type NamePlace } from './volume.ts'
import { find } from './walk.ts'

/** What happened to names: one leads to something new, leads nowhere any more, or leads to something that changed; or
 *  anything may have happened. */
export type ChangeKind = 'added' | 'removed' | 'changed' | 'all'

/** One change. */
export interface Change {
  readonly seq: number
  readonly epoch: number
  readonly atMs: number
  readonly kind: ChangeKind
  /** From the directory that was asked about; '' is that itself. Those of all its hard links. */
  readonly paths: readonly string[]
}

/** Which changes somebody wants. */
export interface Scope {
  /** The inode that they are about: a file, or a directory and the names in it. */
  readonly within: number
  /** Whether also those in directories below it. */
  readonly deep: boolean
}

/** A read of the log. */
export interface ChangedArgs extends Scope {
  readonly after: Position | 'now'
  /** Changes of rows looked at, at most. */
  readonly limit: number
}

/** What it gives. */
export interface Changed {
  readonly changes: readonly Change[]
  /** Where to go on. */
  readonly next: Position
  /** Whether there is more at once. */
  readonly more: boolean
}

/** Marks in the log: names that no directory has are removed from one that is none. */
const marks = { begin: '<', end: '>', restored: '*' } as const

function mark({ tx }: Files, layer: number, name: string): void {
  tx.record(entries, 'delete', { parent: layer * LAYER_INOS, name } as EntryRow)
}

/** Move rows about without anybody being told: what each filesystem shows stays as it is. What waits in memory must
 *  have been written. */
export function quietly<T>(files: Files, work: () => T): T {
  mark(files, 0, marks.begin)
  const result = work()
  mark(files, 0, marks.end)
  return result
}

/** Note in the log that anything may have changed.
 *  @param layer the one that takes the filesystem's changes from here on */
export function noteRestored(files: Files, layer: number): void {
  mark(files, layer, marks.restored)
}

/** What there is at a path now, and where the log is.
 *  @param reads refuse who may not read it, and what is not there; else that is null
 *  @throws as stat(2); EACCES */
export function look(
  files: Files,
  { path, reads }: { path: string; reads: boolean },
  who: Credential,
): { inode: Inode | null; position: Position } {
  const { position } = files.tx
  try {
    const inode = find(files, path, { who, follow: true })
    if (reads) checkAccess(inode, who, R)
    return { inode, position }
  } catch (error) {
    const { code } = error as { code?: string }
    if (reads || (code !== 'not_found' && code !== 'type_mismatch')) throw error
    return { inode: null, position }
  }
}

/** Read what changed after a place in the log.
 *  @throws out_of_range when the history since then is gone or is another one
 *  @cost the segments of the log since then; a look at the names of each directory in which a file changed */
export function changed(files: Files, { after, limit, within, deep }: ChangedArgs, who: Credential): Changed {
  const { tx, volume } = files
  if (after === 'now') return { changes: [], next: tx.position, more: false }
  const wanted = (table: { readonly name: string }) => table === entries || table === inodes
  const log = tx.logColumns(after, { changes: limit, bytes: FSX_CHANGES_READ_BYTES_MAX, wanted })
  const { next, more } = log
  // A snapshot never changes.
  if (volume.isReadOnly) return { changes: [], next, more }
  return { changes: new Reader(files, { within, deep }, who).read(log), next, more }
}

/** A row that changed. */
interface RowChange {
  readonly isEntry: boolean
  readonly isPut: boolean
  /** The number in its key, and the layer that was in it. */
  readonly ino: number
  readonly layer: number
  readonly name: string
}

/** Reads a stretch of the log: rows become changes of paths. */
class Reader {
  private readonly files: Files
  private readonly scope: Scope
  private readonly who: Credential
  private readonly isMine: (layer: number) => boolean
  /** Paths of directories, with a slash at the end unless they are ''; undefined for those out of sight. */
  private readonly directories = new Map<number, string | undefined>()
  /** Names in a directory, by what they lead to. */
  private readonly named = new Map<number, ReadonlyMap<number, readonly string[]>>()

  constructor(files: Files, scope: Scope, who: Credential) {
    this.files = files
    this.scope = scope
    this.who = who
    const { tx, volume } = files
    const own = new Set(volume.chain.map(({ layer }) => layer))
    const there = new Set(tx.raw('select layer from fs_layers').map(([layer]) => Number(layer)))
    // A layer that is gone was merged with one that may be ours: rather tell too much than nothing.
    this.isMine = (layer) => own.has(layer) || !there.has(layer)
  }

  read({ first, count, groups, tables, table, op, ids }: LogColumns): Change[] {
    const changes: Change[] = []
    const isEntry = tables.map((one) => one === entries)
    let isQuiet = false
    let at = 0
    for (const { count: length, atMs, epoch } of groups) {
      const rows: (RowChange | undefined)[] = []
      for (const end = Math.min(at + length, count); at < end; at++) {
        rows.push(rowOf(ids[at] as string, isEntry[table[at] as number] === true, op[at] === 0))
      }
      const told = new Group(atMs * 1000, rows)
      const firstSeq = first + at - rows.length
      for (const [i, row] of rows.entries()) {
        if (row === undefined) continue
        if (row.isEntry && row.ino === 0) isQuiet = row.name === marks.begin || (isQuiet && row.name !== marks.end)
        const change = isQuiet || !this.isMine(row.layer) ? undefined : this.changeOf(row, i, told)
        if (change !== undefined) changes.push({ seq: firstSeq + i, epoch, atMs, ...change })
      }
    }
    return changes
  }

  private changeOf(row: RowChange, at: number, told: Group): Pick<Change, 'kind' | 'paths'> | undefined {
    if (!row.isEntry) return told.isLast(row.ino, at) ? this.inodeChange(row.ino, told) : undefined
    if (row.ino !== 0) return this.nameChange(row, told)
    return row.name === marks.restored ? { kind: 'all', paths: [''] } : undefined
  }

  /** A name was put into a directory, or taken out of it. */
  private nameChange({ ino: parent, name, isPut }: RowChange, told: Group) {
    const leadsTo = isPut ? lookUp(this.files, parent, name)?.ino : undefined
    if (leadsTo !== undefined) {
      told.named.add(leadsTo)
      this.files.volume.places.set(leadsTo, { parent, name })
    }
    // The row may hide one of a layer below: then the name is gone.
    const kind = leadsTo === undefined ? 'removed' : 'added'
    if (leadsTo === this.scope.within) return { kind, paths: [''] } as const
    if (!this.scope.deep && parent !== this.scope.within) return undefined
    const above = this.pathOf(parent)
    return above === undefined ? undefined : ({ kind, paths: [above + name] } as const)
  }

  /** An inode was written. */
  private inodeChange(ino: number, told: Group): Pick<Change, 'kind' | 'paths'> | undefined {
    const inode = findInode(this.files, ino)
    if (ino === this.scope.within && (inode === undefined || inode.nlink === 0)) return { kind: 'removed', paths: [''] }
    if (inode === undefined || inode.nlink === 0 || !told.isTold(inode)) return undefined
    const paths = ino === this.scope.within ? [''] : this.pathsTo(inode)
    return paths.length === 0 ? undefined : { kind: 'changed', paths }
  }

  /** @returns the path of a directory, to put names behind */
  private pathOf(ino: number): string | undefined {
    if (ino === this.scope.within) return ''
    if (this.directories.has(ino)) return this.directories.get(ino)
    // Should a directory that is gone have been within this one, it does not lead in a circle.
    this.directories.set(ino, undefined)
    const path = ino === ROOT_INO ? undefined : this.findPath(ino)
    this.directories.set(ino, path)
    return path
  }

  private findPath(ino: number): string | undefined {
    const { files, who } = this
    const inode = findInode(files, ino)
    const gone = inode === undefined || inode.nlink === 0 ? files.volume.gone.get(ino) : undefined
    const known = gone?.inode ?? inode
    if (known === undefined || !isDirectory(known) || !mayAccess(known, who, R | X)) return undefined
    const name = gone?.name ?? this.placesOf(known)[0]?.name
    const above = name === undefined ? undefined : this.pathOf(known.parent as number)
    return above === undefined ? undefined : `${above}${name}/`
  }

  private namesIn(parent: number): ReadonlyMap<number, readonly string[]> {
    const known = this.named.get(parent)
    if (known !== undefined) return known
    const names = new Map<number, string[]>()
    for (const [name, { ino }] of listNames(this.files, parent)) {
      const others = names.get(ino)
      if (others === undefined) names.set(ino, [name])
      else others.push(name)
    }
    this.named.set(parent, names)
    return names
  }

  private pathsTo(inode: Inode): string[] {
    const { within, deep } = this.scope
    const hasOthers = inode.nlink > 1 && !isDirectory(inode)
    if (!deep && hasOthers) return [...(this.namesIn(within).get(inode.ino) ?? [])]
    return this.placesOf(inode).flatMap(({ parent, name }) => {
      const above = deep || parent === within ? this.pathOf(parent) : undefined
      return above === undefined ? [] : [above + name]
    })
  }

  /** Find the names of an inode.
   *  @cost nothing when it has one, which was found before; else a look at the names beside it, or at all */
  private placesOf(inode: Inode): readonly NamePlace[] {
    const { files } = this
    const { places } = files.volume
    const { ino, parent } = inode
    const isDir = isDirectory(inode)
    const known = isDir || inode.nlink === 1 ? places.get(ino) : undefined
    if (known !== undefined && lookUp(files, known.parent, known.name)?.ino === ino) return [known]
    const isThere = parent !== null && findInode(files, parent) !== undefined
    const hinted = isThere ? (this.namesIn(parent).get(ino) ?? []).map((name) => ({ parent, name })) : []
    const found = isDir || hinted.length === inode.nlink ? hinted : inodeNames(files, ino)
    if (found[0] !== undefined) places.set(ino, found[0])
    return found
  }
}

/** What is known of a group of changes while it is read. */
class Group {
  /** Microseconds since 1970. */
  private readonly atUs: number
  /** Where each inode was written last. */
  private readonly last = new Map<number, number>()
  /** Those that it gave a name. */
  readonly named = new Set<number>()
  /** Directories in which names came or went. */
  private readonly parents = new Set<number>()

  constructor(atUs: number, rows: readonly (RowChange | undefined)[]) {
    this.atUs = atUs
    for (const [at, row] of rows.entries()) {
      if (row === undefined) continue
      if (row.isEntry) this.parents.add(row.ino)
      else this.last.set(row.ino, at)
    }
  }

  /** Whether an inode is not written once more: so it is told of once, and after its name. */
  isLast(ino: number, at: number): boolean {
    return this.last.get(ino) === at
  }

  /** Whether an inode that was written with the group changed as people see it, and is not told of by its name. */
  isTold({ ino, mode, size, btime, ctime, mtime }: Inode): boolean {
    const { atUs, named } = this
    // Else it was a time of last access.
    if (ctime < atUs) return false
    const hasContent = mtime >= atUs
    const kind = mode & S.IFMT
    if (!hasContent) return !named.has(ino)
    // What is in a directory is told of by name.
    if (kind === S.IFDIR) return btime < atUs && !this.parents.has(ino)
    return btime < atUs || (kind === S.IFREG && size > 0)
  }
}

/** Read which row an id of the log names.
 *  @returns undefined for rows of other tables */
function rowOf(id: string, isEntry: boolean, isPut: boolean): RowChange | undefined {
  if (id === '') return undefined
  const slash = isEntry ? id.indexOf('/') : id.length
  const key = Number(id.slice(0, slash))
  return { isEntry, isPut, ino: key % LAYER_INOS, layer: Math.floor(key / LAYER_INOS), name: id.slice(slash + 1) }
}
