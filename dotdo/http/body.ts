/** Bodies of requests, read whole and bounded. Hono's own limit would wrap a body that comes in chunks into another
 *  Request, which Node's refuses to make of the adapter's. */
import { Failure } from '@dotdo/core/errors'
import { HTTP_BODY_BYTES_MAX } from '@dotdo/core/limits'
import type { Context } from 'hono'

/** Read a body as text.
 *  @throws limit when it is larger, as soon as that is known */
export async function bodyText({ req }: Context, bytesMax: number = HTTP_BODY_BYTES_MAX): Promise<string> {
  const tooLarge = () => new Failure('limit', `the body is larger than ${bytesMax} bytes`)
  if (Number(req.header('Content-Length') ?? 0) > bytesMax) throw tooLarge()
  const reader = req.raw.body?.getReader()
  const decoder = new TextDecoder()
  let bytes = 0
  let text = ''
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true, value: undefined }
    if (done) return text + decoder.decode()
    bytes += value.length
    if (bytes > bytesMax) {
      await reader?.cancel()
      throw tooLarge()
    }
    text += decoder.decode(value, { stream: true })
  }
}
