/** `GET /metrics`: what the host has counted, in Prometheus' text format. */
import type { Handler } from 'hono'

/** What the host has counted, as text in a format that Prometheus reads. */
export interface MetricsText {
  readonly contentType: string
  readonly text: string
}

/** Make the handler. */
export function metricsRoute(metrics: () => Promise<MetricsText>): Handler {
  return async (context) => {
    const { contentType, text } = await metrics()
    return context.body(text, 200, { 'Content-Type': contentType })
  }
}
