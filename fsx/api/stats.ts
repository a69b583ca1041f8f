/** What node:fs tells of files: Stats and Dirent.
 *  @source node v20 lib/internal/fs/utils.js */
import { FSX_CHUNK_BYTES } from '@dotdo/core/limits'
import { isDirectory, S } from '../engine/mode.ts'
import type { Inode } from '../tables.ts'

/** What filesystems of ours are called as devices. */
const DEVICE = 0x667378
const BLOCK_BYTES = 512
const PAGE_BYTES = 4096

const sizeOf = (inode: Inode) =>
  isDirectory(inode) ? PAGE_BYTES : inode.link === null ? inode.size : Buffer.byteLength(inode.link)

abstract class Kinds {
  abstract readonly kind: number
  isFile(): boolean {
    return this.kind === S.IFREG
  }
  isDirectory(): boolean {
    return this.kind === S.IFDIR
  }
  isSymbolicLink(): boolean {
    return this.kind === S.IFLNK
  }
  isBlockDevice(): boolean {
    return false
  }
  isCharacterDevice(): boolean {
    return false
  }
  isFIFO(): boolean {
    return false
  }
  isSocket(): boolean {
    return false
  }
}

/** All about a file, in numbers. */
export class Stats extends Kinds {
  readonly dev = DEVICE
  readonly mode: number
  readonly nlink: number
  readonly uid: number
  readonly gid: number
  readonly rdev = 0
  readonly blksize = FSX_CHUNK_BYTES
  readonly ino: number
  readonly size: number
  readonly blocks: number
  readonly atimeMs: number
  readonly mtimeMs: number
  readonly ctimeMs: number
  readonly birthtimeMs: number

  constructor(inode: Inode) {
    super()
    this.mode = inode.mode
    this.nlink = inode.nlink
    this.uid = inode.uid
    this.gid = inode.gid
    this.ino = inode.ino
    this.size = sizeOf(inode)
    this.blocks = Math.ceil((isDirectory(inode) ? PAGE_BYTES : inode.stored) / PAGE_BYTES) * (PAGE_BYTES / BLOCK_BYTES)
    this.atimeMs = inode.atime / 1000
    this.mtimeMs = inode.mtime / 1000
    this.ctimeMs = inode.ctime / 1000
    this.birthtimeMs = inode.btime / 1000
  }

  get kind(): number {
    return this.mode & S.IFMT
  }
  get atime(): Date {
    return new Date(Math.round(this.atimeMs))
  }
  get mtime(): Date {
    return new Date(Math.round(this.mtimeMs))
  }
  get ctime(): Date {
    return new Date(Math.round(this.ctimeMs))
  }
  get birthtime(): Date {
    return new Date(Math.round(this.birthtimeMs))
  }
}

/** All about a file, in whole numbers of any size. */
export class BigIntStats extends Kinds {
  readonly dev = BigInt(DEVICE)
  readonly mode: bigint
  readonly nlink: bigint
  readonly uid: bigint
  readonly gid: bigint
  readonly rdev = 0n
  readonly blksize = BigInt(FSX_CHUNK_BYTES)
  readonly ino: bigint
  readonly size: bigint
  readonly blocks: bigint
  readonly atimeNs: bigint
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
  readonly birthtimeNs: bigint

  constructor(inode: Inode) {
    super()
    const { blocks } = new Stats(inode)
    const nanos = (at: number) => BigInt(Math.floor(inode.nanos / 1000 ** at) % 1000)
    this.mode = BigInt(inode.mode)
    this.nlink = BigInt(inode.nlink)
    this.uid = BigInt(inode.uid)
    this.gid = BigInt(inode.gid)
    this.ino = BigInt(inode.ino)
    this.size = BigInt(sizeOf(inode))
    this.blocks = BigInt(blocks)
    this.atimeNs = BigInt(inode.atime) * 1000n + nanos(0)
    this.mtimeNs = BigInt(inode.mtime) * 1000n + nanos(1)
    this.ctimeNs = BigInt(inode.ctime) * 1000n + nanos(2)
    this.birthtimeNs = BigInt(inode.btime) * 1000n + nanos(3)
  }

  get kind(): number {
    return Number(this.mode) & S.IFMT
  }
  get atimeMs(): bigint {
    return this.atimeNs / 1_000_000n
  }
  get mtimeMs(): bigint {
    return this.mtimeNs / 1_000_000n
  }
  get ctimeMs(): bigint {
    return this.ctimeNs / 1_000_000n
  }
  get birthtimeMs(): bigint {
    return this.birthtimeNs / 1_000_000n
  }
  get atime(): Date {
    return new Date(Number(this.atimeMs))
  }
  get mtime(): Date {
    return new Date(Number(this.mtimeMs))
  }
  get ctime(): Date {
    return new Date(Number(this.ctimeMs))
  }
  get birthtime(): Date {
    return new Date(Number(this.birthtimeMs))
  }
}

/** A name in a directory. */
export class Dirent<Name extends string | Buffer = string> extends Kinds {
  readonly name: Name
  readonly parentPath: string
  readonly kind: number

  constructor(name: Name, parentPath: string, kind: number) {
    super()
    this.name = name
    this.parentPath = parentPath
    this.kind = kind
  }

  /** As `parentPath`. */
  get path(): string {
    return this.parentPath
  }
}
