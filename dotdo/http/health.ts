/** `GET /health`: whether the server can do its work, for load balancers and people.
 *  Open to all: it tells no secrets. */
import { type Code, Failure, toFailure } from '@dotdo/core/errors'
import { HEALTH_CHECK_MS_MAX } from '@dotdo/core/limits'
import type { Clock } from '@dotdo/core/shard'
import type { Handler } from 'hono'

/** Something that must work; throws when it does not. */
export type HealthCheck = () => Promise<unknown>

/** What the answer is made of. */
export interface HealthParts {
  readonly version: string
  /** When the server began, in ms since 1970. */
  readonly startedMs: number
  readonly clock: Clock
  readonly checks: Readonly<Record<string, HealthCheck>>
}

/** How one check went. */
export interface CheckResult {
  ok: boolean
  durationMs: number
  /** Why not, as a code only: messages may name paths. */
  code?: Code
}

/** The body of the answer. */
export interface Health {
  ok: boolean
  version: string
  uptimeMs: number
  checks: Record<string, CheckResult>
}

async function runCheck(check: HealthCheck, clock: Clock): Promise<CheckResult> {
  const startedMs = clock.nowMs()
  let cancel = () => {}
  const late = new Promise<never>((_, reject) => {
    const fail = () => reject(new Failure('unavailable', `no answer within ${HEALTH_CHECK_MS_MAX} ms`))
    cancel = clock.after(HEALTH_CHECK_MS_MAX, fail)
  })
  try {
    await Promise.race([check(), late])
    return { ok: true, durationMs: clock.nowMs() - startedMs }
  } catch (error) {
    return { ok: false, durationMs: clock.nowMs() - startedMs, code: toFailure(error).code }
  } finally {
    cancel()
  }
}

/** Run every check, at the same time. A check that takes longer than HEALTH_CHECK_MS_MAX has failed. */
export async function readHealth({ version, startedMs, clock, checks }: HealthParts): Promise<Health> {
  const entries = Object.entries(checks).map(async ([name, check]) => [name, await runCheck(check, clock)] as const)
  const results = Object.fromEntries(await Promise.all(entries))
  const ok = Object.values(results).every((result) => result.ok)
  return { ok, version, uptimeMs: clock.nowMs() - startedMs, checks: results }
}

/** Make the handler: 200 when every check is well, else 503. */
export function healthRoute(parts: HealthParts): Handler {
  return async (context) => {
    const health = await readHealth(parts)
    return context.json(health, health.ok ? 200 : 503)
  }
}
