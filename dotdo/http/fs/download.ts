/** GET and HEAD of a file.
 *
 *  1. A file that is longer than one piece is held open while it is sent: what is sent is one version, or the answer
 *     breaks off.
 *  2. One range is answered as such; more than one, as the whole file, which RFC 9110 allows.
 *  3. A page in a browser that is a file is in a sandbox: it is of no origin, and cannot use ours.
 *  @source RFC 9110 sections 13 and 14 */
import { Failure } from '@dotdo/core/errors'
import { FSX_WEB_PIECE_BYTES } from '@dotdo/core/limits'
import type { Inode } from '@dotdo/fsx/program'
import { checkExpectation, etagOf } from '@dotdo/fsx/web'
import type { Context } from 'hono'
import { getMimeType } from 'hono/utils/mime'
import { expectationOf, secondsOf } from './headers.ts'
import type { Target } from './target.ts'
import type { Way } from './way.ts'

/** Tell a file's type by its name. */
export function contentTypeOf(path: string): string {
  return getMimeType(path.toLowerCase()) ?? 'application/octet-stream'
}

/** Write a time as HTTP does.
 *  @param us microseconds since 1970 */
export function httpDate(us: number): string {
  return new Date(Math.floor(us / 1e6) * 1000).toUTCString()
}

/** Bytes of a file: from the first on, up to before `end`. */
interface Span {
  readonly from: number
  readonly end: number
}

/** Read `Range`.
 *  @returns undefined for the whole file; null for one that the file does not reach */
function spanOf({ req }: Context, inode: Inode): Span | null | undefined {
  const { size } = inode
  const range = /^bytes=\s*(\d*)-(\d*)\s*$/i.exec(req.header('Range') ?? '')
  if (range === null || req.method !== 'GET' || (range[1] === '' && range[2] === '')) return undefined
  const ifRange = req.header('If-Range')
  if (ifRange !== undefined && ifRange !== `"${etagOf(inode)}"` && ifRange !== httpDate(inode.mtime)) return undefined
  const [first, last] = [range[1], range[2]].map((text) => (text === '' ? undefined : Number(text)))
  if (first === undefined) {
    const count = Math.min(last as number, size)
    return count === 0 ? null : { from: size - count, end: size }
  }
  if (last !== undefined && last < first) return undefined
  return first >= size ? null : { from: first, end: Math.min(size, (last ?? size) + 1) }
}

/** Whether the client has this version already. */
function isKnown(context: Context, inode: Inode): boolean {
  const { noneMatch } = expectationOf(context, '/')
  if (noneMatch !== undefined) return noneMatch === '*' || noneMatch.includes(etagOf(inode))
  const since = secondsOf(context.req.header('If-Modified-Since'))
  return since !== undefined && Math.floor(inode.mtime / 1e6) <= since
}

function headersOf(inode: Inode, path: string): Record<string, string> {
  return {
    ETag: `"${etagOf(inode)}"`,
    'Last-Modified': httpDate(inode.mtime),
    'Accept-Ranges': 'bytes',
    'Content-Type': contentTypeOf(path),
    'Cache-Control': 'no-cache',
    'X-Content-Type-Options': 'nosniff',
    'Content-Security-Policy': 'sandbox',
  }
}

/** workerd sends a length only with a body that is known to have it. */
interface Fixed {
  readonly FixedLengthStream?: new (
    length: number,
  ) => { readable: ReadableStream<Uint8Array>; writable: WritableStream<Uint8Array> }
}

function withLength(body: ReadableStream<Uint8Array>, length: number): ReadableStream<Uint8Array> {
  const { FixedLengthStream } = globalThis as Fixed
  return FixedLengthStream === undefined ? body : body.pipeThrough(new FixedLengthStream(length))
}

/** Read an open file as a stream, and close it at the end. */
function streamOf(way: Way, ino: number, { from, end }: Span): ReadableStream<Uint8Array> {
  let position = from
  const close = async () => void (await way.call('close', { ino }))
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const bytes = await way.call('read', { ino, position, length: Math.min(FSX_WEB_PIECE_BYTES, end - position) })
          if (bytes.length === 0) throw new Failure('conflict', 'the file became shorter while it was read')
          position += bytes.length
          controller.enqueue(bytes)
          if (position < end) return
          await close()
          controller.close()
        } catch (error) {
          await close().catch(() => undefined)
          controller.error(error)
        }
      },
      cancel: close,
    },
    { highWaterMark: 0 },
  )
}

function answerSpan(context: Context, inode: Inode, path: string) {
  const { size } = inode
  const span = spanOf(context, inode)
  const headers = headersOf(inode, path)
  if (span === null) return { refused: context.body(null, 416, { ...headers, 'Content-Range': `bytes */${size}` }) }
  const { from, end } = span ?? { from: 0, end: size }
  headers['Content-Length'] = String(end - from)
  if (span !== undefined) headers['Content-Range'] = `bytes ${from}-${end - 1}/${size}`
  return { from, end, headers, status: span === undefined ? (200 as const) : (206 as const) }
}

/** Answer with a file.
 *  @param peeked the file, and its content if that is short */
export async function answerFile(
  context: Context,
  { way, target, peeked }: { way: Way; target: Target; peeked: { inode: Inode; bytes: Uint8Array | null } },
): Promise<Response> {
  const { path } = target
  let { inode, bytes } = peeked
  const { noneMatch: _, ...expected } = expectationOf(context, path)
  checkExpectation(inode, expected)
  if (isKnown(context, inode)) {
    const { ETag = '', 'Last-Modified': modified = '' } = headersOf(inode, path)
    return context.body(null, 304, { ETag, 'Last-Modified': modified, 'Cache-Control': 'no-cache' })
  }
  const isHead = context.req.method === 'HEAD'
  const isHeld = bytes === null && !isHead
  // From here on it is the open file that counts.
  if (isHeld) inode = await way.call('open', { path, flags: 0, mode: 0 })
  const answer = answerSpan(context, inode, path)
  if ('refused' in answer || isHead || bytes !== null) {
    if (isHeld) await way.call('close', { ino: inode.ino })
    if ('refused' in answer) return answer.refused as Response
    const { from, end, headers, status } = answer
    const body = isHead || bytes === null ? null : (bytes.slice(from, end) as Uint8Array<ArrayBuffer>)
    return new Response(body, { status, headers })
  }
  const { from, end, headers, status } = answer
  return new Response(withLength(streamOf(way, inode.ino, { from, end }), end - from), { status, headers })
}
