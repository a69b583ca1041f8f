/** Advisory locks of open files: stretches of bytes, shared or exclusive, as with F_OFD_SETLK of Linux. They bind only
 *  those who ask.
 *
 *  1. A lock belongs to an open file (`owner`), whoever uses that. A new one takes the place of what its owner had on
 *     the stretch; nothing that two owners hold overlaps, unless both are shared.
 *  2. Locks live as long as their session, the client, is renewed (`FSX_LOCK_LEASE_MS`); what nobody renewed in time is
 *     taken from it before anybody else is given it. They outlive the shard's memory.
 *  3. Taking and giving back are in the log, so those who wait learn of it there. In what order they get it is chance.
 *  4. Who waits is in memory, for as long as it asks again: a circle of owners that wait for each other is refused.
 *  @source Linux fcntl(2), open file description locks */
import { FSX_LOCK_LEASE_MS, FSX_LOCK_WAIT_MS, FSX_LOCKS_MAX } from '@dotdo/core/limits'
import { internalTable, type Position, type Tx, table } from '@dotdo/core/shard'
import { refuse } from '../errors.ts'
import { FSX_SLOT } from '../tables.ts'
import { handled } from './files.ts'
import type { Files, Volume } from './volume.ts'

/** A locked stretch. */
export type FileLock = {
  /** The filesystem: `main`, a fork, or a snapshot of one. */
  head: string
  ino: number
  owner: string
  /** The first byte. */
  start: number
  /** The byte after the last. */
  stop: number
  /** 1 when it is exclusive, 0 when it is shared. */
  exclusive: number
  session: string
}

/** A client that holds locks. */
export type LockSession = {
  session: string
  /** When its locks are anybody's, in ms since 1970, unless it is renewed. */
  expires: number
}

/** Locks that are held. */
export const fileLocks = table<FileLock>({
  name: 'fs_locks',
  collection: 'locks',
  slot: FSX_SLOT,
  columns: {
    head: 'text',
    ino: 'integer',
    owner: 'text',
    start: 'integer',
    stop: 'integer',
    exclusive: 'integer',
    session: 'text',
  },
  primaryKey: ['head', 'ino', 'owner', 'start'],
  withoutRowid: true,
  document: ({ head, ino, owner, start, stop, exclusive }) => ({ head, ino, owner, start, stop, exclusive }),
  documentId: ({ head, ino, owner, start }) => `${head}/${ino}/${owner}/${start}`,
})

/** Clients that hold locks. */
export const lockSessions = internalTable<LockSession>({
  name: 'fs_lock_sessions',
  slot: FSX_SLOT,
  columns: { session: 'text', expires: 'integer' },
  primaryKey: ['session'],
  withoutRowid: true,
})

/** A stretch of an open file. */
export interface Stretch {
  readonly ino: number
  readonly owner: string
  readonly start: number
  readonly stop: number
}

/** A lock that is wanted. */
export interface LockWanted extends Stretch {
  readonly session: string
  readonly exclusive: boolean
  /** Whether its owner asks again when it is refused. */
  readonly waits: boolean
}

/** Somebody who waits. */
export interface LockWait extends LockWanted {
  /** When it has given up, as it seems, in ms since 1970. */
  readonly untilMs: number
}

const headOf = ({ head, snapshot }: Volume) => (snapshot === undefined ? head : `${head}/${snapshot}`)

const columns = 'head, ino, owner, start, stop, exclusive, session'

/** Find locks of others that keep a wanted one from being held. */
function conflicts({ tx, volume }: Files, { ino, owner, start, stop, exclusive }: Omit<LockWanted, 'waits'>) {
  const where = 'head = ? and ino = ? and owner <> ? and start < ? and stop > ? and (exclusive = 1 or ? = 1)'
  const values = [headOf(volume), ino, owner, stop, start, exclusive ? 1 : 0]
  return tx.all(`select ${columns} from fs_locks where ${where}`, ...values) as FileLock[]
}

/** Take a lock, or learn that it is not free.
 *  @returns null when it is held; else a place in the log: after that something may have been given back
 *  @throws EBADF when the file is gone; ENOLCK when there are too many; EDEADLK when it would wait for itself */
export function takeLock(files: Files, wanted: LockWanted): Position | null {
  const { tx, volume } = files
  handled(files, wanted.ino)
  endExpired(tx)
  const others = conflicts(files, wanted)
  const { lockWaits } = volume
  lockWaits.delete(wanted.owner)
  if (others.length > 0) {
    if (wanted.waits) {
      checkCircle(files, wanted.owner, others)
      lockWaits.set(wanted.owner, { ...wanted, untilMs: tx.nowMs + 2 * FSX_LOCK_WAIT_MS })
    }
    return tx.position
  }
  const { session, exclusive } = wanted
  const locks = replaceStretch(files, wanted)
  const joined = joinTo(locks, { ...wanted, head: headOf(volume), exclusive: exclusive ? 1 : 0 })
  const count = Number(tx.raw('select count(*) from fs_locks')[0]?.[0])
  if (count >= FSX_LOCKS_MAX) throw refuse('ENOLCK')
  for (const lock of joined.replaced) tx.remove(fileLocks, lock)
  tx.put(fileLocks, joined.lock)
  tx.put(lockSessions, { session, expires: tx.nowMs + FSX_LOCK_LEASE_MS })
  return null
}

