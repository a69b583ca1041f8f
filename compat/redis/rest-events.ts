/** Subscriptions as server-sent events: `data: message,<channel>,<message>`.
 *
 *  @source https://html.spec.whatwg.org/multipage/server-sent-events.html; Upstash's REST API for what is in them */
import type { Ending, RestConnection } from './rest-connection.ts'
import { showText } from './rest-json.ts'
import type { Value } from './value.ts'

function showField(value: Value): string {
  if (typeof value === 'string') return showText(value)
  return value === null ? '' : String(value)
}

/** Say what an event tells: a message's fields, or a line of MONITOR. */
function textOf(reply: Value): string {
  if (Array.isArray(reply)) return reply.map(showField).join(',')
  if (typeof reply === 'object' && reply !== null && 'simple' in reply) {
    return reply.simple === 'OK' ? '"OK"' : showText(reply.simple)
  }
  return showField(reply)
}

/** A line's end would end the field: the rest of the text goes into another one, and readers join them. */
function eventOf(reply: Value): string {
  return `data: ${textOf(reply).replace(/\r\n|\r|\n/g, '\ndata: ')}\n\n`
}

/** Stream what a connection is told, as the client takes it.
 *  @param first the reply that came already */
export function eventStream(
  connection: RestConnection,
  first: Value,
  stop: Ending | undefined,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  let waiting: Value | undefined = first
  const close = () => {
    stop?.removeEventListener('abort', close)
    connection.close()
  }
  stop?.addEventListener('abort', close)
  if (stop?.aborted) close()
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const reply = waiting ?? (await connection.next())
        waiting = undefined
        if (reply !== undefined) return controller.enqueue(encoder.encode(eventOf(reply)))
        close()
        controller.close()
      },
      cancel: close,
    },
    { highWaterMark: 0 },
  )
}
