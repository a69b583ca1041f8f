/** Keyspace events: what happened to keys, as commands call it. The log knows that a key changed, not by what; so while
 *  a follower wants events, the shard notes them beside the log.
 *
 *  1. An event is noted under the seq of the last change of its command: it is told when that is committed, in the
 *     order of the log. What is undone takes its seqs back, and its events with them.
 *  2. A key that did not change has no event. Nothing is noted, and nothing looked at, while nobody asks.
 *  3. Events live in memory, a bounded number: like any message of pub/sub they may be lost, and are not made up.
 *
 *  @source https://redis.io/docs/latest/develop/use/keyspace-notifications/ and notify.c of Redis 7.2 */
import type { Bin } from '@dotdo/core/bytes'
import { REDIS_EVENTS_KEPT_MAX, REDIS_EVENTS_WANTED_MS } from '@dotdo/core/limits'
import type { Tx } from '@dotdo/core/shard'
import type { Command } from './command.ts'
import { probeKey } from './engine/keys.ts'
import { eventsOf, inOrder, relocating, removing, replacing } from './event-names.ts'
import { findKeys } from './routing.ts'
import { type KeyRow, keys } from './tables.ts'

/** What happened to a key. Plain data. */
export type KeyEvent = readonly [db: number, key: Bin, event: string, kind: string]

interface Noted {
  readonly seq: number
  readonly event: KeyEvent
}

/** Notes events of one shard. */
interface Recorder {
  noted: Noted[]
  untilMs: number
}

const place = 'redis.events'

function recorderOf(tx: Tx): Recorder | undefined {
  const recorder = tx.memory.get(place) as Recorder | undefined
  if (recorder === undefined || recorder.untilMs >= tx.nowMs) return recorder
  // Its follower has gone.
  tx.memory.delete(place)
  return undefined
}

/** Tell whether somebody wants events. */
export function notesEvents(tx: Tx): boolean {
  return recorderOf(tx) !== undefined
}

/** Forget what was undone: its seqs are given out again. */
function forgetUndone(recorder: Recorder, seq: number): void {
  while ((recorder.noted.at(-1)?.seq ?? 0) > seq) recorder.noted.pop()
}

/** Note events from now on, for a while. */
export function wantEvents(tx: Tx): void {
  const recorder = recorderOf(tx) ?? { noted: [], untilMs: 0 }
  recorder.untilMs = tx.nowMs + REDIS_EVENTS_WANTED_MS
  tx.memory.set(place, recorder)
}

/** Read the events of changes after a seq, up to another. */
export function readEvents(tx: Tx, afterSeq: number, toSeq: number): KeyEvent[] {
  const recorder = recorderOf(tx)
  if (recorder === undefined) return []
  forgetUndone(recorder, tx.position.seq)
  return recorder.noted.flatMap(({ seq, event }) => (seq > afterSeq && seq <= toSeq ? [event] : []))
}

function note(tx: Tx, recorder: Recorder, events: readonly KeyEvent[]): void {
  const { seq } = tx.position
  for (const event of events) recorder.noted.push({ seq, event })
  if (recorder.noted.length > 2 * REDIS_EVENTS_KEPT_MAX) recorder.noted.splice(0, REDIS_EVENTS_KEPT_MAX)
}

/** What a command did to one key. */
export interface Touched {
  readonly db: number
  readonly key: Bin
  /** What became of the key itself; undefined when only what it holds changed. */
  end: 'put' | 'delete' | undefined
}

const nameOf = (db: number, key: Bin) => `${db}/${key}`