/** Refuse to wait in a circle. Owners hold and wait for stretches of one file only, so a circle is within it.
 *  @throws EDEADLK */
function checkCircle(files: Files, owner: string, others: readonly FileLock[]): void {
  const { lockWaits } = files.volume
  const seen = new Set<string>()
  for (const queue = [...others]; queue.length > 0; ) {
    const holder = (queue.pop() as FileLock).owner
    if (holder === owner) throw refuse('EDEADLK')
    const wait = lockWaits.get(holder)
    if (wait === undefined || seen.has(holder) || wait.untilMs < files.tx.nowMs) continue
    seen.add(holder)
    queue.push(...conflicts(files, wait))
  }
}

/** Take a stretch out of what its owner holds.
 *  @returns the locks that it has left */
function replaceStretch({ tx, volume }: Files, { ino, owner, start, stop }: Stretch): FileLock[] {
  const where = 'head = ? and ino = ? and owner = ?'
  const held = tx.all(`select ${columns} from fs_locks where ${where}`, headOf(volume), ino, owner) as FileLock[]
  const left: FileLock[] = []
  for (const lock of held) {
    if (lock.stop <= start || lock.start >= stop) {
      left.push(lock)
      continue
    }
    const pieces = [
      { ...lock, stop: Math.min(lock.stop, start) },
      { ...lock, start: Math.max(lock.start, stop) },
    ].filter((piece) => piece.start < piece.stop)
    if (pieces[0]?.start !== lock.start) tx.remove(fileLocks, lock)
    for (const piece of pieces) tx.put(fileLocks, piece)
    left.push(...pieces)
  }
  return left
}

/** Let a lock be one with those beside it that are like it. */
function joinTo(locks: readonly FileLock[], { head, ino, owner, start, stop, exclusive, session }: FileLock) {
  const beside = locks.filter((lock) => {
    return lock.exclusive === exclusive && (lock.stop === start || lock.start === stop)
  })
  const from = Math.min(start, ...beside.map((lock) => lock.start))
  const to = Math.max(stop, ...beside.map((lock) => lock.stop))
  return {
    lock: { head, ino, owner, start: from, stop: to, exclusive, session },
    replaced: beside.filter((lock) => lock.start !== from),
  }
}

/** Give a stretch back, and stop waiting for any.
 *  @returns whether its owner still has a lock */
export function dropLock(files: Files, stretch: Stretch): boolean {
  files.volume.lockWaits.delete(stretch.owner)
  return replaceStretch(files, stretch).length > 0
}

/** Give a session more time.
 *  @returns those of its owners that hold nothing any more, though it thinks so */
export function renewLocks(
  { tx }: Files,
  { session, owners }: { session: string; owners: readonly string[] },
): string[] {
  const held = new Set(tx.raw('select distinct owner from fs_locks where session = ?', session).map(([owner]) => owner))
  if (held.size > 0) tx.put(lockSessions, { session, expires: tx.nowMs + FSX_LOCK_LEASE_MS })
  return owners.filter((owner) => !held.has(owner))
}

/** End a session: whatever it holds is free. */
export function endLocks({ tx }: Files, { session }: { session: string }): null {
  endSession(tx, session)
  return null
}

function endSession(tx: Tx, session: string): void {
  const ended = tx.write(`delete from fs_locks where session = ? returning ${columns}`, session)
  for (const row of ended) tx.record(fileLocks, 'delete', row as FileLock)
  tx.remove(lockSessions, { session })
}

function endExpired(tx: Tx): void {
  const expired = tx.raw('select session from fs_lock_sessions where expires <= ?', tx.nowMs)
  for (const [session] of expired) endSession(tx, String(session))
}

/** End the sessions that nobody renewed.
 *  @returns when to look again, in ms since 1970; undefined when there are none */
export function sweepLocks(tx: Tx): number | undefined {
  const next = () => tx.raw('select min(expires) from fs_lock_sessions')[0]?.[0]
  let dueMs = next()
  if (dueMs != null && Number(dueMs) <= tx.nowMs) {
    endExpired(tx)
    dueMs = next()
  }
  return dueMs == null ? undefined : Number(dueMs)
}

/** Forget the locks of a fork that is no more. */
export function forgetHead({ tx }: Files, head: string): void {
  // '0' is the character after '/'.
  const statement = `delete from fs_locks where head = ? or (head > ? and head < ?) returning ${columns}`
  for (const row of tx.write(statement, head, `${head}/`, `${head}0`)) tx.record(fileLocks, 'delete', row as FileLock)
}
