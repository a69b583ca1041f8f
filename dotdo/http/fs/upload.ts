/** PUT of a file.
 *
 *  1. Nobody sees a part of it: it is written as a file without a name, which gets its name at the end, in the
 *     transaction that checks the conditions. Should the client go away, so does the file.
 *  2. No more than a piece of it is in memory. */
import { joinBytes } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { FSX_FILE_BYTES_MAX, FSX_WEB_PIECE_BYTES } from '@dotdo/core/limits'
import { type Check, etagOf, type Placed } from '@dotdo/fsx/web'
import type { Context } from 'hono'
import { httpDate } from './download.ts'
import { checkOf } from './headers.ts'
import type { Target } from './target.ts'
import { openFor, type Way, type Ways } from './way.ts'

/** Read a body in pieces.
 *  @returns pieces of FSX_WEB_PIECE_BYTES or a little more, the last one shorter; none of an empty body
 *  @throws invalid when it ends before the length it was said to have */
async function* piecesOf({ req }: Context): AsyncGenerator<Uint8Array> {
  const told = req.header('Content-Length')
  const reader = req.raw.body?.getReader()
  let chunks: Uint8Array[] = []
  let [held, received] = [0, 0]
  try {
    for (;;) {
      const { done, value } = reader === undefined ? { done: true, value: undefined } : await reader.read()
      if (done || value === undefined) break
      chunks.push(value)
      held += value.length
      received += value.length
      if (held < FSX_WEB_PIECE_BYTES) continue
      yield joinBytes(chunks)
      chunks = []
      held = 0
    }
  } finally {
    await reader?.cancel().catch(() => undefined)
  }
  if (told !== undefined && Number(told) !== received) {
    throw new Failure('invalid', `the body ended after ${received} of ${told} bytes`)
  }
  if (held > 0) yield joinBytes(chunks)
}

/** Read the time that a client wants a file to have, in seconds since 1970: a header of ownCloud that rclone sends.
 *  @source https://github.com/owncloud/client, X-OC-Mtime */
function mtimeOf({ req }: Context): { mtime?: number } {
  const seconds = Number(req.header('X-OC-Mtime') || 'none')
  return Number.isFinite(seconds) && Math.abs(seconds) < 1e10 ? { mtime: Math.round(seconds * 1e6) } : {}
}

interface Upload {
  readonly path: string
  readonly check: Check
  readonly mtime?: number
}

/** Write the pieces to a file without a name, then name it. */
async function putLong(
  way: Way,
  { path, check, ...times }: Upload,
  pieces: AsyncIterable<Uint8Array>,
): Promise<Placed> {
  const { ino } = await way.call('makeNameless', { mode: 0o666 })
  try {
    let position = 0
    for await (const bytes of pieces) position = await way.call('write', { ino, bytes, position })
    const [placed] = await way.guard(check, [{ name: 'placeFile', args: { ino, path, ...times } }])
    return placed as Placed
  } finally {
    await way.call('close', { ino })
  }
}

async function* joined(first: readonly Uint8Array[], rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* first
  for (;;) {
    const { done, value } = await rest.next()
    if (done) return
    yield value
  }
}

async function put(context: Context, open: () => Promise<Way>, upload: Upload): Promise<Placed> {
  const { path, check, ...times } = upload
  const pieces = piecesOf(context)
  try {
    const first = await pieces.next()
    const second = first.done ? first : await pieces.next()
    const way = await open()
    if (!second.done) {
      // Before a long body is taken in, what would be refused at its end is refused now.
      await way.guard(check, [])
      return await putLong(way, upload, joined([first.value as Uint8Array, second.value], pieces))
    }
    const bytes = first.value ?? new Uint8Array(0)
    const [placed] = await way.guard(check, [{ name: 'putFile', args: { path, bytes, mode: 0o666, ...times } }])
    return placed as Placed
  } finally {
    await pieces.return(undefined)
  }
}

/** Take a file in. */
export async function answerPut(context: Context, ways: Ways, target: Target): Promise<Response> {
  const { path, slash } = target
  const { req } = context
  if (slash || path === '/') throw new Failure('type_mismatch', 'a directory is no file', { errno: 'EISDIR' })
  if (req.header('Content-Range') !== undefined) throw new Failure('invalid', 'PUT takes whole files, no Content-Range')
  if (Number(req.header('Content-Length') ?? 0) > FSX_FILE_BYTES_MAX) {
    throw new Failure('limit', `a file has at most ${FSX_FILE_BYTES_MAX} bytes`, { errno: 'EFBIG' })
  }
  const check = checkOf(context, target, [{ path, names: false, deep: false }])
  const times = mtimeOf(context)
  const { inode, made } = await put(context, () => openFor(ways, target, check), { path, check, ...times })
  const headers: Record<string, string> = { ETag: `"${etagOf(inode)}"`, 'Last-Modified': httpDate(inode.mtime) }
  if (times.mtime !== undefined) headers['X-OC-Mtime'] = 'accepted'
  return context.body(null, made ? 201 : 204, headers)
}