/** List the keys that changed since a position, in the order in which they first did. */
function touchedSince(tx: Tx, position: Tx['position']): Touched[] {
  const touched = new Map<string, Touched>()
  tx.changedSince(position, (table, { db, key }, op) => {
    if (db === undefined || key === undefined) return false
    const name = nameOf(db as number, key as Bin)
    const known = touched.get(name) ?? { db: db as number, key: key as Bin, end: undefined }
    touched.set(name, known)
    if (table === (keys as unknown)) known.end = op === 'put' ? 'put' : 'delete'
    return false
  })
  for (const each of touched.values()) {
    // The row of a key that was made anew with its elements is logged at the end of the group.
    if (each.end === 'delete' && tx.find(keys, probeKey(each.db, each.key)) !== undefined) each.end = 'put'
  }
  return [...touched.values()]
}

type Before = ReadonlyMap<string, Pick<KeyRow, 'expires'>>

interface Request {
  readonly row: Command
  readonly argv: readonly Bin[]
  readonly db: number
}

/** Find the keys of a request that there are. */
function keysBefore(tx: Tx, { row, argv, db }: Request): Before {
  const before = new Map<string, Pick<KeyRow, 'expires'>>()
  for (const at of findKeys(row, argv)) {
    const key = argv[at] as Bin
    const found = tx.find(keys, probeKey(db, key))
    if (found !== undefined) before.set(nameOf(db, key), { expires: found.expires })
  }
  return before
}

/** Tell which keys a request changed without reading the log, when its arguments tell.
 *  @returns undefined when they do not */
function touchedByArguments(tx: Tx, { row, argv, db }: Request, before: Before): Touched[] | undefined {
  const named = [...new Set(findKeys(row, argv).map((at) => argv[at] as Bin))]
  const isRemoving = removing.has(row.name)
  if ((named.length > 1 && !isRemoving && !row.name.startsWith('mset')) || row.name === 'move') return undefined
  return named.flatMap((key): Touched[] => {
    if (tx.find(keys, probeKey(db, key)) !== undefined) return isRemoving ? [] : [{ db, key, end: 'put' }]
    return before.has(nameOf(db, key)) ? [{ db, key, end: 'delete' }] : []
  })
}

/** Run a command that writes; note what it did to its keys. */
export function withEvents<T>(tx: Tx, request: Request, run: () => T): T {
  const recorder = recorderOf(tx)
  if (recorder === undefined) return run()
  const { position } = tx
  forgetUndone(recorder, position.seq)
  const before = keysBefore(tx, request)
  const answer = run()
  if (tx.position.seq === position.seq) return answer
  const touched = touchedByArguments(tx, request, before) ?? touchedSince(tx, position)
  note(tx, recorder, describe(request, inOrder(request.row, request.argv, touched), { before, nowMs: tx.nowMs }))
  return answer
}

/** Say what became of keys. */
function describe(
  { row, argv }: Request,
  touched: readonly Touched[],
  { before, nowMs }: { before: Before; nowMs: number },
): KeyEvent[] {
  const first: KeyEvent[] = []
  const events: KeyEvent[] = []
  for (const each of touched) {
    const { db, key, end } = each
    const was = before.get(nameOf(db, key))
    const isExpired = was !== undefined && was.expires !== null && was.expires < nowMs
    if (isExpired) events.push([db, key, 'expired', 'x'])
    if (isExpired && end === 'delete') continue
    const isNew = end === 'put' && (was === undefined || isExpired || replacing.has(row.name))
    if (isNew) (relocating.has(row.name) ? first : events).push([db, key, 'new', 'n'])
    for (const [event, kind] of eventsOf(row, argv, each)) events.push([db, key, event, kind])
  }
  return [...first, ...events]
}

/** Run active expiry; note which keys it removed. */
export function withExpiredEvents<T>(tx: Tx, sweep: () => T): T {
  const recorder = recorderOf(tx)
  if (recorder === undefined) return sweep()
  const { position } = tx
  forgetUndone(recorder, position.seq)
  const answer = sweep()
  const touched = touchedSince(tx, position)
  note(
    tx,
    recorder,
    // What loses parts only has fields whose own time has come.
    touched.map(({ db, key, end }) => (end === 'delete' ? [db, key, 'expired', 'x'] : [db, key, 'hexpired', 'h'])),
  )
  return answer
}
