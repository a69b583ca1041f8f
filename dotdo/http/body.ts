/** Bodies of requests, read whole and bounded. Hono's own limit would wrap a body that comes in chunks into another
 *  Request, which Node's refuses to make of the adapter's. */
import { joinBytes } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { HTTP_BODY_BYTES_MAX } from '@dotdo/core/limits'
import type { Context } from 'hono'

/** Read a body's chunks.
 *  @throws limit when it is larger, as soon as that is known */
async function* chunksOf({ req }: Context, bytesMax: number): AsyncGenerator<Uint8Array> {
  const tooLarge = () => new Failure('limit', `the body is larger than ${bytesMax} bytes`)
  if (Number(req.header('Content-Length') ?? 0) > bytesMax) throw tooLarge()
  const reader = req.raw.body?.getReader()
  for (let bytes = 0; reader !== undefined; ) {
    const { done, value } = await reader.read()
    if (done) return
    bytes += value.length
    if (bytes > bytesMax) {
      await reader.cancel()
      throw tooLarge()
    }
    yield value
  }
}

/** Read a body as text.
 *  @throws limit when it is larger, as soon as that is known */
export async function bodyText(context: Context, bytesMax: number = HTTP_BODY_BYTES_MAX): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of chunksOf(context, bytesMax)) text += decoder.decode(chunk, { stream: true })
  return text + decoder.decode()
}

/** Read a body as it is.
 *  @throws limit when it is larger, as soon as that is known */
export async function bodyBytes(context: Context, bytesMax: number = HTTP_BODY_BYTES_MAX): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of chunksOf(context, bytesMax)) chunks.push(chunk)
  return joinBytes(chunks)
}
