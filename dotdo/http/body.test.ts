/** Bodies over a real socket: chunked ones, and ones that are too large. */
import type { Failure } from '@dotdo/core/errors'
import { Hono } from 'hono'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { listenHttp } from '../serve/http.ts'
import type { Listener } from '../serve/listen.ts'
import { bodyText } from './body.ts'
import { answerFailure } from './errors.ts'

let listener: Listener
beforeAll(async () => {
  const app = new Hono()
  app.post('/', async (context) => context.text(await bodyText(context, 10)))
  app.onError((error, context) => answerFailure(context, error as Failure))
  listener = await listenHttp(app, { host: '127.0.0.1', port: 0 })
})
afterAll(() => listener.close())

/** Send parts of a body, as chunks when there is no length. */
async function post(...parts: readonly Uint8Array[]): Promise<{ status: number; text: string }> {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const part of parts) controller.enqueue(part)
      controller.close()
    },
  })
  const init = { method: 'POST', body, duplex: 'half' } as RequestInit
  const response = await fetch(`http://127.0.0.1:${listener.port}/`, init)
  return { status: response.status, text: await response.text() }
}

const bytes = (text: string) => new TextEncoder().encode(text)

describe('bodies', () => {
  it('come in chunks, cut anywhere', async () => {
    const [whole, half] = [bytes('aé'), bytes('b')]
    expect(await post(whole.subarray(0, 2), whole.subarray(2), half)).toEqual({ status: 200, text: 'aéb' })
  })

  it.each([
    ['with a length', () => fetch(`http://127.0.0.1:${listener.port}/`, { method: 'POST', body: 'x'.repeat(11) })],
    [
      'in chunks',
      async () => new Response(null, { status: (await post(bytes('x'.repeat(6)), bytes('y'.repeat(6)))).status }),
    ],
  ])('are refused when they are too large, %s', async (_, send) => {
    expect((await send()).status).toBe(413)
  })

  it('may be as large as allowed, or none', async () => {
    expect(await post(bytes('0123456789'))).toEqual({ status: 200, text: '0123456789' })
    const empty = await fetch(`http://127.0.0.1:${listener.port}/`, { method: 'POST' })
    expect([empty.status, await empty.text()]).toEqual([200, ''])
  })
})
