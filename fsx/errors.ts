/** Errors of the filesystem: POSIX's codes inside a Failure, and Node's error made of it.
 *  @source node v20 lib/internal/errors.js (UVException); libuv v1.46 include/uv.h, for codes and messages */
import { type Code, Failure } from '@dotdo/core/errors'

/** Each code with its number on Linux, the words of libuv, and what it is among failures. */
export const errnos = {
  EPERM: [-1, 'operation not permitted', 'forbidden'],
  ENOENT: [-2, 'no such file or directory', 'not_found'],
  EIO: [-5, 'i/o error', 'storage'],
  ENXIO: [-6, 'no such device or address', 'unsupported'],
  EBADF: [-9, 'bad file descriptor', 'invalid'],
  EAGAIN: [-11, 'resource temporarily unavailable', 'conflict'],
  EACCES: [-13, 'permission denied', 'forbidden'],
  EBUSY: [-16, 'resource busy or locked', 'conflict'],
  EEXIST: [-17, 'file already exists', 'exists'],
  EXDEV: [-18, 'cross-device link not permitted', 'unsupported'],
  ENOTDIR: [-20, 'not a directory', 'type_mismatch'],
  EISDIR: [-21, 'illegal operation on a directory', 'type_mismatch'],
  EINVAL: [-22, 'invalid argument', 'invalid'],
  ENFILE: [-23, 'file table overflow', 'limit'],
  EFBIG: [-27, 'file too large', 'limit'],
  ENOSPC: [-28, 'no space left on device', 'limit'],
  EROFS: [-30, 'read-only file system', 'forbidden'],
  EMLINK: [-31, 'too many links', 'limit'],
  ERANGE: [-34, 'result too large', 'invalid'],
  EDEADLK: [-35, 'resource deadlock avoided', 'invalid'],
  ENAMETOOLONG: [-36, 'name too long', 'limit'],
  ENOLCK: [-37, 'no locks available', 'limit'],
  ENOTEMPTY: [-39, 'directory not empty', 'conflict'],
  ELOOP: [-40, 'too many symbolic links encountered', 'invalid'],
  ENODATA: [-61, 'no data available', 'not_found'],
  EILSEQ: [-84, 'illegal byte sequence', 'invalid'],
  ENOTSUP: [-95, 'operation not supported on socket', 'unsupported'],
  ETIMEDOUT: [-110, 'connection timed out', 'conflict'],
  EDQUOT: [-122, 'disk quota exceeded', 'limit'],
} as const satisfies { readonly [code: string]: readonly [errno: number, message: string, code: Code] }

/** A code of POSIX that the filesystem answers. */
export type Errno = keyof typeof errnos

/** What a failure of the filesystem tells machines. */
export interface ErrnoDetail {
  readonly errno: Errno
  /** The system call that failed, where it is not the one that the caller would name. */
  readonly syscall?: string
}

/** Make the failure for a code of POSIX. */
export function refuse(errno: Errno, syscall?: string): Failure {
  const [, message, code] = errnos[errno]
  return new Failure(code, `${errno}: ${message}`, { errno, ...(syscall && { syscall }) } satisfies ErrnoDetail)
}

/** Tell the code of POSIX that something was refused with.
 *  @returns undefined for what the filesystem did not refuse */
export function errnoOf(error: unknown): Errno | undefined {
  const { errno } = ((error instanceof Failure ? error.detail : undefined) ?? {}) as Partial<ErrnoDetail>
  return errno !== undefined && Object.hasOwn(errnos, errno) ? errno : undefined
}

/** What was being done when something failed. */
export interface Doing {
  readonly syscall: string
  readonly path?: string | undefined
  readonly dest?: string | undefined
}

/** An error as node:fs has it. */
export interface FsError extends Error {
  code: string
  errno: number
  syscall: string
  path?: string
  dest?: string
}

/** Make an error as node:fs has it. */
export function fsError(errno: Errno, { syscall, path, dest }: Doing, cause?: unknown): FsError {
  const [number, words] = errnos[errno]
  const named = path === undefined ? '' : ` '${path}'${dest === undefined ? '' : ` -> '${dest}'`}`
  const text = `${errno}: ${words}, ${syscall}${named}`
  const error = new Error(text, cause === undefined ? undefined : { cause }) as FsError
  error.errno = number
  error.code = errno
  error.syscall = syscall
  if (path !== undefined) error.path = path
  if (dest !== undefined) error.dest = dest
  return error
}

/** The code of POSIX for failures that are not the filesystem's own. */
const foreign: { readonly [C in Code]: Errno } = {
  invalid: 'EINVAL',
  not_found: 'ENOENT',
  exists: 'EEXIST',
  type_mismatch: 'EINVAL',
  limit: 'ENOSPC',
  unsupported: 'ENOTSUP',
  cross_shard: 'EXDEV',
  conflict: 'EBUSY',
  moved: 'EIO',
  unassigned: 'EIO',
  out_of_range: 'EIO',
  unauthenticated: 'EACCES',
  forbidden: 'EACCES',
  unavailable: 'EIO',
  storage: 'EIO',
  internal: 'EIO',
}

/** Turn what was thrown into an error of node:fs; what is no Failure passes through. */
export function toFsError(error: unknown, doing: Doing): unknown {
  if (!(error instanceof Failure)) return error
  const errno = errnoOf(error)
  // Content must be fetched, and whoever asked cannot wait.
  if ((error.detail as { isCold?: boolean } | undefined)?.isCold) return fsError('EAGAIN', doing, error)
  if (errno === undefined) return fsError(foreign[error.code], doing, error)
  const { syscall } = error.detail as ErrnoDetail
  // What fails past the opening knows no path, as in Node.
  return fsError(errno, syscall === undefined ? doing : { syscall })
}
